"""Claim: a training step of a GRU over whole trials is faster than the loop over torch's GRUCell that users write.

For each batch size the three ways are timed in turn (loop, torch's fused GRU, ours), forward and backward with a linear
readout and a squared error, and the medians over all turns are printed, with the ratio loop / ours. Peak memory is what
two steps add to a process of their own, which has made nothing before but the data and a small step.

    python benchmarks/training_step.py [--json PATH] [--threads N] [--repeats N] [--units D] [--steps T]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import resource
import statistics
import time
from pathlib import Path

import torch
from table import row

from conjugacy.networks.compiled.gru import gru_states
from conjugacy.networks.sequence import plain_sequence


def torch_gru(cell, inputs, x0):
    weights = [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]
    return torch.gru(inputs, x0[None], weights, True, 1, 0.0, True, False, True)[0]


WAYS = {"loop over GRUCell": plain_sequence, "torch.gru": torch_gru, "conjugacy": gru_states}


def seconds(states, cell, readout, inputs, targets):
    started = time.perf_counter()
    y = readout(states(cell, inputs, torch.zeros(len(inputs), cell.hidden_size)))
    (y - targets).square().mean().backward()
    return time.perf_counter() - started


def peak_megabytes(way, units, steps, batch, threads):
    """What two training steps add to the peak memory of a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (way, units, steps, batch, threads))


def _peak(way, units, steps, batch, threads):
    torch.set_num_threads(threads)
    cell, readout = torch.nn.GRUCell(3, units), torch.nn.Linear(units, 3)
    inputs, targets = torch.randn(batch, steps, 3), torch.randn(batch, steps, 3)
    seconds(WAYS[way], cell, readout, inputs[:, :2], targets[:, :2])  # loads what there is to load
    before = _peak_kilobytes()
    for _ in range(2):
        seconds(WAYS[way], cell, readout, inputs, targets)
    return (_peak_kilobytes() - before) / 1024


def _peak_kilobytes():
    status = Path("/proc/self/status")
    if status.exists():  # getrusage tells the peak of the parent where that is larger
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text()).group(1))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256, 800])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cell, readout = torch.nn.GRUCell(3, args.units), torch.nn.Linear(args.units, 3)
    rows = []
    for batch in args.batches:
        inputs, targets = torch.randn(batch, args.steps, 3), torch.randn(batch, args.steps, 3)
        times = {way: [] for way in WAYS}
        for repeat in range(args.repeats + 1):
            for way, states in WAYS.items():
                elapsed = seconds(states, cell, readout, inputs, targets)
                if repeat:  # the first turn compiles and fills caches
                    times[way].append(elapsed)
        median = {way: statistics.median(t) for way, t in times.items()}
        ratio = median["loop over GRUCell"] / median["conjugacy"]
        peak = {way: peak_megabytes(way, args.units, args.steps, batch, args.threads) for way in WAYS}
        rows.append(
            {
                "batch": batch,
                **{k: round(v, 4) for k, v in median.items()},
                "loop / conjugacy": round(ratio, 2),
                "peak MB": {way: round(mb) for way, mb in peak.items()},
            }
        )
        print(
            f"GRU-{args.units}, T = {args.steps}, batch {batch}: "
            + ", ".join(f"{way} {1e3 * t:.0f} ms" for way, t in median.items())
            + f"; loop / conjugacy {ratio:.2f}; peak memory "
            + ", ".join(f"{way} {mb:.0f} MB" for way, mb in peak.items()),
            flush=True,
        )
    if args.json:
        table = [
            row(
                f"training step, GRU-{args.units}, T = {args.steps}, batch {r['batch']}, {args.threads} threads",
                "loop over GRUCell",
                r["loop over GRUCell"],
                r["conjugacy"],
            )
            for r in rows
        ]
        table += [
            row(
                f"peak memory of a training step, GRU-{args.units}, T = {args.steps}, batch {r['batch']}",
                "loop over GRUCell",
                r["peak MB"]["loop over GRUCell"],
                r["peak MB"]["conjugacy"],
                "MB",
            )
            for r in rows
        ]
        with open(args.json, "w") as f:
            json.dump(
                {"threads": args.threads, "units": args.units, "steps": args.steps, "rows": rows, "table": table}, f
            )


if __name__ == "__main__":
    main()

"""What a training step costs against the number of units, of time steps and of trials.

One of the three is varied at a time, the others stay at 128 units, 500 time steps, 64 trials. A step is forward,
backward and Adam, on the rollout that is chosen automatically and on the plain loop in turn; the medians are printed,
and ours also as the cost per unit of work (units^2 x time steps x trials), which is flat where the matrix products are
all that counts.

    python benchmarks/scaling.py [--json PATH] [--threads N] [--repeats N] [--network GRU]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time

import torch
from table import row

import conjugacy as cj
from conjugacy.runs.rollout import rollout

USUAL = {"units": 128, "time steps": 500, "trials": 64}
VARIED = {"units": (16, 32, 64, 128, 256, 512), "time steps": (50, 100, 200, 500, 1000), "trials": (16, 64, 256, 800)}


def step_seconds(kind, units, n_timesteps, n_trials, repeats):
    """Median seconds of a training step, one step after the other and as `train` does it."""
    task = cj.tasks.NBitFlipFlop(n=3, n_timesteps=n_timesteps)
    network = getattr(cj.networks, kind)(units)
    network.init_model(3, 3)
    optimizer = torch.optim.Adam(network.parameters())
    trials = task.trials(n_trials, 0)
    times = {"plain": [], "auto": []}
    for _ in range(repeats + 1):
        for way, taken in times.items():
            started = time.perf_counter()
            loss = task.loss(rollout(network, task, trials, rollout=way), trials)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            taken.append(time.perf_counter() - started)
    return [statistics.median(taken[1:]) for taken in times.values()]  # the first compiles and fills caches


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--network", default="GRU")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    for what, values in VARIED.items():
        for value in values:
            size = {**USUAL, what: value}
            plain, ours = step_seconds(args.network, *size.values(), args.repeats)
            per_work = 1e12 * ours / (size["units"] ** 2 * size["time steps"] * size["trials"])
            rows.append({"varied": what, **size, "plain": plain, "seconds": ours, "ps_per_work": per_work})
            print(
                f"{args.network}, {what} = {value}: {1e3 * ours:.1f} ms, {per_work:.1f} ps a unit of work; "
                f"plain loop {1e3 * plain:.1f} ms, {plain / ours:.2f} times as long",
                flush=True,
            )
    if args.json:
        table = [
            row(
                f"training step of {args.network}, {r['varied']} = {r[r['varied']]}",
                "plain loop",
                r["plain"],
                r["seconds"],
            )
            for r in rows
        ]
        with open(args.json, "w") as f:
            json.dump({"network": args.network, "threads": args.threads, "rows": rows, "table": table}, f, indent=2)


if __name__ == "__main__":
    main()

"""The fixed points of a published network: conjugacy's search beside the seed notebook's, and its cost against size.

    python benchmarks/fixed_points.py [--weights shared/reference/pretrained/nbff.npz] [--json PATH]

1. `fixed_points(cell)` with default arguments on the 64-unit GRU that CtDB's authors trained on the 3-bit flip-flop,
   zero input, seeds 0 to 9: counts, largest q, certificates, index sum, audit, time with all Jacobians.
2. In the same run, the notebook's search: 1024 visited states, Adam with learning rate 1e-3, 20000 steps, float32, no
   Jacobians (which only makes it look faster): time, starts with q < 1e-5 and q < 1e-10, points found.
3. Time and peak memory against the number of units D, 1024 starts each, each D in a process of its own, on GRUs built
   to have 27 points.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

import conjugacy as cj

WEIGHTS = [p / "shared/reference/pretrained/nbff.npz" for p in Path(__file__).resolve().parents[1:3]]


def load(path):
    with np.load(path) as z:
        n_inputs, n_units = z["cell.weight_ih"].shape[1], z["cell.weight_hh"].shape[1]
        cell = nn.GRUCell(n_inputs, n_units, device="meta").to_empty(device="cpu")
        with torch.no_grad():
            for name, p in cell.named_parameters():
                p.copy_(torch.from_numpy(z[f"cell.{name}"]))
        return cell, torch.from_numpy(z["latent_ics"])


def flip_flop_states(cell, ics, n_trials=64, n_steps=300, seed=0):
    """States visited on flip-flop trials: noise of 0.15, pulses of either sign with probability 0.01 a step."""
    generator = torch.Generator().manual_seed(seed)
    u = 0.15 * torch.randn(n_trials, n_steps, 3, generator=generator)
    s = torch.rand(n_trials, n_steps, 3, generator=generator)
    u = u + (s < 0.01).float() - (s > 0.99).float()
    h, visited = ics.expand(n_trials, -1), []
    with torch.no_grad():
        for t in range(n_steps):
            h = cell(u[:, t], h)
            visited.append(h)
    return torch.cat(visited)


def adam(cell, starts, n_steps):
    """What the notebook runs: Adam on the mean of q over all starts."""
    x = starts.clone().requires_grad_(True)
    u = torch.zeros(len(x), cell.input_size)
    optimiser = torch.optim.Adam([x], lr=1e-3)
    for _ in range(n_steps):
        optimiser.zero_grad()
        (0.5 * (cell(u, x) - x).square().sum(-1)).mean().backward()
        optimiser.step()
    exact = nn.GRUCell(cell.input_size, cell.hidden_size, device="meta", dtype=torch.float64).to_empty(device="cpu")
    exact.load_state_dict({k: v.double() for k, v in cell.state_dict().items()})
    x = x.detach().double()
    with torch.no_grad():
        return x, 0.5 * (exact(u.double(), x) - x).square().sum(-1)


def flip_flop_gru(d, seed=0):
    """A GRU of three populations that each excite themselves: 27 fixed points by construction, whatever D is.

    With the reset gate at 1/2 and W_n = 4 times the mean over a unit's population, the points solve m = tanh(2 m) in
    each population. The update gate is random: it moves no point, but makes the map nonlinear in all D dimensions.
    """
    generator = torch.Generator().manual_seed(seed)
    cell = nn.GRUCell(3, d, device="meta").to_empty(device="cpu")
    population = torch.arange(d) % 3
    same = (population[:, None] == population).float()
    with torch.no_grad():
        for p in cell.parameters():
            p.zero_()
        cell.weight_hh[d : 2 * d].normal_(0, 1 / d**0.5, generator=generator)
        cell.weight_hh[2 * d :] = 4 * same / same.sum(1, keepdim=True)
    return cell


def peak_gb():
    """Peak resident memory of this process; on Linux without what the parent had when it was forked."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def one_size(d):
    cell = flip_flop_gru(d)
    base = peak_gb()
    begin = time.perf_counter()
    points = cj.fixed_points(cell, progress=False)
    return {
        "units": d,
        "seconds": time.perf_counter() - begin,
        "peak_gb": peak_gb(),
        "base_gb": base,
        "points": len(points),
        "counts": points.counts,
        "max_q": float(points.q.max()) if len(points) else None,
        "index_sum": points.index_sum,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=next((p for p in WEIGHTS if p.exists()), None))
    parser.add_argument("--adam-steps", type=int, default=20_000)
    parser.add_argument("--units", type=int, nargs="*", default=[32, 64, 128, 256])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one-size", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one_size:
        print(json.dumps(one_size(args.one_size)))
        return
    results = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    if args.weights is None:
        print("The published weights (shared/reference/pretrained/nbff.npz) are not here: parts 1 and 2 are left out.")
    else:
        results |= published(args.weights, args.adam_steps)
    results["sizes"] = []
    print(f"\n{'D':>5} {'seconds':>8} {'peak GB':>8} {'points':>7} {'index sum':>10} {'max q':>9}   1024 starts")
    for d in args.units:
        run = [sys.executable, __file__, "--one-size", str(d)]
        row = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
        results["sizes"].append(row)
        print(
            f"{d:>5} {row['seconds']:>8.2f} {row['peak_gb']:>8.2f} {row['points']:>7} {row['index_sum']:>+10} "
            f"{row['max_q']:>9.1e}   (torch alone: {row['base_gb']:.2f} GB)"
        )
    results["table"] = []
    if "ratio" in results:
        adam = results["adam"]
        what = f"{adam['steps']} Adam steps from 1024 states"
        results["table"].append(
            row("27 certified fixed points of a GRU-64", what, adam["seconds"], results["median_seconds"])
        )
    if args.json:
        args.json.write_text(json.dumps(results, indent=2))


def published(weights, adam_steps):
    cell, ics = load(weights)
    cj.fixed_points(cell, n_inits=64, progress=False)  # imports and caches are not the search
    print(f"\n{'seed':>4} {'seconds':>8}  points by unstable directions        max q     index  certified  audit")
    times, rows = [], []
    for seed in range(10):
        begin = time.perf_counter()
        points = cj.fixed_points(cell, seed=seed, progress=False)
        times.append(time.perf_counter() - begin)
        audit = points.audit()
        certified = int((points.certificate == "kantorovich").sum())
        complete = "complete as far as index and coverage tell" if audit.complete else str(audit.complete)
        print(
            f"{seed:>4} {times[-1]:>8.2f}  {len(points)} = {points.counts!s:<30} {float(points.q.max()):.1e} "
            f"{points.index_sum:>+7} {certified:>7}     {complete}"
        )
        rows.append({"seed": seed, "seconds": times[-1], "counts": points.counts, "max_q": float(points.q.max())})
        rows[-1] |= {"index_sum": points.index_sum, "certified": certified, "complete": audit.complete}
    ours = statistics.median(times)
    print(f"conjugacy: median {ours:.2f} s, slowest {max(times):.2f} s, Jacobians and certificates included")

    visited = flip_flop_states(cell, ics)
    starts = visited[torch.randint(len(visited), (1024,), generator=torch.Generator().manual_seed(0))]
    begin = time.perf_counter()
    x, q = adam(cell, starts, adam_steps)
    theirs = time.perf_counter() - begin
    exact = cj.fixed_points(cell, progress=False)
    owner = torch.cdist(x, exact.x).argmin(1)
    near = torch.cdist(x, exact.x).amin(1) < 1e-2
    found = sorted(set(owner[near].tolist()))
    by_index = [sum(int(exact.n_unstable[p]) == k for p in found) for k in range(4)]
    below = {str(t): int((q < t).sum()) for t in (1e-5, 1e-10)}
    print(
        f"notebook's search ({adam_steps} Adam steps, learning rate 1e-3, 1024 visited states): {theirs:.1f} s\n"
        f"  starts with q < 1e-5: {below['1e-05']} of 1024; q < 1e-10: {below['1e-10']}; least q {float(q.min()):.1e}\n"
        f"  of the 27 points, {len(found)} have a start that ended within 0.01: "
        f"{by_index[0]} of 8 stable, {by_index[1]} of 12, {by_index[2]} of 6, {by_index[3]} of 1 (by index)\n"
        f"ratio of times: {theirs / ours:.0f} x"
    )
    theirs_row = {
        "seconds": theirs,
        "steps": adam_steps,
        "below": below,
        "points_near": by_index,
        "least_q": float(q.min()),
    }
    return {"conjugacy": rows, "median_seconds": ours, "adam": theirs_row, "ratio": theirs / ours}


if __name__ == "__main__":
    main()

"""How far an audit can be trusted: random small networks, the default search against 6000 further starts.

    python benchmarks/completeness.py [--seeds 6] [--json PATH]

For GRUs and tanh RNNs with random strong weights: `fixed_points(cell)` with default arguments, and a reference of 6000
starts uniform in the box. Counted is whether the reference knows points that the default search has missed, against
what the audit of the default search says. An audit that says "complete" where points are missing is the bad cell.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import torch
from scipy.spatial.distance import cdist
from torch import nn

import conjugacy as cj

CASES = [(2, 4.0), (4, 4.0), (8, 4.0), (8, 8.0), (12, 6.0)]


def random_cell(kind, d, gain, seed):
    generator = torch.Generator().manual_seed(seed)
    cell = kind(2, d, device="meta", dtype=torch.float64).to_empty(device="cpu")
    with torch.no_grad():
        for p in cell.parameters():
            p.normal_(0, gain / d**0.5, generator=generator)
    return cell


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    verdicts, begin = Counter(), time.perf_counter()
    quiet = {"progress": False, "n_orbits": 0, "slow_speed": 0}
    for kind in (nn.GRUCell, nn.RNNCell):
        for d, gain in CASES:
            for seed in range(args.seeds):
                cell = random_cell(kind, d, gain, seed)
                points = cj.fixed_points(cell, **quiet)
                starts = 2 * torch.rand(6000, d, generator=torch.Generator().manual_seed(99)) - 1
                more = cj.fixed_points(cell, x0=starts, search="given", **quiet)
                missed = int((cdist(more.x[more.fixed], points.x).min(1) > 1e-6).sum())
                verdict = {True: "complete", False: "incomplete", None: "not established"}[points.audit().complete]
                verdicts[verdict, "all found" if missed == 0 else "some missed"] += 1
                if missed:
                    case = f"{kind.__name__} D={d} gain={gain} seed={seed}"
                    print(f"{case}: {len(points)} points, {missed} missed, audit: {verdict}")
    n = sum(verdicts.values())
    print(f"{n} networks in {time.perf_counter() - begin:.0f} s")
    for (verdict, found), count in sorted(verdicts.items()):
        print(f"  audit says {verdict:>16}: {count:>3} with {found}")
    if args.json:
        args.json.write_text(json.dumps({f"{v}, {f}": c for (v, f), c in verdicts.items()}, indent=2))


if __name__ == "__main__":
    main()

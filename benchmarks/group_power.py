"""Power of compare_groups: how often do so many networks of two kinds tell them apart?

    python benchmarks/group_power.py FOLDER_A FOLDER_B [--measures dsa,timescales]

Each folder holds runs of one kind, that differ in their seed. Distances of all pairs are computed once; then groups of
2, 3, ... networks are drawn from each kind, and for comparison from one kind alone, with the test of compare_groups.
"""

import argparse
from pathlib import Path

import numpy as np

import conjugacy as cj
from conjugacy.analysis.groups import group_tests

N_DRAWS, LEVEL = 200, 0.95


def power(distances, labels, k, rng, null=False):
    """Share of draws of k networks a kind (of one kind alone, divided at random, if `null`) with p <= 0.05."""
    hits = 0
    for _ in range(N_DRAWS):
        if null:
            kind = rng.integers(0, 2)
            at = rng.permutation(np.flatnonzero(labels == kind))[: 2 * k]
        else:
            at = np.concatenate([rng.permutation(np.flatnonzero(labels == g))[:k] for g in (0, 1)])
        d = {"d": distances[np.ix_(at, at)]}
        test = group_tests(d, np.repeat([0, 1], k), ["a", "b"], 1000, LEVEL, 0)[0]
        hits += test.p_value <= 1 - LEVEL
    return hits / N_DRAWS


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs=2, type=Path)
    parser.add_argument("--measures", default="dsa,timescales,spectrum_w2")
    args = parser.parse_args()
    kinds = {f.name: [cj.load(p.parent) for p in sorted(f.glob("*/config.json"))] for f in args.folders}
    found = cj.compare_groups(kinds, args.measures.split(","), n_trials=60)
    print(found)
    labels = np.repeat([0, 1], [len(r) for r in kinds.values()])
    least = min(map(len, kinds.values()))
    sizes = range(3, least + 1)
    print("| networks of each kind | " + " | ".join(map(str, sizes)) + " |")
    print("|---|" + "---|" * len(sizes))
    for name, d in found.distances.items():
        rng = np.random.default_rng(0)
        print(f"| {name} | " + " | ".join(f"{power(d, labels, k, rng):.2f}" for k in sizes) + " |", flush=True)
        nulls = [f"{power(d, labels, k, rng, null=True):.2f}" if 2 * k <= least else "" for k in sizes]
        print(f"| {name}, one kind alone | " + " | ".join(nulls) + " |", flush=True)
    cj.plots.group_map(found).savefig("group_map.png", dpi=90)


if __name__ == "__main__":
    main()

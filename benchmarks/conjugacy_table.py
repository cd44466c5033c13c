"""Which trained networks are factors of which? The table of docs/same_computation.md.

All pairs of the runs given, `find_conjugacy` with default arguments; each cell is score / score_off of the map from the
row to the column, 0 where it is below, and bold where the map holds; then the steps for which orbits stay together.

    python benchmarks/conjugacy_table.py RUN RUN [RUN ...]
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import torch

import conjugacy as cj


def main() -> None:
    """Fit all pairs and print them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path)
    torch.set_num_threads(1)
    folders = parser.parse_args().runs
    runs = {folder.name: cj.load(folder) for folder in folders}
    found = {}
    for a, b in combinations(runs, 2):
        pair = cj.find_conjugacy(runs[a], runs[b])
        found[a, b], found[b, a] = pair.there, pair.back
        print(f"{a}, {b}: {pair.factor}; {pair.there.horizon} and {pair.back.horizon} steps", flush=True)
    print(f"\n| from \\ to | {' | '.join(runs)} |", "|---" * (len(runs) + 1) + "|", sep="\n")
    for a in runs:
        print(f"| {a} |", *(_cell(found.get((a, b))) for b in runs))


def _cell(d) -> str:
    if d is None:
        return " |"
    text = f"{max(d.score.value, 0):.2f} / {max(d.score_off.value, 0):.2f}"
    return f"**{text}** |" if d.holds else f"{text} |"


if __name__ == "__main__":
    main()

"""Which trained networks compute the same, and which are factors of which? The tables of docs/same_computation.md.

All pairs of nine networks of the 3-bit flip-flop, two of them after one step of training. The first table has score /
score_off of the map from the row to the column, 0 where it is below, bold where the map holds, and the steps for which
orbits stay together; the second has the verdict of each pair, level by level, beside three measures.

Networks and pairs that are in the folder already are not done again: it may be stopped and called again.

    python benchmarks/conjugacy_table.py --folder FOLDER [--only NAME ...]
"""

from __future__ import annotations

import argparse
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import torch

import conjugacy as cj
from conjugacy.runs.run import Run

N = cj.networks
NETWORKS: dict[str, tuple[Any, int]] = {
    "GRU-128": (N.GRU(128), 0),
    "GRU-64 seed 0": (N.GRU(64), 0),
    "GRU-64 seed 1": (N.GRU(64), 1),
    "NODE-3": (N.NODE(3), 0),
    "LSTM-64": (N.LSTM(64), 0),
    "vanilla-64": (N.VanillaRNN(64), 0),
    "leaky-64": (N.LeakyRNN(64), 0),
    "untrained GRU-64 a": (N.GRU(64), 100),
    "untrained GRU-64 b": (N.GRU(64), 101),
}
LEVELS = ("task", "geometry", "dynamics", "skeleton", "conjugacy")


def network(folder: Path, name: str) -> Run:
    """The network of that name, trained if it is not there."""
    path = folder / name.replace(" ", "-")
    if (path / "config.json").exists():
        return cj.load(path)
    model, seed = NETWORKS[name]
    task = cj.tasks.NBitFlipFlop(n=3)
    settings = {"steps": 1} if name.startswith("untrained") else {}
    run = cj.train(task, model, seed=seed, progress=False, **settings)
    run.save(path)
    return run


def judged(folder: Path, a: str, b: str) -> dict[str, Any]:
    """Verdict, maps and measures of a pair, read from the folder or made."""
    path = folder / f"{a} and {b}.json".replace(" ", "-")
    if path.exists():
        return json.loads(path.read_text())
    runs = [network(folder, a), network(folder, b)]
    comparison = cj.compare(runs, ["state_r2", "dsa", "portrait"], names=[a, b], interval=None, null=None)
    (pair,) = comparison.verdict().pairs
    found: dict[str, Any] = {"a": a, "b": b, "answer": pair.answer, "sentence": pair.sentence}
    found["levels"] = {level.name: level.answer for level in pair.levels}
    found["scores"] = [[s.measure, s.a, s.b, s.value] for s in comparison.scores]
    if pair.conjugacy is not None:
        ways = {"there": pair.conjugacy.there, "back": pair.conjugacy.back}
        found["factor"] = pair.conjugacy.factor
        found["maps"] = {
            way: {"score": d.score.value, "off": d.score_off.value, "holds": d.holds, "horizon": d.horizon}
            for way, d in ways.items()
        }
    path.write_text(json.dumps(found, indent=1))
    return found


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.folder.mkdir(parents=True, exist_ok=True)
    names = [n for n in NETWORKS if n in args.only]
    pairs = []
    for a, b in combinations(names, 2):
        pairs.append(judged(args.folder, a, b))
        print(f"{a}, {b}: {pairs[-1]['sentence']}", flush=True)
    cells = {}
    for p in pairs:
        cells[p["a"], p["b"]] = _cell(p.get("maps", {}).get("there"))
        cells[p["b"], p["a"]] = _cell(p.get("maps", {}).get("back"))
    print(f"\n| from \\ to | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|", sep="\n")
    for a in names:
        print(f"| {a} |", *(f"{cells.get((a, b), '')} |" for b in names))
    head = f"\n| pair | verdict | {' | '.join(LEVELS)} | State R2 both ways | DSA | portrait |"
    print(head, "|---" * (len(LEVELS) + 5) + "|", sep="\n")
    for p in pairs:
        levels = " | ".join(p["levels"].get(name, "") for name in LEVELS)
        told = {m: [s[3] for s in p["scores"] if s[0] == m] for m in ("state_r2", "dsa", "portrait")}
        values = " | ".join(", ".join(f"{v:.2f}" for v in told[m]) for m in told)
        print(f"| {p['a']}, {p['b']} | {p['answer']} | {levels} | {values} |")


def _cell(way: dict[str, Any] | None) -> str:
    if way is None:
        return "none"
    text = f"{max(way['score'], 0):.2f} / {max(way['off'], 0):.2f}, {way['horizon']}"
    return f"**{text}**" if way["holds"] else text


if __name__ == "__main__":
    main()

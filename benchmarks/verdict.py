"""Is the verdict right? Retrained copies should be the same, networks that hold fewer bits should not.

Two kinds of GRU-64 hear the same three channels of pulses: those of the 3-bit flip-flop, and those that were trained
to hold the first two bits only. All are trained here, each with a seed of its own. Every network is in three pairs at
most: copies with copies whose certified portrait is isomorphic (others are counted apart: to differ in skeleton is a
finding), and networks that hold two bits with networks that hold three. Upper bounds of 95 % of the shares of wrong
answers are by bootstrap over networks, or by the rule of three where there are none.

What is in the folder already is not done again: it may be stopped and called again.

    python benchmarks/verdict.py --folder FOLDER [--copies 30] [--fewer 10]
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import conjugacy as cj
from conjugacy.trials import Trials


class TwoOfThree(cj.tasks.NBitFlipFlop):
    """Three channels of pulses, of which two are bits to hold; the third output rests at one half."""

    def trials(self, n: int, seed: int) -> Trials:
        """The trials of the flip-flop with other targets."""
        trials = super().trials(n, seed)
        targets = trials.targets.clone()
        targets[..., 2] = 0.5
        return replace(trials, targets=targets)

    def success_rate(self, outputs: torch.Tensor, trials: Trials) -> dict[str, float]:
        """Accuracy of the two bits."""
        right = (outputs[..., :2] > 0.5) == (trials.targets[..., :2] > 0.5)
        mask = trials.mask[..., :2].double()
        return {"accuracy": float((right * mask).sum() / mask.sum())}


def network(folder: Path, kind: str, seed: int) -> cj.Run:
    """The run of that kind and seed, trained if it is not there."""
    path = folder / f"{kind}-{seed}"
    if (path / "config.json").exists():
        return cj.load(path, classes=[TwoOfThree])
    task = TwoOfThree(n=3) if kind == "two" else cj.tasks.NBitFlipFlop(n=3)
    run = cj.train(task, cj.networks.GRU(latent_size=64), seed=seed, progress=False)
    run.save(path)
    return run


def judge(folder: Path, a: tuple[str, int], b: tuple[str, int], inputs: torch.Tensor) -> dict:
    """The verdict on two networks driven by the same inputs, read from the folder or made."""
    path = folder / f"verdict-{a[0]}-{a[1]}-{b[0]}-{b[1]}.json"
    if path.exists():
        return json.loads(path.read_text())
    systems = [replace(network(folder, *n).drive(inputs), name=f"{n[0]} bits, seed {n[1]}") for n in (a, b)]
    said = cj.compare(systems, "procrustes", interval=None).verdict().pairs[0]
    levels = {level.name: level.answer for level in said.levels}
    made = {"a": a, "b": b, "answer": said.answer, "levels": levels, "sentence": said.sentence}
    if said.conjugacy is not None:
        made |= {"factor": said.conjugacy.factor, "forgotten": said.conjugacy.forgotten()}
    path.write_text(json.dumps(made, indent=1))
    return made


def upper_bound(wrong: dict[tuple, bool], rng: np.random.Generator) -> float:
    """Upper 95 % bound of the share of wrong answers, networks resampled; the rule of three where none is wrong."""
    networks = sorted({n for pair in wrong for n in pair})
    if not any(wrong.values()):
        return 1 - 0.05 ** (1 / (len(networks) / 2))  # as many pairs as share no network
    shares = []
    for _ in range(2000):
        times = Counter(networks[i] for i in rng.integers(len(networks), size=len(networks)))
        weights = np.array([times[x] * times[y] for x, y in wrong])
        shares.append(np.average(list(wrong.values()), weights=weights) if weights.any() else 0.0)
    return float(np.quantile(shares, 0.95))


def main() -> None:
    """Train, judge, count."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=30)
    parser.add_argument("--fewer", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.folder.mkdir(parents=True, exist_ok=True)
    inputs = cj.tasks.NBitFlipFlop(n=3).trials(150, 77).inputs
    n = args.copies
    pairs = [(("two", i), ("three", i)) for i in range(args.fewer)]
    pairs += [(("three", i), ("three", (i + 1) % n)) for i in range(n)]
    made = []
    for a, b in pairs:
        made.append(judge(args.folder, a, b, inputs))
        print(a, b, made[-1]["answer"], made[-1].get("factor"), flush=True)
    rng = np.random.default_rng(0)
    for kind in ("two", "three"):
        chosen = [m for m in made if m["a"][0] == kind]
        alike = [m for m in chosen if kind == "two" or m["levels"]["skeleton"] == "same"]
        error = "same" if kind == "two" else "different"
        wrong = {(tuple(m["a"]), tuple(m["b"])): m["answer"] == error for m in alike}
        what = "two bits and three" if kind == "two" else "copies with one skeleton"
        counts, most = dict(Counter(m["answer"] for m in alike)), upper_bound(wrong, rng)
        print(f"{what}: {len(alike)} pairs {counts}; wrong at most {most:.3f}")
        if len(alike) < len(chosen):
            print(
                f"  {len(chosen) - len(alike)} pairs of copies have other skeletons, or searches that are not complete"
            )


if __name__ == "__main__":
    main()

"""Simulated animals with a known answer: is the right kind of network named, and nothing named where nothing differs?

Networks of two kinds, GRU and LeakyRNN, learn the flip-flop of two bits (their states differ in shape; those of GRU and
NODE hardly differ, and there the answer is "cannot tell"). An animal is a network seen through 60 random units by their
Poisson spikes in 5 ms bins, in 200 trials of 100 to 200 bins. Each draw takes one network as the brain of two subjects,
with units and spikes of their own, and asks `conjugacy.nearest_kind` for its kind. Candidates are five other networks
of each kind, so that the network behind the animals is never among them. Conditions:

    two kinds, 10 Hz / 1 Hz / 0.2 Hz   the brain is of either kind in turn, at these mean rates
    one kind, 10 Hz                    all are GRUs, and nine of them are dealt out as two kinds at random

All settings of bins 5, 20, 50 ms and smoothing 10, 50 ms have to agree (the default of `stability`). The method was
tuned on networks of seeds 0 to 9; the figures in docs/recordings.md are of the seeds from 100 on.

What is in the folder is not done again: the script may be stopped and called again, with more draws too.

    python benchmarks/animals.py --folder animals [--draws 200] [--first-seed 100] [--conditions NAME ...] [--table]
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import beta

import conjugacy as cj
from conjugacy.analysis.prepared_recordings import Prepared, candidate_of
from conjugacy.runs.trial_sets import derive_seed

N = cj.networks
KINDS = {"GRU": (lambda: N.GRU(32), 300), "LeakyRNN": (lambda: N.LeakyRNN(32), 400)}
N_NETWORKS, N_CANDIDATES, N_UNITS, N_TRIALS = 10, 5, 60, 200
BIN, BINS, SMOOTHING = 0.005, (0.005, 0.02, 0.05), (0.01, 0.05)
DRAWS_PER_TRIALS = 50  # networks are run anew on new trials after so many draws
# kinds, mean rate, and that every first, second or fourth draw is made
CONDITIONS: dict[str, tuple[str, float, int]] = {
    "two kinds, 10 Hz": ("two", 10.0, 1),
    "one kind, 10 Hz": ("one", 10.0, 1),
    "two kinds, 1 Hz": ("two", 1.0, 2),
    "two kinds, 0.2 Hz": ("two", 0.2, 4),
}


def task() -> cj.tasks.NBitFlipFlop:
    """The task of all networks."""
    return cj.tasks.NBitFlipFlop(n=2, n_timesteps=200, switch_prob=0.015, noise=0.1, dt=BIN)


def trained(kind: str, seed: int, folder: Path) -> cj.Run:
    """The network, from its folder if it is there."""
    path = folder / f"{kind}_{seed}"
    if path.exists():
        return cj.load(path)
    make, steps = KINDS[kind]
    network = make()
    recipe = replace(cj.training.Recipe.for_task(task(), network), steps=steps, stop_from=0.0)
    run = cj.train(task(), network, seed=seed, recipe=recipe, progress=False)
    run.save(path)
    return run


class TrialSet:
    """200 ragged trials, and every network on them as a candidate, made once."""

    def __init__(self, number: int, runs: dict[str, list[cj.Run]]):
        self.trials = task().trials(N_TRIALS, derive_seed(number, "trials of animals"))
        self.lengths = np.random.default_rng([number, 3]).integers(100, 201, N_TRIALS)
        self.inside = (np.arange(200) < self.lengths[:, None])[..., None]
        self.runs = runs
        like = self.animal("GRU", 0, 10.0, 0, "like")
        self.candidates = {
            kind: [self._candidate(run, like, derive_seed(number, f"{kind} {k}")) for k, run in enumerate(members)]
            for kind, members in runs.items()
        }

    def animal(self, kind: str, which: int, rate: float, seed: int, name: str) -> cj.Recording:
        """Spikes of a network, in units and with noise of the subject's own."""
        run = self.runs[kind][which]
        whole = cj.simulate_spikes(run, N_UNITS, n_held_out=0, trials=self.trials, seed=seed, mean_rate=rate)
        return cj.Recording.from_counts(whole.values * self.inside, BIN, lengths=self.lengths, name=name)

    def _candidate(self, run: cj.Run, like: cj.Recording, seed: int) -> Prepared:
        made = candidate_of(run.name, run, like, self.trials, None, seed).recording
        cut = cj.Recording.from_rates(made.values * self.inside, BIN, lengths=self.lengths, name=run.name)
        return Prepared(cut, exact=True)


def draw(number: int, trials: TrialSet, condition: str, first_seed: int) -> dict[str, Any]:
    """One draw: what was named, and why not."""
    kinds, rate, every = CONDITIONS[condition]
    rng = np.random.default_rng([number, first_seed, list(CONDITIONS).index(condition)])
    brain = "GRU" if kinds == "one" else list(KINDS)[number // every % 2]
    which = int(rng.integers(N_NETWORKS))
    pools = {k: [c for j, c in enumerate(trials.candidates[k]) if (k, j) != (brain, which)] for k in KINDS}
    if kinds == "one":
        mixed = [pools["GRU"][j] for j in rng.permutation(N_NETWORKS - 1)]
        candidates = {"A": mixed[:N_CANDIDATES], "B": mixed[N_CANDIDATES:]}
    else:
        candidates = {k: [pools[k][j] for j in rng.permutation(len(pools[k]))[:N_CANDIDATES]] for k in KINDS}
    seeds = rng.integers(2**31, size=2)
    subjects = [trials.animal(brain, which, rate, int(s), f"subject {k}") for k, s in enumerate(seeds)]
    found = cj.nearest_kind(
        candidates, subjects, bins=BINS, smoothing=SMOOTHING, n_resamples=15, seed=int(rng.integers(2**31))
    )
    difference = found.differences[0]
    return {
        "brain": f"{brain} {which}",
        "answer": found.answer,
        "nearest": found.nearest,
        "right": kinds == "two" and found.answer == brain,
        "failed": [name for name, held in found.checks.items() if not held],
        "difference": [difference.difference, difference.low, difference.high, difference.p_value],
        "share": found.share,
    }


def bounds(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share."""
    low = float(beta.ppf((1 - level) / 2, k, n - k + 1)) if k else 0.0
    return low, float(beta.ppf((1 + level) / 2, k + 1, n - k)) if k < n else 1.0


def table(results: dict[str, dict[str, Any]]) -> str:
    """Shares of right and wrong answers, as a table of Markdown."""

    def share(k: int, n: int) -> str:
        low, high = bounds(k, n)
        return f"{k / n:.3f} [{low:.3f}, {high:.3f}]"

    lines = [
        "| condition | draws | right kind | wrong kind (one kind: any) | cannot tell | withdrawn for settings alone | "
        "order changes in some setting |",
        "|---|---|---|---|---|---|---|",
    ]
    for condition, draws in results.items():
        d, n = list(draws.values()), len(draws)
        if not n:
            continue
        right = sum(x["right"] for x in d)
        silent = sum(x["answer"] == "cannot tell" for x in d)
        alone = sum(x["failed"] == ["settings"] for x in d)
        changed = sum("settings" in x["failed"] for x in d)
        counts = (right, n - right - silent, silent, alone, changed)
        lines.append(f"| {condition} | {n} | " + " | ".join(share(k, n) for k in counts) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=100, help="seed of the first network of each kind")
    parser.add_argument("--conditions", nargs="*", default=list(CONDITIONS), choices=list(CONDITIONS))
    parser.add_argument("--table", action="store_true", help="print what is there, and do nothing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    args.folder.mkdir(parents=True, exist_ok=True)
    path = args.folder / f"draws_{args.first_seed}.json"
    results: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    if not args.table:
        seeds = range(args.first_seed, args.first_seed + N_NETWORKS)
        runs = {kind: [trained(kind, seed, args.folder) for seed in seeds] for kind in KINDS}
        trials, at = None, -1
        for number in range(args.draws):
            for condition in args.conditions:
                done = results.setdefault(condition, {})
                if str(number) in done or number % CONDITIONS[condition][2]:
                    continue
                if trials is None or at != number // DRAWS_PER_TRIALS:
                    at = number // DRAWS_PER_TRIALS
                    trials = TrialSet(args.first_seed + at, runs)
                started = time.process_time()
                done[str(number)] = draw(number, trials, condition, args.first_seed)
                path.write_text(json.dumps(results, indent=1))
                found = done[str(number)]
                spent = f"{time.process_time() - started:.1f} s"
                print(condition, number, found["brain"], found["answer"], found["failed"], spent, flush=True)
    print(table(results))


if __name__ == "__main__":
    main()

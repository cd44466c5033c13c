"""Steps to a criterion with and without transfer: five seeds, two pairs of tasks.

    python benchmarks/transfer.py [--task flip_flop|multitask] [--folder F] [--seeds 5]

flip_flop   a GRU-32 goes on from 2 bits to 3, or learns 3 from nothing; criterion: validation accuracy of 0.98
multitask   a GRU-64 goes on from fourteen rules to all fifteen, or learns them from nothing; the new rule is
            MemoryAnti; criterion: 0.8 of the new rule's validation trials right, and 0.85 of all

Prints one row a seed: the first validation at the criterion, in steps on the second task alone. With `--folder` the
runs are kept there, and those that are there are not trained again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

import conjugacy as cj

NEW_RULE = "MemoryAnti"


def first_step(run: cj.Run, criterion: dict[str, float]) -> int | None:
    """The first validated step at which every column is at its criterion; None if there was none."""
    reached = run.history[(run.history[list(criterion)] >= pd.Series(criterion)).all(axis=1)]
    return int(reached.step.iloc[0]) if len(reached) else None


class Trainings:
    """Trains, or loads what was trained before."""

    def __init__(self, folder: Path | None):
        self.folder = folder

    def run(self, name: str, task, **arguments) -> cj.Run:
        """The run of a name."""
        out = None if self.folder is None else self.folder / name
        if out is not None and (out / "config.json").exists():
            return cj.load(out)
        return cj.train(task, out=out, progress=False, **arguments)


def flip_flop(trainings: Trainings, seed: int) -> dict[str, int | None]:
    """From two bits to three."""
    two, three = (cj.tasks.NBitFlipFlop(n=n, n_timesteps=200) for n in (2, 3))
    settings = {"stop_from": 0.0, "eval_every": 10}
    source = trainings.run(f"flip_flop_source_{seed}", two, network=cj.networks.GRU(32), seed=seed, **settings)
    more = trainings.run(f"flip_flop_more_{seed}", three, start=source, seed=100 + seed, **settings)
    new = trainings.run(f"flip_flop_new_{seed}", three, network=cj.networks.GRU(32), seed=100 + seed, **settings)
    criterion = {"val_accuracy": 0.98}
    return {"going on": first_step(more, criterion), "from nothing": first_step(new, criterion)}


def multitask(trainings: Trainings, seed: int) -> dict[str, int | None]:
    """From fourteen rules to fifteen."""
    every = cj.tasks.MultiTask()
    fewer = cj.tasks.MultiTask(rules=[rule for rule in every.rules if rule != NEW_RULE])
    source = trainings.run(f"rules_source_{seed}", fewer, network=cj.networks.GRU(64), seed=seed, steps=3000)
    more = trainings.run(f"rules_more_{seed}", every, start=source, seed=100 + seed, steps=600, eval_every=20)
    new = trainings.run(
        f"rules_new_{seed}", every, network=cj.networks.GRU(64), seed=100 + seed, steps=3000, eval_every=50
    )
    new_rule, both = {f"val_accuracy/{NEW_RULE}": 0.8}, {f"val_accuracy/{NEW_RULE}": 0.8, "val_accuracy": 0.85}
    return {
        "going on": first_step(more, both),
        "from nothing": first_step(new, both),
        "the new rule alone, going on": first_step(more, new_rule),
        "from nothing, the new rule alone": first_step(new, new_rule),
        "accuracy at the end, going on": round(more.metrics["test_accuracy"], 3),
        "from nothing, at the end": round(new.metrics["test_accuracy"], 3),
        "before": round(source.metrics["test_accuracy"], 3),
    }


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=("flip_flop", "multitask"), default="flip_flop")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    pair = {"flip_flop": flip_flop, "multitask": multitask}[arguments.task]
    trainings, rows = Trainings(arguments.folder), []
    for seed in range(arguments.seeds):
        rows.append({"seed": seed, **pair(trainings, seed)})
        print(pd.DataFrame(rows).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()

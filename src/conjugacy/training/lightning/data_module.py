"""TaskDataModule: the trials of a task for a pytorch_lightning Trainer, held in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import torch
from pytorch_lightning import LightningDataModule

from conjugacy._check import check_int
from conjugacy._config import build, describe
from conjugacy.runs.classes import known_classes
from conjugacy.runs.trial_sets import TrialSets
from conjugacy.tasks.task import Task
from conjugacy.trials import Trials


class TrialBatches:
    """Batches of trials, in a new order at every pass if they are shuffled; no copies beyond the batch, no processes.

    Parameters
    ----------
    trials : Trials
    batch_size : int
        Trials per batch; the last batch holds what is left.
    seed : int or None
        Seed of the orders; None keeps the order of the trials.
    grouped : bool
        Whether each batch holds trials of one condition only; batches and the trials within them are still shuffled.
        Each condition's last batch holds what is left of it.

    Notes
    -----
    Steps that count in no trial of a batch are cut off its end.
    """

    def __init__(self, trials: Trials, batch_size: int, seed: int | None = None, grouped: bool = False):
        self.trials = trials
        self.batch_size = batch_size
        self.grouped = grouped
        self._generator = None if seed is None else torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        counts = self.trials.conditions.unique(return_counts=True)[1].tolist() if self.grouped else [len(self.trials)]
        return sum(-(-n // self.batch_size) for n in counts)

    def __iter__(self) -> Iterator[Trials]:
        order = self._shuffled(len(self.trials))
        conditions = self.trials.conditions[order]
        groups = [order[conditions == c] for c in conditions.unique()] if self.grouped else [order]
        batches = [rows for group in groups for rows in group.split(self.batch_size)]
        for k in self._shuffled(len(batches)).tolist() if self.grouped else range(len(batches)):
            batch = self.trials[batches[k]]
            yield batch.first(batch.last_counted_step())

    def _shuffled(self, n: int) -> torch.Tensor:
        return torch.arange(n) if self._generator is None else torch.randperm(n, generator=self._generator)


class TaskDataModule(LightningDataModule):
    """The trials of a task, split 80/20 into training and validation.

    Parameters
    ----------
    task : Task, optional
        The task; may be set later with `set_environment`.
    n_samples : int
        Trials in all, >= 2.
    batch_size : int
        Trials per gradient step, >= 1.
    seed : int
        Seed of the trials and of the shuffling.
    """

    def __init__(self, task: Task | None = None, n_samples: int = 2000, seed: int = 0, batch_size: int = 64):
        super().__init__()
        self.n_samples = check_int("n_samples", n_samples, 2, hint="They are split into training and validation.")
        self.seed = check_int("seed", seed, 0)
        self.batch_size = check_int("batch_size", batch_size, 1)
        self.sets = TrialSets.from_seed(seed, n_samples)
        self.task: Task | None = None
        self._trials: Trials | None = None
        if task is not None:
            self.set_environment(task)

    def set_environment(self, task: Task) -> None:
        """Take trials from this task from now on."""
        if not hasattr(task, "trials"):
            raise TypeError(
                f"`task`: expected a task, got {type(task).__name__}. conjugacy.tasks.validate says what it lacks."
            )
        self.task = task
        self._trials = None

    def setup(self, stage: str | None = None) -> None:
        """Draw the trials, once; called by the Trainer."""
        if self.task is None:
            raise RuntimeError("TaskDataModule has no task yet: call set_environment(task).")
        if self._trials is None:
            self._trials = self.sets.draw(self.task, "all")

    def trials(self, phase: str = "all") -> Trials:
        """The trials of a phase, "all", "train", "val" or "test"."""
        if phase in ("all", "train", "val"):
            self.setup()
            assert self._trials is not None
            return self._trials[self.sets.rows(phase)]
        if self.task is None:
            raise RuntimeError("TaskDataModule has no task yet: call set_environment(task).")
        return self.sets.draw(self.task, phase)

    def train_dataloader(self) -> TrialBatches:
        """Batches of the training trials, in a new order each epoch; of one condition each if the task wants that."""
        grouped = getattr(self.task, "batches", "mixed") == "grouped"
        return TrialBatches(self.trials("train"), self.batch_size, seed=self.seed, grouped=grouped)

    def val_dataloader(self) -> TrialBatches:
        """Batches of the validation trials."""
        return TrialBatches(self.trials("val"), self.batch_size)

    def __reduce__(self):
        """Pickled as its settings: the trials are drawn again."""
        settings = {"n_samples": self.n_samples, "seed": self.seed, "batch_size": self.batch_size}
        task = None if self.task is None else describe(self.task)
        return rebuild_data_module, (json.dumps({**settings, "task": task}), own_classes(self.task))


def rebuild_data_module(config: str, classes: tuple[type, ...] = ()) -> TaskDataModule:
    """The data module that was pickled."""
    settings: dict[str, Any] = json.loads(config)
    task = settings.pop("task")
    built = None if task is None else build("task", task, known_classes(classes))
    return TaskDataModule(built, **settings)


def own_classes(*things: Any) -> tuple[type, ...]:
    """The classes among those of `things` that are not part of conjugacy."""
    kinds = {type(thing) for thing in things if thing is not None}
    return tuple(k for k in kinds if not k.__module__.startswith("conjugacy."))

"""The trials a run is trained, selected and tested on, as a recipe: a few integers from which they are drawn again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from conjugacy._check import check_choice, check_int
from conjugacy._plain_torch import plain_dtype
from conjugacy.tasks.task import Task
from conjugacy.trials import Trials

Phase = Literal["all", "train", "val", "test"]
PHASES = get_args(Phase)
_VAL_SHARE = 0.2


@dataclass(frozen=True)
class TrialSets:
    """Recipe of the trials of a run.

    "train" and "val" are the first 80 % and the last 20 % of one set of `n` trials, "all" is both, "test" comes from
    another seed and is seen by nothing that trains or selects.

    Attributes
    ----------
    n, seed : int
        Size and seed of the set that is split.
    n_test, test_seed : int
        Size and seed of the test set.
    """

    n: int
    seed: int
    n_test: int
    test_seed: int

    def __post_init__(self):
        hint = "It is split into trials for training and for validation."
        for name, low, more in (("n", 2, hint), ("seed", 0, ""), ("n_test", 1, ""), ("test_seed", 0, "")):
            object.__setattr__(self, name, check_int(name, getattr(self, name), low, hint=more))
        if self.seed == self.test_seed:
            raise ValueError(f"`test_seed`: expected another seed than `seed`, got {self.test_seed} for both.")

    @classmethod
    def from_seed(cls, seed: int, n: int = 1000, n_test: int = 500) -> TrialSets:
        """Sets whose seeds are derived from one seed."""
        return cls(n, derive_seed(seed, "trials"), n_test, derive_seed(seed, "test"))

    def draw(self, task: Task, phase: str = "all") -> Trials:
        """The trials of a phase: "all", "train", "val" or "test"."""
        check_choice("phase", phase, PHASES)
        with plain_dtype():
            if phase == "test":
                return task.trials(self.n_test, self.test_seed)
            return task.trials(self.n, self.seed)[self.rows(phase)]

    def rows(self, phase: str) -> slice:
        """Which rows of the set that is split belong to "all", "train" or "val"."""
        n_train = self.n - max(1, round(_VAL_SHARE * self.n))
        return {"all": slice(None), "train": slice(None, n_train), "val": slice(n_train, None)}[phase]


def derive_seed(seed: int, purpose: str, index: int = 0) -> int:
    """A seed for one purpose, independent of those for others, from the one seed of a run."""
    words = [check_int("seed", seed, 0), index, *purpose.encode()]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)

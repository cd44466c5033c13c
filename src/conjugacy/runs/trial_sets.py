"""The trials a run is trained, selected and tested on, as a recipe: a few integers from which they are drawn again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from conjugacy._check import check_choice, check_int
from conjugacy.tasks.task import Task
from conjugacy.trials import Trials

Phase = Literal["all", "train", "val", "test"]
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
        check_int("n", self.n, 2, hint="It is split into trials for training and for validation.")
        check_int("seed", self.seed, 0)
        check_int("n_test", self.n_test, 1)
        check_int("test_seed", self.test_seed, 0)
        if self.seed == self.test_seed:
            raise ValueError(f"`test_seed`: expected another seed than `seed`, got {self.test_seed} for both.")

    @classmethod
    def from_seed(cls, seed: int, n: int = 1000, n_test: int = 500) -> TrialSets:
        """Sets whose seeds are derived from one seed."""
        return cls(n, derive_seed(seed, "trials"), n_test, derive_seed(seed, "test"))

    def draw(self, task: Task, phase: str = "all") -> Trials:
        """The trials of a phase: "all", "train", "val" or "test"."""
        check_choice("phase", phase, get_args(Phase))
        if phase == "test":
            return task.trials(self.n_test, self.test_seed)
        trials = task.trials(self.n, self.seed)
        return trials[self.rows(phase)]

    def rows(self, phase: str) -> slice:
        """Which rows of the set that is split belong to "all", "train" or "val"."""
        n_train = self.n - max(1, round(_VAL_SHARE * self.n))
        return {"all": slice(None), "train": slice(None, n_train), "val": slice(n_train, None)}[phase]


def derive_seed(seed: int, purpose: str, index: int = 0) -> int:
    """A seed for one purpose, independent of those for others, from the one seed of a run."""
    words = [check_int("seed", seed, 0), index, *purpose.encode()]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)

"""Through learning: from which step on does a network compute what it computes at the end?"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from conjugacy._check import check_flag, check_int
from conjugacy._progress import progress_bar
from conjugacy.analysis._given import as_run
from conjugacy.analysis.comparison import compare
from conjugacy.analysis.learning import _steps_of
from conjugacy.analysis.margins import Margins
from conjugacy.analysis.verdict import PairVerdict
from conjugacy.runs.run import Run


@dataclass(frozen=True, eq=False)
class LearningVerdicts:
    """Verdicts of snapshots against the end of training; see `verdicts_through_learning`.

    Attributes
    ----------
    name : str
        Of the run.
    pairs : dict of int to PairVerdict
        By step.
    """

    name: str
    pairs: dict[int, PairVerdict]

    @property
    def first_same(self) -> int | None:
        """The first of the snapshots that were looked at from which on all are "same" as the end; None: none is."""
        first = None
        for step in sorted(self.pairs, reverse=True):
            if self.pairs[step].answer != "same":
                break
            first = step
        return first

    def table(self) -> pd.DataFrame:
        """One row a snapshot: the answer, that of each level, and the sentence."""
        rows = [
            {"step": step, "answer": pair.answer}
            | {level.name: level.answer for level in pair.levels}
            | {"sentence": pair.sentence}
            for step, pair in sorted(self.pairs.items())
        ]
        return pd.DataFrame(rows).set_index("step")

    def __repr__(self) -> str:
        first = self.first_same
        if first is None:
            return f"{self.name}: none of {len(self.pairs)} snapshots computes the same as the end."
        earlier = [step for step in sorted(self.pairs) if step < first]
        before = f" Before, at step {earlier[-1]}: {self.pairs[earlier[-1]].sentence}" if earlier else ""
        return f"{self.name} computes the same as at its end from step {first} on.{before}"


def verdicts_through_learning(
    run: Run,
    *,
    steps: Iterable[int] | None = None,
    copies: Sequence[Run] | Margins | None = None,
    n_trials: int = 250,
    stop: bool = True,
    seed: int = 0,
    progress: bool = True,
) -> LearningVerdicts:
    """Do snapshots of a run compute the same thing as its end? From the last snapshot backwards.

    Parameters
    ----------
    run : Run
        With snapshots, see ``conjugacy.train(..., keep=)``.
    steps : iterable of int, optional
        Which snapshots; all by default. Each takes about half a minute.
    copies : sequence of Run, Margins or None
        See `Comparison.verdict`.
    n_trials : int
        New trials to compare on.
    stop : bool
        End at the first snapshot, going backwards, that is not "same"; False looks at all of them.
    seed : int
        Of the trials and of resampling.
    progress : bool
        Show a progress bar.

    Returns
    -------
    LearningVerdicts

    Raises
    ------
    TypeError, ValueError
        If the run has no snapshots, or a step was not kept.
    """
    run = as_run("run", run)
    chosen = _steps_of(run, steps)
    check_flag("stop", stop)
    check_int("n_trials", n_trials, 2)
    check_int("seed", seed, 0)
    margins: Any = copies
    if copies is not None and not isinstance(copies, Margins):
        margins = Margins.measured(copies, seed=seed)
    pairs = {}
    with progress_bar(total=len(chosen), desc="Judging snapshots", show=progress, unit="snapshots") as bar:
        for step in reversed(chosen):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # that it does not do the task yet is in the verdict
                names, options = [f"step {step}", "the end"], {"n_trials": n_trials, "seed": seed, "progress": False}
                found = compare([run.snapshots[step], run], names=names, **options)
                (pairs[step],) = found.verdict(margins).pairs
            bar.update()
            if stop and pairs[step].answer != "same":
                break
    return LearningVerdicts(run.name, pairs)

"""Margins: how far retrained copies of a network lie apart, which is how far apart "the same" may be.

Copies of a network that differ in their seed alone do the same by any reasonable meaning of the word, and yet no
measure gives them a perfect score. The margin of a measure is the largest distance among the pairs of at least five
copies. Those of tasks that ship are kept in margins.json, with date, network and recipe; for a task of your own,
measure them on copies of yours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from conjugacy._check import check_int, check_list, shown
from conjugacy._config import describe
from conjugacy._version import __version__
from conjugacy.analysis.task_conditions import block_scores, conditions_of
from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.similarity.measure import Measure, get_measure
from conjugacy.similarity.samples import kind_of

LEAST_COPIES = 5
MEASURES = ("state_r2", "dsa", "spectrum_w2", "timescales")  # whose margins a verdict asks for
_SHIPPED = Path(__file__).with_name("margins.json")


@dataclass(frozen=True)
class Margins:
    """Distances among retrained copies.

    Attributes
    ----------
    task : dict
        The task with its settings, as `conjugacy._config.describe` writes it.
    what : str
        What the copies are: network, recipe, date.
    n_copies : int
    distances : dict of str to list of float
        By measure, of each pair of copies; a distance is how far a value is from that of equal systems, the worse
        direction where there are two. "task" holds the largest difference of scores over the conditions of the task.
    """

    task: Mapping[str, Any]
    what: str
    n_copies: int
    distances: Mapping[str, Sequence[float]]

    def of(self, name: str) -> float | None:
        """The margin of a measure, or None where it was not measured."""
        values = [v for v in self.distances.get(name, ()) if np.isfinite(v)]
        return max(values) if values else None

    @classmethod
    def measured(
        cls, copies: Sequence[Run], measures: Sequence[str] = MEASURES, seed: int = 0, what: str = ""
    ) -> Margins:
        """The distances among copies that you have trained.

        Parameters
        ----------
        copies : sequence of Run
            At least 5, of one task, which should differ in their seed only.
        measures : sequence of str
        seed : int
            Of the new trials.
        what : str
            What they are, for the evidence; by default their network and number.

        Raises
        ------
        TypeError, ValueError
            If there are too few, or they are no runs of one task.
        """
        copies = check_copies(copies)
        check_int("seed", seed, 0)
        task = copies[0].task
        trials, fit = (task.trials(100, derive_seed(seed, purpose)) for purpose in ("margins", "margins fit"))
        systems, train = ([run.system(t) for run in copies] for t in (trials, fit))
        pairs = [(i, j) for i in range(len(copies)) for j in range(i)]
        distances: dict[str, list[float]] = {}
        for name in measures:
            measure = get_measure(name)
            features = [measure.prepare(s, t) for s, t in zip(systems, train)]
            distances[name] = [round(_apart(measure, features[i], features[j]), 6) for i, j in pairs]
        scores = [
            {name: block_scores(run, t).mean() for name, t in conditions_of(task, seed).items()} for run in copies
        ]
        distances["task"] = [round(max(abs(scores[i][c] - scores[j][c]) for c in scores[i]), 6) for i, j in pairs]
        network = type(copies[0].network).__name__
        text = what or f"{len(copies)} copies of {network}-{copies[0].network.latent_size}"
        return cls(describe(task), text, len(copies), distances)

    def as_json(self) -> str:
        """For a file: what `margins.json` holds of each."""
        return json.dumps({**asdict(self), "version": __version__}, indent=1)


def check_copies(copies: Any) -> list[Run]:
    """`copies`, if they are at least five runs of one task."""
    runs = check_list("copies", copies, "Runs")
    for i, run in enumerate(runs):
        if not isinstance(run, Run):
            raise TypeError(f"`copies[{i}]`: expected a Run, got {kind_of(run)}. Load it first: conjugacy.load(path).")
        if describe(run.task) != describe(runs[0].task):
            raise ValueError(f"`copies[{i}]`: expected runs of one task, got {shown(describe(run.task))}.")
    if len(runs) < LEAST_COPIES:
        raise ValueError(
            f"`copies`: expected at least {LEAST_COPIES} retrained copies, for margins from fewer pairs mean "
            f"little, got "
            f"{len(runs)}."
        )
    return runs


@cache
def shipped() -> tuple[Margins, ...]:
    """The margins that come with the package."""
    return tuple(
        Margins(**{f.name: m[f.name] for f in fields(Margins)})
        for m in json.loads(_SHIPPED.read_text(encoding="utf-8"))
    )


def shipped_for(task: Any) -> Margins | None:
    """Those that were measured on this task, with these settings; None if there are none."""
    return next((m for m in shipped() if m.task == describe(task)), None)


def distance_of(measure: Measure, value: float) -> float:
    """How far a value is from that of equal systems."""
    return abs(value - measure.traits.perfect)


def _apart(measure: Measure, a: Any, b: Any) -> float:
    ways = [(a, b)] if measure.traits.symmetric else [(a, b), (b, a)]
    return max(distance_of(measure, measure.compare_or_nan(x, y)[0]) for x, y in ways)

"""Through learning: how similar the snapshots of a run are to its end, or to another network, and how well they do."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from conjugacy._check import check_instance, check_int, shown
from conjugacy._lazy import higher
from conjugacy._progress import progress_bar
from conjugacy.analysis._given import as_run
from conjugacy.recordings.recording import Recording
from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.similarity.measure import Measure, measure_list
from conjugacy.similarity.score import Score
from conjugacy.system import System
from conjugacy.training.scores import evaluate

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Similarity and scores of the snapshots of a run; see `learning_curve`.

    Attributes
    ----------
    name, reference : str
        Names of the run and of what its snapshots are compared with.
    scores : dict of int to tuple of Score
        By step: one a measure, two, one a direction, for measures with a direction.
    task_scores : DataFrame
        One row a snapshot: "r2", "accuracy" where the task has it, on new trials.
    """

    name: str
    reference: str
    scores: dict[int, tuple[Score, ...]]
    task_scores: pd.DataFrame

    def table(self) -> pd.DataFrame:
        """One row a snapshot and score: step, measure, direction, value, ends of its interval, what the network scores.

        Directions are "snapshot -> reference", "reference -> snapshot" and, where there is none, "both".
        """
        rows = []
        for step, scores in self.scores.items():
            for k, s in enumerate(scores):
                ways = [t for t in scores if t.measure == s.measure]
                way = "both" if "<->" in s.direction else _WAYS[[t is scores[k] for t in ways].index(True)]
                low, high = (np.nan, np.nan) if s.interval is None else (s.interval.low, s.interval.high)
                row = {"step": step, "measure": s.measure, "direction": way, "value": s.value, "low": low, "high": high}
                rows.append({**row, **self.task_scores.loc[step], "warnings": "; ".join(s.warnings)})
        return pd.DataFrame(rows)

    def first_step(self, measure: str, threshold: float, direction: str | None = None) -> int | None:
        """The first snapshot from which on all are at least as near to the reference as `threshold`; None: none is.

        Parameters
        ----------
        measure : str
            One of those compared.
        threshold : float
            A value of the measure, for example what retrained copies reach among each other.
        direction : str, optional
            As in `table`, for measures with a direction; by default both have to reach it.
        """
        records = self.table().to_dict("records")
        rows = [r for r in records if r["measure"] == measure and direction in (None, r["direction"])]
        if not rows:
            known = ", ".join(dict.fromkeys(f"{r['measure']!r} ({r['direction']})" for r in records))
            raise ValueError(f"`measure`: expected one that was compared ({known}), got {measure!r} {direction or ''}.")
        sample = next(s for scores in self.scores.values() for s in scores if s.measure == measure)
        sign = 1 if sample.higher_is_more_similar else -1
        first = None
        for step in sorted(self.scores, reverse=True):
            if not all(sign * r["value"] >= sign * threshold for r in rows if r["step"] == step):
                break
            first = step
        return first

    def plot(self) -> Figure:
        """Figure of similarity and task scores over gradient steps."""
        return higher("plots._learning", "learning_curve")(self)

    def __repr__(self) -> str:
        measures = ", ".join(dict.fromkeys(s.measure for scores in self.scores.values() for s in scores))
        return f"LearningCurve({self.name} against {self.reference}: {len(self.scores)} snapshots, {measures})"


_WAYS = ("snapshot -> reference", "reference -> snapshot")


def learning_curve(
    run: Run,
    measures: Iterable[str | Measure] | str | Measure = ("state_r2",),
    *,
    reference: Run | Recording | System | None = None,
    steps: Iterable[int] | None = None,
    n_trials: int = 100,
    interval: float | None = 0.95,
    n_resamples: int = 100,
    seed: int = 0,
    progress: bool = False,
) -> LearningCurve:
    """How similar the snapshots of a run are to its end, or to something else.

    Parameters
    ----------
    run : Run
        With snapshots, see ``conjugacy.train(..., keep=)``.
    measures : str, Measure or iterable of them
        See `conjugacy.similarity.measure_names()`.
    reference : Run, Recording or System, optional
        What the snapshots are compared with; the run itself, that is its end, by default. A run is run on the same new
        trials of the task of `run`, and must take its inputs. Recordings and systems bring their own trials: of a
        recording, only measures that pair nothing can be asked for; of a system, trials are paired by number, so it
        should answer the trials of `learning_curve_trials`.
    steps : iterable of int, optional
        Which snapshots; all by default.
    n_trials : int
        New trials to score on. As many again are drawn for measures that fit one network to another.
    interval, n_resamples
        Level of the bootstrap intervals over trials, and resamples; see `conjugacy.compare`.
    seed : int
        Of the new trials and of resampling.
    progress : bool
        Show a progress bar.

    Returns
    -------
    LearningCurve

    Raises
    ------
    TypeError, ValueError
        If the run has no snapshots, a step was not kept, or the reference cannot be compared with its networks.
    """
    run = as_run("run", run)
    chosen = _steps_of(run, steps)
    check_int("n_trials", n_trials, 2)
    check_int("seed", seed, 0)
    found = list(measure_list(measures).values())
    other = run if reference is None else check_instance("reference", reference, (Run, Recording, System))
    test, fit = learning_curve_trials(run, n_trials, seed)
    paired = [m.name for m in found if m.traits.needs == "paired trajectories"]
    train = None
    if isinstance(other, Run):
        if other.network.input_size != run.network.input_size:
            raise ValueError(
                f"`reference`: expected a network with the {run.network.input_size} inputs of {run.name}, got "
                f"{other.network.input_size}. Give other.system(trials) on trials of its own task."
            )
        target, train = other.system(test), other.system(fit)
    elif isinstance(other, Recording):
        if paired:
            raise ValueError(
                f"`measures`: expected ones that pair no trials beside a recording, got {', '.join(paired)}. Choose "
                "others, or conjugacy.compare([snapshot, recording], match=...)."
            )
        target = other.system()
    else:
        target = other
    options: dict[str, Any] = {"interval": interval, "n_resamples": n_resamples, "seed": seed}

    scores: dict[int, tuple[Score, ...]] = {}
    rows = {}
    for step in progress_bar(chosen, desc=f"Comparing snapshots of {run.name}", show=progress, unit="snapshots"):
        now = run.snapshots[step]
        here, own = now.system(test), now.system(fit)
        each = []
        for m in found:
            ways = [False] if m.traits.symmetric else [False, True]
            for back in ways:
                a, b = (target, here) if back else (here, target)
                pair = None if train is None else ((train, own) if back else (own, train))
                step_only = m.traits.needs == "step"
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # they are in the scores
                    each.append(m(a, b, train=None if step_only else pair, **options))
        scores[step] = tuple(each)
        rows[step] = {k: v for k, v in evaluate(now.network, run.task, test).items() if k in ("r2", "accuracy")}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("step")
    return LearningCurve(run.name, "its end" if reference is None else other.name, scores, table)


def learning_curve_trials(run: Run, n_trials: int = 100, seed: int = 0):
    """The new trials on which `learning_curve` scores, and those on which measures fit: a pair of Trials."""
    draws = (run.task.trials(n_trials, derive_seed(seed, purpose)) for purpose in ("compare", "compare fit"))
    return tuple(draws)


def _steps_of(run: Run, steps: Any) -> list[int]:
    kept = run.snapshots.steps
    if not kept:
        raise ValueError(
            f"`run`: expected a run with snapshots, got {run.name} without. Train it with keep='log' and a folder."
        )
    if steps is None:
        return list(kept)
    if isinstance(steps, str) or not hasattr(steps, "__iter__"):
        raise TypeError(f"`steps`: expected a list of steps, got {shown(steps)}.")
    chosen = sorted(set(steps))
    lacking = [step for step in chosen if step not in kept]
    if lacking or not chosen:
        raise ValueError(
            f"`steps`: expected steps that were kept, {', '.join(map(str, kept))}, got {lacking or chosen}."
        )
    return chosen

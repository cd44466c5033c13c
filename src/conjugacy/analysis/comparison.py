"""Comparison: networks x measures -> a table with intervals. Trials are new to every network and the same for all."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from conjugacy._check import check_int
from conjugacy._config import describe
from conjugacy._lazy import higher
from conjugacy.analysis.analysis import Analysis
from conjugacy.networks.from_cell import CellNetwork
from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.similarity._pairwise import Pairwise, pairwise
from conjugacy.similarity.measure import Measure, get_measure
from conjugacy.similarity.score import Score
from conjugacy.system import System
from conjugacy.trials import Trials

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_N_UNTRAINED = 5
# trials are not paired, so nothing is left to shuffle but what the networks have learned
_AGAINST_UNTRAINED = ("step", "trajectories")


class Comparison:
    """Networks, or recordings, compared pair by pair; see `compare`.

    Attributes
    ----------
    systems, train : list of System
        The trials that are scored, and those on which measures that fit one system to another do so.
    scores : tuple of Score
        One a measure and pair; two, one a direction, for measures with a direction.
    untrained : mapping of str to systems, or None
        By name, untrained networks of the same kind: the null of measures that do not pair trials.
    """

    def __init__(
        self,
        systems: Sequence[System],
        train: Sequence[System] | None,
        measures: Iterable[str | Measure] = ("state_r2",),
        *,
        reference: int = 0,
        interval: float | None = 0.95,
        null: Any = None,
        n_surrogates: int = 20,
        untrained: Mapping[str, Sequence[System]] | None = None,
        seed: int = 0,
        progress: bool = False,
    ):
        if len(systems) < 2:
            raise ValueError(f"`systems`: expected at least 2 to compare, got {len(systems)}.")
        names = [s.name for s in systems]
        if len(set(names)) < len(names):
            raise ValueError(
                f"`systems`: expected a different name for each, got {', '.join(names)}. Give names=[...]."
            )
        check_int("reference", reference, 0, len(systems) - 1)
        self.systems, self.train, self.reference = list(systems), None if train is None else list(train), reference
        self.measures = [get_measure(m) for m in measures]
        self.untrained = untrained
        self._options = {"interval": interval, "null": null, "n_surrogates": n_surrogates}
        self._options |= {"seed": seed, "progress": progress}

    @cached_property
    def pairs(self) -> Pairwise:
        """All measures over all pairs: matrices, orders and embeddings; computed when first asked for."""
        parts = []
        for need in dict.fromkeys(m.traits.needs for m in self.measures):
            chosen = [m for m in self.measures if m.traits.needs == need]
            options = dict(self._options)
            if self.untrained and need in _AGAINST_UNTRAINED:
                # their fixed points take a search each
                most = _N_UNTRAINED if need == "step" else None
                options["null"] = {name: systems[:most] for name, systems in self.untrained.items()}
            train = None if need == "step" else self.train
            parts.append(pairwise(self.systems, chosen, train=train, **options))
        names = [m.name for m in self.measures]
        return replace(
            parts[0],
            measures={name: p.measures[name] for name in names for p in parts if name in p.measures},
            values={name: p.values[name] for name in names for p in parts if name in p.values},
            scores=tuple(sorted((s for p in parts for s in p.scores), key=lambda s: names.index(s.measure))),
            complete=all(p.complete for p in parts),
        )

    @property
    def scores(self) -> tuple[Score, ...]:
        """All scores."""
        return self.pairs.scores

    def table(self) -> pd.DataFrame:
        """One row a measure and pair, with the direction in the name of the column.

        Columns "a -> b": how well a predicts b, with "low" and "high" ends of its interval; "b -> a" the other way.
        Measures without direction fill the columns "a <-> b". "null" columns appear where nulls were asked for.
        """
        rows: dict[tuple[str, str, str], dict[str, Any]] = {}
        for s in self.scores:
            flipped = (s.measure, s.b, s.a) in rows
            key = (s.measure, s.b, s.a) if flipped else (s.measure, s.a, s.b)
            way = "a <-> b" if "<->" in s.direction else ("b -> a" if flipped else "a -> b")
            row = rows.setdefault(key, {})
            row[way] = s.value
            if s.interval is not None:
                row[f"{way} low"], row[f"{way} high"] = s.interval.low, s.interval.high
            if s.null is not None:
                row[f"{way} null"], row[f"{way} p"] = s.null.mean, s.null.p_value
        index = pd.MultiIndex.from_tuples(rows, names=["measure", "a", "b"])
        return pd.DataFrame(list(rows.values()), index=index)

    def plot_trials_3d_reference(self, num_trials: int = 2, reference: int | None = None, angle=None) -> Figure:
        """Figure of each system's trajectories in the principal components of the reference, affinely mapped."""
        at = self.reference if reference is None else check_int("reference", reference, 0, len(self.systems) - 1)
        return higher("plots.overlay", "affine_overlay")(
            self.systems, self.train or self.systems, at, num_trials, angle
        )

    def __repr__(self) -> str:
        return f"Comparison of {', '.join(s.name for s in self.systems)} by {', '.join(m.name for m in self.measures)}"


def compare(
    things: Sequence[Run | Analysis | System],
    measures: Iterable[str | Measure] = ("state_r2",),
    *,
    seed: int = 0,
    n_trials: int = 250,
    names: Sequence[str] | None = None,
    reference: int = 0,
    interval: float | None = 0.95,
    null: Any = None,
    n_surrogates: int = 20,
    progress: bool = False,
) -> Comparison:
    """Compare networks with each other, or with recordings.

    Parameters
    ----------
    things : sequence of Run, Analysis or System
        At least two. Runs of one task are all run, without noise, on the same new trials of that task; systems bring
        their own trials, which are paired by index.
    measures : iterable of str or Measure
        See `conjugacy.similarity.measure_names()`.
    seed : int
        Of the new trials, and of resampling.
    n_trials : int
        New trials to score on. As many again are drawn for measures that fit one network to another.
    names : sequence of str, optional
        Names to use in place of the runs' own.
    reference : int
        Which one's space figures are drawn in.
    interval : float or None
        Level of the bootstrap intervals over trials.
    null : str or None
        Kind of null: "auto" for what suits each measure (runs: trials of one system shuffled where trials are paired,
        else untrained networks of the same kind on the same inputs), or one of `conjugacy.similarity.inference.NULLS`.
    n_surrogates : int
        Surrogates of a null.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If runs are of different tasks, or names are not all different.
    """
    check_int("n_trials", n_trials, 2)
    runs = [t.run if isinstance(t, Analysis) else t for t in things]
    for i, thing in enumerate(runs):
        if not isinstance(thing, Run | System):
            raise TypeError(f"`things[{i}]`: expected a Run, an Analysis or a System, got {type(thing).__name__}.")
    if names is not None and len(names) != len(runs):
        raise ValueError(f"`names`: expected {len(runs)} names, one for each, got {len(names)}.")
    names = list(names) if names is not None else distinct_names([t.name for t in runs])
    chosen = [get_measure(m) for m in measures]
    options: dict[str, Any] = {"reference": reference, "interval": interval, "null": null}
    options |= {"n_surrogates": n_surrogates, "seed": seed, "progress": progress}
    trained = [t for t in runs if isinstance(t, Run)]
    if trained and len(trained) < len(runs):
        raise ValueError(
            "`things`: expected runs only or systems only, got both. Pass run.system(trials) on the trials that the "
            "other systems answer."
        )
    if not trained:
        systems = [_renamed(s, n) for s, n in zip(runs, names) if isinstance(s, System)]
        return Comparison(systems, None, chosen, **options)
    task = trained[0].task
    for run in trained[1:]:
        if describe(run.task) != describe(task):
            raise ValueError(
                f"`things`: expected runs of one task, got {describe(task)} ({trained[0].name}) and "
                f"{describe(run.task)} ({run.name}). Pass run.system(trials) to compare across tasks."
            )
    held_out, fit = (task.trials(n_trials, derive_seed(seed, purpose)) for purpose in ("compare", "compare fit"))
    systems, train = ([_renamed(r.system(t), n) for r, n in zip(trained, names)] for t in (held_out, fit))
    untrained = None
    if null == "auto" and any(m.traits.needs in _AGAINST_UNTRAINED for m in chosen):
        count = (
            max(_N_UNTRAINED, n_surrogates) if any(m.traits.needs == "trajectories" for m in chosen) else _N_UNTRAINED
        )
        untrained = {n: _untrained(r, held_out, count, seed) for r, n in zip(trained, names) if not _given_cell(r)}
    return Comparison(systems, train, chosen, untrained=untrained, **options)


def _given_cell(run: Run) -> bool:
    """Whether the network was made around a cell that came with its weights, which cannot be drawn anew."""
    return isinstance(run.network, CellNetwork)


def _untrained(run: Run, trials: Trials, count: int, seed: int) -> list[System]:
    systems = []
    for k in range(count):
        network = copy.deepcopy(run.network)
        network.init_model(network.input_size, network.output_size, derive_seed(seed, "untrained", k))
        systems.append(replace(run, network=network, name=f"{run.name} untrained {k + 1}").system(trials))
    return systems


def _renamed(system: System, name: str) -> System:
    return system if system.name == name else replace(system, name=name)


def distinct_names(names: list[str]) -> list[str]:
    """The names, numbered where one comes twice."""
    return [n if names.count(n) == 1 else f"{n} ({names[: i + 1].count(n)})" for i, n in enumerate(names)]

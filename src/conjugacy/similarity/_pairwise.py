"""Many systems at once: each is prepared once, pairs are compared in batches on all cores.

`pairwise` compares all systems with all, `cross` every system of one list with every system of another. Both return a
`Pairwise`: one matrix per measure, and all scores in one table.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from conjugacy._check import check_choice, check_flag, check_int
from conjugacy._progress import counting, progress_bar
from conjugacy._threads import at_most_threads, map_threads, one_blas_thread
from conjugacy.similarity.half_samples import check_resampled
from conjugacy.similarity.many_comparisons import add_corrected
from conjugacy.similarity.measure import Measure, measure_list, measure_names
from conjugacy.similarity.nulls import Side, default_null, null_kind
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.samples import check_paired, check_same_steps, kind_of, layout_of, system_list
from conjugacy.similarity.score import Score
from conjugacy.system import System

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Pairwise:
    """Scores of many pairs of systems.

    Attributes
    ----------
    rows, columns : tuple of str
        Names of the systems; equal for `pairwise`.
    measures : dict of str to Measure
        The measures asked for, by name.
    values : dict of str to array (row, column)
        Value of ``measure(row, column)``; NaN where it was not computed.
    scores : tuple of Score
        All scores; for symmetric measures each pair once.
    complete : bool
        False if the user interrupted: then only some of the values are there.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    measures: dict[str, Measure]
    values: dict[str, np.ndarray]
    scores: tuple[Score, ...]
    complete: bool = True

    def matrix(self, measure: str | None = None) -> pd.DataFrame:
        """Values of one measure with names of systems on both sides; row a, column b holds ``measure(a, b)``."""
        import pandas as pd

        return pd.DataFrame(self.values[self._name(measure)], index=list(self.rows), columns=list(self.columns))

    def table(self) -> pd.DataFrame:
        """All scores, one a row: measure, direction, value, interval, null, version and warnings.

        "p_bound" is True where the p-value is as small as the number of surrogates allows: it is an upper bound then.
        "p_corrected" is the p-value for a reader of the whole table; ``table.attrs["p_corrected"]`` says by which
        method, and over how many. "interval" and "null_keeps", "null_breaks" say what was resampled and what
        surrogates share with the data.
        """
        import pandas as pd

        records = []
        for s in self.scores:
            record = {"measure": s.measure, "a": s.a, "b": s.b, "direction": s.direction, "value": s.value}
            record |= (
                {"low": s.interval.low, "high": s.interval.high} if s.interval else {"low": np.nan, "high": np.nan}
            )
            null = s.null
            record |= {"null": null.mean if null else np.nan, "null_kind": null.kind if null else ""}
            record |= {"p_value": null.p_value if null else np.nan, "p_bound": bool(null and null.p_bound)}
            record |= {"interval": s.interval.method if s.interval else ""}
            record |= {"null_keeps": null.keeps if null else "", "null_breaks": null.breaks if null else ""}
            record |= {"version": s.version, "warnings": "; ".join(s.warnings)}
            records.append(record)
        table = pd.DataFrame(records)
        if records:
            add_corrected(table, [""], "p_value", "p_corrected")
        return table

    def dissimilarity(self, measure: str | None = None) -> np.ndarray:
        """A symmetric matrix (system, system) that is 0 for equal systems and grows with their difference.

        Similarities are turned into their distance from the perfect value; the two directions are averaged.
        """
        name = self._name(measure)
        if self.rows != self.columns:
            raise ValueError("`dissimilarity` needs all pairs of one list of systems. Use pairwise(systems, ...).")
        d = np.abs(self.values[name] - self.measures[name].traits.perfect)
        d = (d + d.T) / 2
        np.fill_diagonal(d, 0.0)
        if np.isnan(d).any():
            raise ValueError(
                f"`measure`: {name!r} is missing for some pairs (interrupted, or undefined). Compute them."
            )
        return d

    def order(self, measure: str | None = None) -> np.ndarray:
        """Indices (system,) that put similar systems side by side: the leaves of average-linkage clustering."""
        from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
        from scipy.spatial.distance import squareform

        d = self.dissimilarity(measure)
        if len(d) < 3:
            return np.arange(len(d))
        condensed = squareform(d, checks=False)
        return leaves_list(optimal_leaf_ordering(linkage(condensed, "average"), condensed))

    def mds(self, measure: str | None = None, n_dimensions: int = 2) -> np.ndarray:
        """Coordinates (system, dimension) whose distances approach the dissimilarities: classical scaling (Torgerson).

        Deterministic; the columns are ordered by variance, and the largest entry of each is positive.
        """
        d = self.dissimilarity(measure)
        check_int("n_dimensions", n_dimensions, 1, len(d))
        centre = np.eye(len(d)) - 1 / len(d)
        values, vectors = np.linalg.eigh(-0.5 * centre @ d**2 @ centre)
        values, vectors = values[::-1][:n_dimensions], vectors[:, ::-1][:, :n_dimensions]
        signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(n_dimensions)])
        return vectors * signs * np.sqrt(np.maximum(values, 0.0))

    def _name(self, measure: str | None) -> str:
        if measure is None and len(self.values) == 1:
            return next(iter(self.values))
        return check_choice("measure", measure, self.values)


def pairwise(
    systems: Sequence[Any],
    measures: Sequence[str | Measure] | str | Measure = "procrustes",
    *,
    train: Sequence[Any] | None = None,
    interval: float | None = None,
    n_resamples: int = 200,
    null: Any = None,
    n_surrogates: int = 50,
    seed: int = 0,
    resample: str | Sequence[str] = "trials",
    conditions: Any = None,
    block: int | None = None,
    n_threads: int | None = None,
    progress: bool = True,
) -> Pairwise:
    """Compare all systems with all.

    Parameters
    ----------
    systems : sequence of System, or of arrays (trial, time, unit)
        At least two. Arrays are called "0", "1", ...; equal names get their place added.
    measures : name, Measure, or sequence of them
    train : sequence of systems, optional
        Trials for measures that fit, one for each system; see `Measure.__call__`.
    interval, n_resamples, null, n_surrogates, seed, resample, conditions, block
        Settings of intervals and nulls, for every pair; see `Resampling`. Measures that do not depend on trials have
        no interval, and with ``null="auto"`` measures without surrogates have no null.
    n_threads : int, optional
        At least 1; None: all cores. Values do not depend on it.
    progress : bool
        Show a bar.

    Returns
    -------
    Pairwise
        If interrupted (Ctrl-C), what was done by then, with `complete` False. A pair for which a measure is undefined
        has the value NaN, and the reason is in the `warnings` of its score.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind or out of range, or a measure cannot take a system.
    """
    resampling = Resampling(interval, n_resamples, null, n_surrogates, seed, resample, conditions, block)
    rows = _Group(named(system_list("systems", systems, 2), "systems"))
    rows = rows if train is None else rows.with_train("train", train)
    return compare_all(rows, rows, measure_list(measures), resampling, n_threads, progress)


def cross(
    systems: Sequence[Any],
    others: Sequence[Any],
    measures: Sequence[str | Measure] | str | Measure = "procrustes",
    *,
    train: tuple[Sequence[Any], Sequence[Any]] | None = None,
    interval: float | None = None,
    n_resamples: int = 200,
    null: Any = None,
    n_surrogates: int = 50,
    seed: int = 0,
    resample: str | Sequence[str] = "trials",
    conditions: Any = None,
    block: int | None = None,
    n_threads: int | None = None,
    progress: bool = True,
) -> Pairwise:
    """Compare every system of `systems` (rows) with every one of `others` (columns).

    Arguments as in `pairwise`; `train` is a pair of sequences, for `systems` and for `others`.
    """
    resampling = Resampling(interval, n_resamples, null, n_surrogates, seed, resample, conditions, block)
    rows = _Group(named(system_list("systems", systems, 1), "systems"))
    columns = _Group(named(system_list("others", others, 1), "others"))
    if train is not None:
        if not isinstance(train, (tuple, list)) or len(train) != 2:
            raise TypeError(
                f"`train`: expected a pair of lists of systems (for systems, for others), got {kind_of(train)}."
            )
        rows, columns = rows.with_train("train[0]", train[0]), columns.with_train("train[1]", train[1])
    return compare_all(rows, columns, measure_list(measures), resampling, n_threads, progress)


def check_pairs(systems: Sequence[System], measure: Measure, resampling: Resampling) -> None:
    """Raise the error that `measure` would raise for these systems, as far as it can be known without computing."""
    needs, name = measure.traits.needs, measure.name
    known = name in measure_names()  # measures of users' own may make do with less
    for null in resampling.null.values() if isinstance(resampling.null, Mapping) else [resampling.null]:
        if isinstance(null, str) and null != "auto":
            null_kind(measure, null)
    for system in systems:
        if known and needs == "inputs" and system.inputs is None:
            raise ValueError(
                f"`inputs`: {name!r} needs the inputs of all systems, got none for {system.name!r}. Give inputs "
                "(trial, time, input), or use 'dsa'."
            )
        if known and needs == "step" and system.step is None and system.cell is None:
            raise ValueError(
                f"`step`: {name!r} needs a step function, and {system.name!r} has no step function. Give one "
                "(System.from_arrays(..., step=...)), or use a measure of trajectories such as 'dsa'."
            )
        if needs == "paired trajectories":
            check_paired(layout_of(systems[0]), layout_of(system), name)
        if measure.traits.per_step:
            check_same_steps(systems[0], system, name, "'spectrum_w2_continuous'")
    check_resampled(systems, resampling)


@dataclass(frozen=True, eq=False)
class _Group:
    """Systems, and the training trials of each where they are given."""

    systems: list[System]
    train: list[System | None] | None = None

    def with_train(self, argument: str, train: Any) -> _Group:
        """The group with training trials, one system for each."""
        if isinstance(train, (list, tuple)) and len(train) != len(self.systems):
            raise ValueError(
                f"`{argument}`: expected one system for each of the {len(self.systems)} systems, got {len(train)}."
            )
        return replace(self, train=[*system_list(argument, train, len(self.systems))])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the systems."""
        return tuple(s.name for s in self.systems)

    def prepared(self, measure: Measure, progress: bool) -> list[Side]:
        """All systems, prepared for `measure` on all cores."""
        items = list(zip(self.systems, self.train or [None] * len(self.systems)))
        label = f"Preparing for {measure.name}"
        return map_threads(lambda item: Side.of(measure, *item), items, label=label, progress=progress)


def compare_all(
    rows: _Group,
    columns: _Group,
    measures: dict[str, Measure],
    resampling: Resampling,
    n_threads: int | None = None,
    progress: bool = False,
) -> Pairwise:
    """Every row with every column; `columns` may be `rows` itself, and then no system is compared with itself."""
    if n_threads is not None:
        check_int("n_threads", n_threads, 1, hint="Or None for all cores.")
    check_flag("progress", progress)
    for measure in measures.values():
        check_pairs([*rows.systems, *columns.systems], measure, resampling)
    values = {name: np.full((len(rows.systems), len(columns.systems)), np.nan) for name in measures}
    scores: list[Score] = []
    complete = True
    try:
        # resamples and surrogates are small products too
        with one_blas_thread(), at_most_threads(n_threads):
            for measure in measures.values():
                for i, j, score in _scores_of(measure, rows, columns, values[measure.name], resampling, progress):
                    values[measure.name][i, j] = score.value
                    if rows is columns and measure.traits.symmetric:
                        values[measure.name][j, i] = score.value
                    scores.append(score)
    except KeyboardInterrupt:
        complete = False
        warnings.warn(f"Interrupted: {len(scores)} scores are done; the others are missing.", stacklevel=3)
    _warn_of(scores)
    return Pairwise(rows.names, columns.names, measures, values, tuple(scores), complete)


def _scores_of(
    measure: Measure, rows: _Group, columns: _Group, values: np.ndarray, resampling: Resampling, progress: bool
) -> Iterator[tuple[int, int, Score]]:
    """Row, column and score of all pairs, one after the other."""
    same = rows is columns
    a = rows.prepared(measure, progress)
    b = a if same else columns.prepared(measure, progress)
    if same:
        np.fill_diagonal(values, measure.traits.perfect)
    pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not same or i != j]
    if same and measure.traits.symmetric:
        pairs = [(i, j) for i, j in pairs if i < j]
    without_surrogates = default_null(measure) is None
    options = {}
    for j, side in enumerate(b):
        null = resampling.null_of(side.system.name)
        skip_null = isinstance(null, str) and null == "auto" and without_surrogates
        options[j] = replace(resampling, null=None) if skip_null else resampling
    # a pair is counted once, and once more for each surrogate that it is held against
    counts = [1 + _n_surrogates(options[j], b[j].system.name) for _, j in pairs]
    unit = "pairs" if sum(counts) == len(pairs) else "comparisons"
    with progress_bar(total=sum(counts), desc=f"Comparing by {measure.name}", show=progress, unit=unit) as bar:
        for k, ((i, j), (value, diagnostics)) in enumerate(zip(pairs, _compared(measure, a, b, pairs, bar))):
            with counting(bar):
                score = measure.score_of(a[i], b[j], value, diagnostics, options[j])
            # values of a whole block are there before its first score
            ahead = min(len(pairs), -(-(k + 1) // measure.pairs_at_once) * measure.pairs_at_once)
            bar.update(sum(counts[: k + 1]) + ahead - (k + 1) - bar.n)  # nulls that do not count one by one
            yield i, j, score


def _n_surrogates(resampling: Resampling, name: str) -> int:
    null = resampling.null_of(name)
    return 0 if null is None else resampling.n_surrogates if isinstance(null, str) else len(null)


def _compared(measure: Measure, a: list[Side], b: list[Side], pairs: list[tuple[int, int]], bar: Any):
    """Values and diagnostics of the pairs, block by block, so that an interrupt loses one block."""
    left, right = ([side.features for side in sides] for sides in (a, b))
    size = measure.pairs_at_once
    for start in range(0, len(pairs), size):
        block = pairs[start : start + size]
        done = measure.compare_many(left, right, block)
        bar.update(len(block))
        yield from done


def _warn_of(scores: list[Score]) -> None:
    """One Python warning a measure: the text of its first score that has one, and how many have."""
    doubtful = [s for s in scores if s.warnings]
    for name in dict.fromkeys(s.measure for s in doubtful):
        of_measure = [s for s in doubtful if s.measure == name]
        first = of_measure[0]
        others = f" ({len(of_measure)} scores have warnings: see .table())" if len(of_measure) > 1 else ""
        warnings.warn(f"{name}, {first.direction}: {first.warnings[0]}{others}", stacklevel=4)


def named(systems: list[System], argument: str) -> list[System]:
    """The systems with different names: arrays are called by their place, which is added to names that come twice."""
    names = [s.name if s.name != f"{argument}[{i}]" else str(i) for i, s in enumerate(systems)]
    # rows and columns are found by name
    unique = [f"{n} ({i})" if names.count(n) > 1 else n for i, n in enumerate(names)]
    return [s if s.name == n else replace(s, name=n) for s, n in zip(systems, unique)]

"""Many systems at once: each is prepared once, pairs are compared in batches on all cores.

`pairwise` compares all systems with all, `cross` every system of one list with every system of another. Both return a
`Pairwise`: one matrix per measure, and all scores in one table.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conjugacy._check import check_choice, check_int, check_number
from conjugacy._threads import at_most_threads, map_threads, one_blas_thread
from conjugacy.similarity.inference import default_null, null_summary
from conjugacy.similarity.measure import Measure, get_measure, make_score
from conjugacy.similarity.samples import as_system
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
        """All scores, one a row: measure, direction, value, interval, null and version."""
        import pandas as pd

        records = []
        for s in self.scores:
            record = {"measure": s.measure, "a": s.a, "b": s.b, "direction": s.direction, "value": s.value}
            record |= (
                {"low": s.interval.low, "high": s.interval.high} if s.interval else {"low": np.nan, "high": np.nan}
            )
            null = s.null
            record |= {"null": null.mean if null else np.nan, "null_kind": null.kind if null else ""}
            record |= {"p_value": null.p_value if null else np.nan, "version": s.version}
            records.append(record)
        return pd.DataFrame(records)

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
    interval, n_resamples, null, n_surrogates, seed
        As in `Measure.__call__`, for every pair. Measures that do not depend on trials have no interval, and with
        ``null="auto"`` no null. A mapping as null gives, by name, the systems to put in a system's place; "auto" holds
        for systems that are not in it.
    n_threads : int, optional
        None: all cores.
    progress : bool
        Show a bar.

    Returns
    -------
    Pairwise
        If interrupted (Ctrl-C), what was done by then, with `complete` False.
    """
    systems = _named(systems, "systems", 2)
    n = len(systems)
    return _all(
        systems,
        systems,
        [(i, j) for i in range(n) for j in range(n) if i != j],
        measures,
        train,
        train,
        (interval, n_resamples, null, n_surrogates, seed),
        n_threads,
        progress,
    )


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
    n_threads: int | None = None,
    progress: bool = True,
) -> Pairwise:
    """Compare every system of `systems` (rows) with every one of `others` (columns); arguments as in `pairwise`."""
    a, b = _named(systems, "systems", 1), _named(others, "others", 1)
    pairs = [(i, j) for i in range(len(a)) for j in range(len(b))]
    train_a, train_b = train or (None, None)
    options = (interval, n_resamples, null, n_surrogates, seed)
    return _all(a, b, pairs, measures, train_a, train_b, options, n_threads, progress)


def _all(a, b, pairs, measures, train_a, train_b, options, n_threads, progress) -> Pairwise:
    interval, n_resamples, null, n_surrogates, seed = options
    if interval is not None:
        check_number("interval", interval, 0.0, 1.0, open_low=True, hint="It is a level such as 0.95.")
    if isinstance(measures, (str, Measure)):
        measures = [measures]
    chosen = {m.name: m for m in map(get_measure, measures)}
    if not chosen:
        raise ValueError("`measures`: expected at least one measure, got an empty list.")
    same = a is b
    train_a = _trained(train_a, a)
    train_b = train_a if same else _trained(train_b, b)
    values = {name: np.full((len(a), len(b)), np.nan) for name in chosen}
    scores: list[Score] = []
    complete = True
    try:
        # resamples and surrogates are small products too
        with one_blas_thread(), at_most_threads(n_threads):
            for name, measure in chosen.items():
                threads = {"n_threads": n_threads, "progress": progress}
                fa = _prepared(measure, a, train_a, threads)
                fb = fa if same else _prepared(measure, b, train_b, threads)
                if same:
                    np.fill_diagonal(values[name], measure.traits.perfect)
                traits = measure.traits
                symmetric = same and traits.symmetric
                todo = [(i, j) for i, j in pairs if not symmetric or i < j]
                for (i, j), (value, diagnostics) in zip(todo, _compared(measure, fa, fb, todo, threads)):
                    values[name][i, j] = value
                    if symmetric:
                        values[name][j, i] = value
                    bounds = summary = None
                    if interval is not None:
                        bounds = measure.interval(fa[i], fb[j], value, interval, n_resamples, seed)
                    instead = null.get(b[j].name, "auto") if isinstance(null, Mapping) else null
                    if instead is not None and not (instead == "auto" and default_null(measure) is None):
                        trained = (train_a[i], train_b[j])
                        features = (fa[i], fb[j])
                        summary = null_summary(
                            measure, a[i], b[j], value, instead, n_surrogates, seed, trained, features
                        )
                    scores.append(make_score(traits, a[i].name, b[j].name, value, diagnostics, bounds, summary))
    except KeyboardInterrupt:
        complete = False
        warnings.warn(f"Interrupted: {len(scores)} scores are done; the others are missing.", stacklevel=3)
    names_a, names_b = (tuple(s.name for s in systems) for systems in (a, b))
    return Pairwise(names_a, names_b, chosen, values, tuple(scores), complete)


def _prepared(measure, systems, train, threads):
    items = list(zip(systems, train))
    return map_threads(lambda st: measure.prepare(*st), items, label=f"{measure.name}: prepare", **threads)


def _compared(measure, fa, fb, todo, threads):
    """Values of the pairs in `todo`, block by block, so that an interrupt loses one block."""
    from tqdm.auto import tqdm

    size = measure.pairs_at_once
    blocks = [todo[i : i + size] for i in range(0, len(todo), size)]
    bar = tqdm(total=len(todo), desc=measure.name, disable=not threads["progress"], leave=False)
    with bar:
        for block in blocks:
            done = measure.compare_many(fa, fb, block)
            bar.update(len(block))
            yield from done


def _trained(train: Sequence[Any] | None, systems: Sequence[System]) -> list[System | None]:
    if train is None:
        return [None] * len(systems)
    if len(train) != len(systems):
        raise ValueError(f"`train`: expected one system for each of the {len(systems)} systems, got {len(train)}.")
    return [as_system(f"train[{i}]", t) for i, t in enumerate(train)]


def _named(systems: Sequence[Any], name: str, least: int) -> list[System]:
    from dataclasses import replace

    made = [as_system(f"{name}[{i}]", s) for i, s in enumerate(systems)]
    if len(made) < least:
        raise ValueError(f"`{name}`: expected at least {least} systems, got {len(made)}.")
    names = [s.name if s.name != f"{name}[{i}]" else str(i) for i, s in enumerate(made)]
    # rows and columns are found by name
    unique = [f"{n} ({i})" if names.count(n) > 1 else n for i, n in enumerate(names)]
    return [s if s.name == n else replace(s, name=n) for s, n in zip(made, unique)]

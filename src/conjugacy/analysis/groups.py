"""Do kinds of networks differ more than retrained copies do? Distances within groups and between them, with tests.

The network is the unit of inference: distances of pairs that share a network depend on each other, so labels of
networks are permuted, not pairs (Anderson 2001, Austral Ecology 26:32). For two groups the statistic is the mean
distance of pairs across less that of pairs within, the mean of both groups; where all ways to divide the networks are
fewer than the permutations asked for, all are gone through and the p-value is exact. Results do not depend on the
order of networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from conjugacy._check import check_flag, check_instance, check_int, check_number
from conjugacy.analysis.comparison import compare, distinct_names
from conjugacy.analysis.divisions import divisions, p_value_of
from conjugacy.similarity.many_comparisons import holm
from conjugacy.similarity.measure import Measure, measure_list
from conjugacy.similarity.samples import as_system, kind_of

if TYPE_CHECKING:
    import pandas as pd

LEAST_NETWORKS = 2  # of a group: one has no distance within


@dataclass(frozen=True)
class GroupTest:
    """Two groups by one measure.

    Attributes
    ----------
    measure : str
    a, b : str
        Names of the groups.
    within, between : float
        Mean distances: of pairs within a group (mean of both groups), and across.
    effect : float
        How often a pair across is further apart than a pair within, in [0, 1]; 0.5 means no difference.
    low, high : float
        Its interval, networks resampled.
    p_value : float
        One-sided: groups differ more than copies do.
    p_corrected : float
        By Holm's method over all tests of the table.
    p_floor : float
        The lowest p-value that so few networks, or so many permutations, allow.
    exact : bool
        Whether all divisions of the networks were gone through.
    """

    measure: str
    a: str
    b: str
    within: float
    between: float
    effect: float
    low: float
    high: float
    p_value: float
    p_corrected: float
    p_floor: float
    exact: bool


@dataclass(frozen=True, eq=False)
class GroupComparison:
    """Groups of networks compared, see `compare_groups`.

    Attributes
    ----------
    groups : dict of str to tuple of str
        Names of the networks of each group.
    distances : dict of str to array (network, network)
        By measure: symmetric, how far the value is from that of equal systems.
    tests : tuple of GroupTest
    level : float
        Of the intervals, and 1 - level the error of the sentences.
    matched : dict of str to str
        By measure: what was fed to whom, or how trials were paired, where networks are of different tasks or beside
        recordings; "" for networks of one task.
    """

    groups: dict[str, tuple[str, ...]]
    distances: dict[str, np.ndarray]
    tests: tuple[GroupTest, ...]
    level: float
    matched: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all networks, group by group, in the order of `distances`."""
        return tuple(name for names in self.groups.values() for name in names)

    def table(self) -> pd.DataFrame:
        """One row a measure and pair of groups; columns as of `GroupTest`."""
        import pandas as pd

        return pd.DataFrame([vars(t) for t in self.tests]).set_index(["measure", "a", "b"])

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} ({len(names)})" for name, names in self.groups.items())
        lines = [f"Groups: {sizes}. p-values are corrected over {len(self.tests)} tests (Holm)."]
        for t in self.tests:
            if t.p_corrected <= 1 - self.level:
                said = "differ more than copies do"
            elif t.p_floor * len(self.tests) > 1 - self.level:
                said = "cannot be told apart with so few networks"
            else:
                said = "no difference beyond that of copies was found"
            lines.append(
                f"  {t.measure}: {t.a} and {t.b}: {said}; between {t.between:.3g}, within {t.within:.3g}; a pair "
                f"across is further apart than one within in {t.effect:.0%} [{t.low:.0%}, {t.high:.0%}] of cases, "
                f"p {t.p_corrected:.2g}."
            )
        for text in dict.fromkeys(filter(None, self.matched.values())):
            lines.append(f"  {', '.join(m for m, said in self.matched.items() if said == text)}: {text}.")
        return "\n".join(lines)


def compare_groups(
    groups: Mapping[str, Sequence[Any]],
    measures: Iterable[str | Measure] | str | Measure = ("dsa",),
    *,
    n_trials: int = 100,
    n_permutations: int = 5000,
    level: float = 0.95,
    match: Any = None,
    probe: Any = None,
    seed: int = 0,
    progress: bool = False,
) -> GroupComparison:
    """Test whether kinds of networks differ more than retrained copies of one kind do.

    Parameters
    ----------
    groups : mapping of str to sequence of Run, Analysis, Recording or System
        At least two groups of at least two each: seeds of a kind, sizes, recipes, tasks, animals. Five of each allow a
        p-value of 1/126 at the lowest; two of each allow 1/3, which tells nothing.
    measures : str, Measure or iterable of them
        See `conjugacy.similarity.measure_names()`.
    n_trials : int
        New trials of runs, the same for all.
    n_permutations : int
        Ways to divide the networks that are drawn where there are more than that; at least 100.
    level : float
        Of the intervals, in (0, 1).
    match, probe : optional
        How trials are paired beside recordings, and what is fed to runs of different tasks: as in `compare`. Without a
        `probe`, measures that pair nothing see each run on trials of its own task: there groups of tasks differ in
        what was asked of them, too.
    seed : int
        Of trials, permutations and resamples.
    progress : bool
        Show a bar.

    Raises
    ------
    TypeError, ValueError
        If groups are too few or too small, one thing is in two of them, or `compare` cannot take them.

    References
    ----------
    Anderson 2001, Austral Ecology 26:32 (permutation of distances); Holm 1979, Scandinavian Journal of Statistics 6:65.
    """
    check_instance("groups", groups, Mapping, "A dict of name to runs.")
    check_int("n_permutations", n_permutations, 100, 10**7)
    check_number("level", level, 0, 1, open_low=True)
    check_int("seed", seed, 0)
    check_flag("progress", progress)
    if len(groups) < 2:
        raise ValueError(f"`groups`: expected at least 2 groups, got {len(groups)}.")
    members: dict[str, list[Any]] = {}
    for name, things in groups.items():
        if isinstance(things, (str, bytes, type)) or not hasattr(things, "__len__"):
            raise TypeError(f"`groups[{name!r}]`: expected a list of Runs or Systems, got {kind_of(things)}.")
        if len(things) < LEAST_NETWORKS:
            raise ValueError(
                f"`groups[{name!r}]`: expected at least {LEAST_NETWORKS} networks, got {len(things)}: copies have to "
                "differ for kinds to differ more."
            )
        members[str(name)] = list(things)
    everything = [t for things in members.values() for t in things]
    if len({id(t) for t in everything}) < len(everything):
        raise ValueError("`groups`: expected each network once, got one of them twice.")
    for name, things in members.items():
        members[name] = [
            t if hasattr(t, "name") else as_system(f"groups[{name!r}][{k}]", t) for k, t in enumerate(things)
        ]
    everything = [t for things in members.values() for t in things]
    chosen = measure_list(measures)
    names = distinct_names([f"{name}: {t.name}" for name, things in members.items() for t in things])
    comparison = compare(
        everything,
        chosen.values(),
        names=names,
        n_trials=n_trials,
        interval=None,
        match=match,
        probe=probe,
        seed=seed,
        progress=progress,
    )
    labels = np.repeat(np.arange(len(members)), [len(things) for things in members.values()])
    distances = {m: distances_of(chosen[m], comparison.pairs.values[m]) for m in chosen}
    named = {g: tuple(n for n, k in zip(names, labels) if k == i) for i, g in enumerate(members)}
    tests = group_tests(distances, labels, list(members), n_permutations, level, seed)
    told = "" if comparison.matched is None else comparison.matched.text
    matched = {m: told if chosen[m].traits.needs == "paired trajectories" else "" for m in chosen}
    return GroupComparison(named, distances, tuple(tests), level, matched)


def distances_of(measure: Measure, values: np.ndarray) -> np.ndarray:
    """Values (network, network) as symmetric distances from the value of equal systems, 0 on the diagonal."""
    apart = np.abs(np.asarray(values, dtype=float) - measure.traits.perfect)
    apart = (apart + apart.T) / 2
    np.fill_diagonal(apart, 0.0)
    return apart


def group_tests(
    distances: Mapping[str, np.ndarray],
    labels: np.ndarray,
    names: Sequence[str],
    n_permutations: int,
    level: float,
    seed: int,
) -> list[GroupTest]:
    """Tests of all pairs of groups by all measures; arguments as in `compare_groups`, labels (network,) from 0.

    Raises
    ------
    ValueError
        If a distance is not finite.
    """
    made = []
    for measure, whole in distances.items():
        for i, j in combinations(range(len(names)), 2):
            chosen = np.flatnonzero((labels == i) | (labels == j))
            d = whole[np.ix_(chosen, chosen)]
            if not np.isfinite(d).all():
                raise ValueError(
                    f"`groups`: {measure!r} is undefined for some pair of {names[i]!r} and {names[j]!r}. Leave it out."
                )
            in_first = labels[chosen] == i
            # an order that depends on the distances alone: names and places of networks change no result
            order = np.lexsort([np.sort(d, axis=1)[:, k] for k in range(len(d))] + [~in_first])
            made.append((measure, names[i], names[j], d[np.ix_(order, order)], in_first[order]))
    rows = []
    for measure, a, b, d, first in made:
        p, floor, exact = _permuted(d, first, n_permutations, np.random.default_rng([seed, 1]))
        within, between = _means(d, first)
        low, high = _resampled_effect(d, first, level, np.random.default_rng([seed, 2]))
        effect = _effect(d, first)
        row: dict[str, Any] = {"measure": measure, "a": a, "b": b, "within": within, "between": between}
        row |= {"effect": effect, "low": min(low, effect), "high": max(high, effect)}
        rows.append(row | {"p_value": p, "p_floor": floor, "exact": exact})
    corrected = holm([row["p_value"] for row in rows])
    return [GroupTest(**row, p_corrected=c) for row, c in zip(rows, corrected)]


def _means(d: np.ndarray, first: np.ndarray) -> tuple[float, float]:
    """Mean distance within (mean of both groups) and across."""
    parts = [d[np.ix_(g, g)] for g in (first, ~first)]
    within = [float(x[np.triu_indices(len(x), 1)].mean()) for x in parts]
    return sum(within) / 2, float(d[np.ix_(first, ~first)].mean())


def _permuted(
    d: np.ndarray, first: np.ndarray, n_permutations: int, rng: np.random.Generator
) -> tuple[float, float, bool]:
    """p-value of the observed division, the lowest possible one, and whether all divisions were gone through."""
    n, k = len(d), int(first.sum())
    ways, exact = divisions(n, k, n_permutations, rng)
    values, observed = _statistics(d, ways), _statistics(d, first[None])[0]
    slack = 1e-12 * max(float(np.abs(d).max()), 1e-300)
    return *p_value_of(values >= observed - slack, n, k, exact), exact


def _statistics(d: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """Mean across less mean within (mean of both groups), for each way (way, network) to name the first group."""
    a = ways.astype(float)
    b = 1.0 - a
    in_a, in_b = (np.einsum("wi,ij,wj->w", x, d, x, optimize=True) for x in (a, b))
    across = np.einsum("wi,ij,wj->w", a, d, b, optimize=True)
    n_a, n_b = a.sum(1), b.sum(1)
    return across / (n_a * n_b) - (in_a / (n_a * (n_a - 1)) + in_b / (n_b * (n_b - 1))) / 2


def _effect(d: np.ndarray, first: np.ndarray) -> float:
    """How often a pair across is further apart than one within; ties count half."""
    parts = [d[np.ix_(g, g)] for g in (first, ~first)]
    within = np.sort(np.concatenate([x[np.triu_indices(len(x), 1)] for x in parts]))
    across = d[np.ix_(first, ~first)].ravel()
    below = np.searchsorted(within, across, side="left") + np.searchsorted(within, across, side="right")
    return float(below.mean() / (2 * len(within)))


def _resampled_effect(
    d: np.ndarray, first: np.ndarray, level: float, rng: np.random.Generator, n_resamples: int = 500
) -> tuple[float, float]:
    """Interval of `_effect`, networks drawn anew within their group; pairs of a network with itself do not count."""
    groups = [np.flatnonzero(g) for g in (first, ~first)]
    effects = []
    for _ in range(n_resamples):
        drawn = [rng.choice(g, len(g)) for g in groups]
        within = []
        for at in drawn:
            i, j = np.triu_indices(len(at), 1)
            other = at[i] != at[j]
            within.append(d[at[i], at[j]][other])
        inside = np.sort(np.concatenate(within))
        if not len(inside):
            continue
        across = d[np.ix_(*drawn)].ravel()
        below = np.searchsorted(inside, across, side="left") + np.searchsorted(inside, across, side="right")
        effects.append(below.mean() / (2 * len(inside)))
    tail = (1 - level) / 2
    low, high = np.quantile(effects, [tail, 1 - tail])
    return float(low), float(high)

"""Classes of solutions: how many different computations does a population of trained networks hold, and how many more?

Networks are sorted by skeleton (isomorphic portraits on one time scale) or by conjugacy (a change of coordinates joins
them), as Turner, Dabholkar & Barak 2021, NeurIPS, sort networks by their reduced dynamics. Classes that no network of
the population belongs to are estimated as species are that nobody has caught yet: from the classes seen once (Good
1953, Biometrika 40:237, for the share of networks in unseen classes) and seen once and twice (Chao 1984, Scandinavian
Journal of Statistics 11:265, in the bias-corrected form, for their number, with the interval of Chao 1987, Biometrics
43:783). The number is a lower bound: classes that are rare enough leave no trace.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import beta, norm

from conjugacy._check import check_choice, check_flag, check_int, check_list, check_number
from conjugacy._progress import progress_bar
from conjugacy.analysis.analysis import Analysis
from conjugacy.analysis.comparison import distinct_names
from conjugacy.analysis.conjugacies import find_conjugacy
from conjugacy.analysis.task_scores import task_scores
from conjugacy.runs.run import Run
from conjugacy.similarity.samples import kind_of
from conjugacy.system import System

if TYPE_CHECKING:
    import pandas as pd

BY = ("skeleton", "conjugacy")


@dataclass(frozen=True)
class SolutionClass:
    """One class.

    Attributes
    ----------
    representative : str
        The network nearest to the others of its class.
    members : tuple of str
    what : str
        What they share: counts of memories and saddles, where portraits were made.
    """

    representative: str
    members: tuple[str, ...]
    what: str


@dataclass(frozen=True)
class Unseen:
    """What a population says of classes that it does not hold.

    Attributes
    ----------
    n_classes : float
        Estimated number of all classes, seen and unseen, at least; `low` and `high` are its interval.
    low, high : float
    new_share : float
        Estimated chance that one more network belongs to a class not seen, in [0, 1]; `new_share_high` bounds it.
    new_share_high : float
    """

    n_classes: float
    low: float
    high: float
    new_share: float
    new_share_high: float


@dataclass(frozen=True)
class SolutionClasses:
    """A population sorted into classes, see `solution_classes`.

    Attributes
    ----------
    by : {"skeleton", "conjugacy"}
    classes : tuple of SolutionClass
        The largest first.
    unseen : Unseen
    left_out : dict of str to str
        Networks that were not sorted, and why.
    level : float
    """

    by: str
    classes: tuple[SolutionClass, ...]
    unseen: Unseen
    left_out: dict[str, str]
    level: float

    @property
    def counts(self) -> tuple[int, ...]:
        """Members of each class, the largest first."""
        return tuple(len(c.members) for c in self.classes)

    def table(self) -> pd.DataFrame:
        """One row a class: "n", "share", "representative", "what", "members"."""
        import pandas as pd

        total = sum(self.counts)
        rows = [
            {
                "n": len(c.members),
                "share": len(c.members) / total,
                "representative": c.representative,
                "what": c.what,
                "members": ", ".join(c.members),
            }
            for c in self.classes
        ]
        return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="class"))

    def __repr__(self) -> str:
        n, k, u = sum(self.counts), len(self.classes), self.unseen
        lines = [f"{n} networks, {k} {'class' if k == 1 else 'classes'} by {self.by}"]
        for number, c in enumerate(self.classes, 1):
            what = f": {c.what}" if c.what else ""
            lines.append(f"  {number}  {len(c.members)} of {n}{what}; for example {c.representative}")
        lines.append(
            f"  At least about {u.n_classes:.1f} classes in all [{u.low:.1f}, {u.high:.1f}]; one more network is of a "
            f"new class with a chance of about {u.new_share:.0%} (at most {u.new_share_high:.0%})."
        )
        lines += [f"  not sorted: {name}: {why}" for name, why in self.left_out.items()]
        return "\n".join(lines)


def solution_classes(
    networks: Sequence[Run | Analysis | System],
    by: str = "skeleton",
    *,
    level: float = 0.95,
    seed: int = 0,
    progress: bool = False,
    **options: Any,
) -> SolutionClasses:
    """Sort a population of networks into classes of solutions, and estimate how many classes it has not shown.

    Parameters
    ----------
    networks : sequence of Run, Analysis or System
        At least two, with a step; runs that do not do their task are left out, and said.
    by : {"skeleton", "conjugacy"}
        "skeleton": portraits without input, on the horizon of a trial, are isomorphic: as many fixed or held points by
        number of unstable directions, joined alike. "conjugacy": a map found by `find_conjugacy` holds both ways, a
        search for each pair; networks joined by a chain of maps are one class.
    level : float
        Of the interval and bound, in (0, 1).
    seed : int
        Of searches and maps.
    progress : bool
        Show a bar.
    **options
        Of `conjugacy.fixed_points` or of `find_conjugacy`.

    Raises
    ------
    TypeError, ValueError
        If `networks` holds something else, or fewer than two networks can be sorted.

    References
    ----------
    Turner, Dabholkar and Barak 2021, NeurIPS 34; Good 1953, Biometrika 40:237; Chao 1984, 1987.
    """
    check_choice("by", by, BY)
    check_number("level", level, 0, 1, open_low=True)
    check_int("seed", seed, 0)
    check_flag("progress", progress)
    things = [t.run if isinstance(t, Analysis) else t for t in check_list("networks", networks, "Runs or Systems", 2)]
    for k, thing in enumerate(things):
        if not isinstance(thing, Run | System):
            raise TypeError(f"`networks[{k}]`: expected a Run, an Analysis or a System, got {kind_of(thing)}.")
        if isinstance(thing, System) and thing.step is None:
            raise ValueError(f"`networks[{k}]`: expected a System with a step, got {thing!r}.")
    names = distinct_names([t.name for t in things])
    left_out = _failing(things, names)
    sorted_ones = [(n, t) for n, t in zip(names, things) if n not in left_out]
    if len(sorted_ones) < 2:
        raise ValueError(f"`networks`: expected at least 2 that do their task, got {len(sorted_ones)}: {left_out}.")
    sort = _by_skeleton if by == "skeleton" else _by_conjugacy
    distances, same, whats = sort([t for _, t in sorted_ones], seed, progress, options)
    kept = [n for n, _ in sorted_ones]
    classes = []
    for members in connected(same):
        inside = distances[np.ix_(members, members)].sum(1)
        # ties by name: the order in which networks are given changes nothing
        best = min(range(len(members)), key=lambda i: (round(float(inside[i]), 9), kept[members[i]]))
        classes.append(
            SolutionClass(kept[members[best]], tuple(sorted(kept[m] for m in members)), whats[members[best]])
        )
    classes.sort(key=lambda c: (-len(c.members), c.members))
    return SolutionClasses(
        by, tuple(classes), unseen_classes([len(c.members) for c in classes], level), left_out, level
    )


def unseen_classes(counts: Sequence[int], level: float = 0.95) -> Unseen:
    """What the numbers of members of the classes seen say of those not seen; see the module docstring.

    Examples
    --------
    >>> unseen_classes([5, 3, 1, 1]).new_share
    0.2
    """
    n, seen = sum(counts), len(counts)
    once, twice = (sum(c == k for c in counts) for k in (1, 2))
    f = once * (once - 1) / (2 * (twice + 1)) * (n - 1) / n
    low = high = float(seen)
    if f > 0:
        variance = _chao_variance(n, once, twice, f)
        spread = math.exp(norm.ppf((1 + level) / 2) * math.sqrt(math.log1p(variance / f**2)))
        low, high = seen + f / spread, seen + f * spread
    elif once:
        # one class seen once: the estimate is that of none unseen, but a second one cannot be excluded
        high = seen + 1 / (1 - level) ** (1 / n) - 1 + once
    bound = 1.0 if once == n else float(beta.ppf(level, once + 1, n - once))
    return Unseen(seen + f, low, high, once / n, bound)


def _chao_variance(n: int, once: int, twice: int, f: float) -> float:
    a = (n - 1) / n
    if twice:
        return (
            a * once * (once - 1) / (2 * (twice + 1))
            + a**2 * once * (2 * once - 1) ** 2 / (4 * (twice + 1) ** 2)
            + a**2 * once**2 * twice * (once - 1) ** 2 / (4 * (twice + 1) ** 4)
        )
    whole = n + f
    return a * once * (once - 1) / 2 + a**2 * once * (2 * once - 1) ** 2 / 4 - a**2 * once**4 / (4 * whole)


def connected(same: np.ndarray) -> list[list[int]]:
    """Sets of indices that a chain of True entries of the symmetric matrix joins, in the order of their first."""
    from scipy.sparse.csgraph import connected_components

    labels = connected_components(same, directed=False)[1]
    return [np.flatnonzero(labels == k).tolist() for k in dict.fromkeys(labels.tolist())]


def _failing(things: Sequence[Run | System], names: Sequence[str]) -> dict[str, str]:
    runs = [(t, n) for t, n in zip(things, names) if isinstance(t, Run)]
    if not runs:
        return {}
    known = task_scores([t for t, _ in runs], [n for _, n in runs])
    below = known[[does is False for does in known["does_the_task"]]]
    return {str(n): f"does not do its task ({row['score']} {row['test']:.3f})" for n, row in below.iterrows()}


def _by_skeleton(
    things: Sequence[Any], seed: int, progress: bool, options: dict[str, Any]
) -> tuple[Any, Any, list[str]]:

    from conjugacy.analysis.verdict import counted_points
    from conjugacy.dynamics import fixed_points, portrait, portrait_distance

    portraits = []
    for thing in progress_bar(things, desc="Making portraits", show=progress, unit="networks"):
        portraits.append(portrait(fixed_points(thing, **{"seed": seed, "progress": False, **options})))
    n = len(things)
    distances, same = np.zeros((n, n)), np.eye(n, dtype=bool)
    for i, j in combinations(range(n), 2):
        d = portrait_distance(portraits[i], portraits[j])
        distances[i, j] = distances[j, i] = d.total
        same[i, j] = same[j, i] = d.counts == 0 and d.graph == 0
    return distances, same, [counted_points(p) for p in portraits]


def _by_conjugacy(
    things: Sequence[Any], seed: int, progress: bool, options: dict[str, Any]
) -> tuple[Any, Any, list[str]]:

    n = len(things)
    distances, same = np.zeros((n, n)), np.eye(n, dtype=bool)
    pairs = list(combinations(range(n), 2))
    for i, j in progress_bar(pairs, desc="Learning changes of coordinates", show=progress, unit="pairs"):
        found = find_conjugacy(things[i], things[j], **{"seed": seed, **options})
        distances[i, j] = distances[j, i] = 1 - min(found.there.score.value, found.back.score.value)
        same[i, j] = same[j, i] = found.factor == "equal"
    return distances, same, [""] * n

"""Dynamical similarity analysis: do two systems move alike, whatever the coordinates? (Ostrow et al. 2023)

A linear operator is fitted to the delay-embedded trajectories of each system (`dmd`), and the two vector fields are
compared after the best rotation of one onto the other, each scaled to Frobenius norm 1:

    euclidean = min over C in O(n) of |A - C B C'|_F        in [0, 2]
    angular   = arccos max <A, C B C'>                      in [0, pi];  euclidean = 2 sin(angular / 2)

Both are metrics on operators of one size, up to rotation and scale. The search for C and the lower bound that comes
with every value are described in `alignment`. Trials need not be paired. What DSA says depends on `rank` and
`n_delays`: look at `conjugacy.similarity.surface` before believing an order of systems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from typing_extensions import override

from conjugacy._check import check_choice, check_flag, check_int
from conjugacy._threads import map_threads
from conjugacy.similarity.alignment import Alignment, Operator, align, align_many
from conjugacy.similarity.distance_intervals import FEWEST_TRIALS, distance_interval, halves
from conjugacy.similarity.dmd import DMD, cut_stability, embed, fit, rank_with_a_gap
from conjugacy.similarity.measure import Measure
from conjugacy.similarity.nulls import value_or_nan
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.samples import check_same_steps, kind_of
from conjugacy.similarity.score import OFF_DATA, Interval, Score, Traits
from conjugacy.system import System

UNEQUAL = ("error", "min")
_STABLE = (
    0.7  # smallest cosine between the leading components of two halves of the trials; of one axis of two, 0.7 by chance
)


def vector_field_angle(A: Any, B: Any, *, score: str = "angular", effort: int = 1) -> Score:
    """Angle between two linear vector fields after the best rotation of one onto the other.

    Parameters
    ----------
    A, B : arrays (n, n)
        Operators of equal size; never changed.
    score : {"angular", "euclidean"}
        Radians in [0, pi], or the Frobenius norm of the difference of the operators scaled to norm 1, in [0, 2].
    effort : int
        Rounds of the search are multiplied by it; 0 leaves only the spectral starts.

    Returns
    -------
    Score
        `diagnostics`: "lower_bound" (no rotation can give less), "n_agree" of "n_climbs" (how many climbs ended at the
        best value found), "rotation" (C, with C B C' nearest to A).

    Raises
    ------
    ValueError
        If an operator is not a square matrix of finite numbers, is zero, or if the sizes differ.
    """
    measure = DSA(score=score, effort=effort)
    a, b = (operator_of(name, matrix) for name, matrix in (("A", A), ("B", B)))
    value, diagnostics = measure.compare_operators(a, b)
    return measure.make_score("A", "B", value, diagnostics)


def pairwise_angles(
    operators: Sequence[Any],
    *,
    score: str = "angular",
    effort: int = 1,
    n_threads: int | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Matrix (operator, operator) of `vector_field_angle` between all pairs, zero on its diagonal.

    Parameters
    ----------
    operators : sequence of arrays (n, n)
        All of one size.
    score, effort
        See `vector_field_angle`.
    n_threads : int, optional
        None: all cores.
    progress : bool
        Show a bar.
    """
    check_choice("score", score, ("angular", "euclidean"))
    check_flag("progress", progress)
    check_int("effort", effort, 0)
    if n_threads is not None:
        check_int("n_threads", n_threads, 1, hint="Or None for all cores.")
    if isinstance(operators, (str, bytes, type)) or not hasattr(operators, "__iter__"):
        raise TypeError(f"`operators`: expected a list of square matrices, got {kind_of(operators)}.")
    prepared = [operator_of(f"operators[{i}]", m) for i, m in enumerate(operators)]
    for i, operator in enumerate(prepared):
        _check_sizes(prepared[0], operator, "operators[0]", f"operators[{i}]")
    pairs = [(i, j) for i in range(len(prepared)) for j in range(i)]
    found = align_many(prepared, prepared, pairs, effort, n_threads=n_threads, progress=progress, label="DSA")
    matrix = np.zeros((len(prepared), len(prepared)))
    for (i, j), alignment in zip(pairs, found):
        matrix[i, j] = matrix[j, i] = alignment.angle if score == "angular" else alignment.chord
    return matrix


def operator_of(name: str, matrix: Any) -> Operator:
    """A checked operator, ready for the search."""
    if isinstance(matrix, torch.Tensor):
        matrix = matrix.detach().cpu().numpy()
    try:
        a = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"`{name}`: expected a square matrix of real numbers, got {kind_of(matrix)}.") from None
    if a.ndim != 2 or a.shape[0] != a.shape[1] or a.shape[0] == 0:
        raise ValueError(f"`{name}`: expected a square matrix, got {kind_of(matrix)}.")
    if not np.isfinite(a).all():
        raise ValueError(f"`{name}`: expected finite values, got {int((~np.isfinite(a)).sum())} NaN or infinite.")
    if not a.any():
        raise ValueError(f"`{name}`: expected an operator other than zero, which has no direction.")
    return Operator.of(a)


@dataclass(frozen=True, eq=False)
class OperatorFeatures:
    """A fitted operator, what the search needs of it, and the time in seconds that it advances (None: unknown)."""

    dmd: DMD
    operator: Operator
    dt: float | None

    @property
    def name(self) -> str:
        """Name of the system."""
        return self.dmd.embedding.name

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return self.dmd.n_trials


@dataclass(frozen=True)
class OperatorMeasure(Measure):
    """Base of the measures that compare fitted linear operators.

    Attributes
    ----------
    rank : int or "optimal"
        Size of the operators.
    n_delays, delay_interval : int
        Delay embedding.
    center : bool
        Subtract the mean state first; without it (as in the published DSA) the place of the origin matters.
    unequal : {"error", "min"}
        What to do if the ranks of two systems differ, which happens with rank="optimal": "min" compares at the smaller
        rank.
    """

    # an operator is a function of auto- and cross-covariances at the delays
    unmoved_by: ClassVar[frozenset[str]] = frozenset({"phase_randomised"})
    automatic_null: ClassVar[str | None] = "matched_systems"

    rank: int | str = 10
    n_delays: int = 10
    delay_interval: int = 1
    center: bool = True
    unequal: str = "error"

    def __post_init__(self):
        check_flag("center", self.center)
        if not (isinstance(self.rank, str) and self.rank == "optimal"):
            check_int("rank", self.rank, 1, hint="Or 'optimal'.")
        check_int("n_delays", self.n_delays, 1)
        check_int("delay_interval", self.delay_interval, 1)
        check_choice("unequal", self.unequal, self._policies())

    @property
    @override
    def least_units(self) -> int:
        return -(-self.rank // self.n_delays) if isinstance(self.rank, int) else 1

    def _policies(self) -> tuple[str, ...]:
        return UNEQUAL

    @override
    def prepare(self, system: System, train: System | None = None) -> OperatorFeatures:
        del train  # nothing is fitted across systems
        e = embed(system, self.rank, self.n_delays, self.delay_interval, center=self.center, room=True)
        return self._features(fit(e), system.dt)

    @override
    def resample(self, features: OperatorFeatures, counts: np.ndarray) -> OperatorFeatures:
        return self._features(fit(features.dmd.embedding, counts=counts), features.dt)

    @override
    def interval(
        self, a: OperatorFeatures, b: OperatorFeatures, value: float, resampling: Resampling
    ) -> Interval | None:
        cut = a.dmd.embedding.cut or b.dmd.embedding.cut
        found = distance_interval(self, a, b, value, resampling, chosen_anew=cut)
        return found._replace(doubt=self._undetermined(a, b, resampling.seed)) if cut else found

    def _undetermined(self, a: OperatorFeatures, b: OperatorFeatures, seed: int) -> str:
        """What is to be said where the data do not fix the subspace of the leading components; mostly nothing."""
        for f in (a, b):
            e = f.dmd.embedding
            if (
                f.n_trials >= FEWEST_TRIALS
                and cut_stability(e, halves(f.n_trials, np.random.default_rng(seed))) < _STABLE
            ):
                return (
                    f"rank {e.chosen} is not determined by the data of {f.name!r}: two halves of its trials have other "
                    f"leading components, so the value depends on chance, and intervals of 95 % hold the truth in about "
                    f"80 % of such data (docs/calibration.md). Rank {rank_with_a_gap(e)} ends at a gap"
                )
        return ""

    @override
    def compare_resampled(
        self, a: OperatorFeatures, b: OperatorFeatures, counts_a: np.ndarray, counts_b: np.ndarray
    ) -> np.ndarray:
        pairs = map_threads(lambda counts: self._resampled_pair(a, b, *counts), list(zip(counts_a, counts_b)))
        return self.values_of(pairs)

    def _resampled_pair(
        self, a: OperatorFeatures, b: OperatorFeatures, counts_a: np.ndarray, counts_b: np.ndarray
    ) -> tuple[OperatorFeatures, OperatorFeatures]:
        x, y = self.resample(a, counts_a), self.resample(b, counts_b)
        if x.dmd.rank == y.dmd.rank or self.unequal not in UNEQUAL:
            return x, y
        rank = min(x.dmd.rank, y.dmd.rank)
        x, y = (self._features(fit(f.dmd.embedding, rank, counts=c), f.dt) for f, c in ((a, counts_a), (b, counts_b)))
        return x, y

    def values_of(self, pairs: Sequence[tuple[OperatorFeatures, OperatorFeatures]]) -> np.ndarray:
        """Values (pair,), NaN where the measure is undefined."""
        return np.array([value_or_nan(self, *pair) for pair in pairs])

    def _check_steps(self, a: OperatorFeatures, b: OperatorFeatures) -> None:
        check_same_steps(a, b, self.name, "'spectrum_w2_continuous'")

    def _features(self, fitted: DMD, dt: float | None) -> OperatorFeatures:
        return OperatorFeatures(fitted, Operator.of(fitted.operator), dt)

    def doubts(self, a: OperatorFeatures, b: OperatorFeatures) -> dict[str, Any]:
        """The entry "warnings" of the diagnostics where rank="optimal" finds no noise to put a threshold to."""
        check_flag("center", self.center)
        if not (isinstance(self.rank, str) and self.rank == "optimal"):
            return {}
        texts = [
            f"rank='optimal' is undefined for {f.name!r}, whose trajectories have no noise: taken is {f.dmd.rank}, the "
            "numerical rank"
            for f in (a, b)
            if f.dmd.embedding.noise_free
        ]
        return {"warnings": tuple(texts)} if texts else {}

    def _matched(self, a: OperatorFeatures, b: OperatorFeatures) -> tuple[OperatorFeatures, OperatorFeatures]:
        self._check_steps(a, b)
        if a.dmd.rank == b.dmd.rank:
            return a, b
        names = (a.dmd.embedding.name, b.dmd.embedding.name)
        if self.unequal == "error":
            raise ValueError(
                f"`rank`: the operators of {names[0]!r} and {names[1]!r} have ranks {a.dmd.rank} and {b.dmd.rank}. "
                "Give one rank for all, or name what to do: unequal='min' compares at the smaller rank."
            )
        rank = min(a.dmd.rank, b.dmd.rank)
        a, b = (f if f.dmd.rank == rank else self._features(fit(f.dmd.embedding, rank), f.dt) for f in (a, b))
        return a, b


@dataclass(frozen=True)
class DSA(OperatorMeasure):
    """Procrustes distance between vector fields; see the module docstring.

    Attributes
    ----------
    score : {"angular", "euclidean"}
    effort : int
        Rounds of the search are multiplied by it.
    """

    score: str = "angular"
    effort: int = 1

    def __post_init__(self):
        super().__post_init__()
        check_choice("score", self.score, ("angular", "euclidean"))
        check_int("effort", self.effort, 0)

    @property
    @override
    def traits(self) -> Traits:
        invariances = {"rotation", "mirror", "permutation", "scaling", "other size"}
        if self.center:
            invariances.add("translation")
        return Traits(
            name="dsa" if self.score == "angular" else "dsa_euclidean",
            version="1",
            summary=f"{self.score} distance of fitted linear vector fields (rank {self.rank}, {self.n_delays} delays)",
            needs="trajectories",
            low=0.0,
            high=np.pi if self.score == "angular" else 2.0,
            perfect=0.0,
            higher_is_more_similar=False,
            is_metric=True,
            per_step=True,
            invariances=frozenset(invariances),
            blind_to=OFF_DATA | {"fixed point removed"},
            reference="Ostrow, Eisen, Kozachkov, Fiete 2023",
        )

    def compare_operators(self, a: Operator, b: Operator) -> tuple[float, dict[str, Any]]:
        """Value and diagnostics for two operators."""
        _check_sizes(a, b, "A", "B")
        return self._report(align(a, b, self.effort))

    @override
    def compare(self, a: OperatorFeatures, b: OperatorFeatures) -> tuple[float, dict[str, Any]]:
        a, b = self._matched(a, b)
        value, diagnostics = self.compare_operators(a.operator, b.operator)
        return value, {**diagnostics, **self._details(a, b)}

    @override
    def compare_many(
        self, a: Sequence[OperatorFeatures], b: Sequence[OperatorFeatures], pairs: Sequence[tuple[int, int]]
    ) -> list[tuple[float, dict[str, Any]]]:
        matched = [self._matched(a[i], b[j]) for i, j in pairs]
        left, right = [m[0].operator for m in matched], [m[1].operator for m in matched]
        found = align_many(left, right, [(k, k) for k in range(len(pairs))], self.effort)
        return [
            (value, {**diagnostics, **self._details(*m)})
            for m, (value, diagnostics) in zip(matched, map(self._report, found))
        ]

    def _details(self, a: OperatorFeatures, b: OperatorFeatures) -> dict[str, Any]:
        return {"rank": a.dmd.rank, "n_delays": self.n_delays, **self.doubts(a, b)}

    @override
    def values_of(self, pairs: Sequence[tuple[OperatorFeatures, OperatorFeatures]]) -> np.ndarray:
        left, right = [pair[0].operator for pair in pairs], [pair[1].operator for pair in pairs]
        found = align_many(left, right, [(k, k) for k in range(len(pairs))], self.effort)
        return np.array([self._report(alignment)[0] for alignment in found])

    def _report(self, found: Alignment) -> tuple[float, dict[str, Any]]:
        angular = self.score == "angular"
        return found.angle if angular else found.chord, {
            "lower_bound": found.angle_bound if angular else found.lower_bound,
            "n_agree": found.n_agree,
            "n_climbs": found.n_climbs,
            "rotation": found.rotation,
        }


def _check_sizes(a: Operator, b: Operator, name_a: str, name_b: str) -> None:
    if a.unit.shape != b.unit.shape:
        raise ValueError(
            f"`{name_b}`: expected the size {a.unit.shape} of `{name_a}`, got {b.unit.shape}. Rotations compare "
            "operators of one size; fit both with the same rank."
        )

"""Shape distances: two clouds of paired states, the best rotation taken out (Williams et al. 2021).

With X, Y (sample, unit) centred, and U D V' the singular value decomposition of X, the partial whitening is

    X_alpha = U (alpha D + (1 - alpha) |D| / sqrt(rank) I) V',        |.| the Frobenius norm,

so that alpha = 1 leaves X as it is (Procrustes) and alpha = 0 whitens it (CCA). With the nuclear norm
N = |X_alpha' Y_alpha|_*, attained by the best orthogonal matrix,

    angular   = arccos(N / (|X_alpha| |Y_alpha|))               in [0, pi/2], a metric
    euclidean = sqrt((|X_alpha|^2 + |Y_alpha|^2 - 2 N) / m)     root mean square distance of paired states, a metric

Normalisation. The whitened part is scaled by |D| / sqrt(rank), which gives it the norm of X, so that alpha mixes two
matrices of one norm and every measure is free of the scale of X at each alpha. netrep's `LinearMetric(alpha)` mixes
with U V' of unit singular values in place of |D| / sqrt(rank) U V' (Williams et al. 2021, eq. 7): the two agree at
alpha = 0 and 1, and between them netrep's value depends on the units of measurement. Data divided by |D| / sqrt(rank),
the root mean square of its singular values, before they are given to netrep have the same `angular` distance there at
every alpha.

Systems of different sizes are compared as if the smaller one had further units that are silent. The cosine of the
angular distance at alpha = 1 is the normalised Bures similarity (Harvey et al. 2024). At alpha = 0 and with few
samples, many canonical correlations are 1 by algebra: the score warns, see `canonical`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from conjugacy._check import check_choice, check_number
from conjugacy.similarity.bootstrap import check_enough_trials
from conjugacy.similarity.canonical import forced_warning, held_out_correlations, n_forced
from conjugacy.similarity.covariance import Coordinates, CovarianceMeasure, Covariances, map_products
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.samples import check_paired
from conjugacy.similarity.score import OFF_DATA, Interval, Traits
from conjugacy.similarity.strength_intervals import Strengths, strength_interval
from conjugacy.system import System

_RIGID = frozenset({"rotation", "mirror", "permutation", "translation", "other size", "observation noise"})


@dataclass(frozen=True)
class Shape(CovarianceMeasure):
    """Shape distance of the alpha-family; see the module docstring.

    Attributes
    ----------
    alpha : float
        1: Procrustes, 0: CCA, in [0, 1]. Between them the normalisation matters, see the module docstring.
    score : {"angular", "euclidean", "bures"}
        "bures" is the cosine of "angular": a similarity.
    """

    alpha: float = 1.0
    score: str = "angular"

    def __post_init__(self):
        check_number("alpha", self.alpha, 0, 1)
        check_choice("score", self.score, ("angular", "euclidean", "bures"))

    @property
    @override
    def traits(self) -> Traits:
        family = {1.0: "procrustes", 0.0: "cca"}.get(float(self.alpha), f"shape_{self.alpha:g}")
        name = {"angular": family, "euclidean": f"{family}_euclidean", "bures": f"{family}_bures"}[self.score]
        if name == "procrustes_bures":
            name = "bures"
        invariances = set(_RIGID)
        if self.score != "euclidean":
            invariances.add("scaling")
        if self.alpha == 0 and self.score != "euclidean":
            invariances.add("affine map")
        similarity = self.score == "bures"
        return Traits(
            name=name,
            version="1",
            summary=f"{self.score} shape distance, alpha = {self.alpha:g}",
            needs="paired trajectories",
            low=0.0,
            high={"angular": np.pi / 2, "euclidean": np.inf, "bures": 1.0}[self.score],
            perfect=float(similarity),
            higher_is_more_similar=similarity,
            is_metric=not similarity,
            invariances=frozenset(invariances),
            blind_to=OFF_DATA | ({"other dynamics, same geometry"} if self.alpha == 1 else set()),
            reference="Williams, Kunz, Kornblith, Linderman 2021, eqs. 4-11",
        )

    @override
    def prepare(self, system: System, train: System | None = None) -> Coordinates:
        features = super().prepare(system, train)
        self._whitened(features)  # so that pairs find it done
        return features

    @override
    def value(self, c: Covariances, a: Coordinates, b: Coordinates) -> tuple[float, dict[str, Any]]:
        wx, x2 = _whitener(c.xx, self.alpha)
        wy, y2 = _whitener(c.yy, self.alpha)
        cross = wx.T @ c.xy @ wy
        left, s, right = np.linalg.svd(cross, full_matrices=False)
        n = s.sum()
        bures = min(n / np.sqrt(x2 * y2), 1.0)
        distance2 = max(x2 + y2 - 2 * n, 0.0)
        angle = np.arccos(bures)
        if (1 - bures < 1e-6 or distance2 < 1e-6 * (x2 + y2)) and c.n == len(a.scores):
            # near zero the closed form loses half of the digits: align, and look at what remains
            x, y = a.scores @ wx / np.sqrt(c.n), b.scores @ wy / np.sqrt(c.n)
            distance2 = _residual(x, y, left, right)
            chord = np.sqrt(_residual(x / np.sqrt(x2), y / np.sqrt(y2), left, right))
            angle = 2 * np.arcsin(min(chord / 2, 1.0))
        value = {"angular": angle, "euclidean": np.sqrt(distance2), "bures": bures}[self.score]
        return float(value), {"n_samples": int(c.n), "rank_a": c.xx.shape[0], "rank_b": c.yy.shape[0]}

    @override
    def interval(self, a: Coordinates, b: Coordinates, value: float, resampling: Resampling) -> Interval:
        check_enough_trials(self, a, b)
        ends = self.traits.low, self.traits.high
        return strength_interval(self._strengths, self._of_strengths, a, b, value, resampling, *ends)

    def _strengths(self, c: Covariances) -> Strengths:
        wx, wy = _whitener(c.xx, self.alpha)[0], _whitener(c.yy, self.alpha)[0]
        return Strengths.of(wx.T @ c.xx @ wx, wy.T @ c.yy @ wy, wx.T @ c.xy @ wy)

    def _of_strengths(self, found: Strengths) -> float:
        n, bures = found.s.sum(), min(found.s.sum() / np.sqrt(found.x2 * found.y2), 1.0)
        distance = np.sqrt(max(found.x2 + found.y2 - 2 * n, 0.0))
        return float({"angular": np.arccos(bures), "euclidean": distance, "bures": bures}[self.score])

    @override
    def doubts(self, c: Covariances, a: Coordinates, b: Coordinates) -> dict[str, Any]:
        text = forced_warning(c.n, len(c.xx), len(c.yy)) if self.alpha == 0 else ""
        if not text:
            return {}
        held_out = held_out_correlations(a, b)[0].sum()
        power_a, power_b = (float((f.sd**2).sum()) for f in (a, b))
        bures = float(np.clip(held_out / np.sqrt(len(c.xx) * len(c.yy)), -1, 1))
        distance2 = power_a + power_b - 2 * np.sqrt(power_a * power_b) * bures
        value = {"angular": np.arccos(bures), "euclidean": np.sqrt(max(distance2, 0.0)), "bures": bures}[self.score]
        return {"warnings": (text,), "cross_validated": float(value)}

    @override
    def compare_many(
        self, a: Sequence[Coordinates], b: Sequence[Coordinates], pairs: Sequence[tuple[int, int]]
    ) -> list[tuple[float, dict[str, Any]]]:
        sides = (a, {p[0] for p in pairs}), (b, {p[1] for p in pairs})
        left, right = ({i: self._whitened(f[i]) for i in chosen} for f, chosen in sides)
        results: list[Any] = [None] * len(pairs)

        def block(members: Sequence[int], products: np.ndarray) -> None:
            for k, n in zip(members, nuclear_norms(products).tolist()):
                i, j = pairs[k]
                results[k] = self._from_norm(n / len(left[i][0]), left[i][1], right[j][1], a[i], b[j])

        name = self.name
        for i, j in pairs:
            check_paired(a[i].layout, b[j].layout, name)
        map_products(block, {i: x for i, (x, _) in left.items()}, {j: y for j, (y, _) in right.items()}, pairs)
        return results

    def _whitened(self, f: Coordinates) -> tuple[np.ndarray, float]:
        """X_alpha up to a rotation, (sample, component), and the mean square of its rows."""
        if self.alpha == 1:
            return f.frame, f.power
        gain = self.alpha + (1 - self.alpha) * np.sqrt((f.sd**2).mean()) / f.sd
        return f.scores * gain, float((gain**2 * f.sd**2).sum())

    def _from_norm(
        self, n: float, x2: float, y2: float, a: Coordinates, b: Coordinates
    ) -> tuple[float, dict[str, Any]]:
        bures = min(n / math.sqrt(x2 * y2), 1.0)
        distance2 = x2 + y2 - 2 * n
        few = self.alpha == 0 and n_forced(a.layout.n_samples, a.rank, b.rank) > 0
        if few or 1 - bures < 1e-5 or distance2 < 1e-5 * (x2 + y2):
            return self.compare(a, b)
        if self.score == "bures":
            value = bures
        else:
            value = math.acos(bures) if self.score == "angular" else math.sqrt(distance2)
        return value, {"n_samples": a.layout.n_samples, "rank_a": a.rank, "rank_b": b.rank}


def nuclear_norms(c: np.ndarray) -> np.ndarray:
    """Sums of the singular values of matrices (.., n, m), through the smaller Gram matrix where that is precise."""
    gram = c @ c.transpose(0, 2, 1) if c.shape[1] <= c.shape[2] else c.transpose(0, 2, 1) @ c
    values = np.linalg.eigvalsh(gram)
    roots = np.sqrt(values.clip(1e-300))
    norms = roots.sum(1)
    # a singular value s is known to eps s_max^2 / s from the Gram matrix
    sound = np.finfo(float).eps * values[:, -1] * (1 / roots).sum(1) < 1e-11 * norms
    if not sound.all():
        norms[~sound] = np.linalg.svd(c[~sound], compute_uv=False).sum(1)
    return norms


def _residual(x: np.ndarray, y: np.ndarray, left: np.ndarray, right: np.ndarray) -> float:
    """Sum of squares of x - y Q, with the orthogonal Q of the singular vectors, silent units added where they lack."""
    shared_x, shared_y = x @ left, y @ right.T
    outside = ((x - shared_x @ left.T) ** 2).sum() + ((y - shared_y @ right) ** 2).sum()
    return float(((shared_x - shared_y) ** 2).sum() + outside)


def _whitener(cov: np.ndarray, alpha: float) -> tuple[np.ndarray, float]:
    """W with X_alpha = X W up to a rotation, and the mean square of the rows of X_alpha."""
    if alpha == 1:
        return np.eye(len(cov)), float(np.trace(cov))
    if np.count_nonzero(cov - np.diag(np.diag(cov))) == 0:
        values, vectors = np.diag(cov), np.eye(len(cov))
    else:
        values, vectors = np.linalg.eigh(cov)
    total = values.clip(0).sum()
    keep = values > 1e-12 * values.max()
    rank = int(keep.sum())
    gain = np.zeros(len(values))
    # directions without variance stay at zero
    gain[keep] = alpha + (1 - alpha) * np.sqrt(total / rank / values[keep])
    return (vectors * gain) @ vectors.T, float((gain**2 * values).sum())

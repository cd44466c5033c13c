"""Centred kernel alignment (Kornblith et al. 2019): do the same pairs of states lie close together in both systems?

With kernels K, L between states, H = I - 11'/m and HSIC(K, L) = tr(K H L H),

    CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))      in [0, 1],  its arccos is a metric.

Linear CKA needs no kernel matrix: HSIC = |X'Y|_F^2. With few samples and many units the biased estimate is high even
for unrelated systems; the unbiased one (Song et al. 2012, eq. 5) averages to zero there, and may be negative. Its
linear form needs no kernel matrix either. The RBF kernel exp(-|x - x'|^2 / (2 s^2)) has s = bandwidth times the median
distance between states.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist, squareform
from typing_extensions import override

from conjugacy._check import check_int, check_number
from conjugacy.similarity.covariance import Coordinates, CovarianceMeasure, Covariances, map_products
from conjugacy.similarity.measure import Measure
from conjugacy.similarity.samples import Samples, check_paired, check_varies, repeated
from conjugacy.similarity.score import OFF_DATA, Traits
from conjugacy.system import System

_INVARIANCES = frozenset(
    {"rotation", "mirror", "permutation", "scaling", "translation", "other size", "observation noise"}
)


@dataclass(frozen=True)
class LinearCKA(CovarianceMeasure):
    """Linear CKA, the biased estimate, or its angle.

    Attributes
    ----------
    angular : bool
        Return arccos of the similarity, in radians: a metric.
    """

    angular: bool = False

    @property
    @override
    def traits(self) -> Traits:
        return Traits(
            name="angular_cka" if self.angular else "cka",
            version="1",
            summary="arccos of linear CKA" if self.angular else "linear centred kernel alignment",
            needs="paired trajectories",
            low=0.0,
            high=np.pi / 2 if self.angular else 1.0,
            perfect=0.0 if self.angular else 1.0,
            higher_is_more_similar=not self.angular,
            is_metric=self.angular,
            invariances=_INVARIANCES,
            blind_to=OFF_DATA | {"other dynamics, same geometry"},
            reference="Kornblith, Norouzi, Lee, Hinton 2019, eq. 4",
        )

    @override
    def prepare(self, system: System, train: System | None = None) -> Coordinates:
        features = super().prepare(system, train)
        _ = features.frame, features.kernel_norm  # so that pairs find them done
        return features

    @override
    def value(self, c: Covariances, a: Coordinates, b: Coordinates) -> tuple[float, dict[str, Any]]:
        norms = np.linalg.norm(c.xx) * np.linalg.norm(c.yy)
        similarity = float(min((c.xy**2).sum() / norms, 1.0))
        diagnostics = {"n_samples": int(c.n), "rank_a": len(c.xx), "rank_b": len(c.yy)}
        if not self.angular:
            return similarity, diagnostics
        if 1 - similarity < 1e-6 and c.n == len(a.scores):
            # near zero arccos loses half of the digits: the chord between the normalised kernels keeps them
            x, y = (f.scores / np.sqrt(c.n * np.linalg.norm(f.sd**2)) for f in (a, b))
            r = np.asarray(np.linalg.qr(np.concatenate([x, y], axis=1), mode="r"))
            rx, ry = r[:, : x.shape[1]], r[:, x.shape[1] :]
            return float(2 * np.arcsin(min(np.linalg.norm(rx @ rx.T - ry @ ry.T) / 2, 1.0))), diagnostics
        return float(np.arccos(similarity)), diagnostics

    @override
    def compare_many(
        self, a: Sequence[Coordinates], b: Sequence[Coordinates], pairs: Sequence[tuple[int, int]]
    ) -> list[tuple[float, dict[str, Any]]]:
        results: list[Any] = [None] * len(pairs)
        name = self.name
        for i, j in pairs:
            check_paired(a[i].samples, b[j].samples, name)

        def block(members: Sequence[int], products: np.ndarray) -> None:
            for k, product in zip(members, products):
                i, j = pairs[k]
                x, y = a[i], b[j]
                similarity = min(float(np.vdot(product, product)) / (x.kernel_norm * y.kernel_norm), 1.0)
                if self.angular and similarity > 1 - 1e-6:
                    results[k] = self.compare(x, y)
                    continue
                value = math.acos(similarity) if self.angular else similarity
                results[k] = value, {"n_samples": len(x.centred), "rank_a": x.rank, "rank_b": y.rank}

        left, right = ({p[side]: f[p[side]].frame for p in pairs} for side, f in enumerate((a, b)))
        map_products(block, left, right, pairs)
        return results


def unbiased_linear_hsic(x: np.ndarray, y: np.ndarray) -> float:
    """HSIC of linear kernels by the U-statistic, from features (sample, unit), without a kernel matrix.

    Song et al. 2012, eq. 5, with tr(KL) = |x'y|^2 - sum_i |x_i|^2 |y_i|^2 and so on, the diagonals of K, L zero.
    """
    m = len(x)
    x, y = x - x.mean(0), y - y.mean(0)  # changes nothing but rounding
    dx, dy = (x**2).sum(1), (y**2).sum(1)
    kx, ky = x @ x.sum(0) - dx, y @ y.sum(0) - dy
    trace = ((x.T @ y) ** 2).sum() - dx @ dy
    return (trace + kx.sum() * ky.sum() / ((m - 1) * (m - 2)) - 2 * kx @ ky / (m - 2)) / (m * (m - 3))


def unbiased_hsic(x: np.ndarray, y: np.ndarray) -> float:
    """HSIC by the U-statistic from kernel matrices (sample, sample); Song et al. 2012, eq. 5."""
    m = len(x)
    x, y = x - np.diag(np.diag(x)), y - np.diag(np.diag(y))
    sx, sy = x.sum(0), y.sum(0)
    return ((x * y).sum() + sx.sum() * sy.sum() / ((m - 1) * (m - 2)) - 2 * sx @ sy / (m - 2)) / (m * (m - 3))


def centred(k: np.ndarray) -> np.ndarray:
    """H K H."""
    k = k - k.mean(0)
    return k - k.mean(1, keepdims=True)


@dataclass(frozen=True, eq=False)
class KernelFeatures:
    """A kernel between sampled states, (sample, sample), and the trial each came from."""

    samples: Samples
    kernel: np.ndarray
    trial: np.ndarray
    hsic: float  # of the kernel with itself

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return self.samples.n_trials


@dataclass(frozen=True)
class KernelCKA(Measure):
    """CKA with an RBF or a linear kernel, biased or unbiased.

    Attributes
    ----------
    bandwidth : float or None
        Width of the RBF kernel in units of the median distance between states. None: linear kernel.
    unbiased : bool
        Use the U-statistic.
    max_samples : int
        At most this many states, drawn from all trials and steps, go into kernel matrices.
    """

    bandwidth: float | None = 1.0
    unbiased: bool = False
    max_samples: int = 1000

    def __post_init__(self):
        if self.bandwidth is not None:
            check_number("bandwidth", self.bandwidth, 0, open_low=True)
        check_int("max_samples", self.max_samples, 4)

    @property
    @override
    def traits(self) -> Traits:
        kind = "linear" if self.bandwidth is None else "rbf"
        name = {
            ("linear", True): "cka_unbiased",
            ("rbf", False): "cka_rbf",
            ("rbf", True): "cka_rbf_unbiased",
            ("linear", False): "cka_kernel",
        }[kind, self.unbiased]
        return Traits(
            name=name,
            version="1",
            summary=f"{kind} CKA, {'unbiased' if self.unbiased else 'biased'}, on at most {self.max_samples} states",
            needs="paired trajectories",
            low=-1.0 if self.unbiased else 0.0,
            high=1.0,
            perfect=1.0,
            higher_is_more_similar=True,
            invariances=_INVARIANCES,
            blind_to=OFF_DATA | {"other dynamics, same geometry"},
            reference="Kornblith et al. 2019; Song et al. 2012, eq. 5",
        )

    @override
    def prepare(self, system: System, train: System | None = None) -> KernelFeatures:
        del train
        samples = Samples.of(system)
        check_varies(samples, self.name)
        rows, trial = spread_rows(samples, self.max_samples)
        if len(rows) < 4:
            raise ValueError(
                f"`trajectories` of {system.name!r}: {self.name!r} needs at least 4 states, got {len(rows)}."
            )
        return self._features(samples, rows_to_kernel(rows, self.bandwidth), trial)

    @override
    def compare(self, a: KernelFeatures, b: KernelFeatures) -> tuple[float, dict[str, Any]]:
        check_paired(a.samples, b.samples, self.name)
        cross = unbiased_hsic(a.kernel, b.kernel) if self.unbiased else float((a.kernel * b.kernel).sum())
        scale = a.hsic * b.hsic
        value = cross / np.sqrt(scale) if scale > 0 else np.nan
        return float(np.clip(value, self.traits.low, 1.0)), {"n_samples": len(a.kernel)}

    @override
    def resample(self, features: KernelFeatures, counts: np.ndarray) -> KernelFeatures:
        rows = repeated(counts[features.trial])
        return self._features(features.samples, features.kernel[np.ix_(rows, rows)], features.trial[rows])

    def _features(self, samples: Samples, kernel: np.ndarray, trial: np.ndarray) -> KernelFeatures:
        kernel = centred(kernel)
        hsic = unbiased_hsic(kernel, kernel) if self.unbiased else float((kernel**2).sum())
        return KernelFeatures(samples, kernel, trial, hsic)


def spread_rows(samples: Samples, max_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `max_samples` states drawn from all trials and steps, and their trials; the same for paired systems."""
    rows = samples.rows()
    trial = np.repeat(np.arange(samples.n_trials), samples.lengths)
    if len(rows) <= max_samples:
        return rows, trial
    # even spacing would alias with the length of trials; the seed is fixed so that both partners get the same rows
    chosen = np.sort(np.random.default_rng(0).choice(len(rows), max_samples, replace=False))
    return rows[chosen], trial[chosen]


def rows_to_kernel(rows: np.ndarray, bandwidth: float | None) -> np.ndarray:
    """Linear kernel, or RBF kernel with `bandwidth` times the median distance, between `rows`."""
    rows = rows - rows.mean(0)
    if bandwidth is None:
        return rows @ rows.T
    d = pdist(rows)
    scale = bandwidth * np.median(d[d > 0]) if (d > 0).any() else 1.0
    return squareform(np.exp(-0.5 * (d / scale) ** 2)) + np.eye(len(rows))

"""Centred kernel alignment (Kornblith et al. 2019): do the same pairs of states lie close together in both systems?

With kernels K, L between states, H = I - 11'/m and HSIC(K, L) = tr(K H L H),

    CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))      in [0, 1],  its arccos is a metric.

Linear CKA needs no kernel matrix: HSIC = |X'Y|_F^2. With few samples and many units the biased estimate is high even
for unrelated systems; the unbiased one (Song et al. 2012, eq. 5; see `hsic`) averages to zero there, and may be
negative. Its linear form needs no kernel matrix either, and takes all states. It is undefined (0/0) where the estimate
of HSIC(K, K) is not positive, as for states that no two have a unit in common. The RBF kernel
exp(-|x - x'|^2 / (2 s^2)) has s = bandwidth times the median distance between states.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.spatial.distance import pdist, squareform
from typing_extensions import override

from conjugacy._check import check_flag, check_int, check_number
from conjugacy._threads import map_threads
from conjugacy.similarity.covariance import Coordinates, CovarianceMeasure, Covariances, map_products
from conjugacy.similarity.hsic import LinearSums, unbiased_hsic, unbiased_own_hsic
from conjugacy.similarity.jackknife import jackknife_interval
from conjugacy.similarity.measure import Measure
from conjugacy.similarity.principal_components import about_mean
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.samples import Layout, Samples, check_paired, check_varies, repeated
from conjugacy.similarity.score import OFF_DATA, Interval, Traits, Undefined
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

    # all of it falls as 1 / trials
    most_bias: ClassVar[float | None] = None

    angular: bool = False

    def __post_init__(self):
        check_flag("angular", self.angular)

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
            check_paired(a[i].layout, b[j].layout, name)

        def block(members: Sequence[int], products: np.ndarray) -> None:
            for k, product in zip(members, products):
                i, j = pairs[k]
                x, y = a[i], b[j]
                similarity = min(float(np.vdot(product, product)) / (x.kernel_norm * y.kernel_norm), 1.0)
                if self.angular and similarity > 1 - 1e-6:
                    results[k] = self.compare(x, y)
                    continue
                value = math.acos(similarity) if self.angular else similarity
                results[k] = value, {"n_samples": x.layout.n_samples, "rank_a": x.rank, "rank_b": y.rank}

        left, right = ({p[side]: f[p[side]].frame for p in pairs} for side, f in enumerate((a, b)))
        map_products(block, left, right, pairs)
        return results


def centred(k: np.ndarray) -> np.ndarray:
    """H K H."""
    k = k - k.mean(0)
    return k - k.mean(1, keepdims=True)


@dataclass(frozen=True, eq=False)
class KernelFeatures:
    """A kernel between sampled states, (sample, sample), and the trial each came from."""

    layout: Layout
    kernel: np.ndarray
    trial: np.ndarray
    hsic: float  # of the kernel with itself

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return self.layout.n_trials


@dataclass(frozen=True)
class KernelCKA(Measure):
    """CKA with an RBF or a linear kernel, biased or unbiased.

    Attributes
    ----------
    bandwidth : float or None
        Width of the RBF kernel in units of the median distance between states. None: linear kernel.
    unbiased : bool
        Use the U-statistic. With a linear kernel `UnbiasedCKA` does the same on all states.
    max_samples : int
        At most this many states, drawn from all trials and steps, go into kernel matrices.
    """

    bandwidth: float | None = 1.0
    unbiased: bool = False
    max_samples: int = 1000

    def __post_init__(self):
        if self.bandwidth is not None:
            check_number("bandwidth", self.bandwidth, 0, open_low=True, limit=1e100)
        check_int("max_samples", self.max_samples, 4)
        check_flag("unbiased", self.unbiased)

    @property
    @override
    def traits(self) -> Traits:
        kind = "linear" if self.bandwidth is None else "rbf"
        name = {
            ("linear", True): "cka_kernel_unbiased",
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
        check_enough(samples.layout, len(rows), self.name)
        features = self._features(samples.layout, rows_to_kernel(rows, self.bandwidth), trial)
        check_defined(samples.layout, features.hsic, self.name)
        return features

    @override
    def compare(self, a: KernelFeatures, b: KernelFeatures) -> tuple[float, dict[str, Any]]:
        check_paired(a.layout, b.layout, self.name)
        for side in (a, b):
            check_defined(side.layout, side.hsic, self.name)
        cross = unbiased_hsic(a.kernel, b.kernel) if self.unbiased else float((a.kernel * b.kernel).sum())
        value = cross / np.sqrt(a.hsic * b.hsic)
        return float(np.clip(value, self.traits.low, 1.0)), {"n_samples": len(a.kernel)}

    @override
    def interval(self, a: KernelFeatures, b: KernelFeatures, value: float, resampling: Resampling) -> Interval:
        return jackknife_interval(self, a, b, value, resampling)

    @override
    def resample(self, features: KernelFeatures, counts: np.ndarray) -> KernelFeatures:
        rows = repeated(counts[features.trial])
        return self._features(features.layout, features.kernel[np.ix_(rows, rows)], features.trial[rows])

    def _features(self, layout: Layout, kernel: np.ndarray, trial: np.ndarray) -> KernelFeatures:
        kernel = centred(kernel)
        hsic = unbiased_own_hsic(kernel) if self.unbiased else float((kernel**2).sum())
        return KernelFeatures(layout, kernel, trial, hsic)


@dataclass(frozen=True, eq=False)
class LinearFeatures:
    """States (sample, unit) about their mean, those of all trials one after the other."""

    layout: Layout
    rows: np.ndarray
    lengths: np.ndarray  # how many of the rows are of each trial
    hsic: float  # of the kernel with itself

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return self.layout.n_trials


@dataclass(frozen=True)
class UnbiasedCKA(Measure):
    """Unbiased CKA with a linear kernel.

    Attributes
    ----------
    max_samples : int or None
        None: all states. Else at most this many, drawn from all trials and steps.
    """

    max_samples: int | None = None

    def __post_init__(self):
        if self.max_samples is not None:
            check_int("max_samples", self.max_samples, 4, hint="Or None for all states.")

    @property
    @override
    def traits(self) -> Traits:
        states = "all states" if self.max_samples is None else f"at most {self.max_samples} states"
        return Traits(
            name="cka_unbiased",
            version="2",
            summary=f"linear CKA, unbiased, on {states}",
            needs="paired trajectories",
            low=-1.0,
            high=1.0,
            perfect=1.0,
            higher_is_more_similar=True,
            invariances=_INVARIANCES,
            blind_to=OFF_DATA | {"other dynamics, same geometry"},
            reference="Kornblith et al. 2019; Song et al. 2012, eq. 5",
        )

    @override
    def prepare(self, system: System, train: System | None = None) -> LinearFeatures:
        del train
        samples = Samples.of(system)
        check_varies(samples, self.name)
        rows, trial = spread_rows(samples, samples.layout.n_samples if self.max_samples is None else self.max_samples)
        check_enough(samples.layout, len(rows), self.name)
        rows, lengths = about_mean(rows), np.bincount(trial, minlength=samples.n_trials)
        own = LinearSums.of(rows, rows, lengths).weighted(np.ones(len(lengths))).own()
        check_defined(samples.layout, own, self.name)
        return LinearFeatures(samples.layout, rows, lengths, own)

    @override
    def compare(self, a: LinearFeatures, b: LinearFeatures) -> tuple[float, dict[str, Any]]:
        check_paired(a.layout, b.layout, self.name)
        # as one trial: sums by trial are for resamples
        cross = LinearSums.of(a.rows, b.rows, np.array([len(a.rows)])).weighted(np.ones(1)).hsic()
        value = cross / np.sqrt(a.hsic * b.hsic)
        return float(np.clip(value, -1.0, 1.0)), {"n_samples": len(a.rows)}

    @override
    def compare_many(self, a, b, pairs):
        return map_threads(lambda pair: self.compare_or_nan(a[pair[0]], b[pair[1]]), pairs)

    @override
    def interval(self, a: LinearFeatures, b: LinearFeatures, value: float, resampling: Resampling) -> Interval:
        return jackknife_interval(self, a, b, value, resampling, corrected=True)

    @override
    def compare_resampled(self, a, b, counts_a, counts_b):
        del counts_b  # trials are paired
        check_paired(a.layout, b.layout, self.name)
        xx, yy, xy = (LinearSums.of(s.rows, t.rows, a.lengths) for s, t in ((a, a), (b, b), (a, b)))
        values = np.full(len(counts_a), np.nan)
        for k, c in enumerate(counts_a):
            if c @ a.lengths > 3:
                values[k] = xy.weighted(c).hsic() / np.sqrt(xx.weighted(c).own() * yy.weighted(c).own())
        return np.clip(values, -1.0, 1.0)


def check_enough(layout: Layout, n_states: int, measure: str) -> None:
    """Raise ValueError below the four states that the estimates need."""
    if n_states < 4:
        raise ValueError(f"`trajectories` of {layout.name!r}: {measure!r} needs at least 4 states, got {n_states}.")


def check_defined(layout: Layout, hsic: float, measure: str) -> None:
    """Raise `Undefined` unless the criterion of a kernel with itself is positive."""
    if not hsic > 0:
        raise Undefined(
            f"`trajectories` of {layout.name!r}: {measure!r} is undefined (0/0), got states whose HSIC with "
            "themselves is not positive, as where no two states share a unit. Use 'cka', or more states."
        )


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

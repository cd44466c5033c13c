"""Timescale distance: do the activities of two systems keep their past for as long?

The time constant of a principal component is the lag at which its autocorrelation

    rho(l) = mean of x(t) x(t + l) / mean of x(t)^2          (over the steps of all trials, about the overall mean)

has fallen to 1/e, between samples on the straight line (Murray et al. 2014 fit an exponential to single units; the
principal components do not depend on the axes, nor on how many units there are). Each component weighs what it holds of
the variance, and the distance is the Wasserstein-2 distance between the two distributions of log time constants:

    0 = equal, log 2 = 0.69 = all of one twice as slow as the other.

No trial, step or unit needs a partner. Time constants of modes, which see how components drive each other, are compared
by `spectrum_w2_continuous`, and those of fixed points by `portrait` with ``part="spectra"``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from conjugacy._check import check_int
from conjugacy.similarity.distance_intervals import distance_interval
from conjugacy.similarity.measure import Measure
from conjugacy.similarity.nulls import value_or_nan
from conjugacy.similarity.principal_components import principal_axes
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.samples import Samples, check_varies, clocks
from conjugacy.similarity.score import OFF_DATA, Interval, Traits
from conjugacy.system import System

_CHOSEN_ANEW = 12  # components whose axes resamples choose anew: the others hold next to nothing


@dataclass(frozen=True, eq=False)
class Autocorrelation:
    """Lagged products of principal components, trial by trial.

    Attributes
    ----------
    name : str
    products : array (trial, lag, component)
        Sums of x(t) x(t + lag) over the steps of each trial.
    counts : array (trial, lag)
        Numbers of summands.
    dt : float or None
        Seconds per step.
    leading : array (trial, time, component)
        The leading components themselves, zero past the end of a trial; resamples of trials choose their axes anew
        among them.
    """

    name: str
    products: np.ndarray
    counts: np.ndarray
    dt: float | None
    leading: np.ndarray

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return len(self.counts)

    def time_constants(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Steps to 1/e, shares of the variance, and whether 1/e was reached within the lags, (component,) each."""
        mean = self.products.sum(0) / np.maximum(self.counts.sum(0), 1)[:, None]
        rho = mean / mean[0]
        below = rho < np.exp(-1)
        reached = below.any(0)
        after = np.where(reached, below.argmax(0), len(rho) - 1)
        component = np.arange(rho.shape[1])
        high, low = rho[after - 1, component], rho[after, component]
        crossing = after - 1 + (high - np.exp(-1)) / np.where(reached, high - low, 1.0)
        return np.where(reached, crossing, len(rho) - 1), mean[0] / mean[0].sum(), reached


@dataclass(frozen=True)
class Timescales(Measure):
    """Distance between the time constants of principal components; see the module docstring.

    Attributes
    ----------
    max_lag : int or None
        Longest lag in steps; a component whose autocorrelation has not fallen to 1/e by then counts as if it had just
        there. None: half of the shortest trial.
    """

    # what makes two systems unrelated and keeps their time constants leaves it as it is: only other systems are a null
    automatic_null: ClassVar[str | None] = None
    # the autocovariances of principal components are all that it sees
    unmoved_by: ClassVar[frozenset[str]] = frozenset({"phase_randomised", "independent_phases"})

    max_lag: int | None = None

    def __post_init__(self):
        if self.max_lag is not None:
            check_int("max_lag", self.max_lag, 1)

    @property
    @override
    def traits(self) -> Traits:
        return Traits(
            name="timescales",
            version="1",
            summary="Wasserstein-2 distance of log time constants of principal components, weighted by their variance",
            needs="trajectories",
            low=0.0,
            high=np.inf,
            perfect=0.0,
            higher_is_more_similar=False,
            is_metric=True,
            invariances=frozenset(
                {"rotation", "mirror", "permutation", "scaling", "translation", "other size", "observation noise"}
            ),
            blind_to=OFF_DATA | {"other dynamics, same geometry"},
            reference="Murray et al. 2014, eq. 1",
        )

    @override
    def prepare(self, system: System, train: System | None = None) -> Autocorrelation:
        del train  # nothing is fitted across systems
        samples = Samples.of(system)
        check_varies(samples, self.name)
        shortest = int(samples.lengths.min())
        lag = max(1, shortest // 2) if self.max_lag is None else self.max_lag
        if lag >= shortest:
            raise ValueError(
                f"`max_lag`: {self.name!r} needs trials longer than the longest lag, {lag}, got a trial of {shortest} "
                f"steps in {system.name!r}. Use longer trials or a smaller max_lag."
            )
        mean, _, axes = principal_axes(samples.rows())
        x = (samples.x - mean) @ axes * samples.valid[..., None]
        # padded with zeros, the products of the transform are sums over lags, not over a circle
        spectrum = np.fft.rfft(x, 2 * x.shape[1], axis=1)
        products = np.fft.irfft(np.abs(spectrum) ** 2, 2 * x.shape[1], axis=1)[:, : lag + 1]
        counts = samples.lengths[:, None] - np.arange(lag + 1)
        return Autocorrelation(system.name, products, counts, system.dt, x[..., :_CHOSEN_ANEW])

    @override
    def resample(self, features: Autocorrelation, counts: np.ndarray) -> Autocorrelation:
        return _resampled(features, np.asarray(counts)[None], _crossed(features))[0]

    @override
    def interval(self, a: Autocorrelation, b: Autocorrelation, value: float, resampling: Resampling) -> Interval | None:
        return distance_interval(self, a, b, value, resampling, chosen_anew=True)

    @override
    def compare_resampled(
        self, a: Autocorrelation, b: Autocorrelation, counts_a: np.ndarray, counts_b: np.ndarray
    ) -> np.ndarray:
        sides = (_resampled(f, c, _crossed(f)) for f, c in ((a, counts_a), (b, counts_b)))
        return np.array([value_or_nan(self, x, y) for x, y in zip(*sides)])

    @override
    def compare(self, a: Autocorrelation, b: Autocorrelation) -> tuple[float, dict[str, Any]]:
        sides, details = [], {}
        for label, f, dt in zip("ab", (a, b), clocks(a, b, self.name)):
            steps, weights, reached = f.time_constants()
            sides.append((np.log(steps * dt), weights))
            details[f"time_constants_{label}"] = steps * dt
            details[f"weights_{label}"] = weights
            details[f"beyond_max_lag_{label}"] = float(weights[~reached].sum())  # share of the variance
        return weighted_wasserstein(*sides[0], *sides[1]), details


def _crossed(features: Autocorrelation) -> np.ndarray:
    """Symmetric parts of the lagged products of all pairs of leading components, (trial, lag, component, component)."""
    x, n_lags = features.leading, features.products.shape[1]
    spectrum = np.fft.rfft(x, 2 * x.shape[1], axis=1)
    out = np.empty((len(x), n_lags, x.shape[2], x.shape[2]))
    for i in range(x.shape[2]):
        # the real part of a cross-spectrum is that of the symmetric part of the lagged products
        both = (spectrum[..., i : i + 1].conj() * spectrum[..., : i + 1]).real
        out[..., i, : i + 1] = np.fft.irfft(both, 2 * x.shape[1], axis=1)[:, :n_lags]
        out[..., : i + 1, i] = out[..., i, : i + 1]
    return out


def _resampled(features: Autocorrelation, counts: np.ndarray, crossed: np.ndarray) -> list[Autocorrelation]:
    """The features under trial counts (resample, trial), with the leading axes chosen anew in each."""
    n_lags, c = crossed.shape[1], crossed.shape[2]
    summed = (counts @ crossed.reshape(len(crossed), -1)).reshape(len(counts), n_lags, c, c)
    axes = np.linalg.eigh(summed[:, 0])[1]
    turned = np.einsum("rpi,rlpq,rqi->rli", axes, summed, axes, optimize=True)
    rest = np.tensordot(counts, features.products[..., c:], 1)
    products = np.concatenate([turned, rest], axis=-1)
    return [
        replace(features, products=p[None], counts=(k @ features.counts)[None], leading=features.leading[:1])
        for p, k in zip(products, counts)
    ]


def weighted_wasserstein(x: np.ndarray, p: np.ndarray, y: np.ndarray, q: np.ndarray) -> float:
    """W2 between points on the line x, y (point,) with weights p, q that sum to 1: the distance of quantiles."""
    (x, p), (y, q) = ((v[order], np.cumsum(w[order])) for v, w in ((x, p), (y, q)) for order in [np.argsort(v)])
    levels = np.union1d(p[:-1], q[:-1])
    edges = np.concatenate([[0.0], levels, [1.0]])
    middle = (edges[1:] + edges[:-1]) / 2
    quantiles = (v[np.minimum(np.searchsorted(c, middle), len(v) - 1)] for v, c in ((x, p), (y, q)))
    return float(np.sqrt(np.sum(np.diff(edges) * np.square(np.subtract(*quantiles)))))

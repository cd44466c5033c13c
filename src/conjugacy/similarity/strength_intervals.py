"""Intervals of measures that add up strengths which noise can only raise: canonical correlations, nuclear norms.

Where two systems share nothing along some directions, the singular values s of their cross-covariance are not zero but
of the order trials^-1/2, and so is the bias of their sum, which no correction for a bias of order 1 / trials removes.
There noise adds c / trials to their squares, so they are shrunk: a quantity q with mean m in halves of the trials, to

    q*^2 = max(0, q^2 - (m^2 - q^2)),           q* = q - (m - q) nearly, the usual correction, where noise is small.

For each pair of singular directions q is the share of its singular value in the power of both systems, or the
correlation r along it, which says how far the sum is from the highest one possible and is hardly moved where the two
systems are nearly one: s* = s (r^2 f_r + (1 - r^2) f_s), f = q* / q. The value less its bias is that of the s*. The
width is that of a jackknife over trials, the larger of two: of the value, and of the value less its bias,

    value* -+ t sd_J,    sd_J^2 = (g - 1) / g  sum (J - mean J)^2.

How often they cover the truth is measured in docs/calibration.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from conjugacy.similarity.canonical import n_forced
from conjugacy.similarity.covariance import Coordinates, Covariances, trial_sums, weighted_covariances
from conjugacy.similarity.distance_intervals import halves
from conjugacy.similarity.jackknife import group_counts
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.score import Interval

FEWEST_TRIALS = 10  # of which halves are made
_ROUNDING = 1e-6
METHOD = "jackknife over trials, about the value less its bias from halves"


class Strengths(NamedTuple):
    """Singular values (strength,) of a cross-covariance, correlations along their directions, and powers of both."""

    s: np.ndarray
    r: np.ndarray
    x2: float
    y2: float

    @classmethod
    def of(cls, xx: np.ndarray, yy: np.ndarray, xy: np.ndarray) -> Strengths:
        """From covariances (component, component) of two systems in any coordinates."""
        left, s, right = np.linalg.svd(xy, full_matrices=False)
        along = np.einsum("is,ij,js->s", left, xx, left) * np.einsum("si,ij,sj->s", right, yy, right)
        r = np.divide(s, np.sqrt(along), out=np.zeros(len(s)), where=along > 0)
        return cls(s, r.clip(0, 1), float(np.trace(xx)), float(np.trace(yy)))

    @property
    def relative(self) -> np.ndarray:
        """Shares of the power of both systems, and correlations, (2, strength)."""
        return np.stack([self.s / np.sqrt(self.x2 * self.y2), self.r])


def strength_interval(
    strengths_of: Callable[[Covariances], Strengths],
    value_of: Callable[[Strengths], float],
    a: Coordinates,
    b: Coordinates,
    value: float,
    resampling: Resampling,
    low: float,
    high: float,
) -> Interval:
    """The interval of the module docstring for prepared `a` and `b`, cut to [low, high].

    Undefined (NaN, with the reason as its method) where there are fewer than ten trials, or where a half of them has so
    few samples that some correlations are 1 by algebra.
    """
    from scipy.stats import t

    level, n_trials = resampling.interval, a.n_trials
    assert level is not None
    if n_trials < FEWEST_TRIALS:
        return _none(level, f"{n_trials} trials: below {FEWEST_TRIALS}, the bias of the value is not known")
    rng = np.random.default_rng(resampling.seed)
    sums = trial_sums(a, b)
    by_half = [weighted_covariances(sums, counts) for counts in halves(n_trials, rng)]
    if any(n_forced(c.n, len(c.xx), len(c.yy)) for c in by_half):
        return _none(level, "half of the trials has too few samples for so many dimensions. Use more trials")
    whole = strengths_of(weighted_covariances(sums, np.ones(n_trials, dtype=int)))
    of_halves = [strengths_of(c) for c in by_half]
    added = [
        np.mean(of_half, axis=0) ** 2 - of_whole**2
        for of_half, of_whole in zip(np.stack([f.relative for f in of_halves], axis=1), whole.relative)
    ]
    # what the mean over few trials takes off all variances
    gain_x, gain_y = 2 - np.mean([(f.x2 / whole.x2, f.y2 / whole.y2) for f in of_halves], axis=0)

    def less_bias(found: Strengths) -> Strengths:
        by_share, by_r = (_shrunk(q, more) for q, more in zip(found.relative, added))
        s = found.s * (found.r**2 * by_r + (1 - found.r**2) * by_share)
        return Strengths(s * np.sqrt(gain_x * gain_y), found.r, found.x2 * gain_x, found.y2 * gain_y)

    left_out = [strengths_of(weighted_covariances(sums, counts)) for counts in group_counts(n_trials, rng)]
    spread = 0.0
    for change in (lambda found: found, less_bias):
        values = np.array([value_of(change(found)) for found in left_out])
        spread = max(spread, float(np.sqrt((len(values) - 1) / len(values) * ((values - values.mean()) ** 2).sum())))
    bias = value_of(whole) - value_of(less_bias(whole))
    if np.ptp([value_of(found) for found in of_halves]) < _ROUNDING:  # the same system twice: no trials differ
        bias = spread = 0.0
    if not np.isfinite(bias + spread + value):
        return _none(level, "undefined without some of the trials")
    width = t.ppf((1 + level) / 2, len(left_out) - 1) * spread
    ends = np.clip([value - bias - width, value - bias + width], low, high)
    return Interval(float(ends[0]), float(ends[1]), level, METHOD, bias, len(left_out) + len(by_half))


def _shrunk(q: np.ndarray, more: np.ndarray) -> np.ndarray:
    """q* / q, where noise has added `more` to q^2."""
    return np.sqrt((1 - np.divide(more, q**2, out=np.ones(len(q)), where=q > 0)).clip(0.0))


def _none(level: float, reason: str) -> Interval:
    nan = float("nan")
    return Interval(nan, nan, level, reason, nan, 0)

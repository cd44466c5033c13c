"""Intervals of distances between fitted systems, whose estimates noise pushes up and choices of the data push about.

A distance between two fits grows with the noise in both: about its true value, resampled values tell neither the bias
nor, where the fit begins with a choice (of the leading components, say), all of the variance, unless the choice is made
anew in each resample. Three sets of values are made from the trials:

    R   bootstrap: trials drawn with replacement
    H   halves: random halves of the trials, without replacement; the variance of a half about the whole is that of the
        whole about the truth, and if the bias goes as 1 / trials, mean(H) - value estimates it
    J   ten values, each without a tenth of the trials (the delete-a-group jackknife)

With a choice, the interval is the hull of two: noise adds to squared distances, so the squares of halves give the low
end, and the truth may lie above the value, so the high end is the larger one of halves and bootstrap:

    low  = sqrt(2 v^2 - mean(H^2) - z sd(H^2))
    high = max(sqrt(2 v^2 - mean(H^2) + z sd(H^2)), upper quantile of R)

Without one, the estimate is smooth, and the interval is about the value freed of its bias (Quenouille 1956 with halves;
Shao and Tu 1995, section 2.3, for the variance):

    2 v - mean(H) -+ t sd_J,       sd_J^2 = (g - 1) / g  sum (J - mean J)^2,  g = 10 groups, t with g - 1 degrees

How often they cover the truth is measured in docs/calibration.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conjugacy.similarity.bootstrap import check_enough_trials
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.score import Interval

if TYPE_CHECKING:
    from conjugacy.similarity.measure import Measure

FEWEST_TRIALS = 20  # with fewer, the bias exceeds the spread, and no interval tried covers
_SPLITS = 20  # into two halves
_GROUPS = 10


def distance_interval(
    measure: Measure, a: Any, b: Any, value: float, resampling: Resampling, *, chosen_anew: bool
) -> Interval:
    """The interval of the module docstring for prepared `a` and `b`, whose trials are not paired.

    `chosen_anew`: whether a fit begins with a choice that resamples make anew. `Interval.bias` is mean(H) - value.
    Undefined (NaN, with the reason as its method) below 20 trials of either system, or if resamples have no value.
    """
    from scipy.stats import norm, t

    check_enough_trials(measure, a, b)
    level, rng = resampling.interval, np.random.default_rng(resampling.seed)
    assert level is not None
    counts = (measure.n_trials(a), measure.n_trials(b))
    method = (
        "hull of half-samples and bootstrap over trials" if chosen_anew else "half-samples and jackknife over trials"
    )
    if min(counts) < FEWEST_TRIALS:
        return _none(level, f"{min(counts)} trials: below {FEWEST_TRIALS}, the bias of this distance is not known", 0)
    by_half = [halves(k, rng) for k in counts]
    others = (
        measure.draw_trials(a, b, resampling.n_resamples, rng)
        if chosen_anew
        else [_without_a_group(k, rng) for k in counts]
    )
    joined = (np.concatenate([by_half[side], others[side]]) for side in (0, 1))
    values = measure.compare_resampled(a, b, *joined)
    h, rest = values[: 2 * _SPLITS], values[2 * _SPLITS :]
    h, rest = h[np.isfinite(h)], rest[np.isfinite(rest)]
    if min(len(h), len(rest)) < _GROUPS or not np.isfinite(value):
        return _none(level, f"{len(h) + len(rest)} of {len(values)} resamples have a value", len(h) + len(rest))
    if chosen_anew:
        squares, z = h**2, norm.ppf((1 + level) / 2) if level < 1 else np.inf
        middle, width = 2 * value**2 - squares.mean(), z * squares.std(ddof=1)
        low, high = np.sqrt(np.maximum([middle - width, middle + width], 0.0))
        high = max(high, float(np.quantile(rest, (1 + level) / 2)))
    else:
        spread = np.sqrt((_GROUPS - 1) / _GROUPS * np.sum((rest - rest.mean()) ** 2))
        width = t.ppf((1 + level) / 2, _GROUPS - 1) * spread
        low, high = 2 * value - h.mean() - width, 2 * value - h.mean() + width
    low, high = np.clip([low, high], measure.traits.low, measure.traits.high)
    return Interval(float(low), float(high), level, method, float(h.mean() - value), len(h) + len(rest))


def halves(n_trials: int, rng: np.random.Generator) -> np.ndarray:
    """Counts (2 splits, trial): random halves; with an odd number of trials one is left out of both."""
    half, counts = n_trials // 2, []
    for _ in range(_SPLITS):
        order = rng.permutation(n_trials)
        for chosen in (order[:half], order[half : 2 * half]):
            counts.append(np.bincount(chosen, minlength=n_trials))
    return np.array(counts)


def _without_a_group(n_trials: int, rng: np.random.Generator) -> np.ndarray:
    """Counts (group, trial): all trials but those of one of ten groups."""
    group = rng.permutation(np.arange(n_trials) % _GROUPS)
    return np.array([(group != g).astype(int) for g in range(_GROUPS)])


def _none(level: float, reason: str, n_values: int) -> Interval:
    nan = float("nan")
    return Interval(nan, nan, level, reason, nan, n_values)

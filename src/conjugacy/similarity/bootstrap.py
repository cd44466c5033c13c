"""Bootstrap intervals over trials.

Trials are drawn with replacement (the same ones in both systems where trials are paired), the value is recomputed, and
the quantiles of the resampled values, shifted so that their mean falls on the value, are reported. The shift removes
what resampling itself adds: repeated trials carry less information, so distances grow and fits shrink.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.score import Interval

if TYPE_CHECKING:
    from conjugacy.similarity.measure import Measure

_METHOD = "centred bootstrap over trials"
_LEAST = 10  # resampled values: quantiles of fewer mean nothing


def bootstrap_values(measure: Measure, a: Any, b: Any, n_resamples: int, seed: int) -> np.ndarray:
    """Values (resample,) of `measure` for prepared features `a` and `b` under resampled trials."""
    check_enough_trials(measure, a, b)
    counts_a, counts_b = measure.draw_trials(a, b, n_resamples, np.random.default_rng(seed))
    return measure.compare_resampled(a, b, counts_a, counts_b)


def check_enough_trials(measure: Measure, a: Any, b: Any) -> None:
    """Raise ValueError where prepared features have too few trials to resample, or do not depend on trials."""
    fewest = min(measure.n_trials(a), measure.n_trials(b))
    if fewest == 0:
        measure.resample(a, np.ones(1, dtype=int))  # raises: no trials, no intervals
    if fewest < 3:
        raise ValueError(
            f"`interval`: expected at least 3 trials to resample, got {fewest}. Use interval=None, or cut the "
            "recording into trials."
        )


def centred_interval(values: np.ndarray, value: float, level: float, low: float, high: float) -> Interval:
    """The interval of the module docstring from resampled `values`, cut to the range [low, high] of the measure."""
    defined = values[np.isfinite(values)]
    if len(defined) < _LEAST or not np.isfinite(value):
        nan = float("nan")
        reason = f"{_METHOD}: undefined, {len(defined)} of {len(values)} resamples have a value"
        return Interval(nan, nan, level, reason, nan, len(defined))
    bias = float(defined.mean() - value)
    tail = (1 - level) / 2
    quantiles = np.quantile(defined - bias, [tail, 1 - tail])
    lo, hi = np.clip(quantiles, low, high)
    return Interval(float(lo), float(hi), level, _METHOD, bias, len(defined))


def bootstrap_interval(measure: Measure, a: Any, b: Any, value: float, resampling: Resampling) -> Interval:
    """Bootstrap interval over trials for prepared features `a` and `b`; see the module docstring."""
    assert resampling.interval is not None
    values = bootstrap_values(measure, a, b, resampling.n_resamples, resampling.seed)
    return centred_interval(values, value, resampling.interval, measure.traits.low, measure.traits.high)

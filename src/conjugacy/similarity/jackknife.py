"""Intervals from values without one trial each: the delete-one jackknife (Shao and Tu 1995, sections 1.3 and 2.3).

    sd_J^2 = (g - 1) / g  sum (J - mean J)^2,        value -+ t sd_J,    t with g - 1 degrees of freedom

for g values J. Unlike a bootstrap it never pairs a state with its own copy, which measures of similarities between
states take for agreement. With very many trials, groups of them are left out. `corrected` puts the interval about the
value less the jackknife's estimate of its bias, (g - 1) (mean J - value) (Quenouille 1956). A bias larger than the
interval is wide is not known well enough to be taken off, and there is no interval then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conjugacy.similarity.bootstrap import check_enough_trials
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.score import Interval

if TYPE_CHECKING:
    from conjugacy.similarity.measure import Measure

_MOST_GROUPS = 100
_LARGEST_BIAS = 2.0  # times half of the width


def jackknife_interval(
    measure: Measure, a: Any, b: Any, value: float, resampling: Resampling, *, corrected: bool = False
) -> Interval:
    """The interval of the module docstring for prepared features `a` and `b` of paired trials.

    Undefined (NaN, with the reason as its method) where the measure is undefined without some of the trials.
    """
    from scipy.stats import t

    check_enough_trials(measure, a, b)
    level, n_trials = resampling.interval, measure.n_trials(a)
    assert level is not None
    g = min(n_trials, _MOST_GROUPS)
    group = np.random.default_rng(resampling.seed).permutation(np.arange(n_trials) % g)
    counts = (group != np.arange(g)[:, None]).astype(int)
    values = measure.compare_resampled(a, b, counts, counts)
    if not np.isfinite(values).all() or not np.isfinite(value):
        nan = float("nan")
        reason = f"undefined without {int((~np.isfinite(values)).sum())} of the {g} groups of trials"
        return Interval(nan, nan, level, reason, nan, int(np.isfinite(values).sum()))
    bias = float((g - 1) * (values.mean() - value))
    width = t.ppf((1 + level) / 2, g - 1) * np.sqrt((g - 1) / g * ((values - values.mean()) ** 2).sum())
    if corrected and abs(bias) > _LARGEST_BIAS * width:
        nan = float("nan")
        reason = f"the bias of the value, about {bias:.2g}, exceeds its spread. Use more trials, or fewer dimensions"
        return Interval(nan, nan, level, reason, nan, g)
    centre = value - bias if corrected else value
    low, high = np.clip([centre - width, centre + width], measure.traits.low, measure.traits.high)
    method = f"jackknife over trials{', about the value less its bias' if corrected else ''}"
    return Interval(float(low), float(high), level, method, bias, g)

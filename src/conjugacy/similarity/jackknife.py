"""Intervals from values without one trial each: the delete-one jackknife (Shao and Tu 1995, sections 1.3 and 2.3).

    sd_J^2 = (g - 1) / g  sum (J - mean J)^2,        value -+ t sd_J,    t with g - 1 degrees of freedom

for g values J. Unlike a bootstrap it never pairs a state with its own copy, which measures of similarities between
states take for agreement. With very many trials, groups of them are left out.

`corrected` puts the interval about the value less the jackknife's estimate of its bias, (g - 1) (mean J - value)
(Quenouille 1956). This removes what falls as 1 / trials: what noise that neighbouring steps of a trial share adds to
the norm of a kernel, or what a regression on few trials loses on others. Where the bias falls more slowly (canonical
directions in which there is noise alone) a large one is not known well enough to be taken off: with `most_bias`, there
is no interval where it is more than so many times half of the width.

With `parts`, trials of two or more kinds (fitted on, held out) are left out in turn: biases and variances add up, and
the degrees of freedom are those of Satterthwaite (1946), (sum V)^2 / sum (V^2 / (g - 1)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conjugacy.similarity.bootstrap import check_enough_trials
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.score import Interval

if TYPE_CHECKING:
    from conjugacy.similarity.measure import Measure

MOST_GROUPS = 100


def jackknife_interval(
    measure: Measure,
    a: Any,
    b: Any,
    value: float,
    resampling: Resampling,
    *,
    corrected: bool = False,
    most_bias: float | None = None,
    parts: np.ndarray | None = None,
) -> Interval:
    """The interval of the module docstring for prepared features `a` and `b` of paired trials.

    Undefined (NaN, with the reason as its method) where the measure is undefined without some of the trials.
    `parts` (trial,): the part of each trial.
    """
    from scipy.stats import t

    check_enough_trials(measure, a, b)
    level, n_trials = resampling.interval, measure.n_trials(a)
    assert level is not None
    rng = np.random.default_rng(resampling.seed)
    parts = np.zeros(n_trials, dtype=int) if parts is None else parts
    counts, sizes = [], []
    for part in np.unique(parts):
        trials = np.flatnonzero(parts == part)
        if len(trials) < 2:
            return _none(level, "one trial of a part tells nothing of how others would differ. Use more trials", 0)
        kept = np.ones((min(len(trials), MOST_GROUPS), n_trials), dtype=int)
        kept[:, trials] = group_counts(len(trials), rng)
        counts.append(kept)
        sizes.append(len(kept))
    left_out = np.concatenate(counts)
    values = measure.compare_resampled(a, b, left_out, left_out)
    if not np.isfinite(values).all() or not np.isfinite(value):
        reason = f"undefined without {int((~np.isfinite(values)).sum())} of the {len(values)} groups of trials"
        return _none(level, reason, int(np.isfinite(values).sum()))
    of_parts, g = np.split(values, np.cumsum(sizes)[:-1]), np.array(sizes)
    bias = float(sum((len(v) - 1) * (v.mean() - value) for v in of_parts))
    variances = np.array([(len(v) - 1) / len(v) * ((v - v.mean()) ** 2).sum() for v in of_parts])
    total = variances.sum()
    freedom = total**2 / (variances**2 / (g - 1)).sum() if total > 0 else g.sum() - 1
    width = t.ppf((1 + level) / 2, freedom) * np.sqrt(total)
    if most_bias is not None and abs(bias) > most_bias * width:
        reason = f"the bias of the value, about {bias:.2g}, exceeds its spread. Use more trials, or fewer dimensions"
        return _none(level, reason, len(values))
    centre = value - bias if corrected else value
    low, high = np.clip([centre - width, centre + width], measure.traits.low, measure.traits.high)
    method = f"jackknife over trials{', about the value less its bias' if corrected else ''}"
    return Interval(float(low), float(high), level, method, bias, len(values))


def group_counts(n_trials: int, rng: np.random.Generator) -> np.ndarray:
    """Counts (group, trial): all trials but one, or but those of one of `MOST_GROUPS` groups."""
    g = min(n_trials, MOST_GROUPS)
    group = rng.permutation(np.arange(n_trials) % g)
    return (group != np.arange(g)[:, None]).astype(int)


def _none(level: float, reason: str, n_values: int) -> Interval:
    nan = float("nan")
    return Interval(nan, nan, level, reason, nan, n_values)

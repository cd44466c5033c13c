"""Interval of an estimate whose variance is a sum of estimated variances (Welch 1947, Biometrika 34:28)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from conjugacy.similarity.half_samples import ENOUGH_HALVES


def variance_of_halves(halves: np.ndarray) -> tuple[float, int]:
    """Variance of values (half-sample,) and its degrees of freedom; infinite where too few are defined."""
    defined = np.isfinite(halves)
    if defined.mean() < ENOUGH_HALVES:
        return math.inf, 1
    return float(halves[defined].var(ddof=1)), int(defined.sum()) - 1


def variance_of_mean(values: np.ndarray) -> tuple[float, int]:
    """Variance of the mean of values (sample,) and its degrees of freedom; infinite for one value."""
    n = len(values)
    return (float(values.var(ddof=1)) / n, n - 1) if n > 1 else (math.inf, 1)


def jackknife_variance(left_out: np.ndarray) -> tuple[float, int]:
    """Variance from values (sample,) with one sample left out each, and its degrees of freedom."""
    n = len(left_out)
    if not np.isfinite(left_out).all():
        return math.inf, 1
    return float((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()), n - 1


def interval_of_sum(value: float, parts: Sequence[tuple[float, int]], level: float) -> tuple[float, float]:
    """Interval of `value` at `level`, from variances with their degrees of freedom; all numbers where one is infinite.

    Welch's and Satterthwaite's degrees of freedom of the sum, and the quantile of t.
    """
    from scipy.stats import t as student  # slow to import

    variance = sum(v for v, _ in parts)
    if not math.isfinite(variance) or not math.isfinite(value):
        return -math.inf, math.inf
    df = variance**2 / max(sum(v**2 / n for v, n in parts), 1e-300) if variance > 0 else 1.0
    reach = float(student.ppf((1 + level) / 2, df)) * math.sqrt(variance)
    return value - reach, value + reach

"""Scores that are ratios of sums over trials, so that a bootstrap over trials costs no pass over the data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy


@dataclass(frozen=True, eq=False)
class TrialSums:
    """A score: sum of `above` over sum of `below`, or what that lacks of 1.

    Attributes
    ----------
    above, below : array (trial,)
    lacks : bool
        True for an R2: `above` are squared errors, `below` squares about the mean.
    """

    above: np.ndarray
    below: np.ndarray
    lacks: bool = False

    @property
    def value(self) -> float:
        """The score on all trials; NaN where there is nothing to divide by."""
        return float(self.values(np.ones((1, len(self.above))))[0])

    def values(self, weights: np.ndarray) -> np.ndarray:
        """The score (resample,) where trials are counted `weights` (resample, trial) times."""
        below = weights @ self.below
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(below > 0, weights @ self.above / below, np.nan)
        return 1 - ratio if self.lacks else ratio


def bits(rates: np.ndarray, counts: np.ndarray, inside: np.ndarray, null: np.ndarray) -> TrialSums:
    """Bits per spike over constant rates.

    Parameters
    ----------
    rates, counts : array (trial, time, unit)
        Expected and observed counts per bin.
    inside : bool array (trial, time)
        Which bins count.
    null : array (unit,)
        Constant expected counts per bin, > 0.
    """
    gain = xlogy(counts, rates) - xlogy(counts, null) - (rates - null)
    weight = inside[..., None]
    return TrialSums((gain * weight).sum((1, 2)) / math.log(2), (counts * weight).sum((1, 2)))


def r2(true: np.ndarray, predicted: np.ndarray, inside: np.ndarray) -> TrialSums:
    """Variance-weighted R2 of `predicted` (trial, time, unit) against `true`, over the bins `inside` (trial, time)."""
    weight = inside[..., None]
    off = true - true[inside].mean(0)
    return TrialSums(((true - predicted) ** 2 * weight).sum((1, 2)), (off**2 * weight).sum((1, 2)), True)

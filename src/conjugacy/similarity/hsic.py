"""Unbiased estimates of the Hilbert-Schmidt independence criterion, from kernel matrices or from sums over trials.

The U-statistic of Song et al. 2012, eq. 5, for kernels K, L between m samples with their diagonals set to zero, is

    HSIC = (tr(K L) + 1'K1 1'L1 / ((m - 1)(m - 2)) - 2 1'K L1 / (m - 2)) / (m (m - 3)).

For linear kernels K = X X' and L = Y Y' no matrix between samples is needed: with d_i = |x_i|^2, e_i = |y_i|^2,

    tr(K L)  = |X'Y|^2 - sum_i d_i e_i,        (K 1)_i = x_i' sum_j x_j - d_i,

so all follows from the sums of x, y, d, e, x y', d y, e x and d e over samples, which add up over trials.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_UNDEFINED = 1e-10  # share of its terms below which an estimate of a kernel with itself is rounding


class LinearSums(NamedTuple):
    """Sums over the samples of each trial, (trial, ...), of two systems x, y; d = |x|^2 and e = |y|^2."""

    n: np.ndarray
    x: np.ndarray
    y: np.ndarray
    d: np.ndarray
    e: np.ndarray
    xy: np.ndarray
    dy: np.ndarray
    ex: np.ndarray
    de: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, lengths: np.ndarray) -> LinearSums:
        """From samples (sample, unit) of all trials, one after the other."""
        cuts = np.cumsum(lengths)[:-1]
        rows = []
        for a, b in zip(np.split(x, cuts), np.split(y, cuts)):
            d, e = (a**2).sum(1), (b**2).sum(1)
            rows.append((len(a), a.sum(0), b.sum(0), d.sum(), e.sum(), a.T @ b, d @ b, e @ a, d @ e))
        return cls(*(np.array(column, dtype=float) for column in zip(*rows)))

    def weighted(self, counts: np.ndarray) -> LinearSums:
        """The sums over all trials, trial k counted ``counts[k]`` times."""
        return LinearSums(*(np.tensordot(counts.astype(float), values, 1) for values in self))

    def hsic(self) -> float:
        """The estimate, from sums over all trials."""
        return _combined(*self._terms())

    def own(self) -> float:
        """The estimate of a kernel with itself, where x and y are the same; NaN where it is 0 or negative."""
        size = float((self.xy**2).sum() + self.de) / float(self.n) ** 2
        return _above_rounding(self.hsic(), size)

    def _terms(self) -> tuple[float, float, float, float]:
        trace = (self.xy**2).sum() - self.de
        totals = (self.x @ self.x - self.d) * (self.y @ self.y - self.e)
        mixed = self.x @ self.xy @ self.y - self.x @ self.ex - self.y @ self.dy + self.de
        return float(self.n), float(trace), float(totals), float(mixed)


def unbiased_linear_hsic(x: np.ndarray, y: np.ndarray) -> float:
    """The estimate for linear kernels, from features (sample, unit)."""
    x, y = x - x.mean(0), y - y.mean(0)  # changes nothing but rounding
    return LinearSums.of(x, y, np.array([len(x)])).weighted(np.ones(1)).hsic()


def unbiased_hsic(x: np.ndarray, y: np.ndarray) -> float:
    """The estimate from kernel matrices (sample, sample)."""
    x, y = x - np.diag(np.diag(x)), y - np.diag(np.diag(y))
    sx, sy = x.sum(0), y.sum(0)
    return _combined(len(x), float((x * y).sum()), float(sx.sum() * sy.sum()), float(sx @ sy))


def unbiased_own_hsic(kernel: np.ndarray) -> float:
    """The estimate of a kernel (sample, sample) with itself; NaN where it is 0 or negative."""
    return _above_rounding(unbiased_hsic(kernel, kernel), float((kernel**2).sum()) / len(kernel) ** 2)


def _above_rounding(own: float, size: float) -> float:
    return own if own > _UNDEFINED * size else float("nan")


def _combined(m: float, trace: float, totals: float, mixed: float) -> float:
    return (trace + totals / ((m - 1) * (m - 2)) - 2 * mixed / (m - 2)) / (m * (m - 3))

"""Spike counts drawn at given expected counts: Poisson, over- and under-dispersed, and with a refractory period.

Whatever the model, the mean of every bin is the expected count that was asked for, exactly:

    poisson            variance m
    negative_binomial  a Poisson variable at a gamma distributed rate, variance f m with the Fano factor f > 1
    com_poisson        p(k) ~ l^k / (k!)^v with v > 1, l such that the mean is m (Conway & Maxwell 1962; Huang 2017,
                       Stat Modelling 17:359): variance below m
    refractory         at most one spike in any window of the refractory period. In small steps j the chance of a spike
                       where none fell within the last n steps is p_j / (1 - p_{j-1} - ... - p_{j-n}): refractory
                       windows hold at most one spike, so that the chance of being in none is the denominator, and the
                       chance of a spike in step j is p_j itself, whatever the time course.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from conjugacy._check import check_choice, check_number

COUNT_MODELS = ("poisson", "negative_binomial", "com_poisson", "refractory")
_STEP = 1e-3  # s, of refractory neurons
_GRID = 2000  # means at which the rate of the Conway-Maxwell distribution is solved for


def draw_counts(
    expected: np.ndarray,
    model: str,
    rng: np.random.Generator,
    *,
    bin_size: float,
    fano: float = 2.0,
    shape: float = 2.0,
    refractory: float = 0.002,
) -> np.ndarray:
    """Counts (trial, time, unit), float64, at the `expected` ones (trial, time, unit).

    Parameters
    ----------
    expected : array (trial, time, unit)
        Expected spikes per bin, >= 0.
    model : {"poisson", "negative_binomial", "com_poisson", "refractory"}
    rng : numpy Generator
    bin_size : float
        Bin width (s); used by "refractory".
    fano : float
        Variance over mean of "negative_binomial", > 1.
    shape : float
        v of "com_poisson", > 1.
    refractory : float
        Refractory period (s) of "refractory", > 0.

    Raises
    ------
    ValueError
        If an option is out of its range, or rates are too high for the refractory period.
    """
    check_choice("counts", model, COUNT_MODELS)
    if model == "poisson":
        return rng.poisson(expected).astype(np.float64)
    if model == "negative_binomial":
        check_number("fano", fano, 1, open_low=True, hint="Use counts='com_poisson' for less.")
        scale = fano - 1
        drawn = rng.gamma(np.maximum(expected, 1e-300) / scale, scale)
        return rng.poisson(np.where(expected > 0, drawn, 0.0)).astype(np.float64)
    if model == "com_poisson":
        check_number("shape", shape, 1, open_low=True, hint="Use counts='negative_binomial' for more variance.")
        return _com_poisson(expected, shape, rng)
    check_number("refractory", refractory, 0, open_low=True, hint="It is a period in seconds.")
    return _refractory(expected, bin_size, refractory, rng)


def com_poisson_moments(log_rate: np.ndarray, shape: float, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of p(k) ~ exp(k log_rate) / (k!)^shape, k = 0 ... most."""
    k = np.arange(most + 1)
    log_p = log_rate[:, None] * k - shape * gammaln(k + 1)
    p = np.exp(log_p - log_p.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    mean = p @ k
    return mean, p @ k**2 - mean**2


def _com_poisson(expected: np.ndarray, shape: float, rng: np.random.Generator) -> np.ndarray:
    high = float(expected.max(initial=0.0))
    if high == 0:
        return np.zeros_like(expected)
    low = max(float(expected[expected > 0].min()), high * 1e-9)
    most = int(np.ceil(high + 12 * np.sqrt(high) + 12))
    means = np.geomspace(low * 0.999, high * 1.001, _GRID)
    # the mean grows with the logarithm of the rate at the speed of the variance: Newton's method in log mean
    log_rate = np.where(means < 1, np.log(means), shape * np.log(means + (shape - 1) / (2 * shape)))
    for _ in range(50):
        mean, variance = com_poisson_moments(log_rate, shape, most)
        step = (np.log(mean) - np.log(means)) * mean / variance
        log_rate = log_rate - np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-12:
            break
    flat = expected.reshape(-1)
    rate = np.interp(np.log(np.maximum(flat, low)), np.log(means), log_rate)
    out, k = np.zeros(flat.size), np.arange(most + 1)
    uniform = rng.random(flat.size)
    for part in range(0, flat.size, 100_000):
        rows = slice(part, part + 100_000)
        log_p = rate[rows, None] * k - shape * gammaln(k + 1)
        p = np.exp(log_p - log_p.max(1, keepdims=True))
        cdf = np.cumsum(p, 1)
        out[rows] = (uniform[rows, None] * cdf[:, -1:] > cdf).sum(1)
    return np.where(flat > 0, out, 0.0).reshape(expected.shape)


def _refractory(expected: np.ndarray, bin_size: float, period: float, rng: np.random.Generator) -> np.ndarray:
    per_bin = max(int(np.ceil(bin_size / min(_STEP, period) - 1e-9)), 1)
    window = max(round(period / (bin_size / per_bin)), 1)
    p = np.repeat(expected / per_bin, per_bin, axis=1)
    before = np.concatenate([np.repeat(p[:, :1], window, 1), p], axis=1)
    total = np.cumsum(np.concatenate([np.zeros_like(p[:, :1]), before], 1), 1)
    free = 1 - (total[:, window:-1] - total[:, : -window - 1])
    if (p > free).any():
        rate = float((p / (bin_size / per_bin)).max())
        raise ValueError(
            f"`refractory`: expected less than one expected spike within the period and a step, got {period:g} s at up "
            f"to {rate:g} spikes per second. Shorten it, or lower the rates."
        )
    chance = p / free
    n, _, d = expected.shape
    # at most one spike within the window before the trial; `since` counts steps from the last spike
    start = rng.random((n, d)) / np.maximum(p[:, 0], 1e-300)
    since = np.where(start < window, np.floor(start), window).astype(np.int64)
    out = np.zeros_like(expected)
    for j in range(p.shape[1]):
        fires = (since >= window) & (rng.random((n, d)) < chance[:, j])
        out[:, j // per_bin] += fires
        since = np.where(fires, 0, since + 1)
    return out

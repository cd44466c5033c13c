"""How long does activity keep its past? An intrinsic time constant from short trials, corrected for bias.

Autocorrelations within a short trial are too small, and so are time constants read from them: the mean of the trial,
which is subtracted, follows the slow part of the activity. Here nothing is subtracted but means over trials, bin by bin
and condition by condition, so that the autocovariance at each lag is unbiased however short trials are (Murray et al.
2014, Nat Neurosci 17:1661). Lag 0 is left out: it has the noise of counting. Units are pooled by adding up their
autocovariances, and

    c(lag) = A exp(-lag / tau) + B,                       B for what lasts over whole trials

is fitted. A ratio of noisy estimates is biased itself, the more the fewer trials there are (Zeraati, Engel & Levina
2022, Nat Comput Sci 2:193): trials with the time constant, noise and dimension that were found are simulated, and the
mean of the logarithm by which their fits miss is taken out where it is more than two of its standard errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from conjugacy._check import check_flag, check_instance, check_int, check_number, check_optional
from conjugacy.recordings.recording import Recording

_FEWEST_TRIALS, _FEWEST_LAGS = 10, 4
_GRID = 60
_EDGE_SHARE = 0.1  # of the resamples that may end at the shortest or the longest time constant
_WIDEST = 10.0  # high over low, beyond which an interval tells nothing


@dataclass(frozen=True, eq=False)
class Timescale:
    """An intrinsic time constant.

    Attributes
    ----------
    tau : float
        Time constant (s), corrected for bias; NaN where the data cannot tell.
    low, high : float
        Its interval, trials resampled (s); NaN with `tau`.
    uncorrected : float
        What the fit gave (s).
    bias : float
        Factor by which fits to simulated trials miss their time constant; 1 where that is within two standard errors.
    lags, autocovariance : array (lag,)
        Lags (s), from one bin on, and the autocovariance summed over units.
    fit : array (lag,)
    reason : str
        Why the data cannot tell; else empty.
    """

    tau: float
    low: float
    high: float
    uncorrected: float
    bias: float
    lags: np.ndarray
    autocovariance: np.ndarray
    fit: np.ndarray
    reason: str

    def __repr__(self) -> str:
        if self.reason:
            return f"Timescale: cannot tell: {self.reason} (the fit alone gave {self.uncorrected * 1000:.0f} ms)."
        return (
            f"Timescale: {self.tau * 1000:.0f} ms [{self.low * 1000:.0f}, {self.high * 1000:.0f}] "
            f"(fit {self.uncorrected * 1000:.0f} ms, which misses by a factor of {self.bias:.2f})."
        )


def intrinsic_timescale(
    recording: Recording,
    *,
    max_lag: float | None = None,
    offset: bool = True,
    level: float = 0.95,
    n_resamples: int = 200,
    n_simulations: int = 100,
    seed: int = 0,
) -> Timescale:
    """The intrinsic time constant of the units of a recording, pooled.

    Parameters
    ----------
    recording : Recording
        Single trials, at least 10; not smoothed, which makes noise last. Means are taken by condition where there are
        conditions with several trials, else over all trials.
    max_lag : float, optional
        Longest lag (s). None: half of the shortest trial.
    offset : bool
        Whether B is fitted; else it is 0.
    level : float
        Of the interval, in (0, 1).
    n_resamples, n_simulations : int
        Resamples of trials, and simulated recordings, at least 20 each.
    seed : int

    Returns
    -------
    Timescale
        Where the fit ends at the shortest or longest time constant that lags can tell (a bin, the longest lag), or the
        interval spans a factor of more than 10 (with an offset, reaches half of the longest lag), `tau` is NaN and
        `reason` says so.

    Raises
    ------
    ValueError
        If the recording was smoothed or averaged, or has too few trials or bins.
    """
    check_instance("recording", recording, Recording)
    check_flag("offset", offset)
    check_number("level", level, 0, 1, open_low=True)
    check_int("n_resamples", n_resamples, 20)
    check_int("n_simulations", n_simulations, 20)
    check_int("seed", seed, 0)
    check_optional("max_lag", max_lag, (int, float))
    done = [s.method for s in recording.steps if s.method in ("smooth", "average", "resample")]
    if done or recording.smoothed_before:
        what = done[0] if done else "smoothing before it came here"
        raise ValueError(f"`recording`: expected single trials without smoothing, which makes noise last, got {what}.")
    if recording.n_trials < _FEWEST_TRIALS:
        raise ValueError(f"`recording`: expected at least {_FEWEST_TRIALS} trials, got {recording.n_trials}.")
    dt, shortest = recording.bin_size, int(recording.lengths.min())
    most = shortest // 2 if max_lag is None else round(check_number("max_lag", max_lag, 0, open_low=True) / dt)
    if most < _FEWEST_LAGS or most >= shortest:
        raise ValueError(
            f"`max_lag`: expected {_FEWEST_LAGS} to {shortest - 1} of the {shortest} bins of {dt:g} s, got {most}. Use "
            "narrower bins or longer trials."
        )
    residuals = _residuals(recording)
    products, counts = _lagged(residuals, recording.lengths, most)
    c = products.sum(0) / counts.sum(0)
    tau, fit, _ = _fitted(c, counts.sum(0), offset)
    lags = np.arange(1, most + 1) * dt

    rng = np.random.default_rng([seed, 4])
    n = len(products)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)
    resampled = np.array([_fitted((k @ products) / np.maximum(k @ counts, 1), k @ counts, offset)[0] for k in drawn])
    bias = _bias(tau, fit, c, residuals, recording.lengths, most, offset, n_simulations, rng) if fit[0] > 0 else np.nan
    tail = (1 - level) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail]) / bias
    at_edge = float(((resampled <= 0.51) | (resampled >= 0.99 * most)).mean())
    reason = ""
    if not c[0] > 0 or not np.isfinite(bias):
        reason = "activity of one bin and of the next do not go together across trials"
    elif at_edge > _EDGE_SHARE or not 0.51 < tau < 0.99 * most:
        reason = (
            f"{at_edge:.0%} of the resamples end at the shortest or longest time constant that lags up to "
            f"{most * dt:g} s can tell"
        )
    elif offset and high > most / 2:
        # A and B cannot be told apart on lags over which the exponential falls by less than exp(-2)
        reason = (
            f"with an offset, lags up to {most * dt:g} s tell time constants up to half of that, and the interval ends "
            f"at {high * dt:.3g} s. Use longer trials, or offset=False where nothing lasts over whole trials"
        )
    elif high > _WIDEST * low:
        reason = f"the interval reaches from {low * dt:.3g} to {high * dt:.3g} s"
    nan = float("nan")
    known = (nan, nan, nan) if reason else (float(tau / bias * dt), float(low * dt), float(high * dt))
    return Timescale(*known, float(tau * dt), float(bias), lags, c, fit, reason)


def _residuals(recording: Recording) -> np.ndarray:
    """Activity less its mean over the trials of the condition that run in the bin, scaled for the mean's own noise."""
    x, inside = recording.values, recording.valid
    group = np.zeros(len(x), dtype=int)
    if recording.conditions is not None:
        group = np.unique(recording.conditions, return_inverse=True)[1]
        if np.bincount(group).min() < 2:
            raise ValueError(
                "`recording`: expected at least 2 trials of each condition, whose mean is taken out, got a condition "
                "with one. Leave it out with select(conditions=...)."
            )
    out = np.zeros_like(x)
    for g in np.unique(group):
        rows, here = x[group == g], inside[group == g][..., None]
        n = here.sum(0)
        mean = np.where(here, rows, 0.0).sum(0) / np.maximum(n, 1)
        # a bin in which a single trial runs says nothing
        scale = np.where(n > 1, np.sqrt(n / np.maximum(n - 1, 1)), 0.0)
        out[group == g] = np.where(here, rows - mean, 0.0) * scale
    return out


def _lagged(x: np.ndarray, lengths: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums over bins and units of products at lags 1 to `most`, and their numbers, (trial, lag) each."""
    spectrum = np.fft.rfft(x, 2 * x.shape[1], axis=1)
    products = np.fft.irfft((np.abs(spectrum) ** 2).sum(2), 2 * x.shape[1], axis=1)[:, 1 : most + 1]
    return products, lengths[:, None] - np.arange(1, most + 1)


def _fitted(c: np.ndarray, weights: np.ndarray, offset: bool) -> tuple[float, np.ndarray, np.ndarray]:
    """Time constant (bins) of the best fit with A > 0, the fit, and its A and B."""
    lag, most = np.arange(1, len(c) + 1), float(len(c))
    low, high = np.log(0.5), np.log(most)
    best: tuple[float, float, np.ndarray, np.ndarray] = (np.inf, low, np.zeros_like(c), np.zeros(2))
    for _ in range(3):  # a grid, then twice a finer one about the best
        grid = np.linspace(low, high, _GRID)
        errors = []
        for log_tau in grid:
            basis = np.exp(-lag / np.exp(log_tau))[:, None]
            basis = np.concatenate([basis, np.ones_like(basis)], 1) if offset else basis
            root = np.sqrt(weights)[:, None]
            ab = np.linalg.lstsq(basis * root, c * root[:, 0], rcond=None)[0]
            error = float((weights * (c - basis @ ab) ** 2).sum()) if ab[0] > 0 else np.inf
            errors.append(error)
            if error < best[0]:
                best = (error, float(log_tau), basis @ ab, ab)
        step = grid[1] - grid[0]
        low, high = max(best[1] - step, np.log(0.5)), min(best[1] + step, np.log(most))
    return float(np.exp(best[1])), best[2], best[3]


def _bias(
    tau: float,
    fit: np.ndarray,
    c: np.ndarray,
    residuals: np.ndarray,
    lengths: np.ndarray,
    most: int,
    offset: bool,
    n: int,
    rng: np.random.Generator,
) -> float:
    """Factor by which fits to simulated trials miss: exp of the mean of log (fit / truth), or 1."""
    inside = np.arange(residuals.shape[1]) < lengths[:, None]
    rows = residuals[inside]
    total = float((rows**2).sum(1).mean())
    # as many equal dimensions as the covariance of neighbouring bins has: those of signal
    before, after = residuals[:, :-1][inside[:, 1:]], residuals[:, 1:][inside[:, 1:]]
    both = (before.T @ after + after.T @ before) / (2 * len(before))
    d = int(np.clip(round(np.trace(both) ** 2 / max((both**2).sum(), 1e-300)), 1, residuals.shape[2]))
    signal = float(np.clip((fit[0] - fit[-1]) / (np.exp(-1 / tau) - np.exp(-most / tau)), 1e-12, total))
    phi, noise = float(np.exp(-1 / tau)), max(total - signal, 0.0)
    found = []
    for _ in range(n):
        drive = rng.standard_normal((residuals.shape[1], len(residuals), d))
        drive[1:] *= np.sqrt(1 - phi**2)
        for t in range(1, len(drive)):
            drive[t] += phi * drive[t - 1]
        x = np.sqrt(signal / d) * drive.transpose(1, 0, 2)
        white = rng.standard_normal((*x.shape[:2], residuals.shape[2])) * np.sqrt(noise / residuals.shape[2])
        white[..., :d] += x
        white = np.where(inside[..., None], white, 0.0)
        white -= np.where(inside[..., None], white.sum(0) / np.maximum(inside.sum(0), 1)[:, None], 0.0)
        products, counts = _lagged(white, lengths, most)
        found.append(_fitted(products.sum(0) / counts.sum(0), counts.sum(0), offset)[0])
    missed = np.log(np.array(found) / tau)
    # a bias that so few simulations cannot tell from none would only add their own error
    told = abs(missed.mean()) > 2 * missed.std(ddof=1) / np.sqrt(n)
    return float(np.exp(missed.mean())) if told else 1.0

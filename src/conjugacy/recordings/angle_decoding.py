"""Tuning to an angle, and the angle decoded from spike counts by Bayes' rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from conjugacy._check import check_choice, check_instance, check_int, check_number, check_text
from conjugacy.recordings.recording import Recording

PRIORS = ("occupancy", "flat")
_RATE_FLOOR = 1e-4  # spikes per bin, where a unit was silent in training: one spike must not rule an angle out


@dataclass(frozen=True, eq=False)
class TuningCurves:
    """Mean activity as a function of an angle.

    Attributes
    ----------
    angles : array (n,)
        Middles of the angular bins (rad).
    curves : array (n, unit)
        Mean activity in each angular bin; NaN where the angle was never visited.
    occupancy : array (n,)
        Share of the time spent in each angular bin.
    vector_lengths : array (unit,)
        Length of the mean vector of each curve, 0 (no tuning) to 1 (active at one angle only); NaN where the unit is
        silent. Small samples raise it: hold it against shifted angles.
    preferred : array (unit,)
        Direction of the mean vector (rad, from 0 to 2 pi).
    """

    angles: np.ndarray
    curves: np.ndarray
    occupancy: np.ndarray
    vector_lengths: np.ndarray
    preferred: np.ndarray


@dataclass(frozen=True, eq=False)
class AngleDecoding:
    """An angle decoded from counts in time that no tuning curve has seen.

    Attributes
    ----------
    error : float
        Median absolute error (rad).
    blind_error : float
        Median absolute error of always naming the angle that was most frequent in training: what the prior reaches
        without any unit. An `error` that is not below it says nothing of the units.
    predictions : array (sample,)
        Most probable angles (rad).
    target : array (sample,)
        Angles that were to be decoded (rad).
    shifted_errors : array (shift,)
        Median absolute errors (rad) for angles that were shifted in time; empty unless shifts were asked for.
    p_value : float
        Share of the shifts with an error as small, (r + 1) / (n + 1); NaN without shifts.
    """

    error: float
    blind_error: float
    predictions: np.ndarray
    target: np.ndarray
    shifted_errors: np.ndarray
    p_value: float


def tuning_curves(recording: Recording, angle: str, n_bins: int = 30) -> TuningCurves:
    """Tuning of each unit to the circular behaviour `angle`, in `n_bins` (at least 3) angular bins.

    Raises
    ------
    ValueError
        If the recording has no such behaviour, or it is not circular with one channel.
    """
    x, a = _samples(recording, angle)
    return _curves(x, a, check_int("n_bins", n_bins, 3))


def decode_angle(
    recording: Recording,
    angle: str,
    *,
    train: float = 0.7,
    n_bins: int = 30,
    prior: str = "occupancy",
    n_shifts: int = 0,
    seed: int = 0,
) -> AngleDecoding:
    """Decode a circular behaviour from spike counts by Bayes' rule, with independent Poisson units.

    Parameters
    ----------
    recording : Recording
        Spike counts; its bins are the windows of decoding.
    angle : str
        Circular behaviour (`Signal` with `circular=True`).
    train : float
        First share of the bins, in order of trials and time, from which tuning curves are taken, in (0, 1); the rest is
        decoded.
    n_bins : int
        Angular bins, at least 3. Errors depend on it: try several.
    prior : {"occupancy", "flat"}
        Whether angles that were frequent in training are more probable beforehand.
    n_shifts : int
        Shifts in time, by a tenth of all samples at least, after which the angles are decoded again: activity and angle
        keep their own course, and what they have to do with each other is gone.
    seed : int
        Of the shifts.

    Raises
    ------
    ValueError
        If the activity is no counts, the behaviour is not circular, or training or test have fewer bins than `n_bins`.

    Notes
    -----
    Zhang et al. 1998, J Neurophysiol 79:1017.
    """
    check_instance("recording", recording, Recording)
    _ = recording.counts  # says what is wrong where activity is no counts
    check_choice("prior", prior, PRIORS)
    check_int("n_bins", n_bins, 3)
    x, a = _samples(recording, angle)
    n = round(check_number("train", train, 0, limit=1, open_low=True) * len(a))
    if min(n, len(a) - n) < n_bins:
        raise ValueError(
            f"`train`: expected at least {n_bins} bins of time (one per angular bin) in training and in test, got {n} "
            f"and {len(a) - n}. Use fewer angular bins or more data."
        )
    found = _decoded(x, a, n, n_bins, prior)
    rng, shifted = np.random.default_rng(check_int("seed", seed, 0)), []
    for shift in rng.integers(len(a) // 10, len(a) - len(a) // 10, check_int("n_shifts", n_shifts, 0)):
        moved = np.roll(a, shift)
        shifted.append(_median_error(_decoded(x, moved, n, n_bins, prior), moved[n:]))
    error, null = _median_error(found, a[n:]), np.array(shifted)
    p = float(((null <= error).sum() + 1) / (n_shifts + 1)) if n_shifts else float("nan")
    occupancy = np.bincount(_bins_of(a[:n], n_bins), minlength=n_bins)
    blind = (occupancy.argmax() + 0.5) * 2 * np.pi / n_bins
    return AngleDecoding(error, _median_error(blind, a[n:]), found, a[n:], null, p)


def _decoded(x: np.ndarray, a: np.ndarray, n: int, n_bins: int, prior: str) -> np.ndarray:
    """Most probable angles of the samples from `n` on, with tuning curves of those before."""
    tuned = _curves(x[:n], a[:n], n_bins)
    # angles never visited have no curve: they are not named
    seen = tuned.occupancy > 0
    curves = np.maximum(tuned.curves[seen], _RATE_FLOOR)
    likelihood = x[n:] @ np.log(curves).T - curves.sum(1)
    if prior == "occupancy":
        likelihood = likelihood + np.log(tuned.occupancy[seen])
    return tuned.angles[seen][likelihood.argmax(1)]


def _samples(recording: Recording, angle: str) -> tuple[np.ndarray, np.ndarray]:
    """Activity (sample, unit) and angles (sample,) of all bins in which the angle is known."""
    check_instance("recording", recording, Recording)
    check_choice("angle", check_text("angle", angle), recording.behaviour)
    signal = recording.behaviour[angle]
    if not signal.circular or signal.values.shape[2] != 1:
        raise ValueError(
            f"`angle`: expected a circular behaviour with one channel (rad), got {angle!r} with "
            f"circular={signal.circular} and {signal.values.shape[2]} channels. Give Signal.of(..., circular=True)."
        )
    values = recording.behaviour_at(angle)[..., 0]
    known = recording.valid & np.isfinite(values)
    return recording.values[known], np.mod(values[known], 2 * np.pi)


def _bins_of(a: np.ndarray, n_bins: int) -> np.ndarray:
    return np.floor(a / (2 * np.pi) * n_bins).astype(int) % n_bins


def _curves(x: np.ndarray, a: np.ndarray, n_bins: int) -> TuningCurves:
    bins = _bins_of(a, n_bins)
    visits = np.bincount(bins, minlength=n_bins)
    sums = np.stack([np.bincount(bins, u, n_bins) for u in x.T], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        curves = sums / visits[:, None]
        angles = (np.arange(n_bins) + 0.5) * 2 * np.pi / n_bins
        # of the curve, not of the spikes: time spent at an angle must not count as tuning to it
        vectors = np.nansum(curves * np.exp(1j * angles)[:, None], 0) / np.nansum(curves, 0)
    return TuningCurves(angles, curves, visits / len(a), np.abs(vectors), np.mod(np.angle(vectors), 2 * np.pi))


def _median_error(found: np.ndarray | float, a: np.ndarray) -> float:
    return float(np.median(np.abs(np.angle(np.exp(1j * (found - a))))))

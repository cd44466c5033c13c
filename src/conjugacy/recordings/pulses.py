"""Are pulses found in inferred inputs? Hits within a bin or so, and false alarms in the bins where nothing happened.

A linear map of the inferred inputs of a bin and of its neighbours gives the true ones on training trials (inferred
inputs have no order, sign or size of their own); where its size peaks above a threshold, a pulse is announced. The
threshold is the one that is best on training trials by the harmonic mean of the share of pulses found and the share of
announcements that are right; hits and false alarms are counted on the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from conjugacy._check import check_int, check_number

_LEVELS = 40


@dataclass(frozen=True)
class PulsesFound:
    """What is announced of true pulses.

    Attributes
    ----------
    hit_rate : float
        Share of pulses with an announcement within `tolerance` bins, on the same channel and with the same sign.
    false_alarm_rate : float
        Announcements for each bin and channel that has no pulse within `tolerance` bins.
    precision : float
        Share of the announcements that are of a pulse.
    n_pulses, n_alarms : int
    threshold : float
        In units of the pulses.
    tolerance : int
        Bins.
    """

    hit_rate: float
    false_alarm_rate: float
    precision: float
    n_pulses: int
    n_alarms: int
    threshold: float
    tolerance: int


def pulses_found(
    true: np.ndarray, inferred: np.ndarray, train: np.ndarray, *, tolerance: int = 1, smallest: float = 0.5
) -> PulsesFound:
    """Hits and false alarms of inferred inputs.

    Parameters
    ----------
    true : array (trial, time, input)
        Pulses; 0, or noise smaller than `smallest`, elsewhere.
    inferred : array (trial, time, any)
    train : bool array (trial,)
        Trials on which map and threshold are chosen; the others are scored.
    tolerance : int
        Bins that an announcement may be off.
    smallest : float
        What counts as a pulse, > 0.

    Raises
    ------
    ValueError
        If there are no pulses in training or test trials.
    """
    tolerance = check_int("tolerance", tolerance, 0)
    check_number("smallest", smallest, 0, open_low=True)
    train = np.asarray(train, dtype=bool)
    pulses = np.where(np.abs(true) >= smallest, np.sign(true), 0.0)
    for part, name in ((train, "training"), (~train, "test")):
        if not pulses[part].any():
            raise ValueError(f"`true`: expected pulses of at least {smallest:g} in {name} trials, got none.")
    x = np.concatenate([_shifted(inferred, k) for k in range(-tolerance, tolerance + 1)], 2)
    x = np.concatenate([x, np.ones((*x.shape[:2], 1))], 2)
    a, b = x[train].reshape(-1, x.shape[2]), pulses[train].reshape(-1, pulses.shape[2])
    gram = a.T @ a
    w = np.linalg.solve(gram + 1e-9 * np.trace(gram) * np.eye(len(gram)), a.T @ b)
    seen = x @ w
    at_pulses = np.abs(seen[train])[pulses[train] != 0]
    levels = 0.99 * np.quantile(at_pulses, np.linspace(0.95, 0, _LEVELS))

    def gain(level: float) -> float:
        f = _count(pulses[train], seen[train], level, tolerance)
        return 0.0 if not f.n_alarms else f.precision * f.hit_rate / max(f.precision + f.hit_rate, 1e-12)

    return _count(pulses[~train], seen[~train], max(levels, key=gain), tolerance)


def _shifted(x: np.ndarray, k: int) -> np.ndarray:
    out = np.zeros_like(x)
    t = x.shape[1]
    out[:, max(k, 0) : t + min(k, 0)] = x[:, max(-k, 0) : t + min(-k, 0)]
    return out


def _near(events: np.ndarray, tolerance: int) -> np.ndarray:
    """Whether there is an event (trial, time, input) within so many bins."""
    return np.any([_shifted(events.astype(float), k) > 0 for k in range(-tolerance, tolerance + 1)], axis=0)


def _count(pulses: np.ndarray, seen: np.ndarray, level: float, tolerance: int) -> PulsesFound:
    size = np.abs(seen)
    before, after = _shifted(size, 1), _shifted(size, -1)
    peak = (size >= level) & (size > before) & (size >= after)
    hits = alarms = right = 0
    for sign in (1, -1):
        said, there = peak & (np.sign(seen) == sign), pulses == sign
        hits += int((there & _near(said, tolerance)).sum())
        right += int((said & _near(there, tolerance)).sum())
        alarms += int(said.sum())
    quiet = int((~_near(pulses != 0, tolerance)).sum())
    n = int((pulses != 0).sum())
    false = int((peak & ~_near(pulses != 0, tolerance)).sum())
    share = right / alarms if alarms else float("nan")
    return PulsesFound(hits / n, false / max(quiet, 1), share, n, alarms, float(level), tolerance)

"""Means over trials, with their standard errors, and what all conditions have in common. Arrays in, arrays out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from conjugacy.recordings.signal import Signal


class Averages(NamedTuple):
    """Means over groups of trials.

    Attributes
    ----------
    mean, standard_error : array (group, time, unit)
        The standard error is NaN where a single trial was there.
    lengths : array (group,)
        Bins in which enough trials of the group still ran.
    counts : array (group,)
        Trials of each group.
    """

    mean: np.ndarray
    standard_error: np.ndarray
    lengths: np.ndarray
    counts: np.ndarray


def group_means(x: np.ndarray, lengths: np.ndarray, group: np.ndarray, min_trials: int | None = None) -> Averages:
    """Means of `x` (trial, time, unit) over the trials of each group.

    Parameters
    ----------
    group : array (trial,)
        Number of the group of each trial, from 0.
    min_trials : int, optional
        Keep bins in which at least so many trials of the group still run. None: all of them.
    """
    n_groups = int(group.max()) + 1
    counts = np.bincount(group, minlength=n_groups)
    inside = np.arange(x.shape[1]) < lengths[:, None]
    mean = np.zeros((n_groups, *x.shape[1:]))
    error = np.full_like(mean, np.nan)
    kept = np.zeros(n_groups, dtype=np.int64)
    for g in range(n_groups):
        rows, here = x[group == g], inside[group == g]
        running = here.sum(0)
        kept[g] = int((running >= min(counts[g], min_trials or counts[g])).sum())
        n = np.maximum(running, 1)[:, None]
        mean[g] = np.where(here[..., None], rows, 0.0).sum(0) / n
        spread = (np.where(here[..., None], rows - mean[g], 0.0) ** 2).sum(0)
        several = running > 1
        error[g, several] = np.sqrt(spread / np.maximum(n - 1, 1) / n)[several]
        mean[g, kept[g] :] = 0.0
        error[g, kept[g] :] = 0.0
    t = int(kept.max())
    return Averages(mean[:, :t], error[:, :t], kept, counts)


def group_means_of_signal(signal: Signal, group: np.ndarray, min_trials: int | None = None) -> Signal:
    """The mean signal of each group of trials; of angles the circular mean."""
    if signal.circular:
        sine = group_means(np.sin(signal.values), signal.lengths, group, min_trials)
        cosine = group_means(np.cos(signal.values), signal.lengths, group, min_trials)
        angle = np.mod(np.arctan2(sine.mean, cosine.mean), 2 * np.pi)
        return Signal(angle, sine.lengths, signal.dt, signal.start, True)
    averages = group_means(signal.values, signal.lengths, group, min_trials)
    return Signal(averages.mean, averages.lengths, signal.dt, signal.start)


def condition_independent(x: np.ndarray, lengths: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The part (time, unit) that all conditions share: the mean, bin by bin, over the means of the groups that run."""
    means = group_means(x, lengths, group, min_trials=1)
    here = np.arange(means.mean.shape[1]) < means.lengths[:, None]
    shared = np.where(here[..., None], means.mean, 0.0).sum(0) / np.maximum(here.sum(0), 1)[:, None]
    out = np.zeros((x.shape[1], x.shape[2]))
    out[: len(shared)] = shared
    return out

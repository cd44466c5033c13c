"""Noise anchors: recordings of nothing, which share with a recording only what counting and smoothing put into it.

Spikes (or white noise) are drawn independently in every bin, at the mean rate of each unit, and go through the same
bins, filter and averages as the recording did: its steps are done again to them. A measure that finds such noise as
near to the recording as a model has not seen anything that the model shares with the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from conjugacy._check import check_choice, check_instance, check_int, check_list, check_number
from conjugacy.recordings import filters
from conjugacy.recordings.recording import Recording

KINDS = ("poisson", "overdispersed", "underdispersed", "gaussian")
_HALF = 0.5


def noise_anchors(
    recording: Recording, n: int = 20, *, kinds: Sequence[str] = KINDS, fano: float = 2.0, seed: int = 0
) -> dict[str, list[Recording]]:
    """Surrogate recordings without dynamics, which went through all that `recording` went through.

    Parameters
    ----------
    recording : Recording
        Of rates or traces that others have smoothed, `smoothed_before` has to say how; noise is not smoothed otherwise.
    n : int
        Surrogates of each kind, at least 1.
    kinds : sequence of {"poisson", "overdispersed", "underdispersed", "gaussian"}
        Distribution of the counts of a bin, all with the mean of the unit: Poisson; negative binomial with the variance
        `fano` times the mean; binomial with half the variance of Poisson counts. "gaussian": white noise of the same
        variance in all units (the mean over units), shifted where activity cannot be negative. Activity that is neither
        counts nor rates has Gaussian noise only.
    fano : float
        Variance over mean of the overdispersed counts, > 1.
    seed : int
        Seed of the noise, at least 0.

    Returns
    -------
    dict of str to list of Recording
        By kind, with the steps of `recording`; named after it and the kind of noise.
    """
    check_instance("recording", recording, Recording)
    check_int("n", n, 1)
    check_int("seed", seed, 0)
    check_number("fano", fano, 1, open_low=True)
    for kind in check_list("kinds", kinds, "kinds of noise"):
        check_choice("kinds", kind, KINDS)
    first = recording.origin or recording
    usable = list(kinds) if first.kind != "activity" else ["gaussian"]
    rng = np.random.default_rng([seed, 2])
    anchors: dict[str, list[Recording]] = {kind: [] for kind in usable}
    for i in range(n):
        for kind in usable:
            values = _noise(first, kind, fano, rng)
            base = replace(first, values=values, name=f"{recording.name} ({kind} noise {i + 1})", truth=None)
            anchors[kind].append(recording.replay(base))
    return anchors


def _noise(first: Recording, kind: str, fano: float, rng: np.random.Generator) -> np.ndarray:
    x, inside = first.values, first.valid[..., None]
    rows = x[first.valid]
    mean, sd = rows.mean(0), rows.std(0)
    if kind == "gaussian":
        noise = rng.standard_normal(x.shape)
    else:
        noise = _counts(mean * (first.bin_size if first.kind == "rates" else 1.0), kind, fano, x.shape, rng)
    if first.smoothed_before:
        noise = filters.smooth(np.where(inside, noise, 0.0), first.lengths, first.smoothed_before / first.bin_size)
    if kind == "gaussian":
        # equal in all units: the variances of the data are part of what it has and noise has not
        found = noise[first.valid]
        noise = mean + np.sqrt((sd**2).mean()) * (noise - found.mean(0)) / np.where(found.std(0) > 0, found.std(0), 1.0)
        # cut off at zero it would no longer be Gaussian, so that where activity cannot be negative the mean gives way
        lowest = noise[first.valid].min(0)
        noise = noise - np.minimum(lowest, 0.0) if first.kind != "activity" else noise
    elif first.kind == "rates":
        noise = noise / first.bin_size
    return np.where(inside, noise, 0.0)


def _counts(mean: np.ndarray, kind: str, fano: float, shape: Any, rng: np.random.Generator) -> np.ndarray:
    if kind == "poisson":
        return rng.poisson(mean, shape).astype(float)
    if kind == "overdispersed":
        # a Poisson variable whose rate is Gamma distributed has the variance mean + mean**2 / shape
        size = np.maximum(mean, 1e-12) / (fano - 1)
        return rng.poisson(rng.gamma(size, fano - 1, shape)).astype(float)
    most = np.maximum(np.ceil(mean / _HALF), 1).astype(int)
    return rng.binomial(most, np.minimum(mean / most, 1.0), shape).astype(float)

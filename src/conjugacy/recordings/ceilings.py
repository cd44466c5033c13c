"""Ceilings of scores: what the true rates themselves score. No model can be expected to score more."""

from __future__ import annotations

import math

import numpy as np

from conjugacy._check import check_instance, check_number
from conjugacy.recordings.recording import Recording
from conjugacy.recordings.spike_scores import bits_per_spike


def lognormal_bits(sd: float) -> float:
    """Bits per spike of rates that are log-normal with the standard deviation `sd` of the logarithm: sd^2 / (2 ln 2).

    With log r normal, E[r log2(r / E r)] / E r is the mean of log2 r under the weight r, less log2 of E r.
    """
    return check_number("sd", sd, 0, limit=1e6) ** 2 / (2 * math.log(2))


def expected_bits(rates: np.ndarray) -> float:
    """Bits per spike that rates (trial, time, unit) score on average on Poisson counts drawn from them."""
    r = np.asarray(rates, dtype=np.float64).reshape(-1, rates.shape[-1])
    mean = r.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(r > 0, r * np.log2(r / mean), 0.0)
    return float(gain.sum() / r.sum())


def ceilings_of(recording: Recording) -> dict[str, float]:
    """Scores of the true rates of a simulated recording on its own counts.

    Returns
    -------
    dict of str to float
        "bits_per_spike": of all units; "co_bps": of held-out units, where there are some; "expected_bits": what all
        units score on average over draws of Poisson counts; "rate_r2": 1.

    Raises
    ------
    ValueError
        If the recording was not simulated, or has no counts.
    """
    truth = check_instance("recording", recording, Recording).truth
    if truth is None or truth.rates is None:
        raise ValueError("`recording`: expected a simulated one, got one without true rates. Use cj.simulate_spikes.")
    n, r = recording.counts[recording.valid][None], (truth.rates * recording.bin_size)[recording.valid][None]
    out = {"bits_per_spike": bits_per_spike(r, n), "expected_bits": expected_bits(r), "rate_r2": 1.0}
    held = list(recording.held_out)
    if held:
        out["co_bps"] = bits_per_spike(r[..., held], n[..., held])
    return out

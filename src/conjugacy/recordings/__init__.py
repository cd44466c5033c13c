"""Recorded neural activity: `Recording`, what is done to it, and scores of models of spikes."""

from conjugacy._lazy import lazy

_PUBLIC = {
    "Recording": "recording",
    "Signal": "signal",
    "Truth": "signal",
    "bits_per_spike": "spike_scores",
    "ceilings_of": "ceilings",
    "co_bps": "spike_scores",
    "co_bps_from_latents": "spike_scores",
    "cycle_consistency": "spike_scores",
    "noise_anchors": "anchors",
    "lognormal_bits": "ceilings",
    "nwb_contents": "nwb",
    "input_r2": "spike_scores",
    "rate_r2": "spike_scores",
}

__getattr__, __dir__, __all__ = lazy(__name__, _PUBLIC)

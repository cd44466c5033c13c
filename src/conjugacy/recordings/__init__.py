"""Recorded neural activity: scores of models of spikes."""

from conjugacy._lazy import lazy

_PUBLIC = {
    "bits_per_spike": "spike_scores",
    "co_bps": "spike_scores",
    "co_bps_from_latents": "spike_scores",
    "cycle_consistency": "spike_scores",
    "input_r2": "spike_scores",
    "rate_r2": "spike_scores",
}

__getattr__, __dir__, __all__ = lazy(__name__, _PUBLIC)

"""Recorded neural activity: `Recording`, what is done to it, and scores of models of spikes."""

from conjugacy._lazy import lazy

_PUBLIC = {
    "AngleDecoding": "angle_decoding",
    "CrossedCKA": "crossed_cka",
    "Decoding": "decoding",
    "Estimate": "estimate",
    "Recording": "recording",
    "Rotations": "rotations",
    "Signal": "signal",
    "Timescale": "short_timescales",
    "Truth": "signal",
    "TuningCurves": "angle_decoding",
    "as_recorded": "system_as_recorded",
    "bits_per_spike": "spike_scores",
    "ceilings_of": "ceilings",
    "co_bps": "spike_scores",
    "co_bps_from_latents": "spike_scores",
    "condition_distances": "geometry",
    "cross_decoding": "decoding_across",
    "cycle_consistency": "spike_scores",
    "decode": "decoding",
    "decode_angle": "angle_decoding",
    "distance_agreement": "geometry",
    "modulation_depth": "system_as_recorded",
    "model_scores": "score_table",
    "noise_anchors": "anchors",
    "linear_dynamics": "baselines",
    "lognormal_bits": "ceilings",
    "nwb_contents": "nwb",
    "find_rotations": "rotations",
    "fitted_linear_dynamics": "baselines",
    "input_r2": "spike_scores",
    "intrinsic_timescale": "short_timescales",
    "read_estimate": "estimate_file",
    "smoothed_rates": "baselines",
    "pulses_found": "pulses",
    "rate_r2": "spike_scores",
    "tuning_curves": "angle_decoding",
}

__getattr__, __dir__, __all__ = lazy(__name__, _PUBLIC)

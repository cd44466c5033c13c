"""Analyses of one dynamical system: fixed points, portraits, continuation, cycles, Lyapunov spectra, timescales."""

from conjugacy._lazy import lazy

# public name -> module that defines it: loaded on first use, so that importing is cheap (no module may bear a public
# name: importing it would hide the function)
_PUBLIC = {
    "Map": "map",
    "as_map": "_as_map",
    "attractors": "_attractors",
    "Attractor": "attractor_results",
    "AttractorSet": "attractor_results",
    "fixed_points": "search",
    "FixedPoints": "points",
    "Audit": "audit",
    "Portrait": "_portrait",
    "portrait": "_portrait",
    "portrait_distance": "_portrait_distance",
    "PortraitDistance": "_portrait_distance",
    "input_path": "continuation",
    "input_response": "continuation",
    "InputPath": "continuation",
    "find_cycles": "cycles",
    "Cycle": "cycles",
    "adam_search": "adam",
    "lyapunov_spectrum": "lyapunov",
    "LyapunovSpectrum": "lyapunov",
    "timescales_along": "linearisation",
    "linearisation_error": "linearisation",
    "memory_times": "gates",
    "MemoryTimes": "gates",
    "held_certificate": "_held_certificate",
    "HeldCertificate": "_held_certificate",
    "horizon_curve": "_held_certificate",
    "AffineForm": "affine_form",
    "participation": "mode_shares",
    "gramians": "_gramians",
    "gramians_along": "_gramians",
    "Gramians": "_gramians",
    "perturb": "perturbation",
    "Perturbed": "perturbation",
    "random_directions": "perturbation",
}

__getattr__, __dir__, __all__ = lazy(__name__, _PUBLIC)

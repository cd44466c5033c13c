"""Analyses of one dynamical system: fixed points, portraits, continuation, cycles, Lyapunov spectra, timescales."""

# public name -> module that defines it: loaded on first use, so that importing is cheap (no module may bear a public
# name: importing it would hide the function)
_PUBLIC = {
    "Map": "maps",
    "as_map": "maps",
    "fixed_points": "search",
    "FixedPoints": "points",
    "Audit": "audit",
    "Portrait": "skeleton",
    "portrait": "skeleton",
    "portrait_distance": "skeleton_distance",
    "PortraitDistance": "skeleton_distance",
    "input_path": "continuation",
    "input_response": "continuation",
    "InputPath": "continuation",
    "find_cycles": "cycles",
    "Cycle": "cycles",
    "adam_search": "adam",
    "lyapunov_spectrum": "lyapunov",
    "LyapunovSpectrum": "lyapunov",
    "timescales_along": "timescales",
    "linearisation_error": "timescales",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str):
    import importlib

    if name not in _PUBLIC:
        raise AttributeError(f"module 'conjugacy.dynamics' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"conjugacy.dynamics.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})

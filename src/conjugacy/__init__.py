"""conjugacy: do these networks compute the same thing?"""

from conjugacy._version import __version__ as __version__

# public name -> module that defines it ("" for a submodule): loaded on first use, so that importing is fast
_PUBLIC = {
    "System": "conjugacy.system",
    "FixedPoints": "conjugacy.dynamics.points",
    "Portrait": "conjugacy.dynamics.skeleton",
    "fixed_points": "conjugacy.dynamics.search",
    "portrait_distance": "conjugacy.dynamics.skeleton_distance",
    "input_path": "conjugacy.dynamics.continuation",
    "lyapunov_spectrum": "conjugacy.dynamics.lyapunov",
}
_SUBMODULES = ("dynamics", "similarity")

__all__ = [*_PUBLIC, *_SUBMODULES, "__version__"]


def __getattr__(name: str):
    import importlib

    if name in _PUBLIC:
        value = getattr(importlib.import_module(_PUBLIC[name]), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f"conjugacy.{name}")
    else:
        raise AttributeError(f"module 'conjugacy' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})

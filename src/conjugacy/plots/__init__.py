"""Figures. Every function returns a matplotlib Figure; none shows or saves it."""

_PUBLIC = {
    "latents_3d": "latents",
    "scree": "latents",
    "trial_io": "trial_io",
    "affine_overlay": "overlay",
    "fixed_points_3d": "fixed_points",
    "spectrum": "fixed_points",
    "portrait_graph": "fixed_points",
    "hits": "fixed_points",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str):
    import importlib

    if name not in _PUBLIC:
        raise AttributeError(f"module 'conjugacy.plots' has no attribute {name!r}")
    return getattr(importlib.import_module(f"conjugacy.plots.{_PUBLIC[name]}"), name)


def __dir__():
    return sorted({*globals(), *__all__})

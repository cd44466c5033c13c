"""conjugacy: do these networks compute the same thing?"""

from conjugacy._version import __version__ as __version__

# public name -> module that defines it ("" for a submodule): loaded on first use, so that importing is fast
_PUBLIC = {
    "Analysis": "conjugacy.analysis",
    "Comparison": "conjugacy.comparison",
    "Recipe": "conjugacy.training.recipe",
    "Rollout": "conjugacy.trials",
    "Run": "conjugacy.run",
    "System": "conjugacy.system",
    "TrialSets": "conjugacy.trial_sets",
    "Trials": "conjugacy.trials",
    "compare": "conjugacy.comparison",
    "load": "conjugacy.run",
    "rollout": "conjugacy.simulate",
    "train": "conjugacy.training.train",
}
_SUBMODULES = ("dynamics", "networks", "plots", "similarity", "tasks", "training")

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

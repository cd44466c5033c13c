"""conjugacy: do these networks compute the same thing?"""

from typing import TYPE_CHECKING

from conjugacy._version import __version__ as __version__

if TYPE_CHECKING:  # for editors and type checkers; tests/test_public.py keeps it equal to _PUBLIC
    from conjugacy.analysis import Analysis as Analysis
    from conjugacy.comparison import Comparison as Comparison
    from conjugacy.comparison import compare as compare
    from conjugacy.dynamics.continuation import input_path as input_path
    from conjugacy.dynamics.lyapunov import lyapunov_spectrum as lyapunov_spectrum
    from conjugacy.dynamics.points import FixedPoints as FixedPoints
    from conjugacy.dynamics.search import fixed_points as fixed_points
    from conjugacy.dynamics.skeleton import Portrait as Portrait
    from conjugacy.dynamics.skeleton_distance import portrait_distance as portrait_distance
    from conjugacy.run import Run as Run
    from conjugacy.run import load as load
    from conjugacy.simulate import rollout as rollout
    from conjugacy.system import System as System
    from conjugacy.training.recipe import Recipe as Recipe
    from conjugacy.training.train import train as train
    from conjugacy.trial_sets import TrialSets as TrialSets
    from conjugacy.trials import Rollout as Rollout
    from conjugacy.trials import Trials as Trials

# public name -> module that defines it ("" for a submodule): loaded on first use, so that importing is fast
_PUBLIC = {
    "Analysis": "conjugacy.analysis",
    "Comparison": "conjugacy.comparison",
    "FixedPoints": "conjugacy.dynamics.points",
    "Portrait": "conjugacy.dynamics.skeleton",
    "Recipe": "conjugacy.training.recipe",
    "Rollout": "conjugacy.trials",
    "Run": "conjugacy.run",
    "System": "conjugacy.system",
    "TrialSets": "conjugacy.trial_sets",
    "Trials": "conjugacy.trials",
    "compare": "conjugacy.comparison",
    "fixed_points": "conjugacy.dynamics.search",
    "input_path": "conjugacy.dynamics.continuation",
    "load": "conjugacy.run",
    "lyapunov_spectrum": "conjugacy.dynamics.lyapunov",
    "portrait_distance": "conjugacy.dynamics.skeleton_distance",
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

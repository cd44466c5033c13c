"""conjugacy: do these networks compute the same thing?"""

from typing import TYPE_CHECKING

from conjugacy._lazy import lazy
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
    from conjugacy.generalisation import generalisation_table as generalisation_table
    from conjugacy.rest import RestPoints as RestPoints
    from conjugacy.rest import rest_points as rest_points
    from conjugacy.run import Run as Run
    from conjugacy.run import load as load
    from conjugacy.simulate import rollout as rollout
    from conjugacy.sweeps.run import run_sweep as run_sweep
    from conjugacy.system import System as System
    from conjugacy.training.population import train_population as train_population
    from conjugacy.training.recipe import Recipe as Recipe
    from conjugacy.training.train import train as train
    from conjugacy.trial_sets import TrialSets as TrialSets
    from conjugacy.trials import Rollout as Rollout
    from conjugacy.trials import Trials as Trials

# public name -> module that defines it: loaded on first use, so that importing is fast
_PUBLIC = {
    "Analysis": "analysis",
    "Comparison": "comparison",
    "FixedPoints": "dynamics.points",
    "Portrait": "dynamics.skeleton",
    "Recipe": "training.recipe",
    "RestPoints": "rest",
    "Rollout": "trials",
    "Run": "run",
    "System": "system",
    "TrialSets": "trial_sets",
    "Trials": "trials",
    "compare": "comparison",
    "fixed_points": "dynamics.search",
    "generalisation_table": "generalisation",
    "input_path": "dynamics.continuation",
    "load": "run",
    "lyapunov_spectrum": "dynamics.lyapunov",
    "portrait_distance": "dynamics.skeleton_distance",
    "rest_points": "rest",
    "rollout": "simulate",
    "run_sweep": "sweeps.run",
    "train": "training.train",
    "train_population": "training.population",
}
_SUBMODULES = ("arm", "dynamics", "networks", "plots", "similarity", "sweeps", "tasks", "training")

__getattr__, __dir__, __all__ = lazy(__name__, _PUBLIC, _SUBMODULES)

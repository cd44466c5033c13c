"""conjugacy: do these networks compute the same thing?"""

from typing import TYPE_CHECKING

from conjugacy import _moved
from conjugacy._lazy import lazy
from conjugacy._version import __version__ as __version__

if TYPE_CHECKING:  # for editors and type checkers; tests/test_public.py keeps it equal to _PUBLIC
    from conjugacy.analysis._recovery import Recovery as Recovery
    from conjugacy.analysis._recovery import recovery as recovery
    from conjugacy.analysis.analysis import Analysis as Analysis
    from conjugacy.analysis.animal_ceilings import animal_ceilings as animal_ceilings
    from conjugacy.analysis.births import points_through_learning as points_through_learning
    from conjugacy.analysis.comparison import Comparison as Comparison
    from conjugacy.analysis.comparison import compare as compare
    from conjugacy.analysis.conjugacies import find_conjugacy as find_conjugacy
    from conjugacy.analysis.context import ContextMechanism as ContextMechanism
    from conjugacy.analysis.context import context_mechanism as context_mechanism
    from conjugacy.analysis.generalisation import generalisation_table as generalisation_table
    from conjugacy.analysis.generalising_alike import generalise_alike as generalise_alike
    from conjugacy.analysis.groups import GroupComparison as GroupComparison
    from conjugacy.analysis.groups import compare_groups as compare_groups
    from conjugacy.analysis.kind_naming import KindNaming as KindNaming
    from conjugacy.analysis.kind_naming import nearest_kind as nearest_kind
    from conjugacy.analysis.learning import learning_curve as learning_curve
    from conjugacy.analysis.learning_verdicts import verdicts_through_learning as verdicts_through_learning
    from conjugacy.analysis.lesion_table import lesion_effects as lesion_effects
    from conjugacy.analysis.motifs import shared_motifs as shared_motifs
    from conjugacy.analysis.population_classes import SolutionClasses as SolutionClasses
    from conjugacy.analysis.population_classes import solution_classes as solution_classes
    from conjugacy.analysis.rest_points import RestPoints as RestPoints
    from conjugacy.analysis.rest_points import rest_points as rest_points
    from conjugacy.analysis.turing import TuringTest as TuringTest
    from conjugacy.analysis.turing import turing_test as turing_test
    from conjugacy.ctd._install import install_ctd as install_ctd
    from conjugacy.dynamics._attractors import attractors as attractors
    from conjugacy.dynamics._portrait import Portrait as Portrait
    from conjugacy.dynamics._portrait_distance import portrait_distance as portrait_distance
    from conjugacy.dynamics.attractor_results import AttractorSet as AttractorSet
    from conjugacy.dynamics.continuation import input_path as input_path
    from conjugacy.dynamics.lyapunov import lyapunov_spectrum as lyapunov_spectrum
    from conjugacy.dynamics.points import FixedPoints as FixedPoints
    from conjugacy.dynamics.search import fixed_points as fixed_points
    from conjugacy.populations.execute import run_sweep as run_sweep
    from conjugacy.populations.population import train_population as train_population
    from conjugacy.recordings.recording import Recording as Recording
    from conjugacy.runs.data_run import DataRun as DataRun
    from conjugacy.runs.rollout import rollout as rollout
    from conjugacy.runs.run import Run as Run
    from conjugacy.runs.run import load as load
    from conjugacy.runs.spikes_of_run import simulate_spikes as simulate_spikes
    from conjugacy.runs.trial_sets import TrialSets as TrialSets
    from conjugacy.similarity.conjugacy_result import Conjugacy as Conjugacy
    from conjugacy.system import System as System
    from conjugacy.training.fitting import fit as fit
    from conjugacy.training.recipe import Recipe as Recipe
    from conjugacy.training.train import train as train
    from conjugacy.trials import Rollout as Rollout
    from conjugacy.trials import Trials as Trials

# public name -> module that defines it: loaded on first use, so that importing is fast
_PUBLIC = {
    "Analysis": "analysis.analysis",
    "AttractorSet": "dynamics.attractor_results",
    "Comparison": "analysis.comparison",
    "Conjugacy": "similarity.conjugacy_result",
    "ContextMechanism": "analysis.context",
    "DataRun": "runs.data_run",
    "FixedPoints": "dynamics.points",
    "GroupComparison": "analysis.groups",
    "KindNaming": "analysis.kind_naming",
    "Portrait": "dynamics._portrait",
    "Recipe": "training.recipe",
    "Recovery": "analysis._recovery",
    "Recording": "recordings.recording",
    "RestPoints": "analysis.rest_points",
    "Rollout": "trials",
    "Run": "runs.run",
    "SolutionClasses": "analysis.population_classes",
    "System": "system",
    "TrialSets": "runs.trial_sets",
    "Trials": "trials",
    "TuringTest": "analysis.turing",
    "animal_ceilings": "analysis.animal_ceilings",
    "attractors": "dynamics._attractors",
    "compare": "analysis.comparison",
    "compare_groups": "analysis.groups",
    "context_mechanism": "analysis.context",
    "find_conjugacy": "analysis.conjugacies",
    "fit": "training.fitting",
    "fixed_points": "dynamics.search",
    "generalisation_table": "analysis.generalisation",
    "generalise_alike": "analysis.generalising_alike",
    "input_path": "dynamics.continuation",
    "install_ctd": "ctd._install",
    "learning_curve": "analysis.learning",
    "lesion_effects": "analysis.lesion_table",
    "load": "runs.run",
    "lyapunov_spectrum": "dynamics.lyapunov",
    "nearest_kind": "analysis.kind_naming",
    "points_through_learning": "analysis.births",
    "portrait_distance": "dynamics._portrait_distance",
    "recovery": "analysis._recovery",
    "rest_points": "analysis.rest_points",
    "rollout": "runs.rollout",
    "run_sweep": "populations.execute",
    "shared_motifs": "analysis.motifs",
    "simulate_spikes": "runs.spikes_of_run",
    "solution_classes": "analysis.population_classes",
    "train": "training.train",
    "train_population": "populations.population",
    "turing_test": "analysis.turing",
    "verdicts_through_learning": "analysis.learning_verdicts",
}
_SUBMODULES = (
    "arm",
    "closed_loop",
    "dynamics",
    "models",
    "networks",
    "plots",
    "populations",
    "recordings",
    "runs",
    "similarity",
    "tasks",
    "training",
)

_moved.install()
__getattr__, __dir__, __all__ = lazy(__name__, _PUBLIC, _SUBMODULES)

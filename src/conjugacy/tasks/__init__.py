"""Tasks, one a file, all with the members of `Task`."""

from conjugacy.tasks.chaotic_delayed_matching import ChaoticDelayedMatching
from conjugacy.tasks.contextual_integration import ContextualIntegration
from conjugacy.tasks.cycling_memory import CyclingMemory
from conjugacy.tasks.delayed_discrimination import DelayedDiscrimination
from conjugacy.tasks.flip_flop import NBitFlipFlop
from conjugacy.tasks.gymnasium_task import GymnasiumTask, from_gymnasium
from conjugacy.tasks.multitask import MultiTask
from conjugacy.tasks.path_integration import PathIntegration
from conjugacy.tasks.phase_coded_memory import PhaseCodedMemory
from conjugacy.tasks.poisson_clicks import PoissonClicks
from conjugacy.tasks.random_target import RandomTarget
from conjugacy.tasks.sine_waves import SineWaveGenerator
from conjugacy.tasks.task import Task, input_size, output_size, validate

__all__ = [
    "ChaoticDelayedMatching",
    "ContextualIntegration",
    "CyclingMemory",
    "DelayedDiscrimination",
    "GymnasiumTask",
    "MultiTask",
    "NBitFlipFlop",
    "PathIntegration",
    "PhaseCodedMemory",
    "PoissonClicks",
    "RandomTarget",
    "SineWaveGenerator",
    "Task",
    "from_gymnasium",
    "input_size",
    "output_size",
    "validate",
]

"""Tasks, one a file, all with the members of `Task`."""

from conjugacy.tasks.flip_flop import NBitFlipFlop
from conjugacy.tasks.random_target import RandomTarget
from conjugacy.tasks.task import Task, input_size, output_size, validate

__all__ = ["NBitFlipFlop", "RandomTarget", "Task", "input_size", "output_size", "validate"]

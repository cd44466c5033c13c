"""Tasks, one a file, all with the members of `Task`."""

from conjugacy.tasks.flip_flop import NBitFlipFlop
from conjugacy.tasks.multitask import MultiTask
from conjugacy.tasks.task import Task, input_size, output_size, validate

__all__ = ["MultiTask", "NBitFlipFlop", "Task", "input_size", "output_size", "validate"]

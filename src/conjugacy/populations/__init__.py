"""Sweeps: grids and random searches over tasks, networks, recipes and seeds, resumable, here or on a Ray cluster.

`plan` makes a list of runs of a file, and knows all that can be wrong with it; `run` has them trained, by processes
here (`conjugacy.populations.processes`) or by a cluster (`ray_workers`), and keeps the table.
"""

from conjugacy.populations.execute import run_sweep
from conjugacy.populations.plan import Plan, PlannedRun

__all__ = ["Plan", "PlannedRun", "run_sweep"]

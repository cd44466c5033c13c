"""The command line: the same functions that a notebook calls, with flags made from their signatures."""

from conjugacy.cli.commands import check_measures, compare, demo, fixed_points, repeat, show, sweep, train
from conjugacy.cli.entry import main

__all__ = ["check_measures", "compare", "demo", "fixed_points", "main", "repeat", "show", "sweep", "train"]

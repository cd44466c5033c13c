"""The command line: the same functions that a notebook calls, with flags made from their signatures."""

from conjugacy.cli.entry import main

__all__ = ["main"]

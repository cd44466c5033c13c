"""Tasks, under the names of CtDB."""

from conjugacy.tasks import NBitFlipFlop

__all__ = ["NBitFlipFlop"]

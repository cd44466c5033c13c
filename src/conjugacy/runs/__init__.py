"""Trained networks: the noun `Run`, its folder on disk, its trials, and the network run on trials."""

from conjugacy._lazy import lazy

# `rollout` is left out: the module of its name would hide it; it is public as conjugacy.rollout
_PUBLIC = {"Run": "run", "load": "run", "TrialSets": "trial_sets"}

__getattr__, __dir__, __all__ = lazy(__name__, _PUBLIC)

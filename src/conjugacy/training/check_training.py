"""Checks of what `train` and its relatives are given, before anything is computed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from conjugacy._check import check_flag, shown
from conjugacy.networks.network import Network
from conjugacy.runs.classes import has_role
from conjugacy.training.recipe import Recipe


def check_training(task: Any, network: Any, recipe: Any, progress: Any, settings: Mapping[str, Any]) -> Recipe:
    """The recipe with single settings put in, after task, network, recipe and settings have been checked.

    Raises
    ------
    TypeError
        If one of them is not of its kind.
    ValueError
        If a setting does not exist, or its value is not taken.
    """
    if isinstance(task, type) or (not has_role(type(task), "task") and not _acts_as_task(task)):
        hint = "an object with the members of conjugacy.tasks.Task, for example conjugacy.tasks.NBitFlipFlop()"
        raise TypeError(f"`task`: expected a task, {hint}, got {shown(task)}.")
    if not isinstance(network, Network):
        raise TypeError(f"`network`: expected a network, for example conjugacy.networks.GRU(64), got {shown(network)}.")
    if recipe is not None and not isinstance(recipe, Recipe):
        raise TypeError(f"`recipe`: expected a conjugacy.Recipe or None, got {shown(recipe)}.")
    check_flag("progress", progress)
    names = Recipe.names()
    for name, value in settings.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"`settings`: expected one of {', '.join(map(repr, names))}, got {name}={shown(value)}.{guess} "
                "These are the settings of a Recipe."
            )
    return replace(Recipe.for_task(task, network) if recipe is None else recipe, **settings)


def _acts_as_task(task: Any) -> bool:
    # an object may stand in front of a task and hand on what it is asked for
    return all(callable(getattr(task, name, None)) for name in ("trials", "loss", "success_rate"))

"""Checks of what `train` and its relatives are given, before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from conjugacy._check import check_flag, did_you_mean, shown
from conjugacy.runs.classes import check_network, check_task
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
    check_task("task", task)
    check_network("network", network)
    if recipe is not None and not isinstance(recipe, Recipe):
        raise TypeError(f"`recipe`: expected a conjugacy.Recipe or None, got {shown(recipe)}.")
    check_flag("progress", progress)
    names = Recipe.names()
    for name, value in settings.items():
        if name not in names:
            raise ValueError(
                f"`settings`: expected one of {', '.join(map(repr, names))}, got {name}={shown(value)}."
                f"{did_you_mean(name, names)} These are the settings of a Recipe."
            )
    return replace(Recipe.for_task(task, network) if recipe is None else recipe, **settings)

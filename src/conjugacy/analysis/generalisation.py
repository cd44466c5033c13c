"""Does what was learned hold elsewhere? One network on the variations of its task, one row each."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from conjugacy._check import check_int
from conjugacy.arm import RigidTendonArm26
from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.tasks import RandomTarget, input_size, output_size
from conjugacy.tasks.task import Task
from conjugacy.training.scores import evaluate


def generalisation_table(
    run: Run,
    conditions: Mapping[str, Mapping[str, Any] | Task] | None = None,
    n_trials: int = 500,
    seed: int | None = None,
) -> pd.DataFrame:
    """Scores of a trained network on variations of its task, without noise and without further learning.

    Parameters
    ----------
    run : Run
        A trained network.
    conditions : dict, optional
        Name of each condition -> what differs from the task of the run: arguments of its class, or a whole task. By
        default `reach_conditions` of a `RandomTarget`.
    n_trials : int
        Trials of each condition.
    seed : int, optional
        Seed of the trials, the same for all conditions; by default one that nothing else of the run uses.

    Returns
    -------
    DataFrame
        A row a condition, the first one "as trained"; columns "r2", "accuracy" and the task's further metrics.

    Raises
    ------
    ValueError
        If a condition has other inputs or outputs than the network.
    """
    seed = derive_seed(run.seed, "generalisation") if seed is None else check_int("seed", seed, 0)
    if conditions is None:
        if not isinstance(run.task, RandomTarget):
            raise ValueError(f"`conditions`: there are none by default for {run.task.name}. Give a dict of changes.")
        conditions = reach_conditions(run.task)
    tasks: dict[str, Any] = {"as trained": run.task}
    for name, change in conditions.items():
        tasks[name] = _varied(run.task, change) if isinstance(change, Mapping) else change
    rows = {}
    for name, task in tasks.items():
        want = (run.network.input_size, run.network.output_size)
        if (input_size(task), output_size(task)) != want:
            raise ValueError(
                f"`conditions`: {name!r} has {input_size(task)} inputs and {output_size(task)} outputs, "
                f"the network {want[0]} and {want[1]}."
            )
        scores = evaluate(run.network, task, task.trials(check_int("n_trials", n_trials, 1), seed))
        rows[name] = {k: v for k, v in scores.items() if "/" not in k}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("condition")


def reach_conditions(task: RandomTarget) -> dict[str, dict[str, Any]]:
    """Worlds that a network trained to reach has not met: forces, masses, delays, turned vision, bumps, targets."""
    step, twice = task.dt, 2 * task.max_ep_duration
    low, high = task.bump_force
    late = 5 * step
    conditions: dict[str, dict[str, Any]] = {
        "no bumps": {"bump_prob": 0.0},
        f"bumps of {2 * low:g} to {2 * high:g} N": {"bump_force": (2 * low, 2 * high)},
        "curl field, 10 N s/m": {"force_field": "curl", "field_strength": 10.0},
        "curl field, -10 N s/m": {"force_field": "curl", "field_strength": -10.0},
        "viscous field, 10 N s/m": {"force_field": "viscous", "field_strength": 10.0},
        f"vision {1000 * late:g} ms later": {"vision_delay": task.vision_delay + late},
        f"proprioception {1000 * late:g} ms later": {"proprioception_delay": task.proprioception_delay + late},
        "vision turned by 30 degrees": {"rotation": 30.0},
        "centre-out, 8 targets": {"n_directions": 8},
        f"trials of {twice:g} s": {"max_ep_duration": twice},
    }
    for factor in (0.75, 1.25):
        if isinstance(task.effector, RigidTendonArm26):
            conditions[f"masses x {factor:g}"] = {"effector": with_masses(task.effector, factor)}
    return conditions


def with_masses(arm: RigidTendonArm26, factor: float) -> RigidTendonArm26:
    """The same arm with masses and moments of inertia multiplied by `factor`."""
    s = arm.skeleton
    heavier = replace(s, m1=factor * s.m1, m2=factor * s.m2, i1=factor * s.i1, i2=factor * s.i2)
    arguments = {name: getattr(arm, name) for name in inspect.signature(type(arm)).parameters}
    return type(arm)(**{**arguments, "skeleton": heavier})


def _varied(task: Any, changes: Mapping[str, Any]) -> Any:
    arguments = {name: getattr(task, name) for name in inspect.signature(type(task)).parameters}
    unknown = sorted(set(changes) - set(arguments))
    if unknown:
        raise ValueError(
            f"`conditions`: {type(task).__name__} takes {', '.join(arguments)}, got {', '.join(unknown)} too."
        )
    return type(task)(**{**arguments, **changes})

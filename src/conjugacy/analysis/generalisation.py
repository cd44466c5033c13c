"""Generalisation: the scores of one network on variations of its task."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from conjugacy._check import check_int, check_number
from conjugacy.analysis._given import as_run, check_kind
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
    run : Run or Analysis
        A trained network.
    conditions : dict, optional
        Name of each condition -> what differs from the task of the run: arguments of its class, or a whole task. By
        default `reach_conditions` of a `RandomTarget`, `task_variations` of any other.
    n_trials : int
        Trials of each condition.
    seed : int, optional
        Seed of the trials, the same for all conditions; by default one that nothing else of the run uses.

    Returns
    -------
    DataFrame
        One row per condition, the first one "as trained"; columns "r2", "accuracy" and the metrics of the task. NaN
        where no trial counts, such as the effect of bumps where there are none.

    Raises
    ------
    ValueError
        If a condition has other inputs or outputs than the network.
    """
    run = as_run("run", run)
    check_int("n_trials", n_trials, 1, limit=10**7)
    seed = derive_seed(run.seed, "generalisation") if seed is None else check_int("seed", seed, 0)
    if conditions is None:
        conditions = reach_conditions(run.task) if isinstance(run.task, RandomTarget) else task_variations(run.task)
        if not conditions:
            raise ValueError(
                f"`conditions`: expected a dict of changes for the task {run.task.name}, which has no length, noise or "
                "rate of its own to vary, got None."
            )
    tasks: dict[str, Any] = {"as trained": run.task}
    check_kind("conditions", conditions, Mapping, "a dict of name -> changes or task")
    for name, change in conditions.items():
        takes = "a dict of changes or a task"
        changed = check_kind(f"conditions[{name!r}]", change, (Mapping, Task), takes)
        tasks[name] = varied(run.task, changed) if isinstance(changed, Mapping) else changed
    rows = {}
    for name, task in tasks.items():
        want = (run.network.input_size, run.network.output_size)
        if (input_size(task), output_size(task)) != want:
            raise ValueError(
                f"`conditions`: expected {want[0]} inputs and {want[1]} outputs, which the network has, got "
                f"{input_size(task)} and {output_size(task)} in {name!r}."
            )
        scores = evaluate(run.network, task, task.trials(n_trials, seed))
        rows[name] = {k: v for k, v in scores.items() if "/" not in k}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("condition")
    empty = table.columns[table.loc["as trained"].isna()].tolist()
    if empty:
        warnings.warn(
            f"`n_trials`: with {n_trials}, no trial as trained counts for {', '.join(empty)}, which is NaN. Draw more "
            "trials; time_to_target also needs reaches that arrive.",
            stacklevel=2,
        )
    return table


def reach_conditions(task: RandomTarget) -> dict[str, dict[str, Any]]:
    """Conditions that a network trained to reach has not met: forces, masses, delays, rotated vision, other targets."""
    check_kind("task", task, RandomTarget, "a RandomTarget")
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
    check_kind("arm", arm, RigidTendonArm26, "a RigidTendonArm26")
    check_number("factor", factor, 0, open_low=True)
    s = arm.skeleton
    heavier = replace(s, m1=factor * s.m1, m2=factor * s.m2, i1=factor * s.i1, i2=factor * s.i2)
    arguments = {name: getattr(arm, name) for name in inspect.signature(type(arm)).parameters}
    return type(arm)(**{**arguments, "skeleton": heavier})


def task_variations(task: Task) -> dict[str, dict[str, Any]]:
    """Conditions that a network has not met: longer trials, more and no noise, other rates of events.

    From the arguments of the task's class: "n_timesteps" or "duration" doubled, "noise" or "input_noise" doubled and 0,
    and each "...rate", "...rates", "...prob" halved and doubled where the task takes the value.
    """
    known = inspect.signature(type(task)).parameters
    given = {name: getattr(task, name) for name in known if hasattr(task, name)}
    wanted: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
            continue
        if name in ("n_timesteps", "duration"):
            wanted.setdefault("trials twice as long", {name: 2 * value})
        elif name in ("noise", "input_noise"):
            wanted.setdefault("twice the noise", {name: 2 * value})
            wanted.setdefault("no noise", {name: 0.0})
        elif name.endswith(("rate", "rates", "prob")):
            wanted |= {f"{word} the {name}": {name: k * value} for word, k in (("half", 0.5), ("twice", 2.0))}
    return {label: changes for label, changes in wanted.items() if _taken(task, changes)}


def _taken(task: Task, changes: Mapping[str, Any]) -> bool:
    try:
        return (input_size(varied(task, changes)), output_size(task)) == (input_size(task), output_size(task))
    except (ValueError, TypeError):  # twice a probability of 0.7, say
        return False


def varied(task: Any, changes: Mapping[str, Any]) -> Any:
    """The task with other values of some arguments of its class."""
    arguments = {name: getattr(task, name) for name in inspect.signature(type(task)).parameters}
    unknown = sorted(set(map(str, changes)) - set(arguments))
    if unknown:
        raise ValueError(
            f"`conditions`: {type(task).__name__} takes {', '.join(arguments)}, got {', '.join(map(str, unknown))} too."
        )
    return type(task)(**{**arguments, **changes})

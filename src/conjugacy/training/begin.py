"""begin(): the training that a call of `train` starts or resumes."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from conjugacy._check import check_device, check_int
from conjugacy._notes import one_line
from conjugacy._plain_torch import plain_torch
from conjugacy._threads import torch_threads
from conjugacy.networks.network import Network
from conjugacy.runs.folder import as_folder, check_holds_no_more_than, holds_run, read_config
from conjugacy.runs.run import Run
from conjugacy.runs.snapshots import FOLDER as SNAPSHOTS
from conjugacy.runs.snapshots import KeptWeights, check_snapshots, steps_to_keep
from conjugacy.runs.trial_sets import TrialSets, derive_seed
from conjugacy.runs.weights import weight_bytes
from conjugacy.tasks.task import Task, input_size, output_size
from conjugacy.training import checkpoint
from conjugacy.training.checkpoint import Progress
from conjugacy.training.finished import finished_run
from conjugacy.training.recipe import Recipe
from conjugacy.training.training import Training
from conjugacy.training.transfer import transfer


@plain_torch()
def begin(
    task: Task,
    network: Network,
    seed: int,
    recipe: Recipe,
    out: str | Path | None,
    device: str,
    keep: Any = None,
    start: Run | None = None,
) -> Training | Run:
    """The training that starts or resumes, or the run if it has ended. Checks everything, writes nothing."""
    device = check_device("device", device)
    seed = check_int("seed", seed, 0)
    if recipe.calm_share and "calm" not in _arguments(getattr(task, "training_trials", None)):
        raise ValueError(
            f"`calm_share`: expected 0, got {recipe.calm_share}: {task.name} has no calm trials. Give it a method "
            "training_trials(n, seed, step, progress, calm) to draw them."
        )
    fresh = not network.input_size
    model = _prepared(task, network)
    if fresh:
        with torch_threads(1):  # the last digits of an orthogonal matrix depend on their number
            model.init_model(input_size(task), output_size(task), derive_seed(seed, "weights"))
    elif (model.input_size, model.output_size) != (input_size(task), output_size(task)):
        raise ValueError(
            f"`network`: expected {input_size(task)} inputs and {output_size(task)} outputs for task {task.name}, "
            f"got {model.input_size} and {model.output_size}. Build it with init_model({input_size(task)}, "
            f"{output_size(task)})."
        )
    source = None if start is None else transfer(start, task, model)
    folder = None if out is None else as_folder("out", out)
    recipe = recipe if folder is None else as_begun_in(folder, task, network, recipe)
    kept = None
    if keep is not None:
        steps = steps_to_keep(keep, recipe.steps)
        if folder is None:
            raise ValueError("`keep`: expected None without `out`, got steps. Name a folder, which they are kept in.")
        kept = KeptWeights(folder, steps)
    run = Run(task, model, seed, TrialSets.from_seed(seed), recipe.as_dict(), start=source, kept=kept)
    if folder is not None:
        if not fresh:
            raise ValueError(
                "`out`: a network that has weights already cannot be resumed. Train it without `out`, then save."
            )
        config = run.config()
        if holds_run(folder):
            return finished_run(folder, config, task, network)
        check_holds_no_more_than("out", folder, (*checkpoint.FILES, SNAPSHOTS))
        check_snapshots("out", folder, config)
        try:
            weight_bytes(model)
        except Exception as error:
            raise TypeError(f"`out`: the network cannot be saved ({one_line(error)}). Train without `out`.") from error
    optimizer = torch.optim.Adam(model.to(device).parameters(), weight_decay=recipe.weight_decay)
    average = copy.deepcopy(model)
    state = checkpoint.read(folder, run.config(), model, average, optimizer) if folder is not None else Progress()
    return Training(run, recipe, device, folder, optimizer, average, state)


def as_begun_in(folder: Path, task: Task, network: Network, recipe: Recipe) -> Recipe:
    """The recipe with which the run or the interrupted training in a folder was begun, if it is a former `recipe`."""
    config: Any = None
    with suppress(ValueError, OSError):  # loading it raises the error
        config = read_config(folder) if holds_run(folder) else checkpoint.config_in(folder)
    saved = config.get("recipe") if isinstance(config, dict) else None
    return recipe.as_begun(task, network, saved) if isinstance(saved, dict) else recipe


def planned_config(task: Task, network: Network, seed: int, recipe: Recipe) -> dict[str, Any]:
    """The config of the run that `begin` would begin for a network without weights."""
    model = _prepared(task, network)
    model.input_size, model.output_size = input_size(task), output_size(task)
    return Run(task, model, seed, TrialSets.from_seed(seed), recipe.as_dict()).config()


def _prepared(task: Task, network: Network) -> Network:
    """A copy of the network as it is before its weights are drawn, or with those that it has."""
    model = copy.deepcopy(network)
    prepare = getattr(task, "prepare", None)
    if not model.input_size and prepare is not None:
        prepare(model)
    return model


def _arguments(function: Callable | None) -> list[str]:
    return [] if function is None else list(inspect.signature(function).parameters)

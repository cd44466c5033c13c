"""repeat(): train again what a run folder holds."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from conjugacy.runs.folder import as_folder
from conjugacy.runs.run import Run, load
from conjugacy.runs.trial_sets import TrialSets
from conjugacy.training.recipe import Recipe
from conjugacy.training.train import train


def repeat(run: str | Path, out: str | Path, progress: bool = True) -> tuple[Run, bool]:
    """Train again, from nothing, what the folder `run` holds, and save it to the folder `out`.

    Returns
    -------
    tuple
        The new run, and whether its weights are those of the old one, bit for bit (False if it was interrupted).

    Raises
    ------
    FileExistsError
        If `out` holds anything, a run or an interrupted training among it: that would not be trained here.
    ValueError
        If the old run is one that its config does not repeat: trained by a Lightning Trainer, or interrupted.
    """
    folder = as_folder("out", out)
    there = [name for name in os.listdir(folder) if not name.startswith(".")] if folder.exists() else []
    if there:
        raise FileExistsError(
            f"`out`: {folder} is not empty (it holds {there[0]}), and what is there would not be trained again. "
            "Name a new folder."
        )
    old = load(run)
    if "trainer" in old.recipe:
        raise ValueError(f"`run`: {run} was trained by a Lightning Trainer, whose settings are not in the run.")
    if old.metrics.get("stopped") == "interrupted":
        raise ValueError(f"`run`: {run} was saved when its training was interrupted, and so cannot be repeated.")
    if old.metrics.get("stopped") == "snapshot":
        raise ValueError(f"`run`: {run} is a snapshot of a training. Repeat the run that it is of.")
    try:
        recipe = Recipe(**old.recipe)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`run`: the recipe of {run} cannot be repeated ({error}).") from None
    keep = None if old.kept is None else old.kept.steps
    if old.start is None:
        network = type(old.network)(**old.config()["network"]["args"])
        new = train(old.task, network, old.seed, progress, recipe=recipe, out=folder, keep=keep)
    else:
        source = old.start
        start = Run(source.task, source.network, source.seed, TrialSets.from_seed(source.seed), name=source.name)
        new = train(old.task, None, old.seed, progress, recipe=recipe, out=folder, keep=keep, start=start)
    weights = old.network.state_dict(), new.network.state_dict()
    same = weights[0].keys() == weights[1].keys() and all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])
    return new, same and new.metrics["stopped"] != "interrupted"

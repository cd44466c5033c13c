"""The finished run that a call of `train` finds in its folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from conjugacy._renamed import renewed
from conjugacy.networks.network import Network
from conjugacy.runs.folder import finish, is_unfinished
from conjugacy.runs.lock import at_once, locked
from conjugacy.runs.run import Run, load
from conjugacy.tasks.task import Task
from conjugacy.training import checkpoint
from conjugacy.training.recipe import Recipe


def differing(config: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The entries in which the config of a run is not that of a run that was saved, versions apart."""
    other = renewed({**other, "recipe": Recipe.completed(other["recipe"])})
    return sorted(k for k in config if k != "versions" and other.get(k) != config[k])


def finished_run(folder: Path, config: dict[str, Any], task: Task, network: Network) -> Run:
    """The run in a folder, if it is of this config; a save that was cut off by a kill is completed."""
    run = load(folder, classes=[type(task), type(network)])
    others = differing(config, run.config())
    if others:
        raise FileExistsError(
            f"`out`: {folder} holds a finished run of another config (other {', '.join(others)}). Name another folder."
        )
    with suppress(
        OSError
    ):  # another process does it now, or the folder cannot be written: the run is whole all the same
        if (folder / checkpoint.FILE).exists() or is_unfinished(folder):
            with locked(folder, at_once):
                finish(folder)
                checkpoint.delete(folder)
    return run

"""Checkpoint of an interrupted training: one safetensors file, replaced atomically.

Everything random in training is derived from (seed, step), so the weights, their average, the optimiser's moments and
the step number are all it takes to go on exactly as if nothing had happened.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from conjugacy.training.recipe import Recipe

FILE = "checkpoint.safetensors"


@dataclass
class Progress:
    """Where a training stands."""

    step: int = 0
    seconds: float = 0.0
    best_score: float = float("-inf")
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


def write(
    folder: Path, config: dict[str, Any], model: Any, average: Any, optimizer: torch.optim.Adam, progress: Progress
) -> None:
    """Write the checkpoint of a training to `folder`."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in progress.best.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{k}": v for k, v in state.items()}
    header = {
        "config": json.dumps(config, sort_keys=True),
        "progress": json.dumps(
            {
                "step": progress.step,
                "seconds": progress.seconds,
                "best_score": progress.best_score,
                "history": progress.history,
            }
        ),
    }
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{FILE}.new"
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, fresh, metadata=header)
    os.replace(fresh, folder / FILE)


def read(folder: Path, config: dict[str, Any], model: Any, average: Any, optimizer: torch.optim.Adam) -> Progress:
    """Fill model, its average and optimiser from the checkpoint in `folder`; a fresh Progress if there is none.

    Raises
    ------
    ValueError
        If the checkpoint is of another config, or cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return Progress()
    try:
        with safe_open(path, "pt") as f:
            header = f.metadata()
            tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118  (safe_open is no dict)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole checkpoint ({error}). Delete it to start over.") from None
    saved = json.loads(header["config"])
    saved["recipe"] = Recipe.completed(saved["recipe"])
    if saved != json.loads(json.dumps(config)):
        differing = sorted(k for k in {*saved, *config} if saved.get(k) != json.loads(json.dumps(config.get(k))))
        raise ValueError(
            f"{path}: an interrupted training of another config (other {', '.join(differing)}). "
            "Name another folder, or delete the file to start over."
        )
    model.load_state_dict(_part(tensors, "model."))
    average.load_state_dict(_part(tensors, "average."))
    moments = _part(tensors, "adam.")
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in moments.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    told = json.loads(header["progress"])
    return Progress(best=_part(tensors, "best."), **told)


def delete(folder: Path) -> None:
    """Remove the checkpoint: its training is over."""
    (folder / FILE).unlink(missing_ok=True)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

"""Checkpoint of a training: one safetensors file, replaced whole or not at all.

Everything random in training is derived from (seed, step), so the weights, their average, the optimiser's moments and
the step number are enough to resume exactly as if there had been no interruption. A training that has ended is written
in the same way, until its run is saved.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from conjugacy._files import read_file, write_sealed
from conjugacy._json import dump, parse
from conjugacy._notes import OlderFileWarning, note, one_line
from conjugacy._renamed import renewed
from conjugacy.runs.folder import CHECKPOINT as FILE
from conjugacy.training.recipe import Recipe

_OLD_STAGED = f"{FILE}.new"  # a kill of version 0.1 may have left it


@dataclass
class Progress:
    """How far a training has come.

    Attributes
    ----------
    step : int
    seconds : float
    best_score : float
    best : dict of str to Tensor
        The best weights so far.
    history : list of dict
    stopped : str
        Why it ended, if it has.
    """

    step: int = 0
    seconds: float = 0.0
    best_score: float = float("-inf")
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    stopped: str = ""


FILES = (FILE, _OLD_STAGED)  # all that may be in a folder while it trains


def write(
    folder: Path, config: dict[str, Any], model: Any, average: Any, optimizer: torch.optim.Adam, progress: Progress
) -> None:
    """Write the checkpoint of a training to `folder`.

    Raises
    ------
    OSError
        If it cannot be written; the one before is still there.
    """
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in progress.best.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{k}": v for k, v in state.items()}
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    values = {k: v for k, v in asdict(progress).items() if k != "best"}
    header = {"config": dump("config", config, None), "progress": dump("progress", values, None)}
    header["sha256"] = _digest(header, tensors)
    folder.mkdir(parents=True, exist_ok=True)
    write_sealed(folder, {FILE: save(tensors, header)}, FILE)


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
        header, tensors = _read_checked(path)
        saved, values = (parse(name, header[name]) for name in ("config", "progress"))
    except Exception as error:
        raise _not_whole(path, error) from None
    saved = renewed(saved) if isinstance(saved, dict) else {}
    if isinstance(saved.get("recipe"), dict):
        saved["recipe"] = Recipe.completed(saved["recipe"])
    if saved != config:
        differing = sorted(k for k in {*saved, *config} if saved.get(k) != config.get(k))
        if differing != ["versions"]:
            raise ValueError(
                f"{path}: an interrupted training of another config (other {', '.join(differing)}). "
                "Name another folder, or delete the file to start over."
            )
        note(f"{path}: begun with other versions of conjugacy or torch; the last digits may differ.", stacklevel=3)
    try:
        model.load_state_dict(_part(tensors, "model."))
        average.load_state_dict(_part(tensors, "average."))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _part(tensors, "adam.").items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        return Progress(best=_part(tensors, "best."), **values)
    except Exception as error:
        raise _not_whole(path, error) from None


def config_in(folder: Path) -> Any:
    """The config of the interrupted training in a folder; None where there is none that can be read."""
    try:
        header, _ = _read_checked(folder / FILE)
        return parse("config", header["config"])
    except Exception:
        return None


def progress_in(folder: Path) -> Any:
    """How far the interrupted training in a folder has come: step, seconds, ..; None where none can be read."""
    try:
        header, _ = _read_checked(folder / FILE)
        return parse("progress", header["progress"])
    except Exception:
        return None


def delete(folder: Path) -> None:
    """Remove the checkpoint of a training whose run has been saved."""
    for name in FILES:
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def _read_checked(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    data = read_file(path)
    tensors = load(data)
    header = parse(path.name, data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    if set(header) - {"config", "progress", "sha256"}:
        raise ValueError(f"unknown entries in its header: {', '.join(sorted(header))}")
    if "sha256" not in header:
        note(f"{path}: without a hash, as conjugacy 0.1 wrote it: changes would not be noticed.", OlderFileWarning)
    elif header["sha256"] != _digest(header, tensors):
        raise ValueError("its hash differs: it was changed")
    return header, tensors


def _digest(header: dict[str, str], tensors: dict[str, Tensor]) -> str:
    sha = hashlib.sha256()
    for text in (header["config"], header["progress"]):
        sha.update(f"{len(text)} {text}".encode())
    for name, value in sorted(tensors.items()):
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        sha.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def _not_whole(path: Path, error: Exception) -> ValueError:
    reason = one_line(error)
    return ValueError(f"{path}: not a whole checkpoint ({reason[:300]}). Delete it to start over.")


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

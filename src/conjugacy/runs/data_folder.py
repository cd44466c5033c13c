"""The folder of a model of a recording: that of a run (`runs/folder.py`), with the recording in the place of trials.

recording.npz   the recording itself, unless it was left out; its hash is in config.json either way
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from conjugacy._check import check_flag, check_optional
from conjugacy._config import build
from conjugacy._files import check_path
from conjugacy._json import dump
from conjugacy._plain_torch import plain_dtype
from conjugacy.recordings.recording import Recording
from conjugacy.recordings.recording_file import read_recording, recording_bytes
from conjugacy.runs.classes import known_classes
from conjugacy.runs.folder import (
    CHECKPOINT,
    CONFIG,
    RECORDING,
    as_folder,
    check_holds_no_more_than,
    holds_run,
    is_same,
    named,
    note_if_unchecked,
    read_history,
    read_metrics,
    read_run,
    sealed,
    write_folder,
)
from conjugacy.runs.lock import at_once, locked
from conjugacy.runs.weights import load_weights, weight_bytes


def recording_digest(recording: Recording) -> str:
    """Hash of all that a model is fitted to: counts, inputs, lengths of trials and held-out units."""
    sha = hashlib.sha256(f"{recording.values.shape} {recording.bin_size!r} {list(recording.held_out)}".encode())
    for x in (recording.values, recording.lengths, recording.inputs):
        sha.update(b"none" if x is None else np.ascontiguousarray(x).tobytes())
    return sha.hexdigest()


def data_files(run: Any, keep_recording: bool) -> dict[str, bytes]:
    """The files of the folder of a `DataRun`."""
    files = {
        "weights.safetensors": weight_bytes(run.network),
        "history.csv": run.history.to_csv(index=False, lineterminator="\n").encode(),
        "metrics.json": dump("metrics", run.metrics).encode(),
    }
    if keep_recording:
        files[RECORDING] = recording_bytes(run.recording, run.recording.origin)
    return sealed(run.config(), files)


def save_data_run(run: Any, folder: str | os.PathLike, keep_recording: bool, overwrite: bool) -> Path:
    """Write a `DataRun`; see its `save`."""
    path = as_folder("folder", folder)
    check_flag("overwrite", overwrite)
    files = data_files(run, check_flag("keep_recording", keep_recording))
    if not holds_run(path):
        check_holds_no_more_than("folder", path, [CHECKPOINT] if overwrite else [])
    with locked(path, at_once, "folder"):
        if holds_run(path) and not overwrite and not is_same(path, files):
            raise FileExistsError(
                f"`folder`: {path} holds another run. Name another folder, or give overwrite=True to replace it."
            )
        write_folder(path, files)
        (path / CHECKPOINT).unlink(missing_ok=True)
    return Path(folder)


def read_data_run(folder: str | os.PathLike, recording: Recording | None, classes: Iterable[type]) -> dict[str, Any]:
    """The fields of the `DataRun` in a folder; see its `load`."""
    folder, known = check_path("folder", folder), known_classes(classes)
    check_optional("recording", recording, Recording)
    config, data = read_run(folder)
    path = folder / CONFIG
    if config["task"].get("class") != "Recording":
        raise ValueError(f"{path}: expected a model of a recording, got a run on a task. Use conjugacy.load(folder).")
    with plain_dtype(), named(path):
        network = build("network", config["network"], known)
        network.init_model(config["input_size"], config["output_size"])
    load_weights(network, data["weights.safetensors"], folder / "weights.safetensors")
    if recording is None:
        if RECORDING not in data:
            raise ValueError(
                f"`recording`: {folder} was saved without its recording {config['task'].get('name')!r}. Give it."
            )
        fields, origin = read_recording(folder / RECORDING, data[RECORDING])
        recording = Recording(**fields, origin=None if origin is None else Recording(**origin))
    if recording_digest(recording) != config["task"].get("sha256"):
        raise ValueError(
            f"`recording`: expected the one that the model in {folder} was fitted to, {config['task'].get('name')!r}, "
            f"got another, {recording.name!r}."
        )
    note_if_unchecked(folder, config)
    return {
        "recording": recording,
        "network": network.eval(),
        "seed": config["seed"],
        "recipe": config["recipe"],
        "history": read_history(folder / "history.csv", data["history.csv"]),
        "metrics": read_metrics(folder / "metrics.json", data["metrics.json"]),
        "name": config["name"],
        "unseen": tuple(config.get("unseen", ())),
    }

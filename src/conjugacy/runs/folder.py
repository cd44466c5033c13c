"""The folder of a run on disk: written whole or not at all, and read with every file checked."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from conjugacy._check import check_int
from conjugacy._version import __version__

FORMAT = 1


FILES = ("weights.safetensors", "history.csv", "metrics.json")


def read_config(folder: Path) -> dict[str, Any]:
    """The config of the run in a folder, if it is whole and of a format that is known."""
    path = folder / "config.json"
    if not path.exists():
        here = "has no config.json" if folder.exists() else "does not exist"
        raise FileNotFoundError(f"`folder`: {folder} {here}, so it holds no run. Give the folder passed to save().")
    try:
        config = json.loads(path.read_text())
        version = check_int("format", config["format"], 1)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a run's config ({error}). Save the run again.") from None
    if version > FORMAT:
        raise ValueError(
            f"{path}: written in format {version} by conjugacy {config.get('versions', {}).get('conjugacy', '?')}; "
            f"this is conjugacy {__version__}, which reads formats up to {FORMAT}. Upgrade conjugacy."
        )
    lacking = sorted({"task", "network", "input_size", "output_size", "seed", "trials", "sha256"} - set(config))
    if lacking:
        raise ValueError(f"{path}: the entries {', '.join(lacking)} are missing. Save the run again.")
    return config


def read_checked(path: Path, config: dict[str, Any]) -> bytes:
    """The content of a file of a run, if its hash is the one in the config."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: missing. The run is incomplete; save it again.")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != config["sha256"].get(path.name):
        raise ValueError(
            f"{path}: its content is not what was saved ({len(data)} bytes; the hash in config.json differs). "
            "It was cut off or changed; save the run again."
        )
    return data


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    """Write beside the folder, then swap: a kill at any time leaves the old run or none, never half of one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fresh.chmod(0o755)
        for name, data in files.items():
            with open(fresh / name, "wb") as f:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            os.replace(folder, old)
            os.replace(fresh, folder)
            shutil.rmtree(old)
        else:
            os.replace(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def clear_half_written(folder: Path) -> None:
    """Remove what a kill in the middle of saving a run to `folder` has left beside it; nobody may be saving it now."""
    for left in folder.parent.glob(f".{glob.escape(folder.name)}-{'?' * 8}"):
        shutil.rmtree(left, ignore_errors=True)

"""The folder of a run on disk: written whole or not at all, and read with every file checked.

The hashes of all files are in config.json, and so is its own. It is the seal of the set (see `conjugacy._files`): it is
replaced in one step, and from then on the folder holds the new run.
"""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from conjugacy._check import check_int, did_you_mean
from conjugacy._files import (
    check_path,
    clear_staged,
    find,
    finish_sealed,
    is_staged,
    read_file,
    same_text,
    write_sealed,
)
from conjugacy._json import digest, dump, parse
from conjugacy._notes import OlderFileWarning, note, one_line
from conjugacy._version import __version__
from conjugacy.runs.lock import LOCK

FORMAT = 1
CONFIG = "config.json"
FILES = ("weights.safetensors", "history.csv", "metrics.json")
KEPT_TRIALS = "trials.h5"
START = "start.safetensors"  # weights of the run that training went on from
RECORDING = "recording.npz"  # what a model of a recording was fitted to
CHECKPOINT = "checkpoint.safetensors"  # of a training that goes on
_OWN_HASH = "config_sha256"
_EXTRA = (KEPT_TRIALS, START, RECORDING)
_ALL = (*FILES, *_EXTRA, CONFIG)
_KINDS: dict[str, type] = {"name": str, "task": dict, "network": dict, "recipe": dict, "trials": dict, "sha256": dict}
_COUNTS = {"input_size": 1, "output_size": 1, "seed": 0}
# without this pandas loses last bits before 3.1, which warns of it
_OF_PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2])
_EXACT: dict[str, Any] = {"float_precision": "round_trip"} if _OF_PANDAS < (3, 1) else {}
# what systems put into folders by themselves
_NOT_OURS = ("lost+found", "Thumbs.db", "desktop.ini")


def as_folder(name: str, value: str | os.PathLike) -> Path:
    """The absolute path of a folder that is given as argument `name`; it need not be there."""
    path = Path(os.path.abspath(check_path(name, value)))
    try:
        is_file = path.exists() and not path.is_dir()
    except (OSError, ValueError) as error:
        raise ValueError(f"`{name}`: expected the path of a folder, got {str(path)[:200]!r} ({error}).") from None
    if is_file:
        raise FileExistsError(f"`{name}`: {path} is a file. Name a folder.")
    return path


def holds_run(folder: Path) -> bool:
    """Whether a run was saved in a folder."""
    return os.path.lexists(folder / CONFIG)


def check_holds_no_more_than(name: str, folder: Path, files: Iterable[str]) -> None:
    """Refuse, as argument `name`, a folder that holds anything but `files` and hidden files."""
    if not folder.exists():
        return
    for there in sorted(os.listdir(folder)):
        if not (there.startswith(".") or there in (*files, *_ALL, *_NOT_OURS)):
            raise FileExistsError(f"`{name}`: {folder} exists and holds no run. Name an empty or a new folder.")


def _folders_beside(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.parent.iterdir() if path.is_dir()]
    except OSError:
        return []


def _what_to_do(folder: Path) -> str:
    """Advice about a folder that is there and holds no run itself."""
    within = sorted(path.parent.relative_to(folder).as_posix() for path in folder.glob("*/config.json"))
    within += sorted(path.parent.relative_to(folder).as_posix() for path in folder.glob("runs/*/config.json"))
    if within:
        names = ", ".join(within[:5]) + (f" and {len(within) - 5} more" if len(within) > 5 else "")
        return f"There are runs in {names} within it: name one of these."
    if (folder / LOCK).exists():
        return "A training was stopped there before it kept anything: give its command again, or wait if it still runs."
    return "Give the folder passed to save()."


def read_config(folder: Path) -> dict[str, Any]:
    """The config of the run in a folder, if it is whole and of a format that is known."""
    path = folder / CONFIG
    if not os.path.lexists(path):
        if (folder / CHECKPOINT).exists():
            raise FileNotFoundError(
                f"`folder`: {folder} holds a training that was interrupted, and no run yet. The same call of train() "
                f"goes on; `conjugacy show {shlex.quote(str(folder))}` prints it as a command."
            )
        if not folder.exists():
            near = did_you_mean(folder.name, _folders_beside(folder))
            raise FileNotFoundError(
                f"`folder`: {folder} does not exist, so it holds no run.{near} Give the folder passed to save()."
            )
        raise FileNotFoundError(f"`folder`: {folder} has no {CONFIG}, so it holds no run. {_what_to_do(folder)}")
    try:
        config = parse(str(path), read_file(path))
        version = check_int("format", config["format"], 1)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: not a run's config ({_without(path, error)}). Restore it, or save the run again."
        ) from None
    if version > FORMAT:
        raise ValueError(
            f"{path}: written in format {version} by conjugacy {writer(config)}; "
            f"this is conjugacy {__version__}, which reads formats up to {FORMAT}. Upgrade conjugacy."
        )
    _check_own_hash(path, config)
    _check_entries(path, config)
    return config


def _check_own_hash(path: Path, config: dict[str, Any]) -> None:
    if _OWN_HASH in config and config[_OWN_HASH] != digest({k: v for k, v in config.items() if k != _OWN_HASH}):
        raise ValueError(
            f"{path}: its content is not what was saved (its own hash differs). Restore it, or save the run again; "
            f"if you mean the change, delete the entry {_OWN_HASH}."
        )


def note_if_unchecked(folder: Path, config: dict[str, Any]) -> None:
    """Say of a run that has been read if its config could have been changed without notice."""
    if _OWN_HASH not in config:
        note(
            f"{folder / CONFIG}: without a hash of its own, as conjugacy 0.1 wrote it: changes would not be noticed.",
            OlderFileWarning,
            stacklevel=3,
        )


def _check_entries(path: Path, config: dict[str, Any]) -> None:
    missing = sorted({*_KINDS, *_COUNTS} - set(config))
    if missing:
        raise ValueError(f"{path}: the entries {', '.join(missing)} are missing. Save the run again.")
    for name, kind in _KINDS.items():
        if not isinstance(config[name], kind):
            raise ValueError(f"{path}: `{name}`: expected a {kind.__name__}, got {str(config[name])[:80]!r}.")
    for name, low in _COUNTS.items():
        try:
            check_int(name, config[name], low)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def writer(config: dict[str, Any]) -> str:
    """The version of conjugacy that wrote a config, if it says so."""
    versions = config.get("versions")
    return str(versions.get("conjugacy", "?") if isinstance(versions, dict) else "?")


def read_run(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The config of the run in a folder, and the content of its other files, all as they were saved."""
    for last in (False, False, True):
        config = read_config(folder)
        try:
            names = (*FILES, *(name for name in (START, RECORDING) if name in config["sha256"]))
            return config, {name: read_checked(folder / name, config) for name in names}
        except (ValueError, OSError):
            if last or read_config(folder) == config:  # else another run was saved there while we read
                raise
    raise AssertionError


def read_checked(path: Path, config: dict[str, Any]) -> bytes:
    """The content of a file of a run, if its hash is the one in the config."""
    try:
        data = find(path, lambda found: _is_right(path.name, found, config))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: missing. The run is incomplete; save it again.") from None
    if not _is_right(path.name, data, config):
        raise ValueError(
            f"{path}: its content is not what was saved ({len(data)} bytes; the hash in {CONFIG} differs). "
            "It was cut off or changed; save the run again."
        )
    return data


def sealed(config: dict[str, Any], files: dict[str, bytes]) -> dict[str, bytes]:
    """The files of a run with its config.json, which has the hashes of all."""
    config = {**config, "sha256": {name: sha256(data).hexdigest() for name, data in files.items()}}
    config |= {_OWN_HASH: digest(config)}
    return {**files, CONFIG: dump("config", config).encode()}


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files of a run, see `sealed`, to a folder that is locked: a kill leaves the old run or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    before = finish(folder)
    write_sealed(folder, files, CONFIG)
    for name in _EXTRA:
        if name in before and name not in files:  # of the old run
            (folder / name).unlink(missing_ok=True)


def finish(folder: Path) -> dict[str, Any]:
    """Bring to its end what a kill has interrupted in a folder that is locked; the hashes of the run there, if any."""
    try:
        config = read_config(folder)
    except (ValueError, OSError):
        clear_staged(folder, _ALL)
        return {}
    finish_sealed(folder, _ALL, lambda name, data: _is_right(name, data, config))
    return config["sha256"]


@contextmanager
def named(path: Path) -> Iterator[None]:
    """A context whose errors name the file they come from."""
    try:
        yield
    except Exception as error:
        reason = one_line(error)
        raise ValueError(f"{path}: {reason}") from error


def read_history(path: Path, data: bytes) -> pd.DataFrame:
    """The history in the content of a history.csv."""
    if not data.strip():
        return pd.DataFrame()
    with named(path):
        return pd.read_csv(io.BytesIO(data), **_EXACT)


def read_metrics(path: Path, data: bytes) -> dict[str, Any]:
    """The scores in the content of a metrics.json."""
    metrics = parse(str(path), data)
    if not isinstance(metrics, dict):
        raise ValueError(f"{path}: expected scores by their names, got {str(metrics)[:80]!r}. Save the run again.")
    return metrics


def is_same(folder: Path, files: dict[str, bytes]) -> bool:
    """Whether the run in a folder is the one that `files` hold: of the same config, with the same weights."""
    try:
        there = read_config(folder)
    except (ValueError, OSError):
        return False
    new = parse(CONFIG, files[CONFIG])
    weights = "weights.safetensors"
    same = all(there.get(k) == new[k] for k in ("name", "task", "network", "seed", "recipe", "trials"))
    return same and there["sha256"].get(weights) == new["sha256"][weights]


def is_unfinished(folder: Path) -> bool:
    """Whether a kill has left something in a folder that `finish` brings to its end."""
    return any(is_staged(name, _ALL) for name in os.listdir(folder))


def _is_right(name: str, data: bytes, config: dict[str, Any]) -> bool:
    wanted = config["sha256"].get(name)
    return sha256(data).hexdigest() == wanted or (name.endswith((".csv", ".json")) and same_text(str(wanted), data))


def _without(path: Path, error: Exception) -> str:
    return f"the entry {error} is missing" if isinstance(error, KeyError) else str(error).removeprefix(f"{path}: ")

"""Snapshots: the weights that a training has kept on its way, one file a step in the folder of its run.

Each file is written whole or not at all while training goes on, and never changed: a training that was interrupted
writes the same bytes again. A file is named by its step and says which training it is of (by a hash of the config), and
the config.json of the finished run has the hashes of all.
"""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.torch import save

from conjugacy._check import check_choice, check_int, check_list
from conjugacy._files import read_file, write_file
from conjugacy._json import digest, parse
from conjugacy.networks.network import Network
from conjugacy.runs.weights import load_weights

if TYPE_CHECKING:
    from conjugacy.runs.run import Run

FOLDER = "snapshots"
_NAME = re.compile(r"step_(\d+)\.safetensors")
_HALF_WRITTEN = ".step_*.new"
_N_LOG = 25


def steps_to_keep(keep: Any, n_steps: int) -> tuple[int, ...]:
    """The steps that the argument `keep` of a training of `n_steps` gradient steps names, sorted.

    "log": 0, and up to 25 steps that grow by one factor, from 1 to the last.

    Raises
    ------
    TypeError, ValueError
        If it is something else, or a step lies beyond the end.
    """
    if isinstance(keep, str):
        check_choice("keep", keep, ("log",), f"Or give a list of steps in [0, {n_steps}].")
        grown = np.geomspace(1, n_steps, _N_LOG)
        return tuple(sorted({0, *np.round(grown).astype(int).tolist()}))
    hint = f"Training has {n_steps} steps; 0 is before the first."
    steps = check_list("keep", keep, "steps")
    return tuple(sorted({check_int(f"keep[{i}]", step, 0, n_steps, hint) for i, step in enumerate(steps)}))


@dataclass(frozen=True)
class KeptWeights:
    """Which steps of a training were to be kept, and the files of those that were.

    Attributes
    ----------
    folder : Path
        Of the run.
    steps : tuple of int
        The steps asked for.
    sha256 : dict of int to str
        Hash of the file of each step that was kept; fewer than `steps` where training ended before.
    """

    folder: Path
    steps: tuple[int, ...]
    sha256: dict[int, str] = field(default_factory=dict)

    @classmethod
    def from_config(cls, folder: Path, keep: Sequence[Any], hashes: Mapping[str, Any]) -> KeptWeights:
        """What the config of a run in a folder says."""
        found = {check_int("snapshots", int(step), 0): str(value) for step, value in hashes.items()}
        return cls(folder, tuple(check_int("keep", step, 0) for step in keep), dict(sorted(found.items())))

    def path(self, step: int) -> Path:
        """The file of a step."""
        return self.folder / FOLDER / f"step_{step:07d}.safetensors"

    def write(self, step: int, network: Network, config: dict[str, Any]) -> None:
        """Write the weights after `step` steps of the training that `config` describes.

        Raises
        ------
        OSError
            If they cannot be written; the message names the file.
        """
        tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
        path = self.path(step)
        path.parent.mkdir(parents=True, exist_ok=True)
        # one entry only: safetensors writes several in random order, and a step written again has the same bytes
        write_file(path, save(tensors, {"of": _of(config)}))

    def found(self, config: dict[str, Any]) -> KeptWeights:
        """With the hashes of the files that are there; half-written ones, which a kill leaves, are removed."""
        for left in (self.folder / FOLDER).glob(_HALF_WRITTEN):
            with suppress(OSError):
                left.unlink()
        files = {step: read_file(path) for step, path in _files(self.folder).items() if step in self.steps}
        ours = {step: sha256(data).hexdigest() for step, data in files.items() if _says(data)["of"] == _of(config)}
        return replace(self, sha256=dict(sorted(ours.items())))

    def read(self, step: int) -> bytes:
        """The file of a step, if it is the one that the run has the hash of.

        Raises
        ------
        ValueError, OSError
            If it was changed or is missing; one line that names it.
        """
        path = self.path(step)
        data = read_file(path)
        if sha256(data).hexdigest() != self.sha256[step]:
            raise ValueError(
                f"{path}: its content is not what was kept (its hash differs). Restore it, or train again."
            )
        return data

    def copy_to(self, folder: Path) -> None:
        """Copy the files to the folder of another run."""
        for step in self.sha256:
            there = replace(self, folder=folder).path(step)
            if there != self.path(step):
                data = self.read(step)
                there.parent.mkdir(parents=True, exist_ok=True)
                write_file(there, data)

    @staticmethod
    def clear(folder: Path, but: KeptWeights | None) -> None:
        """Remove the files of a folder, but for those of `but`."""
        if but is None or not but.sha256:
            shutil.rmtree(folder / FOLDER, ignore_errors=True)
            return
        for step, path in _files(folder).items():
            if step not in but.sha256:
                with suppress(OSError):
                    path.unlink()


def check_snapshots(name: str, folder: Path, config: dict[str, Any]) -> None:
    """Refuse, as argument `name`, a folder with snapshots of another training than that of `config`."""
    for path in _files(folder).values():
        try:
            of = _says(read_file(path))["of"]
        except (ValueError, KeyError):
            raise FileExistsError(f"`{name}`: {path} is no snapshot of a training. Name another folder.") from None
        if of != _of(config):
            raise FileExistsError(
                f"`{name}`: {folder} holds snapshots of another training. Name another folder, or delete {path.parent}."
            )


class Snapshots(Mapping[int, "Run"]):
    """The snapshots of a run: a mapping from the number of gradient steps to the run as it was then.

    Runs are read from the folder when they are asked for. Their `history` ends at their step, and `metrics` has no
    test scores: `conjugacy.training.evaluate` gives them.
    """

    def __init__(self, run: Run):
        self._run, self._kept = run, run.kept

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps, sorted."""
        return () if self._kept is None else tuple(self._kept.sha256)

    def __getitem__(self, step: int) -> Run:
        if self._kept is None or step not in self._kept.sha256:
            have = ", ".join(map(str, self.steps)) or "none; train(..., out=FOLDER, keep='log') keeps some"
            raise KeyError(f"`step`: expected one of the steps that were kept ({have}), got {step!r}.")
        run = self._run
        network = copy.deepcopy(run.network)
        load_weights(network, self._kept.read(step), self._kept.path(step))
        history = run.history[run.history["step"] <= step] if "step" in run.history else run.history
        metrics = {"stopped": "snapshot", "steps": int(step)}
        name = f"{run.name} at step {step}"
        return replace(run, network=network.eval(), history=history, metrics=metrics, name=name, kept=None)

    def __iter__(self) -> Iterator[int]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        return f"Snapshots({self._run.name}: steps {', '.join(map(str, self.steps)) or 'none'})"


def _files(folder: Path) -> dict[int, Path]:
    found = {path: _NAME.fullmatch(path.name) for path in sorted((folder / FOLDER).glob("*"))}
    return {int(match[1]): path for path, match in found.items() if match}


def _of(config: dict[str, Any]) -> str:
    """What tells trainings apart; a newer version of a library may go on with one."""
    return digest({k: v for k, v in config.items() if k != "versions"})


def _says(data: bytes) -> dict[str, str]:
    return parse("snapshot", data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]

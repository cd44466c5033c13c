"""Run: a trained network with all that is needed to use, repeat and compare it, and its folder on disk.

A run folder holds numbers and names, never code or pickles:

    config.json           task, network, recipe, seeds, versions, and the hashes of all files, its own among them
    weights.safetensors   the network's parameters
    history.csv           loss and validation scores during training
    metrics.json          scores on the test trials
    start.safetensors     where training went on from another run: its weights
    snapshots             where weights were kept while it trained: a file for each step, see `runs/snapshots.py`
"""

from __future__ import annotations

import copy
import io
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from conjugacy._arrays import read_trials
from conjugacy._check import check_choice, check_flag, check_instance, check_int
from conjugacy._config import build, describe, plain
from conjugacy._html import card, html_table, sentence
from conjugacy._json import dump
from conjugacy._plain_torch import plain_dtype
from conjugacy._version import __version__
from conjugacy.networks.lesioned import Lesioned
from conjugacy.networks.network import Network
from conjugacy.runs.classes import check_network, check_task, known_classes
from conjugacy.runs.folder import (
    CHECKPOINT,
    CONFIG,
    FORMAT,
    KEPT_TRIALS,
    START,
    as_folder,
    check_holds_no_more_than,
    check_path,
    holds_run,
    is_same,
    named,
    note_if_unchecked,
    read_history,
    read_metrics,
    read_run,
    sealed,
    write_folder,
    writer,
)
from conjugacy.runs.lesion import cut, lesioned
from conjugacy.runs.lock import at_once, locked
from conjugacy.runs.rollout import rollout
from conjugacy.runs.snapshots import FOLDER as SNAPSHOTS
from conjugacy.runs.snapshots import KeptWeights, Snapshots
from conjugacy.runs.start import Start
from conjugacy.runs.trial_sets import PHASES, TrialSets
from conjugacy.runs.weights import load_weights, weight_bytes
from conjugacy.system import System
from conjugacy.tasks.task import Task, input_size, output_size
from conjugacy.trials import Rollout, Trials


@dataclass(frozen=True, eq=False)
class Run:
    """A trained network.

    Attributes
    ----------
    task, network : Task, Network
        What was trained, on what. The network is on the CPU, in evaluation mode.
    seed : int
        The one seed from which weights, trials and noise were drawn.
    sets : TrialSets
        Recipe of the trials it was trained, selected and tested on.
    recipe : dict
        How it was trained, plain values.
    history : DataFrame
        One row for each validation: step, seconds, loss, learning_rate, val_r2, what the task's `success_rate` gives
        (val_accuracy, "val_accuracy/Bit 1", ...), and the metrics of its own, if it has any.
    metrics : dict
        Scores on the test trials ("test_r2", "test_accuracy", ...) and how training ended ("stopped", "steps",
        "seconds").
    name : str
        Its name in tables and figures.
    start : Start or None
        The run whose weights training began with, and what of them was copied; None where it began with new ones.
    kept : KeptWeights or None
        Where the weights that were kept while it trained are; `snapshots` has them as runs.
    """

    task: Task
    network: Network
    seed: int
    sets: TrialSets
    recipe: dict[str, Any] = field(default_factory=dict)
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    metrics: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    start: Start | None = None
    kept: KeptWeights | None = None

    def __post_init__(self):
        check_task("task", self.task)
        check_network("network", self.network)
        object.__setattr__(self, "seed", check_int("seed", self.seed, 0))
        check_instance("sets", self.sets, TrialSets)
        for name, kind in (("recipe", Mapping), ("history", pd.DataFrame), ("metrics", Mapping), ("name", str)):
            check_instance(name, getattr(self, name), kind)
        for name, kind in (("start", Start), ("kept", KeptWeights)):
            check_instance(name, getattr(self, name), (kind, type(None)))
        if not self.name:
            kind = getattr(self.network, "kind", type(self.network).__name__)
            object.__setattr__(self, "name", f"{kind}-{self.network.latent_size}")

    @property
    def snapshots(self) -> Snapshots:
        """By step, the run as it was after so many gradient steps: a mapping, whose runs are read when asked for.

        Their weights are the averaged ones, those that are scored and kept; the run itself has the best of these.
        Empty where none were kept, see `conjugacy.train`.
        """
        return Snapshots(self)

    def trials(self, phase: str = "test") -> Trials:
        """The trials of a phase: "train", "val", "all" (both) or "test"."""
        return self.sets.draw(self.task, phase)

    @torch.no_grad()
    def rollout(self, trials: Trials | str = "test") -> Rollout:
        """The network run on trials, or on those of a phase; without noise and gradients."""
        return rollout(self.network, self.task, self._drawn(trials))

    def _drawn(self, trials: Any) -> Trials:
        if isinstance(trials, str):
            check_choice("trials", trials, PHASES, "It is a phase; or give Trials.")
            return self.trials(trials)
        return check_instance("trials", trials, Trials, f"Or a phase: {', '.join(map(repr, PHASES))}.")

    def system(self, trials: Trials | str = "test") -> System:
        """The run as `dynamics` and `similarity` take it: trajectories on these trials, and the map in float64.

        In closed loop it is the network alone, driven by what it observed of its plant and by the context inputs.
        """
        trials = self._drawn(trials)
        out = self.rollout(trials)
        inputs = trials.inputs if out.observations is None else torch.cat([out.observations, trials.inputs], -1)
        network = copy.deepcopy(self.network).double().eval().requires_grad_(False)
        return System(
            self.name,
            out.latents,
            inputs,
            trials.lengths,
            step=network.step,
            cell=network.cell,
            readout=network.readout,
            dt=self.task.dt,
            # a network that can no longer move covers no more than the rounding of float32
            step_tolerance=math.inf if isinstance(network, Lesioned) else 0.05,
        )

    @torch.no_grad()
    def drive(self, inputs: Any, lengths: Any = None) -> System:
        """The network on inputs of any origin, those of a recording say; without noise.

        Parameters
        ----------
        inputs : array (trial, time, input), or a list of arrays of unequal lengths
            As many inputs as the network takes; for a network with an arm, what it would observe and its context.
        lengths : sequence of int, optional
            Steps of each trial, where `inputs` is padded.

        Raises
        ------
        ValueError
            If the network takes another number of inputs.
        """
        u, found = read_trials("inputs", inputs, "input")
        if lengths is not None:
            found = torch.as_tensor(lengths, dtype=torch.int64)
        wanted = self.network.input_size
        if u.shape[2] != wanted:
            raise ValueError(f"`inputs`: expected the {wanted} inputs of {self.name}, got {u.shape[2]}.")
        network = copy.deepcopy(self.network).double().eval().requires_grad_(False)
        states, _ = network.rollout(u.double())
        step, cell, readout = network.step, network.cell, network.readout
        return System(self.name, states, u.double(), found, step=step, cell=cell, readout=readout, dt=self.task.dt)

    def coupled_system(self, trials: Trials | str = "test") -> System:
        """Network and arm as one system: their states on these trials, and their map, in float64.

        Inputs are the context and the force on the hand; the readout is the hand's position (m); `parts` of the system
        say what of a state is network and what arm. Its cell is a `conjugacy.closed_loop.CoupledMap`.
        """
        from conjugacy.closed_loop.coupled_map import CoupledMap

        plant = getattr(self.task, "plant", None)
        if plant is None:
            raise ValueError(f"`run`: {self.task.name} has no arm, so there is no loop to close. Use system().")
        trials = self._drawn(trials)
        loop = CoupledMap(self.network, plant)
        states, inputs = loop.rollout(trials)
        return System(
            f"{self.name} with its arm",
            states,
            inputs,
            trials.lengths,
            step=loop.step,
            cell=loop,
            readout=loop.hand,
            dt=self.task.dt,
            parts=loop.parts,
        )

    def lesion(self, *, units: Any = None, directions: Any = None, cluster: Any = None, to: Any = "zero") -> Run:
        """The run with a part of its network's state held at every step; one of the first three says which.

        Parameters
        ----------
        units : list of int or boolean mask (unit,), optional
            Units that are silenced. A unit of an LSTM has two state variables, both are held.
        directions : array (state,) or (k, state), optional
            Directions of the state that can carry nothing; they need not be orthogonal.
        cluster : (labels, label), optional
            A label for each unit, and the one whose units are silenced.
        to : "zero", "mean", number or array (state,)
            What the state has along them instead; "mean": of the states visited on validation trials.

        Returns
        -------
        Run
            Untrained further; without test scores, see `conjugacy.training.evaluate`.

        Raises
        ------
        TypeError, ValueError
            If none or several are given, one is out of range, or nothing of the state would be left.
        """
        return lesioned(self, units, directions, cluster, to)

    def cut(self, sources: Any = None, targets: Any = None) -> Run:
        """The run with the recurrent weights from units to units set to 0; None: from, or to, all.

        Units keep what they do to themselves by their leak or update gate, and what inputs and biases do to them.

        Raises
        ------
        ValueError
            If both are None, a unit is out of range, or the network has no weights between units.
        """
        return cut(self, sources, targets)

    def config(self) -> dict[str, Any]:
        """Everything that repeats the run, as plain values."""
        config = {
            "format": FORMAT,
            "name": self.name,
            "task": describe(self.task),
            "network": describe(self.network),
            "input_size": self.network.input_size,
            "output_size": self.network.output_size,
            "seed": self.seed,
            "recipe": self.recipe,
            "trials": {**vars(self.sets)},
            "versions": {"conjugacy": __version__, "torch": str(torch.__version__)},
        }
        # only where there is one: the configs of all other runs stay as they were
        if self.start is not None:
            config["start"] = self.start.config()
        if self.kept is not None:
            config["keep"] = list(self.kept.steps)
        return plain("config", config)

    def save(self, folder: str | os.PathLike, keep_trials: bool = False, overwrite: bool = False) -> Path:
        """Write the run to a folder, whole or not at all.

        Parameters
        ----------
        folder : path
            Made if it is not there; it may be a symbolic link or a mount point. A folder that holds anything but a run
            is refused, and so is one that holds another run, unless `overwrite` is True.
        keep_trials : bool
            Store the trials too (trials.h5); by default they are drawn again from their seed and checked by hash.
        overwrite : bool
            Replace another run, or an interrupted training, that is there. Other files in its folder stay.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        FileExistsError
            If the folder holds something else.
        OSError
            If it cannot be written, or another process trains there; the message names the folder.
        TypeError
            If the run has something that cannot be saved; the message says what.
        """
        path = as_folder("folder", folder)
        check_flag("overwrite", overwrite)
        files = self.files(check_flag("keep_trials", keep_trials))
        if not holds_run(path):
            check_holds_no_more_than("folder", path, [CHECKPOINT, SNAPSHOTS] if overwrite else [])
        with locked(path, at_once, "folder"):
            if holds_run(path) and not overwrite and not is_same(path, files):
                raise FileExistsError(
                    f"`folder`: {path} holds another run. Name another folder, or give overwrite=True to replace it."
                )
            if self.kept is not None:
                self.kept.copy_to(path)
            write_folder(path, files)
            KeptWeights.clear(path, self.kept)
            (path / CHECKPOINT).unlink(missing_ok=True)
        return Path(folder)

    def files(self, keep_trials: bool = False) -> dict[str, bytes]:
        """The files of its folder; see `save`."""
        trials = self.trials("all")
        files = {
            "weights.safetensors": weight_bytes(self.network),
            "history.csv": self.history.to_csv(index=False, lineterminator="\n").encode(),
            "metrics.json": dump("metrics", self.metrics).encode(),
        }
        if keep_trials:
            files[KEPT_TRIALS] = _trials_as_h5(trials)
        if self.start is not None:
            files[START] = weight_bytes(self.start.network)
        config = self.config()
        if self.kept is not None:
            config["snapshots"] = {str(step): digest for step, digest in self.kept.sha256.items()}
        config["trials"]["sha256"] = trials.digest()
        return sealed(config, files)

    def _repr_html_(self) -> str:
        scores = [
            {"score": name.removeprefix("test_"), f"on {self.sets.n_test} test trials": value}
            for name, value in self.metrics.items()
            if name.startswith("test_") and isinstance(value, float)
        ]
        ended = f"Training ended: {self.metrics['stopped']}" if "stopped" in self.metrics else ""
        ended += f", after {self.metrics['steps']} steps" if "steps" in self.metrics else ""
        heading = f"{self.name} on {self.task.name}, seed {self.seed}"
        return card(heading, html_table(scores, ".metrics has all of them"), sentence(ended))

    def __repr__(self) -> str:
        scores = ", ".join(f"{k} {v:.3f}" for k, v in self.metrics.items() if k in ("test_r2", "test_accuracy"))
        return f"Run({self.name} on {self.task.name}, seed {self.seed}{': ' + scores if scores else ''})"


def load(folder: str | os.PathLike, classes: Iterable[type] = (), check_trials: bool = True) -> Run:
    """The run that was saved in a folder.

    Parameters
    ----------
    folder : path
        As given to `Run.save`.
    classes : iterable of classes
        Task and network classes of your own that the run uses; those of conjugacy are known.
    check_trials : bool
        Draw the trials again and compare them with the hash that was saved (a fraction of a second).

    Raises
    ------
    FileNotFoundError
        If there is no run, or a file of it is missing.
    ValueError
        If a file was changed, cut off or written by a newer version, or if weights do not fit the network; the message
        names the file.
    """
    folder, known = check_path("folder", folder), known_classes(classes)
    check_flag("check_trials", check_trials)
    config, data = read_run(folder)
    path = folder / CONFIG
    if config["task"].get("class") == "Recording":
        raise ValueError(f"{path}: expected a run on a task, got a model of a recording. Use DataRun.load(folder).")
    with plain_dtype(), named(path):
        task = build("task", config["task"], known)
        network = build("network", config["network"], known)
        network.init_model(config["input_size"], config["output_size"])
        sizes = input_size(task), output_size(task)
    load_weights(network, data["weights.safetensors"], folder / "weights.safetensors")
    if sizes != (network.input_size, network.output_size):
        raise ValueError(
            f"{path}: the task has {sizes[0]} inputs and {sizes[1]} outputs, "
            f"the network {network.input_size} and {network.output_size}. The file was changed."
        )
    recipe_of_trials = dict(config["trials"])
    digest = recipe_of_trials.pop("sha256", None)
    with named(path):
        sets = TrialSets(**recipe_of_trials)
    run = Run(
        task,
        network.eval(),
        config["seed"],
        sets,
        config["recipe"],
        read_history(folder / "history.csv", data["history.csv"]),
        read_metrics(folder / "metrics.json", data["metrics.json"]),
        config["name"],
        _start(folder, config, data, known),
        _kept(folder, config),
    )
    if check_trials and digest is not None:
        with named(path):
            same = run.trials("all").digest() == digest
        if not same:
            raise ValueError(
                f"{path}: the trials drawn from seed {run.sets.seed} are not those of the run: its task has changed "
                f"since (this is conjugacy {__version__}, the run is of {writer(config)}). "
                "Load with check_trials=False to go on with the new ones."
            )
    note_if_unchecked(folder, config)
    return run


def _start(folder: Path, config: dict[str, Any], data: dict[str, bytes], known: list[type]) -> Start | None:
    if START not in data:
        return None
    with named(folder / CONFIG):
        start = Start.from_config(config["start"], known)
    load_weights(start.network, data[START], folder / START)
    return start


def _kept(folder: Path, config: dict[str, Any]) -> KeptWeights | None:
    if "keep" not in config:
        return None
    with named(folder / CONFIG):
        return KeptWeights.from_config(folder, config["keep"], config.get("snapshots", {}))


def _trials_as_h5(trials: Trials) -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as f:
        for name in ("inputs", "targets", "mask", "true_inputs", "ics", "loads", "conditions"):
            f.create_dataset(name, data=getattr(trials, name).numpy())
        for name, steps in trials.epochs.items():
            f.create_dataset(f"epochs/{name}", data=steps.numpy())
    return buffer.getvalue()

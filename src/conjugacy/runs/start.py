"""Start: the run that a training went on from, as its own run keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from conjugacy._check import check_int
from conjugacy._config import build, describe
from conjugacy._plain_torch import plain_dtype
from conjugacy.networks.network import Network
from conjugacy.runs.weights import weight_bytes
from conjugacy.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Start:
    """A run that a training went on from, and what was made of its weights.

    Attributes
    ----------
    name : str
        Of the run.
    task, network : Task, Network
        What it was trained on, and its weights.
    seed : int
        Its seed.
    copied : tuple of str
        The tensors of the new network that began as copies, with the channels where only those of some were.
    reset : tuple of str
        What began anew: tensors or channels of them, drawn from the seed of the training; the optimiser and schedule.
    """

    name: str
    task: Task
    network: Network
    seed: int
    copied: tuple[str, ...]
    reset: tuple[str, ...]

    def config(self) -> dict[str, Any]:
        """What the config of the new run says of it; the weights themselves by their hash."""
        return {
            "name": self.name,
            "task": describe(self.task),
            "network": describe(self.network),
            "input_size": self.network.input_size,
            "output_size": self.network.output_size,
            "seed": self.seed,
            "sha256": sha256(weight_bytes(self.network)).hexdigest(),
            "copied": list(self.copied),
            "reset": list(self.reset),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], classes: Iterable[type]) -> Start:
        """The start that `config` stands for; its network still lacks its weights."""
        with plain_dtype():
            task = build("start.task", config["task"], classes)
            network = build("start.network", config["network"], classes)
            network.init_model(config["input_size"], config["output_size"])
        seed = check_int("start.seed", config["seed"], 0)
        return cls(str(config["name"]), task, network.eval(), seed, tuple(config["copied"]), tuple(config["reset"]))

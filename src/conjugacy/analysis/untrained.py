"""Untrained networks of the kind of a run: what a network does before it has learned anything."""

from __future__ import annotations

import copy
from dataclasses import replace

from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.system import System
from conjugacy.trials import Trials


def untrained_systems(run: Run, trials: Trials, count: int, seed: int) -> list[System]:
    """`count` copies of the run's network with weights drawn anew, run on `trials`."""
    systems = []
    for k in range(count):
        network = copy.deepcopy(run.network)
        network.init_model(network.input_size, network.output_size, derive_seed(seed, "untrained", k))
        systems.append(replace(run, network=network, name=f"{run.name} untrained {k + 1}").system(trials))
    return systems

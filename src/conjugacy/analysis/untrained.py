"""Untrained networks of the kind of a run: what a network does before it has learned anything."""

from __future__ import annotations

import copy
from dataclasses import replace

from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed


def untrained_runs(run: Run, count: int, seed: int) -> list[Run]:
    """`count` copies of the run, whose network has weights drawn anew."""
    runs = []
    for k in range(count):
        network = copy.deepcopy(run.network)
        network.init_model(network.input_size, network.output_size, derive_seed(seed, "untrained", k))
        runs.append(replace(run, network=network, name=f"{run.name} untrained {k + 1}"))
    return runs

"""Runs of different tasks on shared inputs: what a probe feeds to each network, channel by channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from conjugacy._arrays import read_trials
from conjugacy._check import shown
from conjugacy.analysis.matching_trials import Matched, check_dt
from conjugacy.runs.classes import check_task
from conjugacy.runs.run import Run
from conjugacy.system import System
from conjugacy.training.transfer import channel_labels
from conjugacy.trials import Trials


def probed(runs: Sequence[Run], names: Sequence[str], probe: Any, n_trials: int, seed: int) -> Matched:
    """The networks driven by the same inputs, and in words which.

    Parameters
    ----------
    runs : sequence of Run
    names : sequence of str
    probe : Task, Trials or array (trial, time, input)
        A task: its channels are given to those inputs of each network whose task has the same labels; other inputs are
        0, other channels are left out. Trials or an array: for networks that all take as many inputs.
    n_trials, seed
        Of the trials of a probe that is a task.

    Raises
    ------
    TypeError, ValueError
        If the probe is none of these, a network shares no channel with it, or takes another number of inputs.
    """
    if isinstance(probe, Trials) or not hasattr(probe, "trials"):
        inputs = probe.inputs if isinstance(probe, Trials) else _array(probe)
        lengths = probe.lengths if isinstance(probe, Trials) else None
        driven = [(inputs, lengths) for _ in runs]
        for run, name in zip(runs, names):
            if run.network.input_size != inputs.shape[2]:
                raise ValueError(
                    f"`probe`: expected the {run.network.input_size} inputs of {name}, got {inputs.shape[2]}. Give a "
                    "task as the probe: its channels go to inputs of the same label."
                )
        text = f"{len(inputs)} trials of given inputs, fed to all"
    else:
        check_task("probe", probe)
        trials = probe.trials(n_trials, seed)
        labels = channel_labels(probe, "input", trials.inputs.shape[2])
        driven: list[tuple[Tensor, Any]] = []
        shared: dict[str, list[str]] = {}
        for run, name in zip(runs, names):
            own = channel_labels(run.task, "input", run.network.input_size)
            common = [label for label in labels if label in own]
            if not common:
                raise ValueError(
                    f"`probe`: expected a task that shares a channel with each run, got {probe.name} with "
                    f"{', '.join(labels[:6])}, none of which {name} has ({', '.join(own[:6])}). Give an array."
                )
            u = trials.inputs.new_zeros(*trials.inputs.shape[:2], len(own))
            for label in common:
                u[..., own.index(label)] = trials.inputs[..., labels.index(label)]
            driven.append((u, trials.lengths))
            shared.setdefault(f"{', '.join(common[:6])}{', ...' * (len(common) > 6)}", []).append(name)
        of_whom = "; ".join(
            channels if len(shared) == 1 else f"{few(who)}: {channels}" for channels, who in shared.items()
        )
        text = f"{n_trials} trials of {probe.name} fed to all ({of_whom})"
    found = [run.drive(u, lengths) for run, (u, lengths) in zip(runs, driven)]
    check_dt(found, names)
    # as many inputs as each network has: what pairs trials looks at states
    systems = [
        System(n, s.trajectories, s.inputs, s.lengths, step=s.step, cell=s.cell, readout=s.readout, dt=s.dt)
        for n, s in zip(names, found)
    ]
    return Matched(tuple(systems), text)


def few(names: Sequence[str], most: int = 3) -> str:
    """Names in a sentence, no more of them than one reads."""
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left} more" if left > 0 else "")


def _array(probe: Any) -> Tensor:
    if isinstance(probe, str | bytes | type):
        raise TypeError(f"`probe`: expected a task, Trials or an array (trial, time, input), got {shown(probe)}.")
    return torch.as_tensor(read_trials("probe", probe, "input")[0]).float()

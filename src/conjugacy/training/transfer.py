"""What a training that goes on from a run takes over from it.

Weights are carried over channel by channel: those of an input or output that both tasks have, by its label, and all
that belong to no channel (recurrent weights, biases of units, the initial state). Channels that are new begin with
weights drawn from the seed of the training. The moments of the optimiser, the schedule of the learning rate and the
length of the trials begin anew.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from conjugacy._check import check_instance
from conjugacy._config import describe
from conjugacy._notes import one_line
from conjugacy.networks.network import Network
from conjugacy.runs.run import Run
from conjugacy.runs.start import Start
from conjugacy.tasks.task import Task

_ANEW = ("moments of the optimiser", "schedule of the learning rate", "average of the weights")
_TOLERANCE = 1e-4


def network_of(start: Any) -> Network:
    """A network without weights, with the settings of that of a run.

    Raises
    ------
    TypeError
        If `start` is no run, or its network cannot be made again from its settings.
    """
    run: Run = check_instance("start", start, Run, "Load one: conjugacy.load(FOLDER).")
    try:
        return type(run.network)(**_arguments(run.network))
    except TypeError as error:
        raise TypeError(f"`start`: the network of {run.name} cannot be made anew ({one_line(error)}).") from None


def network_beside(start: Run, network: Network | None) -> Network:
    """The network of `start`, without weights; a ValueError if another was given beside it."""
    of_start = network_of(start)
    if network is not None:
        raise ValueError("`network`: expected none beside `start`, whose network is taken, got one. Leave it out.")
    return of_start


def transfer(start: Run, task: Task, network: Network) -> Start:
    """Carry the weights of `start` over to `network`, which has those of a new network for `task`; what was done.

    Raises
    ------
    ValueError
        If the networks have different settings, or their weights cannot be told apart by channels.
    """
    source = start.network
    if describe(source) != describe(network):
        raise ValueError(
            f"`start`: expected a run of the same network, {describe(network)}, got {describe(source)}. Leave out "
            "`network`: that of the run is taken."
        )
    inputs = _shared(
        channel_labels(start.task, "input", source.input_size), channel_labels(task, "input", network.input_size)
    )
    outputs = _shared(
        channel_labels(start.task, "output", source.output_size), channel_labels(task, "output", network.output_size)
    )
    axes = _axes(source)
    new = {k: v.clone() for k, v in network.state_dict().items()}
    copied, reset = [], []
    for name, old in source.state_dict().items():
        target = new[name]
        axis, role = axes.get(name, (0, ""))
        if not role:
            if old.shape == target.shape:
                target.copy_(old)
                copied.append(name)
            else:
                reset.append(name)
            continue
        shared = inputs if role == "input" else outputs
        n_old = source.input_size if role == "input" else source.output_size
        n_new = network.input_size if role == "input" else network.output_size
        rest = old.shape[axis] - n_old  # an axis may hold states before the channels
        here, there = [*range(rest)], [*range(rest)]
        here += [rest + i for _, i, _ in shared]
        there += [rest + j for _, _, j in shared]
        if here:
            target.index_copy_(axis, torch.tensor(there), old.index_select(axis, torch.tensor(here)))
        kept, lost = [label for label, _, _ in shared], n_new - len(shared)
        if kept or rest:
            copied.append(name if not lost else f"{name} ({role}s {', '.join(kept) or 'none'})")
        if lost:
            labels = channel_labels(task, role, n_new)
            reset.append(f"{name} ({role}s {', '.join(v for v in labels if v not in kept)})")
    network.load_state_dict(new)
    _check_carried(source, network, inputs, outputs)
    return Start(
        start.name, start.task, copy.deepcopy(source).cpu().eval(), start.seed, tuple(copied), (*reset, *_ANEW)
    )


def channel_labels(task: Any, role: str, n: int) -> list[str]:
    """A label for each channel: the task's, or numbers where it has none; those that come twice are numbered."""
    labels = list(map(str, getattr(task, f"{role}_labels", ())))
    if len(labels) != n:
        return [f"{role} {i + 1}" for i in range(n)]
    many = {label for label, count in Counter(labels).items() if count > 1}
    return [f"{v} ({labels[: i + 1].count(v)})" if v in many else v for i, v in enumerate(labels)]


def _arguments(network: Network) -> dict[str, Any]:
    described = describe(network)["args"]
    return {name: copy.deepcopy(getattr(network, name)) for name in described}


def _shared(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, int, int]]:
    """Label, old and new position of the channels that both have."""
    return [(label, old.index(label), j) for j, label in enumerate(new) if label in old]


def _axes(network: Network) -> dict[str, tuple[int, str]]:
    """For each tensor that has one the axis that grows with the number of inputs or outputs, and of which."""
    sizes = {"": (0, 0), "input": (1, 0), "output": (0, 1)}
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for role, (more_in, more_out) in sizes.items():
        probe = type(network)(**_arguments(network))
        probe.init_model(network.input_size + more_in, network.output_size + more_out)
        shapes[role] = {k: tuple(v.shape) for k, v in probe.state_dict().items()}
    found: dict[str, tuple[int, str]] = {}
    for name, shape in shapes[""].items():
        for role in ("input", "output"):
            grown = [k for k, (a, b) in enumerate(zip(shape, shapes[role][name])) if a != b]
            if grown:
                found[name] = grown[0], role
    return found


@torch.no_grad()
def _check_carried(source: Network, network: Network, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Raise an error unless both networks do the same while the channels that they do not share are 0."""
    generator = torch.Generator().manual_seed(0)
    weight = next(source.parameters())
    x = torch.randn(8, source.state_size, generator=generator).to(weight)
    u_old, u_new = x.new_zeros(8, source.input_size), x.new_zeros(8, network.input_size)
    for _, i, j in inputs:
        u_old[:, i] = u_new[:, j] = torch.randn(8, generator=generator).to(weight)
    old, new = source.step(x, u_old), network.step(x, u_new)
    pairs: list[tuple[Tensor, Tensor]] = [(old, new)]
    pairs += [(source.readout(old)[:, i], network.readout(old)[:, j]) for _, i, j in outputs]
    if not all(torch.allclose(a, b, rtol=_TOLERANCE, atol=_TOLERANCE) for a, b in pairs):
        raise ValueError(
            f"`start`: the weights of a {type(source).__name__} cannot be carried over to other channels: its inputs "
            "are not the last columns of the weights that hold them, or channels act on each other. Train on a task "
            "with the same channels."
        )

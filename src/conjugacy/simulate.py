"""Run a network on trials: the one place where open and closed loop part."""

from __future__ import annotations

import torch
from torch import Tensor

from conjugacy._check import check_axes
from conjugacy._threads import threads_for, torch_threads
from conjugacy.networks.network import Network
from conjugacy.tasks.task import Task, input_size
from conjugacy.trials import Rollout, Trials


def rollout(
    network: Network,
    task: Task,
    trials: Trials,
    h0: Tensor | None = None,
    noise: bool | torch.Generator = False,
    seed: int = 0,
    rollout: str = "auto",
) -> Rollout:
    """Latents and outputs of a network on trials; differentiable in its weights.

    Parameters
    ----------
    network : Network
        With weights, that is, after `init_model`.
    task : Task
        The task that the trials are of.
    trials : Trials
        What to run on.
    h0 : Tensor (trial, state) or (state,), optional
        Initial states; the network's own by default.
    noise : bool or torch.Generator
        The network's own noise (not that of the inputs, which is part of the trials): off by default, drawn from
        `seed` if True, or from the generator given.
    seed : int
        Seed of that noise.
    rollout : {"auto", "plain"}
        "auto" takes the fastest way there is for this network, "plain" one step after the other: the same numbers up to
        rounding.

    Raises
    ------
    ValueError
        If trials, task and network do not fit.
    """
    check_axes(
        "trials.inputs",
        trials.inputs,
        "trial time input",
        input=input_size(task),
        hint=f"These trials are not of task {task.name}.",
    )
    if isinstance(noise, torch.Generator):
        generator = noise
    else:
        generator = torch.Generator(device=trials.inputs.device).manual_seed(seed) if noise else None
    if h0 is not None and h0.ndim == 1:
        h0 = h0.expand(len(trials), -1)
    with torch_threads(threads_for(len(trials) * network.state_size)):
        latents, outputs = network.rollout(trials.inputs, h0, generator, rollout)
    return Rollout(latents, outputs)

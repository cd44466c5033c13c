"""Run a network on trials: the one place where open and closed loop part."""

from __future__ import annotations

import torch
from torch import Tensor

from conjugacy._arrays import read_numbers
from conjugacy._check import check_axes, check_flag, check_instance, check_int
from conjugacy._plain_torch import plain_dtype
from conjugacy._threads import threads_for, torch_threads
from conjugacy._torch import transformed
from conjugacy.arm.plant import Noise, Plant
from conjugacy.arm.state import ArmState
from conjugacy.closed_loop.plain import plain_closed_loop
from conjugacy.networks.network import Network
from conjugacy.networks.rollout_noise import draw_noise
from conjugacy.networks.sequence import check_rollout
from conjugacy.runs.classes import check_network, check_task
from conjugacy.tasks.task import Task, input_size, output_size
from conjugacy.trials import Rollout, Trials

_WORTH_COMPILING = 1000  # steps of all trials in closed loop; below, loading the kernel takes longer than it saves


@plain_dtype()
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
        The task that the trials are of. If it has a plant, the loop is closed: the network sees what the plant makes of
        its commands.
    trials : Trials
        What to run on.
    h0 : Tensor (trial, state) or (state,), optional
        Initial states; the network's own by default.
    noise : bool or torch.Generator
        The network's own noise, and that of the plant's senses and muscles (not that of the inputs, which is part of
        the trials): off by default, drawn from `seed` if True, or from the generator given.
    seed : int
        Seed of that noise.
    rollout : {"auto", "plain"}
        "auto" takes the fastest way there is for this network (and plant), "plain" one step after the other: the same
        numbers up to rounding. Closed loops of a float32 GRU and our arm on the CPU are compiled; these are
        differentiable once.

    Raises
    ------
    TypeError
        If `network`, `task` or `trials` is something else.
    ValueError
        If trials, task and network do not fit.
    """
    check_network("network", network)
    check_task("task", task)
    check_instance("trials", trials, Trials)
    check_rollout(rollout)
    plant = getattr(task, "plant", None)
    check_axes(
        "trials.inputs",
        trials.inputs,
        "trial time input",
        input=input_size(task) if plant is None else task.context_inputs.shape[0],
        hint=f"These trials are not of task {task.name}.",
    )
    if isinstance(noise, torch.Generator):
        generator = noise
    else:
        check_flag("noise", noise)
        check_int("seed", seed, 0)
        generator = torch.Generator(device=trials.inputs.device).manual_seed(seed) if noise else None
    if h0 is not None:
        if not isinstance(h0, Tensor):
            h0 = read_numbers("h0", h0, "states (trial, state) or (state,)").to(trials.inputs)
        h0 = h0.expand(len(trials), -1) if h0.ndim == 1 else h0
        check_axes("h0", h0, "trial state", trial=len(trials), state=network.state_size)
    with torch_threads(threads_for(len(trials) * network.state_size)):
        if plant is not None:
            _check_fit(network, task)
            return _closed_loop(network, plant, trials, h0, generator, rollout == "auto")
        latents, outputs = network.rollout(trials.inputs, h0, generator, rollout)
    return Rollout(latents, outputs)


def _closed_loop(
    network: Network,
    plant: Plant,
    trials: Trials,
    h0: Tensor | None,
    generator: torch.Generator | None,
    may_compile: bool,
) -> Rollout:
    n, t = len(trials), trials.n_timesteps
    first, noise = None, Noise()
    if generator is not None:
        first, noise = draw_noise(network, n, t, generator, trials.inputs, plant, start=h0 is None)
    x0 = network.init_hidden(n) if h0 is None else h0
    if first is not None:
        x0 = x0 + first
    given = (trials.inputs, trials.ics, trials.loads)
    if may_compile and n * t >= _WORTH_COMPILING and not transformed(*given):
        from conjugacy.closed_loop.compiled_loop import compiled_loop, compiled_loop_fits

        if compiled_loop_fits(network, plant, x0, *given, *noise):
            parts = compiled_loop(network, plant, *given, x0, noise)
            body = ArmState(parts.q, parts.qd, parts.activation, parts.force)
            return Rollout(parts.latents, plant.arm.hand(body.q), parts.actions, parts.observations, body)
    return plain_closed_loop(network, plant, *given, x0, noise)


def _check_fit(network: Network, task: Task) -> None:
    want = (input_size(task), output_size(task))
    if (network.input_size, network.output_size) != want:
        raise ValueError(
            f"`network`: expected {want[0]} inputs and {want[1]} outputs for task {task.name}, got "
            f"{network.input_size} and {network.output_size}. Build it with init_model{want}."
        )

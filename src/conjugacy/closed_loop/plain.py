"""A network and a plant in closed loop, one step after the other: the reference for every faster loop."""

from __future__ import annotations

import torch
from torch import Tensor

from conjugacy.arm.plant import Noise, Plant
from conjugacy.networks.network import Network
from conjugacy.trials import Rollout


def plain_closed_loop(
    network: Network, plant: Plant, context: Tensor, ics: Tensor, loads: Tensor, x0: Tensor, noise: Noise
) -> Rollout:
    """A network and a plant in closed loop, one step after the other: the reference, for any network and plant.

    Parameters
    ----------
    network : Network
    plant : Plant
    context : Tensor (trial, time, context)
        What the network sees besides the plant.
    ics : Tensor (trial, 4)
        Joint angles and velocities at the start.
    loads : Tensor (trial, time, 2)
        Force on the hand, N.
    x0 : Tensor (trial, state)
        The network's initial states.
    noise : Noise
        Noise of all trials and steps, drawn beforehand: the loop itself is deterministic.

    Returns
    -------
    Rollout
        Row t of `observations` is what the network saw, row t of `latents` and `actions` what it made of it, row t of
        `plant` and `outputs` (the hand) what the arm made of that.
    """
    cell, readout = network.cell, network.readout
    x, state = x0, plant.reset(ics)
    observations, latents, actions, bodies = [], [], [], []
    for t, (c, load) in enumerate(zip(context.unbind(1), loads.unbind(1))):
        seen = _plus(plant.observe(state), noise.observations, t)
        x = _plus(cell(torch.cat([seen, c], -1), x), noise.states, t)
        action = plant.command(readout(x))
        state = plant.step(state, _plus(action, noise.actions, t), load)
        observations.append(seen)
        latents.append(x)
        actions.append(action)
        bodies.append(state.arm)
    body = type(bodies[0])(*(torch.stack(part, 1) for part in zip(*bodies)))
    hand = plant.arm.hand(body.q)
    return Rollout(torch.stack(latents, 1), hand, torch.stack(actions, 1), torch.stack(observations, 1), body)


def _plus(x: Tensor, noise: Tensor | None, t: int) -> Tensor:
    return x if noise is None else x + noise[:, t]

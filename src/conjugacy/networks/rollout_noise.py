"""The noise of a rollout, drawn beforehand, in an order that is fixed here.

First the initial states, then the senses and commands of a plant, where there is one, then the states of all steps. The
numbers of a training depend on this order, so it stays as it is.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from conjugacy.arm.plant import Noise, Plant


class Noisy(Protocol):
    """The members of a network that `draw_noise` needs."""

    noise_level: float
    ic_noise: float

    @property
    def state_size(self) -> int:
        """Number of state variables."""
        ...


def draw_noise(
    network: Noisy,
    n: int,
    n_timesteps: int,
    generator: torch.Generator,
    like: Tensor,
    plant: Plant | None = None,
    start: bool = True,
) -> tuple[Tensor | None, Noise]:
    """Noise of a rollout of `n` trials.

    Parameters
    ----------
    network : Network
    n, n_timesteps : int
        Trials, and steps of each.
    generator : torch.Generator
        Source of the noise.
    like : Tensor
        The noise has its dtype and device.
    plant : Plant, optional
        The arm that the network moves, in closed loop.
    start : bool
        Whether initial states are drawn; not where they are given.

    Returns
    -------
    Tensor (trial, state) or None, Noise
        What is added to the initial states, and to observations, commands and states of each step; None where there is
        no noise.
    """
    options: dict[str, Any] = {"generator": generator, "dtype": like.dtype, "device": like.device}
    shape = (n, network.state_size)
    first = network.ic_noise * torch.randn(shape, **options) if start and network.ic_noise else None
    noise = Noise() if plant is None else plant.draw_noise(n, n_timesteps, generator, like.dtype)
    if network.noise_level > 0:
        if plant is None:
            xi = torch.empty(n, n_timesteps, network.state_size, dtype=like.dtype, device=like.device)
            for t in range(n_timesteps):
                xi[:, t] = torch.randn(shape, **options)
        else:
            xi = torch.randn((n, n_timesteps, network.state_size), **options)
        noise = noise._replace(states=network.noise_level * xi)
    return first, noise

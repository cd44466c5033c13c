"""Continuous-time rate network, in discrete steps: Song, Yang & Wang (2016), PLOS Comput Biol 12:e1004792, eq. 6-7."""

from __future__ import annotations

import torch
from torch import nn

from conjugacy._check import check_number
from conjugacy.networks.cells import LeakyCell
from conjugacy.networks.network import Network, check_weight_scale, fill_uniform, linear_readout


class LeakyRNN(Network):
    """tau dx/dt = -x + tanh(W x + V u + b) by Euler steps of alpha = dt / tau, y = C x + d.

    Undriven and unconnected, the state decays as (1 - alpha)^t.

    Parameters
    ----------
    latent_size : int
        Number of units, >= 1.
    alpha : float
        dt / tau, in (0, 1].
    gain : float
        W starts as `gain` times an orthogonal matrix.
    noise_level, ic_noise : float
        See `Network`.
    """

    def __init__(
        self, latent_size: int, alpha: float = 0.2, gain: float = 1.0, noise_level: float = 0.0, ic_noise: float = 0.05
    ):
        super().__init__(latent_size, noise_level, ic_noise)
        self.alpha = check_number("alpha", alpha, 0, 1, open_low=True, hint="It is dt / tau.")
        self.gain = check_weight_scale("gain", gain)

    def make_cell(self, input_size: int, generator: torch.Generator) -> LeakyCell:
        """Input weights uniform in +-1/sqrt(inputs), recurrent weights orthogonal, biases 0."""
        cell = LeakyCell(input_size, self.latent_size, self.alpha)
        fill_uniform(cell, input_size, generator)
        nn.init.orthogonal_(cell.weight_hh, gain=self.gain, generator=generator)
        nn.init.zeros_(cell.bias)
        return cell

    def make_readout(self, output_size: int, generator: torch.Generator) -> nn.Linear:
        """A linear map of the state."""
        return linear_readout(self.latent_size, output_size, generator)

"""Vanilla network with random weights beyond the edge of chaos; the field in Sompolinsky et al. (1988), PRL 61:259.

In discrete time: Molgedey, Schuchhardt & Schuster (1992), PRL 69:3717.
"""

from __future__ import annotations

import torch
from torch import nn

from conjugacy.networks.network import Network, check_weight_scale, fill_uniform, linear_readout


class ChaoticVanillaRNN(Network):
    """x' = tanh(W x + V u + b), y = C x + d, with W Gaussian of variance gain^2 / D to begin with.

    Undriven, a large network of that kind rests for a gain below 1 and is chaotic above.

    Parameters
    ----------
    latent_size : int
        Number of units D, >= 1.
    gain : float
        g, >= 0.
    noise_level, ic_noise : float
        See `Network`.
    """

    def __init__(self, latent_size: int, gain: float = 1.5, noise_level: float = 0.0, ic_noise: float = 0.05):
        super().__init__(latent_size, noise_level, ic_noise)
        self.gain = check_weight_scale("gain", gain)

    def make_cell(self, input_size: int, generator: torch.Generator) -> nn.RNNCell:
        """Recurrent weights N(0, gain^2 / D), input weights uniform in +-1/sqrt(D), biases 0."""
        cell = nn.RNNCell(input_size, self.latent_size)
        fill_uniform(cell, self.latent_size, generator)
        nn.init.normal_(cell.weight_hh, std=self.gain / self.latent_size**0.5, generator=generator)
        nn.init.zeros_(cell.bias_ih)
        nn.init.zeros_(cell.bias_hh)
        return cell

    def make_readout(self, output_size: int, generator: torch.Generator) -> nn.Linear:
        """A linear map of the state."""
        return linear_readout(self.latent_size, output_size, generator)

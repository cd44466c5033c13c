"""Vanilla recurrent network: Elman (1990), Cognitive Science 14:179, in the form of torch.nn.RNNCell."""

from __future__ import annotations

import torch
from torch import nn

from conjugacy.networks.network import Network, check_weight_scale, fill_uniform, linear_readout


class VanillaRNN(Network):
    """x' = tanh(W x + V u + b), y = C x + d.

    Parameters
    ----------
    latent_size : int
        Number of units, >= 1.
    gain : float
        W starts as `gain` times an orthogonal matrix, so that it neither forgets nor explodes at 1.
    noise_level, ic_noise : float
        See `Network`.
    """

    def __init__(self, latent_size: int, gain: float = 1.0, noise_level: float = 0.0, ic_noise: float = 0.05):
        super().__init__(latent_size, noise_level, ic_noise)
        self.gain = check_weight_scale("gain", gain)

    def make_cell(self, input_size: int, generator: torch.Generator) -> nn.RNNCell:
        """Input weights uniform in +-1/sqrt(D), recurrent weights orthogonal, biases 0."""
        cell = nn.RNNCell(input_size, self.latent_size)
        fill_uniform(cell, self.latent_size, generator)
        nn.init.orthogonal_(cell.weight_hh, gain=self.gain, generator=generator)
        nn.init.zeros_(cell.bias_ih)
        nn.init.zeros_(cell.bias_hh)
        return cell

    def make_readout(self, output_size: int, generator: torch.Generator) -> nn.Linear:
        """A linear map of the state."""
        return linear_readout(self.latent_size, output_size, generator)

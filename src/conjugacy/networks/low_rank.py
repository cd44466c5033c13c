"""Low-rank network: Mastrogiuseppe & Ostojic (2018), Neuron 99:609; trained as in Dubreuil et al. (2022)."""

from __future__ import annotations

import torch
from torch import nn

from conjugacy._check import check_int, check_number
from conjugacy.networks.cells import LowRankCell
from conjugacy.networks.network import Network, linear_readout


class LowRankRNN(Network):
    """tau dx/dt = -x + M N^T tanh(x) / D + V u + b by Euler steps of alpha = dt / tau, y = C tanh(x) + d.

    Parameters
    ----------
    latent_size : int
        Number of units D, >= 1.
    rank : int
        Rank of the recurrent connectivity, in [1, latent_size].
    alpha : float
        dt / tau, in (0, 1].
    noise_level, ic_noise : float
        See `Network`.
    """

    def __init__(
        self, latent_size: int, rank: int = 3, alpha: float = 0.2, noise_level: float = 0.0, ic_noise: float = 0.05
    ):
        super().__init__(latent_size, noise_level, ic_noise)
        self.rank = check_int("rank", rank, 1, self.latent_size, hint="A rank cannot exceed latent_size.")
        self.alpha = check_number("alpha", alpha, 0, 1, open_low=True, hint="It is dt / tau.")

    def make_cell(self, input_size: int, generator: torch.Generator) -> LowRankCell:
        """M, N, V standard normal (connectivity of order 1 / D, as in the mean-field theory), b = 0."""
        cell = LowRankCell(input_size, self.latent_size, self.rank, self.alpha)
        for weight in (cell.m, cell.n, cell.weight_ih):
            nn.init.normal_(weight, generator=generator)
        # overlap of M and N of about 1: the origin starts marginally stable, and memories lie near
        cell.n.data += cell.m.data
        return cell

    def make_readout(self, output_size: int, generator: torch.Generator) -> nn.Sequential:
        """A linear map of the rates tanh(x)."""
        return nn.Sequential(nn.Tanh(), linear_readout(self.latent_size, output_size, generator))

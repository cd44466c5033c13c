"""Excitatory-inhibitory network under Dale's law: Song, Yang & Wang (2016), PLOS Comput Biol 12:e1004792."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from conjugacy._check import check_number
from conjugacy.networks.cells import DaleCell
from conjugacy.networks.network import Network, check_weight_scale, fill_uniform, linear_readout


class ExcitatoryReadout(nn.Module):
    """y = C [x]+ + d from the excitatory units alone, the first ones."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (..., output) of states (..., unit)."""
        return self.linear(x[..., : self.linear.in_features].relu())


class EIRNN(Network):
    """tau dx/dt = -x + W [x]+ + V u + b by Euler steps of alpha = dt / tau, y = C [x_E]+ + d.

    A unit excites all others or inhibits all others: ``W = |w| diag(+1 ... +1, -1 ... -1)`` without self-connections,
    and w is what is trained. The output reads the excitatory units only; input and output weights have any sign.

    Parameters
    ----------
    latent_size : int
        Number of units, >= 2.
    excitatory_share : float
        Share of excitatory units, in (0, 1); the first units are the excitatory ones.
    gain : float
        Spectral radius of W to begin with, >= 0 (1.5 in the paper).
    alpha : float
        dt / tau, in (0, 1].
    noise_level, ic_noise : float
        See `Network`.
    """

    def __init__(
        self,
        latent_size: int,
        excitatory_share: float = 0.8,
        gain: float = 1.5,
        alpha: float = 0.2,
        noise_level: float = 0.0,
        ic_noise: float = 0.05,
    ):
        super().__init__(latent_size, noise_level, ic_noise)
        self.excitatory_share = check_number("excitatory_share", excitatory_share, 0, 1)
        self.n_excitatory = round(self.latent_size * self.excitatory_share)
        if not 0 < self.n_excitatory < self.latent_size:
            raise ValueError(
                f"`excitatory_share`: expected units of both kinds, got {self.n_excitatory} excitatory of "
                f"{self.latent_size}. Choose a share in between, or more units."
            )
        self.gain = check_weight_scale("gain", gain)
        self.alpha = check_number("alpha", alpha, 0, 1, open_low=True, hint="It is dt / tau.")

    def make_cell(self, input_size: int, generator: torch.Generator) -> DaleCell:
        """``|w|`` half normal, scaled so that excitation and inhibition cancel in the mean and W has its radius."""
        d, n = self.latent_size, self.n_excitatory
        cell = DaleCell(input_size, d, n, self.alpha)
        fill_uniform(cell, input_size, generator)
        nn.init.normal_(cell.raw_weight_hh, generator=generator)
        raw = cell.raw_weight_hh.data
        raw[:, n:] *= n / (d - n)
        raw *= self.gain / torch.linalg.eigvals(cell.weight_hh.detach().double()).abs().max().float().clamp(min=1e-12)
        nn.init.zeros_(cell.bias)
        return cell

    def make_readout(self, output_size: int, generator: torch.Generator) -> ExcitatoryReadout:
        """A linear map of the rates of the excitatory units."""
        return ExcitatoryReadout(linear_readout(self.n_excitatory, output_size, generator))

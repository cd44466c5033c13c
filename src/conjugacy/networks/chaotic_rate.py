"""Random rate network, chaotic where its gain is above 1: Sompolinsky, Crisanti & Sommers (1988), PRL 61:259.

As a network to be trained: Sussillo & Abbott (2009), Neuron 63:544; with single units read out: Miconi (2017), eLife
6:e20899.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from conjugacy._check import check_flag, check_number
from conjugacy.networks.cells import RateCell
from conjugacy.networks.network import Network, check_weight_scale, fill_uniform, linear_readout


class UnitRates(nn.Module):
    """y = the rates tanh(x) of the first units: a readout without weights."""

    def __init__(self, n_outputs: int):
        super().__init__()
        self.n_outputs = n_outputs

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (..., output) of states (..., unit)."""
        return torch.tanh(x[..., : self.n_outputs])


class ChaoticRateRNN(Network):
    """tau dx/dt = -x + W tanh(x) + V u + b by Euler steps of alpha = dt / tau, y = C tanh(x) + d.

    W starts Gaussian with variance gain^2 / D. Undriven, a large network of that kind rests for a gain below 1 and is
    chaotic above. `conjugacy.dynamics.lyapunov_spectrum` shows whether a network is,
    before or after training.

    Parameters
    ----------
    latent_size : int
        Number of units D, >= 1.
    gain : float
        g, >= 0.
    alpha : float
        dt / tau, in (0, 1].
    read_units : bool
        Read the rates of the first units, one an output, instead of a linear map of all.
    noise_level, ic_noise : float
        See `Network`.
    """

    def __init__(
        self,
        latent_size: int,
        gain: float = 1.5,
        alpha: float = 0.2,
        read_units: bool = False,
        noise_level: float = 0.0,
        ic_noise: float = 0.05,
    ):
        super().__init__(latent_size, noise_level, ic_noise)
        self.gain = check_weight_scale("gain", gain)
        self.alpha = check_number("alpha", alpha, 0, 1, open_low=True, hint="It is dt / tau.")
        self.read_units = check_flag("read_units", read_units)

    def make_cell(self, input_size: int, generator: torch.Generator) -> RateCell:
        """Recurrent weights N(0, gain^2 / D), input weights uniform in +-1/sqrt(inputs), biases 0."""
        cell = RateCell(input_size, self.latent_size, self.alpha)
        fill_uniform(cell, input_size, generator)
        nn.init.normal_(cell.weight_hh, std=self.gain / self.latent_size**0.5, generator=generator)
        nn.init.zeros_(cell.bias)
        return cell

    def make_readout(self, output_size: int, generator: torch.Generator) -> nn.Module:
        """A linear map of the rates tanh(x), or the rates of the first units."""
        if not self.read_units:
            return nn.Sequential(nn.Tanh(), linear_readout(self.latent_size, output_size, generator))
        if output_size > self.latent_size:
            raise ValueError(
                f"`read_units`: expected at least {output_size} units, one an output, got latent_size="
                f"{self.latent_size}. Take more units, or read_units=False."
            )
        return UnitRates(output_size)

"""Gated recurrent unit: Cho et al. (2014), arXiv:1406.1078, in the form of torch.nn.GRUCell."""

from __future__ import annotations

import math

import torch
from torch import nn

from conjugacy.networks.network import Network, check_weight_scale, fill_uniform, linear_readout

_UPDATE_BIAS = 3.0


class GRU(Network):
    """Gated recurrent unit with a linear readout.

        r = sigma(W_r u + U_r x + b_r)            reset gate
        z = sigma(W_z u + U_z x + b_z)            update gate
        n = tanh(W_n u + c_n + r (U_n x + b_n))   candidate
        x' = (1 - z) n + z x

    Parameters
    ----------
    latent_size : int
        Number of units, >= 1.
    update_bias : float, optional
        Initial b_z; by default 3, unless a task on which `conjugacy.train` trains it sets another. With +3 a unit
        starts as a memory of 1 / (1 - sigma(3)) = 21 steps (Jozefowicz et al. 2015, PMLR 37:2342, for the LSTM's forget
        gate). The flip-flop sets 1, reaching 0: with 3 they are solved too, but by units that leak slowly in place of
        fixed points (docs/training.md).
    noise_level, ic_noise : float
        See `Network`.
    gain : float
        The recurrent weights of each gate start as `gain` times an orthogonal matrix.
    """

    def __init__(
        self,
        latent_size: int,
        update_bias: float | None = None,
        noise_level: float = 0.0,
        ic_noise: float = 0.05,
        gain: float = 1.0,
    ):
        super().__init__(latent_size, noise_level, ic_noise)
        self.update_bias = None if update_bias is None else check_weight_scale("update_bias", update_bias, -math.inf)
        self.gain = check_weight_scale("gain", gain)

    def make_cell(self, input_size: int, generator: torch.Generator) -> nn.GRUCell:
        """Input weights uniform in +-1/sqrt(D), recurrent weights orthogonal for each gate."""
        d = self.latent_size
        cell = nn.GRUCell(input_size, d)
        fill_uniform(cell, d, generator)
        for gate in cell.weight_hh.detach().chunk(3):
            nn.init.orthogonal_(gate, gain=self.gain, generator=generator)
        nn.init.zeros_(cell.bias_hh)
        nn.init.zeros_(cell.bias_ih)
        update_bias = _UPDATE_BIAS if self.update_bias is None else self.update_bias
        nn.init.constant_(cell.bias_ih.detach()[d : 2 * d], update_bias)
        return cell

    def make_readout(self, output_size: int, generator: torch.Generator) -> nn.Linear:
        """A linear map of the state."""
        return linear_readout(self.latent_size, output_size, generator)


class NoisyGRU(GRU):
    """The GRU with noise in its state: x' = GRU(u, x) + noise_level * xi, xi standard normal, while it is trained."""

    def __init__(
        self,
        latent_size: int,
        update_bias: float | None = None,
        noise_level: float = 0.05,
        ic_noise: float = 0.05,
        gain: float = 1.0,
    ):
        super().__init__(latent_size, update_bias, noise_level, ic_noise, gain)

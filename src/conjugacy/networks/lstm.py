"""Long short-term memory: Hochreiter & Schmidhuber (1997), with the forget gate of Gers et al. (2000)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from conjugacy.networks.cells import LSTMStateCell
from conjugacy.networks.network import Network, check_weight_scale, fill_uniform, linear_readout


class HiddenReadout(nn.Module):
    """y = C h + d from the state x = [h, c]."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (..., output) of states (..., 2 * hidden)."""
        return self.linear(x[..., : self.linear.in_features])


class LSTM(Network):
    """LSTM whose state is [h, c], hidden and cell state side by side; equations in `LSTMStateCell`.

    Parameters
    ----------
    latent_size : int
        Number of hidden units, >= 1; the state has twice as many variables.
    forget_bias : float
        Initial bias of the forget gate (Jozefowicz et al. 2015, PMLR 37:2342).
    noise_level, ic_noise : float
        See `Network`; the noise goes to h and c.
    gain : float
        The recurrent weights of each gate start as `gain` times an orthogonal matrix.
    """

    def __init__(
        self,
        latent_size: int,
        forget_bias: float = 3.0,
        noise_level: float = 0.0,
        ic_noise: float = 0.05,
        gain: float = 1.0,
    ):
        super().__init__(latent_size, noise_level, ic_noise)
        self.forget_bias = check_weight_scale("forget_bias", forget_bias, -math.inf)
        self.gain = check_weight_scale("gain", gain)

    @property
    def state_size(self) -> int:
        """Hidden and cell state: 2 * latent_size."""
        return 2 * self.latent_size

    def make_cell(self, input_size: int, generator: torch.Generator) -> LSTMStateCell:
        """Input weights uniform in +-1/sqrt(D), recurrent weights orthogonal for each gate."""
        d = self.latent_size
        cell = LSTMStateCell(input_size, d)
        fill_uniform(cell, d, generator)
        for gate in cell.lstm.weight_hh.detach().chunk(4):
            nn.init.orthogonal_(gate, gain=self.gain, generator=generator)
        nn.init.zeros_(cell.lstm.bias_hh)
        nn.init.zeros_(cell.lstm.bias_ih)
        nn.init.constant_(cell.lstm.bias_ih.detach()[d : 2 * d], self.forget_bias)
        return cell

    def make_readout(self, output_size: int, generator: torch.Generator) -> HiddenReadout:
        """A linear map of the hidden half of the state."""
        return HiddenReadout(linear_readout(self.latent_size, output_size, generator))

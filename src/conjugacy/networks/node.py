"""Neural ordinary differential equation: Chen et al. (2018), arXiv:1806.07366; of latents: Sedler et al. (2023)."""

from __future__ import annotations

import torch
from torch import nn

from conjugacy._check import check_int, check_number
from conjugacy.networks.cells import FlowCell
from conjugacy.networks.network import (
    MAX_UNITS,
    MAX_WEIGHT_SCALE,
    Network,
    check_weight_scale,
    fill_uniform,
    linear_readout,
)


class NODE(Network):
    """dx/dt = MLP([x, u]) by Euler steps, x' = x + step_size MLP([x, u]), y = C x + d.

    The vector field is as rich as its layers, whatever the number of latents: three are enough for three bits.

    Parameters
    ----------
    latent_size : int
        Number of latents, >= 1.
    num_layers : int
        Linear layers of the MLP (ReLU between them), >= 1.
    layer_hidden_size : int
        Units of each layer but the last, >= 1.
    step_size : float
        The Euler step, > 0.
    noise_level, ic_noise : float
        See `Network`.
    gain : float
        Factor on the first weights of every layer, >= 0.
    """

    def __init__(
        self,
        latent_size: int,
        num_layers: int = 3,
        layer_hidden_size: int = 64,
        step_size: float = 0.1,
        noise_level: float = 0.0,
        ic_noise: float = 0.05,
        gain: float = 1.0,
    ):
        super().__init__(latent_size, noise_level, ic_noise)
        self.num_layers = check_int("num_layers", num_layers, 1, hint="It counts the linear layers.", limit=1000)
        self.layer_hidden_size = check_int(
            "layer_hidden_size", layer_hidden_size, 1, MAX_UNITS, hint="It is a number of units."
        )
        self.step_size = check_number(
            "step_size", step_size, 0, open_low=True, hint="It is the step of Euler's method.", limit=MAX_WEIGHT_SCALE
        )
        self.gain = check_weight_scale("gain", gain)

    @classmethod
    def small(cls) -> NODE:
        """A small instance, used in tables of all networks."""
        return cls(latent_size=4, num_layers=2, layer_hidden_size=16)

    def make_cell(self, input_size: int, generator: torch.Generator) -> FlowCell:
        """Every layer uniform in +-gain/sqrt(its inputs)."""
        cell = FlowCell(input_size, self.latent_size, self.num_layers, self.layer_hidden_size, self.step_size)
        for layer in cell.field:
            if isinstance(layer, nn.Linear):
                fill_uniform(layer, layer.in_features, generator)
                layer.weight.data *= self.gain
                layer.bias.data *= self.gain
        return cell

    def make_readout(self, output_size: int, generator: torch.Generator) -> nn.Linear:
        """A linear map of the latents."""
        return linear_readout(self.latent_size, output_size, generator)

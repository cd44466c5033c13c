"""Piecewise linear dynamics: x' = a x + W max(x, 0) + V u + b.

Linear within each orthant, so that fixed points and their spectra have closed forms there (Durstewitz 2017, PLoS Comput
Biol 13:e1005542); a (state,) is what each state keeps of itself, W what rectified states do to all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from conjugacy.networks.network import Network, linear_readout
from conjugacy.networks.sequence import sequence

_KEEPS = 0.9  # of a state, at first: a time constant of ten steps
_GAIN = 0.1


class PiecewiseLinearCell(nn.Module):
    """One step of piecewise linear dynamics; see the module."""

    def __init__(self, input_size: int, latent_size: int):
        super().__init__()
        self.keep = nn.Parameter(torch.full((latent_size,), _KEEPS))
        self.weight_hh = nn.Parameter(torch.empty(latent_size, latent_size))
        self.weight_ih = nn.Parameter(torch.empty(latent_size, input_size))
        self.bias = nn.Parameter(torch.zeros(latent_size))

    def forward(self, u: Tensor, x: Tensor) -> Tensor:
        """One step; u (..., input), x (..., latent)."""
        return self.keep * x + x.clamp_min(0) @ self.weight_hh.T + u @ self.weight_ih.T + self.bias

    def jacobian(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """(dx'/dx, dx'/du); at a kink, that of the side below."""
        on = (x > 0).to(x.dtype)
        v = self.weight_ih
        return torch.diag(self.keep) + self.weight_hh * on[..., None, :], v.expand(*x.shape[:-1], *v.shape)


@sequence.register
def _(cell: PiecewiseLinearCell, inputs: Tensor, x0: Tensor) -> Tensor:
    w, drive = cell.weight_hh.T, inputs @ cell.weight_ih.T + cell.bias
    x, states = x0, []
    for step in drive.unbind(1):
        x = torch.addmm(torch.addcmul(step, cell.keep, x), x.clamp_min(0), w)
        states.append(x)
    return torch.stack(states, 1)


class PiecewiseLinear(Network):
    """Piecewise linear dynamics with a linear readout.

    Parameters
    ----------
    latent_size : int
        Number of latents, >= 1.
    noise_level, ic_noise : float
        See `Network`.
    """

    def make_cell(self, input_size: int, generator: torch.Generator) -> PiecewiseLinearCell:
        """States decay slowly by themselves; weak normal recurrent weights, input weights uniform in +-1/sqrt(D)."""
        cell = PiecewiseLinearCell(input_size, self.latent_size)
        bound = self.latent_size**-0.5
        nn.init.normal_(cell.weight_hh, std=_GAIN * bound, generator=generator)
        nn.init.uniform_(cell.weight_ih, -bound, bound, generator=generator)
        return cell

    def make_readout(self, output_size: int, generator: torch.Generator) -> nn.Linear:
        """A linear map of the latents."""
        return linear_readout(self.latent_size, output_size, generator)

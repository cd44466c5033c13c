"""Linear dynamics that cannot explode, whatever the weights: x' = exp(S) x + V u + b, S = K - K^T - L L^T.

The symmetric part of S is -L L^T, so that |exp(S)| <= 1 in the spectral norm: no eigenvalue is outside the unit
circle.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from conjugacy.networks.network import Network, linear_readout
from conjugacy.networks.sequence import sequence

_DAMPING = 0.1  # L starts as this times the identity: a time constant of 100 steps


class StableLinearCell(nn.Module):
    """One step of linear dynamics; see the module."""

    def __init__(self, input_size: int, latent_size: int):
        super().__init__()
        self.skew = nn.Parameter(torch.zeros(latent_size, latent_size))
        self.damping = nn.Parameter(_DAMPING * torch.eye(latent_size))
        self.weight_ih = nn.Parameter(torch.empty(latent_size, input_size))
        self.bias = nn.Parameter(torch.zeros(latent_size))

    def matrix(self) -> Tensor:
        """A (latent, latent), of spectral norm at most 1."""
        return torch.linalg.matrix_exp(self.skew - self.skew.T - self.damping @ self.damping.T)

    def forward(self, u: Tensor, x: Tensor) -> Tensor:
        """One step; u (..., input), x (..., latent)."""
        return x @ self.matrix().T + u @ self.weight_ih.T + self.bias

    def jacobian(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """(A, V), the same everywhere."""
        a, v = self.matrix(), self.weight_ih
        return a.expand(*x.shape[:-1], *a.shape), v.expand(*x.shape[:-1], *v.shape)


@sequence.register
def _(cell: StableLinearCell, inputs: Tensor, x0: Tensor) -> Tensor:
    a, drive = cell.matrix().T, inputs @ cell.weight_ih.T + cell.bias
    x, states = x0, []
    for step in drive.unbind(1):
        x = torch.addmm(step, x, a)
        states.append(x)
    return torch.stack(states, 1)


class StableLinear(Network):
    """Linear dynamics, stable by construction, with a linear readout: a linear dynamical system.

    Parameters
    ----------
    latent_size : int
        Number of latents, >= 1.
    noise_level, ic_noise : float
        See `Network`.
    """

    def make_cell(self, input_size: int, generator: torch.Generator) -> StableLinearCell:
        """Turning at random, slow speeds; input weights uniform in +-1/sqrt(D)."""
        cell = StableLinearCell(input_size, self.latent_size)
        nn.init.normal_(cell.skew, std=0.02, generator=generator)
        bound = self.latent_size**-0.5
        nn.init.uniform_(cell.weight_ih, -bound, bound, generator=generator)
        return cell

    def make_readout(self, output_size: int, generator: torch.Generator) -> nn.Linear:
        """A linear map of the latents."""
        return linear_readout(self.latent_size, output_size, generator)

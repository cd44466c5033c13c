"""A network with a part of its state held: silenced or clamped units, or directions that can carry nothing."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from conjugacy._check import check_instance, check_numbers
from conjugacy.networks.network import Network


class LesionedCell(nn.Module):
    """x' = h(cell(u, h(x))) with h(x) = x - Q^T Q (x - c): what lies along the rows of Q stays as it is in c.

    Parameters
    ----------
    cell : Module
        ``cell(u, x)``.
    directions : Tensor (k, D)
        Q, with orthonormal rows.
    centre : Tensor (D,)
        c.
    """

    directions: Tensor
    centre: Tensor

    def __init__(self, cell: nn.Module, directions: Tensor, centre: Tensor):
        super().__init__()
        self.cell = cell
        self.register_buffer("directions", directions)
        self.register_buffer("centre", centre)

    def hold(self, x: Tensor) -> Tensor:
        """h(x)."""
        return x - ((x - self.centre) @ self.directions.T) @ self.directions

    def forward(self, u: Tensor, x: Tensor) -> Tensor:
        """One step; u (..., input), x (..., state)."""
        return self.hold(self.cell(u, self.hold(x)))


class Lesioned(Network):
    """Another network, in which directions of the state are held; see `Run.lesion`.

    Parameters
    ----------
    network : Network
    directions : list of list of float
        Orthonormal rows (k, state).
    centre : list of float (state,)
        What the state has along them.
    """

    network: Network
    cell: LesionedCell  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, network: Network, directions: Sequence[Sequence[float]], centre: Sequence[float]):
        check_instance("network", network, Network)
        super().__init__(network.latent_size, network.noise_level, network.ic_noise)
        self.centre = list(check_numbers("centre", centre, network.state_size))
        rows = [check_numbers(f"directions[{k}]", row, network.state_size) for k, row in enumerate(directions)]
        self.directions = [list(row) for row in rows]
        self._state_size = network.state_size
        # its weights are those of this network: it is kept as the settings that it was made from
        object.__setattr__(self, "network", network)
        self.kind = f"lesioned {getattr(network, 'kind', type(network).__name__)}"

    @classmethod
    def small(cls) -> Lesioned:
        """A small instance."""
        from conjugacy.networks.leaky import LeakyRNN

        return cls(LeakyRNN(12), [[1.0] + 11 * [0.0]], 12 * [0.0])

    @classmethod
    def of(cls, network: Network, directions: Tensor, centre: Tensor) -> Lesioned:
        """The network, built, with copies of the weights of `network`."""
        lesioned = cls(network, directions.double().tolist(), centre.double().tolist())
        lesioned.input_size, lesioned.output_size = network.input_size, network.output_size
        like = next(network.parameters())
        lesioned.cell = LesionedCell(copy.deepcopy(network.cell), directions.to(like), centre.to(like))
        lesioned.readout = copy.deepcopy(network.readout)
        with torch.no_grad():
            lesioned.latent_ics = nn.Parameter(lesioned.cell.hold(network.latent_ics.detach().clone()))
        return lesioned.eval()

    @property
    def state_size(self) -> int:
        """Number of state variables."""
        return self._state_size

    def make_cell(self, input_size: int, generator: torch.Generator) -> LesionedCell:
        """The cell of the network with new weights, held."""
        cell = self.network.make_cell(input_size, generator)
        return LesionedCell(cell, torch.tensor(self.directions).reshape(-1, self.state_size), torch.tensor(self.centre))

    def make_readout(self, output_size: int, generator: torch.Generator) -> nn.Module:
        """That of the network, with new weights."""
        return self.network.make_readout(output_size, generator)

"""Any recurrent cell made a network by one call."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from conjugacy._check import check_axes
from conjugacy.networks.network import Network, linear_readout


class CellNetwork(Network):
    """A network around a cell made elsewhere; see `from_cell`."""

    def __init__(
        self,
        cell: nn.Module,
        latent_size: int,
        readout: nn.Module | None = None,
        noise_level: float = 0.0,
        ic_noise: float = 0.05,
    ):
        super().__init__(latent_size, noise_level, ic_noise)
        self.cell = cell
        self.given_readout = readout

    def make_cell(self, input_size: int, generator: torch.Generator) -> nn.Module:
        """The cell as it was given, once it is known to fit."""
        u, x = torch.zeros(2, input_size), torch.zeros(2, self.state_size)
        try:
            out = self.cell(u, x)
        except Exception as error:
            raise ValueError(
                f"`cell`: failed on inputs {tuple(u.shape)} and states {tuple(x.shape)} ({error}). "
                f"It takes (input, state) -> state; check its input size and latent_size={self.latent_size}."
            ) from error
        if not isinstance(out, torch.Tensor):
            raise TypeError(f"`cell`: expected the new state, a Tensor, got {type(out).__name__}. Return one tensor.")
        check_axes("cell(input, state)", out, "trial state", trial=2, state=self.state_size)
        return self.cell

    def make_readout(self, output_size: int, generator: torch.Generator) -> nn.Module:
        """The readout as it was given, or a linear one."""
        return self.given_readout or linear_readout(self.latent_size, output_size, generator)


def from_cell(
    cell: nn.Module | Callable[..., nn.Module], latent_size: int, readout: nn.Module | None = None, **options: float
) -> CellNetwork:
    """A network around a cell of one's own.

    Parameters
    ----------
    cell : Module
        ``cell(input, state) -> state`` with input (trial, input), state (trial, latent_size). Its weights are used as
        they are; nothing is drawn anew.
    latent_size : int
        Number of state variables, >= 1.
    readout : Module, optional
        ``readout(state) -> output``; a linear one by default.
    **options
        `noise_level` and `ic_noise` of `Network`.

    Returns
    -------
    CellNetwork
        It trains and is analysed like any other. To save and load a run of it, write a `Network` class instead
        (docs/your_own_network.md): a run folder holds numbers and names, never code.
    """
    if not isinstance(cell, nn.Module):
        raise TypeError(f"`cell`: expected a torch.nn.Module, got {type(cell).__name__}. Wrap functions in a Module.")
    return CellNetwork(cell, latent_size, readout, **options)

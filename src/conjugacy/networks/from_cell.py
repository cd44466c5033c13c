"""Any recurrent cell made a network by one call."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from conjugacy._calling import INPUT_FIRST, ORDERS, CalledStep, Form
from conjugacy._check import check_axes, check_choice, shown
from conjugacy.networks.network import Network, linear_readout


class CalledCell(nn.Module):
    """A cell(input, state) -> state of a module with another order of arguments, or another result."""

    def __init__(self, module: nn.Module, order: str | None, form: Form):
        super().__init__()
        self.module, self.order, self.form = module, order, form

    def forward(self, u: Tensor, x: Tensor) -> Tensor:
        """The state (trial, state) after input u (trial, input) in state x."""
        return CalledStep(self.module, self.order, what="cell").apply(self.form, x, u)


class CellNetwork(Network):
    """A network around a cell made elsewhere; see `from_cell`."""

    def __init__(
        self,
        cell: nn.Module,
        latent_size: int,
        readout: nn.Module | None = None,
        noise_level: float = 0.0,
        ic_noise: float = 0.05,
        order: str | None = None,
    ):
        super().__init__(latent_size, noise_level, ic_noise)
        self.cell = cell
        self.order = order
        self.given_readout = readout

    def make_cell(self, input_size: int, generator: torch.Generator) -> nn.Module:
        """The cell as it was given, once it is known to fit."""
        cell: nn.Module = self.cell.module if isinstance(self.cell, CalledCell) else self.cell
        dtype = next((p.dtype for p in cell.parameters()), torch.float32)
        u, x = torch.zeros(2, input_size, dtype=dtype), torch.zeros(2, self.state_size, dtype=dtype)
        called = CalledStep(cell, self.order, INPUT_FIRST, "cell")
        if called.one_argument:
            raise ValueError("`cell`: expected a module that takes (input, state), got one that takes one argument.")
        if called.forms(x, u)[0]:
            form = called.settle(x, u)
            plain = form == Form(INPUT_FIRST, False, None)
            return cell if plain else CalledCell(cell, self.order, form)
        try:
            out = cell(u, x)
        except Exception as error:
            raise ValueError(
                f"`cell`: failed on inputs {tuple(u.shape)} and states {tuple(x.shape)} ({error}). "
                f"It takes (input, state) -> state; check its input size and latent_size={self.latent_size}."
            ) from error
        if not isinstance(out, torch.Tensor):
            raise TypeError(f"`cell`: expected the new state, a Tensor, got {type(out).__name__}. Return one tensor.")
        check_axes("cell(input, state)", out, "trial state", trial=2, state=self.state_size)
        return cell

    def make_readout(self, output_size: int, generator: torch.Generator) -> nn.Module:
        """The readout as it was given, or a linear one."""
        return self.given_readout or linear_readout(self.latent_size, output_size, generator)


def from_cell(
    cell: nn.Module | Callable[..., nn.Module],
    latent_size: int,
    readout: nn.Module | None = None,
    order: str | None = None,
    noise_level: float = 0.0,
    ic_noise: float = 0.05,
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
    order : {"input, state", "state, input"}, optional
        Order of the arguments of `cell`, where neither its sizes nor the names of its arguments tell.
    noise_level, ic_noise : float
        As of `Network`.

    Returns
    -------
    CellNetwork
        It trains and is analysed like any other. To save and load a run of it, write a `Network` class instead
        (docs/your_own_network.md): a run folder holds numbers and names, never code.
    """
    if not isinstance(cell, nn.Module):
        raise TypeError(f"`cell`: expected a torch.nn.Module, got {type(cell).__name__}. Wrap functions in a Module.")
    if isinstance(cell, nn.RNNBase):
        name = type(cell).__name__
        raise TypeError(
            f"`cell`: expected a cell that takes one step, got {name}, which takes sequences. Use nn.{name}Cell, or "
            f"networks.{'VanillaRNN' if isinstance(cell, nn.RNN) else name}."
        )
    if readout is not None and not isinstance(readout, nn.Module):
        raise TypeError(f"`readout`: expected a torch.nn.Module or None, got {shown(readout)}.")
    if order is not None:
        check_choice("order", order, ORDERS)
    return CellNetwork(cell, latent_size, readout, noise_level, ic_noise, order)

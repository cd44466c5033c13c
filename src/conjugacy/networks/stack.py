"""Many networks of one shape as one: every weight gets a leading axis, and every step is one for all.

The products of torch's own cells are batched matrix products (torch.bmm); any other cell or readout is mapped over its
weights (torch.func.vmap of functional_call), which turns the matrix products that it makes into batched ones.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from conjugacy.networks.cells import LSTMStateCell
from conjugacy.networks.network import Network

Weights = Mapping[str, Tensor]


class Stack:
    """Networks that `form` finds equal, run as one.

    The weights of the networks become views of the stack's: what changes the stack changes the networks.

    Parameters
    ----------
    networks : sequence of Network
        With weights, all of the same form and on the same device.

    Attributes
    ----------
    parameters : dict of str to Tensor (network, ...)
        By the names that they have in a network.
    """

    def __init__(self, networks: Sequence[Network]):
        self.networks = list(networks)
        first = self.networks[0]
        if form(first) is None or any(form(n) != form(first) for n in self.networks):
            raise ValueError("`networks`: expected networks of one form, see conjugacy.networks.stack.form.")
        self.parameters = {
            name: _stacked([dict(n.named_parameters())[name] for n in self.networks])
            for name, _ in first.named_parameters()
        }
        buffers = {
            name: _stacked([dict(n.named_buffers())[name] for n in self.networks]) for name, _ in first.named_buffers()
        }
        weights = {**self.parameters, **buffers}
        self._cell = stacked(first.cell, _part(weights, "cell."))
        self._readout = stacked(first.readout, _part(weights, "readout."))

    def __len__(self) -> int:
        return len(self.networks)

    def cell(self, u: Tensor, x: Tensor) -> Tensor:
        """One step; u (network * trial, input), x (network * trial, state), network by network."""
        return self._cell(self._apart(u), self._apart(x)).flatten(0, 1)

    def readout(self, x: Tensor) -> Tensor:
        """Outputs of states (network * trial, ..., state)."""
        return self._readout(self._apart(x)).flatten(0, 1)

    def init_hidden(self, n_trials: int) -> Tensor:
        """The initial states, (network * trial, state), `n_trials` for each network."""
        return self.parameters["latent_ics"].repeat_interleave(n_trials, 0)

    def leave(self) -> None:
        """Separate the weights of the networks again: each gets a copy."""
        for network in self.networks:
            for tensor in (*network.parameters(), *network.buffers()):
                tensor.data = tensor.data.clone()

    def _apart(self, x: Tensor) -> Tensor:
        return x.unflatten(0, (len(self), -1))


def form(network: Network) -> Hashable | None:
    """The class, shapes and settings that networks must share to be stacked; None if such a network cannot be.

    That is the class, the shapes of all weights, and the settings that its cell and readout compute with. Settings that
    matter for the initial weights only may differ, and so may the levels of noise.
    """
    kind, modules = type(network), [*network.cell.modules(), *network.readout.modules()]
    overrides = any(getattr(kind, m) is not getattr(Network, m) for m in ("rollout", "init_hidden"))
    # torch's fused cells have no batching rule: they are stacked as they stand, not inside other modules
    inside = any(isinstance(m, nn.RNNCellBase) for m in modules) and not isinstance(
        network.cell, nn.GRUCell | nn.RNNCell | LSTMStateCell
    )
    if overrides or inside:
        return None
    shapes = tuple((name, tuple(x.shape), x.dtype, x.requires_grad) for name, x in network.named_parameters())
    buffers = tuple((name, tuple(x.shape), x.dtype) for name, x in network.named_buffers())
    return kind, shapes, buffers, tuple(_settings(m) for m in modules)


@singledispatch
def stacked(module: nn.Module, weights: Weights) -> Callable[..., Tensor]:
    """The module as a function of tensors with a leading axis for the networks, with weights that have one too."""
    each = vmap(lambda weights, *args: functional_call(module, weights, args))
    return lambda *args: each(dict(weights), *args)


@stacked.register
def _(module: nn.GRUCell, weights: Weights) -> Callable[..., Tensor]:
    project_u, project_x = _projections(weights)
    d = module.hidden_size

    def step(u: Tensor, x: Tensor) -> Tensor:
        by_u, by_x = project_u(u), project_x(x)
        r, z = torch.sigmoid(by_u[..., : 2 * d] + by_x[..., : 2 * d]).chunk(2, -1)
        n = torch.tanh(torch.addcmul(by_u[..., 2 * d :], r, by_x[..., 2 * d :]))
        return torch.lerp(n, x, z)

    return step


@stacked.register
def _(module: nn.RNNCell, weights: Weights) -> Callable[..., Tensor]:
    project_u, project_x = _projections(weights)
    bend = {"tanh": torch.tanh, "relu": torch.relu}[module.nonlinearity]
    return lambda u, x: bend(project_u(u) + project_x(x))


@stacked.register
def _(module: LSTMStateCell, weights: Weights) -> Callable[..., Tensor]:
    project_u, project_h = _projections(_part(weights, "lstm."))

    def step(u: Tensor, x: Tensor) -> Tensor:
        h, c = x.chunk(2, -1)
        i, f, g, o = (project_u(u) + project_h(h)).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.cat([torch.sigmoid(o) * torch.tanh(c), c], -1)

    return step


def _projections(weights: Weights) -> list[Callable[[Tensor], Tensor]]:
    """Input and state projections of one of torch's cells, W u + b and U x + c."""

    def affine(w: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
        w = w.mT
        return (lambda x: x @ w) if bias is None else (lambda x: torch.baddbmm(bias[:, None], x, w))

    return [affine(weights[f"weight_{to}"], weights.get(f"bias_{to}")) for to in ("ih", "hh")]


def _stacked(parts: list[Tensor]) -> Tensor:
    whole = torch.stack([p.detach() for p in parts])
    for part, row in zip(parts, whole):
        part.data = row
    return whole.requires_grad_(parts[0].requires_grad)


def _part(weights: Weights, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}


def _settings(module: nn.Module) -> Hashable:
    """The class of a module and what it computes with besides weights and other modules."""
    settings = {k: v for k, v in vars(module).items() if k not in vars(nn.Module())}
    plain = (bool, int, float, str, tuple, type(None))
    return type(module), tuple(
        sorted((k, repr(v) if isinstance(v, plain) else _identity(v)) for k, v in settings.items())
    )


def _identity(thing: Any) -> str:
    return f"{type(thing).__name__} at {id(thing)}"

"""States of a cell over a whole sequence of inputs: x_t = cell(u_t, x_{t-1}) for t = 1 ... T.

The plain loop holds for every cell, and `rollout="plain"` asks for it wherever networks are run. For torch's own cells
and our flow cell the whole sequence is one call: of our kernels for larger float32 GRUs and neural ODEs on the CPU, of
torch's kernels else. The numbers are the same up to rounding, gradients to 1e-5 (tests/networks/test_sequence.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch

import torch
from torch import Tensor, nn

from conjugacy._check import check_choice
from conjugacy.networks.cells import FlowCell, LSTMStateCell

ROLLOUTS = ("auto", "plain")  # the fastest way there is, or one call of the cell after the other

_WORTH_COMPILING = 200_000  # state variables in a rollout; below, loading the kernel takes longer than it saves


@singledispatch
def sequence(cell: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, x0: Tensor) -> Tensor:
    """States (trial, time, unit) after each of the inputs (trial, time, input), from x0 (trial, unit)."""
    return plain_sequence(cell, inputs, x0)


def check_rollout(rollout: str) -> str:
    """`rollout` if it is one of `ROLLOUTS`."""
    return check_choice("rollout", rollout, ROLLOUTS, '"plain" runs one step after the other.')


def plain_sequence(
    cell: Callable[[Tensor, Tensor], Tensor],
    inputs: Tensor,
    x0: Tensor,
    noise: Tensor | None = None,
) -> Tensor:
    """The reference: one step after the other, with `noise` (trial, time, unit) added to the new states."""
    x, states = x0, []
    for t, u in enumerate(inputs.unbind(1)):
        x = cell(u, x)
        x = x if noise is None else x + noise[:, t]
        states.append(x)
    return torch.stack(states, 1)


def _weights(cell: nn.RNNCellBase) -> list[Tensor]:
    weights = [cell.weight_ih, cell.weight_hh]
    return [*weights, cell.bias_ih, cell.bias_hh] if cell.bias else weights


def _worth_compiling(inputs: Tensor, weight: Tensor, units: int) -> bool:
    """Whether a rollout of that many units a step is one for our kernels: large, of float32, on the CPU."""
    large = inputs.shape[0] * inputs.shape[1] * units >= _WORTH_COMPILING
    return large and inputs.device.type == "cpu" and inputs.dtype == weight.dtype == torch.float32


@sequence.register
def _(cell: nn.GRUCell, inputs: Tensor, x0: Tensor) -> Tensor:
    if cell.bias and _worth_compiling(inputs, cell.weight_hh, x0.shape[1]):
        from conjugacy.networks.compiled.gru import gru_states

        return gru_states(cell, inputs, x0)
    return torch.gru(inputs, x0[None], _weights(cell), cell.bias, 1, 0.0, cell.training, False, True)[0]


@sequence.register
def _(cell: nn.RNNCell, inputs: Tensor, x0: Tensor) -> Tensor:
    rnn = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}[cell.nonlinearity]
    return rnn(inputs, x0[None], _weights(cell), cell.bias, 1, 0.0, cell.training, False, True)[0]


@sequence.register
def _(cell: FlowCell, inputs: Tensor, x0: Tensor) -> Tensor:
    layers = [layer for layer in cell.field if isinstance(layer, nn.Linear)]
    if len(layers) > 1 and _worth_compiling(inputs, layers[0].weight, len(layers) * len(layers[0].weight)):
        from conjugacy.networks.compiled.flow import flow_states

        return flow_states(cell, inputs, x0)
    return plain_sequence(cell, inputs, x0)


@sequence.register
def _(cell: LSTMStateCell, inputs: Tensor, x0: Tensor) -> Tensor:
    # torch's fused LSTM returns h at every step but c only at the last, and x is both
    return plain_sequence(cell, inputs, x0)

"""Closed forms of torch's own cells: Jacobians, invariant boxes, Lipschitz bounds, smaller equations and gates.

All in float64, from detached copies of the weights, so that the caller's cell stays as it is and trainable.

GRU (gates r, z, candidate n, a = W_n h + b_n): h' = (1 - z) n + z h has the fixed points of n(h) = h, because z < 1.
LSTM: c' = f c + i g and h' = o tanh(c') have the fixed points of o tanh(i g / (1 - f)) = h, because f < 1.
The smaller equations are better conditioned (a gate near one makes F(x) - x tiny everywhere) and cheaper.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from conjugacy.dynamics.cell_weights import rows, spectral, tanh_range, weights_of
from conjugacy.dynamics.gru_equations import GRUEquations
from conjugacy.dynamics.lstm_equations import LSTMEquations
from conjugacy.dynamics.map import Map, Reduced


def gru_map(cell: nn.GRUCell) -> Map:
    """The map of an ``nn.GRUCell``; it keeps the box [-1, 1]^D, and every fixed point lies inside."""
    of = GRUEquations(cell)
    return Map(
        of.step,
        cell.hidden_size,
        cell.input_size,
        jacobian=of.jacobian,
        box=_unit_box(cell.hidden_size),
        reduced=Reduced(_same, _same_lift, of.residual, of.residual_jacobian, of.lipschitz, of.residual_times),
        leak=of.leak,
        displacement=of.displacement,
        displacement_jacobian=of.displacement_jacobian,
        name="GRU",
    )


def rnn_map(cell: nn.RNNCell) -> Map:
    """The map of an ``nn.RNNCell``; with tanh it keeps [-1, 1]^D, with relu no box is known."""
    d = cell.hidden_size
    w, v, b_h, b_i = weights_of(cell)
    lengths, norm = w.norm(dim=1), spectral(w)
    relu = cell.nonlinearity == "relu"

    def drive(x, u):
        return x @ w.T + b_h + u @ v.T + b_i

    def step(x, u):
        return drive(x, u).relu() if relu else drive(x, u).tanh()

    def jacobian(x, u):
        a = drive(x, u)
        slope = (a > 0).double() if relu else 1 - a.tanh() ** 2
        return rows(slope, w), rows(slope, v)

    def lipschitz(x, u, radius):
        a = drive(x, u)
        if relu:
            # no unit changes sides within the ball: the map is affine there
            return torch.where((a.abs() > radius[:, None] * lengths).all(-1), 0.0, torch.inf)
        n_low, n_up = tanh_range(a, radius[:, None] * lengths)
        return (2 * n_up * (1 - n_low**2) * lengths).amax(-1) * norm

    return Map(
        step,
        d,
        cell.input_size,
        jacobian=jacobian,
        box=None if relu else _unit_box(d),
        lipschitz=lipschitz,
        name="RNN (relu)" if relu else "RNN (tanh)",
    )


def lstm_map(cell: nn.LSTMCell) -> Map:
    """The map of an ``nn.LSTMCell`` on states [h, c]; |h| <= 1 bounds the forget gate, hence c: a box is kept."""
    of = LSTMEquations(cell)
    return Map(
        of.step,
        2 * cell.hidden_size,
        cell.input_size,
        jacobian=of.jacobian,
        box=of.box,
        reduced=Reduced(of.hidden, of.lift, of.residual, of.residual_jacobian, None),
        leak=of.leak,
        displacement=of.displacement,
        name="LSTM",
    )


def _unit_box(n_units: int) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """[-1, 1]^D under any input."""

    def box(u: Tensor) -> tuple[Tensor, Tensor]:
        one = torch.ones(n_units, dtype=torch.float64)
        return -one, one

    return box


def _same(x: Tensor) -> Tensor:
    return x


def _same_lift(x: Tensor, u: Tensor) -> Tensor:
    return x

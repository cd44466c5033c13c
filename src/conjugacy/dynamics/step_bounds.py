"""The steps of torch's own cells in affine arithmetic: what one step does to a whole set of states, proved.

A cell of yours joins by offering ``step_bounds(u, x)``: its step written with the operations of `AffineForm`, `x` being
the form of the states (D,) and `u` the held input (I,), an array. It must do what ``cell(u, x)`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from conjugacy.dynamics.affine_form import AffineForm, Array, concatenate

StepBounds = Callable[[Array, AffineForm], AffineForm]


def gru_bounds(cell: nn.GRUCell) -> StepBounds:
    """H' = n + z (h - n) with n = tanh(i_n + r (W_n h + b_n)); the error of n is shared, so it counts 1 - z times."""
    w, v, b_h, b_i = _weights(cell)
    d = cell.hidden_size

    def step(u: Array, h: AffineForm) -> AffineForm:
        drive = h.matmul(w, b_h)
        r = drive[:d].add_product(v[:d], u, b_i[:d]).sigmoid()
        z = drive[d : 2 * d].add_product(v[d : 2 * d], u, b_i[d : 2 * d]).sigmoid()
        n = (r * drive[2 * d :]).add_product(v[2 * d :], u, b_i[2 * d :]).tanh().shared()
        return n + z * (h - n)

    return step


def rnn_bounds(cell: nn.RNNCell) -> StepBounds:
    """X' = f(W x + V u + b) with f = tanh or relu."""
    w, v, b_h, b_i = _weights(cell)
    relu = cell.nonlinearity == "relu"

    def step(u: Array, x: AffineForm) -> AffineForm:
        drive = x.matmul(w, b_h).add_product(v, u, b_i)
        return drive.relu() if relu else drive.tanh()

    return step


def lstm_bounds(cell: nn.LSTMCell) -> StepBounds:
    """C' = f c + i g, h' = o tanh(c'), on states [h, c]."""
    w, v, b_h, b_i = _weights(cell)
    d = cell.hidden_size

    def step(u: Array, x: AffineForm) -> AffineForm:
        h, c = x[:d], x[d:]
        drive = h.matmul(w, b_h).add_product(v, u, b_i)
        i, f = drive[:d].sigmoid(), drive[d : 2 * d].sigmoid()
        g, o = drive[2 * d : 3 * d].tanh(), drive[3 * d :].sigmoid()
        c = f * c + i * g
        return concatenate([o * c.tanh(), c])

    return step


def torch_cell_bounds(cell: nn.Module) -> StepBounds:
    """Bounds of one of torch's own cells."""
    if isinstance(cell, nn.GRUCell):
        return gru_bounds(cell)
    if isinstance(cell, nn.LSTMCell):
        return lstm_bounds(cell)
    if isinstance(cell, nn.RNNCell):
        return rnn_bounds(cell)
    raise TypeError(f"`cell`: expected an nn.GRUCell, nn.RNNCell or nn.LSTMCell, got {type(cell).__name__}.")


def readout_bounds(readout: Any) -> Callable[[AffineForm], AffineForm] | None:
    """A readout on sets of states: of nn.Linear, Tanh, Sigmoid, ReLU, Identity, and Sequentials of them; else None."""
    if isinstance(readout, nn.Sequential):
        parts = [readout_bounds(part) for part in readout]
        known = [part for part in parts if part is not None]

        if len(known) < len(parts):
            return None

        def chain(x: AffineForm) -> AffineForm:
            for part in known:
                x = part(x)
            return x

        return chain
    if isinstance(readout, nn.Linear):
        w = _copied(readout.weight)
        b = np.zeros(len(w)) if readout.bias is None else _copied(readout.bias)
        return lambda x: x.matmul(w, b)
    if isinstance(readout, nn.Identity):
        return lambda x: x
    if isinstance(readout, nn.Tanh):
        return AffineForm.tanh
    if isinstance(readout, nn.Sigmoid):
        return AffineForm.sigmoid
    if isinstance(readout, nn.ReLU):
        return AffineForm.relu
    own: Callable[[AffineForm], AffineForm] | None = getattr(readout, "bounds", None)
    return own


def _weights(cell: nn.RNNCellBase) -> tuple[Array, Array, Array, Array]:
    w, v = (_copied(p) for p in (cell.weight_hh, cell.weight_ih))
    zero = np.zeros(len(w))
    if not cell.bias:
        return w, v, zero, zero
    return w, v, _copied(cell.bias_hh), _copied(cell.bias_ih)


def _copied(parameter: Tensor) -> Array:
    """Detached from the cell, which may be trained further."""
    return parameter.detach().cpu().double().clone().numpy()

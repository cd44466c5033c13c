"""The steps of torch's own cells in affine arithmetic: what one step does to a whole set of states, proved.

A cell of yours joins by offering ``step_bounds(u, x)``: its step written with the operations of `AffineForm`, `x` being
the form of the states (D,) and `u` the held input (I,), an array. It must do what ``cell(u, x)`` does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import nn

from conjugacy.dynamics.affine_form import AffineForm, Array, concatenate

StepBounds = Callable[[Array, AffineForm], AffineForm]


def gru_bounds(cell: nn.GRUCell) -> StepBounds:
    """h' = n + z (h - n) with n = tanh(i_n + r (W_n h + b_n)); the error of n is shared, so it counts 1 - z times."""
    w, v, b_h, b_i = _weights(cell)
    d = cell.hidden_size

    def step(u: Array, h: AffineForm) -> AffineForm:
        drive = h.matmul(w, b_h)
        given = _given(v, u, b_i)
        r = _driven(drive[:d], given, slice(0, d)).sigmoid()
        z = _driven(drive[d : 2 * d], given, slice(d, 2 * d)).sigmoid()
        n = _driven(r * drive[2 * d :], given, slice(2 * d, 3 * d)).tanh().shared()
        return n + z * (h - n)

    return step


def rnn_bounds(cell: nn.RNNCell) -> StepBounds:
    """x' = f(W x + V u + b) with f = tanh or relu."""
    w, v, b_h, b_i = _weights(cell)
    relu = cell.nonlinearity == "relu"

    def step(u: Array, x: AffineForm) -> AffineForm:
        drive = _driven(x.matmul(w, b_h), _given(v, u, b_i), slice(0, len(w)))
        return drive.relu() if relu else drive.tanh()

    return step


def lstm_bounds(cell: nn.LSTMCell) -> StepBounds:
    """c' = f c + i g, h' = o tanh(c'), on states [h, c]."""
    w, v, b_h, b_i = _weights(cell)
    d = cell.hidden_size

    def step(u: Array, x: AffineForm) -> AffineForm:
        h, c = x[:d], x[d:]
        drive = _driven(h.matmul(w, b_h), _given(v, u, b_i), slice(0, 4 * d))
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


def _given(v: Array, u: Array, b: Array) -> tuple[Array, Array]:
    """V u + b, and a bound of its rounding."""
    size = np.abs(v) @ np.abs(u) + np.abs(b)
    return v @ u + b, (len(u) + 8) * 2.0**-52 * size


def _driven(form: AffineForm, given: tuple[Array, Array], rows: slice) -> AffineForm:
    moved = form + given[0][rows]
    return AffineForm(moved.centre, moved.linear, moved.error + 2 * given[1][rows], moved.symbols, moved.local)


def _weights(cell: nn.RNNCellBase) -> tuple[Array, Array, Array, Array]:
    w, v = (p.detach().cpu().double().numpy() for p in (cell.weight_hh, cell.weight_ih))
    zero = np.zeros(len(w))
    if not cell.bias:
        return w, v, zero, zero
    return w, v, cell.bias_hh.detach().cpu().double().numpy(), cell.bias_ih.detach().cpu().double().numpy()

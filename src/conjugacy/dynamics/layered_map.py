"""The map of torch cells on top of each other, in closed form.

Each layer is driven by the new hidden state of the one below: with A_l = dx_l'/dx_l and B_l = dx_l'/du_l of layer l
alone (`closed_forms.py`), the chain rule gives dx_l'/dx_j = B_l S dx_(l-1)'/dx_j below the diagonal, where S picks h of
[h, c].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from conjugacy._recurrent import Layers
from conjugacy.dynamics.closed_forms import gru_map, lstm_map, rnn_map
from conjugacy.dynamics.map import Map


def layers_map(layers: Layers) -> Map:
    """The map of one layer with all that is known of it, or of several with Jacobian and box."""
    maps = [_cell_map(cell) for cell in layers.cells]
    if len(maps) == 1:
        return maps[0]
    widths = layers.widths
    hidden = [int(c.hidden_size) for c in layers.cells]  # pyright: ignore[reportArgumentType]

    def step(x: Tensor, u: Tensor) -> Tensor:
        states = []
        for layer, state, d in zip(maps, x.split(widths, -1), hidden):
            states.append(layer.step(state, u))
            u = states[-1][:, :d]
        return torch.cat(states, -1)

    def jacobian(x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        n, total, n_inputs = len(x), sum(widths), u.shape[1]
        # derivatives of what drives a layer by all states and the input
        above = x.new_zeros(n, n_inputs, total + n_inputs)
        above[:, :, total:] = torch.eye(n_inputs, dtype=x.dtype)
        rows, start = [], 0
        for layer, state, width, d in zip(maps, x.split(widths, -1), widths, hidden):
            own, driven = layer.jacobians(state, u)
            row = driven @ above
            row[:, :, start : start + width] += own
            rows.append(row)
            u, above, start = layer.step(state, u)[:, :d], row[:, :d], start + width
        whole = torch.cat(rows, 1)
        return whole[:, :, :total], whole[:, :, total:]

    def box(u: Tensor) -> tuple[Tensor, Tensor]:
        # |h| <= 1 in every layer below, whatever drives it
        first: list[Tensor] = [maps[0].box(u)[1]]  # pyright: ignore[reportOptionalCall]
        upper = torch.cat(first + [_upper(cell) for cell in list(layers.cells)[1:]])
        return -upper, upper

    return Map(
        step,
        layers.n_units,
        layers.input_size,
        jacobian=jacobian,
        box=box if all(m.box is not None for m in maps) else None,
        name=f"{maps[0].name}, {len(maps)} layers",
    )


def _cell_map(cell: nn.Module) -> Map:
    if isinstance(cell, nn.GRUCell):
        return gru_map(cell)
    if isinstance(cell, nn.LSTMCell):
        return lstm_map(cell)
    assert isinstance(cell, nn.RNNCell)
    return rnn_map(cell)


def _upper(cell: nn.Module) -> Tensor:
    """The upper corner of the box that a cell keeps under all inputs in [-1, 1]."""
    one = torch.ones(int(cell.hidden_size), dtype=torch.float64)  # pyright: ignore[reportArgumentType]
    if not isinstance(cell, nn.LSTMCell):
        return one
    d = len(one)
    high = cell.weight_ih.detach().abs().sum(1) + cell.weight_hh.detach().abs().sum(1)
    if cell.bias:
        high = high + cell.bias_ih.detach() + cell.bias_hh.detach()
    return torch.cat([one, torch.sigmoid(high[:d]) / torch.sigmoid(-high[d : 2 * d])])

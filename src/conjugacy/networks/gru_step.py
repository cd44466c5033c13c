"""One step of a GRU and of its gradient on the CPU, for loops in which something else happens between two steps.

The equations are those of `gru_kernel`, which runs whole sequences whose inputs are known beforehand. Large buffers are
kept from one training step to the next: fresh pages cost about as much as the arithmetic done on them.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn

from conjugacy.networks.gru_kernel import _exp_of_minus

_ONE, _TWO = np.float32(1), np.float32(2)

# buffers of the last size that each cell was trained with
_SPARE: WeakKeyDictionary[nn.Module, tuple[tuple[int, int, int], dict[int, list[Tensor]]]] = WeakKeyDictionary()


def take(cell: nn.Module, size: tuple[int, int, int], *widths: int) -> list[Tensor]:
    """Buffers (t, n, width * d), used ones where there are any."""
    t, n, d = size
    known, spare = _SPARE.get(cell, (size, {}))
    used = spare if known == size else {}
    return [used[w].pop() if used.get(w) else torch.empty(t, n, w * d) for w in widths]


def give_back(cell: nn.Module, size: tuple[int, int, int], buffers: list[Tensor]) -> None:
    """Keep the buffers of one rollout for the next one of the same size."""
    spare: dict[int, list[Tensor]] = {}
    for buffer in buffers:
        spare.setdefault(buffer.shape[2] // size[2], []).append(buffer)
    _SPARE[cell] = (size, spare)


# one short loop an operation: the compiler then sees that arrays do not overlap, and vectorises
@njit(fastmath=True, error_model="numpy", cache=True)
def gates_forward(gates, recurrent, bias, x, x_next, h, exponent, mantissa, a):
    """A step forward: `gates` holds the input projection, and r, z, n afterwards."""
    d = x.shape[1]
    power = exponent.view(np.float32)
    for b in range(x.shape[0]):
        g, rec, hb, xb, out = gates[b], recurrent[b], h[b], x[b], x_next[b]
        for i in range(2 * d):
            a[i] = g[i] + rec[i]
        _exp_of_minus(a, mantissa, exponent)
        for i in range(2 * d):
            g[i] = _ONE / (_ONE + mantissa[i] * power[i])
        for i in range(d):
            hb[i] = rec[2 * d + i] + bias[i]
        for i in range(d):
            a[i] = _TWO * (g[2 * d + i] + g[i] * hb[i])
        _exp_of_minus(a[:d], mantissa, exponent)
        n, z = g[2 * d :], g[d : 2 * d]
        for i in range(d):
            n[i] = _TWO / (_ONE + mantissa[i] * power[i]) - _ONE
        for i in range(d):
            out[i] = n[i] + z[i] * (xb[i] - n[i])


@njit(fastmath=True, error_model="numpy", cache=True)
def gates_back(arriving, carry, x, gates, h, toward_u, toward_n, total, dn):
    """A step backward: `carry` holds what came from the steps after, and d z afterwards."""
    d = x.shape[1]
    for b in range(x.shape[0]):
        ab, cb, xb, hb, tn = arriving[b], carry[b], x[b], h[b], toward_n[b]
        r, z, n = gates[b, :d], gates[b, d : 2 * d], gates[b, 2 * d :]
        by_r, by_z, by_h = toward_u[b, :d], toward_u[b, d : 2 * d], toward_u[b, 2 * d :]
        for i in range(d):
            total[i] = ab[i] + cb[i]
        for i in range(d):
            dn[i] = total[i] * (_ONE - z[i]) * (_ONE - n[i] * n[i])
        for i in range(d):
            by_z[i] = total[i] * (xb[i] - n[i]) * z[i] * (_ONE - z[i])
        for i in range(d):
            by_h[i] = dn[i] * r[i]
        for i in range(d):
            by_r[i] = by_h[i] * hb[i] * (_ONE - r[i])
        for i in range(d):
            tn[i] = dn[i]
        for i in range(d):
            cb[i] = total[i] * z[i]

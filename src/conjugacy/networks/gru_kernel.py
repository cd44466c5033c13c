"""The states of a GRU over a whole sequence on the CPU, and their gradient, with hand-written steps.

With a = W u_t + b_W + [U_r x_{t-1}, U_z x_{t-1}, 0] and h = U_n x_{t-1} + b_Un, the step of `GRU` is r = sigma(a_r),
z = sigma(a_z), n = tanh(a_n + r h), x_t = n + z (x_{t-1} - n). For d = dL/dx_t, all that arrives at x_t, the chain rule
gives

    dn = d (1 - z) (1 - n^2)          towards a_n
    dz = d (x_{t-1} - n) z (1 - z)    towards a_z
    dr = dn h r (1 - r)               towards a_r
    dL/dx_{t-1} = d z + [dr, dz, dn r] U

Three things make it fast: the input projection of all steps is one matrix product and so is each weight's gradient; the
gates are one pass over memory in vectorised float32 (relative error of exp below 1e-7); and large buffers are kept from
one training step to the next, since fresh pages cost about as much as the arithmetic done on them. Tested against the
plain loop in tests/networks/test_sequence.py, timed against it in benchmarks/training_step.py.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
import torch
from numba import njit
from numpy.polynomial import Chebyshev, Polynomial
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# 2^f on [0, 1), interpolated at Chebyshev nodes: relative error 1e-8, below that of float32
_EXP2 = tuple(np.float32(c) for c in Chebyshev.interpolate(np.exp2, 6, [0, 1]).convert(kind=Polynomial).coef)
_C0, _C1, _C2, _C3, _C4, _C5, _C6 = _EXP2
_LOG2_E = np.float32(np.log2(np.e))
_ONE, _TWO, _LIMIT = np.float32(1), np.float32(2), np.float32(126)

# buffers of the last size that each cell was trained with
_SPARE: WeakKeyDictionary[nn.Module, tuple[tuple[int, int, int], dict[int, list[Tensor]]]] = WeakKeyDictionary()


def gru_states(cell: nn.GRUCell, inputs: Tensor, x0: Tensor) -> Tensor:
    """States (trial, time, unit) of a float32 GRU cell with biases on the CPU; differentiable once in everything."""
    weights = (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
    return _GRUStates.apply(cell, inputs, x0, *weights)  # pyright: ignore[reportReturnType]


class _GRUStates(torch.autograd.Function):
    @staticmethod
    def forward(ctx, cell, inputs, x0, w, u, b_w, b_u):
        (n, t, _), d = inputs.shape, x0.shape[1]
        flat = inputs.transpose(0, 1).reshape(t * n, -1)
        bias = b_w.clone()
        bias[: 2 * d] += b_u[: 2 * d]
        training = any(ctx.needs_input_grad)
        gates, h = _take(cell, (t, n, d), 3, 1) if training else (torch.empty(t, n, 3 * d), torch.empty(t, n, d))
        torch.addmm(bias, flat, w.T, out=gates.view(t * n, 3 * d))
        states, recurrent = torch.empty(t, n, d), torch.empty(n, 3 * d)
        scratch = np.empty(2 * d, np.int32), np.empty(2 * d, np.float32), np.empty(2 * d, np.float32)
        previous = x0.detach().contiguous()
        numpy = [x.detach().numpy() for x in (gates, h, states, recurrent, b_u[2 * d :])]
        for k, state in enumerate(states.unbind()):
            torch.mm(previous, u.T, out=recurrent)
            _gates(numpy[0][k], numpy[3], numpy[4], previous.numpy(), numpy[2][k], numpy[1][k], *scratch)
            previous = state
        out = states.transpose(0, 1)
        ctx.save_for_backward(flat, x0, w, u, out)
        ctx.cell, ctx.buffers = cell, (gates, h)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        if ctx.buffers is None:
            raise RuntimeError("The gradient of these GRU states was taken before; roll the network out again.")
        flat, x0, w, u, out = ctx.saved_tensors
        gates, h = ctx.buffers
        ctx.buffers = None
        t, n, d = h.shape
        arriving, toward_u, toward_n = _take(ctx.cell, (t, n, d), 1, 3, 1)
        arriving.copy_(grads[0].transpose(0, 1))
        states, carry = out.transpose(0, 1), torch.zeros(n, d)
        scratch = np.empty(d, np.float32), np.empty(d, np.float32)
        numpy = [x.numpy() for x in (arriving, gates, h, toward_u, toward_n, carry)]
        before = [x0.detach().contiguous().numpy(), *(x.numpy() for x in states[:-1].unbind())]
        steps = toward_u.unbind()
        for k in range(t - 1, -1, -1):
            g, hk, by_u, by_n = (x[k] for x in numpy[1:5])
            _gradients(numpy[0][k], numpy[5], before[k], g, hk, by_u, by_n, *scratch)
            carry.addmm_(steps[k], u)
        by_u, by_n = toward_u.view(t * n, 3 * d), toward_n.view(t * n, d)
        grad_u = by_u[n:].T @ states[:-1].reshape((t - 1) * n, d) + toward_u[0].T @ x0
        grad_b = by_u.sum(0)
        grad_w = torch.cat([by_u[:, : 2 * d].T @ flat, by_n.T @ flat])
        grad_b_w = torch.cat([grad_b[: 2 * d], by_n.sum(0)])
        grad_inputs = None
        if ctx.needs_input_grad[1]:
            by_input = by_u[:, : 2 * d] @ w[: 2 * d] + by_n @ w[2 * d :]
            grad_inputs = by_input.view(t, n, -1).transpose(0, 1)
        _give_back(ctx.cell, (t, n, d), [gates, h, arriving, toward_u, toward_n])
        return None, grad_inputs, carry, grad_w, grad_u, grad_b_w, grad_b


def _take(cell: nn.Module, size: tuple[int, int, int], *widths: int) -> list[Tensor]:
    """Buffers (t, n, width * d), used ones where there are any."""
    t, n, d = size
    known, spare = _SPARE.get(cell, (size, {}))
    used = spare if known == size else {}
    return [used[w].pop() if used.get(w) else torch.empty(t, n, w * d) for w in widths]


def _give_back(cell: nn.Module, size: tuple[int, int, int], buffers: list[Tensor]) -> None:
    """Keep the buffers of one rollout for the next one of the same size."""
    spare: dict[int, list[Tensor]] = {}
    for buffer in buffers:
        spare.setdefault(buffer.shape[2] // size[2], []).append(buffer)
    _SPARE[cell] = (size, spare)


@njit(fastmath=True, error_model="numpy", cache=True)
def _exp_of_minus(x, exponent, mantissa):
    """exp(-x) as mantissa * 2^exponent, the power of two as the bits of a float32."""
    for i in range(len(x)):
        t = -x[i] * _LOG2_E
        t = t if t < _LIMIT else _LIMIT
        t = t if t > -_LIMIT else -_LIMIT
        whole = np.floor(t)
        f = t - whole
        mantissa[i] = ((((((_C6 * f + _C5) * f + _C4) * f + _C3) * f + _C2) * f + _C1) * f) + _C0
        exponent[i] = (np.int32(whole) + np.int32(127)) << np.int32(23)


# one short loop an operation: the compiler then sees that arrays do not overlap, and vectorises
@njit(fastmath=True, error_model="numpy", cache=True)
def _gates(gates, recurrent, bias, x, x_next, h, exponent, mantissa, a):
    """A step forward: `gates` holds the input projection, and r, z, n afterwards."""
    d = x.shape[1]
    power = exponent.view(np.float32)
    for b in range(x.shape[0]):
        g, rec, hb, xb, out = gates[b], recurrent[b], h[b], x[b], x_next[b]
        for i in range(2 * d):
            a[i] = g[i] + rec[i]
        _exp_of_minus(a, exponent, mantissa)
        for i in range(2 * d):
            g[i] = _ONE / (_ONE + mantissa[i] * power[i])
        for i in range(d):
            hb[i] = rec[2 * d + i] + bias[i]
        for i in range(d):
            a[i] = _TWO * (g[2 * d + i] + g[i] * hb[i])
        _exp_of_minus(a[:d], exponent, mantissa)
        n, z = g[2 * d :], g[d : 2 * d]
        for i in range(d):
            n[i] = _TWO / (_ONE + mantissa[i] * power[i]) - _ONE
        for i in range(d):
            out[i] = n[i] + z[i] * (xb[i] - n[i])


@njit(fastmath=True, error_model="numpy", cache=True)
def _gradients(arriving, carry, x, gates, h, toward_u, toward_n, total, dn):
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

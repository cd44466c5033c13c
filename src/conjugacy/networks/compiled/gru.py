"""The states of a GRU over whole sequences on the CPU, and their gradient, as compiled loops over time.

With a = W u_t + b_W + [U_r x_{t-1}, U_z x_{t-1}, 0] and h = U_n x_{t-1} + b_Un, the step of `GRU` is r = sigma(a_r),
z = sigma(a_z), n = tanh(a_n + r h), x_t = n + z (x_{t-1} - n). For d = dL/dx_t, all that arrives at x_t, the chain rule
gives

    dn = d (1 - z) (1 - n^2)          towards a_n
    dz = d (x_{t-1} - n) z (1 - z)    towards a_z
    dr = dn h r (1 - r)               towards a_r
    dL/dx_{t-1} = d z + [dr, dz, dn r] U

Each block of trials runs through time by itself (`blocks.py`), with one vectorised pass over the gates a step (relative
error of exp below 1e-7), and weight gradients of several steps as one matrix product. Tested against the plain loop in
tests/networks/test_sequence.py, timed against it in benchmarks/training_step.py.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.polynomial import Chebyshev, Polynomial
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from conjugacy._jit import njit
from conjugacy._threads import on_threads
from conjugacy.networks.compiled.blocks import give_back, take_buffers, trial_blocks

# 2^f on [0, 1), interpolated at Chebyshev nodes: relative error 1e-8, below that of float32
_EXP2 = tuple(np.float32(c) for c in Chebyshev.interpolate(np.exp2, 6, [0, 1]).convert(kind=Polynomial).coef)
_C0, _C1, _C2, _C3, _C4, _C5, _C6 = _EXP2
_LOG2_E = np.float32(np.log2(np.e))
_ONE, _TWO, _LIMIT = np.float32(1), np.float32(2), np.float32(126)

_STEPS = 8  # time steps whose gradient towards the weights is one matrix product


def gru_states(cell: nn.GRUCell, inputs: Tensor, x0: Tensor) -> Tensor:
    """States (trial, time, unit) of a float32 GRU cell with biases on the CPU; differentiable once in everything."""
    weights = (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
    return _GRUStates.apply(cell, inputs, x0, *weights)  # pyright: ignore[reportReturnType]


class _GRUStates(torch.autograd.Function):
    @staticmethod
    def forward(ctx, cell, inputs, x0, w, u, b_w, b_u):
        (n, t, _), d = inputs.shape, x0.shape[1]
        blocks = trial_blocks(n)
        with_one = torch.cat([inputs, inputs.new_ones(n, t, 1)], 2)  # the last column carries the biases
        into, recurrent, bias = _forward_weights(w, u, b_w, b_u)
        states = torch.empty(n, t, d)
        tape = take_buffers(cell, blocks, t if any(ctx.needs_input_grad) else 0, 4 * d)
        arrays = [x.detach().contiguous().numpy() for x in (with_one, x0, states)]

        def forward(k: int) -> None:
            driven, start, out = (x[blocks[k]] for x in arrays)
            _forward(driven, start, into, recurrent, bias, tape[k], out)

        on_threads(forward, len(blocks))
        ctx.save_for_backward(with_one, x0, w, u, states)
        ctx.cell, ctx.tape = cell, tape
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        if ctx.tape is None:
            raise RuntimeError("The gradient of these GRU states was taken before; roll the network out again.")
        with_one, x0, w, u, states = ctx.saved_tensors
        tape, ctx.tape = ctx.tape, None
        (n, t, d), i = states.shape, w.shape[1]
        blocks = trial_blocks(n)
        by_input = np.empty((n, t, i) if ctx.needs_input_grad[1] else (0, t, i), np.float32)
        by_start = np.empty((n, d), np.float32)
        by_weights = [
            (np.zeros((3 * d, i + 1), np.float32), np.zeros((3 * d, d), np.float32), np.zeros(d, np.float32))
            for _ in blocks
        ]
        arrays = [x.detach().contiguous().numpy() for x in (grads[0], with_one, x0, states)]
        to_w, to_u = (x.detach().contiguous().numpy() for x in (w, u))

        def backward(k: int) -> None:
            arriving, driven, start, out, to_input, to_start = (x[blocks[k]] for x in (*arrays, by_input, by_start))
            part_w, part_u, part_b = by_weights[k]
            _backward(arriving, driven, start, out, tape[k], to_w, to_u, to_input, to_start, part_w, part_u, part_b)

        on_threads(backward, len(blocks))
        give_back(ctx.cell, tape)
        by_w, by_u, by_b_n = (torch.from_numpy(sum(parts)) for parts in zip(*by_weights))
        by_b_w = by_w[:, i].contiguous()
        by_b_u = torch.cat([by_b_w[: 2 * d], by_b_n])
        grad_inputs = torch.from_numpy(by_input) if ctx.needs_input_grad[1] else None
        return None, grad_inputs, torch.from_numpy(by_start), by_w[:, :i].contiguous(), by_u, by_b_w, by_b_u


def _forward_weights(w: Tensor, u: Tensor, b_w: Tensor, b_u: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W with the biases that are added to it, and U, transposed; the bias that the reset gate multiplies."""
    d = u.shape[1]
    bias = b_w.detach().clone()
    bias[: 2 * d] += b_u.detach()[: 2 * d]
    into = torch.cat([w.detach(), bias[:, None]], 1)
    return into.T.contiguous().numpy(), u.detach().T.contiguous().numpy(), b_u.detach()[2 * d :].contiguous().numpy()


@njit(nogil=True, cache=True)
def _forward(driven, x0, into, recurrent, bias, tape, states):
    """Run a block: `states` (trial, time, unit) of inputs `driven`, with r, z, n, h of every step in `tape`."""
    n, t, _ = driven.shape
    d = x0.shape[1]
    x = x0.copy()
    u = np.empty((n, driven.shape[2]), np.float32)
    a, b = np.empty((n, 3 * d), np.float32), np.empty((n, 3 * d), np.float32)
    exponent, mantissa = np.empty(2 * d, np.int32), np.empty(2 * d, np.float32)
    passing = np.empty((n, 4 * d), np.float32)
    for k in range(t):
        for m in range(n):
            u[m] = driven[m, k]
        np.dot(u, into, a)
        np.dot(x, recurrent, b)
        gates_forward(a, b, bias, x, tape[k] if len(tape) else passing, exponent, mantissa)
        for m in range(n):
            states[m, k] = x[m]


@njit(nogil=True, cache=True)
def _backward(arriving, driven, x0, states, tape, w, u, by_input, by_start, by_w, by_u, by_b_n):
    """The gradient of a block, from `arriving`, the gradient at its states; `tape` is of the forward run."""
    n, t, d = states.shape
    carry, through = np.zeros((n, d), np.float32), np.zeros((n, d), np.float32)
    # the steps of one matrix product towards the weights; unused rows stay 0
    to_state, to_input = np.zeros((_STEPS, n, 3 * d), np.float32), np.zeros((_STEPS, n, 3 * d), np.float32)
    before, seen = np.zeros((_STEPS, n, d), np.float32), np.zeros((_STEPS, n, driven.shape[2]), np.float32)
    part_w, part_u = np.empty_like(by_w), np.empty_like(by_u)
    back = np.empty((_STEPS * n, w.shape[1]), np.float32)
    row = 0
    for k in range(t - 1, -1, -1):
        for m in range(n):
            before[row, m] = states[m, k - 1] if k else x0[m]
            seen[row, m] = driven[m, k]
        gates_backward(arriving, k, carry, through, before[row], tape[k], to_state[row], to_input[row], by_b_n)
        np.dot(to_state[row], u, through)
        row += 1
        if row == _STEPS or k == 0:
            for later in range(row, _STEPS):
                to_state[later] = 0
                to_input[later] = 0
            rows_s, rows_i = to_state.reshape((_STEPS * n, 3 * d)), to_input.reshape((_STEPS * n, 3 * d))
            np.dot(rows_s.T, before.reshape((_STEPS * n, d)), part_u)
            np.dot(rows_i.T, seen.reshape((_STEPS * n, driven.shape[2])), part_w)
            by_u += part_u
            by_w += part_w
            if len(by_input):
                np.dot(rows_i, w, back)
                for r in range(row):
                    for m in range(n):
                        by_input[m, k + row - 1 - r] = back[r * n + m]
            row = 0
    for m in range(n):
        for i in range(d):
            by_start[m, i] = carry[m, i] + through[m, i]


# fastmath for the arithmetic of the gates alone, whose arguments are bounded; short loops, so that the compiler sees
# that arrays do not overlap and vectorises
@njit(fastmath=True, error_model="numpy", nogil=True, cache=True)
def _exp_of_minus(x, mantissa, exponent):
    """exp(-x) as mantissa * 2^exponent, the power of two as the bits of a float32."""
    for i in range(len(x)):
        t = min(max(-x[i] * _LOG2_E, -_LIMIT), _LIMIT)
        whole = np.floor(t)
        f = t - whole
        mantissa[i] = ((((((_C6 * f + _C5) * f + _C4) * f + _C3) * f + _C2) * f + _C1) * f) + _C0
        exponent[i] = (np.int32(whole) + np.int32(127)) << np.int32(23)


@njit(fastmath=True, error_model="numpy", nogil=True, cache=True)
def gates_forward(driven, recurrent, bias, x, tape, exponent, mantissa):
    """A step forward, from the projections of input and state; `x` becomes the next state."""
    d = x.shape[1]
    power = exponent.view(np.float32)
    for b in range(x.shape[0]):
        a, rec, g, xb = driven[b], recurrent[b], tape[b], x[b]
        h, z, n = g[3 * d :], g[d : 2 * d], g[2 * d : 3 * d]
        for i in range(2 * d):
            a[i] += rec[i]
        _exp_of_minus(a[: 2 * d], mantissa, exponent)
        for i in range(2 * d):
            g[i] = _ONE / (_ONE + mantissa[i] * power[i])
        for i in range(d):
            h[i] = rec[2 * d + i] + bias[i]
        for i in range(d):
            a[i] = _TWO * (a[2 * d + i] + g[i] * h[i])
        _exp_of_minus(a[:d], mantissa, exponent)
        for i in range(d):
            n[i] = _TWO / (_ONE + mantissa[i] * power[i]) - _ONE
        for i in range(d):
            xb[i] = n[i] + z[i] * (xb[i] - n[i])


@njit(fastmath=True, error_model="numpy", nogil=True, cache=True)
def gates_backward(arriving, k, carry, through, x, tape, to_state, to_input, by_b_n):
    """A step backward: `carry` and `through` hold what came from the steps after; `carry` is d z afterwards."""
    d = x.shape[1]
    for b in range(x.shape[0]):
        ab, cb, tb, xb, g = arriving[b, k], carry[b], through[b], x[b], tape[b]
        s, o = to_state[b], to_input[b]
        r, z, n, h = g[:d], g[d : 2 * d], g[2 * d : 3 * d], g[3 * d :]
        by_r, by_z, by_h = s[:d], s[d : 2 * d], s[2 * d :]
        for i in range(d):
            cb[i] += ab[i] + tb[i]
        for i in range(d):
            by_z[i] = cb[i] * (xb[i] - n[i]) * z[i] * (_ONE - z[i])
        for i in range(d):
            o[2 * d + i] = cb[i] * (_ONE - z[i]) * (_ONE - n[i] * n[i])
        for i in range(d):
            cb[i] *= z[i]
        for i in range(d):
            by_h[i] = o[2 * d + i] * r[i]
        for i in range(d):
            by_r[i] = by_h[i] * h[i] * (_ONE - r[i])
        for i in range(2 * d):
            o[i] = s[i]
        for i in range(d):
            by_b_n[i] += by_h[i]

"""The states of a `FlowCell` over whole sequences on the CPU, and their gradient, as compiled loops over time.

x_t = x_{t-1} + s W_L h_{L-1} + s b_L with h_1 = relu(W_1 [x_{t-1}, u_t] + b_1), h_l = relu(W_l h_{l-1} + b_l). For d =
dL/dx_t, all that arrives at x_t, the chain rule gives d_{L-1} = s d W_L and d_{l-1} = d_l W_l, each where its h is
positive and 0 elsewhere, and dL/dx_{t-1} = d + d_1 W_1, columns of x.

Each block of trials runs through time by itself (`blocks.py`), with the weight gradients of several steps as one matrix
product. Tested against the plain loop in tests/networks/test_sequence.py.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from conjugacy._jit import njit
from conjugacy._threads import on_threads
from conjugacy.networks.cells import FlowCell
from conjugacy.networks.compiled.blocks import give_back, take_buffers, trial_blocks

_STEPS = 8  # time steps whose gradient towards the weights is one matrix product


def flow_states(cell: FlowCell, inputs: Tensor, x0: Tensor) -> Tensor:
    """States (trial, time, latent) of a float32 flow cell of at least two layers on the CPU; differentiable once."""
    layers = [layer for layer in cell.field if isinstance(layer, nn.Linear)]
    weights = [p for layer in layers for p in (layer.weight, layer.bias)]
    return _FlowStates.apply(cell, inputs, x0, *weights)  # pyright: ignore[reportReturnType]


class _FlowStates(torch.autograd.Function):
    @staticmethod
    def forward(ctx, cell, inputs, x0, *weights):
        (n, t, _), d = inputs.shape, x0.shape[1]
        blocks, (first, middle, last) = trial_blocks(n), _layers(weights)
        depth, width = len(middle) + 1, first.shape[0]
        states = torch.empty(n, t, d)
        tape = take_buffers(cell, blocks, t if any(ctx.needs_input_grad) else 0, depth * width)
        arrays = [x.detach().contiguous().numpy() for x in (inputs, x0, states)]
        transposed = [np.ascontiguousarray(np.swapaxes(w, -1, -2)) for w in (first, middle, last)]

        def forward(k: int) -> None:
            driven, start, out = (x[blocks[k]] for x in arrays)
            _forward(driven, start, transposed[0], transposed[1], transposed[2], np.float32(cell.step), tape[k], out)

        on_threads(forward, len(blocks))
        ctx.save_for_backward(inputs, x0, states, *weights)
        ctx.cell, ctx.tape = cell, tape
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        if ctx.tape is None:
            raise RuntimeError("The gradient of these states was taken before; roll the network out again.")
        inputs, x0, states, *weights = ctx.saved_tensors
        tape, ctx.tape = ctx.tape, None
        n, t, i = inputs.shape
        blocks, layers = trial_blocks(n), _layers(weights)
        by_input = np.empty((n, t, i) if ctx.needs_input_grad[1] else (0, t, i), np.float32)
        by_start = np.empty((n, x0.shape[1]), np.float32)
        by_weights = [[np.zeros_like(w) for w in layers] for _ in blocks]
        arrays = [x.detach().contiguous().numpy() for x in (grads[0], inputs, x0, states)]

        def backward(k: int) -> None:
            arriving, driven, start, out, to_input, to_start = (x[blocks[k]] for x in (*arrays, by_input, by_start))
            first, middle, last = layers
            part_1, part_m, part_l = by_weights[k]
            step = np.float32(ctx.cell.step)
            _backward(
                arriving,
                driven,
                start,
                out,
                tape[k],
                first,
                middle,
                last,
                step,
                to_input,
                to_start,
                part_1,
                part_m,
                part_l,
            )

        on_threads(backward, len(blocks))
        give_back(ctx.cell, tape)
        first, middle, last = (torch.from_numpy(sum(parts)) for parts in zip(*by_weights))
        by_layer = [part for w in (first, *middle, last) for part in (w[:, :-1].contiguous(), w[:, -1].contiguous())]
        return None, torch.from_numpy(by_input) if len(by_input) else None, torch.from_numpy(by_start), *by_layer


def _layers(weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First, middle (layer, unit, unit + 1) and last layer, each with its bias as the last column."""
    joined = [torch.cat([w.detach(), b.detach()[:, None]], 1) for w, b in zip(weights[::2], weights[1::2])]
    width = len(joined[0])
    middle = torch.stack(joined[1:-1]) if len(joined) > 2 else torch.empty(0, width, width + 1)
    return joined[0].numpy(), middle.numpy(), joined[-1].numpy()


@njit(nogil=True, cache=True)
def _forward(driven, x0, first, middle, last, step, tape, states):
    """Run a block: `states` (trial, time, latent) of inputs `driven`, with the h of every step in `tape`."""
    n, t, i = driven.shape
    d, width = x0.shape[1], first.shape[1]
    x = x0.copy()
    seen = np.ones((n, d + i + 1), np.float32)
    a, h, flow = np.empty((n, width), np.float32), np.ones((n, width + 1), np.float32), np.empty((n, d), np.float32)
    for k in range(t):
        for m in range(n):
            seen[m, :d] = x[m]
            seen[m, d : d + i] = driven[m, k]
        np.dot(seen, first, a)
        for layer in range(len(middle) + 1):
            _relu(a, h)
            if len(tape):
                for m in range(n):
                    tape[k, m, layer * width : (layer + 1) * width] = h[m, :width]
            if layer < len(middle):
                np.dot(h, middle[layer], a)
        np.dot(h, last, flow)
        for m in range(n):
            for j in range(d):
                x[m, j] += step * flow[m, j]
                states[m, k, j] = x[m, j]


@njit(nogil=True, cache=True)
def _backward(
    arriving, driven, x0, states, tape, first, middle, last, step, by_input, by_start, by_first, by_middle, by_last
):
    """The gradient of a block, from `arriving`, the gradient at its states; `tape` is of the forward run."""
    n, t, d = states.shape
    i, width, depth = driven.shape[2], first.shape[0], len(middle) + 1
    carry = np.zeros((n, d), np.float32)
    # the steps of one matrix product towards the weights; unused rows of `out` and `into` stay 0
    out = np.zeros((_STEPS, n, d), np.float32)
    into = np.zeros((depth, _STEPS, n, width), np.float32)
    seen = np.ones((_STEPS, n, d + i + 1), np.float32)
    h = np.ones((depth, _STEPS, n, width + 1), np.float32)
    no_bias_first, no_bias_last = first[:, : d + i].copy(), last[:, :width].copy()
    no_bias_middle = middle[:, :, :width].copy()
    part_first, part_last = np.empty_like(by_first), np.empty_like(by_last)
    part_middle, back = np.empty((width, width + 1), np.float32), np.empty((n, d + i), np.float32)
    row = 0
    for k in range(t - 1, -1, -1):
        for m in range(n):
            for j in range(d):
                carry[m, j] += arriving[m, k, j]
                out[row, m, j] = step * carry[m, j]
                seen[row, m, j] = states[m, k - 1, j] if k else x0[m, j]
            seen[row, m, d : d + i] = driven[m, k]
            for layer in range(depth):
                h[layer, row, m, :width] = tape[k, m, layer * width : (layer + 1) * width]
        np.dot(out[row], no_bias_last, into[depth - 1, row])
        _where_positive(into[depth - 1, row], h[depth - 1, row])
        for layer in range(depth - 1, 0, -1):
            np.dot(into[layer, row], no_bias_middle[layer - 1], into[layer - 1, row])
            _where_positive(into[layer - 1, row], h[layer - 1, row])
        np.dot(into[0, row], no_bias_first, back)
        for m in range(n):
            for j in range(d):
                carry[m, j] += back[m, j]
            if len(by_input):
                by_input[m, k] = back[m, d:]
        row += 1
        if row == _STEPS or k == 0:
            out[row:] = 0
            into[:, row:] = 0
            rows = _STEPS * n
            np.dot(out.reshape((rows, d)).T, h[depth - 1].reshape((rows, width + 1)), part_last)
            by_last += part_last
            for layer in range(1, depth):
                np.dot(into[layer].reshape((rows, width)).T, h[layer - 1].reshape((rows, width + 1)), part_middle)
                by_middle[layer - 1] += part_middle
            np.dot(into[0].reshape((rows, width)).T, seen.reshape((rows, d + i + 1)), part_first)
            by_first += part_first
            row = 0
    by_start[:] = carry


@njit(nogil=True, cache=True)
def _relu(a, h):
    """The positive part of `a` in the first columns of `h`; NaN stays NaN."""
    for m in range(len(a)):
        for j in range(a.shape[1]):
            h[m, j] = a[m, j] if not a[m, j] < 0 else np.float32(0)


@njit(nogil=True, cache=True)
def _where_positive(d, h):
    """Set `d` to 0 where `h` is."""
    for m in range(len(d)):
        for j in range(d.shape[1]):
            d[m, j] = d[m, j] if h[m, j] > 0 else np.float32(0)

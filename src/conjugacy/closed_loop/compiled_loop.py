"""A GRU and an arm in closed loop over a whole trial on the CPU, and its gradient, with hand-written steps.

The loop is that of `plain.plain_closed_loop`, its reference: observe, GRU, readout, command, arm. A step of the GRU is
that of `networks.compiled.gru`, one of the arm that of `arm.compiled_arm`; here are the senses, the commands and what
joins them. Delays need no lines: what is seen at step t is what was sensed at step max(t - lag, 0). Backwards, all that
arrives at a state of the arm is known once the later steps are done: what the outputs bring, what the next state
brings, and what the observations bring that were made of it. Each weight's gradient is one matrix product at the end,
and large buffers are kept from one training step to the next. Tested against the plain loop in
tests/networks/test_closed_loop.py, timed against it and MotorNet in benchmarks/arm.py.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from conjugacy._jit import njit
from conjugacy.arm.arm26 import RigidTendonArm26
from conjugacy.arm.compiled_arm import N_OUTSIDE, N_STATE, N_TAPE, Constants, constants, step_back, step_forward
from conjugacy.arm.plant import Noise, Plant
from conjugacy.networks.compiled.blocks import give_back, take_buffers
from conjugacy.networks.compiled.gru import gates_backward, gates_forward
from conjugacy.networks.network import Network

_HAND, _SENSES = 2, 14  # rows of what is sensed: the hand's x and y, six lengths, six velocities


class CompiledLoop(NamedTuple):
    """What a closed loop leaves behind, all (trial, time, .); see `conjugacy.Rollout`."""

    latents: Tensor
    actions: Tensor
    observations: Tensor
    q: Tensor
    qd: Tensor
    activation: Tensor
    force: Tensor


def compiled_loop_fits(network: Network, plant: Plant, x0: Tensor, *fixed: Tensor | None) -> bool:
    """Whether `compiled_loop` knows this network and plant, and gives the gradients that these tensors ask for."""
    cell, readout, arm = network.cell, network.readout, plant.arm
    if type(cell) is not nn.GRUCell or not cell.bias or type(readout) is not nn.Linear or readout.bias is None:
        return False
    if type(arm) is not RigidTendonArm26 or plant.force_field != "none" or plant.rotation:
        return False
    tensors = [x for x in (*cell.parameters(), *readout.parameters(), x0, *fixed) if x is not None]
    if any(x.dtype != torch.float32 or not x.is_cpu for x in tensors):
        return False
    return constants(arm, np.float32) is not None and not any(x is not None and x.requires_grad for x in fixed)


def compiled_loop(
    network: Network, plant: Plant, context: Tensor, ics: Tensor, loads: Tensor, x0: Tensor, noise: Noise
) -> CompiledLoop:
    """As `conjugacy.runs.rollout.plain_closed_loop`; differentiable once, in the weights and in `x0`."""
    cell: Any = network.cell
    readout: Any = network.readout
    weights = (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh, readout.weight, readout.bias)
    known = constants(plant.arm, np.float32)
    return CompiledLoop(*_Loop.apply(cell, plant, known, context, ics, loads, noise, x0, *weights))  # pyright: ignore


class _Loop(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, cell, plant: Plant, known: Constants, context, ics, loads, noise: Noise, x0, w, u, b_w, b_u, v, b_v
    ):
        (n, t, c), d, mini = context.shape, x0.shape[1], known.n_ministeps
        training = any(ctx.needs_input_grad)
        kept = t if training else 1
        buffers = take_buffers(cell, [slice(0, n)], t if training else 0, 10 * d)
        gates, _, _ = _parts(buffers[0], d) if training else (np.empty((1, n, 4 * d), np.float32), None, None)
        tape = np.empty((kept, mini, N_TAPE, n), np.float32)
        inner = np.empty((kept, mini + 1, N_STATE, n), np.float32) if mini > 1 else None
        inputs, latents = torch.empty(t, n, _SENSES + c), torch.empty(t, n, d)
        inputs[..., _SENSES:] = context.transpose(0, 1)
        body = np.empty((t + 1, N_STATE, n), np.float32)
        body[0] = plant.arm.rest(ics[:, :2], ics[:, 2:]).pack().detach().T.numpy()
        sensed, actions = np.empty((t, _SENSES, n), np.float32), np.empty((t, 6, n), np.float32)
        outside = np.zeros((t, N_OUTSIDE, n), np.float32)
        outside[:, 6:8] = loads.detach().permute(1, 2, 0).numpy()
        noises = [None if x is None else x.detach().transpose(0, 1).contiguous() for x in noise]
        noisy = [np.empty((t, 0, 0), np.float32) if x is None else x.numpy() for x in noises]
        bias = b_w.detach().clone()
        bias[: 2 * d] += b_u[: 2 * d]
        driven, recurrent = torch.empty(n, 3 * d), torch.empty(n, 3 * d)
        y, scratch = torch.empty(n, 6), np.empty((2, n), np.float32)
        work = np.empty(2 * d, np.int32), np.empty(2 * d, np.float32)
        sense = _sense_constants(plant, known)
        np_inputs, np_latents, np_driven = inputs.numpy(), latents.numpy(), driven.numpy()
        np_recurrent, np_y, np_b = recurrent.numpy(), y.numpy(), b_u.detach()[2 * d :].numpy()
        w_t, u_t, v_t = w.detach().T, u.detach().T, v.detach().T
        previous = x0.detach().contiguous()
        sigmoid = plant.command_kind == "sigmoid"
        shift = np.float32(plant.command_bias if sigmoid else 0)
        for k in range(t):
            kk = k if training else 0
            _sense(known.six, sense, body[k], sensed[k])
            seen, felt = sensed[max(k - plant.vision_lag, 0)], sensed[max(k - plant.proprioception_lag, 0)]
            _observe(seen, felt, noisy[0][k], np_inputs[k])
            torch.addmm(bias, inputs[k], w_t, out=driven)
            torch.mm(previous, u_t, out=recurrent)
            latents[k] = previous
            gates_forward(np_driven, np_recurrent, np_b, np_latents[k], gates[kk], *work)
            if noises[2] is not None:
                latents[k] += noises[2][k]
            previous = latents[k]
            torch.addmm(b_v, previous, v_t, out=y)
            _command(np_y, shift, sigmoid, noisy[1][k], actions[k], outside[k])
            if inner is None:
                step_forward(*known[:4], body[k], outside[k], body[k + 1], tape[kk, 0], scratch)
            else:
                _ministeps(known, body[k], outside[k], body[k + 1], inner[kk], tape[kk], scratch)
        if training:
            ctx.save_for_backward(x0, w, u, v, latents)
            ctx.kept = cell, plant, known, buffers, tape, inner, inputs, body, actions, outside, sense
        ctx.set_materialize_grads(False)
        parts = torch.from_numpy(body[1:]).permute(2, 0, 1).split((2, 2, 6, 6), 2)
        observations = inputs[..., :_SENSES].transpose(0, 1)
        # the saved latents are not the tensor that is returned: a returned one that is kept would keep itself alive
        return latents.detach().transpose(0, 1), torch.from_numpy(actions).permute(2, 0, 1), observations, *parts

    @staticmethod
    def backward(ctx, *grads):
        if torch.is_grad_enabled():
            raise RuntimeError(
                "A compiled closed loop is differentiable once: for create_graph=True, roll out with rollout='plain'."
            )
        if ctx.kept is None:
            raise RuntimeError("The gradient of this closed loop was taken before; roll the network out again.")
        cell, plant, known, buffers, tape, inner, inputs, body, actions, outside, sense = ctx.kept
        ctx.kept = None
        x0, w, u, v, latents = ctx.saved_tensors
        t, n, d = latents.shape
        by_latent, by_action, by_seen, *by_body = grads
        gates, to_state, to_input = _parts(buffers[0], d)
        toward_u, toward_w = torch.from_numpy(to_state), torch.from_numpy(to_input)
        arriving, through, grad_b_n = torch.empty(n, 1, d), torch.zeros(n, d), np.zeros(d, np.float32)
        at_body = _gathered(by_body, t, n)
        at_action = _rows_or_none(by_action)
        by_y = torch.empty(t, n, 6)
        by_inputs = torch.zeros(t, n, _SENSES)
        grad, other = np.zeros((N_STATE, n), np.float32), np.empty((N_STATE, n), np.float32)
        toward, scratch = np.empty((N_OUTSIDE, n), np.float32), np.empty((2, n), np.float32)
        carry = torch.zeros(n, d)
        sigmoid = plant.command_kind == "sigmoid"
        np_by_y, np_by_inputs = by_y.numpy(), by_inputs.numpy()
        np_arriving, np_carry, np_through = arriving.numpy(), carry.numpy(), through.numpy()
        nothing = np.empty((0, 0), np.float32)
        before = [x0.detach().contiguous().numpy(), *latents[:-1].numpy()]
        for k in range(t - 1, -1, -1):
            # what arrives at the state after step k; then back through the arm, command and readout
            if at_body is not None:
                grad += at_body[k]
            toward[:] = 0
            if inner is None:
                step_back(known.six, known.body, body[k], outside[k], tape[k, 0], grad, other, toward, scratch)
                grad, other = other, grad
            else:
                for m in range(known.n_ministeps - 1, -1, -1):
                    step_back(known.six, known.body, inner[k, m], outside[k], tape[k, m], grad, other, toward, scratch)
                    grad, other = other, grad
            _command_back(toward, at_action[k] if at_action is not None else nothing, actions[k], sigmoid, np_by_y[k])
            torch.mm(by_y[k], v, out=arriving[:, 0])
            if by_latent is not None:
                arriving[:, 0] += by_latent[:, k]
            step = np_carry, np_through, before[k], gates[k], to_state[k], to_input[k], grad_b_n
            gates_backward(np_arriving, 0, *step)
            torch.mm(toward_u[k], u, out=through)
            torch.mm(toward_w[k], w[:, :_SENSES], out=by_inputs[k])
            if by_seen is not None:
                by_inputs[k] += by_seen[:, k]
            # the state before step 0 does not depend on anything that is trained
            if k > 0:
                seen, felt = k + plant.vision_lag, k + plant.proprioception_lag
                _sense_back(
                    known.six,
                    sense,
                    body[k],
                    np_by_inputs[seen] if seen < t else nothing,
                    np_by_inputs[felt] if felt < t else nothing,
                    grad,
                )
        by_u, by_w = toward_u.view(t * n, 3 * d), toward_w.view(t * n, 3 * d)
        flat, states, flat_y = inputs.view(t * n, -1), latents.view(t * n, d), by_y.view(t * n, 6)
        grad_u = by_u[n:].T @ states[: (t - 1) * n] + toward_u[0].T @ x0
        grad_w, grad_b_w = by_w.T @ flat, by_w.sum(0)
        grad_b_u = torch.cat([grad_b_w[: 2 * d], torch.from_numpy(grad_b_n)])
        grad_v, grad_b_v = flat_y.T @ states, flat_y.sum(0)
        give_back(cell, buffers)
        return *(None,) * 7, carry + through, grad_w, grad_u, grad_b_w, grad_b_u, grad_v, grad_b_v


def _parts(buffer: np.ndarray, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A buffer (time, trial, 10 d) as the gates of every step, and what arrives at the two products that feed them."""
    t, n, _ = buffer.shape
    flat, first = buffer.reshape(-1), t * n * 4 * d
    to_state, to_input = flat[first:].reshape(2, t, n, 3 * d)
    return flat[:first].reshape(t, n, 4 * d), to_state, to_input


def _ministeps(known: Constants, state, outside, new, inner, tape, scratch) -> None:
    inner[0] = state
    for m in range(known.n_ministeps):
        step_forward(*known[:4], inner[m], outside, inner[m + 1], tape[m], scratch)
    new[:] = inner[known.n_ministeps]


def _gathered(by_body: list[Tensor | None], t: int, n: int) -> np.ndarray | None:
    """Gradients at the parts of the arm's states as rows (time, 16, trial); None if none arrives."""
    if all(g is None for g in by_body):
        return None
    rows, first = np.zeros((t, N_STATE, n), np.float32), 0
    for g, width in zip(by_body, (2, 2, 6, 6)):
        if g is not None:
            rows[:, first : first + width] = g.permute(1, 2, 0).numpy()
        first += width
    return rows


def _rows_or_none(g: Tensor | None) -> np.ndarray | None:
    return None if g is None else g.permute(1, 2, 0).contiguous().numpy()


def _sense_constants(plant: Plant, known: Constants) -> np.ndarray:
    """Lengths of the links; then rows of six: tendon, shortest length, scales of length and of velocity."""
    arm = plant.arm
    tendon, optimal = (torch.tensor(x, dtype=torch.float64) for x in (arm.tendon_length, arm.optimal_muscle_length))
    one, far = torch.ones_like(tendon), torch.full_like(tendon, 9.0)
    # normalised length and velocity are straight lines, the first with a floor: read off, whatever the muscle
    floor, _ = arm.muscle.normalise(-far, one, tendon, optimal)
    high, speed = arm.muscle.normalise(far, one, tendon, optimal)
    slope = arm.muscle.normalise(far + 1, one, tendon, optimal)[0] - high
    shift = far - high / slope
    rows = torch.stack([shift, floor, slope, speed]).numpy().astype(np.float32)
    return np.concatenate([np.array([arm.skeleton.l1, arm.skeleton.l2], np.float32), rows.reshape(-1)])


@njit(error_model="numpy", cache=True)
def _sense(six, sense, x, out):
    """Rows of what is sensed of states x (16, trial)."""
    l1, l2 = sense[0], sense[1]
    half_pi, two = np.float32(math.pi / 2), np.float32(2)
    q1, q2, v1, v2 = x[0], x[1], x[2], x[3]
    hx, hy = out[0], out[1]
    for b in range(x.shape[1]):
        q12 = q1[b] + q2[b]
        hx[b] = l1 * math.cos(q1[b]) + l2 * math.cos(q12)
        hy[b] = l1 * math.sin(q1[b]) + l2 * math.sin(q12)
    for m in range(6):
        a0, shoulder, elbow, elbow2 = six[0, m], six[1, m], six[2, m], six[3, m]
        shift, floor, slope, speed = sense[2 + m], sense[8 + m], sense[14 + m], sense[20 + m]
        length, velocity = out[2 + m], out[8 + m]
        for b in range(x.shape[1]):
            bend = elbow2 * q2[b]
            s = (a0 + shoulder * (q1[b] - half_pi) + (elbow + bend) * q2[b] - shift) * slope
            length[b] = floor if s < floor else s
            velocity[b] = (shoulder * v1[b] + (elbow + two * bend) * v2[b]) * speed


@njit(error_model="numpy", cache=True)
def _sense_back(six, sense, x, by_seen, by_felt, grad):
    """Adds what arrives at the senses (trial, 14), where anything does, to the gradient at the states x."""
    l1, l2, two, zero = sense[0], sense[1], np.float32(2), np.float32(0)
    half_pi = np.float32(math.pi / 2)
    q1, q2, v2 = x[0], x[1], x[3]
    for b in range(by_seen.shape[0]):
        gx, gy, q12 = by_seen[b, 0], by_seen[b, 1], q1[b] + q2[b]
        by_forearm = l2 * (gy * math.cos(q12) - gx * math.sin(q12))
        grad[0, b] += by_forearm + l1 * (gy * math.cos(q1[b]) - gx * math.sin(q1[b]))
        grad[1, b] += by_forearm
    for m in range(6):
        a0, shoulder, elbow, elbow2 = six[0, m], six[1, m], six[2, m], six[3, m]
        shift, floor, slope, speed = sense[2 + m], sense[8 + m], sense[14 + m], sense[20 + m]
        for b in range(by_felt.shape[0]):
            bend = elbow2 * q2[b]
            s = (a0 + shoulder * (q1[b] - half_pi) + (elbow + bend) * q2[b] - shift) * slope
            g = zero if s < floor else by_felt[b, 2 + m] * slope
            gv = by_felt[b, 8 + m] * speed
            arm = elbow + two * bend
            grad[0, b] += g * shoulder
            grad[1, b] += g * arm + gv * two * elbow2 * v2[b]
            grad[2, b] += gv * shoulder
            grad[3, b] += gv * arm


@njit(error_model="numpy", cache=True)
def _observe(seen, felt, noise, inputs):
    """What the network observes, written to the first columns of its inputs (trial, input)."""
    for b in range(inputs.shape[0]):
        for i in range(_HAND):
            inputs[b, i] = seen[i, b]
        for i in range(_HAND, _SENSES):
            inputs[b, i] = felt[i, b]
    for b in range(noise.shape[0]):
        for i in range(_SENSES):
            inputs[b, i] += noise[b, i]


@njit(error_model="numpy", cache=True)
def _command(y, shift, sigmoid, noise, actions, outside):
    """Commands as rows from outputs y (trial, 6), and what of them reaches the arm."""
    one = np.float32(1)
    for b in range(y.shape[0]):
        for m in range(6):
            u = y[b, m]
            actions[m, b] = one / (one + math.exp(-(u + shift))) if sigmoid else u
            outside[m, b] = actions[m, b]
    for b in range(noise.shape[0]):
        for m in range(6):
            outside[m, b] += noise[b, m]


@njit(error_model="numpy", cache=True)
def _command_back(toward, more, actions, sigmoid, by_y):
    """Gradient at y (trial, 6) of what arrives at the arm's action, and of what arrives at the actions put out."""
    one = np.float32(1)
    for b in range(by_y.shape[0]):
        for m in range(6):
            g = toward[m, b]
            if more.shape[0] > 0:
                g += more[m, b]
            u = actions[m, b]
            by_y[b, m] = g * u * (one - u) if sigmoid else g

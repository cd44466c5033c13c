"""A GRU and an arm in closed loop over a whole trial on the CPU, and its gradient, with hand-written steps.

The loop is that of `plain.plain_closed_loop`, its reference: observe, GRU, readout, command, arm. A step of the GRU is
that of `networks.compiled.gru`, one of the arm that of `arm.compiled_arm`; the kernels of `compiled_senses` join them.
Delays need no lines: what is seen at step t is what was sensed at step max(t - lag, 0). Backwards, all that arrives at
a state of the arm is known once the later steps are done: the gradients at the outputs, at the next state, and at the
observations that were made of it. Each weight's gradient is one matrix product at the end, and large buffers are used
again in the next training step. Tested against the plain loop in tests/closed_loop/test_compiled_loop.py, timed against
it and MotorNet in benchmarks/arm.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from conjugacy.arm.arm26 import RigidTendonArm26
from conjugacy.arm.compiled_arm import N_OUTSIDE, N_STATE, N_TAPE, Constants, constants, step_back, step_forward
from conjugacy.arm.plant import Noise, Plant
from conjugacy.closed_loop.compiled_senses import (
    SENSES,
    command,
    command_back,
    observe,
    sense,
    sense_back,
    sense_constants,
)
from conjugacy.networks.compiled.blocks import give_back, take_buffers
from conjugacy.networks.compiled.gru import gates_backward, gates_forward
from conjugacy.networks.network import Network


class CompiledLoop(NamedTuple):
    """The results of a closed loop, all (trial, time, .); see `conjugacy.Rollout`."""

    latents: Tensor
    actions: Tensor
    observations: Tensor
    q: Tensor
    qd: Tensor
    activation: Tensor
    force: Tensor


def compiled_loop_fits(network: Network, plant: Plant, x0: Tensor, *fixed: Tensor | None) -> bool:
    """Whether `compiled_loop` can run this network and plant, and has the gradients that these tensors require."""
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
    """As `conjugacy.closed_loop.plain_closed_loop`; differentiable once, in the weights and in `x0`."""
    cell: Any = network.cell
    readout: Any = network.readout
    known = constants(plant.arm, np.float32)
    assert known is not None  # `compiled_loop_fits` has seen to it
    given = _Given(cell, plant, known, context, ics, loads, noise)
    weights = _Weights(cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh, readout.weight, readout.bias)
    return CompiledLoop(*_Loop.apply(given, x0, *weights))  # pyright: ignore[reportGeneralTypeIssues]


class _Given(NamedTuple):
    """What a rollout in closed loop is given besides weights and initial states."""

    cell: nn.GRUCell
    plant: Plant
    known: Constants
    context: Tensor  # (trial, time, context)
    ics: Tensor  # (trial, 4)
    loads: Tensor  # (trial, time, 2)
    noise: Noise


class _Weights(NamedTuple):
    """The weights of the GRU, W of its inputs and U of its states, and those of the readout."""

    w: Tensor
    u: Tensor
    b_w: Tensor
    b_u: Tensor
    readout: Tensor
    b_readout: Tensor


class _Loop(torch.autograd.Function):
    @staticmethod
    def forward(ctx, given: _Given, x0: Tensor, *weights: Tensor):
        training = any(ctx.needs_input_grad)
        record = _Record.empty(given, x0.shape[1], training)
        _run(given, _Weights(*(x.detach() for x in weights)), x0.detach().contiguous(), record)
        if training:
            ctx.save_for_backward(x0, record.latents, *weights)
            ctx.record = given, record
        ctx.set_materialize_grads(False)
        parts = torch.from_numpy(record.body[1:]).permute(2, 0, 1).split((2, 2, 6, 6), 2)
        observations = record.inputs[..., :SENSES].transpose(0, 1)
        actions = torch.from_numpy(record.actions).permute(2, 0, 1)
        # the saved latents are not the tensor that is returned: a returned one that is saved would never be freed
        return record.latents.detach().transpose(0, 1), actions, observations, *parts

    @staticmethod
    def backward(ctx, *grads):
        if torch.is_grad_enabled():
            raise RuntimeError(
                "A compiled closed loop is differentiable once: for create_graph=True, roll out with rollout='plain'."
            )
        if ctx.record is None:
            raise RuntimeError("The gradient of this closed loop was taken before; roll the network out again.")
        given, record = ctx.record
        ctx.record = None
        x0, _, *weights = ctx.saved_tensors
        by_x0, by_weights = _run_back(given, _Weights(*weights), x0, record, grads)
        give_back(given.cell, record.buffers)
        return None, by_x0, *by_weights


@dataclass
class _Record:
    """What a rollout writes down: arrays of the arm are (time, variable, trial), those of the network (time, trial, .).

    Without training, the tapes have one step, which every step of the rollout overwrites.
    """

    training: bool
    buffers: list[np.ndarray]  # of the GRU's gates and their gradients
    gates: np.ndarray
    tape: np.ndarray
    inner: np.ndarray | None  # states between ministeps
    inputs: Tensor
    latents: Tensor
    body: np.ndarray
    sensed: np.ndarray
    actions: np.ndarray
    outside: np.ndarray

    @classmethod
    def empty(cls, given: _Given, d: int, training: bool) -> _Record:
        """The record of a rollout before its first step, for `d` units."""
        (n, t, c), mini = given.context.shape, given.known.n_ministeps
        n_kept = t if training else 1
        buffers = take_buffers(given.cell, [slice(0, n)], t if training else 0, 10 * d)
        gates = _parts(buffers[0], d)[0] if training else np.empty((1, n, 4 * d), np.float32)
        inputs = torch.empty(t, n, SENSES + c)
        inputs[..., SENSES:] = given.context.transpose(0, 1)
        body = np.empty((t + 1, N_STATE, n), np.float32)
        body[0] = given.plant.arm.rest(given.ics[:, :2], given.ics[:, 2:]).pack().detach().T.numpy()
        outside = np.zeros((t, N_OUTSIDE, n), np.float32)
        outside[:, 6:8] = given.loads.detach().permute(1, 2, 0).numpy()
        return cls(
            training,
            buffers,
            gates,
            np.empty((n_kept, mini, N_TAPE, n), np.float32),
            np.empty((n_kept, mini + 1, N_STATE, n), np.float32) if mini > 1 else None,
            inputs,
            torch.empty(t, n, d),
            body,
            np.empty((t, SENSES, n), np.float32),
            np.empty((t, 6, n), np.float32),
            outside,
        )


def _run(given: _Given, weights: _Weights, x0: Tensor, record: _Record) -> None:
    """Run network and arm through all steps, and write down what they do."""
    plant, known = given.plant, given.known
    (n, t, _), d = given.context.shape, x0.shape[1]
    step = _NetworkStep(weights, n, d)
    senses = sense_constants(plant, known)
    noise = [None if x is None else x.detach().transpose(0, 1).contiguous() for x in given.noise]
    of_senses, of_commands = (np.empty((t, 0, 0), np.float32) if x is None else x.numpy() for x in noise[:2])
    of_states = noise[2]
    inputs, latents, scratch = record.inputs.numpy(), record.latents.numpy(), np.empty((2, n), np.float32)
    sigmoid = plant.command_kind == "sigmoid"
    shift = np.float32(plant.command_bias if sigmoid else 0)
    previous = x0
    for k in range(t):
        row = k if record.training else 0
        sense(known.six, senses, record.body[k], record.sensed[k])
        seen = record.sensed[max(k - plant.vision_lag, 0)]
        felt = record.sensed[max(k - plant.proprioception_lag, 0)]
        observe(seen, felt, of_senses[k], inputs[k])
        record.latents[k] = previous
        step.project(record.inputs[k], previous)
        step.advance(latents[k], record.gates[row])
        if of_states is not None:
            record.latents[k] += of_states[k]
        previous = record.latents[k]
        y = step.read_out(previous)
        command(y, shift, sigmoid, of_commands[k], record.actions[k], record.outside[k])
        _move(known, record, k, row, scratch)


class _NetworkStep:
    """One step of the GRU and its readout for all trials, in arrays that every step uses again."""

    def __init__(self, weights: _Weights, n: int, d: int):
        self.bias = weights.b_w.clone()
        self.bias[: 2 * d] += weights.b_u[: 2 * d]
        self.b_readout = weights.b_readout
        self.w, self.u, self.readout = weights.w.T, weights.u.T, weights.readout.T
        self.driven, self.recurrent, self.y = torch.empty(n, 3 * d), torch.empty(n, 3 * d), torch.empty(n, 6)
        self.arrays = self.driven.numpy(), self.recurrent.numpy(), weights.b_u[2 * d :].numpy()
        self.np_y = self.y.numpy()
        self.work = np.empty(2 * d, np.int32), np.empty(2 * d, np.float32)

    def project(self, inputs: Tensor, states: Tensor) -> None:
        """The products of the weights with inputs (trial, input) and states (trial, unit)."""
        torch.addmm(self.bias, inputs, self.w, out=self.driven)
        torch.mm(states, self.u, out=self.recurrent)

    def advance(self, states: np.ndarray, gates: np.ndarray) -> None:
        """Turn states (trial, unit) into the next ones, in place; the gates go to `gates`."""
        gates_forward(*self.arrays, states, gates, *self.work)

    def read_out(self, states: Tensor) -> np.ndarray:
        """Outputs (trial, 6), overwritten by the next step."""
        torch.addmm(self.b_readout, states, self.readout, out=self.y)
        return self.np_y


def _move(known: Constants, record: _Record, k: int, row: int, scratch: np.ndarray) -> None:
    """Step `k` of the arm, with its derivatives in row `row` of the tape."""
    state, outside, new, tape = record.body[k], record.outside[k], record.body[k + 1], record.tape[row]
    if record.inner is None:
        step_forward(*known[:4], state, outside, new, tape[0], scratch)
        return
    inner = record.inner[row]
    inner[0] = state
    for m in range(known.n_ministeps):
        step_forward(*known[:4], inner[m], outside, inner[m + 1], tape[m], scratch)
    new[:] = inner[known.n_ministeps]


def _run_back(
    given: _Given, weights: _Weights, x0: Tensor, record: _Record, grads: tuple[Tensor | None, ...]
) -> tuple[Tensor, _Weights]:
    """The gradients at initial states and weights, from those at the results of a rollout."""
    plant, known = given.plant, given.known
    t, n, _ = record.latents.shape
    by_latent, by_action, by_seen, *by_body = grads
    at_body, at_action = _gathered(by_body, t, n), _rows_or_none(by_action)
    network = _NetworkStepBack(weights, record, x0)
    arm = _ArmStepBack(known, record)
    senses, nothing = sense_constants(plant, known), np.empty((0, 0), np.float32)
    by_y, by_inputs = network.by_y.numpy(), network.by_inputs.numpy()
    sigmoid = plant.command_kind == "sigmoid"
    for k in range(t - 1, -1, -1):
        # what arrives at the state after step k; then back through the arm, command and readout
        if at_body is not None:
            arm.grad += at_body[k]
        arm.move_back(k)
        more = at_action[k] if at_action is not None else nothing
        command_back(arm.toward, more, record.actions[k], sigmoid, by_y[k])
        network.step_back(k, None if by_latent is None else by_latent[:, k])
        if by_seen is not None:
            network.by_inputs[k] += by_seen[:, k]
        # the state before step 0 does not depend on anything that is trained
        if k > 0:
            seen, felt = k + plant.vision_lag, k + plant.proprioception_lag
            at_hand, at_muscles = (by_inputs[later] if later < t else nothing for later in (seen, felt))
            sense_back(known.six, senses, record.body[k], at_hand, at_muscles, arm.grad)
    return network.carry + network.through, network.by_weights()


class _NetworkStepBack:
    """The gradient of a step of the GRU and its readout, step after step from the last one on."""

    def __init__(self, weights: _Weights, record: _Record, x0: Tensor):
        t, n, d = record.latents.shape
        self.weights, self.record, self.x0 = weights, record, x0
        self.gates, self.to_state, self.to_input = _parts(record.buffers[0], d)
        self.at_state, self.at_input = torch.from_numpy(self.to_state), torch.from_numpy(self.to_input)
        self.arriving, self.through, self.carry = torch.empty(n, 1, d), torch.zeros(n, d), torch.zeros(n, d)
        self.arrays = self.arriving.numpy(), self.carry.numpy(), self.through.numpy()
        self.by_b_n = np.zeros(d, np.float32)
        self.by_y, self.by_inputs = torch.empty(t, n, 6), torch.zeros(t, n, SENSES)
        self.before = [x0.detach().contiguous().numpy(), *record.latents[:-1].numpy()]

    def step_back(self, k: int, by_latent: Tensor | None) -> None:
        """Step `k`, from the gradients at its outputs, `by_y`, and at its new states, if there are any."""
        torch.mm(self.by_y[k], self.weights.readout, out=self.arriving[:, 0])
        if by_latent is not None:
            self.arriving[:, 0] += by_latent
        arriving, carry, through = self.arrays
        at_gates = self.gates[k], self.to_state[k], self.to_input[k]
        gates_backward(arriving, 0, carry, through, self.before[k], *at_gates, self.by_b_n)
        torch.mm(self.at_state[k], self.weights.u, out=self.through)
        torch.mm(self.at_input[k], self.weights.w[:, :SENSES], out=self.by_inputs[k])

    def by_weights(self) -> _Weights:
        """The gradients at the weights, once all steps are done: one matrix product each."""
        latents = self.record.latents
        t, n, d = latents.shape
        by_u, by_w = self.at_state.view(t * n, 3 * d), self.at_input.view(t * n, 3 * d)
        inputs, states = self.record.inputs.view(t * n, -1), latents.view(t * n, d)
        by_y = self.by_y.view(t * n, 6)
        at_u = by_u[n:].T @ states[: (t - 1) * n] + self.at_state[0].T @ self.x0
        at_w, at_b_w = by_w.T @ inputs, by_w.sum(0)
        at_b_u = torch.cat([at_b_w[: 2 * d], torch.from_numpy(self.by_b_n)])
        return _Weights(at_w, at_u, at_b_w, at_b_u, by_y.T @ states, by_y.sum(0))


class _ArmStepBack:
    """The gradient of a step of the arm: `grad` (16, trial) at its state, `toward` (10, trial) at what acts on it."""

    def __init__(self, known: Constants, record: _Record):
        n = record.body.shape[2]
        self.known, self.record = known, record
        self.grad, self.other = np.zeros((N_STATE, n), np.float32), np.empty((N_STATE, n), np.float32)
        self.toward, self.scratch = np.empty((N_OUTSIDE, n), np.float32), np.empty((2, n), np.float32)

    def move_back(self, k: int) -> None:
        """Turn `grad` at the state after step `k` into that at the state before it."""
        record = self.record
        self.toward[:] = 0
        states = record.body[k][None] if record.inner is None else record.inner[k]
        for m in range(self.known.n_ministeps - 1, -1, -1):
            arrays = self.grad, self.other, self.toward, self.scratch
            step_back(self.known.six, self.known.body, states[m], record.outside[k], record.tape[k, m], *arrays)
            self.grad, self.other = self.other, self.grad


def _parts(buffer: np.ndarray, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A buffer (time, trial, 10 d) as the gates of every step, and what arrives at the two products that feed them."""
    t, n, _ = buffer.shape
    flat, first = buffer.reshape(-1), t * n * 4 * d
    to_state, to_input = flat[first:].reshape(2, t, n, 3 * d)
    return flat[:first].reshape(t, n, 4 * d), to_state, to_input


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

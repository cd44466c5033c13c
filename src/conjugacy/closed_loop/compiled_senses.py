"""What a network senses of its arm and commands to it, for a whole step of all trials: compiled, forward and back."""

from __future__ import annotations

import math

import numpy as np
import torch

from conjugacy._jit import njit
from conjugacy.arm.compiled_arm import Constants
from conjugacy.arm.plant import Plant

HAND, SENSES = 2, 14  # rows of what is sensed: the hand's x and y, six lengths, six velocities


def sense_constants(plant: Plant, known: Constants) -> np.ndarray:
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
def sense(six, constants, x, out):
    """Write what is sensed of states x (16, trial) into the rows of `out`; constants of `sense_constants`."""
    l1, l2 = constants[0], constants[1]
    half_pi, two = np.float32(math.pi / 2), np.float32(2)
    q1, q2, v1, v2 = x[0], x[1], x[2], x[3]
    hx, hy = out[0], out[1]
    for b in range(x.shape[1]):
        q12 = q1[b] + q2[b]
        hx[b] = l1 * math.cos(q1[b]) + l2 * math.cos(q12)
        hy[b] = l1 * math.sin(q1[b]) + l2 * math.sin(q12)
    for m in range(6):
        a0, shoulder, elbow, elbow2 = six[0, m], six[1, m], six[2, m], six[3, m]
        shift, floor, slope, speed = constants[2 + m], constants[8 + m], constants[14 + m], constants[20 + m]
        length, velocity = out[2 + m], out[8 + m]
        for b in range(x.shape[1]):
            bend = elbow2 * q2[b]
            s = (a0 + shoulder * (q1[b] - half_pi) + (elbow + bend) * q2[b] - shift) * slope
            length[b] = floor if s < floor else s
            velocity[b] = (shoulder * v1[b] + (elbow + two * bend) * v2[b]) * speed


@njit(error_model="numpy", cache=True)
def sense_back(six, constants, x, by_seen, by_felt, grad):
    """Add the gradients at the senses, (trial, 14) or empty for none, to the gradient at the states x."""
    l1, l2, two, zero = constants[0], constants[1], np.float32(2), np.float32(0)
    half_pi = np.float32(math.pi / 2)
    q1, q2, v2 = x[0], x[1], x[3]
    for b in range(by_seen.shape[0]):
        gx, gy, q12 = by_seen[b, 0], by_seen[b, 1], q1[b] + q2[b]
        by_forearm = l2 * (gy * math.cos(q12) - gx * math.sin(q12))
        grad[0, b] += by_forearm + l1 * (gy * math.cos(q1[b]) - gx * math.sin(q1[b]))
        grad[1, b] += by_forearm
    for m in range(6):
        a0, shoulder, elbow, elbow2 = six[0, m], six[1, m], six[2, m], six[3, m]
        shift, floor, slope, speed = constants[2 + m], constants[8 + m], constants[14 + m], constants[20 + m]
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
def observe(seen, felt, noise, inputs):
    """Write the observations with their noise into the first columns of the inputs (trial, input)."""
    for b in range(inputs.shape[0]):
        for i in range(HAND):
            inputs[b, i] = seen[i, b]
        for i in range(HAND, SENSES):
            inputs[b, i] = felt[i, b]
    for b in range(noise.shape[0]):
        for i in range(SENSES):
            inputs[b, i] += noise[b, i]


@njit(error_model="numpy", cache=True)
def command(y, shift, sigmoid, noise, actions, outside):
    """Write commands of outputs y (trial, 6) into the rows of `actions`, and with their noise into `outside`."""
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
def command_back(toward, more, actions, sigmoid, by_y):
    """Write the gradient at y (trial, 6) from those at the arm's action and, unless empty, at the actions."""
    one = np.float32(1)
    for b in range(by_y.shape[0]):
        for m in range(6):
            g = toward[m, b]
            if more.shape[0] > 0:
                g += more[m, b]
            u = actions[m, b]
            by_y[b, m] = g * u * (one - u) if sigmoid else g

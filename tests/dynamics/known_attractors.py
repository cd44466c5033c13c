"""Maps with attractors that are known, pushed into more units by an orthogonal matrix and tanh."""

import math

import torch

from .known_systems import states

SCALE = 0.4


def pushed(inner, n, seed=0):
    """The map x -> tanh(c Q' inner(Q atanh(x) / c)) of n units, and what takes inner coordinates to units."""
    q = torch.linalg.qr(states(n, n, seed + 100))[0]

    def push(y):
        return torch.tanh(SCALE * y @ q)

    def step(x):
        return push(inner(torch.atanh(x.clamp(-1 + 1e-12, 1 - 1e-12)) @ q.T / SCALE))

    return step, push


def turned(y, omega, mu, wobble=0.0, shear=0.05):
    """A Stuart-Landau map of the plane: r' = r (1 + mu (1 - r^2)), angle' = angle + omega + wobble sin(angle) + .."""
    r, angle = y.norm(dim=-1).clamp_min(1e-12), torch.atan2(y[..., 1], y[..., 0])
    angle = angle + omega + wobble * angle.sin() + shear * (r * r - 1)
    r = r * (1 + mu * (1 - r * r))
    return torch.stack([r * angle.cos(), r * angle.sin()], -1)


def stuart_landau(n, omega, mu, wobble=0.0):
    """Its circle has the multiplier 1 - 2 mu a step across it, 0.5 in all further directions; step and push."""
    return pushed(lambda y: torch.cat([turned(y[..., :2], omega, mu, wobble), 0.5 * y[..., 2:]], -1), n)


def mean_turn(omega, wobble, n=20_000):
    """The rotation per step of angle' = angle + omega + wobble sin(angle), in turns, to about twelve digits.

    The increments are weighted by a smooth bump (Das, Saiki, Sander & Yorke 2017, eq. 2): plain means are off by 1 / n.
    """
    angle, total, weights = 0.0, 0.0, 0.0
    for i in range(1, n):
        weight = math.exp(-1 / ((i / n) * (1 - i / n)))
        turn = omega + wobble * math.sin(angle)
        angle, total, weights = angle + turn, total + weight * turn, weights + weight
    return total / weights / (2 * math.pi)


def locked(q, k):
    """A map of the plane that turns by k / q and locks to q angles: one stable cycle of q steps.

    Its multiplier along the circle is 1/2 a step, that across it 0.7.
    """

    def step(x):
        r, angle = x.norm(dim=-1), torch.atan2(x[..., 1], x[..., 0])
        angle = angle + 2 * math.pi * k / q - 0.5 / q * torch.sin(q * angle)
        r = r + 0.3 * (1 - r)
        return torch.stack([r * angle.cos(), r * angle.sin()], -1)

    return step


def henon(x):
    return torch.stack([1 - 1.4 * x[..., 0] ** 2 + x[..., 1], 0.3 * x[..., 0]], -1)


def three_attractors(n=6):
    """A point (third coordinate -1), a circle (0; a turn takes 2 pi / 0.7 steps) and Henon's chaos (1) side by side."""

    def inner(y):
        z = y[..., 2:3]
        nearest = z.round()
        circle, chaos, point = turned(y[..., :2], 0.7, 0.2, shear=0), henon(y[..., :2]), 0.5 * y[..., :2]
        plane = torch.where(nearest >= 1, chaos, torch.where(nearest <= -1, point, circle))
        return torch.cat([plane, z - 0.3 * torch.sin(2 * math.pi * z) / (2 * math.pi), 0.5 * y[..., 3:]], -1)

    return pushed(inner, n, seed=3)

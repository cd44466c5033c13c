"""Slow sets that theory knows, as Systems with trials: lines, rings, planes, ghosts, and a cube of saturated gates."""

import torch

from conjugacy.system import System

from .known_systems import states


def trials_of(step, starts, n_steps=20, readout=None, dt=None):
    """A System with the orbits of `starts` (trial, unit) as its trials."""
    x, visited = starts, []
    for _ in range(n_steps):
        x = step(x, None)
        visited.append(x)
    nothing = torch.zeros(len(starts), n_steps, 1, dtype=torch.float64)
    lengths = torch.full((len(starts),), n_steps)
    return System("slow", torch.stack(visited, 1), nothing, lengths, step=step, readout=readout, dt=dt)


def linear(*multipliers):
    """x' = multipliers * x in rotated coordinates."""
    d = len(multipliers)
    turn = torch.linalg.qr(states(d, d, 5))[0]
    matrix = turn @ torch.diag(torch.tensor(multipliers, dtype=torch.float64)) @ turn.T
    return trials_of(lambda x, u: x @ matrix, states(60, d) @ turn.T)


def ring(epsilon):
    """A circle that attracts; its angle a obeys a' = a - (epsilon / 8) sin 8a: 8 stable points and 8 saddles."""

    def step(x, u):
        a, b = x[..., :1], x[..., 1:2]
        c, s = a, b
        for _ in range(3):
            c, s = c * c - s * s, 2 * c * s
        shift = -epsilon / 8 * s
        size = 1 + 0.5 * (1 - a * a - b * b).clamp_min(-1)
        cos, sin = torch.cos(shift), torch.sin(shift)
        return torch.cat([size * (cos * a - sin * b), size * (sin * a + cos * b), 0.3 * x[..., 2:]], -1)

    start = states(60, 3)
    return trials_of(step, start / start.norm(dim=-1, keepdim=True))


def ghost(epsilon):
    """x' = x + (epsilon + x^2)(1 - x) / 2: a stable point at 1, and no other, but the state lingers near 0."""
    return trials_of(lambda x, u: x + 0.5 * (epsilon + x**2) * (1 - x), torch.linspace(-0.6, 0.9, 40)[:, None].double())


def saturated_cube(n_bits=2, n_units=12, seed=0, rate=1e-7):
    """Bits in units that are gated all but shut, read out through a mixing matrix: plateaus, no attracting points.

    Every unit i of bit k moves by (1 - z_i)(tanh(3 m_k) - x_i), where m_k is the mean of the bit's units and 1 - z_i,
    log-uniform from `rate` to 0.5, tells how fast: the fast ones decide, the slow ones are where they were left.
    """
    generator = torch.Generator().manual_seed(seed)
    bit = torch.arange(n_units) % n_bits
    speed = 0.5 * rate ** torch.linspace(0, 1, n_units // n_bits, dtype=torch.float64).repeat_interleave(n_bits)
    mix = torch.zeros(n_units, n_bits, dtype=torch.float64)
    weight = torch.where(speed > 0.1, 1.0, 0.02).double()
    for k in range(n_bits):
        mix[bit == k, k] = (weight / weight[bit == k].sum())[bit == k]

    def step(x, u):
        return x + speed * (torch.tanh(3 * (x @ mix)[..., bit]) - x)

    start = 2 * torch.rand(80, n_units, generator=generator, dtype=torch.float64) - 1
    return trials_of(step, start, 40, readout=lambda x: 0.5 + 0.5 * x @ mix)

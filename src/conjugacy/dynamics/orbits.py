"""Where orbits go: many states advanced at once, under a held input, until they are at an attractor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from conjugacy.dynamics.distances import distances
from conjugacy.dynamics.map import Map

_MOST_MODES = 256  # units up to which the approach to an attractor is judged in the coordinates of its modes


@dataclass(frozen=True, eq=False)
class Settled:
    """`where` (B,): the attractor at which each orbit ended, or -1; `x` (B, D): its last state; `steps` taken."""

    where: Tensor
    x: Tensor
    steps: int


def time_step(dynamics: Map, x: Tensor, u: Tensor) -> float:
    """The time step with which a flow is integrated around the states `x` (N, D): 0.1 over the fastest rate there."""
    if not dynamics.flow or not len(x):
        return 1.0 if not dynamics.flow else 0.01
    rates = torch.linalg.matrix_norm(dynamics.jacobians(x, u.expand(len(x), -1))[0], ord=2)
    return float(0.1 / rates.max().clamp_min(1e-12))


def advance(dynamics: Map, x: Tensor, u: Tensor, h: float) -> Tensor:
    """One step of a map; one fourth-order Runge-Kutta step of length `h` of a flow."""
    with torch.no_grad():
        if not dynamics.flow:
            return dynamics.step(x, u)
        f = dynamics.step
        k1 = f(x, u)
        k2 = f(x + h / 2 * k1, u)
        k3 = f(x + h / 2 * k2, u)
        k4 = f(x + h * k3, u)
        return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


@dataclass(frozen=True, eq=False)
class Attractors:
    """Stable fixed points, and what tells that an orbit has come to one.

    x : Tensor (A, D)
    within : Tensor (A,)
        An orbit this near has arrived.
    near : Tensor (A,)
        An orbit this near has arrived when it also approaches as the linearisation says; memories with time constants
        of thousands of steps would take too long otherwise.
    left : complex Tensor (A, D, D)
        Left eigenvectors in rows: in these coordinates the linear part contracts in every step.
    rate : Tensor (A,)
        Logarithm of the slowest contraction per step, < 0.
    """

    x: Tensor
    within: Tensor
    near: Tensor
    left: Tensor
    rate: Tensor

    @classmethod
    def of(cls, points, scale: float, h: float) -> Attractors:
        """The stable fixed points among FixedPoints `points`; `scale` is the spread of states, `h` the time step."""
        chosen = points[points.fixed & (points.n_unstable == 0)]
        x = torch.from_numpy(chosen.x)
        gap = distances(x, torch.from_numpy(points.x[points.fixed]))
        gap = torch.where(gap > 0, gap, torch.inf).amin(1) if len(chosen) else torch.zeros(0, dtype=torch.float64)
        values = torch.from_numpy(chosen.eigenvalues[:, 0])
        rate = values.real * h if points.flow else values.abs().clamp_min(1e-300).log()
        within = torch.clamp(0.5 * torch.from_numpy(chosen.radius), min=1e-4 * scale)
        near = torch.maximum(within, 0.25 * gap.clamp_max(scale))
        n, d = x.shape
        if d <= _MOST_MODES:
            return cls(x, within, near, torch.from_numpy(chosen.modes[1]), rate)
        # eigenvectors of large networks cost more than the orbits: plain coordinates will do, with more patience
        plain = torch.eye(d, dtype=torch.complex128).expand(n, d, d)
        return cls(x, within, near, plain, rate)


def settle(
    dynamics: Map, x: Tensor, u: Tensor, attractors: Attractors, n_steps: int, h: float, every: int = 20
) -> Settled:
    """Advance states `x` (B, D) until each has come to one of `attractors`, or for `n_steps` steps."""
    x, where = x.clone(), torch.full((len(x),), -1)
    before = torch.full((len(x),), torch.inf, dtype=torch.float64)
    patience = torch.zeros(len(x), dtype=torch.int64)
    target = torch.full((len(x),), -1)
    active = torch.arange(len(x))
    u = u.expand(len(x), -1)
    step = 0
    while len(active) and step < n_steps:
        for _ in range(every):
            x[active] = advance(dynamics, x[active], u[active], h)
        step += every
        if len(attractors.x):
            gap, nearest = distances(x[active], attractors.x).min(1)
            away = (x[active] - attractors.x[nearest]).to(attractors.left.dtype)
            norm = (attractors.left[nearest] @ away[..., None])[..., 0].abs().square().sum(-1).sqrt()
            # half of the rate that the slowest mode promises, three times in a row
            falling = norm <= before[active] * torch.exp(0.5 * every * attractors.rate[nearest])
            falling &= (gap <= attractors.near[nearest]) & (target[active] == nearest) & (attractors.rate[nearest] < 0)
            patience[active] = torch.where(falling, patience[active] + 1, 0)
            before[active], target[active] = norm, nearest
            arrived = (gap <= attractors.within[nearest]) | (patience[active] >= 3)
            where[active[arrived]] = nearest[arrived]
        active = active[torch.isfinite(x[active]).all(-1) & (where[active] < 0)]
    return Settled(where, x, step)

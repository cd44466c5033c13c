"""Where orbits go: many states advanced at once, under a held input, until they are at an attractor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from conjugacy.dynamics.maps import Map


@dataclass(frozen=True, eq=False)
class Settled:
    """`where` (B,): the attractor at which each orbit ended, or -1; `x` (B, D): its last state; `steps` taken."""

    where: Tensor
    x: Tensor
    steps: int


def time_step(dynamics: Map, x: Tensor, u: Tensor) -> float:
    """The time step with which a flow is integrated around the states `x` (N, D): 0.05 over the fastest rate there."""
    if not dynamics.flow or not len(x):
        return 1.0 if not dynamics.flow else 0.01
    rates = torch.linalg.matrix_norm(dynamics.jacobians(x, u.expand(len(x), -1))[0], ord=2)
    return float(0.05 / rates.max().clamp_min(1e-12))


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


def settle(
    dynamics: Map, x: Tensor, u: Tensor, attractors: Tensor, within: Tensor, n_steps: int, h: float, every: int = 10
) -> Settled:
    """Advance states `x` (B, D) until each is `within` (A,) of one of `attractors` (A, D), or for `n_steps` steps."""
    x, where = x.clone(), torch.full((len(x),), -1)
    active = torch.arange(len(x))
    u = u.expand(len(x), -1)
    step = 0
    while len(active) and step < n_steps:
        for _ in range(every):
            x[active] = advance(dynamics, x[active], u[active], h)
        step += every
        if len(attractors):
            gap = torch.cdist(x[active], attractors, compute_mode="donot_use_mm_for_euclid_dist") / within
            best, nearest = gap.min(1)
            where[active[best <= 1]] = nearest[best <= 1]
        finite = torch.isfinite(x[active]).all(-1)
        active = active[finite & (where[active] < 0)]
    return Settled(where, x, step)

"""Periodic orbits: what orbits settle on when it is no fixed point.

Found by recurrence of an orbit after its transient, refined (maps: Newton on the p-fold map; flows: the return to a
hyperplane through the orbit, across the flow), with the Floquet multipliers of the period.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_int
from conjugacy.dynamics.maps import Map, as_input, as_map
from conjugacy.dynamics.orbits import advance, time_step


@dataclass(frozen=True, eq=False)
class Cycle:
    """A periodic orbit.

    Attributes
    ----------
    x : Tensor (n, D)
        Its points: all of them for a map, samples at equal times for a flow.
    period : float
        Steps (a flow: units of time).
    multipliers : complex Tensor (D,)
        Eigenvalues of the derivative of the return, by falling modulus; a cycle of a flow has one equal to 1.
    residual : float
        Distance between the first point and itself after one period.
    hits : int
        Number of orbits that settled on it.
    """

    x: Tensor
    period: float
    multipliers: Tensor
    residual: float
    hits: int = 1

    @property
    def is_stable(self) -> bool:
        """Whether nearby orbits return: all multipliers inside the unit circle, but for the one along a flow's orbit."""
        return int((self.multipliers.abs() > 1 + 1e-4).sum()) == 0

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Cycle:
        """The cycle whose fields are given as arrays."""
        return cls(
            torch.from_numpy(arrays["x"]),
            float(arrays["period"]),
            torch.from_numpy(arrays["multipliers"]),
            float(arrays["residual"]),
            int(arrays["hits"]),
        )


def find_cycles(
    step_or_system, x0: Tensor, inputs=0, *, kind: str = "map", n_transient: int = 2000, max_period: int = 2000
) -> tuple[tuple[Cycle, ...], Tensor]:
    """Periodic orbits on which the orbits of states `x0` settle.

    Parameters
    ----------
    step_or_system : as in `fixed_points`
    x0 : Tensor (B, D)
    inputs : number or vector (I,)
        The held input.
    n_transient, max_period : int
        Steps to run first, and longest period looked for, in steps (a flow: in time steps of 0.05 over its fastest
        rate).

    Returns
    -------
    tuple
        The distinct cycles, and for each row of `x0` the position of its cycle there, or -1. Fixed points (period 1)
        are not cycles.
    """
    n_transient, max_period = check_int("n_transient", n_transient, 0), check_int("max_period", max_period, 2)
    dynamics = as_map(step_or_system, kind)
    u = as_input(inputs, dynamics.n_inputs)
    x = torch.as_tensor(x0).double().clone()
    x = x[None] if x.ndim == 1 else x
    h = time_step(dynamics, x[:16], u)
    for _ in range(n_transient):
        x = advance(dynamics, x, u.expand(len(x), -1), h)
    cycles: list[Cycle] = []
    owner = torch.full((len(x),), -1)
    good = torch.isfinite(x).all(-1)
    if good.any():
        h = time_step(dynamics, x[good][:16], u)
    orbit = [x]
    for _ in range(max_period + 1):
        x = advance(dynamics, x, u.expand(len(x), -1), h)
        orbit.append(x)
    path = torch.stack(orbit, 1)
    for k in torch.nonzero(good)[:, 0].tolist():
        for c, cycle in enumerate(cycles):
            if _on(cycle, path[k, 0], dynamics.flow):
                owner[k] = c
                break
        else:
            found = _flow_cycle(dynamics, path[k], u, h) if dynamics.flow else _map_cycle(dynamics, path[k], u)
            if found is not None:
                owner[k] = len(cycles)
                cycles.append(found)
    counts = torch.bincount(owner[owner >= 0], minlength=len(cycles)).tolist()
    cycles = [Cycle(c.x, c.period, c.multipliers, c.residual, hits) for c, hits in zip(cycles, counts)]
    return tuple(cycles), owner


def _size(path: Tensor) -> float:
    return float((path - path.mean(0)).norm(dim=-1).max())


def _on(cycle: Cycle, x: Tensor, flow: bool) -> bool:
    size = _size(cycle.x)
    # samples of a flow's cycle lie apart: a point between two of them is at most half a gap away
    gap = float((cycle.x - cycle.x.roll(1, 0)).norm(dim=-1).max()) if flow else 0.0
    return float((cycle.x - x).norm(dim=-1).min()) <= 0.6 * gap + 1e-4 * size


def _map_cycle(dynamics: Map, path: Tensor, u: Tensor) -> Cycle | None:
    size = _size(path)
    away = (path[1:] - path[0]).norm(dim=-1)
    if size <= 1e-7 * (1 + float(path[0].norm())):
        return None
    near = torch.nonzero(away <= 1e-3 * size)[:, 0]
    for p in (near + 1).tolist()[:5]:
        points = _newton_cycle(dynamics, path[:p], u)
        if points is not None and float((points[0] - path[0]).norm()) <= 1e-2 * size and _size(points) > 1e-3 * size:
            jacobian = _product(dynamics.jacobians(points, u.expand(p, -1))[0])
            residual = float((dynamics.step(points[-1:], u[None])[0].detach() - points[0]).norm())
            values = torch.linalg.eigvals(jacobian)
            return Cycle(points, float(p), values[values.abs().argsort(descending=True)], residual)
    return None


def _newton_cycle(dynamics: Map, points: Tensor, u: Tensor, n_iters: int = 8) -> Tensor | None:
    p, d = points.shape
    x = points[0]
    for _ in range(n_iters):
        orbit = [x]
        for _ in range(p):
            orbit.append(advance(dynamics, orbit[-1][None], u[None], 1.0)[0])
        miss = orbit[-1] - x
        if not bool(torch.isfinite(miss).all()):
            return None
        if float(miss.norm()) <= 1e-12 * (1 + float(x.norm())):
            return torch.stack(orbit[:-1])
        jacobian = _product(dynamics.jacobians(torch.stack(orbit[:-1]), u.expand(p, -1))[0])
        x = x - torch.linalg.lstsq(jacobian - torch.eye(d, dtype=torch.float64), miss[:, None]).solution[:, 0]
    return torch.stack(orbit[:-1]) if float(miss.norm()) <= 1e-8 * (1 + float(x.norm())) else None


def _product(jacobians: Tensor) -> Tensor:
    total = torch.eye(jacobians.shape[-1], dtype=torch.float64)
    for jacobian in jacobians:
        total = jacobian @ total
    return total


def _flow_cycle(dynamics: Map, path: Tensor, u: Tensor, h: float, n_rounds: int = 8) -> Cycle | None:
    size = _size(path)
    if size <= 1e-6 * (1 + float(path[0].norm())):
        return None
    # the orbit's return to the hyperplane through its first point, across the velocity there
    normal = dynamics.step(path[:1], u[None])[0].detach()
    side = (path - path[0]) @ normal
    near = (path - path[0]).norm(dim=-1) <= 0.05 * size
    crossings = torch.nonzero((side[:-1] < 0) & (side[1:] >= 0) & near[1:])[:, 0]
    if not len(crossings):
        return None
    n = int(crossings[0]) + 1
    span = -side[n - 1] / (side[n] - side[n - 1])
    period, x = (n - 1 + float(span)) * h, path[0]
    for _ in range(n_rounds):
        end, derivative = _transport(dynamics, x, u, period, n)
        velocity = dynamics.step(end[None], u[None])[0].detach()
        miss = end - x
        if float(miss.norm()) <= 1e-11 * (1 + size):
            break
        # Newton for (x, T): stay on the hyperplane, return to the same point
        d = len(x)
        system = torch.zeros(d + 1, d + 1, dtype=torch.float64)
        system[:d, :d], system[:d, d], system[d, :d] = derivative - torch.eye(d, dtype=torch.float64), velocity, normal
        delta = torch.linalg.lstsq(system, torch.cat([-miss, torch.zeros(1, dtype=torch.float64)])[:, None]).solution[:, 0]
        x, period = x + delta[:d], period + float(delta[d])
        if not (bool(torch.isfinite(x).all()) and 0 < period < 10 * n * h):
            return None
    end, derivative = _transport(dynamics, x, u, period, n)
    residual = float((end - x).norm())
    if residual > 1e-6 * size or float((x - path[0]).norm()) > 0.05 * size:
        return None
    samples = [x]
    for _ in range(n - 1):
        samples.append(advance(dynamics, samples[-1][None], u[None], period / n)[0])
    values = torch.linalg.eigvals(derivative)
    return Cycle(torch.stack(samples), period, values[values.abs().argsort(descending=True)], residual)


def _transport(dynamics: Map, x: Tensor, u: Tensor, period: float, n: int) -> tuple[Tensor, Tensor]:
    """The state after `period`, and its derivative with respect to `x`, in n Runge-Kutta steps."""
    d, h = len(x), period / n

    def velocity(y, m):
        f = dynamics.step(y[None], u[None])[0].detach()
        return f, dynamics.jacobians(y[None], u[None])[0][0] @ m

    m = torch.eye(d, dtype=torch.float64)
    for _ in range(n):
        f1, m1 = velocity(x, m)
        f2, m2 = velocity(x + h / 2 * f1, m + h / 2 * m1)
        f3, m3 = velocity(x + h / 2 * f2, m + h / 2 * m2)
        f4, m4 = velocity(x + h * f3, m + h * m3)
        x, m = x + h / 6 * (f1 + 2 * f2 + 2 * f3 + f4), m + h / 6 * (m1 + 2 * m2 + 2 * m3 + m4)
    return x, m

"""Periodic orbits: what orbits settle on when it is no fixed point.

Found by recurrence of an orbit after its transient, refined (maps: Newton on the p-fold map; flows: the return to a
hyperplane through the orbit, across the flow), with the Floquet multipliers of the period. A cycle of a map whose
period is no whole number of steps is a circle on which no orbit recurs: see `circles.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from conjugacy._arrays import read_numbers
from conjugacy._check import check_axes, check_finite, check_int, shown
from conjugacy.dynamics._as_map import as_input, as_map
from conjugacy.dynamics.circles import circle_multipliers, fit_circle
from conjugacy.dynamics.jacobian import chunks
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.orbits import advance, time_step
from conjugacy.dynamics.step_checks import check_step

_FAR = 1e6  # times the largest start: an orbit this far out has run away


@dataclass(frozen=True, eq=False)
class Cycle:
    """A periodic orbit, or a circle that a map turns by 1 / period in every step.

    Attributes
    ----------
    x : Tensor (n, D)
        Its points: all of them for a periodic orbit of a map, samples at equal times for a flow or a circle.
    period : float
        Steps (a flow: units of time); no whole number for a circle. Of a circle on which orbits linger, all but locked
        to a whole number of steps, it is known to about 1 part in 1000.
    multipliers : complex Tensor (D,)
        Eigenvalues of the derivative of the return, by falling modulus; a cycle of a flow has one equal to 1. For a
        circle, the growth over a period by its Lyapunov exponents, the one along it being 1.
    residual : float
        Distance between the first point and itself after one period; for a circle, how far its Fourier series is from
        an orbit on it (root mean square).
    hits : int
        Number of orbits that settled on it.
    circle : bool
        Whether it is a circle on which no orbit comes back to where it was.
    """

    x: Tensor
    period: float
    multipliers: Tensor
    residual: float
    hits: int = 1
    circle: bool = False

    @property
    def is_stable(self) -> bool:
        """Whether nearby orbits return: no multiplier outside the unit circle (one of a flow's is on it)."""
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
            bool(arrays.get("circle", False)),
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
        Steps to run first, and longest period looked for, in steps (a flow: in time steps of 0.1 over its fastest
        rate).

    Returns
    -------
    tuple
        The distinct stable cycles and circles, and for each row of `x0` the position of its cycle there, or -1. Fixed
        points (period 1) are not cycles, nor are periodic orbits that an orbit only passes by.
    """
    n_transient, max_period = check_int("n_transient", n_transient, 0), check_int("max_period", max_period, 2)
    dynamics = as_map(step_or_system, kind)
    u = as_input(inputs, dynamics.n_inputs)
    x = check_finite("x0", read_numbers("x0", x0, "states (state, unit)"), "Drop the states that are not finite.")
    x = x[None].clone() if x.ndim == 1 else x.clone()
    check_axes("x0", x, "state unit")
    if not x.numel():
        raise ValueError(f"`x0`: expected at least one state (state, unit), got {shown(x0)}.")
    check_step(dynamics, x[:4], u.expand(len(x[:4]), -1))
    largest = float(x.abs().max())
    h = time_step(dynamics, x[:16], u)
    for _ in range(n_transient):
        x = advance(dynamics, x, u.expand(len(x), -1), h)
    cycles: list[Cycle] = []
    owner = torch.full((len(x),), -1)
    far = _FAR * (1 + largest)
    good = (x.abs() <= far).all(-1)
    if good.any():
        h = time_step(dynamics, x[good][:16], u)
    orbit = [x]
    for _ in range(max_period + 1):
        x = advance(dynamics, x, u.expand(len(x), -1), h)
        orbit.append(x)
    path = torch.stack(orbit, 1)
    # orbits that run away settle on nothing
    good &= (path.abs() <= far).all(-1).all(-1)
    for k in torch.nonzero(good)[:, 0].tolist():
        for c, cycle in enumerate(cycles):
            if _on(cycle, path[k, 0], dynamics.flow or cycle.circle):
                owner[k] = c
                break
        else:
            found = flow_cycle(dynamics, path[k], u, h) if dynamics.flow else _map_cycle(dynamics, path[k], u)
            if found is not None:
                # an orbit that has not quite settled may end on a cycle that is known already
                owner[k] = next(
                    (c for c, known in enumerate(cycles) if _same(known, found, dynamics.flow)), len(cycles)
                )
                if owner[k] == len(cycles):
                    cycles.append(found)
    late = torch.nonzero((owner < 0) & good & ((path[:, -1] - path[:, -2]).norm(dim=-1) > 1e-9))[:, 0]
    if cycles and len(late):
        # slow ones, that may be on their way to a cycle that others are on
        x = path[late, -1]
        for _ in range(max_period):
            x = advance(dynamics, x, u.expand(len(x), -1), h)
        for k, end in zip(late.tolist(), x):
            owner[k] = next((c for c, a in enumerate(cycles) if _on(a, end, dynamics.flow or a.circle)), -1)
    counts = torch.bincount(owner[owner >= 0], minlength=len(cycles)).tolist()
    cycles = [replace(c, hits=hits) for c, hits in zip(cycles, counts)]
    return tuple(cycles), owner


def _size(path: Tensor) -> float:
    return float((path - path.mean(0)).norm(dim=-1).max())


def _on(cycle: Cycle, x: Tensor, sampled: bool) -> bool:
    size = _size(cycle.x)
    # samples of a closed curve lie apart: a point between two of them is at most half a gap away
    gap = float((cycle.x - cycle.x.roll(1, 0)).norm(dim=-1).max()) if sampled else 0.0
    return float((cycle.x - x).norm(dim=-1).min()) <= 0.6 * gap + 1e-4 * size


def _same(a: Cycle, b: Cycle, flow: bool) -> bool:
    """Whether two cycles are one: equal periods, and points of one on the other."""
    loose = flow or a.circle or b.circle
    if a.circle != b.circle or abs(a.period - b.period) > (1e-4 * a.period if loose else 0.5):
        return False
    return all(_on(a, x, loose) for x in b.x[:: max(1, len(b.x) // 8)])


def _map_cycle(dynamics: Map, path: Tensor, u: Tensor) -> Cycle | None:
    size = _size(path)
    away = (path[1:] - path[0]).norm(dim=-1)
    if size <= 1e-7 * (1 + float(path[0].norm())):
        return None
    # on a circle an orbit comes near its start again and again, but never back; on its way to a cycle, it comes nearer
    # to its last state from turn to turn
    circle = None if bool((away <= 1e-7 * size).any()) or _closes(path, size) else fit_circle(path)
    if circle is not None:
        multipliers = circle_multipliers(dynamics, path, u, circle.period)
        return Cycle(circle.x, circle.period, multipliers, circle.residual, circle=True)
    near = torch.nonzero(away <= 1e-3 * size)[:, 0]
    for p in (near + 1).tolist()[:5]:
        points = _newton_cycle(dynamics, path[:p], u)
        if points is not None and float((points[0] - path[0]).norm()) <= 1e-2 * size and _size(points) > 1e-3 * size:
            points = points[: least_period(points)]
            p = len(points)
            jacobian = _product(dynamics.jacobians(points, u.expand(p, -1))[0])
            residual = float((dynamics.step(points[-1:], u[None])[0].detach() - points[0]).norm())
            values = torch.linalg.eigvals(jacobian)
            cycle = Cycle(points, float(p), values[values.abs().argsort(descending=True)], residual)
            return cycle if cycle.is_stable else None
    return None


def least_period(points: Tensor) -> int:
    """The least period of a cycle (p, D) given over a multiple of it."""
    p, size = len(points), _size(points)
    for q in range(1, p // 2 + 1):
        if p % q == 0 and float((points[q] - points[0]).norm()) <= 1e-7 * size:
            return q
    return p


def _closes(path: Tensor, size: float) -> bool:
    """Whether an orbit (n, D) comes back to within 1e-3 of its size, and the nearer the later it is."""
    n = len(path)
    last = (path[:-1] - path[-1]).norm(dim=-1).flip(0)
    p = int(last[: n // 3].argmin()) + 1
    gaps = (path[p:] - path[:-p]).norm(dim=-1)
    first, end = gaps[:p].mean(), gaps[-p:].mean()
    return bool(end <= 1e-3 * size) and bool(end <= 0.7 * first)


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


def flow_cycle(dynamics: Map, path: Tensor, u: Tensor, h: float, n_rounds: int = 4) -> Cycle | None:
    """The stable cycle of a flow near a settled orbit (n, D) of time step `h`, a period or more long; None if none."""
    size = _size(path)
    if size <= 1e-6 * (1 + float(path[0].norm())):
        return None
    # the orbit's return to the hyperplane through its first point, across the velocity there
    normal = dynamics.step(path[:1], u[None])[0].detach()
    side = (path - path[0]) @ normal
    span = (-side[:-1] / (side[1:] - side[:-1])).clamp(0, 1)
    back = path[:-1] + span[:, None] * (path[1:] - path[:-1])
    # an orbit that has settled comes back closely; a chaotic one that passes by does not
    near = (back - path[0]).norm(dim=-1) <= 1e-2 * size
    crossings = torch.nonzero((side[:-1] < 0) & (side[1:] >= 0) & near)[:, 0]
    if not len(crossings):
        return None
    n = int(crossings[0]) + 1
    period, x, d = (n - 1 + float(span[n - 1])) * h, path[0], path.shape[1]
    for k in range(n_rounds + 1):
        end, derivative = _transport(dynamics, x, u, period, n)
        velocity = dynamics.step(end[None], u[None])[0].detach()
        miss = end - x
        if k == n_rounds or float(miss.norm()) <= 1e-11 * (1 + size):
            break
        # Newton for (x, T): stay on the hyperplane, return to the same point
        bordered = torch.zeros(d + 1, d + 1, dtype=torch.float64)
        bordered[:d, :d], bordered[:d, d] = derivative - torch.eye(d, dtype=torch.float64), velocity
        bordered[d, :d] = normal
        target = torch.cat([-miss, torch.zeros(1, dtype=torch.float64)])[:, None]
        delta = torch.linalg.lstsq(bordered, target).solution[:, 0]
        x, period = x + delta[:d], period + float(delta[d])
        if not bool(torch.isfinite(x).all()) or float((x - path[0]).norm()) > 0.05 * size:
            return None
    samples = [x]
    for _ in range(n - 1):
        samples.append(advance(dynamics, samples[-1][None], u[None], period / n)[0])
    values = torch.linalg.eigvals(derivative)
    values = values[values.abs().argsort(descending=True)]
    cycle = Cycle(torch.stack(samples), period, values, float(miss.norm()))
    return cycle if cycle.residual <= 1e-6 * size and cycle.is_stable else None


def _transport(dynamics: Map, x: Tensor, u: Tensor, period: float, n: int) -> tuple[Tensor, Tensor]:
    """The state after `period`, and its derivative with respect to `x`, in n Runge-Kutta steps."""
    d, h = len(x), period / n
    stages = []
    for _ in range(n):
        y, k = x, torch.zeros_like(x)
        total = torch.zeros_like(x)
        for weight, reach in ((1, 0.0), (2, 0.5), (2, 0.5), (1, 1.0)):
            y = x + reach * h * k
            stages.append(y)
            k = dynamics.step(y[None], u[None])[0].detach()
            total = total + weight * k
        x = x + h / 6 * total
    states = torch.stack(stages)
    jacobians = torch.cat(
        [dynamics.jacobians(states[c], u.expand(len(states[c]), -1))[0] for c in chunks(len(states), d)]
    )
    m = torch.eye(d, dtype=torch.float64)
    for a, b, c, e in jacobians.reshape(n, 4, d, d):
        m1 = a @ m
        m2 = b @ (m + h / 2 * m1)
        m3 = c @ (m + h / 2 * m2)
        m = m + h / 6 * (m1 + 2 * m2 + 2 * m3 + e @ (m + h * m3))
    return x, m

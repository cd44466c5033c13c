"""Cycles of a map: orbits that come back exactly to where they were.

A settled orbit comes back to its last state after the period, one that still approaches comes near it; Newton's method
on the p-fold map finds the cycle ahead of it. Where the multiplier along the orbit is 1 the cycle is one of a family
that fills a closed curve (a circle of rational rotation), and is handed back as such.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from conjugacy.dynamics.cycles import least_period
from conjugacy.dynamics.strobe import Strobe, product_along

_EXACT = 1e-8  # of the size: an orbit that comes back this near has come back
_NEAR = 3e-3  # of the size: Newton's method is asked whether a cycle is ahead
_NEUTRAL = 1e-6
_MOST_WORK = 4e10  # multiplications for the Jacobian of a period


@dataclass(frozen=True, eq=False)
class Recurrence:
    """A cycle of the strobe: its points (p, D) in order, multipliers (D,) by falling modulus, and |G^p(x) - x|.

    `multipliers` is None where the Jacobian of the period would be too much work.
    """

    points: Tensor
    multipliers: Tensor | None
    residual: float

    @property
    def neutral(self) -> bool:
        """Whether it is one of a family of cycles."""
        return self.multipliers is not None and abs(float(self.multipliers[0].abs()) - 1) <= _NEUTRAL

    @property
    def size(self) -> float:
        """Largest distance of a point from the mean of all."""
        return float((self.points - self.points.mean(0)).norm(dim=-1).max())

    def holds(self, x: Tensor, share: float) -> bool:
        """Whether the state `x` (D,) is on it, to within `share` of its size."""
        return float((self.points - x).norm(dim=-1).min()) <= share * self.size


def first_return(path: Tensor) -> tuple[int, list[int]]:
    """Steps after which the last state of an orbit (n, D) came back exactly (0: never), and nearly, shortest first."""
    size = float((path - path.mean(0)).norm(dim=-1).max())
    away = (path[:-1] - path[-1]).norm(dim=-1).flip(0)  # away[p - 1]: p steps before the end
    back = torch.nonzero(away <= _EXACT * size)[:, 0]
    if len(back):
        return int(back[0]) + 1, []
    before, after = away.roll(1), away.roll(-1)
    before[0], after[-1] = torch.inf, torch.inf
    dips = torch.nonzero((away <= _NEAR * size) & (away <= before) & (away <= after))[:, 0] + 1
    return 0, dips[away[dips - 1].argsort()][:4].sort().values.tolist()


def recurrence(strobe: Strobe, path: Tensor) -> Recurrence | None:
    """The stable cycle of the strobe that an orbit (n, D) is on, or ends on; None if there is none within n steps."""
    size = float((path - path.mean(0)).norm(dim=-1).max())
    if size <= 1e-9 * (1 + float(path[-1].norm())):
        return None
    exact, near = first_return(path)
    d = path.shape[1]
    for p in [exact] if exact else near:
        work = p * d**3 * strobe.pace
        if exact and work > _MOST_WORK:
            return Recurrence(path[-p:], None, float((path[-1 - p] - path[-1]).norm()))
        if work > _MOST_WORK:
            continue
        points = _newton(strobe, path[-p:], 2 if exact else 8)
        if points is None or float((points[0] - path[-p]).norm()) > 0.03 * size:
            continue
        extent = float((points - points.mean(0)).norm(dim=-1).max())
        if extent <= 1e-3 * size and not exact:
            continue
        points = points[: least_period(points)]
        jacobian = product_along(strobe, points)
        values = torch.linalg.eigvals(jacobian)
        values = values[values.abs().argsort(descending=True)]
        if float(values[0].abs()) > 1 + _NEUTRAL:
            continue
        found = Recurrence(points, values, float((strobe.step(points[-1:])[0] - points[0]).norm()))
        if not exact and (found.neutral or not _nearer(path, points)):
            continue
        return found
    return None


def _nearer(path: Tensor, points: Tensor) -> bool:
    """Whether the last period of the orbit is nearer to the cycle than an earlier one."""
    p = len(points)
    end = float((path[-p:] - points).norm(dim=-1).mean())
    start = torch.cdist(path[: min(p, 64)], points).min(1).values.mean()
    return end < float(start) or end <= 1e-6 * float((points - points.mean(0)).norm(dim=-1).max())


def _newton(strobe: Strobe, points: Tensor, n_iters: int) -> Tensor | None:
    """Points (p, D) of the cycle of period p near an orbit of p states."""
    p, d = points.shape
    x, eye = points[0], torch.eye(d, dtype=torch.float64)
    best, least = None, float("inf")
    for k in range(n_iters + 1):
        orbit = strobe.path(x[None], p + 1)[0]
        miss = orbit[-1] - x
        far = float(miss.norm())
        if not torch.isfinite(miss).all():
            break
        if far < least:
            best, least = orbit[:-1], far
        if k == n_iters or far <= 1e-13 * (1 + float(x.norm())):
            break
        x = x - torch.linalg.lstsq(product_along(strobe, orbit[:-1]) - eye, miss[:, None]).solution[:, 0]
    return best if best is not None and least <= 1e-9 * (1 + float(best[0].norm())) else None

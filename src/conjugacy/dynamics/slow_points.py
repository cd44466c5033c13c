"""Slow points: local minima of q = 0.5 |F(x, u) - x|^2 that are no zeros (Sussillo & Barak 2013), refined by L-BFGS."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from conjugacy.dynamics.map import Map

_MAX_SLOW = 24  # distinct slow candidates that are refined; a slow manifold has any number of them


def slow_points(dynamics, leftover, u, scale, limit, known, visited) -> tuple[Tensor, np.ndarray]:
    """Distinct local minima of q that are no zeros and slower than `limit`, refined; and whether each is one."""
    empty = torch.zeros(0, known.shape[1], dtype=torch.float64)
    if not leftover or limit <= 0:
        return empty, np.zeros(0, dtype=object)
    centre = visited.mean(0)
    # a minimum of q far outside of what is visited, or at infinity, says nothing about the computation
    reach = 2 * float((visited - centre).norm(dim=-1).max()) + scale
    x = torch.cat(leftover)
    speed = (2 * q_of(dynamics, x, u)).sqrt()
    keep = torch.isfinite(speed) & (speed <= 2 * limit) & ((x - centre).norm(dim=-1) <= reach)
    x = _thin(x[keep][speed[keep].argsort()], 1e-3 * scale, _MAX_SLOW)
    kept: list[Tensor] = []
    kinds: list[str] = []
    for start in x:
        y, flat = _minimiseq_of(dynamics, start, u, scale)
        near = [float((y - other).norm()) for other in (*known, *kept)]
        here = float((y - centre).norm()) <= reach
        slow = float((2 * q_of(dynamics, y[None], u)).sqrt()) <= limit
        if here and slow and (not near or min(near) > 1e-3 * scale):
            kept.append(y)
            kinds.append("slow" if flat else "unresolved")
    return (torch.stack(kept) if kept else empty), np.array(kinds, dtype=object)


def _minimiseq_of(dynamics: Map, x: Tensor, u: Tensor, scale: float) -> tuple[Tensor, bool]:
    from scipy.optimize import minimize

    def value_and_gradient(y):
        state = torch.from_numpy(y)[None]
        g = dynamics.residual(state, u[None])[0]
        gradient = dynamics.residual_jacobian(state, u[None])[0].mT @ g
        return 0.5 * float(g @ g) * weight, gradient.numpy() * weight

    # scaled to one, so that the optimiser's absolute tolerances mean something
    weight = 1 / max(1e-300, float(q_of(dynamics, x[None], u)[0]))
    result = minimize(
        value_and_gradient, x.numpy(), jac=True, method="L-BFGS-B", options={"maxiter": 200, "gtol": 1e-9, "ftol": 0.0}
    )
    y = torch.from_numpy(np.asarray(result.x))
    g = dynamics.residual(y[None], u[None])[0]
    jacobian = dynamics.residual_jacobian(y[None], u[None])[0]
    gradient = (jacobian.mT @ g).norm()
    # J^T g against |J| |g|, or against |g|^2 over the spread where J vanishes as well
    steep = torch.linalg.matrix_norm(jacobian, ord=2) + g.norm() / scale
    return y, bool(gradient <= 1e-4 * steep * g.norm())


def _thin(x: Tensor, gap: float, most: int) -> Tensor:
    kept: list[int] = []
    left = torch.ones(len(x), dtype=torch.bool)
    while bool(left.any()) and len(kept) < most:
        k = int(torch.nonzero(left)[0])
        kept.append(k)
        left &= (x - x[k]).norm(dim=-1) > gap
    return x[kept]


def q_of(dynamics: Map, x: Tensor, u: Tensor) -> Tensor:
    """``0.5 |F(x, u) - x|^2`` of states (N, D), (N,)."""
    return 0.5 * dynamics.residual(x, u.expand(len(x), -1)).square().sum(-1)

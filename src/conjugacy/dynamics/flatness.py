"""Is a small residual a zero? Not where the equation is flat, and not a single one where it is flat along a line."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from conjugacy.dynamics.map import Map

_EPS = 2.220446049250313e-16


def far_and_flat(dynamics: Map, x: Tensor, u: Tensor, scale: float, certificate: np.ndarray) -> Tensor:
    """Whether the residual at each of `x` is small only because the equation is flat there: no zero is near, (P,) bool.

    Newton's step must be small in every direction, rounding included, but for at most three that are null: those of a
    continuum. What is proven, or solved in a form of its own, stays.
    """
    flat = torch.zeros(len(x), dtype=torch.bool)
    if dynamics.reduced is not None:
        return flat
    for p in np.flatnonzero(certificate != "kantorovich"):
        state, held = x[p : p + 1], u[None]
        g = dynamics.residual(state, held)[0]
        left, size, _ = torch.linalg.svd(dynamics.residual_jacobian(state, held)[0])
        rounding = 4 * _EPS * (1 + float(state.abs().max()))
        null = size <= 1e-9 * size[0]
        null = null if certificate[p] == "continuum" and int(null.sum()) <= 3 else torch.zeros_like(null)
        newton = ((left.mT @ g).abs() + rounding)[~null] / size[~null].clamp_min(1e-300)
        flat[p] = bool(newton.norm() > 1e-3 * scale)
    return flat


def on_continuum(dynamics: Map, x: Tensor, u: Tensor, scale: float, stiffness: float) -> Tensor:
    """Whether there are zeros on both sides of each point along the null direction of its Jacobian, (P,) bool."""
    few = x[:: max(1, len(x) // 32)]
    verdict = _zeros_beside(dynamics, few, u, scale, stiffness)
    if len(few) == len(x) or bool(verdict.all()):
        # a continuum fills the set with its points: a few tell for all
        return verdict if len(few) == len(x) else torch.ones(len(x), dtype=torch.bool)
    return _zeros_beside(dynamics, x, u, scale, stiffness)


def _zeros_beside(dynamics, x, u, scale, stiffness):
    held = u.expand(len(x), -1)
    null = torch.linalg.svd(dynamics.residual_jacobian(x, held))[2][:, -1]
    delta = 1e-3 * scale
    both = torch.ones(len(x), dtype=torch.bool)
    for side in (-1.0, 1.0):
        y = x + side * delta * null
        for _ in range(4):
            inverse = torch.linalg.pinv(dynamics.residual_jacobian(y, held), rtol=1e-5)
            y = y - (inverse @ dynamics.residual(y, held)[..., None])[..., 0]
        moved = side * ((y - x) * null).sum(-1)
        left = dynamics.residual(y, held).norm(dim=-1)
        both &= (moved >= 0.5 * delta) & (moved <= 2 * delta)
        both &= left <= 1e-13 * stiffness * x.norm(dim=-1).clamp_min(1)
    return both

"""Where saddles send what leaves them: the unstable branches of exact saddles, followed to stable points."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from conjugacy.dynamics.distances import distances
from conjugacy.dynamics.orbits import Attractors, settle, time_step
from conjugacy.dynamics.points import FixedPoints
from conjugacy.dynamics.starts import spread


def unstable_branches(points: FixedPoints, offset: float = 1e-3) -> tuple[Tensor, Tensor]:
    """Where the branches of the one-unstable saddles begin: positions of the saddles (S,), and starts (S, 2, D)."""
    saddles = np.flatnonzero((points.n_unstable == 1) & points.fixed)
    if not len(saddles):
        return torch.from_numpy(saddles), torch.zeros(0, 2, points.x.shape[1], dtype=torch.float64)
    x, jacobian = torch.from_numpy(points.x[saddles]), torch.from_numpy(points.jacobian[saddles])
    # a single unstable eigenvalue is real, and so is its eigenvector up to a phase
    vector = torch.linalg.eig(jacobian)
    which = (vector[0].real if points.flow else vector[0].abs()).argmax(1)
    v = torch.stack([vector[1][s, :, k] for s, k in enumerate(which.tolist())])
    pivot = v.gather(1, v.abs().argmax(1, keepdim=True))
    v = (v / pivot).real
    v = v / v.norm(dim=-1, keepdim=True)
    gap = distances(x, torch.from_numpy(points.x))
    gap = torch.where(gap > 1e-9, gap, torch.inf).amin(1).clamp_max(1.0)
    away = offset * gap[:, None] * v
    return torch.from_numpy(saddles), torch.stack([x - away, x + away], 1)


def saddle_edges(points: FixedPoints, n_steps: int, offset: float) -> tuple[tuple[int, int, int], ...]:
    """For each one-unstable saddle of fixed `points` the stable ones that its two branches reach; -1: none."""
    saddles, starts = unstable_branches(points, offset)
    if not len(saddles):
        return ()
    dynamics, u, x = points.dynamics, torch.from_numpy(points.u[0]), torch.from_numpy(points.x)
    if dynamics is None:
        return ()
    scale = spread(x)
    h = time_step(dynamics, x, u)
    stable = torch.from_numpy(np.flatnonzero(points.n_unstable == 0))
    attractors = Attractors.of(points, scale, h)
    if not len(attractors.x):  # nothing can be arrived at
        return tuple((s, -1, -1) for s in saddles.tolist())
    end = settle(dynamics, starts.flatten(0, 1), u, attractors, n_steps, h)
    reached = torch.where(end.where >= 0, stable[end.where.clamp_min(0)], -1) if len(stable) else end.where
    ends = reached.reshape(-1, 2)
    return tuple((s, min(a, b), max(a, b)) for s, (a, b) in zip(saddles.tolist(), ends.tolist()))

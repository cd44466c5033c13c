"""States that hardly move: Levenberg-Marquardt with a damping that never falls below 1 / H^2.

The step is -(J'J + m I)^-1 J'r with r = F(x) - x. A floor of m at 1/H^2 leaves directions alone whose singular value is
below 1/H: those the horizon H does not resolve, along which a state creeps anyway. On a plateau |r| levels off without
reaching zero, so a start leaves the batch once |r| is small enough or has stopped falling.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from conjugacy.dynamics.map import Map

_BLOCK_BYTES = 12 * 2**20  # Jacobian and normal matrix of a block stay near the cache
_LOOK_BACK, _FALL = 8, 0.7


def slide(
    dynamics: Map,
    starts: Tensor,
    u: Tensor,
    *,
    floor: float,
    enough: float,
    max_iters: int = 60,
    tick: Callable[[int], None] = lambda n: None,
) -> tuple[Tensor, Tensor]:
    """Slow states near `starts` (N, D), and their |F(x) - x| (a flow: |F(x)|), (N,).

    Parameters
    ----------
    floor : float
        Least damping, 1 / H^2.
    enough : float
        |r| at which a start is done.
    tick : callable
        Told the number of starts that are done.
    """
    n, d = starts.shape
    block = max(1, int(_BLOCK_BYTES / (8 * d * d)))
    box = dynamics.box(u) if dynamics.box is not None else None
    x, norm = starts.clone(), torch.full((n,), torch.inf, dtype=torch.float64)
    # a queue: a place in the block that falls free is filled at once, so that blocks stay full
    for k in range(0, n, block):
        x[k : k + block], norm[k : k + block] = _block(
            dynamics, starts[k : k + block], u, floor, enough, max_iters, box
        )
        tick(min(n, k + block))
    return x, norm


def _block(dynamics, x, u, floor, enough, max_iters, box):
    x = x.clone()
    n = len(x)
    r = dynamics.residual(x, u.expand(n, -1))
    norm = r.norm(dim=-1).nan_to_num(torch.inf)
    damping = torch.full((n,), max(1e-2, floor), dtype=torch.float64)
    past = norm[None].repeat(_LOOK_BACK, 1)
    active = torch.nonzero(torch.isfinite(norm) & (norm > enough))[:, 0]
    for k in range(max_iters):
        if not len(active):
            break
        jacobian = dynamics.residual_jacobian(x[active], u.expand(len(active), -1))
        gradient = (jacobian.mT @ r[active][..., None])[..., 0]
        normal = jacobian.mT @ jacobian
        taken = _attempt(dynamics, x, r, norm, damping, active, normal, gradient, u, floor, box)
        stuck = ~taken & (damping[active] > 100)
        stalled = (norm[active] > _FALL * past[k % _LOOK_BACK][active]) & (k >= _LOOK_BACK)
        past[k % _LOOK_BACK] = norm
        active = active[~(stuck | stalled | (norm[active] <= enough))]
    return x, norm


def _attempt(dynamics, x, r, norm, damping, active, normal, gradient, u, floor, box, n_tries=4):
    """Try up to four dampings on the same normal matrix; -> whether each active row has moved."""
    taken = torch.zeros(len(active), dtype=torch.bool)
    left = torch.arange(len(active))
    for _ in range(n_tries):
        rows = active[left]
        matrix = normal[left]
        matrix.diagonal(dim1=-2, dim2=-1).add_(damping[rows].clamp_min(floor)[:, None])
        factor, info = torch.linalg.cholesky_ex(matrix)
        step = torch.cholesky_solve(gradient[left][..., None], factor)[..., 0]
        step = torch.where((info == 0)[:, None], step, torch.nan)
        trial = x[rows] - step
        if box is not None:
            trial = torch.minimum(torch.maximum(trial, box[0]), box[1])
        g = dynamics.residual(trial, u.expand(len(rows), -1))
        size = g.norm(dim=-1).nan_to_num(torch.inf)
        better = size < norm[rows]
        good = rows[better]
        x[good], r[good], norm[good] = trial[better], g[better], size[better]
        damping[rows] = torch.where(better, (damping[rows] * 0.1).clamp_min(floor), damping[rows] * 8)
        taken[left[better]] = True
        left = left[~better]
        if not len(left):
            break
    return taken

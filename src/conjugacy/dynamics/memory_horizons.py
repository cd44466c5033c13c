"""For how long a point is a memory: orbits that start there are followed until they have left."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from conjugacy.dynamics.map import Map
from conjugacy.dynamics.orbits import advance, time_step
from conjugacy.dynamics.points import FixedPoints

_FOLLOWED = 5000  # steps for which held memories are followed


def memory_horizons(dynamics: Map, points: FixedPoints, u: Tensor, scale: float, n_steps: int = 10_000) -> Tensor:
    """For how many steps each point is a memory; see FixedPoints.horizon."""
    horizon = torch.full((len(points),), torch.nan, dtype=torch.float64)
    horizon[torch.from_numpy(points.fixed & (points.n_unstable == 0))] = torch.inf
    kind = points.kind
    # of held points, those that stand for a memory
    which = np.flatnonzero((kind == "slow") | ((kind == "held") & (points.node >= 0)))
    if bool((kind == "held").any()):
        n_steps = _FOLLOWED
    if not len(which):
        return horizon
    read = dynamics.readout if dynamics.readout is not None else (lambda x: x)
    x = torch.from_numpy(points.x[which])
    h = time_step(dynamics, x, u)
    with torch.no_grad():
        y0 = read(x)
        size = 0.1 * (scale if dynamics.readout is None else _readout_spread(dynamics, points))
        left = torch.full((len(x),), torch.inf, dtype=torch.float64)
        held_input = u.expand(len(x), -1)
        every = 10 if n_steps == _FOLLOWED else 1
        for t in range(every, n_steps + 1, every):
            for _ in range(every):
                x = advance(dynamics, x, held_input, h)
            gone = ~((read(x) - y0).reshape(len(x), -1).norm(dim=-1) <= size)
            left = torch.where(gone & torch.isinf(left), float(t) * h, left)
            if bool(torch.isfinite(left).all()):
                break
    held = torch.from_numpy(kind[which] == "held")
    horizon[which] = torch.where(held, left.clamp_max(n_steps * h), left)
    return horizon


def _readout_spread(dynamics: Map, points: FixedPoints) -> float:
    states = dynamics.visited if dynamics.visited is not None else torch.from_numpy(points.x)
    y = dynamics.readout(states[:: max(1, len(states) // 1000)]).double()  # type: ignore[misc]
    y = y.reshape(len(y), -1)
    return max(1e-12, float((y - y.mean(0)).square().sum(-1).mean().sqrt()))

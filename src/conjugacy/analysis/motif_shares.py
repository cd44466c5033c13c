"""How much of what rests under one held input is what rests under another?

**Points.** Where all that rests are stable fixed points, they are followed while the input moves from that of place a
to that of b (Driscoll, Shenoy & Sussillo, Nat. Neurosci. 27:1349, 2024, follow them from one rule to another in the
same way). One whose branch ends on the way (a fold) is let go where the network would go if the input moved slowly: it
settles elsewhere. Then

    share(a, b) = (stable points of a that arrive, one to one, at stable points of b) / (the larger number of them)
                  x (mean overlap of their slowest modes before and after)

**Rings, lines, plateaus.** Where states rest for the horizon only, those X of a are carried along while the input moves
within one horizon, and for one more, to Y; Z is at rest in b. Their means are taken off. Then

    share(a, b) = <X, Y> / max(<X, X>, <Y, Y>)
                  x (variance of Z along the leading directions of X) / (variance of Z along as many of its own)

The first factor is 1 if the input of b moves X as a whole, and 0 if the places of X become one, or turn to other
directions: does what a remembers last in b? The second (alignment index, Elsayed et al., Nat. Commun. 7:13239, 2016) is
1 if b remembers along the directions of a. Directions are those that hold 80 % of the variance, three at most. What X
has moved by is not asked: along slow directions, a change of rule leaves an offset that lasts as long as they do. If X
is a single place (a held point), it has to arrive at Z, and slowest modes are compared as above.

In all cases the smaller value of both ways is the share: 1 where one place has what the other has, along the same
directions, 0 where nothing does.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from conjugacy.analysis.alignment_index import alignment_index
from conjugacy.dynamics.continuation import follow
from conjugacy.dynamics.horizon import STATE_MOVES
from conjugacy.dynamics.points import FixedPoints

_SUBSTEPS = 32
_SLOWLY, _AND_STILL = 1600, 1000  # steps of the map where a point is let go
_SHORT = 50  # steps of a horizon where there is none
_SETTLED = 1e-3
_MOST_STATES = 64  # of a plateau
_LEADING, _MOST_DIRECTIONS = 0.8, 3


def share(a: FixedPoints, b: FixedPoints, u: np.ndarray, n_modes: int) -> float:
    """How much of what rests at `a` arrives at what rests at `b`, with the input `u` (input,); see above."""
    if not len(resting(a)) or not len(resting(b)) or a.dynamics is None:
        return 0.0
    if _all_points(a) and _all_points(b):
        return _share_of_points(a, b, torch.from_numpy(u), n_modes)
    return _share_of_sets(a, b, torch.from_numpy(u), n_modes)


def stable(points: FixedPoints) -> FixedPoints:
    """The exact stable points that count."""
    return points[points.fixed & points.counted & (points.n_unstable == 0)]


def resting(points: FixedPoints) -> Tensor:
    """States at rest (M, D): those of all plateaus, as many of each; without plateaus, the stable points."""
    if not points.plateaus:
        return torch.from_numpy(stable(points).x).double()
    parts = []
    for plateau in points.plateaus:
        rows = torch.linspace(0, len(plateau.states) - 1, _MOST_STATES).round().long()
        parts.append(plateau.states.double()[rows])
    return torch.cat(parts)


def _all_points(points: FixedPoints) -> bool:
    """Whether everything at rest is an exact fixed point."""
    if any(p.topology != "point" for p in points.plateaus):
        return False
    return len(points.plateaus) <= len(stable(points))


def _share_of_points(a: FixedPoints, b: FixedPoints, u: Tensor, n_modes: int) -> float:
    here, there = stable(a), stable(b)
    assert here.dynamics is not None
    x, alive = follow(here.dynamics, here, u, n_substeps=_SUBSTEPS)
    if not bool(alive.all()):
        x[~alive] = _carried(here, torch.from_numpy(here.x)[~alive], u, _SLOWLY, _AND_STILL)
    gap = torch.cdist(x, torch.from_numpy(there.x)).numpy()
    near = np.where(alive.numpy(), 1e-6, _SETTLED)
    taken: dict[int, float] = {}
    for i in range(len(here)):
        j = int(gap[i].argmin())
        if gap[i, j] <= near[i] * (1 + float(x[i].norm())):
            overlap = _overlap(here.modes[0][i, :, :n_modes], there.modes[0][j, :, :n_modes])
            taken[j] = max(taken.get(j, 0.0), overlap)
    return sum(taken.values()) / max(len(here), len(there))


def _share_of_sets(a: FixedPoints, b: FixedPoints, u: Tensor, n_modes: int) -> float:
    x, z = resting(a), resting(b)
    y = _carried(a, x, u, *(round(p.asked_horizon or _SHORT) for p in (a, b)))
    near = STATE_MOVES * (b.scale or 1.0)
    gap = torch.cdist(y, z)
    x, y, z = (v - v.mean(0) for v in (x, y, z))
    size = max(float(x.square().sum()), float(y.square().sum()))
    if (size / len(x)) ** 0.5 > near:
        kept = max(0.0, float((x * y).sum()) / size)
        return kept * alignment_index(z.T @ z, x.T @ x, _LEADING, _MOST_DIRECTIONS)
    # a single place: what may differ are the directions in which it is slow
    here, there = (p[np.flatnonzero(p.memories)] for p in (a, b))
    if not len(here) or not len(there):
        return 0.0
    arriving = min(float((gap.amin(k) <= near).double().mean()) for k in (0, 1))
    return arriving * _overlap(here.modes[0][0, :, :n_modes], there.modes[0][0, :, :n_modes])


def _carried(here: FixedPoints, x: Tensor, u: Tensor, n_moving: int, n_still: int) -> Tensor:
    """Where states `x` (M, D) are after the input has moved to `u` within some steps, and been still for more."""
    dynamics = here.dynamics
    assert dynamics is not None
    start = torch.from_numpy(here.u[0]).double()
    with torch.no_grad():
        for k in range(1, n_moving + n_still + 1):
            held = start + min(1.0, k / n_moving) * (u - start)
            x = dynamics.step(x, held.expand(len(x), -1))
    return x


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared cosine of the angles between the real spans of modes (D, k)."""
    bases = []
    for modes in (a, b):
        parts = np.concatenate([np.real(modes), np.imag(modes)], 1)
        left, sizes, _ = np.linalg.svd(parts, full_matrices=False)
        bases.append(left[:, sizes > 1e-8 * sizes[0]])
    k = min(basis.shape[1] for basis in bases)
    return float(np.minimum(np.linalg.svd(bases[0].T @ bases[1])[1][:k] ** 2, 1.0).mean())

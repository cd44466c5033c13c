"""Loops: does a cloud of states go once round a hole?

A ring that also has slow directions across it is no line, but it has a hole, and places on it are angles. The plane is
that of the two leading principal components; the hole is empty of states, and no wide gap is left on the way round.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LEAST = 24  # states; fewer show no hole
_FLAT = 0.6  # share of the variance in the plane: a cloud of many dimensions has holes in every plane, by chance
_WIDEST_GAP = 1.75  # rad, 100 degrees: whether states in between hold is asked elsewhere
_HOLE = 0.5  # its radius in units of the median; of a filled disc the 2 % quantile lies at 0.2
_LARGEST_STEP = 0.6  # between neighbours on the way round, in units of the diameter


class Loop:
    """A plane and a centre in it, about which states go round; `share` is that of their variance in the plane.

    Parameters
    ----------
    states : Tensor (M, D)
    """

    def __init__(self, states: Tensor):
        x = states.double()
        self.mean = x.mean(0)
        _, sizes, axes = torch.linalg.svd(x - self.mean, full_matrices=False)
        self.axes = axes[:2]
        self.share = float(sizes[:2].square().sum() / sizes.square().sum().clamp_min(1e-300))
        plane = (x - self.mean) @ self.axes.T
        # states crowd at some places of a ring: the middle of their range is nearer to its centre than their mean
        self.centre = (plane.amax(0) + plane.amin(0)) / 2

    def angles(self, x: Tensor) -> Tensor:
        """Where states (..., D) are on the way round, in rad, in (-pi, pi]."""
        y = (x.double() - self.mean) @ self.axes.T - self.centre
        return torch.atan2(y[..., 1], y[..., 0])

    def radii(self, x: Tensor) -> Tensor:
        """Distances (...) of states from the centre in the plane."""
        return ((x.double() - self.mean) @ self.axes.T - self.centre).norm(dim=-1)


def widest_gap(states: Tensor) -> tuple[int, int] | None:
    """Rows on either side of the widest gap of a cloud (M, D) that goes round a hole; None if it does not."""
    if len(states) < _LEAST or states.shape[1] < 2:
        return None
    loop = Loop(states)
    if loop.share < _FLAT:
        return None
    radii = loop.radii(states)
    if float(radii.quantile(0.02)) < _HOLE * float(radii.median()):
        return None
    angles, order = loop.angles(states).sort()
    gaps = torch.cat([angles[1:], angles[:1] + 2 * math.pi]) - angles
    if float(gaps.max()) > _WIDEST_GAP:
        return None
    ahead = order.roll(-1)
    steps, across = (states[ahead] - states[order]).norm(dim=-1), 2 * (states - states.mean(0)).norm(dim=-1).max()
    if float(steps.max()) > _LARGEST_STEP * float(across):
        return None
    k = int(gaps.argmax())
    return int(order[k]), int(ahead[k])

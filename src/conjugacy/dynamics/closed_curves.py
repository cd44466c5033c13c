"""Closed curves through clouds of states, found by geometry alone.

Thinned to a distance, the states of a curve have a minimum spanning tree without branches; the curve is closed if its
two ends are as near as neighbours are. That needs neither a phase nor a period, and works for relaxation oscillators,
whose jumps no short Fourier series follows. Curves of several pieces, which the map visits in turn, are taken apart
first.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import KDTree

_GAPS = (1 / 100, 1 / 200, 1 / 50, 1 / 400)  # of the size of the cloud, the likeliest first
_MOST = 3000  # thinned states beyond which the cloud is no curve
_DENSE = 16  # samples of the spline for each of its nodes


@dataclass(frozen=True, eq=False)
class ClosedCurve:
    """A closed curve through `nodes` (n, d), in order; `phase` (n,) is the share of its length up to each node.

    residual : float
        Largest distance of states that were not used from the curve, relative to its size.
    """

    nodes: np.ndarray
    phase: np.ndarray
    length: float
    residual: float = float("inf")

    @classmethod
    def through(cls, nodes: np.ndarray) -> ClosedCurve:
        """The curve through nodes (n, d) in this order."""
        steps = np.linalg.norm(np.roll(nodes, -1, 0) - nodes, axis=1)
        length = float(steps.sum())
        return cls(nodes, np.concatenate([[0.0], np.cumsum(steps)[:-1]]) / length, length)

    def at(self, phase: np.ndarray) -> np.ndarray:
        """Points (n, d) of the curve at phases (n,) in turns."""
        return self._spline(phase % 1.0)

    @property
    def _spline(self) -> CubicSpline:
        return CubicSpline(np.append(self.phase, 1.0), np.vstack([self.nodes, self.nodes[:1]]), bc_type="periodic")

    def project(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Phase (n,) of the nearest point of the curve to each of `states` (n, d), and the distance to it (n,)."""
        # as many samples between neighbouring nodes everywhere: jumps have few nodes far apart
        share = np.arange(_DENSE) / _DENSE
        ahead = np.append(self.phase, 1.0)
        phase = (ahead[:-1, None] + share * np.diff(ahead)[:, None]).ravel()
        dense = self._spline(phase)
        _, nearest = KDTree(dense).query(states)
        best, away = phase[nearest], np.full(len(states), np.inf)
        for side in (-1, 1):
            other = (nearest + side) % len(dense)
            edge = dense[other] - dense[nearest]
            square = np.maximum((edge**2).sum(1), 1e-300)
            along = np.clip(((states - dense[nearest]) * edge).sum(1) / square, 0, 1)
            off = np.linalg.norm(states - dense[nearest] - along[:, None] * edge, axis=1)
            step = (phase[other] - phase[nearest] + 0.5) % 1.0 - 0.5
            best = np.where(off < away, (phase[nearest] + along * step) % 1.0, best)
            away = np.minimum(off, away)
        return best, away


def principal(states: np.ndarray, share: float = 1e-5, most: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and at most `most` principal axes (d, D) of states (N, D), those wider than `share` of the first."""
    centre = states.mean(0)
    some = (states - centre)[:: max(1, len(states) // 4000)]
    _, sizes, axes = np.linalg.svd(some, full_matrices=False)
    keep = max(1, min(most, int((sizes > share * sizes[0]).sum())))
    return centre, axes[:keep]


def size_of(states: np.ndarray) -> float:
    """Largest distance of states (N, D) from their mean."""
    return float(np.linalg.norm(states - states.mean(0), axis=1).max())


def counting_dimension(states: np.ndarray, size: float) -> float:
    """Slope of the logarithm of the number of thinned states over that of their distance, at coarse distances."""
    from conjugacy.dynamics.closed_curves_compiled import thin

    gaps = size / np.array([5.0, 10.0, 20.0])
    counts = [len(thin(states, g, 4000)) for g in gaps]
    slopes = [np.log(b / a) / np.log(2) for a, b in pairwise(counts) if b < 4000 and b < len(states) / 6]
    return float(slopes[-1]) if slopes else float("nan")


def fit_closed_curve(states: np.ndarray, images: np.ndarray, tolerance: float = 0.01) -> ClosedCurve | None:
    """The closed curve that `states` (N, d) lie on, or None.

    Parameters
    ----------
    images : array (N, d)
        The states one step later: they tell how far the map moves along the curve, and test the curve.
    tolerance : float
        Largest share of states' size by which images may lie off the curve (99 of 100 of them).
    """
    from conjugacy.dynamics.closed_curves_compiled import thin

    size = size_of(states)
    stride = float(np.linalg.norm(images - states, axis=1).max())
    best: ClosedCurve | None = None
    for gap in _GAPS:
        kept = thin(states, gap * size, _MOST)
        if len(kept) == _MOST or len(kept) < 8:
            continue
        order = _in_order(states[kept], gap * size, stride)
        if order is None:
            continue
        curve = ClosedCurve.through(states[kept][order])
        test = images[:: max(1, len(images) // 4000)]
        off = float(np.quantile(curve.project(test)[1], 0.99)) / size
        if off <= tolerance and (best is None or off < 0.5 * best.residual):
            best = ClosedCurve(curve.nodes, curve.phase, curve.length, off)
        if best is not None and best.residual < 1e-3:
            break
    return best


def pieces(states: np.ndarray, gap: float, most: int = 64) -> np.ndarray:
    """Label (N,) of the piece of a cloud that each state is in: pieces are farther than `gap` from each other."""
    from conjugacy.dynamics.closed_curves_compiled import spanning_tree, thin

    kept = thin(states, gap / 3, _MOST)
    if len(kept) == _MOST:
        return np.zeros(len(states), int)
    parent, length = spanning_tree(states[kept])
    label = np.full(len(kept), -1)
    n = 0
    # parents may come after their children in the order of points: walk up until something is labelled
    for i in range(len(kept)):
        walk, j = [], i
        while label[j] < 0:
            walk.append(j)
            if parent[j] < 0 or length[j] > gap:
                label[j] = n
                n += 1
                walk.pop()
                break
            j = parent[j]
        for w in walk:
            label[w] = label[j]
    if n > most:
        return np.zeros(len(states), int)
    return label[KDTree(states[kept]).query(states)[1]]


def _in_order(points: np.ndarray, gap: float, stride: float) -> np.ndarray | None:
    """Indices of the points of a closed curve in the order along it, or None if their tree has branches or ends."""
    from conjugacy.dynamics.closed_curves_compiled import spanning_tree

    parent, length = spanning_tree(points)
    neighbours: list[set[int]] = [set() for _ in points]
    for i, p in enumerate(parent):
        if p >= 0:
            neighbours[i].add(int(p))
            neighbours[int(p)].add(i)
    alive = np.ones(len(points), bool)
    # twigs of a point or two are states beside the curve
    branching = [i for i, near in enumerate(neighbours) if len(near) > 2]
    for twig in range(1, 4):
        for b in [i for i in branching if alive[i] and len(neighbours[i]) > 2]:
            for start in sorted(neighbours[b], key=lambda i: length[i] if parent[i] == b else length[b]):
                if len(neighbours[b]) <= 2:
                    break
                run, before = [start], b
                while len(run) <= twig:
                    onward = neighbours[run[-1]] - {before}
                    if len(onward) != 1:
                        break
                    before = run[-1]
                    run.append(next(iter(onward)))
                if len(run) <= twig and not neighbours[run[-1]] - {before}:
                    for i in run:
                        for other in neighbours[i]:
                            neighbours[other].discard(i)
                        neighbours[i].clear()
                        alive[i] = False
    degrees = np.array([len(near) for near in neighbours])
    ends = np.nonzero(alive & (degrees == 1))[0]
    if len(ends) != 2 or (degrees > 2).any() or (~alive).sum() > 0.05 * len(points) + 2:
        return None
    order, before = [int(ends[0])], -1
    while order[-1] != ends[1]:
        onward = neighbours[order[-1]] - {before}
        before = order[-1]
        order.append(next(iter(onward)))
    steps = np.linalg.norm(np.diff(points[order], axis=0), axis=1)
    opening = float(np.linalg.norm(points[order[0]] - points[order[-1]]))
    if opening > max(1.5 * steps.max(), 3 * gap) or steps.max() > max(4 * gap, stride):
        return None
    return np.array(order)

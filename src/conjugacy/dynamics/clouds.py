"""Which orbits share an attractor, told from the states they visit alone."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from conjugacy.dynamics.closed_curves import principal, size_of

_FLOOR = 0.01  # of the size: sets nearer to each other than this are one
_FACTOR = 2.5  # times the distance between two stretches of one orbit
_PROBES = 60


def groups(path: np.ndarray) -> np.ndarray:
    """Group (B,) of each of the orbits (B, n, D): those of one group visit the same set.

    Two orbits share a set if states of one lie about as near to the states of the other as to those of an earlier
    stretch of their own orbit.
    """
    b, n, _ = path.shape
    centre, axes = principal(path.reshape(b * n, -1)[:: max(1, b * n // 20_000)])
    flat = (path - centre) @ axes.T
    trees = [KDTree(orbit[: n // 2]) for orbit in flat]
    probes = flat[:, np.linspace(n // 2, n - 1, _PROBES).astype(int)]
    sizes = np.array([size_of(orbit) for orbit in flat])
    own = np.array([np.median(trees[i].query(probes[i])[0]) for i in range(b)])
    label = np.full(b, -1)
    leaders: list[int] = []
    order: list[int] = np.argsort(own).tolist()
    for i in order:
        for g, j in enumerate(leaders):
            if not 0.5 < sizes[i] / sizes[j] < 2 or np.abs(flat[i].mean(0) - flat[j].mean(0)).max() > sizes[i]:
                continue
            limit = max(_FLOOR * max(sizes[i], sizes[j]), _FACTOR * max(own[i], own[j]))
            ahead, back = (np.median(trees[to].query(probes[of])[0]) for to, of in ((j, i), (i, j)))
            if max(ahead, back) <= limit:
                label[i] = g
                break
        else:
            label[i] = len(leaders)
            leaders.append(i)
    return label


def apart(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Median distance of the states of two sets (N, D), (M, D) from the other set, and of each from itself.

    Both relative to the size of the larger set; the larger of the two directions.
    """
    size = max(size_of(a), size_of(b), 1e-300)
    few = [c[:: max(1, len(c) // 20_000)] for c in (a, b)]
    half = (KDTree(few[0][: len(few[0]) // 2]), KDTree(few[1][: len(few[1]) // 2]))
    first, second = half
    own = [np.median(t.query(c[len(c) // 2 :: max(1, len(c) // 600)])[0]) for t, c in zip(half, few)]
    other = [
        np.median(first.query(few[1][:: max(1, len(few[1]) // 300)])[0]),
        np.median(second.query(few[0][:: max(1, len(few[0]) // 300)])[0]),
    ]
    return float(max(other) / size), float(max(own) / size)

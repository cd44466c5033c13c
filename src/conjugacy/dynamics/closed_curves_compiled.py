"""Compiled loops over clouds of points: thinning, and the minimum spanning tree."""

from __future__ import annotations

import numpy as np

from conjugacy.dynamics.tangent_compiled import jit


@jit
def thin(points, gap, most):
    """Indices of `points` (N, d) that lie farther than `gap` from all kept before them; stops at `most`."""
    n, d = points.shape
    kept = np.empty(most, np.int64)
    count, limit = 0, gap * gap
    for i in range(n):
        free = True
        for c in range(count - 1, -1, -1):
            total = 0.0
            for a in range(d):
                diff = points[i, a] - points[kept[c], a]
                total += diff * diff
                if total > limit:
                    break
            if total <= limit:
                free = False
                break
        if free:
            kept[count] = i
            count += 1
            if count == most:
                break
    return kept[:count]


@jit
def spanning_tree(points):
    """The minimum spanning tree of `points` (N, d): the parent (N,) of each, -1 at the first, and edge lengths (N,)."""
    n, d = points.shape
    parent, length = np.full(n, -1, np.int64), np.full(n, np.inf)
    inside = np.zeros(n, np.bool_)
    now = 0
    length[0] = 0.0
    for _ in range(n - 1):
        inside[now] = True
        nearest, shortest = -1, np.inf
        for i in range(n):
            if inside[i]:
                continue
            total = 0.0
            for a in range(d):
                diff = points[i, a] - points[now, a]
                total += diff * diff
            if total < length[i]:
                length[i] = total
                parent[i] = now
            if length[i] < shortest:
                nearest, shortest = i, length[i]
        if nearest < 0:
            break
        now = nearest
    return parent, np.sqrt(length)

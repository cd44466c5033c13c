"""Plateaus: sets of states that hold on the horizon, each of them one thing. A memory may be a point, a line, a ring.

Ends of orbits belong to one plateau if a path joins them all of whose states hold. The path is the straight line,
carried along by the flow for one horizon and refined five times at its widest gap: on a plateau the gaps close and all
that was carried rests; at a saddle between two memories a gap remains, since what grows more than twentyfold within the
horizon tears the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_last
from conjugacy.dynamics.distances import distances
from conjugacy.dynamics.horizon import STATE_MOVES, TOLERANCE, carried
from conjugacy.dynamics.loops import Loop, widest_gap
from conjugacy.dynamics.map import Map

_N_REFINED, _TEAR = 5, 0.4
_MOST_LEADERS = 48
_SILENT = 0.1  # of the range that a channel has in all trials
_FLAT = 0.02  # of the spread: states nearer than this are not told apart


@dataclass(frozen=True, eq=False)
class Plateau:
    """One set of states on which orbits from the data rest for the horizon.

    Attributes
    ----------
    states : Tensor (M, D)
        Ends of orbits that lie on it.
    readout : Tensor (O,)
        Mean readout of these (nothing, where there is no readout).
    share : float
        Of the orbits followed, those that ended here, in [0, 1].
    dimension : int
        Neutral directions (the median over its states); 0 for a point.
    extent : float
        Root mean square distance of its states from their mean, in units of the spread of the visited states.
    topology : str
        "point", "ring" (closed round a hole; more than one direction may be neutral), "line" (an open one), "sheet"
        (two dimensions) or "plateau" (more).
    """

    states: Tensor
    readout: Tensor
    share: float
    dimension: int
    extent: float
    topology: str

    def angles(self, x: Any = None) -> Tensor:
        """Where states lie on the way round a ring.

        Parameters
        ----------
        x : array (..., D), optional
            Default: `states`.

        Returns
        -------
        Tensor (...)
            Angles in rad, in (-pi, pi], about the centre of the ring in the plane of its two leading principal
            components. Where 0 is, and which way round is positive, are arbitrary.

        Raises
        ------
        ValueError
            If the plateau is no ring, or states have another size.
        """
        if self.topology != "ring":
            raise ValueError(f"`topology`: expected a ring, whose places are angles, got a {self.topology}.")
        at = self.states if x is None else torch.as_tensor(x)
        check_last("x", at, self.states.shape[1], hint="The last axis is the state.")
        return Loop(self.states).angles(at)


class Ruler:
    """Distances between states in units of what is visited: of the states, and of the readout where there is one.

    Channels of the readout that hardly move (before a response is due, say) tell nothing of a memory: those that cover
    less than a tenth of `Map.output_range`, where that is known, and constant ones.

    Attributes
    ----------
    scale : float
        Spread of the visited states.
    ranges : Tensor (O,)
        From the 5 % to the 95 % quantile of each channel of the readout; 0 for those that tell nothing.
    range : float
        Their root mean square over all channels, 1 where none tells anything.
    tells : bool Tensor (O,)
        Which channels take part in distances.
    """

    def __init__(self, dynamics: Map, visited: Tensor, scale: float):
        self.read, self.scale = dynamics.readout, scale
        y = self.readout(visited[:: max(1, len(visited) // 2000)])
        self.ranges = y.quantile(0.95, 0) - y.quantile(0.05, 0) if y.shape[1] else y.new_zeros(0)
        if dynamics.output_range is not None:
            self.ranges[self.ranges < _SILENT * dynamics.output_range] = 0.0
        self.tells = self.ranges > 0
        self.range = float(self.ranges.square().mean().sqrt()) if bool(self.tells.any()) else 1.0

    def readout(self, x: Tensor) -> Tensor:
        """The readout (N, O) in float64; of systems without, nothing (N, 0)."""
        if self.read is None:
            return x.new_zeros(len(x), 0)
        with torch.no_grad():
            y = self.read(x).double()
        return y[:, None] if y.ndim == 1 else y.flatten(1)

    def coordinates(self, x: Tensor) -> Tensor:
        """Coordinates (N, D + O) in which distances are taken."""
        return torch.cat([x / self.scale, self.readout(x)[:, self.tells] / self.range], 1)


def joined(dynamics: Map, a: Tensor, b: Tensor, u: Tensor, h: float, n_steps: int, ruler: Ruler) -> Tensor:
    """Whether states on the way from each row of `a` to the same row of `b` (N, D) hold all along, bool (N,)."""
    left, right = torch.zeros(len(a), 1, dtype=torch.float64), torch.ones(len(a), 1, dtype=torch.float64)
    ends = ruler.coordinates(carried(dynamics, torch.cat([a, b]), u, h, n_steps))
    at_left, at_right = ends[: len(a)], ends[len(a) :]
    whole = (at_left - at_right).norm(dim=-1)
    yes = whole <= _FLAT
    for _ in range(_N_REFINED):
        k = torch.nonzero(~yes & torch.isfinite(whole))[:, 0]
        if not len(k):
            break
        middle = (left[k] + right[k]) / 2
        x = carried(dynamics, a[k] + middle * (b[k] - a[k]), u, h, n_steps)
        way = dynamics.residual(x, u.expand(len(x), -1)).norm(dim=-1) * (n_steps * h)
        at, at_rest = ruler.coordinates(x), way <= STATE_MOVES * ruler.scale
        to_left, to_right = (at - at_left[k]).norm(dim=-1), (at - at_right[k]).norm(dim=-1)
        first = (to_left >= to_right)[:, None]
        left[k], right[k] = torch.where(first, left[k], middle), torch.where(first, middle, right[k])
        at_left[k] = torch.where(first, at_left[k], at)
        at_right[k] = torch.where(first, at, at_right[k])
        yes[k] = torch.maximum(to_left, to_right) <= _TEAR * whole[k]
        whole[k[~at_rest]] = torch.inf
    return yes & torch.isfinite(whole)


def grouped(dynamics: Map, ends: Tensor, u: Tensor, h: float, n_steps: int, ruler: Ruler) -> list[Tensor]:
    """The rows of `ends` (N, D) by plateau, largest group first.

    Ends whose readouts are told apart by an empty band (see `readout_levels`) are different memories, whatever joins
    them: on networks with saturated gates states between two memories may hold for the horizon too, but no orbit from
    the data ends there.
    """
    if not len(ends):
        return []
    where = ruler.coordinates(ends)
    pattern = readout_levels(ruler.readout(ends), ruler.ranges)
    leaders, of = _leaders(where, pattern)
    gap = distances(where[leaders], where[leaders])
    label = pattern[leaders].numpy().copy()
    gap[torch.from_numpy(label[:, None] != label[None, :])] = torch.inf
    pairs = np.concatenate([_spanning_tree(gap, np.flatnonzero(label == k)) for k in np.unique(label)])
    chosen = ends[leaders]
    yes = joined(dynamics, chosen[pairs[:, 0]], chosen[pairs[:, 1]], u, h, n_steps, ruler).numpy()
    part = _components(len(leaders), pairs[yes])
    tried = _second_chances(gap, label, part)
    if len(tried):
        more = joined(dynamics, chosen[tried[:, 0]], chosen[tried[:, 1]], u, h, n_steps, ruler).numpy()
        part = _components(len(leaders), np.concatenate([pairs[yes], tried[more]]))
    group = torch.from_numpy(part)[of].long()
    sizes = torch.bincount(group)
    return [torch.nonzero(group == k)[:, 0] for k in sizes.argsort(descending=True).tolist() if sizes[k]]


def readout_levels(readout: Tensor, ranges: Tensor, width: float = 0.35, outliers: float = 0.01) -> Tensor:
    """Numbers (N,) of the patterns in which readouts (N, O) fall, where bands that hardly any lie in divide them.

    A band is a `width` of the channel's range with at most a share of `outliers` of the rows inside it and more than
    twice that on either side. Channels without one (those of a ring or a line) divide nothing.
    """
    pattern = torch.zeros(len(readout), dtype=torch.int64)
    for k in range(readout.shape[1]):
        if float(ranges[k]) <= 0:
            continue
        y = readout[:, k] / ranges[k]
        level = torch.zeros(len(y), dtype=torch.int64)
        for cut in _cuts(y.sort().values, width, outliers):
            level += y > cut
        pattern = pattern * (int(level.max()) + 1) + level
    return torch.unique(pattern, return_inverse=True)[1]


def _cuts(y: Tensor, width: float, outliers: float) -> list[float]:
    n = len(y)
    most, least = int(outliers * n), max(1, int(2 * outliers * n))
    above = torch.searchsorted(y, y + width)
    inside = above - torch.arange(n) - 1
    ok = (inside <= most) & (torch.arange(n) + 1 >= least) & (n - above >= least)
    cuts: list[float] = []
    for k in torch.nonzero(ok)[:, 0].tolist():
        cut = float(y[k]) + width / 2
        # bands that overlap are one
        if not cuts or cut - cuts[-1] > width:
            cuts.append(cut)
    return cuts


def _second_chances(gap: Tensor, label: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Of every two groups with the same pattern the three nearest pairs of leaders, (K, 2)."""
    tried: list[tuple[int, int]] = []
    names = np.unique(part)
    for k, one in enumerate(names):
        for two in names[k + 1 :]:
            rows, columns = np.flatnonzero(part == one), np.flatnonzero(part == two)
            if label[rows[0]] == label[columns[0]]:
                block = gap[rows][:, columns].flatten()
                at = block.argsort()[:3].tolist()
                tried += [(int(rows[i // len(columns)]), int(columns[i % len(columns)])) for i in at]
    # so many parts are no splinters
    return np.array(tried if len(tried) <= 4 * _MOST_LEADERS else [], dtype=int).reshape(-1, 2)


def _leaders(where: Tensor, pattern: Tensor) -> tuple[Tensor, Tensor]:
    """Rows that stand for all, no two of a pattern within a gap; and for every row its leader's number."""
    # patterns lie apart in a coordinate of their own
    where = torch.cat([where, 1e3 * pattern[:, None].double()], 1)
    gap = _FLAT
    while True:
        kept: list[int] = []
        left = torch.ones(len(where), dtype=torch.bool)
        while bool(left.any()) and len(kept) <= _MOST_LEADERS:
            k = int(torch.nonzero(left)[0])
            kept.append(k)
            left &= (where - where[k]).norm(dim=-1) > gap
        if len(kept) <= _MOST_LEADERS:
            break
        gap *= 1.3
    rows = torch.tensor(kept)
    return rows, distances(where, where[rows]).argmin(1)


def _spanning_tree(gap: Tensor, rows: np.ndarray) -> np.ndarray:
    """The pairs of the minimum spanning tree of some `rows` of points with these distances, (len(rows) - 1, 2)."""
    from scipy.sparse.csgraph import minimum_spanning_tree

    # equal points have distance zero, which a sparse graph takes for no edge
    tree: Any = minimum_spanning_tree(gap[rows][:, rows].clamp_min(1e-12).fill_diagonal_(0).numpy()).tocoo()
    return np.stack([rows[tree.row], rows[tree.col]], 1).astype(int)


def _components(n: int, pairs: np.ndarray) -> np.ndarray:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = pairs.reshape(-1, 2)
    return connected_components(coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n)), False)[1]


def shape_of(dynamics: Map, states: Tensor, u: Tensor, h: float, n_steps: int, ruler: Ruler, n_neutral: int):
    """Dimension, extent and topology of the plateau that `states` (M, D) fill.

    A line is closed if the minimum spanning tree of its states has two ends that lie next to each other and are joined.
    """
    centre = states.mean(0)
    extent = float((states - centre).square().sum(-1).mean().sqrt()) / ruler.scale
    if n_neutral == 0 or extent < TOLERANCE:
        return 0, extent, "point"
    if _round_a_hole(dynamics, states, u, h, n_steps, ruler):
        return n_neutral, extent, "ring"
    if n_neutral > 1:
        return n_neutral, extent, "sheet" if n_neutral == 2 else "plateau"
    return 1, extent, "ring" if _closed(dynamics, states, u, h, n_steps, ruler) else "line"


def _round_a_hole(dynamics, states, u, h, n_steps, ruler) -> bool:
    gap = widest_gap(states)
    if gap is None:
        return False
    a, b = gap
    return bool(joined(dynamics, states[a : a + 1], states[b : b + 1], u, h, n_steps, ruler)[0])


def _closed(dynamics, states, u, h, n_steps, ruler) -> bool:
    leaders = _leaders(states / ruler.scale, torch.zeros(len(states), dtype=torch.int64))[0]
    if len(leaders) < 5:
        return False
    chosen = states[leaders]
    gap = distances(chosen, chosen)
    tree = _spanning_tree(gap, np.arange(len(chosen)))
    a, b, length = _longest_path(tree, gap)
    # the ends of a line are its farthest states, those of an opened ring are neighbours
    if float(gap[a, b]) > 0.25 * length:
        return False
    return bool(joined(dynamics, chosen[a : a + 1], chosen[b : b + 1], u, h, n_steps, ruler)[0])


def _longest_path(tree: np.ndarray, gap: Tensor) -> tuple[int, int, float]:
    """The two ends of the longest path in a tree of points with these distances, and its length."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import shortest_path

    n = len(gap)
    weights = gap.numpy()[tree[:, 0], tree[:, 1]].clip(1e-12)
    graph = coo_matrix((weights, (tree[:, 0], tree[:, 1])), shape=(n, n))
    ways = shortest_path(graph, directed=False)
    a, b = divmod(int(ways.argmax()), n)
    return a, b, float(ways[a, b])

"""Portrait: the skeleton of a flow. Which points, who joins whom, how fast, and how all this answers to held inputs.

A saddle with one unstable direction stands on the border between basins: its unstable manifold has two branches, and
each ends in an attractor. Followed, they turn the set of fixed points into a graph (Maheswaranathan et al., NeurIPS
2019, Fig. 1; for the 3-bit flip-flop the edges of the cube). The graph, the counts and the spectra are the same in
every coordinate system. What holds on a horizon only is built from plateaus, the saddles between them and the walls
between their basins (`portrait_nodes.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_int, check_number, check_option, options_of, shown
from conjugacy._html import card, html_table, sentence
from conjugacy._threads import torch_threads
from conjugacy.dynamics.branches import saddle_edges
from conjugacy.dynamics.horizon import GROWTH
from conjugacy.dynamics.points import FixedPoints
from conjugacy.dynamics.portrait_nodes import Node, edges_of, indices_sum, nodes_of


@dataclass(frozen=True, eq=False)
class Portrait:
    """The skeleton of one flow. Nodes are its fixed points, or what holds on its horizon: see `kinds` and `topologies`.

    Attributes
    ----------
    counts : dict of int to int
        Number of nodes by number of unstable directions.
    index_sum : int or None
        None where the index of a node is undefined (plateaus but for rings, whose Morse-Bott index is 0).
    n_unstable : tuple of int (P,)
    edges : tuple of (saddle, end, end)
        For each one-unstable node the stable ones that its two branches reach; -1: none was reached.
    labels : tuple of str (P,)
        The readout of each point, one sign per channel ("+-+"), where there is a readout; else "".
    eigenvalues : complex Tensor (P, D)
        Of the Jacobians, the slowest first; of a flow, those of the map over one unit of time.
    cycles : tuple of float
        Periods of the limit cycles seen.
    step : float
        Duration of a step of the map: dt in s where it is known, else 1.
    response : dict of label to dict of int to int
        Counts by index under other held inputs; filled by `with_response`.
    horizon : float or None
        In the unit of `step`; None: exact points only, which hold for ever.
    kinds : tuple of str (P,)
        "fixed", "held", or "wall": no saddle was found, but the basins of its two ends meet.
    topologies, dimensions, extents : tuples (P,)
        "point", "ring", "line", "sheet" or "plateau"; number of neutral directions; size in units of the spread of the
        visited states.
    horizons : tuple of float (P,)
        For how long each node was seen to hold, in the unit of `step`; NaN for saddles.
    rows : tuple of int (P,)
        Number of the node's point in the FixedPoints it was made from; -1 for walls.
    neighbours : tuple of (node, node, count)
        Memories whose basins were seen to meet, and at how many walls.
    apart : tuple of int
        Points that are no nodes: no orbit from the data ends there, or they lie beyond the reach of the search.
    """

    counts: dict[int, int]
    index_sum: int | None
    n_unstable: tuple[int, ...]
    edges: tuple[tuple[int, int, int], ...]
    labels: tuple[str, ...]
    eigenvalues: Tensor
    cycles: tuple[float, ...] = ()
    step: float = 1.0
    response: dict[str, dict[int, int]] = field(default_factory=dict)
    name: str = ""
    horizon: float | None = None
    kinds: tuple[str, ...] = ()
    topologies: tuple[str, ...] = ()
    dimensions: tuple[int, ...] = ()
    extents: tuple[float, ...] = ()
    horizons: tuple[float, ...] = ()
    rows: tuple[int, ...] = ()
    neighbours: tuple[tuple[int, int, int], ...] = ()
    apart: tuple[int, ...] = ()

    def __repr__(self) -> str:
        counts = " + ".join(f"{n} x {k}-unstable" for k, n in self.counts.items()) or "no fixed points"
        named = Counter(t for t in self.topologies if t in ("ring", "line", "sheet"))
        parts = [f"{n} {name}" + "s" * (n > 1) for name, n in named.items()]
        parts += [] if self.index_sum is None else [f"index sum {self.index_sum:+d}"]
        walls = self.kinds.count("wall")
        parts.append(f"{len(self.edges)} saddle edges" + (f", {walls} of them walls without a saddle" if walls else ""))
        parts += [f"{self.n_lost} branches end nowhere"] if self.n_lost else []
        parts += [f"{len(self.cycles)} cycles"] if self.cycles else []
        parts += [f"{len(self.apart)} points apart"] if self.apart else []
        return f"Portrait({counts}, {', '.join(parts)})"

    def _repr_html_(self) -> str:
        pairs = self.pairs()
        names = [label or str(k) for k, label in enumerate(self.labels)]
        rows = [
            {"memory": names[a], "joined to": names[b], "by saddles": saddles, "walls seen": walls or None}
            for a, b, saddles, walls in zip(*(pairs[c].tolist() for c in ("a", "b", "saddles", "walls")))
        ]
        known = f"{self.counts.get(0, 0)} memories, {sum(n for k, n in self.counts.items() if k)} saddles"
        return card(f"{self.name or 'Portrait'}: {known}", sentence(repr(self)), html_table(rows, ".pairs()"))

    @property
    def n_lost(self) -> int:
        """Number of branches of one-unstable saddles that end at no stable node."""
        return sum((a < 0) + (b < 0) for _, a, b in self.edges)

    def pairs(self):
        """One row per pair of stable nodes that are joined: by how many saddles, at how many walls; a pandas DataFrame.

        Column "agree" tells whether both ways of looking found the pair; None where walls were not sought.
        """
        import pandas as pd

        walls = {(a, b): n for a, b, n in self.neighbours}
        saddles = Counter((a, b) for s, a, b in self.edges if a >= 0 and a != b and self._kind(s) != "wall")
        rows = []
        for a, b in sorted({*walls, *saddles}):
            met = walls.get((a, b), 0)
            agree = (met > 0) == (saddles[a, b] > 0) if walls else None
            rows.append((a, b, self.labels[a], self.labels[b], saddles[a, b], met, agree))
        return pd.DataFrame(rows, columns=["a", "b", "label_a", "label_b", "saddles", "walls", "agree"])

    def _kind(self, node: int) -> str:
        return self.kinds[node] if self.kinds else "fixed"

    def at_horizon(self, horizon: float) -> Portrait:
        """The same skeleton judged on another horizon, in the unit of `step`.

        Memories that were not seen to hold for it are left out, with the edges that lead to them, and directions count
        as unstable by the new horizon (modulus > 1 + 3/H). What exists on the new horizon only is not found this way.
        """
        rate = self.eigenvalues.abs().clamp_min(1e-300).log() / self.step * check_number("horizon", horizon, 0)
        growing = (rate > GROWTH).sum(1).tolist() if len(self.eigenvalues) else []
        n_unstable = tuple(1 if self._kind(p) == "wall" else growing[p] for p in range(len(self.n_unstable)))
        keep = [p for p, n in enumerate(n_unstable) if not (self.horizons and n == 0 and self.horizons[p] < horizon)]
        place = {old: new for new, old in enumerate(keep)} | {-1: -1}
        edges = [(s, a, b) for s, a, b in self.edges if s in place and n_unstable[s] == 1]
        ends = [(place[s], *sorted((place.get(a, -1), place.get(b, -1)))) for s, a, b in edges]
        chosen = {
            name: tuple(getattr(self, name)[p] for p in keep) if getattr(self, name) else ()
            for name in ("labels", "kinds", "topologies", "dimensions", "extents", "horizons", "rows")
        }
        near = [(place[a], place[b], n) for a, b, n in self.neighbours if a in place and b in place]
        n_kept = tuple(n_unstable[p] for p in keep)
        return replace(
            self,
            counts=dict(sorted(Counter(n_kept).items())),
            index_sum=self.index_sum if len(keep) == len(n_unstable) and n_kept == self.n_unstable else None,
            n_unstable=n_kept,
            edges=tuple(ends),
            eigenvalues=self.eigenvalues[keep],
            neighbours=tuple(near),
            horizon=horizon,
            **chosen,
        )

    @property
    def time_constants(self) -> Tensor:
        """Slowest e-folding time at each point (P,), in the unit of `step`: > 0 decaying, < 0 growing."""
        if not len(self.eigenvalues):
            return torch.zeros(0, dtype=torch.float64)
        return -self.step / self.eigenvalues[:, 0].abs().clamp_min(1e-300).log()

    def adjacency(self) -> np.ndarray:
        """Number of one-unstable saddles between each pair of stable points, int (A, A), in the order of the points."""
        stable = [p for p, n in enumerate(self.n_unstable) if n == 0]
        row = {p: k for k, p in enumerate(stable)}
        matrix = np.zeros((len(stable), len(stable)), dtype=int)
        for _, a, b in self.edges:
            if a in row and b in row:
                matrix[row[a], row[b]] += 1
                if a != b:
                    matrix[row[b], row[a]] += 1
        return matrix

    def table(self):
        """One row per saddle edge: the saddle, the two ends and their labels, as a pandas DataFrame."""
        import pandas as pd

        def name(p):
            return self.labels[p] if p >= 0 else "(none reached)"

        rows = [(s, self.labels[s], a, b, name(a), name(b)) for s, a, b in self.edges]
        return pd.DataFrame(rows, columns=["saddle", "saddle_label", "end_a", "end_b", "label_a", "label_b"])

    def with_response(self, response: dict[str, dict[int, int]]) -> Portrait:
        """The same portrait with counts by index under held inputs, see `input_response`."""
        return replace(self, response=dict(response))


@torch_threads(1)  # many small steps of few orbits
def portrait(
    points: FixedPoints,
    *,
    n_steps: int = 20_000,
    offset: float = 1e-3,
    inputs: Sequence[Any] | None = None,
    **search: Any,
) -> Portrait:
    """The portrait of a system from its fixed points.

    Parameters
    ----------
    points : FixedPoints
        As returned by `fixed_points` (one loaded from a file needs its `dynamics`).
    n_steps : int
        Longest way a branch is followed, in steps (a flow: time steps of 0.1 over its fastest rate).
    offset : float
        Distance from the saddle at which a branch begins, in units of the distance to the nearest other point.
    inputs : sequence of held inputs (I,), optional
        Also count the points under each of these (`input_response`); `search` goes to `fixed_points`.

    Raises
    ------
    ValueError
        If `points` have lost their dynamics.
    """
    if not isinstance(points, FixedPoints):
        raise TypeError(f"`points`: expected FixedPoints, got {shown(points)}. Make them with fixed_points(..).")
    single = isinstance(inputs, (str, bytes)) or not hasattr(inputs, "__iter__") or getattr(inputs, "ndim", 1) == 0
    if inputs is not None and single:
        raise TypeError(f"`inputs`: expected a sequence of held inputs, got {shown(inputs)}. Put it into a list.")
    if inputs is None and search:
        from conjugacy.dynamics.search import fixed_points

        name, value = next(iter(search.items()))
        check_option(name, value, options_of(portrait, fixed_points), "portrait")
        raise TypeError(
            f"`{name}`: expected only with `inputs`, got {shown(value)} without. Drop it, or give `inputs`."
        )
    check_int("n_steps", n_steps, 1)
    check_number("offset", offset, 0, 1, open_low=True)
    if points.dynamics is None:
        raise ValueError(
            "`points`: expected fixed points that know their dynamics, got ones loaded without. "
            "Use FixedPoints.load(path, dynamics=as_map(system))."
        )
    held = len(points.plateaus) > 0 or bool((points.kind == "held").any())
    made = _held_portrait(points) if held else _exact_portrait(points, n_steps, offset)
    made = replace(
        made,
        cycles=tuple(c.period for c in points.cycles),
        step=1.0 if points.dt is None else points.dt,
        name=points.dynamics.name,
    )
    if inputs is not None:
        from conjugacy.dynamics.continuation import input_response

        made = made.with_response(input_response(points.dynamics, inputs, **search))
    return made


def _exact_portrait(points: FixedPoints, n_steps: int, offset: float) -> Portrait:
    fixed = points[points.fixed & points.counted]
    values, read = torch.from_numpy(fixed.eigenvalues), fixed.readout
    n_unstable = tuple(fixed.n_unstable.tolist())
    return Portrait(
        counts=dict(sorted(Counter(n_unstable).items())),
        index_sum=fixed.index_sum,
        n_unstable=n_unstable,
        edges=saddle_edges(fixed, n_steps, offset),
        labels=("",) * len(fixed) if read is None else labels_of(fixed, torch.from_numpy(read)),
        eigenvalues=torch.exp(values) if fixed.flow else values,
        apart=tuple(np.flatnonzero(points.fixed & ~points.counted).tolist()),
    )


def _held_portrait(points: FixedPoints) -> Portrait:
    nodes, apart = nodes_of(points)
    n_unstable = tuple(node.n_unstable for node in nodes)
    values = torch.stack([n.eigenvalues for n in nodes]) if nodes else torch.from_numpy(points.eigenvalues[:0])
    # a wall has no spectrum of its own: all its modes are taken as gone within a step
    walls = torch.tensor([n.kind == "wall" for n in nodes], dtype=torch.bool)
    if points.flow:
        values = torch.where(walls[:, None], 0.0, torch.exp(values))
    clock = 1.0 if points.dt is None else points.dt
    return Portrait(
        counts=dict(sorted(Counter(n_unstable).items())),
        index_sum=indices_sum(nodes),
        n_unstable=n_unstable,
        edges=edges_of(nodes),
        labels=_labels(points, nodes),
        eigenvalues=values,
        horizon=None if points.asked_horizon is None else points.asked_horizon * clock,
        kinds=tuple(n.kind for n in nodes),
        topologies=tuple(n.topology for n in nodes),
        dimensions=tuple(n.dimension for n in nodes),
        extents=tuple(n.extent for n in nodes),
        horizons=tuple(n.horizon * clock for n in nodes),
        rows=tuple(n.row for n in nodes),
        neighbours=points.walls,
        apart=tuple(apart),
    )


def _labels(points: FixedPoints, nodes: list[Node]) -> tuple[str, ...]:
    read = [node.readout for node in nodes]
    known = [y for y in read if y is not None]
    if not known or len(known) < len(read) or points.dynamics is None:
        return ("",) * len(nodes)
    return labels_of(points, torch.stack(known))


def labels_of(points: FixedPoints, y: Tensor | None) -> tuple[str, ...]:
    """Signs of the readouts `y` (N, O) about the middle of their range; "0" within a third of the range."""
    if y is None or points.dynamics is None or not len(y) or y.shape[1] == 0:
        return ("",) * (0 if y is None else len(y))
    stable = y[: int((points.n_unstable == 0).sum())]
    seen = stable if len(stable) > 1 else y
    if points.dynamics.visited is not None and points.dynamics.readout is not None:
        # what the system reads out on its trials; a held input may leave the points a part of it only
        states = points.dynamics.visited
        with torch.no_grad():
            seen = points.dynamics.readout(states[:: max(1, len(states) // 2000)]).double().reshape(-1, y.shape[1])
    low, high = seen.quantile(0.05, 0), seen.quantile(0.95, 0)
    level = (y - (low + high) / 2) / (high - low).clamp_min(1e-12)
    return tuple("".join("+" if v > 1 / 6 else "-" if v < -1 / 6 else "0" for v in row) for row in level.tolist())

"""The nodes of a portrait: what of FixedPoints is one thing, and which things lie away from the data.

A plateau is one node, however many points were found on it; so are the saddles that grow in as many directions and
separate the same memories. Two memories whose basins meet have a wall between them, hence a set on it that grows in one
direction only; where no saddle was found there the wall itself stands for it (kind "wall").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from conjugacy.dynamics.horizon import on_horizon
from conjugacy.dynamics.points import FixedPoints


@dataclass(frozen=True, eq=False)
class Node:
    """One node; `row` is its point (-1: a wall), `sides` the plateaus that it separates, `index` None: undefined."""

    row: int
    n_unstable: int
    kind: str
    eigenvalues: Tensor
    horizon: float
    dimension: int = 0
    extent: float = 0.0
    topology: str = "point"
    index: int | None = None
    readout: Tensor | None = None
    sides: tuple[int, ...] = ()


def nodes_of(points: FixedPoints) -> tuple[list[Node], list[int]]:
    """The nodes, stable ones first and in the order of `points.plateaus`; and the points that lie apart."""
    horizon = points.asked_horizon
    if horizon is None:
        raise ValueError("`points`: expected points found with a horizon, got exact ones only.")
    values = torch.from_numpy(points.eigenvalues)
    growing = on_horizon(values, horizon, points.flow)[0].numpy()
    read = None if points.readout is None else torch.from_numpy(points.readout)
    nodes = [_of_plateau(points, k, growing) for k in range(len(points.plateaus))]
    apart: list[int] = []
    others: list[Node] = []
    for p in range(len(points)):
        if int(points.node[p]) >= 0 or points.kind[p] in ("slow", "unresolved"):
            continue
        if not (bool(points.counted[p]) and bool(points.reached[p])):
            apart.append(p)
            continue
        sides = tuple(int(k) for k in points.sides[p].split(",")) if points.sides[p] else ()
        index = int(points.index[p]) if points.kind[p] == "fixed" and bool(points.isolated[p]) else None
        others.append(
            Node(
                row=p,
                n_unstable=int(growing[p]),
                kind=str(points.kind[p]),
                eigenvalues=values[p],
                horizon=float(points.horizon[p]),
                index=index,
                readout=None if read is None else read[p],
                sides=sides,
            )
        )
    found = {node.sides for node in others if node.n_unstable == 1}
    for a, b, _ in points.walls:
        if (a, b) not in found:
            nothing = torch.zeros_like(values[0])
            middle = None if read is None else (points.plateaus[a].readout + points.plateaus[b].readout) / 2
            others.append(Node(-1, 1, "wall", nothing, float("nan"), readout=middle, sides=(a, b)))
    return nodes + sorted(others, key=lambda node: (node.n_unstable, node.row < 0)), apart


def _of_plateau(points: FixedPoints, k: int, growing: np.ndarray) -> Node:
    plateau = points.plateaus[k]
    rows = np.flatnonzero(points.node == k)
    # the exact points come first among the rows; a stable one stands for the plateau rather than a weak saddle on it
    row = int(rows[points.n_unstable[rows].argmin()])
    index: int | None = None
    if plateau.topology == "point" and points.kind[row] == "fixed" and bool(points.isolated[row]):
        index = int(points.index[row])
    elif plateau.topology == "ring":
        # Morse-Bott: the Euler characteristic of the circle, whatever grows across it
        index = 0
    return Node(
        row=row,
        n_unstable=int(growing[row]),
        kind=str(points.kind[row]),
        eigenvalues=torch.from_numpy(points.eigenvalues[row]),
        horizon=float(points.horizon[row]),
        dimension=plateau.dimension,
        extent=plateau.extent,
        topology=plateau.topology,
        index=index,
        readout=plateau.readout,
    )


def edges_of(nodes: list[Node]) -> tuple[tuple[int, int, int], ...]:
    """(node, end, end) for each node that grows in one direction; -1: that branch ends at no memory known."""
    edges = []
    for number, node in enumerate(nodes):
        if node.n_unstable == 1 and node.sides:
            ends = node.sides if len(node.sides) > 1 else node.sides * 2
            edges.append((number, min(ends), max(ends)))
    return tuple(edges)


def indices_sum(nodes: list[Node]) -> int | None:
    """The sum of the indices; None where one of them is undefined."""
    indices = [node.index for node in nodes]
    return None if any(k is None for k in indices) else int(np.sum([k for k in indices if k is not None]))

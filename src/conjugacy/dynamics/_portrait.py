"""Portrait: the skeleton of a flow. Which points, who joins whom, how fast, and how all this answers to held inputs.

A saddle with one unstable direction stands on the border between basins: its unstable manifold has two branches, and
each ends in an attractor. Followed, they turn the set of fixed points into a graph (Maheswaranathan et al., NeurIPS
2019, Fig. 1; for the 3-bit flip-flop the edges of the cube). The graph, the counts and the spectra are the same in
every coordinate system.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_int, check_number
from conjugacy._threads import torch_threads
from conjugacy.dynamics.distances import distances
from conjugacy.dynamics.orbits import Attractors, settle, time_step
from conjugacy.dynamics.points import FixedPoints
from conjugacy.dynamics.starts import spread


@dataclass(frozen=True, eq=False)
class Portrait:
    """The skeleton of one flow. Points are numbered as in the FixedPoints it was made from (fixed ones only).

    Attributes
    ----------
    counts : dict of int to int
        Number of fixed points by number of unstable directions.
    index_sum : int or None
    n_unstable : tuple of int (P,)
    edges : tuple of (saddle, end, end)
        For each one-unstable saddle the stable points that its two branches reach; -1: none was reached.
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

    def __repr__(self) -> str:
        counts = " + ".join(f"{n} x {k}-unstable" for k, n in self.counts.items()) or "no fixed points"
        sum_ = "" if self.index_sum is None else f", index sum {self.index_sum:+d}"
        cycles = f", {len(self.cycles)} cycles" if self.cycles else ""
        return f"Portrait({counts}{sum_}, {len(self.edges)} saddle edges{cycles})"

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
    check_int("n_steps", n_steps, 1)
    check_number("offset", offset, 0, 1, open_low=True)
    if points.dynamics is None:
        raise ValueError(
            "`points`: expected fixed points that know their dynamics, got ones loaded without. "
            "Use FixedPoints.load(path, dynamics=as_map(system))."
        )
    fixed = points[points.fixed]
    n_unstable = tuple(fixed.n_unstable.tolist())
    values = torch.exp(fixed.eigenvalues) if fixed.flow else fixed.eigenvalues
    made = Portrait(
        counts=dict(sorted(Counter(n_unstable).items())),
        index_sum=fixed.index_sum,
        n_unstable=n_unstable,
        edges=_edges(fixed, n_steps, offset),
        labels=_labels(fixed),
        eigenvalues=values,
        cycles=tuple(c.period for c in points.cycles),
        step=1.0 if points.dt is None else points.dt,
        name=points.dynamics.name,
    )
    if inputs is not None:
        from conjugacy.dynamics.continuation import input_response

        made = made.with_response(input_response(points.dynamics, inputs, **search))
    return made


def unstable_branches(points: FixedPoints, offset: float = 1e-3) -> tuple[Tensor, Tensor]:
    """Where the branches of the one-unstable saddles begin: positions of the saddles (S,), and starts (S, 2, D)."""
    saddles = torch.nonzero((points.n_unstable == 1) & torch.from_numpy(points.fixed))[:, 0]
    if not len(saddles):
        return saddles, torch.zeros(0, 2, points.x.shape[1], dtype=torch.float64)
    some = points[saddles.numpy()]
    # a single unstable eigenvalue is real, and so is its eigenvector up to a phase
    vector = torch.linalg.eig(some.jacobian)
    which = (vector[0].real if points.flow else vector[0].abs()).argmax(1)
    v = torch.stack([vector[1][s, :, k] for s, k in enumerate(which.tolist())])
    pivot = v.gather(1, v.abs().argmax(1, keepdim=True))
    v = (v / pivot).real
    v = v / v.norm(dim=-1, keepdim=True)
    gap = distances(some.x, points.x)
    gap = torch.where(gap > 1e-9, gap, torch.inf).amin(1).clamp_max(1.0)
    away = offset * gap[:, None] * v
    return saddles, torch.stack([some.x - away, some.x + away], 1)


def _edges(points: FixedPoints, n_steps: int, offset: float) -> tuple[tuple[int, int, int], ...]:
    saddles, starts = unstable_branches(points, offset)
    if not len(saddles):
        return ()
    dynamics, u = points.dynamics, points.u[0]
    if dynamics is None:
        return ()
    scale = spread(points.x)
    h = time_step(dynamics, points.x, u)
    stable = torch.nonzero(points.n_unstable == 0)[:, 0]
    end = settle(dynamics, starts.flatten(0, 1), u, Attractors.of(points, scale, h), n_steps, h)
    reached = torch.where(end.where >= 0, stable[end.where.clamp_min(0)], -1) if len(stable) else end.where
    ends = reached.reshape(-1, 2)
    return tuple((s, min(a, b), max(a, b)) for s, (a, b) in zip(saddles.tolist(), ends.tolist()))


def _labels(points: FixedPoints) -> tuple[str, ...]:
    """Signs of the readout about the middle of its range, channel by channel; "0" within a third of the range."""
    y = points.readout
    if y is None or points.dynamics is None or not len(points):
        return ("",) * len(points)
    stable = y[points.n_unstable == 0]
    seen = stable if len(stable) > 1 else y
    if points.dynamics.visited is not None and points.dynamics.readout is not None:
        # what the system reads out on its trials; a held input may leave the points a part of it only
        states = points.dynamics.visited
        with torch.no_grad():
            seen = points.dynamics.readout(states[:: max(1, len(states) // 2000)]).double().reshape(-1, y.shape[1])
    low, high = seen.quantile(0.05, 0), seen.quantile(0.95, 0)
    level = (y - (low + high) / 2) / (high - low).clamp_min(1e-12)
    return tuple("".join("+" if v > 1 / 6 else "-" if v < -1 / 6 else "0" for v in row) for row in level.tolist())

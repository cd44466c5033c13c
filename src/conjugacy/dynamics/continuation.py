"""Fixed points along a path of held inputs: which persist, and where some appear or vanish.

Every point is followed by a predictor along dx/du = -(F_x - I)^-1 F_u and a Newton corrector (Allgower & Georg,
Introduction to Numerical Continuation Methods, 2003, ch. 2), with the certificates of `fixed_points` at every node of
the path; at every node a fresh search also looks for points that the followed ones do not lead to. Where the sets of
two neighbouring nodes differ, the place is bracketed by bisection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from conjugacy._check import check_axes, check_int, check_list
from conjugacy._progress import progress_bar
from conjugacy.dynamics._as_map import as_input, as_map
from conjugacy.dynamics.distances import distances
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.points import FixedPoints
from conjugacy.dynamics.search import fixed_points


@dataclass(frozen=True, eq=False)
class Event:
    """Points that vanish (or appear) when the path goes from `low` to `high` (fractions of the path, in [0, 1]).

    kind : {"vanish", "appear"}
    branches : tuple of int
        The branches that end (begin) here; two of opposite index meet in a fold (saddle-node).
    inputs : Tensor (I,)
        The held input in the middle of the bracket.
    """

    kind: str
    low: float
    high: float
    branches: tuple[int, ...]
    inputs: Tensor

    @property
    def at(self) -> float:
        """The middle of the bracket."""
        return (self.low + self.high) / 2


@dataclass(frozen=True, eq=False)
class InputPath:
    """Fixed points at every node of a path of held inputs.

    Attributes
    ----------
    inputs : Tensor (S, I)
    points : list of FixedPoints (S)
    branches : list of tuple of int (S)
        For every fixed point of every node the branch it belongs to; the same number at two nodes is the same point,
        continued.
    events : tuple of Event
    """

    inputs: Tensor
    points: list[FixedPoints]
    branches: list[tuple[int, ...]]
    events: tuple[Event, ...]

    @property
    def counts(self) -> list[dict[int, int]]:
        """Counts by number of unstable directions at every node."""
        return [p.counts for p in self.points]

    def __repr__(self) -> str:
        sizes = " ".join(str(int(p.fixed.sum())) for p in self.points)
        return f"InputPath({len(self.points)} nodes, fixed points {sizes}, {len(self.events)} events)"

    def response(self) -> dict[str, dict[int, int]]:
        """Counts by index at every node, keyed by the input, for `Portrait.with_response`."""
        return {_in_words(u): p.counts for u, p in zip(self.inputs, self.points)}

    def table(self):
        """One row a node: input, counts by index, index sum, audit, as a pandas DataFrame."""
        import pandas as pd

        rows = [
            {f"u_{k}": float(v) for k, v in enumerate(u)}
            | {f"n_{k}": n for k, n in p.counts.items()}
            | {"index_sum": p.index_sum, "complete": p.audit().complete}
            for u, p in zip(self.inputs, self.points)
        ]
        table = pd.DataFrame(rows)
        return table.fillna({c: 0 for c in table.columns if c.startswith("n_")})


def input_path(
    step_or_system: Any,
    start: Any,
    stop: Any,
    n_nodes: int = 11,
    *,
    x0: Any = None,
    n_inits: int = 256,
    n_bisections: int = 20,
    seed: int = 0,
    kind: str = "map",
    progress: bool = True,
    **search: Any,
) -> InputPath:
    """Fixed points on the straight path of held inputs from `start` to `stop`.

    Parameters
    ----------
    step_or_system, x0, seed, kind, search : as in `fixed_points`
    start, stop : number or array (I,)
    n_nodes : int
        Nodes, the ends included.
    n_inits : int
        Starts of the fresh search at every node, beside the points that were followed there. The first and the last
        node get four times as many.
    n_bisections : int
        Halvings of the step in which the set changes; 0 leaves the step as it is.

    Returns
    -------
    InputPath
    """
    check_int("n_nodes", n_nodes, 2)
    check_int("n_bisections", n_bisections, 0)
    check_int("n_inits", n_inits, 1)
    dynamics = as_map(step_or_system, kind)
    first, last = as_input(start, dynamics.n_inputs, "start"), as_input(stop, dynamics.n_inputs, "stop")
    if len(first) != len(last) and 1 in (len(first), len(last)):  # a number fills all channels of the other
        first, last = (x.expand(max(len(first), len(last))).clone() for x in (first, last))
    check_axes("stop", last, "input", input=len(first), hint="`start` and `stop` have one number a channel.")
    fractions = torch.linspace(0, 1, n_nodes, dtype=torch.float64)
    inputs = first + fractions[:, None] * (last - first)
    points: list[FixedPoints] = []
    for s in progress_bar(range(n_nodes), desc="Following fixed points along the inputs", show=progress, unit="inputs"):
        n = 4 * n_inits if s in (0, n_nodes - 1) else n_inits
        now = fixed_points(dynamics, x0, inputs[s], n, seed, kind=kind, progress=False, n_orbits=0, **search)
        points.append(_with(dynamics, now, points[-1] if points else None, inputs[s]))
    # what a node has is looked for at the one before as well
    for s in range(n_nodes - 2, -1, -1):
        points[s] = _with(dynamics, points[s], points[s + 1], inputs[s])
    branches, n_branches = [tuple(range(int(points[0].fixed.sum())))], int(points[0].fixed.sum())
    events: list[Event] = []
    for s in range(n_nodes - 1):
        ahead = _followed(dynamics, points[s], points[s + 1])
        owners = {j: branches[s][i] for i, j in ahead.items()}
        here = []
        for j in range(int(points[s + 1].fixed.sum())):
            if j not in owners:
                owners[j], n_branches = n_branches, n_branches + 1
            here.append(owners[j])
        lost = [i for i in range(len(branches[s])) if i not in ahead]
        new = [j for j in range(len(here)) if here[j] not in branches[s]]
        step = (float(fractions[s]), float(fractions[s + 1]))
        events += _events(dynamics, first, last, points[s], lost, branches[s], step, "vanish", n_bisections)
        events += _events(dynamics, first, last, points[s + 1], new, here, step, "appear", n_bisections)
        branches.append(tuple(here))
    return InputPath(inputs, points, branches, tuple(events))


def input_response(
    step_or_system: Any, inputs: Sequence[Any], *, x0: Any = None, **search: Any
) -> dict[str, dict[int, int]]:
    """Counts by index under each held input of a list, keyed by the input in words ("0.5, 0, 0").

    For `Portrait.with_response`: portraits compare where they were given the same inputs. `search` goes to
    `fixed_points`.
    """
    dynamics = as_map(step_or_system)
    response = {}
    for k, value in enumerate(check_list("inputs", inputs, "held inputs")):
        u = as_input(value, dynamics.n_inputs, f"inputs[{k}]")
        response[_in_words(u)] = fixed_points(dynamics, x0, u, progress=False, n_orbits=0, **search).counts
    return response


def _in_words(u: Tensor) -> str:
    return ", ".join(f"{v:g}" for v in u.tolist())


def follow(dynamics: Map, points: FixedPoints, u: Tensor, n_substeps: int = 8) -> tuple[Tensor, Tensor]:
    """The fixed points of `points` continued to the held input `u`: states (P, D), and whether each arrived (P,)."""
    x = torch.from_numpy(points.x[points.fixed])
    alive = torch.ones(len(x), dtype=torch.bool)
    if not len(x):
        return x, alive
    start = torch.from_numpy(points.u[0])
    for k in range(n_substeps):
        old, new = start + k / n_substeps * (u - start), start + (k + 1) / n_substeps * (u - start)
        held = old.expand(len(x), -1)
        dx, du = dynamics.jacobians(x, held)
        tangent, info = torch.linalg.solve_ex(
            dx if dynamics.flow else dx - torch.eye(x.shape[1], dtype=torch.float64), (du @ (new - old))[..., None]
        )
        y = x - torch.where((info == 0)[:, None] & torch.isfinite(tangent[..., 0]), tangent[..., 0], 0.0)
        y, ok = _correct(dynamics, y, new)
        # a corrector that runs off has left its branch
        moved, expected = (y - x).norm(dim=-1), tangent[..., 0].norm(dim=-1)
        alive &= ok & (moved <= 3 * expected + 1e-3 * (1 + x.norm(dim=-1)))
        x = torch.where(alive[:, None], y, x)
    return x, alive


def _correct(dynamics: Map, x: Tensor, u: Tensor, n_iters: int = 12) -> tuple[Tensor, Tensor]:
    held = u.expand(len(x), -1)
    for _ in range(n_iters):
        g = dynamics.residual(x, held)
        if bool((g.norm(dim=-1) <= 1e-14 * x.norm(dim=-1).clamp_min(1)).all()):
            break
        step, info = torch.linalg.solve_ex(dynamics.residual_jacobian(x, held), g[..., None])
        ok = (info == 0) & torch.isfinite(step[..., 0]).all(-1)
        x = torch.where(ok[:, None], x - step[..., 0], x)
    left = dynamics.residual(x, held).norm(dim=-1)
    return x, torch.isfinite(x).all(-1) & (left <= 1e-11 * x.norm(dim=-1).clamp_min(1))


def _with(dynamics: Map, now: FixedPoints, neighbour: FixedPoints | None, u: Tensor) -> FixedPoints:
    """`now`, and what following `neighbour` adds to it."""
    if neighbour is None:
        return now
    x, alive = follow(dynamics, neighbour, u)
    x = x[alive]
    if len(x) and len(now):
        x = x[distances(x, torch.from_numpy(now.x)).amin(1) > 1e-6 * (1 + x.norm(dim=-1))]
    if not len(x):
        return now
    kind = "flow" if dynamics.flow else "map"
    both = torch.cat([torch.from_numpy(now.x[now.fixed]), x])
    more = fixed_points(dynamics, both, u, search="given", kind=kind, progress=False, n_orbits=0)
    # the audit belongs to the search proper: what was followed here was unseen by it
    sample = now.record.sample[: int(now.fixed.sum())]
    return replace(more, record=replace(now.record, sample=sample + (0,) * (len(more) - len(sample))))


def _followed(dynamics: Map, here: FixedPoints, there: FixedPoints) -> dict[int, int]:
    """Pairs (i, j): fixed point i `here` continues to j `there`, one to one."""
    u = torch.from_numpy(there.u[0] if len(there) else here.u[0])
    x, alive = follow(dynamics, here, u)
    target = torch.from_numpy(there.x[there.fixed])
    if not len(x) or not len(target):
        return {}
    gap = distances(x, target)
    pairs: dict[int, int] = {}
    for i in torch.nonzero(alive)[:, 0].tolist():
        j = int(gap[i].argmin())
        if float(gap[i, j]) <= 1e-6 * (1 + float(x[i].norm())) and j not in pairs.values():
            pairs[i] = j
    return pairs


def _events(dynamics, first, last, points, which, names, step, kind, n_bisections) -> list[Event]:
    """Events in which the fixed points `which` of a node end between the two fractions of `step`."""
    events: list[tuple[float, float, int]] = []
    for p in which:
        # `inside` has the point, `outside` has not
        inside, outside = step if kind == "vanish" else step[::-1]
        one = points[points.fixed][p]
        for k in range(n_bisections):
            middle = (inside + outside) / 2
            u = first + middle * (last - first)
            x, alive = follow(dynamics, one, u, n_substeps=max(1, 8 >> k))
            if bool(alive[0]):
                inside = middle
                one = replace(one, x=x.numpy(), u=u[None].numpy())
            else:
                outside = middle
        events.append((min(inside, outside), max(inside, outside), p))
    merged: list[Event] = []
    for low, high, p in sorted(events):
        near = merged and low <= merged[-1].high + (high - low)
        if near:
            old = merged.pop()
            low, high, names_ = min(low, old.low), max(high, old.high), (*old.branches, names[p])
        else:
            names_ = (names[p],)
        merged.append(Event(kind, low, high, names_, first + (low + high) / 2 * (last - first)))
    return merged

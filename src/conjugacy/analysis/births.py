"""Birth and loss of fixed points while a network learns.

At each snapshot the fixed points are searched afresh. Between two snapshots the weights are moved on the straight line
from the earlier to the later ones, and every point is followed with Newton's method (natural-parameter continuation:
Allgower & Georg, Introduction to Numerical Continuation Methods, 2003, ch. 2): one that arrives at a point of the other
search is the same point, continued. A point that does not arrive ends in between; one that no point leads to, and that
cannot be followed back, begins there. The place is bracketed by bisection, and named by the eigenvalue that is nearest
to the unit circle at the end of the branch (Kuznetsov, Elements of Applied Bifurcation Theory, 2004, ch. 4):

    fold              two points of opposite index begin or end together, an eigenvalue passes 1
    pitchfork         a point that goes on changes its stability there, and two begin or end beside it
    real, -1          a flip: the point goes on, and an eigenvalue passes -1
    Neimark-Sacker    the point goes on, and a complex pair passes the unit circle
    unresolved        none of these: the path of gradient steps need not be the straight line

Training does not follow the straight line between snapshots, so that a bracket is a place on that line, not a step.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from conjugacy._check import check_int
from conjugacy._lazy import higher
from conjugacy._progress import progress_bar
from conjugacy.analysis._given import as_run
from conjugacy.analysis.learning import _steps_of
from conjugacy.dynamics._as_map import as_map
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.points import FixedPoints
from conjugacy.dynamics.search import fixed_points
from conjugacy.networks.network import Network
from conjugacy.runs.run import Run
from conjugacy.system import System

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.figure import Figure

_SUBSTEPS = 16
_N_BISECTIONS = 8
_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class PointsThroughLearning:
    """Fixed points at every snapshot, and which is which; see `points_through_learning`.

    Attributes
    ----------
    name : str
        Of the run.
    steps : tuple of int
    points : dict of int to FixedPoints
        Those of the search at each step.
    branches : dict of int to tuple of int
        For every counted fixed point of a step, in order, the branch it belongs to: the same number at two steps is the
        same point, continued.
    events : DataFrame
        One row a change between two snapshots: "kind" ("birth", "loss", "stability"), "name" (see the module
        docstring), "after" and "before" (the two steps), "at" (where on the line between their weights, in [0, 1]),
        "branches", "n_unstable" of each.
    """

    name: str
    steps: tuple[int, ...]
    points: dict[int, FixedPoints]
    branches: dict[int, tuple[int, ...]]
    events: pd.DataFrame

    def table(self) -> pd.DataFrame:
        """One row a snapshot: how many fixed points by number of unstable directions, and what was born and lost."""
        rows = []
        for step in self.steps:
            found = self.points[step]
            here = self.events[self.events["before"] == step] if len(self.events) else self.events
            count = {k: sum(len(b) for b, kind in zip(here["branches"], here["kind"]) if kind == k) for k in _KINDS}
            total = int((found.fixed & found.counted).sum())
            rows.append(
                {"step": step, "fixed": total}
                | {f"n_{k}": n for k, n in found.counts.items()}
                | {"memories": int(found.memories.sum()), "born": count["birth"], "lost": count["loss"]}
                | {"complete": found.audit().complete}
            )
        table = pd.DataFrame(rows)
        numbers = [c for c in table.columns if c.startswith("n_")]
        return table.fillna(dict.fromkeys(numbers, 0)).astype(dict.fromkeys(numbers, int)).set_index("step")

    def memories(self) -> pd.DataFrame:
        """One row a branch that is stable at any snapshot: the first and last step at which it is, and its readout."""
        rows: dict[int, dict[str, Any]] = {}
        for step in self.steps:
            found = _counted(self.points[step])
            out = found.readout
            for k, branch in enumerate(self.branches[step]):
                if found.n_unstable[k] == 0:
                    row = rows.setdefault(branch, {"first": step})
                    row["last"] = step
                    row["readout"] = None if out is None else np.round(out[k], 2).tolist()
        return pd.DataFrame.from_dict(rows, orient="index", columns=["first", "last", "readout"]).rename_axis("branch")

    def plot(self) -> Figure:
        """Figure of the number of fixed points over gradient steps, and the life of every branch."""
        return higher("plots._learning", "points_through_learning")(self)

    def animate(self, path: Any = None, *, fps: int = 4, progress: bool = True) -> FuncAnimation:
        """An animation, a frame a snapshot: fixed points in the plane of their leading principal components.

        Parameters
        ----------
        path : path, optional
            File to write, .gif or .mp4 (which needs ffmpeg); nothing is written without it.
        fps : int
            Snapshots per second, in [1, 100].
        progress : bool
            Show a bar while the file is written, if that takes longer than two seconds.

        Returns
        -------
        FuncAnimation
            Keep it while it is shown; in a notebook: ``IPython.display.HTML(animation.to_jshtml())``.

        Raises
        ------
        ValueError
            If there is no fixed point at any snapshot, the file is neither gif nor mp4, or ffmpeg is missing.
        """
        return higher("plots._learning_movie", "animate_points")(self, path, fps=fps, progress=progress)

    def __repr__(self) -> str:
        sizes = " ".join(str(len(self.branches[step])) for step in self.steps)
        return f"PointsThroughLearning({self.name}: {len(self.steps)} snapshots, fixed points {sizes})"


_KINDS = ("birth", "loss", "stability")


def points_through_learning(
    run: Run,
    inputs: Any = 0,
    *,
    steps: Iterable[int] | None = None,
    n_inits: int = 512,
    seed: int = 0,
    progress: bool = True,
    **search: Any,
) -> PointsThroughLearning:
    """Birth and loss of the fixed points of a network at a held input while it learns.

    Parameters
    ----------
    run : Run
        With snapshots, see ``conjugacy.train(..., keep=)``.
    inputs : number or array (input,)
        The held input.
    steps : iterable of int, optional
        Which snapshots; all by default.
    n_inits, seed, **search
        Of the search at each snapshot, see `conjugacy.fixed_points`; it starts from the states that the snapshot visits
        on validation trials.
    progress : bool
        Show a progress bar.

    Returns
    -------
    PointsThroughLearning

    Raises
    ------
    ValueError
        If the run has no snapshots, or a step was not kept.
    """
    run = as_run("run", run)
    chosen = _steps_of(run, steps)
    check_int("n_inits", n_inits, 1)

    points: dict[int, FixedPoints] = {}
    networks: dict[int, Network] = {}
    for step in progress_bar(chosen, desc=f"Searching fixed points of {run.name}", show=progress, unit="snapshots"):
        now = run.snapshots[step]
        networks[step] = copy.deepcopy(now.network).double().requires_grad_(False)
        points[step] = fixed_points(
            now.system("val"), inputs=inputs, n_inits=n_inits, seed=seed, progress=False, **search
        )
    branches: dict[int, tuple[int, ...]] = {chosen[0]: tuple(range(len(_counted(points[chosen[0]]))))}
    n_branches = len(branches[chosen[0]])
    events: list[dict[str, Any]] = []
    for a, b in pairwise(chosen):
        line = _Line(networks[a], networks[b])
        here, there = _counted(points[a]), _counted(points[b])
        ahead = _matched(line, here, there)
        owners = {j: branches[a][i] for i, j in ahead.items()}
        names = []
        for j in range(len(there)):
            if j not in owners:
                owners[j], n_branches = n_branches, n_branches + 1
            names.append(owners[j])
        branches[b] = tuple(names)
        events += _events(line, here, there, ahead, branches[a], branches[b], (a, b))
    columns = ["kind", "name", "after", "before", "at", "branches", "n_unstable"]
    return PointsThroughLearning(run.name, tuple(chosen), points, branches, pd.DataFrame(events, columns=columns))


class _Line:
    """The straight line between the weights of two networks of one shape."""

    def __init__(self, first: Network, last: Network):
        self.network = copy.deepcopy(first)
        self.ends = [{k: v.clone() for k, v in n.state_dict().items()} for n in (first, last)]

    def at(self, fraction: float) -> Map:
        first, last = self.ends
        mixed = {k: torch.lerp(v, last[k], fraction) if v.is_floating_point() else v for k, v in first.items()}
        self.network.load_state_dict(mixed)
        n = self.network
        blank = torch.zeros(1, 1, n.state_size, dtype=torch.float64), torch.zeros(1, 1, n.input_size).double()
        return as_map(System("line", *blank, torch.ones(1, dtype=torch.int64), step=n.step, cell=n.cell))


def _counted(points: FixedPoints) -> FixedPoints:
    return points[points.fixed & points.counted]


def _newton(dynamics: Map, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Fixed points near x (P, D), and whether each was reached without a leap."""
    held, start = u.expand(len(x), -1), x
    for _ in range(20):
        g = dynamics.residual(x, held)
        if bool((g.norm(dim=-1) <= 1e-13 * x.norm(dim=-1).clamp_min(1)).all()):
            break
        move, info = torch.linalg.solve_ex(dynamics.residual_jacobian(x, held), g[..., None])
        ok = (info == 0) & torch.isfinite(move[..., 0]).all(-1)
        x = torch.where(ok[:, None], x - move[..., 0], x)
    left = dynamics.residual(x, held).norm(dim=-1)
    near = (x - start).norm(dim=-1) <= 0.1 * (1 + start.norm(dim=-1))
    return x, torch.isfinite(x).all(-1) & (left <= 1e-9 * x.norm(dim=-1).clamp_min(1)) & near


def _followed(line: _Line, x: Tensor, u: Tensor, start: float, stop: float, n: int = _SUBSTEPS):
    """The points x (P, D) continued from one fraction of the line to another, and whether each arrived."""
    alive = torch.ones(len(x), dtype=torch.bool)
    before = None
    for k in range(1, n + 1):
        guess = x if before is None else x + (x - before)  # secant predictor
        y, ok = _newton(line.at(start + (stop - start) * k / n), guess, u)
        alive &= ok
        before, x = x, torch.where(alive[:, None], y, x)
    return x, alive


def _matched(line: _Line, here: FixedPoints, there: FixedPoints) -> dict[int, int]:
    """Pairs (i, j): point i of the earlier search continues to j of the later one, forwards or backwards."""
    if not len(here) or not len(there):
        return {}
    pairs: dict[int, int] = {}
    for forward in (True, False):
        a, b = (here, there) if forward else (there, here)
        x, alive = _followed(line, torch.from_numpy(a.x), torch.from_numpy(a.u[0]), *((0, 1) if forward else (1, 0)))
        target = torch.from_numpy(b.x)
        gap = torch.cdist(x, target)
        for i in torch.nonzero(alive)[:, 0].tolist():
            j = int(gap[i].argmin())
            if float(gap[i, j]) <= _SAME * (1 + float(x[i].norm())):
                left, right = (i, j) if forward else (j, i)
                if left not in pairs and right not in pairs.values():
                    pairs[left] = right
    return pairs


def _events(line, here, there, ahead, before, after, steps) -> list[dict[str, Any]]:
    new = [j for j in range(len(there)) if j not in ahead.values()]
    lost = [i for i in range(len(here)) if i not in ahead]
    turned = [(i, j) for i, j in ahead.items() if here.n_unstable[i] != there.n_unstable[j]]
    rows: list[dict[str, Any]] = []
    for kind, points, which, names, inside in (
        ("birth", there, new, after, 1.0),
        ("loss", here, lost, before, 0.0),
    ):
        ends = [(p, *_end_of(line, points[p], inside)) for p in which]
        for group in _grouped(ends):
            members = [p for p, *_ in group]
            signs = {int(points.index[p]) for p in members}
            at = float(np.mean([at for _, at, _ in group]))
            if len(members) >= 2 and any(abs(_crossing(line, here, there, i, j)[0] - at) < 0.1 for i, j in turned):
                name = "pitchfork"
            elif len(members) == 2 and signs == {-1, 1}:
                name = "fold"
            else:
                name = "unresolved"
            rows.append(_row(kind, name, steps, at, [names[p] for p in members], points.n_unstable[members]))
    for i, j in turned:
        at, value = _crossing(line, here, there, i, j)
        name = "Neimark-Sacker" if abs(value.imag) > 1e-6 else ("real, -1" if value.real < 0 else "real, +1")
        rows.append(_row("stability", name, steps, at, [after[j]], [there.n_unstable[j]]))
    return rows


def _row(kind, name, steps, at, branches, n_unstable) -> dict[str, Any]:
    where = {"after": steps[0], "before": steps[1], "at": round(at, 4)}
    return {"kind": kind, "name": name, **where, "branches": tuple(branches), "n_unstable": tuple(map(int, n_unstable))}


def _end_of(line: _Line, point: FixedPoints, inside: float) -> tuple[float, Tensor]:
    """Where on the line a point ends that is there at the fraction `inside`, and its last state (D,)."""
    x, u = torch.from_numpy(point.x), torch.from_numpy(point.u[0])
    good, bad = inside, 1.0 - inside
    for k in range(_N_BISECTIONS):
        middle = (good + bad) / 2
        n = max(4, _SUBSTEPS >> k)
        y, alive = _followed(line, x, u, good, middle, n)
        # near its end Newton's method leaps to a neighbour, from which no way leads back
        back, returned = _followed(line, y, u, middle, good, n)
        if bool(alive[0] & returned[0]) and float((back - x).norm()) <= 1e-6 * (1 + float(x.norm())):
            good, x = middle, y
        else:
            bad = middle
    return (good + bad) / 2, x[0]


def _grouped(ends: list[tuple[int, float, Tensor]]) -> list[list[tuple[int, float, Tensor]]]:
    """Points that end at the same place, each with its nearest partner in state space."""
    left, groups = sorted(ends, key=lambda end: end[1]), []
    while left:
        first = left.pop(0)
        near = [e for e in left if abs(e[1] - first[1]) < 0.02]
        near.sort(key=lambda e: float((e[2] - first[2]).norm()))
        reach = 0.5 * (1 + float(first[2].norm()))
        partner = next((e for e in near if float((e[2] - first[2]).norm()) < reach), None)
        if partner is not None:
            left = [e for e in left if e[0] != partner[0]]
        groups.append([first] if partner is None else [first, partner])
    return groups


def _crossing(line: _Line, here: FixedPoints, there: FixedPoints, i: int, j: int) -> tuple[float, complex]:
    """Where on the line point i, which becomes j, changes its stability, and the eigenvalue that passes the circle."""
    x, u = torch.from_numpy(here.x[i : i + 1]), torch.from_numpy(here.u[0])
    low, high, count = 0.0, 1.0, int(here.n_unstable[i])
    values = here.eigenvalues[i]
    for k in range(_N_BISECTIONS):
        middle = (low + high) / 2
        y, alive = _followed(line, x, u, low, middle, max(1, _SUBSTEPS >> k))
        if not bool(alive[0]):
            break
        jacobian = line.at(middle).jacobians(y, u[None])[0][0]
        now = torch.linalg.eigvals(jacobian).numpy()
        if int((np.abs(now) > 1).sum()) == count:
            low, x, values = middle, y, now
        else:
            high = middle
    nearest = values[np.abs(np.abs(values) - 1).argmin()]
    return (low + high) / 2, complex(nearest)

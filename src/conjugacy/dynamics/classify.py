"""From what a search left to FixedPoints: polishing, kinds, spectra, indices, orbits that settle nowhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy.dynamics.audit import SearchRecord
from conjugacy.dynamics.cycles import Cycle, find_cycles
from conjugacy.dynamics.eigenmodes import sorted_eigenvalues
from conjugacy.dynamics.flatness import far_and_flat, on_continuum
from conjugacy.dynamics.held import Held, hold
from conjugacy.dynamics.horizon import TOLERANCE, on_horizon
from conjugacy.dynamics.jacobian import chunks
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.memory_horizons import memory_horizons
from conjugacy.dynamics.orbits import Attractors, settle, time_step
from conjugacy.dynamics.points import FixedPoints
from conjugacy.dynamics.search_problem import Problem
from conjugacy.dynamics.slow_points import q_of, slow_points
from conjugacy.dynamics.stages import Stages

_MARGIN = 1e-9  # how far beyond the unit circle (the imaginary axis) an eigenvalue counts as unstable


@dataclass(frozen=True, eq=False)
class _Rows:
    """Points and what is established about each, before their spectra are known; the last three with plateaus only."""

    x: Tensor
    kind: np.ndarray
    certificate: np.ndarray
    radius: Tensor
    error: Tensor
    hits: Tensor
    node: Tensor | None = None
    reached: Tensor | None = None
    sides: np.ndarray | None = None

    def with_more(self, x: Tensor, kind: np.ndarray, hits: Tensor, **plateaus: Any) -> _Rows:
        """These points, then others that are not zeros."""
        nothing = torch.zeros(len(x), dtype=torch.float64)
        return _Rows(
            torch.cat([self.x, x]),
            np.concatenate([self.kind, kind]).astype(object),
            np.concatenate([self.certificate, np.full(len(x), "none")]).astype(object),
            torch.cat([self.radius, nothing]),
            torch.cat([self.error, nothing + torch.inf]),
            torch.cat([self.hits, hits]),
            **plateaus,
        )


def collect(search: Stages) -> FixedPoints:
    """FixedPoints of the zeros that a search found, of the starts that ended at none, and of what holds."""
    problem, settings = search.problem, search.settings
    zeros, record = _zeros(search)
    slow_x, slow_kind = _slow(search, zeros.x)
    points = _describe(problem, zeros.with_more(slow_x, slow_kind, torch.zeros(len(slow_x), dtype=torch.int64)), record)
    points = replace(points, asked_horizon=problem.horizon, reach=settings.reach, scale=problem.scale)
    cycles, n_unsettled = ((), 0)
    plain = problem.horizon is None or _told_by_exact_points(points, problem.horizon)
    if settings.n_orbits and plain:
        cycles, n_unsettled = _unsettled(problem, points, settings.n_orbits)
    record = replace(points.record, n_orbits=settings.n_orbits, n_unsettled=n_unsettled)
    points = replace(points, cycles=cycles, record=record)
    if problem.horizon is not None and not (plain and n_unsettled == 0):
        points = _with_held(problem, problem.horizon, points)
    return replace(
        points,
        horizon=memory_horizons(problem.dynamics, points, problem.u, problem.scale).numpy(),
        distance=_distances(torch.from_numpy(points.x), problem.visited, problem.scale).numpy(),
        **_modes_on_horizon(points),
    )


def _zeros(search: Stages) -> tuple[_Rows, SearchRecord]:
    """The zeros that were found, polished, each degenerate one once; and what the search did."""
    problem, found, record = search.problem, search.found, search.record()
    dynamics, u, scale, stiffness = problem.dynamics, problem.u, problem.scale, problem.stiffness
    x = _polish(dynamics, problem.equation.lift(found.y, u.expand(len(found.y), -1)), u)
    q = q_of(dynamics, x, u)
    exact = q <= search.settings.tol_q * x.square().sum(-1).clamp_min(1) * stiffness**2
    certificate = np.array(found.method, dtype=object)
    bare = torch.nonzero((found.radius == 0) & exact)[:, 0]
    certificate[bare[on_continuum(dynamics, x[bare], u, scale, stiffness)].numpy()] = "continuum"
    certificate[far_and_flat(dynamics, x, u, scale, certificate).numpy()] = "none"
    kind = np.where(exact.numpy() & (certificate != "none"), "fixed", "unresolved").astype(object)
    keep, hits, sample = _merge_unresolved(x, q, kind, found.hits, record.sample, 1e-3 * scale)
    count = torch.tensor(hits, dtype=torch.int64)
    rows = _Rows(x[keep], kind[keep], certificate[keep], found.radius[keep], found.error[keep], count)
    return rows, replace(record, sample=sample)


def _slow(search: Stages, known: Tensor) -> tuple[Tensor, np.ndarray]:
    """Slow points beside the `known` zeros, and the kind of each."""
    problem, speed = search.problem, search.settings.slow_speed
    # where most starts stall, what they stall at is sought as held points
    leftover = [] if search.saturated else search.leftover
    limit = speed * (_rms_speed(problem) if problem.dynamics.flow else problem.scale)
    return slow_points(problem.dynamics, leftover, problem.u, problem.scale, limit, known, problem.visited)


def _told_by_exact_points(points: FixedPoints, horizon: float) -> bool:
    """Whether every start reached an exact point, and each of these is on the horizon what it is in the long run."""
    record = points.record
    growing, ambiguous, _ = on_horizon(torch.from_numpy(points.eigenvalues), horizon, points.flow)
    clear = np.array_equal(growing.numpy(), points.n_unstable) and not bool(ambiguous.any())
    reached = record.n_zero >= 0.95 * record.n_starts and bool((points.kind == "fixed").all())
    return clear and reached and bool(points.isolated.all())


def _modes_on_horizon(points: FixedPoints) -> dict[str, Any]:
    if points.asked_horizon is None:
        return {}
    _, ambiguous, neutral = on_horizon(torch.from_numpy(points.eigenvalues), points.asked_horizon, points.flow)
    return {"n_neutral": neutral.numpy(), "n_ambiguous": ambiguous.numpy()}


def _distances(x: Tensor, visited: Tensor, scale: float, most: int = 10_000) -> Tensor:
    """Distance of each state to the nearest visited one, in units of their spread."""
    some = visited[:: -(-len(visited) // most)]
    return torch.cdist(x, some).amin(1) / scale if len(x) else torch.zeros(0, dtype=torch.float64)


def _with_held(problem: Problem, horizon: float, points: FixedPoints) -> FixedPoints:
    """The same points with those that hold for the horizon, in the place of slow ones that do."""
    still = points.speed * horizon <= TOLERANCE * problem.scale
    exact, stalled = points[points.fixed], points[~points.fixed & still]
    held = hold(
        problem.dynamics,
        torch.from_numpy(exact.x),
        on_horizon(torch.from_numpy(exact.eigenvalues), horizon, points.flow)[0],
        torch.from_numpy(exact.isolated),
        torch.from_numpy(stalled.x),
        problem.u,
        problem.visited,
        scale=problem.scale,
        horizon=horizon,
        generator=problem.generator,
    )
    kept = points[points.fixed | ~still]
    record = replace(kept.record, selection=False, n_orbits=held.n_orbits, n_unsettled=held.n_unsettled)
    made = _describe(problem, _rows_with_held(kept, held, horizon), record)
    return replace(
        made,
        asked_horizon=points.asked_horizon,
        reach=points.reach,
        scale=problem.scale,
        plateaus=held.plateaus,
        walls=held.walls,
        cycles=held.cycles,
    )


def _rows_with_held(kept: FixedPoints, held: Held, horizon: float) -> _Rows:
    """The points that are kept, then the held ones, and on which plateaus they lie."""
    n_kept, n_new = len(kept), len(held.x)
    node = torch.full((n_kept + n_new,), -1)
    node[:n_kept][torch.from_numpy(kept.fixed)] = held.on_plateau
    node[n_kept:] = held.node
    reached = torch.ones(n_kept + n_new, dtype=torch.bool)
    stable = on_horizon(torch.from_numpy(kept.eigenvalues), horizon, kept.flow)[0] == 0
    reached[:n_kept] = (node[:n_kept] >= 0) | ~stable
    reached[n_kept:] = held.reached
    exact_sides: list[tuple[int, ...]] = [()] * n_kept
    for p, found in zip(np.flatnonzero(kept.fixed), held.exact_sides):
        exact_sides[p] = found
        # a saddle from which nothing gets to where orbits from the data end is no part of what they do
        reached[p] &= not found or max(found) >= 0
    sides = np.array([",".join(map(str, s)) for s in exact_sides + held.sides])
    x, radius, error, hits = (torch.from_numpy(a) for a in (kept.x, kept.radius, kept.error, kept.hits))
    rows = _Rows(x, kept.kind, kept.certificate, radius, error, hits)
    return rows.with_more(held.x, np.full(n_new, "held"), held.hits, node=node, reached=reached, sides=sides)


def _polish(dynamics: Map, x: Tensor, u: Tensor, n_steps: int = 2) -> Tensor:
    """Newton steps on F(x, u) - x itself, kept where they help: a reduced equation rounds differently."""
    x = x.clone()
    for part in chunks(len(x), x.shape[1], 2):
        for _ in range(n_steps):
            now = x[part]
            held = u.expand(len(now), -1)
            g = dynamics.residual(now, held)
            step, info = torch.linalg.solve_ex(dynamics.residual_jacobian(now, held), g[..., None])
            trial = now - step[..., 0]
            better = (info == 0) & (dynamics.residual(trial, held).norm(dim=-1) < g.norm(dim=-1))
            x[part] = torch.where(better[:, None], trial, now)
    return x


def _merge_unresolved(x, q, kind, hits, sample, gap) -> tuple[list[int], list[int], tuple[int, ...]]:
    """Give unresolved points within `gap` of each other to the one with the least q: they are one degenerate zero."""
    owner = list(range(len(x)))
    kept: list[int] = []
    for p in sorted((p for p in owner if kind[p] == "unresolved"), key=lambda p: float(q[p])):
        near = [k for k in kept if float((x[p] - x[k]).norm()) <= gap]
        if near:
            owner[p] = near[0]
        else:
            kept.append(p)
    keep = [p for p in range(len(x)) if owner[p] == p]
    sums = [[sum(h for p, h in enumerate(counts) if owner[p] == k) for k in keep] for counts in (hits, sample)]
    return keep, sums[0], tuple(sums[1])


def _describe(problem: Problem, rows: _Rows, record: SearchRecord) -> FixedPoints:
    """FixedPoints of these rows, in their order: by kind, then by unstable directions, then by hits."""
    dynamics, x, kind = problem.dynamics, rows.x, rows.kind
    n, d = x.shape
    held = problem.u.expand(n, -1)
    parts = [dynamics.jacobians(x[k], held[k]) for k in chunks(n, d)]
    jacobian = torch.cat([torch.zeros(0, d, d, dtype=torch.float64), *(a for a, _ in parts)])
    by_input = torch.cat([torch.zeros(0, d, len(problem.u), dtype=torch.float64), *(b for _, b in parts)])
    values = sorted_eigenvalues(jacobian, dynamics.flow)
    isolated = torch.from_numpy((rows.certificate != "continuum") & (kind == "fixed"))
    # along a continuum an eigenvalue is neutral, to the accuracy with which the point lies on it
    margin = torch.where(isolated, _MARGIN, 1e-6)[:, None]
    n_unstable = ((values.real if dynamics.flow else values.abs() - 1) > margin).sum(1)
    if problem.horizon is not None:
        growing = on_horizon(values, problem.horizon, dynamics.flow)[0]
        n_unstable = torch.where(torch.from_numpy(kind == "held"), growing, n_unstable)
    index = _index(jacobian, dynamics.flow) * isolated
    rank = {"fixed": 0, "held": 1, "slow": 2, "unresolved": 3}
    order = sorted(range(n), key=lambda p: (rank[kind[p]], int(n_unstable[p]), -int(rows.hits[p]), p))
    keep = torch.tensor(order, dtype=torch.int64)
    of_plateaus = {"node": rows.node, "reached": rows.reached}
    plateaus: dict[str, Any] = {name: a[keep].numpy() for name, a in of_plateaus.items() if a is not None}
    plateaus |= {} if rows.sides is None else {"sides": rows.sides[order]}
    return FixedPoints(
        x=x[keep].numpy(),
        u=held[keep].numpy(),
        q=q_of(dynamics, x, problem.u)[keep].numpy(),
        kind=kind[order].astype("U16"),
        jacobian=jacobian[keep].numpy(),
        input_jacobian=by_input[keep].numpy(),
        eigenvalues=values[keep].numpy(),
        n_unstable=n_unstable[keep].numpy(),
        index=index[keep].numpy(),
        certificate=rows.certificate[order].astype("U16"),
        radius=rows.radius[keep].numpy(),
        error=rows.error[keep].numpy(),
        isolated=isolated[keep].numpy(),
        hits=rows.hits[keep].numpy(),
        horizon=np.full(n, np.nan),
        flow=dynamics.flow,
        dt=dynamics.dt,
        record=replace(record, sample=tuple(record.sample[p] for p in order if p < len(record.sample))),
        dynamics=dynamics,
        **plateaus,
    )


def _index(jacobian: Tensor, flow: bool) -> Tensor:
    """Signs of det(I - J) of a map, of det(-J) of a flow, int64 (P,)."""
    m = -jacobian if flow else torch.eye(jacobian.shape[-1], dtype=torch.float64) - jacobian
    return torch.linalg.slogdet(m)[0].round().long()


def _rms_speed(problem: Problem) -> float:
    some = problem.visited[:: max(1, len(problem.visited) // 1000)]
    return float(problem.dynamics.residual(some, problem.u.expand(len(some), -1)).square().sum(-1).mean().sqrt())


def _unsettled(problem: Problem, points: FixedPoints, n_orbits: int) -> tuple[tuple[Cycle, ...], int]:
    """Follow orbits; the cycles on which some settle, and how many settle on nothing but those or nothing at all."""
    dynamics, u, scale = problem.dynamics, problem.u, problem.scale
    start = problem.visited[torch.randint(len(problem.visited), (n_orbits,), generator=problem.generator)]
    h = time_step(dynamics, start[:8], u)
    attractors = Attractors.of(points, scale, h)
    end = settle(dynamics, start, u, attractors, 300, h)
    lost = torch.nonzero(end.where < 0)[:, 0]
    if not len(lost):
        return (), 0
    # a few of them, for longer: slow approach looks like no approach
    some = lost[:8]
    patience = 3000 if points.asked_horizon is None else max(3000, round(2 * points.asked_horizon / h))
    end = settle(dynamics, end.x[some], u, attractors, min(patience, 100_000), h)
    x = end.x[end.where < 0]
    away = x[~torch.isfinite(x).all(-1)]
    x = x[torch.isfinite(x).all(-1)]
    moving = dynamics.residual(x, u.expand(len(x), -1)).norm(dim=-1) > 1e-7 * scale
    n_lost = (len(away) + int(moving.sum())) * len(lost) // len(some)
    if not bool(moving.any()):
        return (), n_lost
    held: Any = u
    return find_cycles(dynamics, x[moving], held, n_transient=0)[0], n_lost

"""From what a search left to FixedPoints: polishing, kinds, spectra, indices, orbits that settle nowhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Generator, Tensor

from conjugacy.dynamics.audit import SearchRecord
from conjugacy.dynamics.cycles import Cycle, find_cycles
from conjugacy.dynamics.eigenmodes import sorted_eigenvalues
from conjugacy.dynamics.flatness import far_and_flat, on_continuum
from conjugacy.dynamics.held import hold
from conjugacy.dynamics.horizon import TOLERANCE, on_horizon
from conjugacy.dynamics.jacobian import chunks
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.memory_horizons import memory_horizons
from conjugacy.dynamics.orbits import Attractors, settle, time_step
from conjugacy.dynamics.points import FixedPoints
from conjugacy.dynamics.slow_points import q_of, slow_points
from conjugacy.dynamics.solver import Found

_MARGIN = 1e-9  # how far beyond the unit circle (the imaginary axis) an eigenvalue counts as unstable


def collect(
    dynamics: Map,
    u: Tensor,
    found: Found,
    leftover: list[Tensor],
    record: SearchRecord,
    *,
    scale: float,
    stiffness: float,
    tol_q: float,
    slow_speed: float,
    visited: Tensor,
    n_orbits: int,
    horizon: float | None,
    reach: float,
    generator: Generator,
) -> FixedPoints:
    """FixedPoints of the zeros in `found`, of the starts in `leftover` that ended at none, and of what holds."""
    x = _polish(dynamics, dynamics.equation().lift(found.y, u.expand(len(found.y), -1)), u)
    q = q_of(dynamics, x, u)
    exact = q <= tol_q * x.square().sum(-1).clamp_min(1) * stiffness**2
    certificate = np.array(found.method, dtype=object)
    hits, radius, error, sample = found.hits, found.radius, found.error, record.sample
    bare = torch.nonzero((found.radius == 0) & exact)[:, 0]
    certificate[bare[on_continuum(dynamics, x[bare], u, scale, stiffness)].numpy()] = "continuum"
    certificate[far_and_flat(dynamics, x, u, scale, certificate).numpy()] = "none"
    kind = np.where(exact.numpy() & (certificate != "none"), "fixed", "unresolved").astype(object)
    keep, hits, sample = _merge_unresolved(x, q, kind, hits, sample, 1e-3 * scale)
    x, kind, certificate, radius, error = x[keep], kind[keep], certificate[keep], radius[keep], error[keep]
    record = replace(record, sample=sample)

    speed_limit = slow_speed * (_rms_speed(dynamics, visited, u) if dynamics.flow else scale)
    # where most starts stall, what they stall at is sought as held points
    slow_x, slow_kind = slow_points(dynamics, [] if record.saturated else leftover, u, scale, speed_limit, x, visited)
    n_slow = len(slow_x)
    nothing = torch.zeros(n_slow, dtype=torch.float64)
    points = _describe(
        dynamics,
        torch.cat([x, slow_x]),
        u,
        np.concatenate([kind, slow_kind]),
        np.concatenate([certificate, np.full(n_slow, "none", dtype=object)]),
        torch.cat([radius, nothing]),
        torch.cat([error, nothing + torch.inf]),
        torch.cat([torch.tensor(hits, dtype=torch.int64), torch.zeros(n_slow, dtype=torch.int64)]),
        record,
    )
    points = replace(points, asked_horizon=horizon, reach=reach, scale=scale)
    cycles, n_unsettled = ((), 0)
    plain = horizon is None or _told_by_exact_points(points, horizon)
    if n_orbits and plain:
        cycles, n_unsettled = _unsettled(dynamics, points, u, visited, scale, n_orbits, generator)
    points = replace(points, cycles=cycles, record=replace(points.record, n_orbits=n_orbits, n_unsettled=n_unsettled))
    if horizon is not None and not (plain and n_unsettled == 0):
        points = _with_held(dynamics, points, u, visited, scale, horizon, generator)
    return replace(
        points,
        horizon=memory_horizons(dynamics, points, u, scale).numpy(),
        distance=_distances(torch.from_numpy(points.x), visited, scale).numpy(),
        **_modes_on_horizon(points),
    )


def _told_by_exact_points(points: FixedPoints, horizon: float) -> bool:
    """Whether every start reached an exact point, and each of these is on the horizon what it is in the long run."""
    record = points.record
    growing, ambiguous, _ = on_horizon(torch.from_numpy(points.eigenvalues), horizon, points.flow)
    clear = np.array_equal(growing.numpy(), points.n_unstable) and not bool(ambiguous.any())
    reached = record.n_zero >= 0.95 * record.n_starts and bool((points.kind == "fixed").all())
    return clear and reached and bool(points.isolated.all())


def _modes_on_horizon(points: FixedPoints) -> dict[str, np.ndarray]:
    if points.asked_horizon is None:
        return {}
    _, ambiguous, neutral = on_horizon(torch.from_numpy(points.eigenvalues), points.asked_horizon, points.flow)
    return {"n_neutral": neutral.numpy(), "n_ambiguous": ambiguous.numpy()}


def _distances(x: Tensor, visited: Tensor, scale: float, most: int = 10_000) -> Tensor:
    """Distance of each state to the nearest visited one, in units of their spread."""
    some = visited[:: -(-len(visited) // most)]
    return torch.cdist(x, some).amin(1) / scale if len(x) else torch.zeros(0, dtype=torch.float64)


def _with_held(dynamics, points, u, visited, scale, horizon, generator) -> FixedPoints:
    """The same points with those that hold for the horizon, in the place of slow ones that do."""
    x, values, fixed = torch.from_numpy(points.x), torch.from_numpy(points.eigenvalues), points.fixed
    still = points.speed * horizon <= TOLERANCE * scale
    held = hold(
        dynamics,
        x[fixed],
        on_horizon(values[fixed], horizon, points.flow)[0],
        torch.from_numpy(points.isolated[fixed]),
        x[~fixed & still],
        u,
        visited,
        scale=scale,
        horizon=horizon,
        generator=generator,
    )
    kept = points[fixed | ~still]
    n_kept, n_new = len(kept), len(held.x)
    node = torch.full((n_kept + n_new,), -1)
    node[:n_kept][torch.from_numpy(kept.fixed)] = held.on_plateau
    node[n_kept:] = held.node
    reached = torch.ones(n_kept + n_new, dtype=torch.bool)
    stable = on_horizon(torch.from_numpy(kept.eigenvalues), horizon, points.flow)[0] == 0
    reached[:n_kept] = (node[:n_kept] >= 0) | ~stable
    reached[n_kept:] = held.reached
    nothing = torch.zeros(n_new, dtype=torch.float64)
    exact_sides: list[tuple[int, ...]] = [()] * n_kept
    for p, found in zip(np.flatnonzero(kept.fixed), held.exact_sides):
        exact_sides[p] = found
        # a saddle from which nothing gets to where orbits from the data end is no part of what they do
        reached[p] &= not found or max(found) >= 0
    sides = [",".join(map(str, s)) for s in exact_sides + held.sides]
    made = _describe(
        dynamics,
        torch.cat([torch.from_numpy(kept.x), held.x]),
        u,
        np.concatenate([kept.kind, np.full(n_new, "held")]).astype(object),
        np.concatenate([kept.certificate, np.full(n_new, "none")]).astype(object),
        torch.cat([torch.from_numpy(kept.radius), nothing]),
        torch.cat([torch.from_numpy(kept.error), nothing + torch.inf]),
        torch.cat([torch.from_numpy(kept.hits), held.hits]),
        replace(kept.record, selection=False, n_orbits=held.n_orbits, n_unsettled=held.n_unsettled),
        horizon=horizon,
        node=node,
        reached=reached,
        sides=np.array(sides),
    )
    return replace(
        made,
        asked_horizon=points.asked_horizon,
        reach=points.reach,
        scale=scale,
        plateaus=held.plateaus,
        walls=held.walls,
        cycles=held.cycles,
    )


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


def _describe(
    dynamics, x, u, kind, certificate, radius, error, hits, record, horizon=None, node=None, reached=None, sides=None
) -> FixedPoints:
    n, d = x.shape
    held = u.expand(n, -1)
    parts = [dynamics.jacobians(x[k], held[k]) for k in chunks(n, d)]
    jacobian = torch.cat([torch.zeros(0, d, d, dtype=torch.float64), *(a for a, _ in parts)])
    by_input = torch.cat([torch.zeros(0, d, len(u), dtype=torch.float64), *(b for _, b in parts)])
    values = sorted_eigenvalues(jacobian, dynamics.flow)
    isolated = torch.from_numpy((certificate != "continuum") & (kind == "fixed"))
    # along a continuum an eigenvalue is neutral, to the accuracy with which the point lies on it
    margin = torch.where(isolated, _MARGIN, 1e-6)[:, None]
    n_unstable = ((values.real if dynamics.flow else values.abs() - 1) > margin).sum(1)
    if horizon is not None:
        growing = on_horizon(values, horizon, dynamics.flow)[0]
        n_unstable = torch.where(torch.from_numpy(kind == "held"), growing, n_unstable)
    index = _index(jacobian, dynamics.flow) * isolated
    rank = {"fixed": 0, "held": 1, "slow": 2, "unresolved": 3}
    order = sorted(range(n), key=lambda p: (rank[kind[p]], int(n_unstable[p]), -int(hits[p]), p))
    keep = torch.tensor(order, dtype=torch.int64)
    sample = tuple(record.sample[p] for p in order if p < len(record.sample))
    return FixedPoints(
        x=x[keep].numpy(),
        u=held[keep].numpy(),
        q=q_of(dynamics, x, u)[keep].numpy(),
        kind=kind[order].astype("U16"),
        jacobian=jacobian[keep].numpy(),
        input_jacobian=by_input[keep].numpy(),
        eigenvalues=values[keep].numpy(),
        n_unstable=n_unstable[keep].numpy(),
        index=index[keep].numpy(),
        certificate=certificate[order].astype("U16"),
        radius=radius[keep].numpy(),
        error=error[keep].numpy(),
        isolated=isolated[keep].numpy(),
        hits=hits[keep].numpy(),
        horizon=np.full(n, np.nan),
        flow=dynamics.flow,
        dt=dynamics.dt,
        record=replace(record, sample=sample),
        dynamics=dynamics,
        **{name: a[keep].numpy() for name, a in (("node", node), ("reached", reached)) if a is not None},
        **({} if sides is None else {"sides": sides[order]}),
    )


def _index(jacobian: Tensor, flow: bool) -> Tensor:
    """Signs of det(I - J) of a map, of det(-J) of a flow, int64 (P,)."""
    m = -jacobian if flow else torch.eye(jacobian.shape[-1], dtype=torch.float64) - jacobian
    return torch.linalg.slogdet(m)[0].round().long()


def _rms_speed(dynamics: Map, visited: Tensor, u: Tensor) -> float:
    some = visited[:: max(1, len(visited) // 1000)]
    return float(dynamics.residual(some, u.expand(len(some), -1)).square().sum(-1).mean().sqrt())


def _unsettled(dynamics, points, u, visited, scale, n_orbits, generator) -> tuple[tuple[Cycle, ...], int]:
    """Follow orbits; the cycles on which some settle, and how many settle on nothing but those or nothing at all."""
    start = visited[torch.randint(len(visited), (n_orbits,), generator=generator)]
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
    return find_cycles(dynamics, x[moving], u, n_transient=0)[0], n_lost

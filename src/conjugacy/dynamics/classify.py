"""From what a search left to FixedPoints: polishing, kinds, spectra, indices, horizons, orbits that settle nowhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Generator, Tensor

from conjugacy.dynamics.audit import SearchRecord
from conjugacy.dynamics.cycles import Cycle, find_cycles
from conjugacy.dynamics.held import hold
from conjugacy.dynamics.horizon import TOLERANCE, on_horizon
from conjugacy.dynamics.jacobian import chunks
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.orbits import Attractors, advance, settle, time_step
from conjugacy.dynamics.points import FixedPoints, sorted_eigenvalues
from conjugacy.dynamics.solver import Found

_EPS = 2.220446049250313e-16
_MAX_SLOW = 24  # distinct slow candidates that are refined; a slow manifold has any number of them
_FOLLOWED = 5000  # steps for which held memories are followed
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
    q = _q(dynamics, x, u)
    exact = q <= tol_q * x.square().sum(-1).clamp_min(1) * stiffness**2
    certificate = np.array(found.method, dtype=object)
    hits, radius, error, sample = found.hits, found.radius, found.error, record.sample
    bare = torch.nonzero((found.radius == 0) & exact)[:, 0]
    certificate[bare[_on_continuum(dynamics, x[bare], u, scale, stiffness)].numpy()] = "continuum"
    certificate[far_and_flat(dynamics, x, u, scale, certificate).numpy()] = "none"
    kind = np.where(exact.numpy() & (certificate != "none"), "fixed", "unresolved").astype(object)
    keep, hits, sample = _merge_unresolved(x, q, kind, hits, sample, 1e-3 * scale)
    x, kind, certificate, radius, error = x[keep], kind[keep], certificate[keep], radius[keep], error[keep]
    record = replace(record, sample=sample)

    speed_limit = slow_speed * (_rms_speed(dynamics, visited, u) if dynamics.flow else scale)
    # where most starts stall, what they stall at is sought as held points
    slow_x, slow_kind = _slow_points(dynamics, [] if record.saturated else leftover, u, scale, speed_limit, x, visited)
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
        horizon=_horizons(dynamics, points, u, scale),
        distance=_distances(points.x, visited, scale),
        **_modes_on_horizon(points),
    )


def _told_by_exact_points(points: FixedPoints, horizon: float) -> bool:
    """Whether every start reached an exact point, and each of these is on the horizon what it is in the long run."""
    record = points.record
    growing, ambiguous, _ = on_horizon(points.eigenvalues, horizon, points.flow)
    clear = torch.equal(growing, points.n_unstable) and not bool(ambiguous.any())
    reached = record.n_zero >= 0.95 * record.n_starts and bool((points.kind == "fixed").all())
    return clear and reached and bool(points.isolated.all())


def _modes_on_horizon(points: FixedPoints) -> dict[str, Tensor]:
    if points.asked_horizon is None:
        return {}
    _, ambiguous, neutral = on_horizon(points.eigenvalues, points.asked_horizon, points.flow)
    return {"n_neutral": neutral, "n_ambiguous": ambiguous}


def _distances(x: Tensor, visited: Tensor, scale: float, most: int = 10_000) -> Tensor:
    """Distance of each state to the nearest visited one, in units of their spread."""
    some = visited[:: -(-len(visited) // most)]
    return torch.cdist(x, some).amin(1) / scale if len(x) else torch.zeros(0, dtype=torch.float64)


def _with_held(dynamics, points, u, visited, scale, horizon, generator) -> FixedPoints:
    """The same points with those that hold for the horizon, in the place of slow ones that do."""
    fixed = torch.from_numpy(points.fixed)
    still = points.speed * horizon <= TOLERANCE * scale
    held = hold(
        dynamics,
        points.x[fixed],
        on_horizon(points.eigenvalues[fixed], horizon, points.flow)[0],
        points.isolated[fixed],
        points.x[~fixed & still],
        u,
        visited,
        scale=scale,
        horizon=horizon,
        generator=generator,
    )
    kept = points[(fixed | ~still).numpy()]
    n_kept, n_new = len(kept), len(held.x)
    node = torch.full((n_kept + n_new,), -1)
    node[:n_kept][torch.from_numpy(kept.fixed)] = held.on_plateau
    node[n_kept:] = held.node
    reached = torch.ones(n_kept + n_new, dtype=torch.bool)
    stable = on_horizon(kept.eigenvalues, horizon, points.flow)[0] == 0
    reached[:n_kept] = (node[:n_kept] >= 0) | ~stable
    reached[n_kept:] = held.reached
    nothing = torch.zeros(n_new, dtype=torch.float64)
    exact_sides = [()] * n_kept
    for p, found in zip(np.flatnonzero(kept.fixed), held.exact_sides):
        exact_sides[p] = found
        # a saddle from which nothing gets to where orbits from the data end is no part of what they do
        reached[p] &= not found or max(found) >= 0
    sides = [",".join(map(str, s)) for s in exact_sides + held.sides]
    made = _describe(
        dynamics,
        torch.cat([kept.x, held.x]),
        u,
        np.concatenate([kept.kind, np.full(n_new, "held")]).astype(object),
        np.concatenate([kept.certificate, np.full(n_new, "none")]).astype(object),
        torch.cat([kept.radius, nothing]),
        torch.cat([kept.error, nothing + torch.inf]),
        torch.cat([kept.hits, held.hits]),
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


def _q(dynamics: Map, x: Tensor, u: Tensor) -> Tensor:
    return 0.5 * dynamics.residual(x, u.expand(len(x), -1)).square().sum(-1)


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


def far_and_flat(dynamics: Map, x: Tensor, u: Tensor, scale: float, certificate: np.ndarray) -> Tensor:
    """Whether the residual at each of `x` is small only because the equation is flat there: no zero is near, (P,) bool.

    Newton's step must be small in every direction, rounding included, but for at most three that are null: those of a
    continuum. What is proven, or solved in a form of its own, stays.
    """
    flat = torch.zeros(len(x), dtype=torch.bool)
    if dynamics.reduced is not None:
        return flat
    for p in np.flatnonzero(certificate != "kantorovich"):
        state, held = x[p : p + 1], u[None]
        g = dynamics.residual(state, held)[0]
        left, size, _ = torch.linalg.svd(dynamics.residual_jacobian(state, held)[0])
        rounding = 4 * _EPS * (1 + float(state.abs().max()))
        null = size <= 1e-9 * size[0]
        null = null if certificate[p] == "continuum" and int(null.sum()) <= 3 else torch.zeros_like(null)
        newton = ((left.mT @ g).abs() + rounding)[~null] / size[~null].clamp_min(1e-300)
        flat[p] = bool(newton.norm() > 1e-3 * scale)
    return flat


def _on_continuum(dynamics: Map, x: Tensor, u: Tensor, scale: float, stiffness: float) -> Tensor:
    """Whether there are zeros on both sides of each point along the null direction of its Jacobian, (P,) bool."""
    few = x[:: max(1, len(x) // 32)]
    verdict = _zeros_beside(dynamics, few, u, scale, stiffness)
    if len(few) == len(x) or bool(verdict.all()):
        # a continuum fills the set with its points: a few tell for all
        return verdict if len(few) == len(x) else torch.ones(len(x), dtype=torch.bool)
    return _zeros_beside(dynamics, x, u, scale, stiffness)


def _zeros_beside(dynamics, x, u, scale, stiffness):
    held = u.expand(len(x), -1)
    null = torch.linalg.svd(dynamics.residual_jacobian(x, held))[2][:, -1]
    delta = 1e-3 * scale
    both = torch.ones(len(x), dtype=torch.bool)
    for side in (-1.0, 1.0):
        y = x + side * delta * null
        for _ in range(4):
            inverse = torch.linalg.pinv(dynamics.residual_jacobian(y, held), rtol=1e-5)
            y = y - (inverse @ dynamics.residual(y, held)[..., None])[..., 0]
        moved = side * ((y - x) * null).sum(-1)
        left = dynamics.residual(y, held).norm(dim=-1)
        both &= (moved >= 0.5 * delta) & (moved <= 2 * delta)
        both &= left <= 1e-13 * stiffness * x.norm(dim=-1).clamp_min(1)
    return both


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


def _slow_points(dynamics, leftover, u, scale, limit, known, visited) -> tuple[Tensor, np.ndarray]:
    """Distinct local minima of q that are no zeros and slower than `limit`, refined; and whether each is one."""
    empty = torch.zeros(0, known.shape[1], dtype=torch.float64)
    if not leftover or limit <= 0:
        return empty, np.zeros(0, dtype=object)
    centre = visited.mean(0)
    # a minimum of q far outside of what is visited, or at infinity, says nothing about the computation
    reach = 2 * float((visited - centre).norm(dim=-1).max()) + scale
    x = torch.cat(leftover)
    speed = (2 * _q(dynamics, x, u)).sqrt()
    keep = torch.isfinite(speed) & (speed <= 2 * limit) & ((x - centre).norm(dim=-1) <= reach)
    x = _thin(x[keep][speed[keep].argsort()], 1e-3 * scale, _MAX_SLOW)
    kept: list[Tensor] = []
    kinds: list[str] = []
    for start in x:
        y, flat = _minimise_q(dynamics, start, u, scale)
        near = [float((y - other).norm()) for other in (*known, *kept)]
        here = float((y - centre).norm()) <= reach
        slow = float((2 * _q(dynamics, y[None], u)).sqrt()) <= limit
        if here and slow and (not near or min(near) > 1e-3 * scale):
            kept.append(y)
            kinds.append("slow" if flat else "unresolved")
    return (torch.stack(kept) if kept else empty), np.array(kinds, dtype=object)


def _minimise_q(dynamics: Map, x: Tensor, u: Tensor, scale: float) -> tuple[Tensor, bool]:
    from scipy.optimize import minimize

    def value_and_gradient(y):
        state = torch.from_numpy(y)[None]
        g = dynamics.residual(state, u[None])[0]
        gradient = dynamics.residual_jacobian(state, u[None])[0].mT @ g
        return 0.5 * float(g @ g) * weight, gradient.numpy() * weight

    # scaled to one, so that the optimiser's absolute tolerances mean something
    weight = 1 / max(1e-300, float(_q(dynamics, x[None], u)[0]))
    result = minimize(
        value_and_gradient, x.numpy(), jac=True, method="L-BFGS-B", options={"maxiter": 200, "gtol": 1e-9, "ftol": 0.0}
    )
    y = torch.from_numpy(np.asarray(result.x))
    g = dynamics.residual(y[None], u[None])[0]
    jacobian = dynamics.residual_jacobian(y[None], u[None])[0]
    gradient = (jacobian.mT @ g).norm()
    # J^T g against |J| |g|, or against |g|^2 over the spread where J vanishes as well
    steep = torch.linalg.matrix_norm(jacobian, ord=2) + g.norm() / scale
    return y, bool(gradient <= 1e-4 * steep * g.norm())


def _thin(x: Tensor, gap: float, most: int) -> Tensor:
    kept: list[int] = []
    left = torch.ones(len(x), dtype=torch.bool)
    while bool(left.any()) and len(kept) < most:
        k = int(torch.nonzero(left)[0])
        kept.append(k)
        left &= (x - x[k]).norm(dim=-1) > gap
    return x[kept]


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
        x=x[keep],
        u=held[keep].clone(),
        q=_q(dynamics, x, u)[keep],
        kind=kind[order].astype("U16"),
        jacobian=jacobian[keep],
        input_jacobian=by_input[keep],
        eigenvalues=values[keep],
        n_unstable=n_unstable[keep],
        index=index[keep],
        certificate=certificate[order].astype("U16"),
        radius=radius[keep],
        error=error[keep],
        isolated=isolated[keep],
        hits=hits[keep],
        horizon=torch.full((n,), torch.nan, dtype=torch.float64),
        flow=dynamics.flow,
        dt=dynamics.dt,
        record=replace(record, sample=sample),
        dynamics=dynamics,
        **{name: a[keep] for name, a in (("node", node), ("reached", reached)) if a is not None},
        **({} if sides is None else {"sides": sides[order]}),
    )


def _index(jacobian: Tensor, flow: bool) -> Tensor:
    """Signs of det(I - J) of a map, of det(-J) of a flow, int64 (P,)."""
    m = -jacobian if flow else torch.eye(jacobian.shape[-1], dtype=torch.float64) - jacobian
    return torch.linalg.slogdet(m)[0].round().long()


def _horizons(dynamics: Map, points: FixedPoints, u: Tensor, scale: float, n_steps: int = 10_000) -> Tensor:
    """For how many steps each point is a memory; see FixedPoints.horizon."""
    horizon = torch.full((len(points),), torch.nan, dtype=torch.float64)
    stable = points.n_unstable == 0
    horizon[stable & torch.from_numpy(points.kind == "fixed")] = torch.inf
    kind = points.kind
    # of held points, those that stand for a memory
    which = (kind == "slow") | ((kind == "held") & (points.node >= 0).numpy())
    which = torch.nonzero(torch.from_numpy(which))[:, 0]
    if bool((kind == "held").any()):
        n_steps = _FOLLOWED
    if not len(which):
        return horizon
    read = dynamics.readout if dynamics.readout is not None else (lambda x: x)
    x = points.x[which].clone()
    h = time_step(dynamics, x, u)
    with torch.no_grad():
        y0 = read(x)
        size = 0.1 * (scale if dynamics.readout is None else _readout_spread(dynamics, points))
        left = torch.full((len(x),), torch.inf, dtype=torch.float64)
        held_input = u.expand(len(x), -1)
        every = 10 if n_steps == _FOLLOWED else 1
        for t in range(every, n_steps + 1, every):
            for _ in range(every):
                x = advance(dynamics, x, held_input, h)
            gone = ~((read(x) - y0).reshape(len(x), -1).norm(dim=-1) <= size)
            left = torch.where(gone & torch.isinf(left), float(t) * h, left)
            if bool(torch.isfinite(left).all()):
                break
    held = torch.from_numpy(kind == "held")[which]
    horizon[which] = torch.where(held, left.clamp_max(n_steps * h), left)
    return horizon


def _readout_spread(dynamics: Map, points: FixedPoints) -> float:
    states = dynamics.visited if dynamics.visited is not None else points.x
    y = dynamics.readout(states[:: max(1, len(states) // 1000)]).double()  # type: ignore[misc]
    y = y.reshape(len(y), -1)
    return max(1e-12, float((y - y.mean(0)).square().sum(-1).mean().sqrt()))


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

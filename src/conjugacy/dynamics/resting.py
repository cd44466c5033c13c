"""Orbits that come to rest, or nearly: the fixed points they go to, and places that hold for a stated time.

An orbit need not have arrived: Newton's method finds the fixed point ahead of it, and the orbit belongs there if it
comes nearer as fast as the linearisation says. What creeps without a fixed point near is held if it moves less than a
twentieth of the spread of the visited states within the horizon, and has no direction that grows within it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from conjugacy.dynamics.attractor_results import Attractor
from conjugacy.dynamics.certificate import certify
from conjugacy.dynamics.distances import distances
from conjugacy.dynamics.jacobian import chunks
from conjugacy.dynamics.strobe import Strobe

_STILL = 1e-10  # of the spread: an orbit that moves less in a step rests
_NEUTRAL = 1e-6  # a direction whose growth differs from 1 by less is one of a line or surface of fixed points
_HELD = 0.05  # of the spread: how far a held point may move within the horizon
_REACH = 4.0  # spreads: how far ahead the fixed point of an orbit may lie
_GROWTH = 3.0  # ln 20: growth over the horizon that carries a held point's tolerance to the whole spread


class Rest(NamedTuple):
    """A fixed or held point, and which of the orbits asked about (indices) end there."""

    attractor: Attractor
    orbits: list[int]
    x: Tensor


def fixed_points_ahead(
    strobe: Strobe, x: Tensor, scale: float, generator: Generator, time_scale: float, n_exponents: int
) -> list[Rest]:
    """Fixed points of the strobe that orbits at states `x` (B, D) rest on or approach; orbits elsewhere are in none."""
    speed = (strobe.step(x) - x).norm(dim=-1)
    slow = torch.nonzero(speed <= 0.02 * scale)[:, 0]
    if not len(slow):
        return []
    leaders = _leaders(x[slow], speed[slow], 1e-3 * scale)
    found, regular = _newton(strobe, x[slow][leaders], scale)
    ok = _stable(strobe, found) & torch.isfinite(found).all(-1)
    ok &= (strobe.step(found) - found).norm(dim=-1) <= 10 * _STILL * scale + 1e-13 * found.norm(dim=-1)
    found, regular = found[ok], regular[ok]
    if not len(found):
        return []
    keep = _leaders(found, (strobe.step(found) - found).norm(dim=-1), 1e-6 * scale)
    found, regular = found[keep], regular[keep]
    gap, nearest = distances(x[slow], found).min(1)
    here = (gap <= _REACH * scale) & _approaches(strobe, x[slow], found[nearest], scale)
    rests: list[Rest] = []
    for p in range(len(found)):
        orbits = slow[here & (nearest == p)].tolist()
        if orbits:
            rests.append(Rest(_describe(strobe, found[p], scale, generator, time_scale, n_exponents), orbits, found[p]))
    return _joined(strobe, rests, scale)


def held_points(
    strobe: Strobe, x: Tensor, scale: float, horizon: float, time_scale: float, n_exponents: int
) -> list[Rest]:
    """Places that orbits at states `x` (B, D) do not leave within `horizon` (steps, units of time)."""
    n = max(4, round(horizon / strobe.time))
    ahead, travelled, furthest = x, torch.zeros(len(x), dtype=torch.float64), torch.zeros(len(x), dtype=torch.float64)
    for _ in range(n):
        after = strobe.step(ahead)
        travelled += (after - ahead).norm(dim=-1)
        furthest = torch.maximum(furthest, (after - x).norm(dim=-1))
        ahead = after
    # a small circle stays near as well, but it travels far
    creeps = torch.isfinite(travelled) & (furthest <= _HELD * scale) & (travelled <= 3 * furthest + 1e-9 * scale)
    which = torch.nonzero(creeps)[:, 0]
    if not len(which):
        return []
    which = which[_stable(strobe, x[which], margin=_GROWTH * strobe.time / horizon)]
    groups = _plateaus(strobe, x[which], ahead[which], scale)
    rests = []
    for g in sorted(set(groups)):
        orbits = which[torch.tensor([k for k, other in enumerate(groups) if other == g])]
        slowest = orbits[furthest[orbits].argmin()]
        values = torch.linalg.eigvals(strobe.jacobians(x[slowest][None])[0])
        values = values[values.abs().argsort(descending=True)]
        rates = values.abs().clamp_min(1e-300).log() / strobe.time
        attractor = Attractor(
            "held",
            x[orbits],
            0.0,
            0,
            exponents=rates[:n_exponents],
            exponent_errors=torch.full_like(rates[:n_exponents], torch.nan),
            multipliers=values,
            resolution=_HELD,
            time_scale=time_scale,
            dimension=float((rates.abs() <= 1 / horizon).sum()),
            horizon=horizon,
            note=f"Its orbits move at most {float(furthest[orbits].max()) / scale:.2g} of the spread in that time.",
        )
        rests.append(Rest(attractor, orbits.tolist(), x[slowest]))
    return rests


def _leaders(x: Tensor, rank: Tensor, gap: float) -> Tensor:
    """Indices of states (N, D), lowest `rank` first, that lie farther than `gap` from all chosen before them."""
    chosen: list[int] = []
    left = torch.ones(len(x), dtype=torch.bool)
    for k in rank.argsort().tolist():
        if left[k]:
            chosen.append(k)
            left &= (x - x[k]).norm(dim=-1) > gap
    return torch.tensor(chosen, dtype=torch.int64)


def _newton(strobe: Strobe, x: Tensor, scale: float, n_iters: int = 12) -> tuple[Tensor, Tensor]:
    """Zeros of G(x) - x near `x`, where Newton's method goes no farther than a few spreads from there."""
    start, x = x, x.clone()
    eye = torch.eye(x.shape[1], dtype=torch.float64)
    regular = torch.ones(len(x), dtype=torch.bool)
    held = strobe.inputs[0]
    plain = len(strobe.inputs) == 1
    for part in chunks(len(x), x.shape[1], 3):
        for _ in range(n_iters):
            now = x[part]
            if plain:  # a flow's own equation is exact where the scheme's is rounded
                u = held.expand(len(now), -1)
                miss, jacobian = strobe.dynamics.residual(now, u), strobe.dynamics.residual_jacobian(now, u)
            else:
                miss, jacobian = strobe.step(now) - now, strobe.jacobians(now) - eye
            good = torch.isfinite(jacobian).all(-1).all(-1) & torch.isfinite(miss).all(-1)
            jacobian, miss = torch.where(good[:, None, None], jacobian, eye), torch.where(good[:, None], miss, 0.0)
            step, info = torch.linalg.solve_ex(jacobian, miss[..., None])
            step = step[..., 0]
            fine = (info == 0) & torch.isfinite(step).all(-1)
            fine &= (now - step - start[part]).norm(dim=-1) <= _REACH * scale
            x[part] = torch.where(fine[:, None], now - step, now)
            regular[part] = fine
    return x, regular


def _rates(strobe: Strobe, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues (P, D) of the derivative of a step (a flow: of the velocity), slowest first; rates; vectors."""
    plain = len(strobe.inputs) == 1
    held = strobe.inputs[0].expand(len(x), -1)
    jacobian = strobe.dynamics.jacobians(x, held)[0] if plain else strobe.jacobians(x)
    values, vectors = torch.linalg.eig(jacobian)
    flow = plain and strobe.dynamics.flow
    rates = values.real if flow else values.abs().clamp_min(1e-300).log()
    order = rates.argsort(dim=1, descending=True, stable=True)
    rates = torch.gather(rates, 1, order) * (strobe.time if plain else 1.0)
    vectors = torch.gather(vectors, 2, order[:, None].expand_as(vectors))
    return torch.gather(values, 1, order), rates, vectors


def _stable(strobe: Strobe, x: Tensor, margin: float = _NEUTRAL) -> Tensor:
    """Whether no direction grows by more than exp(margin) in a look, (P,) bool; not where the state is not finite."""
    ok = torch.isfinite(x).all(-1)
    if bool(ok.any()):
        ok[ok.clone()] = _rates(strobe, x[ok])[1][:, 0] <= margin
    return ok


def _approaches(strobe: Strobe, x: Tensor, target: Tensor, scale: float) -> Tensor:
    """Whether each orbit at `x` nears its `target` as the slowest mode there promises, three times running."""
    speed = (strobe.step(x) - x).norm(dim=-1)
    near = (x - target).norm(dim=-1)
    good = (near <= 1e-6 * scale) | ((speed <= _STILL * scale) & (near <= 1e-3 * scale))
    ask = torch.nonzero(~good)[:, 0]
    if not len(ask):
        return good
    points, which = torch.unique(target[ask], dim=0, return_inverse=True)
    _, rates, vectors = _rates(strobe, points)
    left, info = torch.linalg.inv_ex(vectors)
    left = torch.where((info == 0)[:, None, None], left, torch.eye(x.shape[1], dtype=left.dtype))[which]
    rate = rates[which, 0]
    # as long as a slow mode needs to show: what passes by a point comes nearer for a while as well
    every = int((0.2 / rate.abs().min().clamp_min(2e-4)).clamp(30, 1000))

    def size(state):
        away = (state - target[ask]).to(left.dtype)
        return (left @ away[..., None])[..., 0].abs().square().sum(-1).sqrt()

    now, before, nearer = x[ask], size(x[ask]), torch.ones(len(ask), dtype=torch.bool)
    for _ in range(3):
        now = strobe.run(now, every)
        after = size(now)
        nearer &= (after <= before * torch.exp(0.5 * every * rate.clamp_max(0.0))) & (rate < 0)
        before = after
    good[ask[nearer]] = True
    return good


def _describe(strobe, x, scale, generator, time_scale, n_exponents) -> Attractor:
    values, rates, _ = (part[0] for part in _rates(strobe, x[None]))
    plain = len(strobe.inputs) == 1
    neutral = int((rates.abs() <= _NEUTRAL).sum())
    u = strobe.inputs[0]
    dynamics = strobe.dynamics if plain else strobe.as_map()
    certificate, radius, error = "continuum" if neutral else "none", 0.0, float("nan")
    if not neutral:
        equation = dynamics.equation()
        made = certify(equation, equation.project(x[None]), u, scale, generator)
        certificate, radius = made.method[0], float(made.radius[0])
        error = float(made.error[0]) / scale if radius else float("nan")
    if not bool(torch.isfinite(torch.tensor(error))):
        error = float((strobe.step(x[None])[0] - x).norm()) / scale / max(1e-12, 1 - float(rates[0].exp()))
    exponents = rates[:n_exponents] / strobe.time
    states = x[None] if plain else strobe.within(x[None])[0]
    turns = not plain and float((states - states[0]).norm(dim=-1).max()) > 1e-9 * scale
    return Attractor(
        "cycle" if turns else "fixed",
        states if turns else x[None],
        0.0,
        0,
        period=strobe.time if turns else float("nan"),
        period_error=0.0 if turns else float("nan"),
        exponents=torch.where(exponents < -500, -torch.inf, exponents),
        exponent_errors=torch.zeros_like(exponents),
        multipliers=values.exp() if plain and strobe.dynamics.flow and not turns else values,
        certificate=certificate,
        radius=radius,
        resolution=error,
        time_scale=time_scale,
        dimension=float(neutral),
        note="It has the period of the inputs." if turns else "",
    )


def _joined(strobe: Strobe, rests: list[Rest], scale: float) -> list[Rest]:
    """Fixed points of one continuum as one attractor."""
    out = [r for r in rests if r.attractor.dimension == 0]
    loose = [r for r in rests if r.attractor.dimension > 0]
    if not loose:
        return out
    x = torch.stack([r.x for r in loose])
    groups = _plateaus(strobe, x, x, scale)
    for g in sorted(set(groups)):
        members = [r for r, other in zip(loose, groups) if other == g]
        first = members[0].attractor
        points = torch.cat([r.attractor.x for r in members])
        dimension = min(r.attractor.dimension for r in members)
        changed = {**{k: getattr(first, k) for k in first.__dataclass_fields__}, "x": points, "dimension": dimension}
        out.append(Rest(Attractor(**changed), [o for r in members for o in r.orbits], members[0].x))
    return out


def _plateaus(strobe: Strobe, x: Tensor, ahead: Tensor, scale: float, n_relax: int = 30, most: int = 40) -> list[int]:
    """Which states (B, D) lie on one plateau: relaxed by the map, the straight line between two of them holds too.

    ahead : Tensor (B, D)
        Where each state is after the horizon: what lies on one plateau may creep by no more than a few times that.
    """
    label = [-1] * len(x)
    own = (ahead - x).norm(dim=-1)
    order = own.argsort().tolist()
    leaders: list[int] = []
    for k in order:
        if label[k] >= 0:
            continue
        if len(leaders) >= most:
            label[k] = label[leaders[int((x[leaders] - x[k]).norm(dim=-1).argmin())]]
            continue
        label[k] = len(leaders)
        leaders.append(k)
        rest = [i for i in order if label[i] < 0]
        if not rest:
            break
        shares = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)[:, None, None]
        line = (x[k] + shares * (x[rest] - x[k])).flatten(0, 1)
        relaxed = strobe.run(line, n_relax)
        speed = (strobe.step(relaxed) - relaxed).norm(dim=-1).reshape(3, -1).amax(0)
        here = (strobe.step(x[rest]) - x[rest]).norm(dim=-1)
        limit = 4 * torch.maximum(here, (strobe.step(x[k][None]) - x[k]).norm()) + 1e-9 * scale
        moved = (relaxed - line).norm(dim=-1).reshape(3, -1).amax(0)
        apart = (x[rest] - x[k]).norm(dim=-1)
        same = (speed <= limit) & (moved <= 0.25 * apart + 1e-6 * scale)
        for i, joined in zip(rest, same.tolist()):
            if joined:
                label[i] = label[k]
    return label

"""Cycles and circles described: what is known of a cycle of a map, of a flow, and of circles of rational rotation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Generator, Tensor

from conjugacy.dynamics.attractor_results import Attractor
from conjugacy.dynamics.certificate import certify
from conjugacy.dynamics.closed_curves import pieces, principal, size_of
from conjugacy.dynamics.cycles import flow_cycle
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.returns import Recurrence
from conjugacy.dynamics.strobe import Strobe, product_along
from conjugacy.dynamics.tangent import first_frame, grow

_CERTIFICATE_WORK = 2e9  # multiplications for the sampled certificate of a cycle
_POINTS = 20_000


def cycle_of_map(
    strobe: Strobe, made: Recurrence, time_scale: float, n_exponents: int, generator: Generator
) -> Attractor:
    """The Attractor of a cycle of the strobe."""
    p, d = made.points.shape
    period = p * strobe.time
    values, k = made.multipliers, min(n_exponents, d)
    if values is None or float(values[k - 1].abs()) < 1e-8:
        # eigenvalues of a long product lose the small ones: a frame carried round the cycle keeps them
        n = p * -(-200 // p)
        frame = grow(strobe, made.points[:1], first_frame(1, d, k, generator), n)[2]
        logs = grow(strobe, made.points[:1], frame, n)[0][0]
        rates = logs.mean(0).sort(descending=True).values
        moduli = (rates * p).exp()
        first = 0 if values is None else int((values[:k].abs() >= 1e-8).sum())
        head = moduli[:0].to(torch.complex128) if values is None else values[:first]
        rates[:first] = head.abs().log() / p
        values = torch.cat([head, moduli[first:].to(torch.complex128)])
    else:
        rates = values.abs().log()[:k] / p
    states = made.points if len(strobe.inputs) == 1 else strobe.within(made.points).flatten(0, 1)
    certificate, radius = _certificate(strobe, made, generator)
    size = max(made.size, 1e-300)
    error = made.residual / max(1e-12, 1 - float(values[0].abs())) / size
    note = ""
    if len(strobe.inputs) > 1:
        note = f"It repeats after {p} periods of the inputs." if p > 1 else "It has the period of the inputs."
    return Attractor(
        "cycle",
        states,
        0.0,
        0,
        period=period,
        period_error=0.0,
        exponents=rates / strobe.time,
        exponent_errors=torch.zeros_like(rates),
        multipliers=values,
        certificate=certificate,
        radius=radius,
        resolution=max(error, 1e-16),
        time_scale=time_scale,
        dimension=0.0,
        note=note,
    )


def _certificate(strobe: Strobe, made: Recurrence, generator: Generator) -> tuple[str, float]:
    """The contraction test of Newton's method on the p-fold map, where it is not too much work."""
    p, d = made.points.shape
    if made.multipliers is None or 100 * p * d**3 > _CERTIFICATE_WORK:
        return "none", 0.0
    whole = strobe.at_pace(p * strobe.pace)
    folded = Map(
        lambda x, u: whole.step(x), d, jacobian=lambda x, u: (whole.jacobians(x), torch.zeros(len(x), d, u.shape[-1]))
    )
    u = strobe.inputs[0]
    result = certify(folded.equation(), made.points[:1], u, made.size, generator)
    return result.method[0], float(result.radius[0])


def cycle_of_flow(
    strobe: Strobe, path: np.ndarray, period: float, time_scale: float, n_exponents: int
) -> Attractor | None:
    """The Attractor of a flow's cycle near an orbit (n, D), refined as a solution of period `period` looks, or None."""
    # a quarter of the time step: the error of the scheme is a thousandth of a percent otherwise
    fine = replace(strobe, pace=1, h=strobe.h / 4)
    x = torch.from_numpy(np.ascontiguousarray(path[-1]))
    n = int(4 * 1.3 * period * strobe.pace) + 4
    cycle = flow_cycle(strobe.dynamics, fine.path(x[None], n)[0], strobe.inputs[0], fine.h)
    if cycle is None or abs(cycle.period / (period * strobe.time) - 1) > 0.05:
        return None
    rates = cycle.multipliers.abs().clamp_min(1e-300).log()[:n_exponents] / cycle.period
    return Attractor(
        "cycle",
        cycle.x,
        0.0,
        0,
        period=cycle.period,
        period_error=float(abs(cycle.multipliers - 1).min()) * cycle.period,
        rotations=(1 / cycle.period,),
        exponents=rates,
        exponent_errors=torch.zeros_like(rates),
        multipliers=cycle.multipliers,
        resolution=max(cycle.residual / size_of(cycle.x.numpy()), 1e-16),
        time_scale=time_scale,
        dimension=1.0,
    )


def rational_groups(
    strobe: Strobe, x: Tensor, p: int, generator: Generator, n_settle: int
) -> list[tuple[np.ndarray, list[int]]]:
    """Closed curves that orbits at `x` (B, D) are on, all of which repeat after p looks.

    More orbits are started beside them, so that the curves are filled; of each curve, stretches (b, n, D) of orbits on
    it, and which of `x` are on it.
    """
    cycles = strobe.path(x, p + 1)
    flat = cycles[:, :-1].flatten(0, 1)
    size = float((flat - flat.mean(0)).norm(dim=-1).max())
    seeds = []
    some = cycles[:: max(1, len(cycles) // 16)][:16]
    n = max(2, min(400, _POINTS // p) // len(some))
    for cycle in some:
        values, vectors = torch.linalg.eig(product_along(strobe, cycle[:-1]))
        along = vectors[:, (values - 1).abs().argmin()].real
        way = 2 * torch.rand(n, 1, generator=generator, dtype=torch.float64) - 1
        seeds.append(cycle[0] + 0.3 * size * way * along / along.norm().clamp_min(1e-12))
    more = strobe.path(strobe.run(torch.cat(seeds), n_settle), p + 1)
    back = (more[:, -1] - more[:, 0]).norm(dim=-1) <= 1e-3 * size
    back &= (more - flat.mean(0)).norm(dim=-1).amax(1) <= 2 * size
    orbits = torch.cat([cycles, more[back]])[:, :-1].numpy()
    centre, axes = principal(orbits.reshape(-1, orbits.shape[-1]))
    cloud = (orbits - centre) @ axes.T
    labels = pieces(cloud.reshape(-1, cloud.shape[-1]), 0.06 * size).reshape(cloud.shape[:2])
    # pieces that an orbit visits in turn belong to one curve
    owner = list(range(int(labels.max()) + 1))

    def root(k: int) -> int:
        while owner[k] != k:
            k = owner[k]
        return k

    for row in labels:
        for k in set(row.tolist()):
            owner[root(k)] = root(int(row[0]))
    top = np.array([root(int(row[0])) for row in labels])
    # twice round, so that a state's image m looks on is among those given
    twice = np.concatenate([orbits, orbits, orbits[:, :1]], 1)
    return [(twice[top == g], np.nonzero(top[: len(x)] == g)[0].tolist()) for g in sorted(set(top[: len(x)].tolist()))]

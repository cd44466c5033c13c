"""Where a search for fixed points begins.

Visited states alone miss saddles, which repel what comes near: on a trained 3-bit flip-flop they find 21 to 25 of 27
points, convex mixtures of visited states find all (measured, see docs/fixed_points.md). So the default search draws

    visited       states the system visits, as they are                          1/8 of the starts
    mixtures      of three visited states, weights from a flat Dirichlet         1/2
    perturbed     visited states plus noise of a tenth of their spread           1/8
    box           uniform in the box that the map keeps (else: more mixtures)    1/4

and then, around the points found: mixtures of those points, fourth corners of parallelograms of those points (where
bits are stored side by side, a missing point is one), and steps from saddles along their unstable directions.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from conjugacy.dynamics.map import Map

_SHARES = {"visited": 0.125, "perturbed": 0.125, "box": 0.25}


def first_starts(dynamics: Map, visited: Tensor, u: Tensor, n: int, generator: Generator) -> Tensor:
    """`n` starts (n, D), drawn independently of each other from the four sources above, in random order.

    Up to half of `n`, every row of a small `visited` is among them as it is.
    """
    box = dynamics.box(u) if dynamics.box is not None else None
    counts = {source: int(n * share) for source, share in _SHARES.items() if source != "box" or box is not None}
    counts["visited"] = max(counts["visited"], min(len(visited), max(1, n // 2)) if len(visited) <= n else 0)
    parts = [
        visited[torch.randperm(len(visited), generator=generator)[: counts["visited"]]],
        perturb(visited[_draw(visited, counts["perturbed"], generator)], 0.1 * spread(visited), generator),
    ]
    if box is not None:
        lower, upper = box
        parts.append(lower + (upper - lower) * _uniform(counts["box"], len(lower), generator))
    parts.append(mixtures(visited, n - sum(len(p) for p in parts), 3, generator))
    starts = torch.cat(parts)[:n]
    return starts[torch.randperm(len(starts), generator=generator)]


def continued_starts(x: Tensor, n_unstable: Tensor, unstable: Tensor, n: int, generator: Generator) -> Tensor:
    """`n` starts around the points `x` (P, D) found so far: mixtures, parallelograms, steps.

    unstable : Tensor (P, D)
        A unit vector along the fastest unstable direction of each point, used where ``n_unstable > 0``.
    """
    saddles = torch.nonzero(n_unstable > 0)[:, 0]
    n_steps = n // 4 if len(saddles) else 0
    pick = saddles[_draw(saddles, n_steps, generator)] if n_steps else saddles[:0]
    # as far as the points lie apart, on either side, log-uniform over two decades
    reach = spread(x) * 10 ** (-2 * _uniform(n_steps, 1, generator))
    side = torch.where(_uniform(n_steps, 1, generator) < 0.5, -1.0, 1.0)
    steps = x[pick] + side * reach * unstable[pick]
    n_corners = n // 4
    a, b, c = (x[_draw(x, n_corners, generator)] for _ in range(3))
    kinds = [mixtures(x, m, k, generator) for m, k in zip(_split(n - n_steps - n_corners, 3), (2, 3, 4))]
    return torch.cat([steps, a + b - c, *kinds])


def mixtures(states: Tensor, n: int, of: int, generator: Generator) -> Tensor:
    """`n` convex mixtures of `of` states each, with weights uniform on the simplex, (n, D)."""
    weights = -torch.log(_uniform(n * of, 1, generator).clamp_min(1e-300)).reshape(n, of, 1)
    return (states[_draw(states, n * of, generator)].reshape(n, of, states.shape[-1]) * weights).sum(1) / weights.sum(1)


def perturb(states: Tensor, scale: float, generator: Generator) -> Tensor:
    """States plus normal noise whose norm is about `scale`."""
    noise = torch.randn(states.shape, generator=generator, dtype=torch.float64)
    return states + scale * noise / max(1, states.shape[-1]) ** 0.5


def spread(states: Tensor) -> float:
    """Root mean square distance of states (N, D) from their mean; 1 where they do not differ."""
    rms = float((states - states.mean(0)).square().sum(-1).mean().sqrt())
    return rms if rms > 1e-9 else 1.0


def visited_states(dynamics: Map, u: Tensor, generator: Generator, n_orbits: int = 96, n_steps: int = 120) -> Tensor:
    """States (N, D) that a map visits under inputs of many kinds, when nobody has recorded any.

    Orbits start near the middle of the box (of the origin, where no box is known). During the first half of the steps
    each is driven, around the held input `u`, by noise and sparse pulses of its own strength (log-uniform in
    [0.1, 3]); then `u` is held. Every third state of the last two thirds is kept.
    """
    d = dynamics.n_units
    if d is None:
        raise ValueError("`x0`: expected states (.., unit) to start from, got None. A function does not tell its size.")
    centre, half = torch.zeros(d, dtype=torch.float64), torch.ones(d, dtype=torch.float64)
    if dynamics.box is not None:
        lower, upper = dynamics.box(u)
        centre, half = (lower + upper) / 2, (upper - lower) / 2
    x = centre + half * 10 ** (-2 * _uniform(n_orbits, 1, generator)) * (2 * _uniform(n_orbits, d, generator) - 1)
    strength = 0.1 * 30 ** _uniform(n_orbits, 1, generator)
    kept = []
    for t in range(n_steps):
        drive = u.expand(n_orbits, -1)
        if t < n_steps // 2:
            noise = torch.randn(n_orbits, len(u), generator=generator, dtype=torch.float64)
            pulse = (_uniform(n_orbits, len(u), generator) < 0.05) * torch.sign(noise)
            drive = drive + strength * (0.15 * noise + pulse)
        with torch.no_grad():
            x = dynamics.step(x, drive)
        if t >= n_steps // 3 and t % 3 == 0:
            kept.append(x)
    states = torch.cat(kept)
    return states[torch.isfinite(states).all(-1)]


def _uniform(n: int, m: int, generator: Generator) -> Tensor:
    return torch.rand(n, m, generator=generator, dtype=torch.float64)


def _draw(states: Tensor, n: int, generator: Generator) -> Tensor:
    return torch.randint(len(states), (n,), generator=generator)


def _split(n: int, parts: int) -> list[int]:
    return [n // parts + (k < n % parts) for k in range(parts)]

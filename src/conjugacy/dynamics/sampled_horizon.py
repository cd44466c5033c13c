"""How long orbits from a ball stay, as far as samples can tell: random starts, and starts driven to leave.

An upper bound of what any proof can say: a certified horizon is never longer than the first exit found here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from conjugacy.dynamics.map import Map

Margin = Callable[[Tensor], Tensor]
_UNTIL_THINNED = 100  # steps after which only the orbits nearest to leaving are followed
_FOLLOWED = 256
_SPAN = 100  # steps that gradients are taken through


def sampled_horizon(
    dynamics: Map,
    margin: Margin,
    x: Tensor,
    u: Tensor,
    radius: float,
    n_steps: int,
    generator: Generator,
    n_random: int = 10_000,
    n_driven: int = 64,
    n_ascents: int = 20,
) -> int:
    """The last step at which all orbits found are still inside, at most `n_steps`; -1 where a start is outside.

    Parameters
    ----------
    margin : callable
        (B, D) -> (B,), negative where a state has left.
    x, u : Tensor (D,) and (I,)
        Centre of the ball and held input.
    n_random : int
        Starts drawn in the ball, half of them on its surface. After 100 steps only the 256 with the least margin so far
        are followed.
    n_driven, n_ascents : int
        Starts moved along the gradient of the least margin of their first 100 steps, and how often.
    """
    starts = _in_ball(n_random, len(x), radius, generator)
    starts = torch.cat([starts, _driven(dynamics, margin, x, u, radius, starts[:n_driven], n_ascents, n_steps)])
    with torch.no_grad():
        state, worst = x + starts, torch.full((len(starts),), torch.inf, dtype=torch.float64)
        held = u.expand(len(state), -1)
        for t in range(n_steps + 1):
            worst = torch.minimum(worst, margin(state))
            if bool((worst < 0).any()):
                return t - 1
            if t == _UNTIL_THINNED and len(state) > _FOLLOWED:
                near = worst.argsort()[:_FOLLOWED]
                state, worst, held = state[near], worst[near], held[near]
            state = dynamics.step(state, held)
    return n_steps


def _in_ball(n: int, d: int, radius: float, generator: Generator) -> Tensor:
    direction = torch.randn(n, d, generator=generator, dtype=torch.float64)
    direction /= direction.norm(dim=1, keepdim=True)
    # rounded to the inside
    r = radius * (1 - 1e-12) * torch.rand(n, 1, generator=generator, dtype=torch.float64) ** (1 / d)
    r[::2] = radius * (1 - 1e-12)
    return r * direction


def _driven(dynamics, margin, x, u, radius, starts, n_ascents, n_steps):
    held = u.expand(len(starts), -1)
    best, found = torch.full((len(starts),), torch.inf, dtype=torch.float64), starts
    for k in range(n_ascents):
        with torch.enable_grad():
            moved = starts.detach().requires_grad_(True)
            state = x + moved
            least = margin(state)
            for _ in range(min(_SPAN, n_steps)):
                state = dynamics.step(state, held)
                least = torch.minimum(least, margin(state))
            (slope,) = torch.autograd.grad(least.sum(), moved)
        least, slope = least.detach(), torch.nan_to_num(slope)
        better = least < best
        best, found = torch.where(better, least, best), torch.where(better[:, None], starts, found)
        # first large steps along the sphere, then small ones
        step = radius * 0.7 * 0.85**k
        starts = starts - step * slope / slope.norm(dim=1, keepdim=True).clamp_min(1e-300)
        starts = starts * (radius * (1 - 1e-12) / starts.norm(dim=1, keepdim=True).clamp_min(radius * (1 - 1e-12)))
    return found

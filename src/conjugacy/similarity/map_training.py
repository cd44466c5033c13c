"""Fitting the maps of a correspondence: closed forms first, then a network trained on the equation of conjugacy itself.

A rung of the ladder is taken only if it lowers the residual on trials kept for that: a map of higher degree by a
tenth, the network by anything. The network is trained (Adam, one thread, all in float64) to lower the four residuals of
`agreement`: paired states say where h goes on the data; around them, where nothing is paired, the equation h(F(x, u))
= G(h(x), u) does, and the states of B that the other map lifts into A say that h has to reach all of B.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from conjugacy.similarity.agreement import Metrics, of_pair, residuals
from conjugacy.similarity.correspondence import Correspondence
from conjugacy.similarity.state_maps import Network, StateMap, closed_forms

GOOD_ENOUGH = 2e-3  # a residual for which no network is trained
_BETTER = 0.9  # a higher degree has to lower the residual by a tenth
_BATCH = 384
_RATE = 1e-2
_BACK = 0.6  # of the steps for the map back, which is trained first


def fit_maps(
    c: Correspondence, *, n_steps: int = 600, seed: int = 0, tick: Callable[[], Any] = lambda: None
) -> tuple[StateMap, StateMap]:
    """The maps h: A -> B and k: B -> A.

    Parameters
    ----------
    c : Correspondence
    n_steps : int
        Steps of training a network for h, and six tenths of that for k, which comes first. 0: closed forms only.
    seed : int
        Of the network's weights and batches.
    tick : callable
        Called after each step.
    """
    into_b, into_a = of_pair(c)
    turned = c.turned()
    h, k = _best_closed_forms(c, into_b), _best_closed_forms(turned, into_a)
    if n_steps:
        generator = torch.Generator().manual_seed(seed)
        k = _with_network(turned, into_a, k, h, int(_BACK * n_steps), generator, tick)
        h = _with_network(c, into_b, h, k, n_steps, generator, tick)
    return h, k


def total_steps(n_steps: int) -> int:
    """How often `tick` is called at most."""
    return n_steps + int(_BACK * n_steps)


def _best_closed_forms(c: Correspondence, metrics: Metrics) -> StateMap:
    """The closed form of lowest residual on the data and around them, of the lowest degree that is nearly as good."""
    maps = closed_forms(c.a, c.b, c.fit.x, c.fit.y)
    best, lowest = maps[0], float("inf")
    for candidate in maps:
        r = residuals(candidate, None, c.step_a, c.step_b, metrics, c.validation)
        residual = float(r.states.mean() + r.flow.mean() + sum(p.mean() for p in r.pushed))
        if residual < _BETTER * lowest - 1e-12:
            best, lowest = candidate, residual
    return best


def _with_network(
    c: Correspondence,
    metrics: Metrics,
    h: StateMap,
    k: StateMap,
    n_steps: int,
    generator: torch.Generator,
    tick: Callable[[], Any],
) -> StateMap:
    """The map with a trained network on top, where that lowers the residual on the validation trials; else as it is."""
    before = _validated(c, metrics, h, k)
    if before < GOOD_ENOUGH:
        return h
    width = 64 if max(len(c.a.mean), len(c.b.mean)) > 8 else 32
    weights = h.weights.clone().requires_grad_(True)
    trained = replace(h, weights=weights, network=Network(len(c.a.mean), len(c.b.mean), width, generator))
    _train(c, metrics, trained, k, n_steps, generator, tick)
    trained = replace(trained, weights=weights.detach())
    assert trained.network is not None
    trained.network.requires_grad_(False)
    return trained if _validated(c, metrics, trained, k) < before else h


def _validated(c: Correspondence, metrics: Metrics, h: StateMap, k: StateMap) -> float:
    r = residuals(h, k, c.step_a, c.step_b, metrics, c.validation)
    return r.on + r.off


def _train(
    c: Correspondence,
    metrics: Metrics,
    h: StateMap,
    k: StateMap,
    n_steps: int,
    generator: torch.Generator,
    tick: Callable[[], Any],
) -> None:
    assert h.network is not None
    pool = c.fit
    with torch.no_grad():
        lifted = [k(s.y) for s in pool.around]
        from_lifts = [c.step_a(x, s.u) for x, s in zip(lifted, pool.around)]
    groups = [
        {"params": [h.weights], "lr": _RATE / 10},
        {"params": list(h.network.parameters()), "lr": _RATE},
    ]
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, n_steps))
    parameters = [h.weights, *h.network.parameters()]
    best, lowest = [p.detach().clone() for p in parameters], float("inf")
    check_every = max(n_steps // 5, 1)
    for step in range(1, n_steps + 1):
        loss = _loss(c, metrics, h, lifted, from_lifts, generator)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        tick()
        if step % check_every == 0 or step == n_steps:
            validated = _validated(c, metrics, h, k)
            if validated < lowest:
                best, lowest = [p.detach().clone() for p in parameters], validated
    with torch.no_grad():
        for p, value in zip(parameters, best):
            p.copy_(value)


def _rate(step: int, n_steps: int) -> float:
    """The learning rate of a step as a share of the largest: a tenth of the steps rising, then half a cosine."""
    rising = n_steps // 10
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(n_steps - rising, 1)))


def _loss(
    c: Correspondence,
    metrics: Metrics,
    h: StateMap,
    lifted: Sequence[Tensor],
    from_lifts: Sequence[Tensor],
    generator: torch.Generator,
) -> Tensor:
    """The sum of the four residuals on a batch, and how far h misses the states that were lifted."""
    pool = c.fit
    i = torch.randint(len(pool.x), (_BATCH,), generator=generator)
    states, moved = h(torch.cat([pool.x[i], pool.x_next[i]])).split(len(i))
    loss = metrics.states.shares(states - pool.y[i]).mean()
    loss = loss + metrics.flow.shares(moved - c.step_b(states, pool.u[i])).mean()
    for s, x, x_next, metric in zip(pool.around, lifted, from_lifts, metrics.around):
        j = torch.randint(len(s.x), (_BATCH,), generator=generator)
        pushed, pushed_next, back, covered = h(torch.cat([s.x[j], s.x_next[j], x[j], x_next[j]])).split(len(j))
        loss = loss + metric.shares(pushed_next - c.step_b(pushed, s.u[j])).mean()
        loss = loss + metric.shares(covered - s.y_next[j]).mean()
        loss = loss + 0.3 * metrics.states.shares(back - s.y[j]).mean()
    return loss

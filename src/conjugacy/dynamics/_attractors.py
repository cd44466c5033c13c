"""attractors(): everything that orbits of a system settle on, each with its kind, period and exponents.

Orbits from visited states are followed in rounds of growing length, and told apart by what they do: they rest or creep
(`resting.py`), repeat exactly (`returns.py`), or turn on closed curves, tori and chaotic sets (`turning.py`). What one
round cannot decide is followed for longer in the next. Flows are looked at in steps of time, systems whose inputs
repeat once a period (`strobe.py`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor

from conjugacy._check import check_axes, check_finite, check_int, check_number
from conjugacy._threads import torch_threads
from conjugacy.dynamics.attractor_results import Attractor, AttractorSet
from conjugacy.dynamics.attractor_search import AttractorSearch
from conjugacy.dynamics.search import prepare
from conjugacy.dynamics.starts import spread
from conjugacy.dynamics.strobe import Strobe
from conjugacy.system import System


def attractors(
    step_or_system: Any,
    inputs: Any = 0,
    x0: Any = None,
    *,
    n_orbits: int = 64,
    n_transient: int = 5000,
    max_steps: int = 100_000,
    horizon: float | None = None,
    n_exponents: int = 8,
    integration_step: float | None = None,
    kind: str = "map",
    seed: int = 0,
    progress: bool = True,
) -> AttractorSet:
    """All that orbits from the visited states settle on: points, cycles, circles, tori and chaos.

    Parameters
    ----------
    step_or_system, seed, kind : as in `fixed_points`
    inputs : number, array (I,) or array (T, I)
        The held input, or inputs that repeat every T steps. Of a flow, each row is held for one `integration_step`.
    x0 : array (.., D), optional
        Visited states, from which orbits start: all of them if there are `n_orbits` or fewer, else a random choice.
        Default: the trajectories of the System.
    n_orbits : int
    n_transient : int
        Steps (a flow: time steps) before anything is judged. Where orbits settle slowly, more are taken.
    max_steps : int
        Most steps for which orbits are followed before they are called unresolved.
    horizon : float, optional
        Steps (a flow: units of time) for which a place must hold to be called held, where no fixed point is found.
        Default: one trial of the System, else 500 steps.
    n_exponents : int
        Lyapunov exponents to be found, the largest first; at most D.
    integration_step : float, optional
        Time step of a flow; default 0.2 over the rate that one in ten visited states exceeds.
    progress : bool
        Show a bar if it takes longer than two seconds.

    Returns
    -------
    AttractorSet
        Ctrl-C returns what was found so far, the other orbits "unresolved".

    Raises
    ------
    ValueError, TypeError
        For states or inputs with NaN or of wrong shape, or a step that changes the shape of the state.

    Notes
    -----
    Rotation numbers and exponents are weighted Birkhoff averages (Das, Saiki, Sander & Yorke 2017, Nonlinearity
    30:4111); exponents by repeated QR (Benettin et al. 1980, Meccanica 15:9).
    """
    n_orbits, n_transient = check_int("n_orbits", n_orbits, 1), check_int("n_transient", n_transient, 0)
    max_steps, n_exponents = check_int("max_steps", max_steps, 1), check_int("n_exponents", n_exponents, 1)
    series = _series(inputs)
    held = inputs if series is None else series[0]
    dynamics, states, u, generator = prepare(step_or_system, x0, held, kind, None, check_int("seed", seed, 0))
    if series is None:
        series = u[None]
    if horizon is None:
        horizon = _trial(step_or_system)
    elif check_number("horizon", horizon, 0, open_low=True):
        horizon = float(horizon)
    with torch_threads(1):
        if integration_step is not None:
            h = check_number("integration_step", integration_step, 0, open_low=True)
        elif dynamics.flow and len(series) > 1:
            raise ValueError(
                "`integration_step`: expected a number with inputs (T, I) of a flow, got None. It is how long each "
                "row is held."
            )
        else:
            h = _time_step(dynamics, states, u)
        strobe = Strobe(dynamics, series, h if dynamics.flow else 1.0, difference=1e-5 * spread(states))
        starts = _choose(states, n_orbits, generator)
        search = AttractorSearch(
            strobe,
            starts,
            scale=spread(states),
            centre=states.mean(0),
            horizon=500 * strobe.h if horizon is None else horizon,
            n_exponents=min(n_exponents, states.shape[1]),
            generator=generator,
            progress=progress,
        )
        search.run(n_transient, max_steps)
        items, owner = search.result()
    items = tuple(_with_readout(a, dynamics) for a in items)
    return AttractorSet(items, owner, starts, series, dynamics.flow, dynamics.dt)


def _series(inputs: Any) -> Tensor | None:
    """Inputs (T, I) that repeat, or None if `inputs` is held."""
    try:
        u = torch.as_tensor(inputs).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError):
        return None  # `prepare` says what is wrong with it
    if u.ndim < 2:
        return None
    check_axes("inputs", u, "time input", "Attractors belong to one held input, or to one series that repeats.")
    if not u.numel():
        raise ValueError(f"`inputs`: expected at least one step of one input, got shape {tuple(u.shape)}.")
    return check_finite("inputs", u)


def _trial(thing: Any) -> float | None:
    """Steps of one trial of a System (a Run)."""
    if not isinstance(thing, System) and callable(getattr(thing, "system", None)):
        thing = thing.system()
    return float(thing.lengths.max()) if isinstance(thing, System) else None


def _time_step(dynamics, states: Tensor, u: Tensor) -> float:
    if not dynamics.flow:
        return 1.0
    some = states[:: max(1, len(states) // 64)][:64]
    jacobian = dynamics.jacobians(some, u.expand(len(some), -1))[0]
    rates = torch.linalg.matrix_norm(jacobian[torch.isfinite(jacobian).all(-1).all(-1)], ord=2)
    return float(0.2 / rates.quantile(0.9).clamp_min(1e-9)) if len(rates) else 0.01


def _choose(states: Tensor, n: int, generator: Generator) -> Tensor:
    if len(states) <= n:
        return states.clone()
    return states[torch.randperm(len(states), generator=generator)[:n]].clone()


def _with_readout(a: Attractor, dynamics) -> Attractor:
    if dynamics.readout is None or not len(a.x):
        return a
    with torch.no_grad():
        y = torch.as_tensor(dynamics.readout(a.x)).detach().double()
    return replace(a, readout=y.reshape(len(a.x), -1))

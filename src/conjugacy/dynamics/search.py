"""fixed_points(): every fixed point of a system at a held input, exact, distinct, certified and audited.

The search solves F(x, u) = x in float64 from many starts (`starts.py`), with exact Jacobians (`cells.py`,
`jacobian.py`) and a trust region per start (`solver.py`); it certifies what it finds (`certificate.py`), then starts
again around it. What stalls at a local minimum of q = 0.5 |F(x, u) - x|^2 (Sussillo & Barak, Neural Comput. 25:626,
2013) is no fixed point and is called slow.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor

from conjugacy._arrays import read_numbers
from conjugacy._check import check_axes, check_choice, check_finite, check_option, options_of, shown
from conjugacy._threads import torch_threads
from conjugacy.dynamics._as_map import as_input, as_map
from conjugacy.dynamics.classify import collect
from conjugacy.dynamics.horizon import as_horizon
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.points import FixedPoints
from conjugacy.dynamics.search_problem import Problem
from conjugacy.dynamics.search_settings import SearchSettings
from conjugacy.dynamics.stages import Stages
from conjugacy.dynamics.starts import visited_states
from conjugacy.dynamics.step_checks import check_jacobian, check_step


def fixed_points(
    step_or_system: Any,
    x0: Any = None,
    inputs: Any = 0,
    n_inits: int = 1024,
    seed: int = 0,
    *,
    kind: str = "map",
    search: str = "default",
    method: str = "newton",
    box: tuple[Any, Any] | None = None,
    expected_index: int | None = None,
    tol_q: float = 1e-20,
    slow_speed: float = 0.01,
    max_iters: int | None = None,
    n_orbits: int = 32,
    horizon: float | str | None = "trial",
    reach: float = 3.0,
    order: str | None = None,
    progress: bool = True,
    **adam_options: Any,
) -> FixedPoints:
    """All fixed points of a system at one held input, as far as the search can find them.

    Parameters
    ----------
    step_or_system : Run, System, module of torch (nn.GRU, nn.LSTMCell, a model around one, ...), state_dict or callable
        What is searched; functions are called as ``step(x, u)`` (or ``step(x)``) on float64 batches, see `as_map`.
        States of an LSTM are [h, c].
    x0 : array (.., D), optional
        States the system visits: starts are these, mixtures and perturbations of these. Default: the trajectories of
        the System; for a bare cell, states visited under random inputs.
    inputs : number or array (I,)
        The held input u; a number fills all channels.
    n_inits : int
        Number of starts, three quarters of them independent of each other, the rest around the points found.
    seed : int
        Everything random follows from it; no global generator is touched.
    kind : {"map", "flow"}
        Zeros of ``F(x, u) - x``, or of a vector field ``dx/dt = F(x, u)`` (stability by real parts, time in its unit).
    search : {"default", "given", "until_complete"}
        "given" starts from the rows of `x0` and nowhere else. "until_complete" goes on in rounds of ``n_inits // 2``
        until index sum and coverage agree, at most 12 rounds.
    method : {"newton", "adam"}
        "adam" is the search of the seed notebook, for comparison: see `conjugacy.dynamics.adam_search` for
        its arguments (learning_rate, max_iters, noise_scale, q_thresh).
    box : pair of arrays (D,), optional
        A box that the map takes into itself, if you know one: it tells the index sum and gives more starts.
    expected_index : int, optional
        What the index sum must be, if you know it otherwise.
    tol_q : float
        Largest q of a fixed point, relative to ``max(1, |x|^2)`` and to the square of the norm of dF/dx where that is
        above 1.
    slow_speed : float
        Local minima of q are reported as slow points if a step there covers less than this share of the spread of the
        visited states (a flow: of their rms speed).
    max_iters : int, optional
        Steps of the trust region, and again of Levenberg-Marquardt, per start. Default 60.
    n_orbits : int
        Orbits that are followed to see whether anything but fixed points attracts (cycles); 0 for none.
    horizon : number, str or None
        For how long points that are no zeros must hold to be reported as "held": in steps (a flow: its unit of time),
        as seconds ("2.5 s", where dt is known), or "trial": the length of the System's trials, and exact points only
        where there are none. None: exact points only. See `conjugacy.dynamics.horizon` for what it decides.
    reach : float
        Points farther from every visited state than this, in units of the spread of the visited states, are listed but
        not counted; the search for zeros of a function about which nothing is known ends there. inf: no limit.
    order : {"state, input", "input, state"}, optional
        Which argument of a module or function is the state, where trying it cannot tell (see `as_map`).
    progress : bool
        Show a bar if it takes longer than two seconds.

    Returns
    -------
    FixedPoints
        Possibly empty. Ctrl-C returns what was found so far; ``audit()`` says so.

    Raises
    ------
    ValueError, TypeError
        For states with NaN, wrong shapes, or a step that changes the shape of the state.
    """
    check_choice("method", method, ("newton", "adam"))
    own: dict[str, Any] = adam_options if max_iters is None else {"max_iters": max_iters, **adam_options}
    if method == "adam":
        max_iters = None
    elif adam_options:
        from conjugacy.dynamics.adam import adam_search

        name, value = next(iter(adam_options.items()))
        check_option(name, value, options_of(fixed_points, adam_search), "fixed_points")
        raise TypeError(
            f"`{name}`: expected only with method='adam', got {shown(value)} with method='newton'. Drop it."
        )
    settings = SearchSettings(
        n_inits, seed, search, box, expected_index, tol_q, slow_speed, max_iters, n_orbits, horizon, reach, progress
    )
    dynamics, x0, u, generator = prepare(step_or_system, x0, inputs, kind, settings.box, settings.seed, order)
    problem = Problem(dynamics, u, x0, generator, as_horizon(horizon, dynamics))
    if method == "adam":
        from conjugacy.dynamics.adam import adam_search

        return adam_search(dynamics, x0, u, n_inits=n_inits, seed=seed, progress=progress, **own)
    # batches of small factorisations gain little from threads, and lose much where cores are shared
    with torch_threads(1):
        stages = Stages(problem, settings)
        stages.run()
        return collect(stages)


def prepare(step_or_system, x0, inputs, kind, box, seed, order=None) -> tuple[Map, Tensor, Tensor, Generator]:
    """The map, visited states (N, D), held input (I,) and generator behind the arguments of an analysis."""
    check_choice("kind", kind, ("map", "flow"))
    dynamics = as_map(step_or_system, kind, order)
    u = as_input(inputs, dynamics.n_inputs)
    generator = torch.Generator().manual_seed(seed)
    if box is not None:
        dynamics = replace(dynamics, box=lambda u: box, n_units=len(box[0]))
    if x0 is None:
        x0 = visited_states(dynamics, u, generator) if dynamics.visited is None else dynamics.visited
    else:
        x0 = _as_states(x0, dynamics.n_units)
    if not len(x0):
        raise ValueError("`x0`: expected at least one state, got none that is finite.")
    some = x0[:: max(1, len(x0) // 4)][:4]
    check_step(dynamics, some, u.expand(len(some), -1))
    check_jacobian(dynamics, some, u)
    return replace(dynamics, n_units=x0.shape[1]), x0, u, generator


def _as_states(x0: Any, n_units: int | None) -> Tensor:
    x = read_numbers("x0", x0, "an array of states (.., unit)")
    if x.ndim == 0 or not x.numel():
        raise ValueError(f"`x0`: expected states with axes (.., unit), got {shown(x0)}. Write [[value]] for one state.")
    x = x.reshape(-1, x.shape[-1])
    if n_units is not None:
        hint = "The state of an LSTM is [h, c], that of several layers their states side by side."
        check_axes("x0", x, "state unit", hint, unit=n_units)
    return check_finite("x0", x, "Drop the states that are not finite.")

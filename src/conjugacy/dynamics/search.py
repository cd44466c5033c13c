"""fixed_points(): every fixed point of a system at a held input, exact, distinct, certified and audited.

The search solves F(x, u) = x in float64 from many starts (`starts.py`), with exact Jacobians (`cells.py`,
`jacobian.py`) and a trust region per start (`solver.py`); it certifies what it finds (`certificate.py`), then starts
again around it. What stalls at a local minimum of q = 0.5 |F(x, u) - x|^2 (Sussillo & Barak, Neural Comput. 25:626,
2013) is no fixed point and is called slow.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor

from conjugacy._check import check_axes, check_choice, check_finite, check_int, check_number
from conjugacy._threads import torch_threads
from conjugacy.dynamics._as_map import as_input, as_map
from conjugacy.dynamics.audit import SearchRecord, well_covered
from conjugacy.dynamics.classify import collect
from conjugacy.dynamics.horizon import as_horizon
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.points import FixedPoints
from conjugacy.dynamics.solver import DIVERGED, MINIMUM, RUNNING, ZERO, Found, Outcome, solve
from conjugacy.dynamics.starts import continued_starts, first_starts, spread, visited_states
from conjugacy.dynamics.step_checks import check_jacobian, check_step
from conjugacy.dynamics.subspace import basis_of, in_subspace

_MAX_ROUNDS = 12
_HUGE = 256  # units from which the subspace of the data is searched first, and starts in all dimensions are few
_MOST_LIFTED, _MOST_WHOLE, _BLOCK = 96, 128, 16
_LARGE = 32  # units from which stalled starts are worth saving
_ENOUGH = 0.75  # share of starts that must reach a zero, or the search for zeros ends with the pilots
_N_PILOTS, _PILOT_ITERS = 32, 15  # starts that tell whether exact points can be had, and the steps they are given


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
    progress: bool = True,
    **adam_options: Any,
) -> FixedPoints:
    """All fixed points of a system at one held input, as far as the search can find them.

    Parameters
    ----------
    step_or_system : Run, System, nn.GRUCell, nn.RNNCell, nn.LSTMCell, module or callable
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
        Largest q of a fixed point, relative to max(1, |x|^2) and to the square of the norm of dF/dx where that is > 1.
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
    n_inits = check_int("n_inits", n_inits, 1)
    seed = check_int("seed", seed, 0)
    check_choice("search", search, ("default", "given", "until_complete"))
    check_choice("method", method, ("newton", "adam"))
    check_number("tol_q", tol_q, 0, open_low=True)
    check_number("slow_speed", slow_speed, 0)
    if method == "newton" and adam_options:
        name = next(iter(adam_options))
        raise TypeError(f"`{name}`: expected only with method='adam', got method='newton'. Drop it.")
    reach = reach if reach == math.inf else check_number("reach", reach, 0, open_low=True)
    dynamics, x0, u, generator = prepare(step_or_system, x0, inputs, kind, box, seed)
    asked = as_horizon(horizon, dynamics)
    if method == "adam":
        from conjugacy.dynamics.adam import adam_search

        if max_iters is not None:
            adam_options["max_iters"] = max_iters
        return adam_search(dynamics, x0, u, n_inits=n_inits, seed=seed, progress=progress, **adam_options)
    max_iters = 60 if max_iters is None else check_int("max_iters", max_iters, 1)
    # batches of small factorisations gain little from threads, and lose much where cores are shared
    with torch_threads(1):
        search_ = _Search(
            dynamics, x0, u, generator, max_iters, progress, expected_index, box is not None, asked, reach
        )
        search_.run(n_inits, search)
        return collect(
            dynamics,
            u,
            search_.found,
            search_.leftover,
            search_.record(),
            scale=search_.scale,
            stiffness=search_.stiffness,
            tol_q=tol_q,
            slow_speed=slow_speed,
            visited=x0,
            n_orbits=check_int("n_orbits", n_orbits, 0),
            horizon=asked,
            reach=reach,
            generator=generator,
        )


def prepare(step_or_system, x0, inputs, kind, box, seed) -> tuple[Map, Tensor, Tensor, Generator]:
    """The map, visited states (N, D), held input (I,) and generator behind the arguments of an analysis."""
    dynamics = as_map(step_or_system, kind)
    u = as_input(inputs, dynamics.n_inputs)
    generator = torch.Generator().manual_seed(seed)
    if box is not None:
        lower, upper = (torch.as_tensor(side).double().reshape(-1) for side in box)
        if lower.shape != upper.shape or bool((lower >= upper).any()):
            raise ValueError(f"`box`: expected (lower, upper) with lower < upper in every unit, got {box!r}.")
        dynamics = replace(dynamics, box=lambda u: (lower, upper), n_units=len(lower))
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
    try:
        x = torch.as_tensor(x0).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"`x0`: expected an array of states (.., unit), got {type(x0).__name__}.") from None
    if x.ndim == 0:
        raise ValueError("`x0`: expected states with axes (.., unit), got a number. Write [[value]] for one state.")
    x = x.reshape(-1, x.shape[-1])
    if n_units is not None:
        check_axes("x0", x, "state unit", unit=n_units)
    return check_finite("x0", x, "Drop the states that are not finite.")


class _Search:
    """The stages of one search and what they have found."""

    def __init__(
        self, dynamics, visited, u, generator, max_iters, progress, expected_index, given_box, horizon, reach
    ):
        self.dynamics, self.visited, self.u, self.generator = dynamics, visited, u, generator
        self.max_iters, self.progress = max_iters, progress
        self.equation = dynamics.equation()
        self.scale = spread(visited)
        self.horizon, self.saturated = horizon, False
        # a function about which nothing is known is searched where the data are, and as if no unit were gated
        self.unknown = dynamics.box is None and dynamics.reduced is None and not dynamics.flow
        self.inside = _ball(visited, reach * self.scale) if self.unknown else None
        probe = self.equation.project(visited[: min(8, len(visited))])
        jacobian = self.equation.jacobian(probe, u.expand(len(probe), -1))
        jacobian = jacobian[torch.isfinite(jacobian).all(-1).all(-1)]
        # what rounding does to g is proportional to the size of its Jacobian
        self.stiffness = max(
            1.0, *torch.linalg.matrix_norm(jacobian, ord=2).sort().values[len(jacobian) // 2 :][:1].tolist(), 1.0
        )
        self.found = Found.nothing(probe.shape[1])
        self.leftover: list[Tensor] = []
        self.sample: tuple[int, ...] = ()
        self.counts = dict.fromkeys((ZERO, MINIMUM, RUNNING, DIVERGED), 0)
        self.n_starts = self.n_sample = self.rounds = 0
        self.interrupted = self.exhausted = False
        self.expected_index, self.reason = expected_index, "given"
        if expected_index is None and dynamics.box is not None:
            self.expected_index = 1
            what = "no orbit leaves" if dynamics.flow else "the map takes into itself"
            self.reason = f"a box that {what}" + (", as given" if given_box else "")

    def run(self, n_inits: int, search: str) -> None:
        try:
            if search == "given":
                self.stage(self.visited, sample=True)
                return
            n_first = n_inits if n_inits < 8 else n_inits - n_inits // 4
            starts = first_starts(self.dynamics, self.visited, self.u, n_first, self.generator)
            if starts.shape[1] >= _HUGE:
                self.large(starts)
                return
            # of few units zeros are cheap, stalled or not
            if self.horizon is not None and starts.shape[1] >= _LARGE and len(starts) > 2 * _N_PILOTS:
                self.stage(starts[:_N_PILOTS], sample=True, max_iters=_PILOT_ITERS)
                self.saturated = self.counts[ZERO] < _ENOUGH * self.n_starts
                if self.saturated:
                    return
                starts = starts[_N_PILOTS:]
            self.stage(starts, sample=True)
            for n in ((n_inits - n_first + 1) // 2, (n_inits - n_first) // 2):
                self.around(n)
            if search == "until_complete":
                self.go_on(max(1, n_inits // 2))
        except KeyboardInterrupt:
            self.interrupted = True

    def stage(
        self, starts: Tensor, sample: bool = False, max_iters: int | None = None, last: int | None = None
    ) -> Outcome | None:
        if not len(starts):
            return None
        from tqdm import tqdm

        with tqdm(
            total=len(starts), desc="fixed points", delay=2, leave=False, disable=None if self.progress else True
        ) as bar:

            def tick(n: int) -> None:
                bar.update(n - bar.n)

            outcome = solve(
                self.equation,
                self.equation.project(starts),
                self.u,
                self.found,
                scale=self.scale,
                tol=1e-12 * self.stiffness,
                generator=self.generator,
                max_iters=self.max_iters if max_iters is None else max_iters,
                last_iters=last,
                inside=self.inside,
                balanced=self.unknown,
                tick=tick,
            )
        self.n_starts += len(starts)
        for status in self.counts:
            self.counts[status] += int((outcome.status == status).sum())
        rest = (outcome.status == MINIMUM) | (outcome.status == RUNNING)
        if rest.any():
            y = outcome.y[rest]
            self.leftover.append(self.equation.lift(y, self.u.expand(len(y), -1)))
        if sample:
            hits = torch.bincount(outcome.owner[outcome.owner >= 0], minlength=len(self.found.y))
            before = torch.zeros_like(hits)
            before[: len(self.sample)] = torch.tensor(self.sample, dtype=hits.dtype)
            self.sample, self.n_sample = tuple((before + hits).tolist()), self.n_sample + len(starts)
        return outcome

    def large(self, starts: Tensor) -> None:
        """Many units: starts in the subspace of the data, then in all dimensions, until coverage is high."""
        y = self.equation.project(starts)
        centre, basis = basis_of(self.equation.project(self.visited))
        small = in_subspace(self.equation, centre, basis)
        inside = Found.nothing(basis.shape[1])
        solved = solve(
            small,
            small.project(y),
            self.u,
            inside,
            scale=self.scale,
            tol=1e-9 * self.stiffness,
            generator=self.generator,
            max_iters=_PILOT_ITERS,
            last_iters=0,
        )
        # the zeros that most starts reached first
        often = torch.tensor(inside.hits).argsort(descending=True, stable=True)[:_MOST_LIFTED]
        near, place = small.lift(inside.y[often], self.u), torch.full((len(inside.y),), -1)
        place[often] = torch.arange(len(often))
        if len(near):
            outcome = self.stage(self.equation.lift(near, self.u.expand(len(near), -1)), max_iters=_PILOT_ITERS, last=0)
            # each start is a draw from the urn of points: it reached what the zero of its subspace led to
            row = place[solved.owner[solved.owner >= 0]]
            reached = torch.zeros(0, dtype=torch.int64) if outcome is None else outcome.owner[row[row >= 0]]
            hits = torch.bincount(reached[reached >= 0], minlength=len(self.found.y)).tolist()
            self.sample, self.n_sample = tuple(hits), len(starts)
        for k in range(0, min(len(starts), _MOST_WHOLE), _BLOCK):
            if k and self.agrees():
                return
            self.stage(starts[k : k + _BLOCK], sample=True, max_iters=_PILOT_ITERS, last=0)
            if self.horizon is not None and self.counts[ZERO] < _ENOUGH * self.n_starts:
                self.saturated = True
                return
        self.around(_BLOCK)

    def around(self, n: int) -> None:
        """A stage from `n` starts around the points found."""
        if n < 1 or not len(self.found.y):
            return
        self.rounds += 1
        # a continuum would fill the batch with itself; a few hundred points tell where to look
        y = self.found.y[:256]
        x = self.equation.lift(y, self.u.expand(len(y), -1))
        growth, direction = self.fastest(x)
        unstable = (growth > (1e-9 if self.dynamics.flow else 1)).long()
        self.stage(continued_starts(x, unstable, direction, n, self.generator))

    def fastest(self, x: Tensor, n_iters: int = 100) -> tuple[Tensor, Tensor]:
        """Rate and direction of fastest growth at each point, by power iteration; good enough to step off a saddle."""
        jacobian = self.dynamics.jacobians(x, self.u.expand(len(x), -1))[0]
        size = torch.linalg.matrix_norm(jacobian)[:, None].clamp_min(1e-300)
        v = torch.randn(x.shape, generator=self.generator, dtype=torch.float64)
        growth = torch.ones(len(x), 1, dtype=torch.float64)
        for _ in range(n_iters):
            w = (jacobian @ v[..., None])[..., 0]
            # of a flow, the modes of I + J / |J|: the fastest growing one dominates
            w = v + w / size if self.dynamics.flow else w
            growth = w.norm(dim=-1, keepdim=True).clamp_min(1e-300)
            v = w / growth
        return ((growth - 1) * size if self.dynamics.flow else growth)[:, 0], v

    def go_on(self, n: int) -> None:
        for _ in range(_MAX_ROUNDS):
            if self.agrees():
                return
            self.stage(first_starts(self.dynamics, self.visited, self.u, n, self.generator), sample=True)
            self.around(n // 2)
        self.exhausted = not self.agrees()

    def agrees(self) -> bool:
        """Whether index sum and coverage speak for a complete set; also when there is nothing to agree with."""
        if not len(self.found.y):
            return True
        if not well_covered(self.sample, self.found.hits):
            return False
        if self.expected_index is None or "none" in self.found.method:
            return True
        x = self.equation.lift(self.found.y, self.u.expand(len(self.found.y), -1))
        jacobian = -self.dynamics.residual_jacobian(x, self.u.expand(len(x), -1))
        return int(torch.linalg.slogdet(jacobian)[0].sum().round()) == self.expected_index

    def record(self) -> SearchRecord:
        sample = self.sample + (0,) * (len(self.found.y) - len(self.sample))
        return SearchRecord(
            n_starts=self.n_starts,
            n_zero=self.counts[ZERO],
            n_minimum=self.counts[MINIMUM],
            n_running=self.counts[RUNNING],
            n_diverged=self.counts[DIVERGED],
            n_sample=self.n_sample,
            sample=sample,
            expected_index=self.expected_index,
            reason=self.reason if self.expected_index is not None else "",
            rounds=self.rounds,
            interrupted=self.interrupted,
            exhausted=self.exhausted,
            saturated=self.saturated,
        )


def _ball(visited: Tensor, reach: float):
    """Whether states lie in the ball around the visited ones, `reach` beyond the farthest; None without a limit."""
    centre = visited.mean(0)
    radius = float((visited - centre).norm(dim=-1).max()) + reach
    return None if math.isinf(radius) else lambda y: (y - centre).norm(dim=-1) <= radius

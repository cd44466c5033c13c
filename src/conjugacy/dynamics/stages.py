"""The stages of a search for zeros: pilots, independent starts, starts around what was found; large networks apart."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from conjugacy._progress import progress_bar
from conjugacy.dynamics.audit import SearchRecord, well_covered
from conjugacy.dynamics.search_problem import Problem
from conjugacy.dynamics.search_settings import SearchSettings
from conjugacy.dynamics.solver import DIVERGED, MINIMUM, RUNNING, ZERO, Found, Outcome, SolverOptions, solve
from conjugacy.dynamics.starts import continued_starts, first_starts
from conjugacy.dynamics.subspace import basis_of, in_subspace

_MAX_ROUNDS = 12
_HUGE = 256  # units from which the subspace of the data is searched first, and starts in all dimensions are few
_MOST_LIFTED, _MOST_WHOLE, _BLOCK = 96, 128, 16
_LARGE = 32  # units from which stalled starts are worth saving
_ENOUGH = 0.75  # share of starts that must reach a zero, or the search for zeros ends with the pilots
_N_PILOTS, _PILOT_ITERS = 32, 15  # starts that tell whether exact points can be had, and the steps they are given


class Stages:
    """The stages of one search and what they have found."""

    def __init__(self, problem: Problem, settings: SearchSettings):
        self.problem, self.settings = problem, settings
        self.dynamics, self.visited, self.u = problem.dynamics, problem.visited, problem.u
        self.generator, self.equation = problem.generator, problem.equation
        # a function about which nothing is known is searched where the data are, and as if no unit were gated
        unknown = self.dynamics.box is None and self.dynamics.reduced is None and not self.dynamics.flow
        self.options = SolverOptions(
            scale=problem.scale,
            tol=1e-12 * problem.stiffness,
            generator=problem.generator,
            max_iters=settings.max_iters or 60,
            inside=_ball(self.visited, settings.reach * problem.scale) if unknown else None,
            balanced=unknown,
        )
        self.found = Found.nothing(self.equation.project(self.visited[:1]).shape[1])
        self.leftover: list[Tensor] = []
        self.sample: tuple[int, ...] = ()
        self.counts = dict.fromkeys((ZERO, MINIMUM, RUNNING, DIVERGED), 0)
        self.n_starts = self.n_sample = self.rounds = 0
        self.interrupted = self.exhausted = self.saturated = False
        self.expected_index, self.reason = settings.expected_index, "given"
        if self.expected_index is None and self.dynamics.box is not None:
            self.expected_index = 1
            what = "no orbit leaves" if self.dynamics.flow else "the map takes into itself"
            self.reason = f"a box that {what}" + (", as given" if settings.box is not None else "")

    def run(self) -> None:
        """Search from as many starts, and in the way, that the settings say; see `fixed_points`."""
        n_inits, search = self.settings.n_inits, self.settings.search
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
            if self.problem.horizon is not None and starts.shape[1] >= _LARGE and len(starts) > 2 * _N_PILOTS:
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
        """Run `starts` to their zeros; with `sample`, count them as independent draws."""
        if not len(starts):
            return None
        show = self.settings.progress
        with progress_bar(total=len(starts), desc="Searching for fixed points", show=show, unit="starts") as bar:

            def tick(n: int) -> None:
                bar.update(n - bar.n)

            max_iters = self.options.max_iters if max_iters is None else max_iters
            options = replace(self.options, max_iters=max_iters, last_iters=last, tick=tick)
            outcome = solve(self.equation, self.equation.project(starts), self.u, self.found, options)
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
        scale, tol = self.problem.scale, 1e-9 * self.problem.stiffness
        options = SolverOptions(scale, tol, self.generator, max_iters=_PILOT_ITERS, last_iters=0)
        solved = solve(small, small.project(y), self.u, inside, options)
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
            if self.problem.horizon is not None and self.counts[ZERO] < _ENOUGH * self.n_starts:
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
        """Rounds of `n` starts until index and coverage agree, or the budget ends."""
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
        """What the search did."""
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

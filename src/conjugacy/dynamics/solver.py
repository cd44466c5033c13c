"""Zeros of g(y) = 0 from many starts at once: a trust region per point, with those that are done leaving the batch.

Powell's dogleg (Powell 1970; Nocedal & Wright, Numerical Optimization, 2006, sections 4.1 and 11.2) costs one LU
factorisation for a step taken and none for a step refused. What it cannot finish within its budget (g has a singular
Jacobian there: a continuum of zeros, a slow point, a bifurcation) goes on with Levenberg-Marquardt, which converges
fast to zero sets that are not isolated (Yamashita & Fukushima 2001) and slides down to local minima of |g| elsewhere.

While the search runs, every start that comes within a quarter of the certified radius of a zero already known is
credited to it and leaves: from there Newton's method would go to that zero (it does from within a third, Rheinboldt
1974).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from conjugacy.dynamics.certificate import Certificate, certify
from conjugacy.dynamics.distances import distances
from conjugacy.dynamics.jacobian import chunks
from conjugacy.dynamics.map import Reduced

_CONTINUUM = 100  # this many zeros with a singular Jacobian are a continuum, of which samples are enough
ZERO, MINIMUM, RUNNING, DIVERGED = 0, 1, 2, 3


@dataclass(eq=False)
class Found:
    """The distinct zeros found so far, growing while the search runs."""

    y: Tensor
    radius: Tensor
    error: Tensor
    least: Tensor
    method: list[str] = field(default_factory=list)
    hits: list[int] = field(default_factory=list)
    spacing: float = 0.0  # distance kept between points of a continuum, once it is plain that there is one

    @classmethod
    def nothing(cls, n_unknowns: int) -> Found:
        """No zeros in `n_unknowns` dimensions."""
        empty = torch.zeros(0, dtype=torch.float64)
        return cls(torch.zeros(0, n_unknowns, dtype=torch.float64), empty, empty, empty)

    def owner(self, y: Tensor, slack: float, shrink: float = 1.0) -> Tensor:
        """For each row of `y` the known zero whose ball (times `shrink`, at least `slack`) holds it, or -1."""
        if not len(self.y) or not len(y):
            return torch.full((len(y),), -1)
        reach = torch.clamp(shrink * self.radius, min=max(slack, 1e-300))
        singular = (self.radius == 0) & (self.least < 1e-8)
        if int(singular.sum()) >= _CONTINUUM:
            reach = torch.where(singular, reach.clamp_min(self.spacing), reach)
        inside = distances(y, self.y) / reach
        nearest = inside.argmin(1)
        return torch.where(inside.gather(1, nearest[:, None])[:, 0] <= 1, nearest, -1)

    def add(self, y: Tensor, certificate: Certificate) -> None:
        """Append zeros that have no hits yet."""
        self.y = torch.cat([self.y, y])
        self.radius = torch.cat([self.radius, certificate.radius])
        self.error = torch.cat([self.error, certificate.error])
        self.least = torch.cat([self.least, certificate.least])
        self.method += certificate.method
        self.hits += [0] * len(y)


@dataclass(frozen=True, eq=False)
class Outcome:
    """Where each start ended: `owner` is its zero in Found, or -1; `status` is one of the constants above."""

    y: Tensor
    norm: Tensor
    owner: Tensor
    status: Tensor


@dataclass(frozen=True, eq=False)
class SolverOptions:
    """How every start is run.

    Attributes
    ----------
    scale : float
        Typical distance between states; the first trust radius, and the unit of the merging distance (1e-6 of it).
    tol : float
        |g| at which a point counts as a zero, times max(1, |y|).
    generator : Generator
    max_iters, last_iters : int
        Steps of the first method, and of the second (default: as many).
    inside : callable, optional
        y (B, D') -> bool (B,): steps that lead outside are refused.
    balanced : bool
        Divide every component of g by the norm of its gradient, so that none is small only because it is flat: a gated
        unit that hardly moves has its residual and its gradient scaled down alike.
    tick : callable
        Told how many starts have ended, after every step.
    """

    scale: float
    tol: float
    generator: Generator
    max_iters: int = 60
    last_iters: int | None = None
    inside: Callable[[Tensor], Tensor] | None = None
    balanced: bool = False
    tick: Callable[[int], None] = lambda n: None


def solve(equation: Reduced, starts: Tensor, u: Tensor, found: Found, options: SolverOptions) -> Outcome:
    """Run every start to a zero, a local minimum of |g|, or the end of the budget; new zeros are added to `found`.

    Parameters
    ----------
    equation : Reduced
    starts : Tensor (B, D')
    u : Tensor (I,)
        The held input.
    found : Found
        Zeros known already; changed in place.
    options : SolverOptions
    """
    search = _Descent(equation, starts, u, found, options)
    search.dogleg(options.max_iters)
    search.levenberg_marquardt(options.max_iters if options.last_iters is None else options.last_iters)
    return Outcome(search.y, search.g.norm(dim=-1), search.owner, search.status)


class _Descent:
    def __init__(self, equation: Reduced, starts: Tensor, u: Tensor, found: Found, options: SolverOptions):
        self.equation, self.u, self.found = equation, u, found
        self.scale, self.tol, self.generator = options.scale, options.tol, options.generator
        self.tick, self.inside, self.balanced = options.tick, options.inside, options.balanced
        found.spacing = 1e-2 * self.scale
        self.y = starts.clone()
        self.g = self.residual(starts)
        self.owner = torch.full((len(starts),), -1)
        self.status = torch.where(torch.isfinite(self.g).all(-1), RUNNING, DIVERGED)
        self.weight = torch.ones_like(starts)
        if self.balanced:
            for part in chunks(len(starts), starts.shape[1]):
                k = torch.nonzero(self.status[part] == RUNNING)[:, 0] + part.start
                self.system(k)

    def residual(self, y):
        return self.equation.residual(y, self.u.expand(len(y), -1))

    def jacobian(self, y):
        return self.equation.jacobian(y, self.u.expand(len(y), -1))

    def system(self, k):
        """Jacobian and residual at the points `k`, balanced if so asked."""
        jacobian, g = self.jacobian(self.y[k]), self.g[k]
        if not self.balanced or not len(k):
            return jacobian, g
        size = jacobian.norm(dim=-1)
        self.weight[k] = 1 / size.clamp_min(1e-14 * float(size.max()))
        return jacobian.mul_(self.weight[k][..., None]), g * self.weight[k]

    def dogleg(self, max_iters):
        n, d = self.y.shape
        radius = torch.full((n,), self.scale, dtype=torch.float64)
        newton, gradient, bent = (torch.zeros(n, d, dtype=torch.float64) for _ in range(3))
        stale = torch.ones(n, dtype=torch.bool)
        active = self.retire(torch.nonzero(self.status == RUNNING)[:, 0])
        for _ in range(max_iters):
            if not len(active):
                return
            todo = active[stale[active]]
            for part in chunks(len(todo), d):
                k = todo[part]
                newton[k], gradient[k], bent[k] = _directions(*self.system(k))
            stale[active] = False
            g = self.weight[active] * self.g[active]
            step, model = _dogleg_step(g, newton[active], gradient[active], bent[active], radius[active])
            taken, ratio = self.attempt(active, step, model)
            radius[active] = _next_radius(radius[active], ratio, step.norm(dim=-1))
            stale[active[taken]] = True
            # a radius this small has stopped the point: leave it to the other method
            alive = radius[active] > 1e-12 * self.scale
            active = self.retire(active[alive])

    def levenberg_marquardt(self, max_iters):
        active = torch.nonzero(self.status == RUNNING)[:, 0]
        damping = torch.full((len(self.y),), 1e-2, dtype=torch.float64)
        for _ in range(max_iters):
            if not len(active):
                return
            step, model = torch.zeros_like(self.y[active]), torch.zeros_like(self.y[active])
            flat = torch.zeros(len(active), dtype=torch.bool)
            for part in chunks(len(active), self.y.shape[1], 2):
                k = active[part]
                step[part], model[part], flat[part] = _levenberg_step(*self.system(k), damping[k])
            self.status[active[flat]] = MINIMUM
            step, model, active = step[~flat], model[~flat], active[~flat]
            _, ratio = self.attempt(active, step, model)
            grow = torch.where(ratio < 0.25, 8.0, torch.where(ratio > 0.75, 0.1, 1.0))
            damping[active] = (damping[active] * grow).clamp(1e-14, 1e14)
            stuck = damping[active] >= 1e14
            self.status[active[stuck]] = MINIMUM
            active = self.retire(active[~stuck])

    def attempt(self, active, step, model):
        """Try steps whose linear model leaves the residual `model`; take those that help. -> (taken, ratio)."""
        trial = self.y[active] + step
        g = self.residual(trial)
        weight = self.weight[active]
        before = (weight * self.g[active]).square().sum(-1)
        gain = before - (weight * g).square().sum(-1)
        ratio = gain / (before - model.square().sum(-1)).clamp_min(1e-300)
        ratio = torch.where(torch.isfinite(ratio), ratio, -1.0)
        if self.inside is not None:
            ratio = torch.where(self.inside(trial), ratio, -1.0)
        taken = ratio > 1e-4
        self.y[active[taken]], self.g[active[taken]] = trial[taken], g[taken]
        return taken, ratio

    def retire(self, active):
        """Take converged points, and points inside the ball of a known zero, out of the batch."""
        owner = (
            self.found.owner(self.y[active], 0.0, shrink=0.25) if len(self.found.y) else torch.full((len(active),), -1)
        )
        self.credit(active[owner >= 0], owner[owner >= 0])
        active = active[owner < 0]
        size = (self.weight[active] * self.g[active]).norm(dim=-1)
        done = size <= self.tol * self.y[active].norm(dim=-1).clamp_min(1)
        self.settle(active[done])
        self.tick(int((self.status != RUNNING).sum()))
        return active[~done]

    def credit(self, index, owner):
        self.owner[index], self.status[index] = owner, ZERO
        for k in owner.tolist():
            self.found.hits[k] += 1

    def settle(self, index):
        if not len(index):
            return
        slack = 1e-6 * self.scale
        # one Newton step more, so that duplicates agree to rounding before they are compared
        y = self.polish(index)
        owner = self.found.owner(y, slack)
        new = torch.nonzero(owner < 0)[:, 0]
        candidates = y[new][_first_of_each(y[new], slack)]
        for part in chunks(len(candidates), y.shape[1], 4):
            fresh = candidates[part]
            fresh = fresh[self.found.owner(fresh, slack) < 0]
            certificate = certify(self.equation, fresh, self.u, self.scale, self.generator)
            for k in range(len(fresh)):
                if int(self.found.owner(fresh[k : k + 1], slack)) < 0:
                    one = Certificate(
                        certificate.method[k : k + 1],
                        *(value[k : k + 1] for value in (certificate.radius, certificate.error, certificate.least)),
                    )
                    self.found.add(fresh[k : k + 1], one)
        owner = self.found.owner(y, slack)
        self.credit(index, owner)

    def polish(self, index):
        for part in chunks(len(index), self.y.shape[1]):
            k = index[part]
            step, info = torch.linalg.solve_ex(self.jacobian(self.y[k]), self.g[k][..., None])
            trial = self.y[k] - step[..., 0]
            g = self.residual(trial)
            better = (info == 0) & (g.norm(dim=-1) < self.g[k].norm(dim=-1))
            self.y[k[better]], self.g[k[better]] = trial[better], g[better]
        return self.y[index]


def _directions(jacobian, g):
    """Newton step, gradient J^T g, and J J^T g."""
    newton = -torch.linalg.solve_ex(jacobian, g[..., None])[0][..., 0]
    gradient = (jacobian.mT @ g[..., None])[..., 0]
    bent = (jacobian @ gradient[..., None])[..., 0]
    # a singular Jacobian gives no Newton step: the gradient serves
    return torch.where(torch.isfinite(newton).all(-1, keepdim=True), newton, -gradient), gradient, bent


def _dogleg_step(g, newton, gradient, bent, radius):
    """The dogleg step within `radius`, and the residual that the linear model leaves after it."""
    square, curve = gradient.square().sum(-1), bent.square().sum(-1).clamp_min(1e-300)
    length = square / curve
    n_newton, n_cauchy = newton.norm(dim=-1), length * square.sqrt()
    leg = newton + length[:, None] * gradient
    a, b = leg.square().sum(-1), -2 * length * (gradient * leg).sum(-1)
    c = n_cauchy**2 - radius**2
    # the root of a t^2 + b t + c in the form that does not cancel
    root = torch.sqrt((b * b - 4 * a * c).clamp_min(0))
    t = torch.where(b > 0, -2 * c / (b + root).clamp_min(1e-300), (root - b) / (2 * a).clamp_min(1e-300)).clamp(0, 1)
    inside, outside = n_newton <= radius, n_cauchy >= radius
    t = torch.where(inside, 1.0, torch.where(outside, 0.0, t))
    s = torch.where(outside & ~inside, radius / square.sqrt().clamp_min(1e-300), length * (1 - t))
    step = t[:, None] * newton - s[:, None] * gradient
    return step, (1 - t)[:, None] * g - s[:, None] * bent


def _next_radius(radius, ratio, length):
    at_rim = length > 0.99 * radius
    return torch.where(
        ratio < 0.25, 0.25 * length.minimum(radius), torch.where((ratio > 0.75) & at_rim, 2 * radius, radius)
    )


def _levenberg_step(jacobian, g, damping):
    """The step of (J^T J + mu I) p = -J^T g with mu = damping |g|, its model residual, and whether J^T g vanishes."""
    norm = g.norm(dim=-1)
    gradient = (jacobian.mT @ g[..., None])[..., 0]
    size = jacobian.square().sum((-2, -1)).sqrt()
    flat = gradient.norm(dim=-1) <= 1e-9 * size * norm
    normal = jacobian.mT @ jacobian
    normal.diagonal(dim1=-2, dim2=-1).add_((damping * norm + 1e-16 * size**2)[:, None])
    factor, info = torch.linalg.cholesky_ex(normal)
    step = -torch.cholesky_solve(gradient[..., None], factor)[..., 0]
    bad = (info != 0) | ~torch.isfinite(step).all(-1)
    step = torch.where(bad[:, None], -gradient / size.square().clamp_min(1e-300)[:, None], step)
    return step, g + (jacobian @ step[..., None])[..., 0], flat


def _first_of_each(y, slack):
    """Indices of rows that are farther than `slack` from every row kept before."""
    kept: list[int] = []
    left = torch.ones(len(y), dtype=torch.bool)
    for k in range(len(y)):
        if left[k]:
            kept.append(k)
            left &= (y - y[k]).norm(dim=-1) > slack
    return kept

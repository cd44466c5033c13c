"""Sets that contain every orbit from a ball around a state: one step at a time, then many steps at once.

The set at a time is {c + Phi xi + G eps + Re(V z)}: the centre, the image Phi of the first ball by the linear parts
(exact, so that it does not wrap), the errors of the last steps as they are (G, intervals), and older errors in
eigenvector coordinates (|z_k| <= rho_k), in which they do not wrap.

A window of L steps uses one line for each nonlinearity (`AffineForm`): F(c + d) is in c + b + A d +- err for all d in
an enlarged set S + {e + Re(V z): |e| <= box, |z| <= v}. How far an orbit is from where it started then follows
d_(i+1) = A d_i + something in X = (A - I) S + b +- err, d_0 = 0. What came in the last K steps is bounded as it is, by
box = sum over j < K of |A^j X|, what came before in eigenvector coordinates: q >= |V^-1 A^K X|, M >= |V^-1 A V|,
v_(i+1) = M v_i + q, v_K = 0. If v_i <= v for all i < L, the orbit never left the enlarged set, and the line holds for
all L steps. If M v + q <= v, it holds for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from conjugacy.dynamics.adapted_coordinates import Coordinates
from conjugacy.dynamics.affine_form import UNIT, AffineForm, Array, Symbols, upward, whole_private

Step = Callable[[AffineForm], AffineForm]


@dataclass(frozen=True, eq=False)
class Enlargement:
    """{e + Re(V z): |e_i| <= box_i, |z_k| <= rho_k}, added to a set."""

    box: Array
    rho: Array


@dataclass(frozen=True, eq=False)
class Reachable:
    """A set of states, see the module docstring.

    centre : (D,)
    ball : (D, m)
    recent : (D, k)
    rho : (D,)
    coordinates : Coordinates
    """

    centre: Array
    ball: Array
    recent: Array
    rho: Array
    coordinates: Coordinates

    @classmethod
    def around(cls, centre: Array, radius: float, coordinates: Coordinates) -> Reachable:
        """The Euclidean ball of `radius` around `centre`."""
        d = len(centre)
        return cls(centre, radius * np.eye(d), np.zeros((d, 0)), np.zeros(d), coordinates)

    def columns(self, more: Enlargement | None = None) -> tuple[Array, Symbols]:
        """The linear part and its symbols, of the set or of the set enlarged."""
        rho = self.rho if more is None else (self.rho + more.rho) * (1 + 4 * UNIT)
        singles, discs = self.coordinates.columns(rho)
        recent = self.recent if more is None else np.concatenate([self.recent, np.diag(more.box)], 1)
        symbols = Symbols((self.ball.shape[1],), recent.shape[1] + singles.shape[1], discs.shape[1] // 2)
        return np.concatenate([self.ball, recent, singles, discs], 1), symbols

    def form(self, more: Enlargement | None = None) -> AffineForm:
        """The set, or the set enlarged, as an affine form."""
        linear, symbols = self.columns(more)
        return AffineForm(self.centre, linear, np.zeros_like(self.centre), symbols)

    def next(self, step: Step) -> Reachable:
        """The set one step later."""
        image = step(self.form())
        m, k, d = self.ball.shape[1], self.recent.shape[1], len(self.centre)
        ball, recent, old = np.split(image.linear, [m, m + k], axis=1)
        n_singles = image.symbols.intervals - k
        if k > 2 * self.coordinates.kept * d:
            # the older half has turned into the slow directions by now
            cut = self.coordinates.kept * d
            old, recent = np.concatenate([recent[:, :cut], old], 1), recent[:, cut:]
            n_singles += cut
        rho = self.coordinates.bound(old, Symbols((), n_singles, image.symbols.discs))
        recent = np.concatenate([recent, np.diag(whole_private(image))], 1)
        return replace(self, centre=image.centre, ball=ball, recent=recent, rho=rho)


@dataclass(frozen=True, eq=False)
class Line:
    """F(c + d) in c + drift + A d +- err on a set, and what follows from it for orbits.

    a : (D, D)
    drift, error : (D,)
    modulus : (D, D)
        M >= |V^-1 A V|.
    later, box : (D,)
        q and box of the module docstring.
    kept : int
        K there.
    """

    a: Array
    drift: Array
    error: Array
    modulus: Array
    later: Array
    box: Array
    kept: int


def line(now: Reachable, step: Step, more: Enlargement | None = None) -> Line:
    """The line that holds on the set `now`, enlarged by `more`."""
    start, d = now.form(more), len(now.centre)
    # a power of two above every distance from the centre, so that the rounding of A counts for all of them
    scale = 2.0 ** np.ceil(np.log2(max(float(start.radius.max()), 1e-200)))
    symbols = replace(start.symbols, tracers=d)
    image = step(AffineForm(start.centre, np.concatenate([start.linear, scale * np.eye(d)], 1), start.error, symbols))
    a = image.linear[:, -d:] / scale
    drift = image.centre - now.centre
    error = upward(whole_private(image) + 2 * UNIT * (np.abs(image.centre) + np.abs(now.centre)))
    linear, symbols = now.columns()
    slack = (d + 4) * UNIT * (np.abs(a) @ np.abs(linear).sum(1) + np.abs(linear).sum(1))
    n_plain = linear.shape[1] - 2 * symbols.discs
    moved = np.insert(a @ linear - linear, n_plain, drift, axis=1)
    moved = np.insert(moved, [n_plain + 1] * d, np.diag(upward(error + slack, linear.shape[1])), axis=1)
    symbols = replace(symbols, intervals=symbols.intervals + 1 + d)
    box, lost = np.zeros(d), np.zeros(d)
    for _ in range(now.coordinates.kept):
        box = upward(box + symbols.reach(moved) + lost, d)
        # what the product loses by rounding, and what becomes of what earlier ones lost
        lost = upward(np.abs(a) @ (lost + (d + 4) * UNIT * np.abs(moved).sum(1)), moved.shape[1])
        moved = a @ moved
    later = upward(now.coordinates.bound(moved, symbols) + now.coordinates.bound_box(lost))
    modulus = now.coordinates.modulus(a)
    return Line(a, drift, error, modulus, later, box, now.coordinates.kept)


def deviations(of: Line, n_steps: int, within: Callable[[Array], bool]) -> tuple[Array, int]:
    """The largest v_i over i < n, and the largest n <= `n_steps` with all of them `within` limits."""
    v = np.zeros(len(of.later))
    top = v
    for i in range(of.kept + 1, n_steps):
        v = upward(of.modulus @ v + of.later, len(v))
        if not np.isfinite(v).all() or not within(v):
            return top, i
        top = np.maximum(top, v)
    return top, n_steps


def advance(now: Reachable, of: Line, n_steps: int) -> Reachable:
    """The set `n_steps` later, by a line that holds for as long."""
    d, a, m, coordinates = len(now.centre), of.a, of.modulus, now.coordinates
    ball, shift, aged = now.ball, np.zeros(d), now.recent
    rho, folded, size = now.rho, None, np.zeros(d)
    kept = min(of.kept, n_steps)
    for i in range(n_steps):
        size = np.maximum(size, np.abs(ball).sum(1) + np.abs(shift) + np.abs(aged).sum(1))
        ball, shift = a @ ball, a @ shift + of.drift
        rho = upward(m @ rho, d)
        if i < kept:
            aged = a @ aged
            if i == kept - 1:
                folded, aged = coordinates.bound(aged, Symbols((), aged.shape[1])), aged[:, :0]
        elif folded is not None:
            folded = upward(m @ folded, d)
    blocks, power, at_once = [], np.diag(of.error), np.zeros(d)
    for _ in range(kept):
        blocks.append(power)
        at_once = at_once + np.abs(power).sum(1)
        power = a @ power
    older = np.zeros(d)
    if n_steps > kept:
        older = _sum(m, coordinates.bound(power, Symbols((), d)), n_steps - kept)
    # each product above was off by (d + 4) u |A| size at most, in each step, and was handed on
    slack = upward(2 * (d + 4) * UNIT * (np.abs(a) @ (size + at_once) + np.abs(of.drift)), 4 * d)
    rounding = _sum(m, coordinates.bound_box(slack), n_steps)
    rho = upward(rho + (0 if folded is None else folded) + older + rounding, 4)
    error = 2 * UNIT * (np.abs(now.centre) + np.abs(shift))
    blocks[0] = blocks[0] + np.diag(error)
    return replace(now, centre=now.centre + shift, ball=ball, recent=np.concatenate(blocks[::-1], 1), rho=rho)


def _sum(modulus: Array, first: Array, n: int) -> Array:
    """Sum over i < n of modulus^i first, rounded up."""
    total, term = first, first
    for _ in range(n - 1):
        term = upward(modulus @ term, len(term))
        total = upward(total + term)
    return total

"""For how many steps no orbit that starts in a ball leaves: the longest that reachable sets can prove."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from conjugacy.dynamics.adapted_coordinates import Coordinates
from conjugacy.dynamics.affine_form import AffineForm, Array, upward
from conjugacy.dynamics.reachable import Enlargement, Line, Reachable, Step, advance, deviations, line

_SINGLE = 24  # first steps, taken one at a time: fast directions shrink in them
_GROWTH = (0.1, 0.8)  # how far a window of many steps may enlarge the set, against its size: least and most
_SHORTEST = 4  # a window costs as much as some four steps
_TRIES = 5
_WIDEST = 3  # a set that is never left is looked for up to this many times the size of the set


def proved_horizon(
    step: Step, stays: Callable[[AffineForm], bool], x: Array, radius: float, coordinates: Coordinates, n_steps: int
) -> tuple[float, str]:
    """Steps for which every orbit from the ball of `radius` around `x` provably stays; and why not for longer.

    Parameters
    ----------
    step : callable
        AffineForm -> AffineForm, one step of the map.
    stays : callable
        Whether all states of a set fulfil what is to be held.
    coordinates : Coordinates
        Those in which the step hardly wraps.

    Returns
    -------
    tuple
        Steps N: states 0, 1, ..., N stay; -1 where not even the ball itself does, inf where the set is never left.
    """
    now, t = Reachable.around(x, radius, coordinates), 0
    window_at = for_ever_at = _SINGLE
    growth, before = 0.2, np.inf
    while True:
        form = now.form()
        size = form.radius
        if not np.isfinite(size).all() or size.max() > 1e3 * (1 + np.abs(x).max()):
            return t - 1, "the bounds grow without limit"
        if not stays(form):
            return t - 1, "the ball itself reaches over" if t == 0 else "the bounds reach over"
        if t >= n_steps:
            return n_steps, ""
        if t >= window_at:
            plain = line(now, step)
            if t >= for_ever_at:
                if _for_ever(now, step, stays, plain, size):
                    return np.inf, ""
                for_ever_at = t + t // 2
            found = _window(now, step, stays, plain, growth * float(np.linalg.norm(size)), n_steps - t)
            if found is not None:
                # wide windows are cheap, but a set that grows by them is not worth it
                shrinks = bool(np.linalg.norm(size) < before)
                growth = float(np.clip(growth * (1.25 if shrinks else 0.6), *_GROWTH))
                before = float(np.linalg.norm(size))
                now, t = advance(now, *found), t + found[1]
                continue
            window_at = t + (t // 8 if growth == _GROWTH[0] else 4)
            growth = max(growth / 2, _GROWTH[0])
        now, t = now.next(step), t + 1


def _window(now: Reachable, step: Step, stays, plain: Line, most: float, n_left: int) -> tuple[Line, int] | None:
    """A line that holds for several steps, and for how many; None where single steps do better.

    The set may be enlarged by about `most` (Euclidean norm of the half widths), and twice that once the line is known.
    """
    if not np.isfinite(plain.modulus).all():
        return None
    vectors = np.abs(now.coordinates.vectors)
    if np.linalg.norm(plain.box) > most:
        return None
    reach, n = deviations(plain, n_left, lambda v: bool(np.linalg.norm(vectors @ v + plain.box) <= most))
    if n < min(_SHORTEST, n_left):
        return None
    more = Enlargement(1.2 * plain.box, 1.2 * reach)
    for _ in range(_TRIES):
        if not stays(now.form(more)):
            return None
        of = line(now, step, more)
        if not np.isfinite(of.modulus).all():
            return None
        top, m = deviations(of, n, lambda v, most=more.rho: bool((v <= most).all()))
        if (of.box <= more.box).all() and m >= min(_SHORTEST, n_left):
            return of, m
        top, n = deviations(of, n, lambda v, box=of.box: bool(np.linalg.norm(vectors @ v + box) <= 2 * most))
        more = Enlargement(np.maximum(more.box, 1.1 * of.box), np.maximum(more.rho, 1.1 * top))
    return None


def _for_ever(now: Reachable, step: Step, stays, of: Line, size: Array) -> bool:
    """Whether a set is found that contains `now` and that no orbit leaves."""
    d = len(size)
    for _ in range(_TRIES):
        # the spectral radius of a matrix >= 0 is its largest eigenvalue
        if not np.isfinite(of.modulus).all() or np.abs(np.linalg.eigvals(of.modulus)).max() >= 1 - 1e-12:
            return False
        v = np.asarray(1.05 * np.linalg.solve(np.eye(d) - of.modulus, of.later) + 1e-300, dtype=np.float64)
        more = Enlargement(1.05 * of.box, v)
        if not (v >= 0).all() or np.linalg.norm(np.abs(now.coordinates.vectors) @ v) > _WIDEST * np.linalg.norm(size):
            return False
        if not stays(now.form(more)):
            return False
        of = line(now, step, more)
        if (of.box <= more.box).all() and (upward(of.modulus @ v + of.later, d) <= v).all():
            return True
    return False

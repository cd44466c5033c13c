"""For how long a memory is held, and from how far around it: proved where the cell's steps can be bounded.

The proof is that of `proved_horizon`; where a cell offers no bounds, `sampled_horizon` says what samples say. What a
certificate means and what it does not is in docs/certified_horizons.md.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from conjugacy._arrays import read_numbers
from conjugacy._check import check_axes, check_callable, check_finite, check_int, check_number, check_options, shown
from conjugacy.dynamics._as_map import as_input, as_map
from conjugacy.dynamics.adapted_coordinates import Coordinates
from conjugacy.dynamics.affine_form import UNIT, AffineForm
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.proved_horizon import proved_horizon
from conjugacy.dynamics.sampled_horizon import sampled_horizon
from conjugacy.dynamics.step_bounds import readout_bounds

_LADDER = 28  # radii tried, each 1 / sqrt(2) of the one before: four decades
_LONGEST_CYCLE = 16  # memories that are cycles of up to so many steps are followed turn by turn
_N_RANDOM = 1000  # starts of the sampled test


@dataclass(frozen=True, eq=False)
class HeldCertificate:
    """For P memories: no orbit that starts within `radius` leaves within `n_steps`.

    radius : Tensor (P,)
        Euclidean, in units of the state; 0 where nothing is established.
    n_steps : Tensor (P,)
        At times 0, 1, ..., n_steps all orbits are inside; inf where a set is known that they never leave.
    method : list of str (P,)
        "proof" (rounding included), "sampled" (no orbit tried has left: evidence, no proof) or "none".
    reason : list of str (P,)
        Why it is not longer, or not a proof; empty where nothing is lacking.
    """

    radius: Tensor
    n_steps: Tensor
    method: list[str]
    reason: list[str]

    def __len__(self) -> int:
        return len(self.method)


def held_certificate(
    thing: Any,
    x: Any,
    inputs: Any = 0.0,
    radius: Any = None,
    *,
    readout: Any = None,
    threshold: Any = 0.5,
    stay: float | None = None,
    n_steps: int = 5000,
    seed: int = 0,
) -> HeldCertificate:
    """Radius and number of steps for which memories are held, whatever the orbit.

    Parameters
    ----------
    thing : anything that `as_map` takes
        A map, not a flow. Proofs need an nn.GRUCell, nn.RNNCell or nn.LSTMCell, or a cell that offers
        ``step_bounds(u, x)``; others are sampled.
    x : Tensor (P, D) or (D,)
        Memories: fixed points, or states on plateaus. The ball around a state is followed along the state's own orbit,
        so that it need not be a fixed point.
    inputs : number or vector (I,)
        The held input.
    radius : number, (P,) or None
        Euclidean radii in units of the state. None searches the largest radius that is certified for `n_steps`.
    readout : nn.Module, callable or None
        An orbit has left when a readout is on another side of its `threshold` than that of x. None takes the system's
        own readout, unless `stay` is given. Proofs need an nn.Linear, Tanh, Sigmoid, ReLU or a Sequential of such, or
        ``readout.bounds(x)`` (AffineForm -> AffineForm).
    threshold : number or (O,)
        Between the levels of the readouts.
    stay : number or None
        An orbit has left when a unit differs from that of x by more than this; may be given beside a readout.
    n_steps : int
        Steps that are asked for, >= 1. Longer horizons are not looked for, unless the set is never left.
    seed : int
        Of the sampled test.

    Raises
    ------
    ValueError
        If shapes do not fit, there is neither a readout nor `stay`, a readout of x lies on the threshold, or the map
        is a flow.
    """
    dynamics = as_map(thing, argument="thing")
    if dynamics.flow:
        raise ValueError("`thing`: expected a map, got a flow. Its steps of a solver are a map: lambda x, u: x_next.")
    x = read_numbers("x", x, "states (point, unit)")
    x = check_finite("x", x[None] if x.ndim == 1 else x)
    sizes: dict[str, int] = {} if dynamics.n_units is None else {"unit": dynamics.n_units}
    check_axes("x", x, "point unit", "", **sizes)
    u, n_steps = as_input(inputs, dynamics.n_inputs), check_int("n_steps", n_steps, 1)
    seed = check_int("seed", seed, 0)
    if readout is not None:
        check_callable("readout", readout, "readout(x) -> y", "None takes the system's own.")
    if readout is None and stay is None:
        readout = dynamics.readout
        if readout is None:
            raise ValueError("`readout`: expected a readout or `stay`, got neither. Say what it means to leave.")
    if stay is not None:
        check_number("stay", stay, 0, open_low=True, hint="It is a distance, unit by unit.")
    radii = _radii(radius, len(x))
    results = [
        _of_one(dynamics, _Criterion.at(x[p], readout, threshold, stay), x[p], u, radii[p], n_steps, seed + p)
        for p in range(len(x))
    ]
    columns = list(zip(*results)) if results else [(), (), (), ()]
    found, steps = (torch.tensor(list(c), dtype=torch.float64) for c in columns[:2])
    return HeldCertificate(found, steps, list(columns[2]), list(columns[3]))


def horizon_curve(thing: Any, x: Any, radii: Any, inputs: Any = 0.0, **options: Any) -> Tensor:
    """Certified numbers of steps (P, R) of memories `x` (P, D) for each of the `radii` (R,); 0 where there are none.

    Options are those of `held_certificate`.
    """
    check_options(options, "horizon_curve", held_certificate)
    radii = check_finite("radii", read_numbers("radii", radii, "radii (radius,)"))
    check_axes("radii", radii, "radius")
    if len(radii) and float(radii.min()) <= 0:
        raise ValueError(f"`radii`: expected numbers > 0, got {float(radii.min()):g}.")
    if not len(radii):
        raise ValueError("`radii`: expected at least one number > 0, got none.")
    columns = [held_certificate(thing, x, inputs, float(r), **options).n_steps for r in radii]
    return torch.stack(columns, 1)


@dataclass(frozen=True, eq=False)
class _Criterion:
    """What it means to stay: for states, `margin` (B, D) -> (B,) >= 0, and for sets of them, `holds`."""

    margin: Callable[[Tensor], Tensor]
    holds: Callable[[AffineForm], bool] | None

    @classmethod
    def at(cls, x: Tensor, readout: Any, threshold: Any, stay: float | None) -> _Criterion:
        margins: list[Callable[[Tensor], Tensor]] = []
        tests: list[Callable[[AffineForm], bool] | None] = []
        if readout is not None:
            module = copy.deepcopy(readout).double() if isinstance(readout, torch.nn.Module) else readout
            level = check_finite("threshold", read_numbers("threshold", threshold, "a number or a vector of numbers"))
            side = torch.sign(_read_out(module, x) - level)
            if bool((side == 0).any()):
                raise ValueError(
                    f"`threshold`: expected levels that no readout of x equals, got {threshold!r}. Put it between them."
                )
            margins.append(lambda y: ((module(y) - level) * side).amin(-1))
            bounds, sides, levels = readout_bounds(readout), side.numpy(), level.numpy()
            tests.append(None if bounds is None else lambda s: _on_side(bounds(s), sides, levels))
        if stay is not None:
            middle = x.numpy()
            margins.append(lambda y: stay - (y - x).abs().amax(-1))
            tests.append(lambda s: bool((np.abs(s.centre - middle) + s.radius <= stay * (1 - 8 * UNIT)).all()))
        known = [test for test in tests if test is not None]
        return cls(
            lambda y: torch.stack([m(y) for m in margins]).amin(0),
            (lambda s: all(test(s) for test in known)) if len(known) == len(tests) else None,
        )


def _read_out(readout: Callable[..., Any], x: Tensor) -> Tensor:
    """The outputs (O,) that `readout` gives for the state x (D,)."""
    try:
        with torch.no_grad():
            y = readout(x[None])
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"`readout`: expected a function of states (point, unit={len(x)}), got {shown(readout)}, which fails "
            f"({reason})."
        ) from error
    if not isinstance(y, Tensor) or y.ndim != 2 or len(y) != 1:
        raise ValueError(f"`readout`: expected it to return a tensor (point=1, output), got {shown(y)}.")
    return y[0].double()


def _on_side(y: AffineForm, side: np.ndarray, level: np.ndarray) -> bool:
    slack = 4 * UNIT * (np.abs(y.centre) + np.abs(level))
    return bool(((y.centre - level) * side - y.radius - slack > 0).all())


def _radii(radius: Any, n: int) -> list[float | None]:
    if radius is None:
        return [None] * n
    values = check_finite("radius", read_numbers("radius", radius, "a number or a vector of numbers"))
    if values.ndim == 0:
        values = values.expand(n)
    check_axes("radius", values, "point", point=n)
    if bool((values <= 0).any()):
        raise ValueError(f"`radius`: expected numbers > 0, got {float(values.min()):g}. None searches the largest one.")
    return values.tolist()


def _of_one(dynamics: Map, criterion: _Criterion, x: Tensor, u: Tensor, radius, n_steps: int, seed: int):
    bounds, holds = dynamics.bounds, criterion.holds
    if bounds is None or holds is None:
        lacking = "the cell offers no bounds" if bounds is None else "the readout offers no bounds"
        method = "sampled"

        def horizon(r: float) -> tuple[float, str]:
            generator = torch.Generator().manual_seed(seed)
            n = sampled_horizon(dynamics, criterion.margin, x, u, r, n_steps, generator, _N_RANDOM)
            return n, lacking
    else:
        method, held, centre = "proof", u.numpy(), x.numpy()
        period = _period(dynamics, x, u)
        coordinates = _coordinates(dynamics, x, u, n_steps, period)

        def turn(s: AffineForm) -> AffineForm:
            for _ in range(period):
                s = bounds(held, s)
            return s

        def stays(s: AffineForm) -> bool:
            for k in range(period):
                if not holds(s):
                    return False
                s = bounds(held, s) if k < period - 1 else s
            return True

        def horizon(r: float) -> tuple[float, str]:
            n, why = proved_horizon(turn, stays, centre, r, coordinates, -(-n_steps // period))
            # whole turns, and the steps within the last one
            return (min(n * period + period - 1, n_steps) if np.isfinite(n) and n >= 0 else n), why

    radius, (n, reason) = (radius, horizon(radius)) if radius is not None else _largest(criterion, x, horizon, n_steps)
    if n < 1:
        return 0.0, 0.0, "none", reason
    return radius, float(n), method, reason


def _period(dynamics: Map, x: Tensor, u: Tensor) -> int:
    """Steps after which the orbit of `x` is back: 1 for what is no cycle of at most 16 steps."""
    y, gaps = x[None], []
    with torch.no_grad():
        for _ in range(_LONGEST_CYCLE):
            y = dynamics.step(y, u[None])
            gaps.append(float((y - x).norm()))
    back = min(gaps)
    return next(k + 1 for k, gap in enumerate(gaps) if gap <= 10 * back) if back < 1e-3 * max(gaps) else 1


def _coordinates(dynamics: Map, x: Tensor, u: Tensor, n_steps: int, period: int) -> Coordinates:
    """Those of the units where boxes hardly grow within `n_steps`, those of the eigenvectors of a turn else."""
    jacobian, y = np.eye(len(x)), x[None]
    for _ in range(period):
        jacobian = dynamics.jacobians(y, u[None])[0][0].numpy() @ jacobian
        with torch.no_grad():
            y = dynamics.step(y, u[None])
    units = Coordinates.of_units(len(x))
    if np.abs(np.linalg.eigvals(np.abs(jacobian))).max() < 1 + 3 / n_steps:
        return units
    adapted = Coordinates.of(jacobian)
    return units if adapted is None else adapted


def _largest(criterion: _Criterion, x: Tensor, horizon: Callable[[float], tuple[float, str]], n_steps: int):
    """The largest radius on a ladder that holds for `n_steps`, by bisection; the least one's result if none does."""
    top = _reach(criterion, x)
    low, high, best, result = 0, _LADDER, 0.0, (0.0, "")
    while low <= high:
        k = (low + high) // 2
        radius = top * 2 ** (-k / 2)
        tried = horizon(radius)
        if tried[0] >= n_steps:
            best, result, high = radius, tried, k - 1
        else:
            if best == 0:
                result = (0.0, tried[1])
            low = k + 1
    return best, result


def _reach(criterion: _Criterion, x: Tensor) -> float:
    """About the distance at which states next to `x` have left, along the steepest way and along random ones."""
    with torch.enable_grad():
        y = x[None].clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(criterion.margin(y).sum(), y)
    ways = torch.randn(16, len(x), generator=Generator().manual_seed(0), dtype=torch.float64)
    ways = torch.cat([-slope, slope, ways])
    ways = ways / ways.norm(dim=1, keepdim=True).clamp_min(1e-300)
    with torch.no_grad():
        for k in range(200):
            r = 1e-12 * 2 ** (k / 2)
            if bool((criterion.margin(x + r * ways) < 0).any()):
                return r
    return r

"""Two systems on one clock under the same inputs: pairs of states, states around them, and where each goes from there.

Time is b's: where b takes `speed` steps of a in one of its own, a's map is iterated as often (and interpolated between
iterates, by forward differences of third order, where the number is no integer). Systems whose inputs are equal are
paired as they were given; else b is run anew under a's inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from conjugacy.similarity.coordinates import Coordinates
from conjugacy.system import Step, System

LEAST_TRIALS = 4
_CHAOS = 1e-8  # a push of this share of the spread grows, in a system that forgets nothing of it


@dataclass(frozen=True, eq=False)
class Around:
    """States off the data of both systems, each with an input and the state that follows.

    Attributes
    ----------
    kind : {"around", "box"}
        Near the visited states, or anywhere in the box asked for.
    x, x_next : Tensor (sample, unit of a)
    y, y_next : Tensor (sample, unit of b)
    u : Tensor (sample, input)
    trial : Tensor (sample,), int64
        Of the visited states they were drawn around, or beside.
    """

    kind: str
    x: Tensor
    x_next: Tensor
    y: Tensor
    y_next: Tensor
    u: Tensor
    trial: Tensor

    def turned(self) -> Around:
        """The same with a and b exchanged."""
        return replace(self, x=self.y, x_next=self.y_next, y=self.x, y_next=self.x_next)


@dataclass(frozen=True, eq=False)
class Pool:
    """Visited states of both systems in pairs, and states around them.

    Attributes
    ----------
    x, x_next : Tensor (sample, unit of a)
        A state, and where a's map takes it.
    y, y_next : Tensor (sample, unit of b)
        The state of b at the same time, and where b's map takes it.
    u : Tensor (sample, input)
    trial, time : Tensor (sample,), int64
        Where the pair comes from; time counts b's steps.
    around : tuple of Around
        As many states each.
    """

    x: Tensor
    x_next: Tensor
    y: Tensor
    y_next: Tensor
    u: Tensor
    trial: Tensor
    time: Tensor
    around: tuple[Around, ...]

    def turned(self) -> Pool:
        """The same with a and b exchanged."""
        around = tuple(a.turned() for a in self.around)
        return replace(self, x=self.y, x_next=self.y_next, y=self.x, y_next=self.x_next, around=around)


@dataclass(frozen=True, eq=False)
class Correspondence:
    """What a map from a to b is fitted to and judged by.

    Attributes
    ----------
    step_a, step_b : callable
        ``step(x, u) -> x_next`` on the common clock.
    a, b : Coordinates
        Of the states that the map is fitted to.
    fit, validation, test : Pool
        Of different trials each.
    states_a, states_b : Tensor (trial, time, unit)
        Paired trajectories of the trials in `test`.
    inputs : Tensor (trial, time, input)
        Of these.
    lengths : Tensor (trial,)
        Of these.
    speed : float
        Steps of a in one of b.
    driven : bool
        Whether b was run anew under a's inputs.
    """

    step_a: Step
    step_b: Step
    a: Coordinates
    b: Coordinates
    fit: Pool
    validation: Pool
    test: Pool
    states_a: Tensor
    states_b: Tensor
    inputs: Tensor
    lengths: Tensor
    speed: float
    driven: bool

    def turned(self) -> Correspondence:
        """The same with a and b exchanged; the clock stays."""
        return replace(
            self,
            step_a=self.step_b,
            step_b=self.step_a,
            a=self.b,
            b=self.a,
            fit=self.fit.turned(),
            validation=self.validation.turned(),
            test=self.test.turned(),
            states_a=self.states_b,
            states_b=self.states_a,
        )


@torch.no_grad()
def correspond(
    a: System,
    b: System,
    test: tuple[System, System] | None = None,
    *,
    speed: float | None = None,
    reach: float | None = None,
    n_states: int = 8000,
    seed: int = 0,
) -> Correspondence:
    """Pairs of states of two systems, see the module docstring; a must be the one with the shorter time step.

    Parameters
    ----------
    a, b : System
        With `step`, and the same input channels.
    test : pair of System, optional
        New trials. None: a third of the trials is kept for that.
    speed : float, optional
        Steps of a in one of b, at least 1. None: from their time steps, or their inputs.
    reach : float, optional
        Look in a box as well, of so many spreads to either side of the mean.
    n_states : int
        Pairs to fit to, at most.
    seed : int
        Of the draws.

    Raises
    ------
    ValueError
        If there is no step, inputs have other channels, or trials are too few or too short.
    """
    step_a, step_b = _step_of(a), _step_of(b)
    _check_channels(a, b)
    speed = clock_ratio(a, b) if speed is None else speed
    generator = torch.Generator().manual_seed(seed)
    pairs = [_paired(a, b, speed)] if test is None else [_paired(a, b, speed), _paired(*test, speed)]
    parts = _split(pairs, generator)
    on_clock = at_speed(step_a, speed)
    of_a, of_b = Coordinates.of(_flat(parts[0].x, parts[0])), Coordinates.of(_flat(parts[0].y, parts[0]))
    fit, validation, new = (
        _pool(part, on_clock, step_b, (of_a, of_b), reach, n, generator)
        for part, n in zip(parts, (n_states, n_states // 2, 2 * n_states))
    )
    t = parts[2]
    driven = any(p.driven for p in pairs)
    return Correspondence(on_clock, step_b, of_a, of_b, fit, validation, new, t.x, t.y, t.u, t.lengths, speed, driven)


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Trajectories of both systems on one clock: x and y (trial, time, unit), u (trial, time, input), lengths."""

    x: Tensor
    y: Tensor
    u: Tensor
    lengths: Tensor
    driven: bool

    def take(self, trials: Tensor) -> _Pairs:
        return replace(self, x=self.x[trials], y=self.y[trials], u=self.u[trials], lengths=self.lengths[trials])


def at_speed(step: Step, speed: float) -> Step:
    """The map that takes `speed` steps of `step` under one input."""
    whole = int(speed + 1e-9)
    rest = speed - whole
    if abs(rest) < 1e-9:
        return step if whole == 1 else lambda x, u: _iterate(step, x, u, whole)

    def between(x: Tensor, u: Tensor) -> Tensor:
        x0 = _iterate(step, x, u, whole)
        x1 = step(x0, u)
        x2 = step(x1, u)
        d1, d2, d3 = x1 - x0, x2 - 2 * x1 + x0, step(x2, u) - 3 * x2 + 3 * x1 - x0
        return x0 + rest * d1 + rest * (rest - 1) / 2 * d2 + rest * (rest - 1) * (rest - 2) / 6 * d3

    return between


def _iterate(step: Step, x: Tensor, u: Tensor, n: int) -> Tensor:
    for _ in range(n):
        x = step(x, u)
    return x


def clock_ratio(a: System, b: System) -> float:
    """Steps of a in one of b: the ratio of their dt, or of the lengths of trials whose inputs are the same; else 1."""
    if a.dt is not None and b.dt is not None:
        ratio = b.dt / a.dt
        return float(round(ratio)) if abs(ratio - round(ratio)) < 1e-6 * ratio else ratio
    ta, tb = a.trajectories.shape[1], b.trajectories.shape[1]
    if a.inputs is None or b.inputs is None or ta == tb or len(a.lengths) != len(b.lengths):
        return 1.0
    ratio = ta / tb if ta > tb else tb / ta
    long, short = (a.inputs, b.inputs) if ta > tb else (b.inputs, a.inputs)
    every = round(ratio)
    if abs(ratio - every) < 1e-9 and _same_inputs(long[:, every - 1 :: every], short):
        return float(every) if ta > tb else 1.0 / every
    return 1.0


def parts_at_once(step: Step, system: System) -> bool:
    """Whether a tiny push of the first states has grown a thousandfold by the end of the trials: chaos.

    Paired states of such a system mean little: what they share is their inputs, and not their past.
    """
    x = system.trajectories[:16, 0].double()
    u = _inputs(system)[:16]
    spread = system.states().double().std(0).mean().clamp(min=1e-300)
    y = x + _CHAOS * spread / x.shape[1] ** 0.5
    start = (y - x).norm(dim=-1)
    with torch.no_grad():
        for t in range(1, u.shape[1]):
            x, y = step(x, u[:, t]), step(y, u[:, t])
    grown = (y - x).norm(dim=-1) / start
    return bool(grown.nanmedian() > 1e3)


def _step_of(system: System) -> Step:
    if system.step is None:
        raise ValueError(
            f"`step`: {system.name!r} has no step function, and a change of coordinates is between maps. Give one "
            "(System.from_arrays(..., step=...)), or compare trajectories (procrustes, dsa)."
        )
    return system.step


def _check_channels(a: System, b: System) -> None:
    counts = [0 if s.inputs is None else s.inputs.shape[2] for s in (a, b)]
    if counts[0] != counts[1]:
        raise ValueError(
            f"`b`: expected the input channels of {a.name!r} ({counts[0]}), got {counts[1]} in {b.name!r}. A change of "
            "coordinates joins systems that are driven alike: give both the same channels."
        )


def _inputs(system: System) -> Tensor:
    if system.inputs is not None:
        return system.inputs.double()
    return torch.zeros(*system.trajectories.shape[:2], 1, dtype=torch.float64)


def _same_inputs(u: Tensor, v: Tensor) -> bool:
    return u.shape == v.shape and bool(torch.allclose(u.double(), v.double(), rtol=1e-5, atol=1e-6))


def _paired(a: System, b: System, speed: float) -> _Pairs:
    """Both trajectories on b's clock."""
    x, u, v = a.trajectories.double(), _inputs(a), _inputs(b)
    lengths = a.lengths
    if speed != 1.0:
        # rounded: 2.0000000001 steps are two
        at = (speed * torch.arange(1, int((x.shape[1] + 1e-6) / speed) + 1, dtype=torch.float64) - 1).round(decimals=6)
        x, u = _between(x, at), u[:, at.ceil().long().clamp(max=u.shape[1] - 1)]
        lengths = ((lengths + 1e-6) / speed).long()
    n = min(u.shape[1], v.shape[1])
    as_given = len(u) == len(v) and _same_inputs(u[:, :n], v[:, :n]) and torch.equal(lengths, b.lengths)
    if as_given:
        return _Pairs(x[:, :n], b.trajectories.double()[:, :n], v[:, :n], lengths.clamp(max=n), False)
    y = b.trajectories[torch.arange(len(u)) % len(v), 0].double()
    states = [y]
    for t in range(1, u.shape[1]):
        y = _step_of(b)(y, u[:, t])
        states.append(y)
    return _Pairs(x, torch.stack(states, 1), u, lengths, True)


def _between(x: Tensor, at: Tensor) -> Tensor:
    """Trajectories (trial, time, unit) at times between their steps, by cubic interpolation."""
    if bool((at == at.round()).all()):
        return x[:, at.long()]
    from scipy.interpolate import CubicSpline

    spline = CubicSpline(np.arange(x.shape[1]), x.numpy(), axis=1)
    return torch.from_numpy(spline(at.numpy()))


def _split(pairs: list[_Pairs], generator: torch.Generator) -> list[_Pairs]:
    """Trials to fit, to choose and to test on."""
    n = len(pairs[0].lengths)
    if n < LEAST_TRIALS:
        raise ValueError(
            f"`a`, `b`: expected at least {LEAST_TRIALS} trials (some to fit on, some to choose, some to test), got "
            f"{n}."
        )
    if int(pairs[0].lengths.min()) < 2:
        raise ValueError("`a`, `b`: expected at least 2 steps in each trial (on the slower clock), got 1.")
    order = torch.randperm(n, generator=generator)
    if len(pairs) == 2:
        k = max(1, n // 4)
        return [pairs[0].take(order[k:]), pairs[0].take(order[:k]), pairs[1]]
    test, validation = max(1, n // 3), max(1, n // 6)
    cut = test + validation
    return [pairs[0].take(order[cut:]), pairs[0].take(order[test:cut]), pairs[0].take(order[:test])]


def _flat(x: Tensor, part: _Pairs) -> Tensor:
    return x[torch.arange(x.shape[1]) < part.lengths[:, None]]


def _pool(
    part: _Pairs,
    step_a: Step,
    step_b: Step,
    coordinates: tuple[Coordinates, Coordinates],
    reach: float | None,
    n: int,
    generator: torch.Generator,
) -> Pool:
    steps = torch.arange(1, part.x.shape[1])
    trial, time = torch.nonzero(steps < part.lengths[:, None], as_tuple=True)
    chosen = torch.randperm(len(trial), generator=generator)[:n]
    trial, time = trial[chosen], time[chosen]
    x, y, u = part.x[trial, time], part.y[trial, time], part.u[trial, time + 1]
    drawn = {"around": [c.perturb(s, generator) for c, s in zip(coordinates, (x, y))]}
    if reach is not None:
        drawn["box"] = [c.in_box(len(x), reach, generator) for c in coordinates]
    around = []
    for kind, (off_a, off_b) in drawn.items():
        v = u[torch.randperm(len(u), generator=generator)]
        next_a, next_b = step_a(off_a, v), step_b(off_b, v)
        ok = torch.isfinite(next_a).all(-1) & torch.isfinite(next_b).all(-1)  # orbits off the data may run away
        if not bool(ok.any()):
            raise ValueError("`a`, `b`: expected maps that are finite around the data, got none that is.")
        around.append(Around(kind, *(s[ok] for s in (off_a, next_a, off_b, next_b, v, trial))))
    return Pool(x, step_a(x, u), y, step_b(y, u), u, trial, time, tuple(around))

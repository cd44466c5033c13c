"""Pairs of systems whose relation is true by construction: what a measure must see, and what it must not.

The reference system is a driven, bistable map of three units with a step function (three fixed points: two memories and
the saddle between them). From it come systems that compute the same in other coordinates, `conjugate(...)`, and systems
that compute something else while looking alike. `known_pairs(seed)` lists them; `checks` runs measures through them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_int
from conjugacy.system import Step, System

DT = 0.1
N_UNRELATED = 5  # one random network may happen to be near: it would be a poor yardstick
Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class KnownPair:
    """Two systems whose relation is known.

    Attributes
    ----------
    relation : str
        Name, as in `Traits.invariances` and `Traits.blind_to`.
    same : bool
        Whether both compute the same.
    a, b : System
    how : str
        How `b` was made.
    more : tuple of System
        Further systems made like `b`: where these are drawn at random, the median over all of them is the answer.
    """

    relation: str
    same: bool
    a: System
    b: System
    how: str
    more: tuple[System, ...] = ()


def known_pairs(seed: int = 0, n_trials: int = 30, n_steps: int = 160) -> list[KnownPair]:
    """All pairs; those that compute the same first.

    Parameters
    ----------
    seed : int
        Of the inputs and of the changes of coordinates.
    n_trials, n_steps : int
        Size of the data; an even number of steps.
    """
    check_int("seed", seed, 0)
    check_int("n_trials", n_trials, 3, 10**6)
    check_int("n_steps", n_steps, 12, 10**6)
    rng = np.random.default_rng(seed)
    u = pulses(rng, n_trials, n_steps, 2)
    a = run("reference", bistable(), 3, u)
    rotation = torch.as_tensor(_rotation(rng, 3, 1))
    mirror = torch.as_tensor(_rotation(rng, 3, -1))
    linear = torch.as_tensor(_rotation(rng, 3, 1) @ np.diag([2.0, 1.0, 0.4]) @ _rotation(rng, 3, 1))
    shift = torch.tensor([1.5, -0.7, 0.4], dtype=torch.float64)
    isometry = torch.as_tensor(_rotation(rng, 5, 1)[:, :3].copy())
    order = [2, 0, 1]
    noise = torch.as_tensor(rng.normal(size=a.trajectories.shape))
    spread = a.states().std(0)
    # its step is the noise-free one
    noisy = replace(a, trajectories=a.trajectories + 0.01 * spread * noise, step_tolerance=math.inf)
    slow = System.from_arrays("slow", a.trajectories[:, 1::2], u[:, 1::2], dt=2 * DT, step=twice(bistable()))
    same = [
        ("rotation", linearly(a, rotation), "x R', det R = 1"),
        ("mirror", linearly(a, mirror), "x R', det R = -1"),
        ("permutation", linearly(a, torch.eye(3, dtype=torch.float64)[order]), "units in another order"),
        ("scaling", linearly(a, 3.0 * torch.eye(3, dtype=torch.float64)), "3 x"),
        ("translation", conjugate(a, lambda x: x + shift, lambda y: y - shift), "x + c"),
        ("affine map", linearly(a, linear, shift), "x M' + c, condition number of M 5"),
        ("diffeomorphism", conjugate(a, bend, straighten), "a polynomial map with polynomial inverse"),
        ("other size", linearly(a, isometry), "isometrically into five units"),
        ("other speed", slow, "every second step, dt doubled, the step taken twice"),
        ("null dimensions", with_null_dimensions(a, rng), "two more units that the three do not hear"),
        ("observation noise", noisy, "1 % noise"),
    ]
    return [
        *(KnownPair(relation, True, a, replace(b, name=relation), how) for relation, b, how in same),
        *_changed(a, u, rng),
    ]


def _changed(a: System, u: Tensor, rng: np.random.Generator) -> list[KnownPair]:
    n_trials, n_steps, _ = u.shape
    alike = tuple(run(f"small mode turning at {turn:g}", driven_with_small_mode(turn), 4, u) for turn in (0.25, 1.0))
    into_five = torch.as_tensor(_rotation(rng, 5, 1))
    held, let_go = (off_data(a, into_five, gain) for gain in (0.5, 1.5))
    white = torch.as_tensor(rng.normal(size=(n_trials, 4 * n_steps, 3)))
    normal, skewed = (linear_map(feed, white) for feed in (0.0, 1.2))
    others = [
        run("random network", random_network(rng, 3, 2), 3, pulses(rng, n_trials, n_steps, 2))
        for _ in range(N_UNRELATED)
    ]
    return [
        KnownPair(
            "other dynamics, same geometry",
            False,
            alike[0],
            alike[1],
            "two units with nearly all of the variance obey the input alike; a small mode turns at another speed",
        ),
        KnownPair("other flow off the data", False, held, let_go, "equal trajectories; two silent units decay or grow"),
        KnownPair(
            "fixed point added",
            False,
            a,
            run("two more fixed points", bistable(extra=True), 3, u),
            "a third memory and its saddle, where no trial goes",
        ),
        KnownPair(
            "fixed point removed", False, a, run("one fixed point", bistable(gain=0.5), 3, u), "the memories merge"
        ),
        KnownPair(
            "other non-normality, same spectrum",
            False,
            normal,
            skewed,
            "linear maps with equal eigenvalues, orthogonal or nearly parallel eigenvectors, driven by white noise",
        ),
        KnownPair(
            "unrelated",
            False,
            a,
            others[0],
            f"random networks on other inputs, the median of {N_UNRELATED}",
            (*others[1:],),
        ),
    ]


def bistable(gain: float = 2.0, extra: bool = False) -> Step:
    """The reference: unit 1 keeps a sign (gain 2) or forgets it (gain 0.5), units 2 and 3 spiral and hear unit 1.

    With `extra` the flow of unit 1 has two more zeros beyond 5, which no trial of the suite reaches.
    """

    def step(x: Tensor, u: Tensor) -> Tensor:
        p, q, r = x.unbind(-1)
        beyond = torch.relu(p - 5.0) ** 2
        dp = -p + gain * torch.tanh(1.5 * p) + 2.0 * u[..., 0] + (14 * beyond / (1 + beyond) if extra else 0.0)
        dq = -0.5 * q - 1.5 * r + 0.6 * p**2 + u[..., 1]
        dr = 1.5 * q - 0.5 * r + 0.5 * p
        return x + DT * torch.stack([dp, dq, dr], -1)

    return step


def driven_with_small_mode(turn: float) -> Step:
    """Units 1, 2 follow the input; units 3, 4 are a small oscillator that turns by `turn` in a step, kicked by it."""
    c, s = 0.97 * np.cos(turn), 0.97 * np.sin(turn)

    def step(x: Tensor, u: Tensor) -> Tensor:
        drive = 0.8 * x[..., :2] + u
        p, q = x[..., 2], x[..., 3]
        kick = 0.02 * (u[..., 0] - u[..., 1])
        return torch.cat([drive, torch.stack([c * p - s * q + kick, s * p + c * q], -1)], -1)

    return step


def random_network(rng: np.random.Generator, n_units: int, n_inputs: int) -> Step:
    """A vanilla network with weights of spectral radius about 1.4."""
    w = torch.as_tensor(1.4 * rng.normal(size=(n_units, n_units)) / np.sqrt(n_units))
    v = torch.as_tensor(rng.normal(size=(n_units, n_inputs)))
    return lambda x, u: torch.tanh(x @ w.T + u @ v.T)


def run(name: str, step: Step, n_units: int, u: Tensor) -> System:
    """The trajectories of `step` under inputs u (trial, time, input), from starts that differ by trial."""
    x = 0.5 * torch.sin(torch.arange(len(u) * n_units, dtype=torch.float64)).reshape(len(u), n_units)
    states = []
    for t in range(u.shape[1]):
        x = step(x, u[:, t])
        states.append(x)
    return System.from_arrays(name, torch.stack(states, 1), u, dt=DT, step=step)


def pulses(rng: np.random.Generator, n_trials: int, n_steps: int, n_inputs: int) -> Tensor:
    """Smooth random inputs, bounded, each held for two steps (so that every second step is a system of its own)."""
    raw = rng.normal(size=(n_trials, n_steps // 2 + 20, n_inputs))
    kernel = np.exp(-np.arange(20) / 6.0)
    smooth = np.stack([np.apply_along_axis(np.convolve, 0, trial, kernel, mode="valid") for trial in raw])
    smooth = np.tanh(smooth[:, : n_steps // 2] / smooth.std())
    return torch.as_tensor(np.repeat(smooth, 2, axis=1))


def conjugate(a: System, forward: Map, back: Map) -> System:
    """The system in the coordinates y = forward(x): its step is forward(step(back(y), u))."""
    step = a.step
    assert step is not None
    return replace(a, trajectories=forward(a.trajectories), step=lambda y, u: forward(step(back(y), u)))


def linearly(a: System, matrix: Tensor, shift: Tensor | float = 0.0) -> System:
    """The system in the coordinates y = matrix x + shift, for a matrix with independent columns."""
    inverse = torch.linalg.pinv(matrix)
    return conjugate(a, lambda x: x @ matrix.T + shift, lambda y: (y - shift) @ inverse.T)


def bend(x: Tensor) -> Tensor:
    """A nonlinear change of coordinates with the inverse `straighten`."""
    p, q, r = x.unbind(-1)
    q = q + 0.8 * p**2
    return torch.stack([p, q, r - 0.5 * p * q], -1)


def straighten(y: Tensor) -> Tensor:
    """Inverse of `bend`."""
    p, q, r = y.unbind(-1)
    return torch.stack([p, q - 0.8 * p**2, r + 0.5 * p * q], -1)


def twice(step: Step) -> Step:
    """Two steps under one input."""
    return lambda x, u: step(step(x, u), u)


def with_null_dimensions(a: System, rng: np.random.Generator) -> System:
    """Two more units with their own noisy life, which the units of `a` do not hear."""
    step, n = a.step, a.n_units
    shape = (*a.trajectories.shape[:2], 2)
    w = np.zeros(shape)
    shock = rng.normal(size=shape)
    for t in range(1, shape[1]):
        w[:, t] = 0.7 * w[:, t - 1] + 0.5 * shock[:, t]

    def wider(x: Tensor, u: Tensor) -> Tensor:
        assert step is not None
        return torch.cat([step(x[..., :n], u), 0.7 * x[..., n:]], -1)

    wide = torch.cat([a.trajectories, torch.as_tensor(w)], -1)
    return replace(a, trajectories=wide, step=wider, step_tolerance=math.inf)  # the step is the noise-free one


def off_data(a: System, basis: Tensor, gain: float) -> System:
    """`a` in five units, where the two directions that no trial enters are multiplied by `gain` in each step."""
    step, n = a.step, a.n_units

    def wider(y: Tensor, u: Tensor) -> Tensor:
        assert step is not None
        x = y @ basis
        return torch.cat([step(x[..., :n], u), gain * x[..., n:]], -1) @ basis.T

    silent = torch.zeros(*a.trajectories.shape[:2], 5 - n, dtype=torch.float64)
    name = "off the data: " + ("decay" if gain < 1 else "growth")
    return replace(a, name=name, trajectories=torch.cat([a.trajectories, silent], -1) @ basis.T, step=wider)


def linear_map(feed: float, u: Tensor) -> System:
    """A linear map with eigenvalues 0.9, 0.7, 0.5 and feed-forward strength `feed`, driven by u."""
    m = torch.tensor([[0.9, feed, 0.0], [0.0, 0.7, feed], [0.0, 0.0, 0.5]], dtype=torch.float64)
    return run("normal" if feed == 0 else "non-normal", lambda x, u: x @ m.T + u, 3, u)


def _rotation(rng: np.random.Generator, n: int, det: int) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(n, n)))
    q = q * np.sign(np.diag(r))
    if np.sign(np.linalg.det(q)) != det:
        q[:, 0] *= -1
    return q

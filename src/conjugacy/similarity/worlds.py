"""Worlds for calibration: pairs of systems with noise, of which data sets of any size can be drawn.

A world is a pair of systems that is fixed by its seed; `draw` records so many trials of it. The value of a measure on
very many trials is its truth there, against which intervals from few trials are held. Both systems of a pair hear the
same inputs in trial k, so that measures that pair trials have a truth too. "unrelated" worlds have two systems that
share nothing but their family, and have inputs of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from conjugacy._check import check_choice, check_int
from conjugacy.similarity.samples import as_system
from conjugacy.system import System

RELATIONS = ("other", "changed by a fifth", "copy", "unrelated")


@dataclass(frozen=True)
class Body:
    """One system of a world: states (trial, unit) step with inputs (trial, input) and noise (trial, unit).

    Attributes
    ----------
    step : callable
        ``step(x, u, noise)``.
    n_states, n_inputs : int
    observe : callable
        ``observe(states (trial, time, unit), rng)`` gives what is recorded, (trial, time, channel).
    """

    step: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    n_states: int
    n_inputs: int
    observe: Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class World:
    """A pair of systems of one family.

    Attributes
    ----------
    family, relation : str
    seed : int
    a, b : Body
    n_steps : int
        Time steps of a trial; with `ragged`, of the longest one, and the shortest has half of them.
    """

    family: str
    relation: str
    seed: int
    a: Body
    b: Body
    n_steps: int
    ragged: bool = False

    def draw(self, n_trials: int, seed: int) -> tuple[System, System]:
        """Records of `n_trials` trials of both systems; trial k of both has the same inputs and the same length."""
        check_int("n_trials", n_trials, 1)
        check_int("seed", seed, 0)
        rng = np.random.default_rng([self.seed, seed, 7])
        inputs = _smooth(rng.normal(size=(n_trials, self.n_steps + _BURN_IN, self.a.n_inputs)), 4)
        least = self.n_steps // 2 if self.ragged else self.n_steps
        lengths = rng.integers(least, self.n_steps + 1, n_trials)
        shared = self.relation != "unrelated"
        records = []
        for name, body in (("a", self.a), ("b", self.b)):
            u = inputs if shared else _smooth(rng.normal(size=inputs.shape), 4)
            states = _simulate(body, u, rng)
            recorded = body.observe(states, rng)
            given = [trial[:n] for trial, n in zip(recorded, lengths)] if self.ragged else recorded
            records.append(as_system(name, given))
        return records[0], records[1]


def make_world(family: str, relation: str = "other", seed: int = 0) -> World:
    """The world of a family (`FAMILIES`) and relation with this seed.

    Relations: "other", two systems of the family that hear the same inputs; "changed by a fifth", b is a with a fifth
    of its couplings replaced; "copy", b is a in other coordinates; "unrelated", other systems with inputs of their own.
    Every record has noise of its own.
    """
    check_choice("family", family, FAMILIES)
    check_choice("relation", relation, RELATIONS)
    check_int("seed", seed, 0)
    rng = np.random.default_rng([seed, FAMILIES.index(family), RELATIONS.index(relation)])
    n, n_inputs = int(rng.integers(5, 9)), 2
    kind = "linear" if family == "ragged" else family
    first, second = (_Parts.drawn(kind, n, n_inputs, rng) for _ in range(2))
    if relation == "copy":
        second = first
    if relation == "changed by a fifth":
        other = np.where(rng.random((n, n)) < 0.2, second.recurrent, first.recurrent)
        drive = np.where(rng.random((n, n_inputs)) < 0.2, second.drive, first.drive)
        second = replace(first, recurrent=other, drive=drive)
    a, b = _body(kind, first, rng), _body(kind, second, rng)
    return World(family, relation, seed, a, b, int(rng.integers(40, 81)), family == "ragged")


FAMILIES = ("linear", "tanh", "limit cycle", "spiking", "ragged")
_BURN_IN = 30


@dataclass(frozen=True)
class _Parts:
    """What makes a system: its couplings, and the numbers that its kind needs."""

    recurrent: np.ndarray
    drive: np.ndarray
    noise: float
    leak: float
    turn: float
    radius: float
    rate: float

    @classmethod
    def drawn(cls, kind: str, n: int, n_inputs: int, rng: np.random.Generator) -> _Parts:
        recurrent = rng.normal(size=(n, n))
        if kind == "tanh":
            recurrent *= rng.uniform(0.8, 1.3) / np.sqrt(n)
        else:
            recurrent *= rng.uniform(0.7, 0.95) / np.abs(np.linalg.eigvals(recurrent)).max()
        drive = rng.normal(size=(n, n_inputs)) * 0.5
        ranges = ((0.15, 0.35), (0.3, 0.6), (0.15, 0.6), (0.8, 1.2), (0.3, 0.8))
        return cls(recurrent, drive, *(float(rng.uniform(*span)) for span in ranges))


def _body(kind: str, parts: _Parts, rng: np.random.Generator) -> Body:
    """A system of these parts, seen through axes (or by neurons) of its own."""
    recurrent, drive = parts.recurrent, parts.drive
    n, n_inputs = drive.shape
    size, leak, turn, radius, rate = parts.noise, parts.leak, parts.turn, parts.radius, parts.rate

    def linear(x, u, noise):
        return x @ recurrent.T + u @ drive.T + size * noise

    def tanh(x, u, noise):
        return (1 - leak) * x + leak * np.tanh(x @ recurrent.T + u @ drive.T) + size * noise * leak

    def limit_cycle(x, u, noise):
        z = x[:, 0] + 1j * x[:, 1]
        z = z * (1 + 0.2 * (radius**2 - np.abs(z) ** 2)) / (1 + 0.05 * np.abs(z) ** 2) * np.exp(1j * turn)
        rest = x[:, 2:] @ recurrent[2:, 2:].T * 0.8 + 0.3 * np.stack([z.real, z.imag], 1) @ recurrent[2:, :2].T
        return np.concatenate([np.stack([z.real, z.imag], 1), rest], 1) + 0.2 * u @ drive.T + 0.4 * size * noise

    step = {"tanh": tanh, "limit cycle": limit_cycle}.get(kind, linear)
    mix = np.linalg.qr(rng.normal(size=(n, n)))[0]
    loading = rng.normal(size=(n, 3 * n)) / np.sqrt(n)

    def observe(states, generator):
        if kind == "spiking":
            rates = rate * np.exp(np.clip(0.5 * states @ loading, -3, 3))
            return _smooth(generator.poisson(rates).astype(float), 2)
        return states @ mix + 0.05 * generator.normal(size=states.shape)

    return Body(step, n, n_inputs, observe)


def _simulate(body: Body, inputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    x = 0.5 * rng.normal(size=(len(inputs), body.n_states))
    states = np.empty((len(inputs), inputs.shape[1], body.n_states))
    for t in range(inputs.shape[1]):
        x = body.step(x, inputs[:, t], rng.normal(size=x.shape))
        states[:, t] = x
    return states[:, _BURN_IN:]


def _smooth(x: np.ndarray, width: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(x, width, axis=1, mode="nearest")

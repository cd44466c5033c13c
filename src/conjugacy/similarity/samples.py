"""Trajectories as float64 NumPy arrays, trial by trial, and checks that two systems are paired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch

from conjugacy._check import check_choice, shown
from conjugacy.system import System


def kind_of(value: Any) -> str:
    """What `value` is, for messages: its class, and the value where that is short."""
    if isinstance(value, type):
        return f"the class {value.__name__} ({type(value).__name__}); give an instance of it"
    text = shown(value)
    return text if text.startswith(type(value).__name__) else f"{type(value).__name__} {text}"


def as_system(name: str, data: Any) -> System:
    """`data` itself if it is a `System`, else a system made of an array (trial, time, unit).

    Raises
    ------
    TypeError, ValueError
        If the array has other axes, or values that are not finite; the message calls it `name`.
    """
    if isinstance(data, System):
        return data
    make = getattr(data, "system", None)
    if callable(make) and not isinstance(data, type):  # a Run, of which this package knows nothing else
        made = make()
        if isinstance(made, System):
            return made
    is_path = isinstance(data, str) or hasattr(data, "__fspath__")
    empty = isinstance(data, (list, tuple)) and not (len(data) and hasattr(data[0], "__len__"))
    number = isinstance(data, (int, float, complex, np.generic, Mapping, range))
    if data is None or is_path or empty or number or isinstance(data, (bytes, type, ModuleType)) or callable(data):
        raise TypeError(
            f"`{name}`: expected a System, a Run or an array (trial, time, unit), got {kind_of(data)}."
            f"{' Load it first: conjugacy.load(path).' if is_path else ''}"
        )
    size = getattr(data, "shape", None)
    if isinstance(size, tuple) and 0 in size:
        raise ValueError(
            f"`{name}`: expected an array (trial, time, unit) with values, got shape {tuple(size)}: empty."
        )
    try:
        return System.from_arrays(name, data)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("`trajectories", f"`{name}", 1)) from None


def system_list(name: str, data: Any, least: int) -> list[System]:
    """`data`, a sequence of systems or arrays, as at least `least` systems that are called ``name[i]`` in messages."""
    single = not hasattr(data, "__iter__") or hasattr(data, "keys") or getattr(data, "ndim", 1) == 0
    if single or isinstance(data, (str, bytes, type, System)):
        raise TypeError(f"`{name}`: expected a list of systems or of arrays (trial, time, unit), got {kind_of(data)}.")
    try:
        made = [as_system(f"{name}[{i}]", s) for i, s in enumerate(data)]
    except TypeError as error:
        # of an array the item alone would not tell what was passed
        raise TypeError(f"{error} In {shown(data)}." if hasattr(data, "shape") else str(error)) from None
    if len(made) < least:
        raise ValueError(f"`{name}`: expected at least {least} systems, got {len(made)}, {shown(data)}.")
    return made


def part(system: System, axis: str, index: np.ndarray) -> System:
    """The given trials, or the given units (then without `step` and `readout`, which need all units)."""
    check_choice("axis", axis, ("trials", "units"))
    rows = torch.as_tensor(np.asarray(index))
    if axis == "units":
        return replace(system, trajectories=system.trajectories[..., rows], step=None, cell=None, readout=None)
    inputs = None if system.inputs is None else system.inputs[rows]
    return replace(system, trajectories=system.trajectories[rows], inputs=inputs, lengths=system.lengths[rows])


@dataclass(frozen=True, eq=False)
class Layout:
    """How the trials of a system lie in time, without their states: enough to know whether two systems are paired.

    Attributes
    ----------
    name : str
        Name of the system.
    lengths : int array (trial,)
        Steps of each trial.
    """

    name: str
    lengths: np.ndarray

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return len(self.lengths)

    @property
    def n_samples(self) -> int:
        """Number of steps of all trials."""
        return int(self.lengths.sum())


@dataclass(frozen=True, eq=False)
class Samples:
    """Trajectories of one system in float64.

    Attributes
    ----------
    name : str
    x : array (trial, time, unit)
        Zero past the end of a trial, so that sums over time need no mask.
    lengths : int array (trial,)
    """

    name: str
    x: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, system: System) -> Samples:
        """The trajectories of `system`, not to be written to; a copy if they are padded."""
        x = system.trajectories.detach().cpu().to(torch.float64).numpy()
        lengths = layout_of(system).lengths
        if (lengths < x.shape[1]).any():
            x = np.where((np.arange(x.shape[1]) < lengths[:, None])[..., None], x, 0.0)
        return cls(system.name, x, lengths)

    @property
    def layout(self) -> Layout:
        """The layout of the trials, without the states."""
        return Layout(self.name, self.lengths)

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return self.x.shape[0]

    @property
    def n_units(self) -> int:
        """Number of units."""
        return self.x.shape[2]

    @property
    def valid(self) -> np.ndarray:
        """Boolean (trial, time)."""
        return np.arange(self.x.shape[1]) < self.lengths[:, None]

    def rows(self) -> np.ndarray:
        """All valid steps of all trials, (sample, unit)."""
        if (self.lengths == self.x.shape[1]).all():
            return self.x.reshape(-1, self.n_units)
        return self.x[self.valid]

    def take(self, trials: np.ndarray) -> Samples:
        """The given trials, which may repeat."""
        return Samples(self.name, self.x[trials], self.lengths[trials])


def layout_of(system: System) -> Layout:
    """The layout of the trials of `system`."""
    return Layout(system.name, system.lengths.cpu().numpy().astype(np.int64))


def shuffled_order(lengths: np.ndarray, rng: np.random.Generator, part: np.ndarray | None = None) -> np.ndarray:
    """A random order of trials, each in the place of one as long, and of the same part if `part` (trial,) is given."""
    group = lengths if part is None else lengths * 2 + part
    order = np.arange(len(lengths))
    for label in np.unique(group):
        same = np.flatnonzero(group == label)
        order[same] = rng.permutation(same)
    return order


def check_paired(a: Layout, b: Layout, measure: str) -> None:
    """Raise ValueError unless both systems have the same trials of the same lengths."""
    if a.lengths is b.lengths:
        return
    if a.n_trials != b.n_trials or not np.array_equal(a.lengths, b.lengths):
        raise ValueError(
            f"`b`: {measure!r} compares trial by trial and step by step, so expected {b.name!r} to have the "
            f"{a.n_trials} trials of {a.name!r} with the same lengths, got {b.n_trials} trials"
            f"{'' if a.n_trials != b.n_trials else ' with other lengths'}. "
            "Run both on the same inputs, or use a measure without pairing (dsa, spectrum_w2, portrait)."
        )


class Clocked(Protocol):
    """A system, or its features, with its name and the duration of a time step."""

    @property
    def name(self) -> str:
        """Name of the system."""
        ...

    @property
    def dt(self) -> float | None:
        """Seconds per step."""
        ...


def clocks(a: Clocked, b: Clocked, measure: str) -> tuple[float, float]:
    """Time steps of both: in seconds, or 1 and 1 if neither is known; raises ValueError if one only is known."""
    if (a.dt is None) != (b.dt is None):
        known, unknown = (a, b) if b.dt is None else (b, a)
        raise ValueError(
            f"`dt`: {measure!r} compares rates in 1/s, and {known.name!r} has dt={known.dt:g} s while that of "
            f"{unknown.name!r} is unknown. Give both (System.from_arrays(..., dt=...)), or none."
        )
    return a.dt or 1.0, b.dt or 1.0


def steps_differ(a: Clocked, b: Clocked) -> bool:
    """Whether both know the duration of their time steps, and it is not the same."""
    return a.dt is not None and b.dt is not None and abs(a.dt - b.dt) > 1e-6 * max(a.dt, b.dt)


def check_same_steps(a: Clocked, b: Clocked, measure: str, instead: str) -> None:
    """Raise ValueError if both know their time step and it differs: what happens in a step is not comparable then."""
    if steps_differ(a, b):
        raise ValueError(
            f"`dt`: {measure!r} compares what happens in one step, so expected one dt, got {a.dt:g} s for {a.name!r} "
            f"and {b.dt:g} s for {b.name!r}. Resample one to the other's dt, or use {instead}, which compares rates in "
            "1/s."
        )


def repeated(counts: np.ndarray) -> np.ndarray:
    """Indices of trials, trial k repeated ``counts[k]`` times."""
    return np.repeat(np.arange(len(counts)), counts)


def check_varies(samples: Samples, measure: str) -> None:
    """Raise ValueError if the trajectories are constant: nothing can be said about their shape then."""
    rows = samples.rows()
    # a constant is not reproduced to the last bit by its mean
    least = 1e-14 * np.abs(rows[0]).max()
    # nearly always the first rows are enough to know
    if np.abs(rows[:8] - rows[0]).max() <= least and np.abs(rows - rows[0]).max() <= least:
        raise ValueError(
            f"`trajectories` of {samples.name!r}: all {len(rows)} states are the same, so {measure!r} is undefined. "
            "Give states that vary: check that the system was run and that the activity is not saturated."
        )


def check_system_varies(system: System, measure: str) -> None:
    """`check_varies` for a system, whose states are made double precision only if the first ones are all the same."""
    first = system.trajectories[0, : min(8, int(system.lengths[0]))].detach().cpu().numpy().astype(np.float64)
    if np.abs(first - first[0]).max() <= 1e-14 * np.abs(first[0]).max():
        check_varies(Samples.of(system), measure)


def split_trials(n_trials: int, train: float, seed: int) -> np.ndarray:
    """Boolean (trial,): a random share `train` of the trials, at least one left on either side."""
    if n_trials < 2:
        raise ValueError(
            "`train`: expected at least 2 trials to fit on some and score on others, got 1. Cut the recording into "
            "trials, or give training trials: train=(a_train, b_train)."
        )
    chosen = np.zeros(n_trials, bool)
    n_train = min(max(round(train * n_trials), 1), n_trials - 1)
    chosen[np.random.default_rng(seed).permutation(n_trials)[:n_train]] = True
    return chosen

"""Trajectories as the measures take them: float64 NumPy arrays, trial by trial, and pairs that fit each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from conjugacy.system import System


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
    if callable(make):  # a Run, of which this package knows nothing else
        made = make()
        if isinstance(made, System):
            return made
    if isinstance(data, np.ndarray):
        data = np.ascontiguousarray(data)  # torch takes no reversed views
    try:
        return System.from_arrays(name, data)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("`trajectories", f"`{name}", 1)) from None


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
        lengths = system.lengths.cpu().numpy().astype(np.int64)
        if (lengths < x.shape[1]).any():
            x = np.where((np.arange(x.shape[1]) < lengths[:, None])[..., None], x, 0.0)
        return cls(system.name, x, lengths)

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


def shuffled_order(lengths: np.ndarray, rng: np.random.Generator, part: np.ndarray | None = None) -> np.ndarray:
    """A random order of trials, each in the place of one as long, and of the same part if `part` (trial,) is given."""
    group = lengths if part is None else lengths * 2 + part
    order = np.arange(len(lengths))
    for label in np.unique(group):
        same = np.flatnonzero(group == label)
        order[same] = rng.permutation(same)
    return order


def check_paired(a: Samples, b: Samples, measure: str) -> None:
    """Raise ValueError unless both systems have the same trials of the same lengths."""
    if a.n_trials != b.n_trials or not np.array_equal(a.lengths, b.lengths):
        raise ValueError(
            f"`b`: {measure!r} compares trial by trial and step by step, so expected {b.name!r} to have the "
            f"{a.n_trials} trials of {a.name!r} with the same lengths, got {b.n_trials} trials"
            f"{'' if a.n_trials != b.n_trials else ' with other lengths'}. "
            "Run both on the same inputs, or use a measure without pairing (dsa, spectrum_w2, portrait)."
        )


class Clocked(Protocol):
    """Features that say whose they are and how long a time step lasts."""

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


def repeated(counts: np.ndarray) -> np.ndarray:
    """Indices of trials, trial k repeated ``counts[k]`` times."""
    return np.repeat(np.arange(len(counts)), counts)


def check_varies(samples: Samples, measure: str) -> None:
    """Raise ValueError if the trajectories are constant: nothing can be said about their shape then."""
    rows = samples.rows()
    # a constant is not reproduced to the last bit by its mean
    least = 1e-14 * np.abs(rows[0]).max()
    # nearly always the first rows tell
    if np.abs(rows[:8] - rows[0]).max() <= least and np.abs(rows - rows[0]).max() <= least:
        raise ValueError(
            f"`trajectories` of {samples.name!r}: all {len(rows)} states are the same, so {measure!r} is undefined. "
            "Check that the system was run and that the activity is not saturated."
        )


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

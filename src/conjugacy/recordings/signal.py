"""Signal: what was measured beside the activity, sampled on a clock of its own. Truth: what a simulation knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from conjugacy._arrays import read_numbers, read_trials
from conjugacy._check import check_axes, check_finite, check_flag, check_number, check_numbers, shown

_SLACK = 1e-6  # of a step: rounding of times given in floats


@dataclass(frozen=True, eq=False)
class Signal:
    """A behavioural or other signal on the trials of a recording.

    Attributes
    ----------
    values : array (trial, sample, channel), float64
        Zero past the end of a trial.
    lengths : array (trial,), int64
        Number of samples of each trial.
    dt : float
        Seconds between samples.
    start : float
        Time (s) of the first sample, on the clock of the trial (0 is the event that trials are aligned to).
    circular : bool
        True for angles in rad: they are interpolated and averaged on the circle.
    """

    values: np.ndarray
    lengths: np.ndarray
    dt: float
    start: float = 0.0
    circular: bool = False

    def __post_init__(self):
        values = check_finite("values", read_numbers("values", self.values, "an array (trial, sample, channel)"))
        n, longest, _ = check_axes("values", values, "trial sample channel")
        lengths = check_numbers("lengths", self.lengths, n, 0, longest, hint="Samples of each trial.")
        if any(k != int(k) for k in lengths):
            raise ValueError(f"`lengths`: expected whole numbers of samples, got {shown(self.lengths)}.")
        check_number("dt", self.dt, 0, open_low=True, hint="It is the time between samples in seconds.")
        check_number("start", self.start)
        check_flag("circular", self.circular)

    @classmethod
    def of(cls, name: str, values: Any, *, dt: float, start: float = 0.0, circular: bool = False) -> Signal:
        """A signal from an array (trial, sample, channel) or (trial, sample), or a list of trials.

        Raises
        ------
        TypeError, ValueError
            If the array holds no finite real numbers, or `dt` is not positive. `name` is used in messages.
        """
        check_number(f"{name}.dt", dt, 0, open_low=True, hint="It is the time between samples in seconds.")
        check_number(f"{name}.start", start)
        check_flag(f"{name}.circular", circular)
        if isinstance(values, np.ndarray) and values.ndim == 2:
            values = values[..., None]
        x, lengths = read_trials(name, values)
        return cls(x.double().numpy(), lengths.numpy(), float(dt), float(start), circular)

    def at(self, times: np.ndarray) -> np.ndarray:
        """Values (trial, time, channel) at `times` (time,) in s, linearly interpolated; NaN outside the samples."""
        grid = (np.asarray(times, dtype=np.float64) - self.start) / self.dt
        out = np.full((len(self.values), len(grid), self.values.shape[2]), np.nan)
        for k, n in enumerate(self.lengths):
            inside = (grid >= -_SLACK) & (grid <= n - 1 + _SLACK)
            for c in range(self.values.shape[2]):
                samples = self.values[k, :n, c]
                samples = np.unwrap(samples) if self.circular else samples
                found = np.interp(grid[inside], np.arange(n), samples)
                out[k, inside, c] = np.mod(found, 2 * np.pi) if self.circular else found
        return out

    def trials(self, which: np.ndarray) -> Signal:
        """The signal on the trials picked by indices or a mask."""
        return replace(self, values=self.values[which], lengths=self.lengths[which])

    def between(self, low: float, high: float) -> Signal:
        """The samples from `low` up to, and without, `high` (s); trials may end earlier."""
        first = max(int(np.ceil((low - self.start) / self.dt - _SLACK)), 0)
        last = min(int(np.ceil((high - self.start) / self.dt - _SLACK)), self.values.shape[1])
        lengths = np.clip(self.lengths - first, 0, max(last - first, 0))
        return replace(self, values=self.values[:, first:last], lengths=lengths, start=self.start + first * self.dt)


@dataclass(frozen=True, eq=False)
class Truth:
    """What is behind a simulated recording, in its bins.

    Attributes
    ----------
    latents : array (trial, time, latent) or None
        States of the system whose activity was simulated.
    rates : array (trial, time, unit) or None
        Expected spikes per second of each unit.
    inputs : array (trial, time, input) or None
        What drove the system.
    """

    latents: np.ndarray | None = None
    rates: np.ndarray | None = None
    inputs: np.ndarray | None = None

    def __post_init__(self):
        for field in ("latents", "rates", "inputs"):
            x = getattr(self, field)
            if x is not None:
                x = read_numbers(field, x, "an array (trial, time, .)")
                check_axes(field, x, f"trial time {field.removesuffix('s')}")
                object.__setattr__(self, field, check_finite(field, x).numpy())

    def each(self, change: Callable[[np.ndarray], np.ndarray]) -> Truth:
        """The truth with `change` done to every array that is known."""
        known = {f: getattr(self, f) for f in ("latents", "rates", "inputs")}
        return Truth(**{f: None if x is None else change(x) for f, x in known.items()})

    def units(self, which: np.ndarray) -> Truth:
        """The truth of some of the units."""
        return self if self.rates is None else replace(self, rates=self.rates[..., which])


def read_behaviour(
    behaviour: Any, n_bins: int, lengths: np.ndarray, bin_size: float, start: float
) -> dict[str, Signal]:
    """Signals by name from what a user gives as `behaviour`.

    Parameters
    ----------
    behaviour : mapping of str to Signal or array, or None
        An array (trial, time) or (trial, time, channel) has one sample in the middle of each bin.
    n_bins : int
        Bins of the longest trial of the activity.
    lengths : array (trial,)
        Bins of each trial.
    bin_size, start : float
        Of the activity (s).

    Raises
    ------
    TypeError, ValueError
        If a signal is none, holds NaN, has other trials, or runs on another clock than the activity.
    """
    if behaviour is None:
        return {}
    if not isinstance(behaviour, Mapping):
        raise TypeError(
            f"`behaviour`: expected a dict of name to array (trial, time, channel) or Signal, got {shown(behaviour)}. "
            'Use {"hand": array}.'
        )
    signals = {}
    n_trials, ends = len(lengths), start + lengths * bin_size
    for name, given in behaviour.items():
        label = f"behaviour[{name!r}]"
        whole = isinstance(given, Signal)
        signal = given if whole else Signal.of(label, given, dt=bin_size, start=start + bin_size / 2)
        if len(signal.values) != n_trials:
            raise ValueError(f"`{label}`: expected {n_trials} trials as the activity has, got {len(signal.values)}.")
        if not whole and signal.values.shape[1] == n_bins:
            signal = replace(signal, lengths=np.minimum(signal.lengths, lengths))
        # the last sample stands for the time up to half a sample after it
        off = signal.start + (signal.lengths - 0.5) * signal.dt - ends
        k = int(np.argmax(np.abs(off)))
        if abs(off[k]) > max(bin_size, signal.dt) + _SLACK:
            hint = "Give Signal.of(name, values, dt=..., start=...) with its own sampling, or cut both to one window."
            raise ValueError(
                f"`{label}`: expected the clock of the activity, which ends trial {k} at {ends[k]:g} s, got one that "
                f"ends at {ends[k] + off[k]:g} s. {hint}"
            )
        if not np.isfinite(signal.values).all():
            raise ValueError(f"`{label}`: expected finite values, got NaN or infinite ones. Interpolate them.")
        signals[str(name)] = signal
    return signals

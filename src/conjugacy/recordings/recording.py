"""Recording: what was measured of a natural (or simulated) system, trial by trial, and all that was done to it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from conjugacy._check import check_choice, check_number, check_optional, check_options, check_text
from conjugacy.recordings.array_input import doubtful_units, fields_of_array
from conjugacy.recordings.nwb import read_session
from conjugacy.recordings.processing import Processing
from conjugacy.recordings.provenance import Step, milliseconds
from conjugacy.recordings.recording_file import read_recording, write_recording
from conjugacy.recordings.signal import Signal, Truth
from conjugacy.recordings.spike_times import count_spikes, read_spike_times, read_windows
from conjugacy.system import System


@dataclass(frozen=True, eq=False)
class Recording(Processing):
    """Activity of several units in trials.

    Make one with `from_counts`, `from_rates`, `from_spikes`, `from_calcium` or `from_nwb`; each step done to it
    (`smooth`, `average`, ...) returns a new one and is kept in `steps`.

    Attributes
    ----------
    name : str
        Its name in tables and figures.
    values : array (trial, time, unit), float64
        Activity; zero past the end of a trial.
    lengths : array (trial,), int64
        Bins of each trial.
    bin_size : float
        Bin width (s).
    kind : {"counts", "rates", "activity"}
        Spikes per bin, spikes per second, or anything else: calcium traces, roots of counts, normalised rates.
    start : float
        Time (s) at which the first bin begins; 0 is the event that trials are aligned to.
    conditions : array (trial,) or None
        Label of the condition of each trial.
    behaviour : dict of str to Signal
        What was measured beside the activity, each with its own sampling.
    units : tuple of str
        Labels of the units.
    regions : tuple of str or None
        Brain region of each unit.
    inputs : array (trial, time, input) or None
        What drove the system, where it is known.
    held_out : tuple of int
        Indices of the units kept from models, for scoring.
    standard_errors : array (trial, time, unit) or None
        Of averages; NaN where a mean is of a single trial. Later steps that do not carry it along drop it.
    n_averaged : array (trial,) or None
        Number of trials behind each average.
    smoothed_before : float
        Standard deviation (s) of the Gaussian that the activity had been smoothed with before it came here; 0: none.
        Noise anchors are smoothed alike.
    source : str
        How it was measured, in words.
    steps : tuple of Step
        What was done to it.
    truth : Truth or None
        Latents, rates and inputs behind it, where it was simulated.
    origin : Recording or None
        The recording before all `steps`; None if there are none.
    """

    name: str
    values: np.ndarray
    lengths: np.ndarray
    bin_size: float
    kind: str = "activity"
    start: float = 0.0
    conditions: np.ndarray | None = None
    behaviour: Mapping[str, Signal] = field(default_factory=dict)
    units: tuple[str, ...] = ()
    regions: tuple[str, ...] | None = None
    inputs: np.ndarray | None = None
    held_out: tuple[int, ...] = ()
    standard_errors: np.ndarray | None = None
    n_averaged: np.ndarray | None = None
    smoothed_before: float = 0.0
    source: str = ""
    steps: tuple[Step, ...] = ()
    truth: Truth | None = None
    origin: Self | None = None

    @classmethod
    def from_counts(cls, counts: Any, bin_size: float, **others: Any) -> Self:
        """A recording from spike counts.

        Parameters
        ----------
        counts : array (trial, time, unit), or a list of arrays (time_k, unit) of unequal lengths
            Spikes per bin: NumPy, torch, pandas (rows by trial and time), xarray (dimensions by name). Whole bins of
            NaN at the end of a trial are padding.
        bin_size : float
            Bin width (s).
        **others
            `lengths`, `conditions`, `behaviour` (dict of name to array with one sample a bin, or `Signal`), `units`,
            `regions`, `inputs`, `held_out`, `start`, `smoothed_before`, `truth`, `source`, `name`; see the attributes
            of the class.

        Raises
        ------
        TypeError, ValueError
            If counts are negative or no whole numbers, or something else does not fit.
        """
        check_options(others, "a recording", fields_of_array)
        return _checked(cls(**fields_of_array("counts", counts, bin_size, **others)))

    @classmethod
    def from_rates(cls, rates: Any, bin_size: float, **others: Any) -> Self:
        """A recording from firing rates (spikes per second, >= 0); arguments as those of `from_counts`."""
        check_options(others, "a recording", fields_of_array)
        return _checked(cls(**fields_of_array("rates", rates, bin_size, **others)))

    @classmethod
    def from_calcium(cls, traces: Any, bin_size: float, **others: Any) -> Self:
        """A recording from calcium traces (dF/F) or other activity of any sign; arguments as those of `from_counts`.

        `bin_size` is the time between frames (s). Traces are taken as they are: the indicator has smoothed them, which
        noise anchors do not know unless spikes were inferred before.
        """
        check_options(others, "a recording", fields_of_array)
        return _checked(cls(**fields_of_array("activity", traces, bin_size, **others)))

    @classmethod
    def from_spikes(
        cls,
        times: Any,
        events: Any,
        window: tuple[float, float],
        bin_size: float,
        *,
        ends: Any = None,
        support: tuple[float, float] | None = None,
        overlap: bool = False,
        **others: Any,
    ) -> Self:
        """A recording from spike times, cut into trials around events.

        Parameters
        ----------
        times : list of arrays, dict of label to array, or TsGroup of pynapple
            Spike times (s) of each unit, in increasing order.
        events : array (trial,)
            Times (s) that trials are aligned to.
        window : pair of float
            First and last time (s) of a trial from its event; with `ends`, the last one is counted from the end.
        bin_size : float
            Bin width (s), which has to divide the window; a spike on an edge belongs to the later bin.
        ends : array (trial,), optional
            Times (s) at which trials of unequal lengths end.
        support : pair of float, optional
            First and last time (s) of the recording. None: from the first spike to the last one, and windows may
            reach a second past them (or a bin, where bins are wider).
        overlap : bool
            Whether spikes may be counted in two trials whose windows overlap.
        **others
            As for `from_counts`; `units` default to the labels of `times`.

        Raises
        ------
        TypeError, ValueError
            If times are not in order, events are outside the recording, windows overlap or bins do not divide them.
        """
        spikes = read_spike_times(times)
        if support is None:
            ones = [t for t in spikes.times if len(t)]
            if not ones:
                raise ValueError("`times`: expected at least one spike, got none.")
            # a silent second at either end of a session is no gap in the recording
            slack = max(float(bin_size), 1.0)
            support = (min(t[0] for t in ones) - slack, max(t[-1] for t in ones) + slack)
        windows = read_windows(events, window, bin_size, ends, support=support, overlap=overlap)
        counts = count_spikes(spikes.times, windows, bin_size)
        others = {"units": spikes.units, "start": float(window[0]), "lengths": windows.lengths, **others}
        return cls.from_counts(counts, bin_size, **others)

    @classmethod
    def from_nwb(
        cls,
        path: str | os.PathLike,
        bin_size: float | None = None,
        *,
        table: str | None = "trials",
        align: str = "start_time",
        window: tuple[float, float] | None = None,
        ends: str | None = "stop_time",
        condition: str | None = None,
        behaviour: Sequence[str] = (),
        circular: Sequence[str] = (),
        region: str | None = None,
        rows: Any = None,
        overlap: bool = False,
        **others: Any,
    ) -> Self:
        """A recording from an NWB file; `recordings.nwb_contents(path)` says what a file holds.

        Parameters
        ----------
        path : path
        bin_size : float
            Bin width (s).
        table : str or None
            Table of intervals that has a row for each trial. None: the whole session is one trial.
        align : str
            Column of the table with the times (s) that trials are aligned to.
        window : pair of float, optional
            First and last time (s) of a trial from its event, for trials of equal lengths. None: trials last from
            `align` to `ends`.
        ends : str, optional
            Column with the times at which trials end, where `window` is None.
        condition : str, optional
            Column with the label of the condition.
        behaviour, circular : sequence of str
            Names of time series, and of those among them that are angles in rad.
        region : str, optional
            Column of the table of units with the region; None: the first that is there of location, brain_area,
            brain_region, region.
        rows : sequence of int, boolean mask, or function of the table that returns either, optional
            Trials to take.
        overlap, **others
            As `from_spikes`.

        Raises
        ------
        ImportError
            If pynwb is not installed (``pip install 'conjugacy[recordings]'``).
        OSError, ValueError
            If the file cannot be read, or something asked for is not there; messages name what is.
        """
        session = read_session(
            path,
            bin_size,
            table,
            align,
            window,
            ends,
            condition,
            tuple(behaviour),
            tuple(circular),
            region,
            rows,
            overlap,
        )
        options = {"name": Path(path).stem, **session.options, **others}
        return cls.from_spikes(session.times, session.events, session.window, session.bin_size, **options)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """The recording that `save` wrote; ValueError names a file that is none, or was changed."""
        fields, origin = read_recording(path)
        return cls(**fields, origin=None if origin is None else cls(**origin))

    def save(self, path: str | os.PathLike) -> None:
        """Write the recording, what it was before all steps, and the steps, to one npz file; OSError names the file."""
        write_recording(path, self, self.origin)

    def __post_init__(self):
        check_text("name", self.name)
        n, _, d = self.values.shape
        for label, given in (("units", self.units), ("regions", self.regions)):
            if given is not None and given != () and len(given) != d:
                raise ValueError(f"`{label}`: expected one for each of the {d} units, got {len(given)}.")
        if not self.units:
            object.__setattr__(self, "units", tuple(map(str, range(d))))
        if len(set(self.units)) < len(self.units):
            twice = next(u for u in self.units if self.units.count(u) > 1)
            raise ValueError(f"`units`: expected a different label for each unit, got {twice!r} more than once.")
        if self.conditions is not None and len(self.conditions) != n:
            raise ValueError(f"`conditions`: expected one for each of the {n} trials, got {len(self.conditions)}.")
        if self.inputs is not None and self.inputs.shape[:2] != self.values.shape[:2]:
            raise ValueError(
                f"`inputs`: expected the {self.values.shape[:2]} trials and bins of the activity, got "
                f"{self.inputs.shape[:2]}."
            )

    @property
    def n_trials(self) -> int:
        """Number of trials (or of averages)."""
        return self.values.shape[0]

    @property
    def n_units(self) -> int:
        """Number of units."""
        return self.values.shape[2]

    @property
    def times(self) -> np.ndarray:
        """Times (time,) of the middles of the bins (s)."""
        return self.start + (np.arange(self.values.shape[1]) + 0.5) * self.bin_size

    @property
    def valid(self) -> np.ndarray:
        """Boolean (trial, time): True where a bin belongs to its trial."""
        return np.arange(self.values.shape[1]) < self.lengths[:, None]

    @property
    def counts(self) -> np.ndarray:
        """Spikes (trial, time, unit) per bin; ValueError if the activity is no longer counts."""
        if self.kind != "counts":
            raise ValueError(f"`recording`: expected spike counts, got {self.kind} ({self.provenance}).")
        return self.values

    @property
    def rates(self) -> np.ndarray:
        """Spikes per second (trial, time, unit); ValueError if the activity is neither counts nor rates."""
        if self.kind == "activity":
            raise ValueError(f"`recording`: expected counts or rates, got other activity ({self.provenance}).")
        return self.values / self.bin_size if self.kind == "counts" else self.values

    @property
    def mean_rates(self) -> np.ndarray:
        """Mean spikes per second (unit,) over all trials."""
        return self.rates[self.valid].mean(0)

    @property
    def held_in(self) -> tuple[int, ...]:
        """Indices of the units that models may see."""
        return tuple(i for i in range(self.n_units) if i not in self.held_out)

    @property
    def provenance(self) -> str:
        """What it is and all that was done to it, in one line."""
        first = self.origin or self
        begin = f"{first.kind} in bins of {milliseconds(first.bin_size)}"
        if first.smoothed_before:
            begin += f", smoothed before (SD {milliseconds(first.smoothed_before)})"
        return "; ".join([*filter(None, [self.source]), begin, *(step.text for step in self.steps)])

    def replay(self, other: Recording) -> Recording:
        """The steps of this recording, done to another one."""
        for step in self.steps:
            other = getattr(other, step.method)(**step.settings)
        return other

    def behaviour_at(self, name: str, lag: float = 0.0) -> np.ndarray:
        """The behaviour `name` (trial, time, channel) at the middles of the bins, `lag` s later; NaN where unknown."""
        check_choice("name", name, self.behaviour)
        return self.behaviour[name].at(self.times + check_number("lag", lag))

    def system(self, name: str | None = None) -> System:
        """The recording as `dynamics` and `similarity` take it: its activity as trajectories."""
        check_optional("name", name, str)
        inputs = None if self.inputs is None else torch.from_numpy(np.ascontiguousarray(self.inputs))
        values = torch.from_numpy(np.ascontiguousarray(self.values))
        return System(name or self.name, values, inputs, torch.from_numpy(self.lengths), dt=self.bin_size)

    def __repr__(self) -> str:
        n, t, d = self.values.shape
        span = str(t) if (self.lengths == t).all() else f"{self.lengths.min()} to {t}"
        return f"Recording({self.name!r}: {n} trials x {span} bins x {d} units; {self.provenance})"


def _checked(recording: Any) -> Any:
    """The recording, after silent units and copies among its units were named in a warning."""
    rows = recording.values[recording.valid]
    for text in doubtful_units(rows, recording.units):
        warnings.warn(f"{recording.name}: {text}. They are kept; leave them out with select(units=...).", stacklevel=3)
    return recording

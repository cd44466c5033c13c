"""NWB files: what they hold, and the spikes, trials and behaviour asked for by name. Reading is pynwb's."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from conjugacy._check import check_choice, check_number
from conjugacy.recordings.signal import Signal
from conjugacy.recordings.spike_times import SpikeTimes, Windows, read_spike_times, read_windows

_REGION_COLUMNS = ("location", "brain_area", "brain_region", "region")
_LARGEST_GAP = 5.0  # of the usual sampling interval of a signal, over which it is interpolated


@dataclass(frozen=True)
class NWBContents:
    """What a file holds, by the names that `Recording.from_nwb` takes.

    Attributes
    ----------
    path, session : str
        The file, and what it says of the session.
    n_units, n_spikes : int
    unit_columns : tuple of str
        Columns of the table of units.
    tables : dict of str to DataFrame
        Tables of intervals: "trials", "epochs", ...
    signals : dict of str to tuple
        Name of each time series to (samples, channels, seconds between samples, first time, last time).
    """

    path: str
    session: str
    n_units: int
    n_spikes: int
    unit_columns: tuple[str, ...]
    tables: dict[str, pd.DataFrame]
    signals: dict[str, tuple[int, int, float, float, float]]

    def __str__(self) -> str:
        lines = [f"{Path(self.path).name}: {self.session}".rstrip(": ")]
        lines.append(
            f"  {self.n_units} units, {self.n_spikes} spikes; columns: {', '.join(self.unit_columns) or 'none'}"
        )
        for name, table in self.tables.items():
            lines.append(f'  table "{name}": {len(table)} rows; columns: {", ".join(map(str, table.columns))}')
        for name, (n, channels, dt, first, last) in self.signals.items():
            lines.append(f'  behaviour "{name}": {n} samples x {channels}, every {dt:g} s, {first:g} to {last:g} s')
        if not self.tables:
            lines.append("  no table of trials: use table=None for the whole session as one trial")
        return "\n".join(lines)


class NWBFile:
    """An open file, of which each part is read once, when asked for."""

    def __init__(self, path: str, file: Any):
        self.path, self._file = path, file

    def spikes(self) -> SpikeTimes:
        """Spike times of all units, by their ids."""
        if self._file.units is None or "spike_times" not in self._file.units.colnames:
            raise ValueError(f"{self.path}: expected a table of units with spike times, got none.")
        column = self._file.units["spike_times"]
        ends, flat = np.asarray(column.data[:], dtype=np.int64), np.asarray(column.target.data[:], dtype=np.float64)
        each = np.split(flat, ends[:-1])
        return read_spike_times(dict(zip(self.unit_labels(), each)))

    def unit_labels(self) -> list[str]:
        """The id of each unit."""
        return [str(i) for i in self._file.units.id[:]]

    def unit_columns(self) -> tuple[str, ...]:
        """Columns of the table of units."""
        return tuple(map(str, self._file.units.colnames)) if self._file.units is not None else ()

    def regions(self, column: str | None) -> list[str] | None:
        """The region of each unit, from a column of the table of units; None where there is none."""
        if column is not None:
            check_choice("region", column, self.unit_columns(), "It is a column of the table of units.")
        found = column or next((c for c in _REGION_COLUMNS if c in self.unit_columns()), None)
        return None if found is None else [str(r) for r in self._file.units[found][:]]

    def tables(self) -> dict[str, pd.DataFrame]:
        """Tables of intervals by name; trials is among them."""
        found = {} if self._file.trials is None else {"trials": self._file.trials}
        found |= dict(self._file.intervals.items()) if self._file.intervals else {}
        return {str(name): table.to_dataframe() for name, table in found.items()}

    def series(self) -> dict[str, Any]:
        """Time series by name; by "parent/name" where a name comes twice."""
        found = [o for o in self._file.objects.values() if hasattr(o, "timestamps") and hasattr(o, "data")]
        found = [o for o in found if getattr(o.data, "shape", None) and o.data.shape[0] > 1]
        names = [o.name for o in found]
        return {o.name if names.count(o.name) == 1 else f"{o.parent.name}/{o.name}": o for o in found}

    def sample_times(self, series: Any) -> np.ndarray:
        """Times (s) of the samples of a time series."""
        if series.timestamps is not None:
            return np.asarray(series.timestamps[:], dtype=np.float64)
        return float(series.starting_time or 0.0) + np.arange(series.data.shape[0]) / float(series.rate)

    def signal(self, name: str, windows: Windows, bin_size: float, start: float, circular: bool) -> Signal:
        """A time series cut into trials, interpolated to its usual sampling interval.

        ValueError if it does not cover the trials, or has gaps in them.
        """
        known = self.series()
        check_choice("behaviour", name, known, "See recordings.nwb_contents(path).")
        series = known[name]
        t, data = self.sample_times(series), np.asarray(series.data[:], dtype=np.float64)
        data = data.reshape(len(data), -1) * float(getattr(series, "conversion", 1.0) or 1.0)
        fine = np.isfinite(data).all(1) & np.isfinite(t)
        t, data = t[fine], data[fine]
        back = np.flatnonzero(np.diff(t) <= 0)
        if len(back):
            i = int(back[0])
            raise ValueError(f"`behaviour`: {name!r} has times that do not increase, {t[i + 1]:g} s after {t[i]:g} s.")
        dt = float(np.median(np.diff(t)))
        trials = []
        for k, (first, n) in enumerate(zip(windows.starts, windows.lengths)):
            grid = first + dt / 2 + dt * np.arange(max(round(n * bin_size / dt), 1))
            near = np.searchsorted(t, [grid[0] - _LARGEST_GAP * dt, grid[-1] + _LARGEST_GAP * dt])
            inside = t[near[0] : near[1]]
            wide = np.diff(np.concatenate([[grid[0]], inside[(inside > grid[0]) & (inside < grid[-1])], [grid[-1]]]))
            if not len(inside) or wide.max() > _LARGEST_GAP * dt:
                raise ValueError(
                    f"`behaviour`: expected {name!r} to cover each trial, got none of it for {wide.max():.3g} s of "
                    f"trial {k} ({grid[0]:g} to {grid[-1]:g} s; NaN are left out). Leave such trials out, with rows=..."
                )
            values = np.unwrap(data[near[0] : near[1]], axis=0) if circular else data[near[0] : near[1]]
            found = np.stack([np.interp(grid, inside, c) for c in values.T], -1)
            trials.append(np.mod(found, 2 * np.pi) if circular else found)
        return Signal.of(f"behaviour[{name!r}]", trials, dt=dt, start=start + dt / 2, circular=circular)

    def summary(self) -> str:
        """What the file holds, in one line."""
        c = self.contents()
        parts = [f"{c.n_units} units"]
        parts += [f'a table "{n}" with the columns {", ".join(map(str, t.columns))}' for n, t in c.tables.items()]
        parts += [f'behaviour "{n}"' for n in c.signals]
        return ", ".join(parts)

    def contents(self) -> NWBContents:
        """What the file holds."""
        signals = {}
        for name, series in self.series().items():
            t = self.sample_times(series)
            shape = series.data.shape
            signals[name] = (shape[0], int(np.prod(shape[1:])), float(np.median(np.diff(t))), float(t[0]), float(t[-1]))
        units = self._file.units
        spikes = units is not None and len(units) > 0 and "spike_times" in units.colnames
        n_spikes = int(units["spike_times"].data[-1]) if units is not None and spikes else 0
        n_units = 0 if units is None else len(units)
        session = " ".join(str(self._file.session_description or "").split())
        return NWBContents(self.path, session, n_units, n_spikes, self.unit_columns(), self.tables(), signals)


@contextmanager
def open_nwb(path: str | os.PathLike) -> Iterator[NWBFile]:
    """An NWB file, open for reading.

    Raises
    ------
    ImportError
        If pynwb is not installed.
    OSError, ValueError
        If there is no such file, or it is no NWB file; both name it.
    """
    try:
        pynwb = importlib.import_module("pynwb")
    except ImportError:
        text = "NWB files are read by pynwb, which is not installed. Use: pip install 'conjugacy[recordings]'."
        raise ImportError(text) from None
    text = os.fspath(path)
    if not os.path.isfile(text):
        raise FileNotFoundError(f"{text}: there is no such file.")
    with warnings.catch_warnings():
        # of older versions of the format and of names of extensions; what matters is checked when it is read
        warnings.simplefilter("ignore")
        try:
            io = pynwb.NWBHDF5IO(text, "r")
        except Exception as error:
            raise ValueError(
                f"{text}: expected an NWB file, got one that pynwb cannot open ({_short(error)})."
            ) from None
        try:
            try:
                file = io.read()
            except Exception as error:
                raise ValueError(
                    f"{text}: expected an NWB file, got one that pynwb cannot read ({_short(error)})."
                ) from None
            yield NWBFile(text, file)
        finally:
            io.close()


def nwb_contents(path: str | os.PathLike) -> NWBContents:
    """What an NWB file holds, by the names that `Recording.from_nwb` takes; print it. Errors as `open_nwb`."""
    with open_nwb(path) as file:
        return file.contents()


def chosen_rows(file: NWBFile, table: str, align: str, needed: Sequence[str], rows: Any) -> pd.DataFrame:
    """The rows of a table of intervals that are asked for, without those in which the event or a label is missing."""
    tables = file.tables()
    hint = "Use table=None for the whole session as one trial." if not tables else ""
    check_choice("table", table, tables, hint)
    frame = tables[table]
    for argument, column in (("align", align), *((c, c) for c in needed)):
        check_choice(argument, column, map(str, frame.columns), f"It is a column of the table {table!r}.")
    if rows is not None:
        picked = np.asarray(rows(frame) if callable(rows) else rows)
        frame = frame.iloc[np.flatnonzero(picked) if picked.dtype == bool else picked]
    fine = frame[[align, *needed]].notna().to_numpy().all(axis=1)
    if not fine.all():
        text = f"{int((~fine).sum())} of {len(frame)} rows of {table!r} lack {' or '.join([align, *needed])}: left out."
        warnings.warn(f"{Path(file.path).name}: {text}", stacklevel=4)
    if not fine.any():
        raise ValueError(f"`rows`: expected at least one row of {table!r}, got none.")
    return frame.iloc[np.flatnonzero(fine)]


class Session(NamedTuple):
    """What `Recording.from_spikes` takes, read from a file."""

    times: dict[str, np.ndarray]
    events: np.ndarray
    window: tuple[float, float]
    bin_size: float
    options: dict[str, Any]


def read_session(
    path: str | os.PathLike,
    bin_size: float | None,
    table: str | None,
    align: str,
    window: tuple[float, float] | None,
    ends: str | None,
    condition: str | None,
    behaviour: Sequence[str],
    circular: Sequence[str],
    region: str | None,
    rows: Any,
    overlap: bool,
) -> Session:
    """Spikes, trials and behaviour of an NWB file; arguments and errors are those of `Recording.from_nwb`."""
    with open_nwb(path) as file:
        if bin_size is None:
            raise ValueError(f"`bin_size`: expected a bin width in s, got None. The file holds {file.summary()}.")
        check_number("bin_size", bin_size, 0, open_low=True, hint="It is the width of a bin in seconds.")
        spikes = file.spikes()
        options: dict[str, Any] = {"source": Path(path).name, "overlap": overlap}
        if table is None:
            first = min((t[0] for t in spikes.times if len(t)), default=0.0)
            last = max((t[-1] for t in spikes.times if len(t)), default=0.0)
            events, window = np.array([first]), (0.0, bin_size * (np.floor((last - first) / bin_size) + 1))
        else:
            if window is None and ends is None:
                raise ValueError("`window`: expected a window, or a column of `ends`, got neither.")
            needed = [c for c in (condition, ends if window is None else None) if c is not None]
            frame = chosen_rows(file, table, align, needed, rows)
            events = frame[align].to_numpy(dtype=float)
            options["conditions"] = None if condition is None else frame[condition].to_numpy()
            if window is None:
                options["ends"], window = frame[ends].to_numpy(dtype=float), (0.0, 0.0)
        windows = read_windows(events, window, bin_size, options.get("ends"), overlap=overlap)
        start = float(window[0])
        options["behaviour"] = {n: file.signal(n, windows, bin_size, start, n in circular) for n in behaviour}
        options["regions"] = file.regions(region)
        return Session(dict(zip(spikes.units, spikes.times)), events, window, bin_size, options)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

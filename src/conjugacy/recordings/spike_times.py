"""Spike times cut into trials around events, and counted in bins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from conjugacy._check import check_flag, check_number, check_numbers, shown

_SLACK = 1e-6  # of a bin: rounding of times given in floats


class SpikeTimes(NamedTuple):
    """Spike times of several units, each sorted, and what they are called."""

    times: list[np.ndarray]
    units: tuple[str, ...]


def read_spike_times(times: Any) -> SpikeTimes:
    """Spike times by unit, from a list of arrays, a mapping of label to array, or a TsGroup of pynapple.

    Raises
    ------
    TypeError, ValueError
        If there is no unit, or the times of a unit are not finite numbers in increasing order.
    """
    if hasattr(times, "items") and hasattr(times, "index"):  # a TsGroup, or a Series of arrays
        times = {label: unit for label, unit in times.items()}
    labelled = isinstance(times, Mapping)
    if not labelled and (isinstance(times, str | bytes) or not isinstance(times, Sequence | np.ndarray)):
        raise TypeError(
            f"`times`: expected one array of spike times (s) for each unit, as a list or a dict, got {shown(times)}."
        )
    labels = [str(u) for u in (times if labelled else range(len(times)))]
    units = list(times.values()) if labelled else list(times)
    if not units:
        raise ValueError("`times`: expected the spike times of at least one unit, got none.")
    found = []
    for label, unit in zip(labels, units):
        try:
            t = np.asarray(getattr(unit, "t", unit), dtype=np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"`times`: expected spike times in s of unit {label}, got {shown(unit)}.") from None
        if t.ndim != 1:
            hint = "Give one array for each unit: [times]." if t.ndim == 0 else "Give one array for each unit."
            raise ValueError(f"`times`: expected spike times (spike,) of unit {label}, got {shown(unit)}. {hint}")
        if not np.isfinite(t).all():
            raise ValueError(
                f"`times`: expected finite times, got {int((~np.isfinite(t)).sum())} that are not in {label}."
            )
        back = np.flatnonzero(np.diff(t) < 0)
        if len(back):
            i = int(back[0])
            raise ValueError(
                f"`times`: expected times in increasing order, got {t[i + 1]:g} s after {t[i]:g} s in unit {label}. "
                "Sort them: np.sort(t)."
            )
        found.append(t)
    return SpikeTimes(found, tuple(labels))


class Windows(NamedTuple):
    """Where trials begin (s) and how many bins each of them has."""

    starts: np.ndarray
    lengths: np.ndarray


def read_windows(
    events: Any,
    window: Any,
    bin_size: float,
    ends: Any = None,
    *,
    support: tuple[float, float] | None = None,
    overlap: bool = False,
) -> Windows:
    """Trials around events.

    Parameters
    ----------
    events : array (trial,)
        Times (s) that trials are aligned to.
    window : pair of float
        First and last time (s) of a trial, counted from its event; with `ends`, the last one is counted from the end.
    bin_size : float
        Bin width (s). Without `ends` it has to divide the window.
    ends : array (trial,), optional
        Times (s) at which trials end, for trials of unequal lengths; what is left of a bin at the end is dropped.
    support : pair of float, optional
        First and last time (s) of the recording.
    overlap : bool
        Whether windows may overlap, so that spikes are counted in two trials.

    Raises
    ------
    TypeError, ValueError
        If an event is no finite time or outside the recording, bins do not divide the window, or windows overlap.
    """
    bin_size = check_number("bin_size", bin_size, 0, open_low=True, hint="It is the width of a bin in seconds.")
    before, after = check_numbers("window", window, 2, wanted="a pair (first, last) of times in s from the event")
    check_flag("overlap", overlap)
    at = np.array(check_numbers("events", getattr(events, "t", events), hint="They are times in s."))
    if ends is None:
        if after <= before:
            raise ValueError(f"`window`: expected first < last, got ({before:g}, {after:g}).")
        n = (after - before) / bin_size
        if abs(n - round(n)) > 1e-4 or round(n) < 1:
            fit = max(int(n), 1)
            raise ValueError(
                f"`bin_size`: expected a width that divides the window of {after - before:g} s, got {bin_size:g} s "
                f"({n:.4g} bins). Use window=({before:g}, {before + fit * bin_size:g}) or bin_size="
                f"{(after - before) / max(round(n), 1):.6g}."
            )
        lengths = np.full(len(at), round(n), dtype=np.int64)
    else:
        stop = np.array(check_numbers("ends", ends, len(at), hint="They are times in s, one for each event."))
        lengths = np.floor((stop + after - at - before) / bin_size + 1e-6).astype(np.int64)
        if (lengths < 1).any():
            k = int(np.argmax(lengths < 1))
            raise ValueError(
                f"`ends`: expected each trial to hold at least one bin of {bin_size:g} s, got trial {k} from "
                f"{at[k] + before:g} to {stop[k] + after:g} s."
            )
    starts = at + before
    stops = starts + lengths * bin_size
    if support is not None:
        low, high = check_numbers("support", support, 2, wanted="a pair (first, last) of times in s")
        outside = np.flatnonzero((starts < low - _SLACK) | (stops > high + _SLACK))
        if len(outside):
            k = int(outside[0])
            raise ValueError(
                f"`events`: expected windows inside the recording, {low:g} to {high:g} s, got {len(outside)} that are "
                f"not, the first of trial {k}, {starts[k]:g} to {stops[k]:g} s. Leave them out, or shorten the window."
            )
    order = np.argsort(starts, kind="stable")
    shared = np.flatnonzero(starts[order][1:] < stops[order][:-1] - _SLACK * bin_size)
    if len(shared) and not overlap:
        first, second = (int(k) for k in order[shared[0] : shared[0] + 2])
        raise ValueError(
            f"`window`: expected windows that do not overlap, got {len(shared)} that do, the first of trials {first} "
            f"and {second}. Shorten the window, or give overlap=True to count spikes in both."
        )
    return Windows(starts, lengths)


def count_spikes(times: Sequence[np.ndarray], windows: Windows, bin_size: float) -> np.ndarray:
    """Spikes (trial, time, unit) in the bins of each window; a spike on an edge belongs to the later bin."""
    n_bins = int(windows.lengths.max())
    out = np.zeros((len(windows.starts), n_bins, len(times)), dtype=np.float32)
    stops = windows.starts + windows.lengths * bin_size
    for u, t in enumerate(times):
        first, last = np.searchsorted(t, windows.starts - _SLACK * bin_size), np.searchsorted(t, stops)
        n = last - first
        trial = np.repeat(np.arange(len(n)), n)
        spike = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n) + np.repeat(first, n)
        place = np.floor((t[spike] - windows.starts[trial]) / bin_size + _SLACK).astype(np.int64)
        fits = place < windows.lengths[trial]
        flat = trial[fits] * n_bins + np.maximum(place[fits], 0)
        out[:, :, u] = np.bincount(flat, minlength=len(n) * n_bins).reshape(len(n), n_bins)
    return out

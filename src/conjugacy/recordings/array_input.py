"""Activity that comes as an array, with what belongs to it: read, checked, turned into fields of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from conjugacy._arrays import read_trials
from conjugacy._check import check_int, check_number, check_numbers, shown
from conjugacy.recordings.signal import Truth, read_behaviour

_NAMED = 8  # units named in a message


def fields_of_array(
    kind: str,
    data: Any,
    bin_size: float,
    *,
    name: str = "recording",
    lengths: Any = None,
    conditions: Any = None,
    behaviour: Any = None,
    units: Sequence[Any] | None = None,
    regions: Sequence[Any] | None = None,
    inputs: Any = None,
    held_out: Sequence[int] = (),
    start: float = 0.0,
    truth: Truth | None = None,
    smoothed_before: float = 0.0,
    source: str = "",
) -> dict[str, Any]:
    """The fields of a `Recording` from an array of activity, checked; `kind` is "counts", "rates" or "activity"."""
    bin_size = check_number("bin_size", bin_size, 0, open_low=True, hint="It is the width of a bin in seconds.")
    start = check_number("start", start)
    x, found = read_trials(kind, data)
    # a copy, since what is given may be changed later
    values, found = np.array(x.numpy(), dtype=np.float64), np.asarray(found, dtype=np.int64)
    if 0 in values.shape:
        raise ValueError(f"`{kind}`: expected at least one trial, one bin and one unit, got {values.shape}.")
    if lengths is not None:
        wanted = check_numbers("lengths", lengths, len(values), 1, values.shape[1], hint="They are numbers of bins.")
        found = np.minimum(found, np.array(wanted, dtype=np.int64))
        values[np.arange(values.shape[1]) >= found[:, None]] = 0.0
    if kind != "activity" and (values < 0).any():
        hint = "Use from_calcium for activity of any sign."
        raise ValueError(f"`{kind}`: expected values >= 0, got {int((values < 0).sum())} negative ones. {hint}")
    if kind == "counts" and (values != np.round(values)).any():
        odd = values[values != np.round(values)][0]
        raise ValueError(f"`counts`: expected whole numbers, got {odd:g}. Use from_rates for spikes per second.")
    u = None if inputs is None else np.array(read_trials("inputs", inputs, "input")[0].numpy(), dtype=np.float64)
    signals = read_behaviour(behaviour, values.shape[1], found, bin_size, start)
    out = sorted({check_int("held_out", i, 0, values.shape[2] - 1) for i in held_out})
    return {
        "name": name,
        "values": values,
        "lengths": found,
        "bin_size": bin_size,
        "kind": kind,
        "start": start,
        "conditions": None if conditions is None else _labels("conditions", conditions, len(values)),
        "behaviour": signals,
        "units": tuple(map(str, units)) if units is not None else (),
        "regions": tuple(map(str, regions)) if regions is not None else None,
        "inputs": u,
        "held_out": tuple(out),
        "smoothed_before": check_number("smoothed_before", smoothed_before, 0),
        "source": source,
        "truth": truth,
    }


def _labels(name: str, labels: Any, n: int) -> np.ndarray:
    if isinstance(labels, str | bytes) or not hasattr(labels, "__len__"):
        raise TypeError(f"`{name}`: expected a label for each of the {n} trials, got {shown(labels)}.")
    found = np.asarray(labels)
    if found.dtype == object:
        found = np.array([str(label) for label in labels])
    if found.ndim != 1 or len(found) != n:
        raise ValueError(f"`{name}`: expected a label for each of the {n} trials, got {shown(labels)}.")
    if found.dtype.kind == "f" and np.isnan(found).any():
        raise ValueError(f"`{name}`: expected labels, got NaN for trial {int(np.argmax(np.isnan(found)))}.")
    return found


def doubtful_units(rows: np.ndarray, units: Sequence[str]) -> list[str]:
    """What is to be said of units that never change, and of copies of others, from all bins (bin, unit)."""
    silent = np.flatnonzero(np.ptp(rows, axis=0) == 0)
    seen: dict[bytes, int] = {}
    copies = []
    for i in np.setdiff1d(np.arange(rows.shape[1]), silent):
        first = seen.setdefault(np.ascontiguousarray(rows[:, i]).tobytes(), int(i))
        if first != i:
            copies.append(f"{units[i]} (as {units[first]})")
    texts = []
    for what, which in (("never change", [units[int(i)] for i in silent]), ("are copies of others", copies)):
        if which:
            more = f" and {len(which) - _NAMED} more" if len(which) > _NAMED else ""
            texts.append(f"{len(which)} of {rows.shape[1]} units {what}: {', '.join(which[:_NAMED])}{more}")
    return texts

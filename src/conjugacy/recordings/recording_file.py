"""A recording in one npz file: its arrays, its labels, its steps, and what it was before them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from conjugacy._files import read_file, write_file
from conjugacy._npz import not_readable, npz_bytes, npz_content
from conjugacy.recordings.provenance import Step
from conjugacy.recordings.signal import Signal, Truth

_FORMAT = "conjugacy recording 1"
_ARRAYS = ("values", "lengths", "conditions", "inputs", "standard_errors", "n_averaged")
_PLAIN = ("name", "bin_size", "kind", "start", "units", "regions", "held_out", "smoothed_before", "source")


def write_recording(path: str | os.PathLike, recording: Any, origin: Any) -> None:
    """Write a recording and, unless it is None, what it was before its steps."""
    write_file(path, recording_bytes(recording, origin))


def recording_bytes(recording: Any, origin: Any) -> bytes:
    """The content of the file that `write_recording` writes."""
    arrays: dict[str, np.ndarray] = {}
    meta: dict[str, Any] = {"format": _FORMAT, "parts": []}
    for part, r in (("recording", recording), ("origin", origin)):
        if r is None:
            continue
        meta["parts"].append(part)
        meta[part] = {f: list(v) if isinstance(v := getattr(r, f), tuple) else v for f in _PLAIN}
        meta[part]["steps"] = [step.plain() for step in r.steps]
        meta[part]["behaviour"] = {n: [s.dt, s.start, s.circular] for n, s in r.behaviour.items()}
        arrays |= {f"{part}/{f}": getattr(r, f) for f in _ARRAYS if getattr(r, f) is not None}
        for i, s in enumerate(r.behaviour.values()):
            arrays |= {f"{part}/behaviour/{i}/values": s.values, f"{part}/behaviour/{i}/lengths": s.lengths}
        if r.truth is not None:
            known = {f: getattr(r.truth, f) for f in ("latents", "rates", "inputs")}
            arrays |= {f"{part}/truth/{f}": x for f, x in known.items() if x is not None}
    return npz_bytes(arrays, meta)


def read_recording(path: str | os.PathLike, data: bytes | None = None) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The fields of a recording, and of what it was before its steps, as `write_recording` wrote them.

    `data` is the content of the file, where it has been read.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read or holds no recording; both name it.
    """
    arrays, meta = npz_content(path, read_file(path) if data is None else data)
    if meta.get("format") != _FORMAT:
        raise ValueError(f"{os.fspath(path)}: expected a recording, got a file of another kind.")
    try:
        parts = {part: _fields(part, arrays, meta[part]) for part in meta["parts"]}
        return parts["recording"], parts.get("origin")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise not_readable(path, error) from None


def _fields(part: str, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> dict[str, Any]:
    fields = {f: tuple(v) if isinstance(v := meta[f], list) else v for f in _PLAIN}
    fields |= {f: arrays[f"{part}/{f}"] for f in _ARRAYS if f"{part}/{f}" in arrays}
    fields["steps"] = tuple(Step(s["method"], s["settings"], s["text"]) for s in meta["steps"])
    fields["behaviour"] = {
        name: Signal(
            arrays[f"{part}/behaviour/{i}/values"],
            arrays[f"{part}/behaviour/{i}/lengths"],
            float(dt),
            float(start),
            bool(circular),
        )
        for i, (name, (dt, start, circular)) in enumerate(meta["behaviour"].items())
    }
    known = {f: arrays[f"{part}/truth/{f}"] for f in ("latents", "rates", "inputs") if f"{part}/truth/{f}" in arrays}
    fields["truth"] = Truth(**known) if known else None
    return fields

"""Fixed points on disk: one npz file of numbers and strings, no pickle; fields that it lacks take their defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from os import PathLike
from typing import Any

import numpy as np
import torch

from conjugacy._npz import not_readable, read_npz, write_npz
from conjugacy.dynamics.audit import SearchRecord
from conjugacy.dynamics.cycles import Cycle
from conjugacy.dynamics.plateaus import Plateau
from conjugacy.dynamics.points_arrays import AXES, KINDS, LATER, TEXT, check_shapes

_FORMAT = 1
_SIMPLE = ("flow", "dt", "asked_horizon", "scale", "reach")


def write(path: str | PathLike, values: Mapping[str, Any]) -> None:
    """Write the fields of FixedPoints, but for its dynamics, whole or not at all."""
    arrays = {k: v for k, v in values.items() if isinstance(v, np.ndarray)}
    arrays |= {name: arrays[name].astype(str if len(arrays[name]) else "U1") for name in TEXT}
    meta: dict[str, Any] = {"format": _FORMAT, "record": asdict(values["record"])}
    meta |= {name: values[name] for name in _SIMPLE}
    for k, cycle in enumerate(values["cycles"]):
        arrays |= {f"cycle{k}_{name}": np.asarray(value) for name, value in asdict(cycle).items()}
    meta["n_cycles"] = len(values["cycles"])
    meta["plateaus"] = []
    for k, plateau in enumerate(values["plateaus"]):
        arrays |= {f"plateau{k}_states": plateau.states.numpy(), f"plateau{k}_readout": plateau.readout.numpy()}
        numbers = {f.name: getattr(plateau, f.name) for f in fields(plateau) if f.name not in ("states", "readout")}
        meta["plateaus"].append(numbers)
    meta["walls"] = [list(wall) for wall in values["walls"]]
    write_npz(path, arrays, meta)


def read(path: str | PathLike) -> dict[str, Any]:
    """The fields that `write` wrote.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no such file, was changed since, or is of a format that this version does not know.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"`path`: {os.fspath(path)} does not exist. Give the npz file that save() wrote.")
    arrays, meta = read_npz(path)
    if isinstance(meta.get("format"), int) and meta["format"] > _FORMAT:
        raise ValueError(f"{path}: expected format {_FORMAT}, got {meta['format']}. Update conjugacy.")
    try:
        return _fields(arrays, meta)
    except Exception as error:
        raise not_readable(path, error) from None


def _fields(arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> dict[str, Any]:
    if meta["format"] != _FORMAT:
        raise ValueError(f"no file of fixed points in format {_FORMAT}")
    cycles = tuple(
        Cycle.from_arrays({f.name: arrays.pop(key) for f in fields(Cycle) if (key := f"cycle{k}_{f.name}") in arrays})
        for k in range(meta["n_cycles"])
    )
    plateaus = tuple(
        Plateau(
            states=torch.from_numpy(arrays.pop(f"plateau{k}_states")),
            readout=torch.from_numpy(arrays.pop(f"plateau{k}_readout")),
            **numbers,
        )
        for k, numbers in enumerate(meta.get("plateaus", []))
    )
    _check_arrays(arrays)
    kept: dict[str, Any] = {**arrays}
    kept |= {name: meta[name] for name in _SIMPLE if name in meta}
    record = SearchRecord(**{**meta["record"], "sample": tuple(meta["record"]["sample"])})
    walls = tuple((int(a), int(b), int(n)) for a, b, n in meta.get("walls", []))
    return {**kept, "cycles": cycles, "plateaus": plateaus, "walls": walls, "record": record}


def _check_arrays(arrays: dict[str, np.ndarray]) -> None:
    for name in [*AXES, *(name for name in LATER if name in arrays)]:
        if name not in arrays:
            raise ValueError(f"`{name}` is missing")
        if arrays[name].dtype.kind != KINDS.get(name, "f"):
            raise ValueError(f"`{name}` has type {arrays[name].dtype}")
    check_shapes(arrays)

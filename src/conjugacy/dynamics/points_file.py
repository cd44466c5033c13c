"""Fixed points on disk: one npz file of numbers and strings, no pickle. Fields that a file lacks are left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from os import PathLike
from typing import Any

import numpy as np
import torch

from conjugacy.dynamics.audit import SearchRecord
from conjugacy.dynamics.cycles import Cycle
from conjugacy.dynamics.plateaus import Plateau

_FORMAT = 1
_TEXT = ("kind", "certificate", "sides")
_SIMPLE = ("flow", "dt", "asked_horizon", "scale", "reach", "walls")


def write(path: str | PathLike, values: Mapping[str, Any]) -> None:
    """Write the fields of FixedPoints, but for its dynamics."""
    arrays = {k: np.asarray(v) for k, v in values.items() if isinstance(v, (torch.Tensor, np.ndarray))}
    arrays |= {name: arrays[name].astype(str) for name in _TEXT}
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
    arrays["meta"] = np.array(json.dumps(meta))
    with open(path, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read(path: str | PathLike) -> dict[str, Any]:
    """The fields that `write` wrote.

    Raises
    ------
    ValueError
        If the file is of a format that this version does not know.
    """
    with np.load(path, allow_pickle=False) as data:
        arrays = {key: data[key] for key in data.files}
    meta = json.loads(str(arrays.pop("meta")))
    if meta["format"] != _FORMAT:
        raise ValueError(f"`path`: expected format {_FORMAT}, got {meta['format']} in {path}. Update conjugacy.")
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
    kept: dict[str, Any] = {name: a if name in _TEXT else torch.from_numpy(a) for name, a in arrays.items()}
    kept |= {name: meta[name] for name in _SIMPLE if name in meta}
    kept["walls"] = tuple(tuple(wall) for wall in meta.get("walls", ()))
    record = SearchRecord(**{**meta["record"], "sample": tuple(meta["record"]["sample"])})
    return {**kept, "cycles": cycles, "plateaus": plateaus, "record": record}

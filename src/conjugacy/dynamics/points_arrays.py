"""The arrays of FixedPoints: the axes and the type of each, and how it is made from tensors, arrays and lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from conjugacy._check import shown
from conjugacy.dynamics.shared_array import SharedArray

# the axes of each array: P points, D states, I inputs
AXES = {
    "x": "PD", "u": "PI", "q": "P", "kind": "P", "jacobian": "PDD", "input_jacobian": "PDI", "eigenvalues": "PD",
    "n_unstable": "P", "index": "P", "certificate": "P", "radius": "P", "error": "P", "isolated": "P", "hits": "P",
    "horizon": "P",
}  # fmt: skip
# fields of later versions, which older files lack
LATER = {"n_neutral": "P", "n_ambiguous": "P", "distance": "P", "reached": "P", "node": "P", "sides": "P"}
# fmt: off
KINDS = {"n_unstable": "i", "index": "i", "hits": "i", "isolated": "b", "eigenvalues": "c", "kind": "U",
         "certificate": "U", "n_neutral": "i", "n_ambiguous": "i", "reached": "b", "node": "i", "sides": "U"}
# fmt: on
TEXT = tuple(name for name, kind in KINDS.items() if kind == "U")
_TYPES: dict[str, Any] = {"f": np.float64, "i": np.int64, "b": np.bool_, "c": np.complex128, "U": np.str_}
_NAMES = {"P": "point", "D": "unit", "I": "input"}


def as_array(name: str, value: Any) -> np.ndarray:
    """The field `name` as an array of its type that torch can share: contiguous and writable; no copy if it is one."""
    kind = KINDS.get(name, "f")
    try:
        array = value.numpy(force=True) if isinstance(value, torch.Tensor) else np.asarray(value)
        if kind == "U":
            return array if array.dtype.kind == "U" else array.astype(_TYPES[kind])
        return np.require(array, _TYPES[kind], ["C", "W"]).view(SharedArray)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"`{name}`: expected an array ({_words(name)}), got {shown(value)}.") from None


def check_shapes(arrays: Mapping[str, np.ndarray]) -> None:
    """See that the arrays have their axes, of the same lengths."""
    sizes: dict[str, int] = {}
    for name, axes in {**AXES, **LATER}.items():
        if name not in arrays:
            continue
        shape = arrays[name].shape
        if len(shape) != len(axes) or any(sizes.setdefault(axis, n) != n for axis, n in zip(axes, shape)):
            known = ", ".join(f"{_NAMES[axis]}={sizes[axis]}" if axis in sizes else _NAMES[axis] for axis in axes)
            raise ValueError(f"`{name}`: expected shape ({known}), got {shape}.")


def unknown(n: int) -> dict[str, np.ndarray]:
    """What older files, and searches without a horizon, do not know of `n` points."""
    return {
        "n_neutral": np.zeros(n, dtype=np.int64),
        "n_ambiguous": np.zeros(n, dtype=np.int64),
        "distance": np.full(n, np.nan),
        "reached": np.ones(n, dtype=bool),
        "node": np.full(n, -1, dtype=np.int64),
        "sides": np.full(n, "", dtype="U1"),
    }


def rows_of(which: Any, n: int) -> np.ndarray:
    """The numbers of the points, of `n`, that a slice, a boolean mask, indices or one index select."""
    wanted = "`which`: expected an index, indices, a boolean mask (point,) or a slice"
    try:
        if isinstance(which, slice):
            return np.arange(n)[which]
        index = which.numpy(force=True) if isinstance(which, torch.Tensor) else np.asarray(which)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{wanted}, got {shown(which)}.") from None
    if index.shape == (0,):
        return np.zeros(0, dtype=np.int64)
    if index.dtype.kind not in "iub" or index.ndim > 1 or (index.dtype.kind == "b" and index.ndim == 0):
        raise TypeError(f"{wanted}, got {shown(which)}.")
    try:
        return np.atleast_1d(np.arange(n)[index])
    except IndexError:
        raise IndexError(f"{wanted}, of {n} points, got {shown(which)}.") from None


def _words(name: str) -> str:
    return ", ".join(_NAMES[axis] for axis in {**AXES, **LATER}[name])

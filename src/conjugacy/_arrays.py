"""Trials out of arrays of any make: NumPy, torch, masked, xarray, pandas, MATLAB cells and lists of trials.

What an array says of itself counts: named dimensions are put into order, masked and NaN steps at the end of a trial are
padding, and what is missing inside a trial is an error that names the place. Nothing that is given is written to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_axes, check_finite, shown

_NAMES = {
    "trial": "trial trials repetition repetitions rep repeat epoch epochs batch condition conditions sweep block",
    "time": "time times t step steps timestep timesteps time_step time_steps timepoint timepoints bin bins time_bin"
    " frame frames sample samples",
    "unit": "unit units neuron neurons cell cells channel channels latent latents feature features state states neuroid"
    " dim component components pc factor factors unit_id neuron_id roi electrode",
    "input": "input inputs u stimulus stimuli channel channels feature features dim input_channel",
}
_SINGLE = "For a single trial, add the first axis: x[None]."


def read_trials(name: str, data: Any, last: str = "unit") -> tuple[Tensor, Tensor]:
    """Trials as one tensor (trial, time, `last`), zero past the end of a trial, and the lengths (trial,) of trials.

    Parameters
    ----------
    name : str
        Name of the argument, for messages.
    data : array (trial, time, last), or a sequence or object array of arrays (time_k, last)
        NumPy, torch, xarray (dimensions by name), pandas (rows by trial and time), masked or plain; one-dimensional
        trials of unequal lengths have one unit. Floats keep their precision, all else becomes float64.
    last : {"unit", "input"}
        Name of the last axis.

    Raises
    ------
    TypeError
        For what is no array of real numbers.
    ValueError
        For other axes, for values that are missing inside a trial, and for infinite ones.
    """
    data = _without_labels(name, data, last)
    cells = _cells(data)
    if cells is not None:
        x, lengths, padded = _padded(name, cells, last)
    else:
        x = _tensor(name, data)
        hint = _SINGLE if x.ndim else ""
        if x.ndim == 2 and not isinstance(data, Tensor) and isinstance(data, Sequence):
            hint = f"{_SINGLE} For trials of a single {last}, add the last one: x[..., None]."
        check_axes(name, x, f"trial time {last}", hint)
        lengths, padded = torch.full((x.shape[0],), x.shape[1]), False
    if 0 in x.shape[:2]:
        return x, lengths
    return _without_padding(name, x, lengths, padded)


def read_numbers(name: str, value: Any, what: str) -> Tensor:
    """Real numbers of any make as a float64 tensor on the CPU, a copy; Python floats keep all their digits.

    Parameters
    ----------
    name : str
        Name of the argument, for messages.
    value : number or array
    what : str
        What is expected, for messages: "a number or a vector of numbers".
    """
    try:
        x = _tensor(name, value)
    except TypeError:
        raise TypeError(f"`{name}`: expected {what}, got {shown(value)}.") from None
    return x.detach().to(torch.float64, copy=True)


def _tensor(name: str, data: Any) -> Tensor:
    """`data` as a tensor of floats on the CPU; NaN where it is masked."""
    if isinstance(data, Tensor):
        x = data.detach().cpu()
        x = x.to_dense() if x.layout != torch.strided else x
    else:
        x = torch.from_numpy(_array(name, data))
    if x.is_complex():
        raise TypeError(f"`{name}`: expected real numbers, got {x.dtype}.")
    return x if x.is_floating_point() else x.double()


def _array(name: str, data: Any) -> np.ndarray[Any, Any]:
    """`data` as an array that torch takes: floats of this machine, writable, without negative strides."""
    if isinstance(data, (str, bytes, Mapping)) or data is None or callable(data):
        keys = (
            f" with the keys {', '.join(map(str, list(data)[:8]))}: name one of them"
            if isinstance(data, Mapping)
            else ""
        )
        raise TypeError(f"`{name}`: expected an array of numbers, got {type(data).__name__} {shown(data)}{keys}.")
    masked = isinstance(data, np.ma.MaskedArray)
    x: Any
    try:
        x = np.asanyarray(data) if masked else np.asarray(data)
        if x.dtype.names is not None:
            fields = ", ".join(x.dtype.names)
            raise TypeError(f"a structure with the fields {fields}: name one of them, x['{x.dtype.names[0]}']")
        if x.dtype.kind not in "fciub" or (x.dtype.kind == "c" and x.dtype.itemsize > 16):
            if x.dtype.kind != "O":
                raise TypeError(f"values of dtype {x.dtype}")
            complex_too = any(isinstance(v, complex) for v in x.reshape(-1)[:1000].tolist())
            x = x.astype(np.complex128 if complex_too else np.float64)
        elif x.dtype.kind in "iub" or (x.dtype.kind == "f" and x.dtype.itemsize > 8):
            x = x.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"`{name}`: expected an array of numbers, got {type(data).__name__} ({error}).") from None
    if masked:
        missing = np.ma.getmaskarray(x)
        x = x.filled(np.nan) if missing.any() else x.data
    if not x.dtype.isnative:
        x = x.astype(x.dtype.newbyteorder("="))
    # torch warns of arrays that may not be written to, and has no negative strides
    if not x.flags.writeable or any(s < 0 for s in x.strides):
        x = np.array(x, copy=True, order="C")
    return x


def _cells(data: Any) -> list[Any] | None:
    """The trials of a sequence of trials, or None where `data` is one array."""
    if isinstance(data, np.ndarray) and data.dtype == object:
        # a cell array of MATLAB: (1, n) or (n, 1) arrays, perhaps boxed once more
        cells = [_unboxed(x) for x in data.reshape(-1)]
        if data.ndim <= 2 and max(data.shape, default=0) == data.size and all(map(_is_array, cells)):
            return cells
        return None
    if not isinstance(data, (list, tuple)) or not data:
        return None
    if any(isinstance(x, Tensor) or _labelled(x) or isinstance(x, np.ma.MaskedArray) for x in data):
        return list(data) if all(_n_axes(x) for x in data) else None
    if len({len(x) for x in data if hasattr(x, "__len__") and not isinstance(x, str)}) > 1:
        return list(data) if all(map(_is_array, data)) else None
    if all(isinstance(x, np.ndarray) and x.ndim == 2 and x.dtype != object for x in data):
        return list(data)
    return None


def _unboxed(x: Any) -> Any:
    while isinstance(x, np.ndarray) and x.dtype == object and x.size == 1:
        x = x.reshape(-1)[0]
    return x


def _is_array(x: Any) -> bool:
    return not isinstance(x, (str, bytes, Mapping)) and hasattr(x, "__len__")


def _n_axes(x: Any) -> int:
    return int(getattr(x, "ndim", 0)) or int(isinstance(x, (list, tuple)))


def _padded(name: str, cells: list[Any], last: str) -> tuple[Tensor, Tensor, bool]:
    """Trials side by side, their lengths, and whether they differ."""
    trials = []
    for k, cell in enumerate(cells):
        here = f"{name}[{k}]"
        trials.append(_tensor(here, _trial_without_labels(here, cell, last)))
    lengths = torch.tensor([len(x) if x.ndim else 0 for x in trials])
    if all(x.ndim == 1 for x in trials):
        if len(set(lengths.tolist())) == 1:
            shape = (len(trials), int(lengths[0]))
            raise ValueError(
                f"`{name}`: expected shape (trial, time, {last}), got {shape}. {_SINGLE} For trials of a single "
                f"{last}, add the last one: x[..., None]."
            )
        trials = [x[:, None] for x in trials]  # units do not vary in number: the axis is time
    widths = {x.shape[-1] for x in trials if x.ndim == 2}
    heights = {x.shape[0] for x in trials if x.ndim == 2}
    turned = len(widths) > 1 and len(heights) == 1 and all(x.ndim == 2 for x in trials)
    hint = f"All trials have {next(iter(heights))} rows: if those are the {last}s, give [x.T for x in trials]."
    for k, x in enumerate(trials):
        check_axes(f"{name}[{k}]", x, f"time {last}", hint if turned else "", **{last: trials[0].shape[-1]})
    if len({x.dtype for x in trials}) > 1:
        trials = [x.double() for x in trials]
    return torch.nn.utils.rnn.pad_sequence(trials, batch_first=True), lengths, bool((lengths != lengths[0]).any())


def _without_padding(name: str, x: Tensor, lengths: Tensor, ragged: bool) -> tuple[Tensor, Tensor]:
    """NaN steps at the end of trials taken for padding: zero there, and not counted in `lengths`."""
    # a sum is NaN if any value is: what has none is not looked at twice
    if bool(torch.isfinite(x.sum())) or not x.shape[2]:
        return x, lengths
    missing = torch.isnan(x).all(2) | (torch.arange(x.shape[1]) >= lengths[:, None])
    last = torch.where(missing, 0, torch.arange(1, x.shape[1] + 1)).amax(1)
    # a trial of nothing but NaN is no padding
    lengths = torch.where(last > 0, last, lengths)
    inside = torch.arange(x.shape[1]) < lengths[:, None]
    x = torch.where(inside[..., None], x, torch.zeros((), dtype=x.dtype))
    return check_finite(name, x, "Drop or interpolate the missing samples."), lengths


def _labelled(data: Any) -> str:
    """The package of `data`, xarray or pandas, where it has names of its own, else ""."""
    place = type(data).__module__.split(".")[0]
    return place if place in ("xarray", "pandas") else ""


def _without_labels(name: str, data: Any, last: str) -> Any:
    """`data` in the order of axes (trial, time, last), or as a list of trials, where its names tell."""
    if _labelled(data) == "xarray":
        return _by_dimension(name, data, ("trial", "time", last))
    if _labelled(data) == "pandas":
        return _by_rows(name, data, last)
    return data


def _trial_without_labels(name: str, data: Any, last: str) -> Any:
    """One trial (time, last) of a list of trials."""
    if _labelled(data) == "xarray":
        return _by_dimension(name, data, ("time", last))
    if _labelled(data) == "pandas":
        return _numbers_of(name, data if data.ndim == 2 else data.to_frame())
    return data


def _by_dimension(name: str, data: Any, axes: tuple[str, ...]) -> np.ndarray:
    """The values of an xarray.DataArray, its dimensions put into the order of `axes` by their names."""
    if not hasattr(data, "dims") or not hasattr(data, "transpose") or hasattr(data, "data_vars"):
        names = ", ".join(map(str, getattr(data, "data_vars", ())))
        raise TypeError(f"`{name}`: expected one DataArray, got {type(data).__name__} of {names}. Name one: ds['...'].")
    meant: dict[str, Any] = {}
    for dim in data.dims:
        found = [a for a in axes if str(dim).lower().strip() in _NAMES[a].split()]
        if len(found) == 1 and found[0] not in meant:
            meant[found[0]] = dim
    rest = [dim for dim in data.dims if dim not in meant.values()]
    open_axes = [a for a in axes if a not in meant]
    if len(rest) == 1 and open_axes == [axes[-1]] and not _known(rest[0]):  # units have many names
        meant[axes[-1]], rest, open_axes = rest[0], [], []
    # dimensions that are not there have one entry: a single trial, a single unit
    if rest or "time" in open_axes or len(open_axes) > 1:
        raise ValueError(
            f"`{name}`: expected the dimensions {', '.join(axes)}, got {', '.join(map(str, data.dims))}. Rename them: "
            f"x.rename({{'{rest[0] if rest else data.dims[0]}': '{open_axes[0] if open_axes else axes[-1]}'}})."
        )
    values = np.ma.asanyarray(data.transpose(*(meant[a] for a in axes if a in meant)).values)
    for a in open_axes:
        values = np.expand_dims(values, axes.index(a))
    return values if np.ma.is_masked(values) else np.asarray(values)


def _by_rows(name: str, data: Any, last: str) -> Any:
    """The trials of a pandas.DataFrame whose rows are indexed by (trial, time), in the order of time."""
    frame = data.to_frame() if data.ndim == 1 else data
    columns = {_axis(c): c for c in frame.columns if _axis(c)}
    levels = {_axis(level): level for level in frame.index.names if level is not None and _axis(level)}
    if "trial" in columns and "trial" not in levels:
        keys = [columns[a] for a in ("trial", "time") if a in columns]
        frame = frame.set_index(keys, append="time" in levels and "time" not in columns)
        levels = {_axis(level): level for level in frame.index.names if level is not None and _axis(level)}
    if "trial" not in levels and "time" in levels and frame.index.nlevels == 1:
        return _numbers_of(name, frame.sort_index())[None]
    if "trial" not in levels or "time" not in levels or frame.index.nlevels != 2:
        names = ", ".join(repr(n) for n in frame.index.names)
        raise ValueError(
            f"`{name}`: expected a DataFrame with rows indexed by trial and time, one column a {last}, got rows "
            f"indexed by {names}. Use df.set_index(['trial', 'time']), or give df.to_numpy() with its axes in order."
        )
    twice = frame.index[frame.index.duplicated()]
    if len(twice):
        where = ", ".join(map(str, twice[0]))
        raise ValueError(f"`{name}`: expected every (trial, time) once, got ({where}) several times.")
    frame = frame.reorder_levels([levels["trial"], levels["time"]])
    return [_numbers_of(name, part.sort_index()) for _, part in frame.groupby(level=0, sort=False)]


def _known(dim: Any) -> bool:
    return any(str(dim).lower().strip() in names.split() for names in _NAMES.values())


def _axis(label: Any) -> str:
    found = [a for a in ("trial", "time") if str(label).lower().strip() in _NAMES[a].split()]
    return found[0] if len(found) == 1 else ""


def _numbers_of(name: str, frame: Any) -> np.ndarray:
    words = [c for c in frame.columns if frame[c].dtype.kind in "OUSTmM" and not _all_numbers(frame[c])]
    if words:
        raise TypeError(f"`{name}`: expected columns of numbers, got {frame[words[0]].dtype} in column {words[0]!r}.")
    try:
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        kinds = ", ".join(sorted({str(t) for t in frame.dtypes}))
        raise TypeError(f"`{name}`: expected columns of numbers, got {kinds} ({error}).") from None


def _all_numbers(column: Any) -> bool:
    return all(isinstance(v, (int, float, np.number)) or v is None for v in column)

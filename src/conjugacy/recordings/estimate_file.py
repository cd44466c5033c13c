"""States and rates that another package has inferred and written to an h5 file."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from conjugacy._check import check_instance, check_text
from conjugacy.recordings.estimate import Estimate
from conjugacy.recordings.recording import Recording

_FIRST, _SECOND = ("train_latents", "train_rates"), ("eval_latents", "eval_rates")


def read_estimate(
    path: str | os.PathLike,
    recording: Recording,
    *,
    train: Any = None,
    test: Any = None,
    per_bin: bool = False,
    name: str = "",
) -> Estimate:
    """An estimate from the h5 file of another package.

    Parameters
    ----------
    path : path
        A file with the data sets train_latents, train_rates, eval_latents and eval_rates, (trial, time, .) each.
    recording : Recording
    train, test : sequence of int, optional
        Trials of the recording that they hold, in their order; by default the first ones, and those after them.
    per_bin : bool
        Whether rates are expected counts per bin; else they are spikes per second.
    name : str
        By default that of the file.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read, lacks a data set (the message names those that are there), or does not fit the
        recording.
    """
    import h5py  # costs time that others need not spend

    check_instance("recording", recording, Recording)
    arrays = {}
    with h5py.File(path, "r") as file:
        for key in (*_FIRST, *_SECOND):
            if not isinstance(file.get(key), h5py.Dataset):
                there = ", ".join(sorted(map(str, file))) or "nothing"
                raise ValueError(f"{os.fspath(path)}: expected a data set {key!r}, got {there}.")
            arrays[key] = np.asarray(file[key], dtype=np.float64)
    n, m = len(arrays[_FIRST[0]]), len(arrays[_SECOND[0]])
    train = range(n) if train is None else train
    test = range(n, n + m) if test is None else test
    states, rates = (np.concatenate([arrays[a], arrays[b]]) for a, b in zip(_FIRST, _SECOND))
    rates = rates / recording.bin_size if per_bin else rates
    name = check_text("name", name or os.path.splitext(os.path.basename(os.fspath(path)))[0])
    return Estimate.of(recording, states, rates, np.arange(n + m) < n, rows=[*train, *test], name=name)

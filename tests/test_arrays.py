"""Trials from arrays of any make: the same numbers come out of all of them, and nothing that is given changes."""

import re
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from conjugacy._arrays import read_numbers, read_trials
from conjugacy.similarity.samples import as_system
from conjugacy.system import System

X = np.arange(24.0).reshape(2, 3, 4) + 0.1


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def cells(trials, shape):
    out = np.empty(shape, dtype=object)
    for k, trial in enumerate(trials):
        out.reshape(-1)[k] = trial
    return out


def boxed(trial):
    out = np.empty((1, 1), dtype=object)
    out[0, 0] = trial
    return out


def frame(x, order=slice(None)):
    n, t, d = x.shape
    index = pd.MultiIndex.from_product([range(n), range(t)], names=["trial", "time"])
    return pd.DataFrame(x.reshape(n * t, d), index=index).iloc[order]


MAKES = {
    "array": X,
    "big-endian": X.astype(">f8"),
    "reversed": X[::-1, ::-1][::-1, ::-1],
    "negative strides": np.ascontiguousarray(X[:, ::-1, ::-1])[:, ::-1, ::-1],
    "Fortran order": np.asfortranarray(X),
    "every second": np.repeat(X, 2, axis=1)[:, ::2],
    "read-only": read_only(X),
    "broadcast": np.broadcast_to(X[None], (1, *X.shape))[0],
    "long double": X.astype(np.longdouble),
    "nested lists": X.tolist(),
    "list of arrays": list(X),
    "tuple of arrays": tuple(X),
    "list of tensors": list(torch.tensor(X)),
    "tensor": torch.tensor(X),
    "tensor with gradient": torch.tensor(X, requires_grad=True),
    "list of tensors with gradient": list(torch.tensor(X, requires_grad=True)),
    "sparse tensor": torch.tensor(X).to_sparse(),
    "masked nowhere": np.ma.masked_array(X, np.zeros_like(X, dtype=bool)),
    "numbers as objects": X.astype(object),
    "row of cells": cells(X, (1, 2)),
    "column of cells": cells(X, (2, 1)),
    "list of cells": cells(X, (2,)),
    "boxed cells": cells([boxed(x) for x in X], (1, 2)),
    "cells, big-endian": cells(X.astype(">f8"), (1, 2)),
    "frame": frame(X),
    "frame, times shuffled": frame(X, [2, 0, 1, 5, 3, 4]),
    "frame, levels swapped": frame(X).swaplevel(),
    "frame with columns": frame(X).reset_index(),
    "list of frames": [pd.DataFrame(x) for x in X],
}


@pytest.mark.parametrize("make", MAKES)
def test_every_make_of_array_gives_the_same_numbers(make):
    x, lengths = read_trials("x", MAKES[make])
    assert x.dtype == torch.float64 and not x.requires_grad and lengths.tolist() == [3, 3]
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(as_system("a", MAKES[make]).trajectories, X)


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, bool, ">i4"])
def test_whole_numbers_become_floats(kind):
    whole = (X > 10).astype(kind)
    np.testing.assert_array_equal(read_trials("x", whole)[0], (X > 10).astype(float))


def test_floats_keep_their_precision():
    for kind in (np.float16, np.float32, ">f4"):
        assert read_trials("x", X.astype(kind))[0].numpy().dtype == np.dtype(kind).newbyteorder("=")
    with torch.no_grad():
        assert read_trials("x", X.tolist())[0][0, 0, 0] == 0.1


def test_nothing_that_is_given_is_written_to():
    given = X.copy()
    given[1, 2:] = np.nan
    before = given.copy()
    x, lengths = read_trials("x", given)
    assert lengths.tolist() == [3, 2] and x[1, 2:].abs().sum() == 0
    np.testing.assert_array_equal(given, before)
    masked = np.ma.masked_array(X.copy(), np.isnan(before))
    read_trials("x", masked)
    np.testing.assert_array_equal(masked.data, X)


def padded(value=np.nan, dtype=float):
    x = X.astype(dtype)
    x[0, 1:] = value
    return x


def xarray(*args, **options):
    return pytest.importorskip("xarray").DataArray(*args, **options)


PADDED = {
    "NaN": padded,
    "NaN, float32": lambda: padded(dtype=np.float32),
    "NaN in a tensor": lambda: torch.tensor(padded()),
    "mask": lambda: np.ma.masked_invalid(padded()),
    "mask of whole numbers": lambda: np.ma.masked_array(X.astype(int), np.isnan(padded())),
    "mask over numbers": lambda: np.ma.masked_array(X, np.isnan(padded())),
    "list": lambda: [X[0, :1], X[1]],
    "list of lists": lambda: [X[0, :1].tolist(), X[1].tolist()],
    "list of tensors": lambda: [torch.tensor(X[0, :1]), torch.tensor(X[1])],
    "list, one masked": lambda: [np.ma.masked_invalid(padded()[0]), X[1]],
    "row of cells": lambda: cells([X[0, :1], X[1]], (1, 2)),
    "column of cells": lambda: cells([X[0, :1], X[1]], (2, 1)),
    "frame": lambda: frame(X).drop([(0, 1), (0, 2)]),
    "frame with NaN": lambda: frame(padded()),
    "xarray": lambda: xarray(padded().transpose(2, 0, 1), dims=("unit", "trial", "time")),
}


@pytest.mark.parametrize("make", PADDED)
def test_padding_at_the_end_of_a_trial_is_its_length(make):
    given = PADDED[make]()
    system = System.from_arrays("a", given)
    assert system.lengths.tolist() == [1, 3]
    expected = np.concatenate([X[0, :1], X[1]])
    rounded = "whole" in make
    np.testing.assert_allclose(system.states(), np.floor(expected) if rounded else expected, rtol=1e-6)
    assert bool(torch.isfinite(system.trajectories).all())


def spoilt(*place, value=np.nan):
    x = X.copy()
    x[place] = value
    return x


@pytest.mark.parametrize(
    ("x", "where"),
    [
        (spoilt(0, 1), (0, 1, 0)),  # a step in the middle
        (spoilt(1, 0), (1, 0, 0)),  # the first step
        (spoilt(1, 2, 3), (1, 2, 3)),  # one unit of the last step
        (spoilt(0, 2, 1, value=np.inf), (0, 2, 1)),
        (spoilt(1), (1, 0, 0)),  # a whole trial
        (spoilt((0, 0), (1, 2), 0), (0, 1, 0)),
        (np.ma.masked_invalid(spoilt(1, 1, 2)), (1, 1, 2)),
    ],
)
def test_what_is_missing_inside_a_trial_is_named(x, where):
    with pytest.raises(
        ValueError, match=rf"^`trajectories`: expected finite values, .*first at {re.escape(str(where))}"
    ):
        System.from_arrays("a", x)


@pytest.mark.parametrize(
    "dims",
    [
        ("trial", "time", "unit"), ("unit", "time", "trial"), ("time", "neuron", "trials"),
        ("Channel", "epoch", "Time"),
        ("repetition", "time_bin", "neuroid"), ("time", "trial", "anything"),
    ],
)  # fmt: skip
def test_dimensions_are_known_by_name(dims):
    meant = {"trial": 0, "trials": 0, "epoch": 0, "repetition": 0, "time": 1, "Time": 1, "time_bin": 1}
    order = [meant.get(d, 2) for d in dims]
    system = System.from_arrays("a", xarray(X.transpose(order), dims=dims))
    np.testing.assert_array_equal(system.trajectories, X)


def test_dimensions_of_inputs_lists_and_single_trials():
    u = xarray(X[:, :, :1].transpose(1, 2, 0), dims=("time", "input", "trial"))
    system = System.from_arrays("a", [xarray(X[0].T, dims=("unit", "time")), X[1]], u)
    np.testing.assert_array_equal(system.trajectories, X)
    np.testing.assert_array_equal(system.inputs, X[:, :, :1])
    one = System.from_arrays("a", xarray(X[0].T, dims=("unit", "time")))
    np.testing.assert_array_equal(one.trajectories, X[:1])
    with pytest.raises(ValueError, match=r"^`trajectories`: expected the dimensions trial, time, unit, got a, b, c"):
        System.from_arrays("a", xarray(X, dims=("a", "b", "c")))
    for dims in (("trial", "rep", "unit"), ("trial", "unit", "frequency")):
        with pytest.raises(ValueError, match=f"^`trajectories`: expected the dimensions .*, got {', '.join(dims)}"):
            System.from_arrays("a", xarray(X, dims=dims))
    with pytest.raises(TypeError, match=r"^`trajectories`: expected one DataArray, got Dataset of x"):
        System.from_arrays("a", xarray(X, dims=("trial", "time", "unit")).to_dataset(name="x"))


def test_trials_of_one_dimension_have_one_unit_where_nothing_else_is_possible():
    x, lengths = read_trials("x", [[1.0, 2.0], [3.0]])
    assert x.tolist() == [[[1.0], [2.0]], [[3.0], [0.0]]] and lengths.tolist() == [2, 1]
    assert read_trials("x", cells([np.ones(3), np.ones(5)], (1, 2)))[0].shape == (2, 5, 1)
    for given in ([np.ones(3), np.ones(3)], [torch.ones(3), torch.ones(3)]):
        with pytest.raises(ValueError, match=r"got \(2, 3\)\. For a single trial, .* For trials of a single unit, "):
            read_trials("x", given)


def test_a_series_by_trial_and_time_is_a_single_unit():
    x, _ = read_trials("x", frame(X)[0])
    np.testing.assert_array_equal(x, X[:, :, :1])


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (pd.DataFrame(X[0]), ValueError, r"`x`: expected a DataFrame with rows indexed by trial and time, .*set_index"),
        (pd.concat([frame(X), frame(X)]), ValueError, r"`x`: expected every \(trial, time\) once, got \(0, 0\)"),
        (frame(X).astype({0: str}), TypeError, r"`x`: expected columns of numbers"),
        (cells([X[0].T, X[1, :2].T], (1, 2)), ValueError, r"`x\[1\]`: .*if those are the units, give \[x\.T for x"),
        (cells([X[0], "spikes"], (1, 2)), TypeError, r"`x`: expected an array of numbers"),
        ([X[0], X[1][:, :3]], ValueError, r"`x\[1\]`: expected shape \(time, unit=4\), got \(3, 3\)\."),
        ({"x": X, "u": 1}, TypeError, r"`x`: expected an array of numbers, got dict .*with the keys x, u"),
        (np.zeros(3, dtype=[("x", float), ("y", float)]), TypeError, r"`x`: .*structure with the fields x, y"),
        (np.array(["a"]), TypeError, r"`x`: expected an array of numbers, got ndarray \(values of dtype"),
        (np.zeros((1, 2, 3), "datetime64[s]"), TypeError, r"`x`: expected an array of numbers"),
        (X * 1j, TypeError, r"`x`: expected real numbers, got torch\.complex128"),
        ((X * 1j).astype(object), TypeError, r"`x`: expected real numbers, got torch\.complex128"),
        (None, TypeError, r"`x`: expected an array of numbers, got NoneType"),
        (len, TypeError, r"`x`: expected an array of numbers, got builtin_function"),
        (3.0, ValueError, r"`x`: expected shape \(trial, time, unit\), got a single number, 3\."),
    ],
)
def test_what_is_no_set_of_trials_is_refused(given, error, message):
    with pytest.raises(error, match=f"^{message}") as caught:
        read_trials("x", given)
    assert "\n" not in str(caught.value)


def test_a_file_of_matlab_is_read_as_it_is(tmp_path):
    io = pytest.importorskip("scipy.io")
    io.savemat(tmp_path / "a.mat", {"x": cells([X[0, :2], X[1]], (1, 2)), "u": X})
    loaded = io.loadmat(tmp_path / "a.mat")
    assert System.from_arrays("a", loaded["x"]).lengths.tolist() == [2, 3]
    np.testing.assert_array_equal(System.from_arrays("a", loaded["u"]).trajectories, X)
    with pytest.raises(
        TypeError, match=r"^`trajectories`: expected an array of numbers, got dict .*with the keys .*x, u"
    ):
        System.from_arrays("a", loaded)


def test_inputs_have_the_lengths_of_their_trials_or_go_on_in_the_padding():
    x, u = padded(), X[:, :, :2].copy()
    assert System.from_arrays("a", x, u).lengths.tolist() == [1, 3]
    late = u.copy()
    late[0, 1:] = np.nan
    assert System.from_arrays("a", x, late).lengths.tolist() == [1, 3]
    early = u.copy()
    early[1, 2:] = np.nan
    for given in ((x, early), (X, late)):
        with pytest.raises(ValueError, match=r"^`inputs`: expected as many trials and steps"):
            System.from_arrays("a", *given)


@pytest.mark.parametrize(
    "value", [0.2, [0.2], (0.2,), np.array([0.2]), np.float64(0.2), torch.tensor([0.2], dtype=torch.float64)]
)
def test_numbers_keep_all_their_digits(value):
    assert read_numbers("x", value, "a number").reshape(-1).tolist() == [0.2]


@pytest.mark.parametrize("value", [1j, [1j], "0.2", None, torch.tensor(1j), np.array([1 + 0j])])
def test_what_is_no_real_number_is_refused(value):
    with pytest.raises(TypeError, match=r"^`x`: expected a number, got "):
        read_numbers("x", value, "a number")


def test_no_warning_and_no_import_of_what_is_not_used():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_trials("x", read_only(X))
    assert "conjugacy._arrays" in sys.modules and not hasattr(sys.modules["conjugacy._arrays"], "pd")

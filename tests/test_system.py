import re

import numpy as np
import pytest
import torch

from conjugacy.system import System


def test_arrays_of_any_kind_become_a_system():
    x = np.arange(24.0).reshape(2, 3, 4)
    for data in (x, x.tolist(), torch.tensor(x), list(torch.tensor(x)), x.astype(int)):
        system = System.from_arrays("M1", data, dt=0.01)
        assert system.trajectories.dtype == torch.float64
        np.testing.assert_array_equal(system.trajectories, x)
        assert (system.n_trials, system.n_units, system.lengths.tolist()) == (2, 4, [3, 3])
    assert System.from_arrays("M1", x.astype(np.float32)).trajectories.dtype == torch.float32


def test_ragged_trials_keep_their_lengths():
    long, short = np.ones((5, 2)), 2 * np.ones((3, 2))
    system = System.from_arrays("M1", [long, short], [long[:, :1], short[:, :1]])
    assert system.lengths.tolist() == [5, 3]
    assert system.states().shape == (8, 2) and system.states().sum() == 22


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            (np.ones((3, 4)),),
            "`trajectories`: expected shape (trial, time, unit), got (3, 4). For a single trial, add the first axis: "
            "x[None].",
        ),
        (
            (np.full((1, 2, 3), np.nan),),
            "`trajectories`: expected finite values, got 6 NaN or infinite, the first at (0, 0, 0). "
            "Drop or interpolate the missing samples.",
        ),
        (
            (np.ones((0, 2, 3)),),
            "`trajectories`: expected at least one trial and one step, got (0, 2, 3).",
        ),
        (
            (np.ones((2, 4, 3)), np.ones((2, 5, 1))),
            "`inputs`: expected as many trials and steps as `trajectories` (2, 4), got (2, 5) (or other lengths of "
            "trials).",
        ),
        (
            ([np.ones((2, 3)), np.ones((4, 2))],),
            "`trajectories[1]`: expected shape (time, unit=3), got (4, 2).",
        ),
    ],
)
def test_bad_arrays_are_named(args, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        System.from_arrays("M1", *args)


def test_numbers_are_asked_for():
    with pytest.raises(TypeError, match=r"^`trajectories`: expected an array of numbers, got str"):
        System.from_arrays("M1", "spikes")
    with pytest.raises(TypeError, match=r"^`trajectories`: expected real numbers, got torch\.complex128\.$"):
        System.from_arrays("M1", np.ones((1, 2, 3)) * 1j)
    with pytest.raises(ValueError, match=r"^`dt`: expected a number in \(0, inf\), got 0\."):
        System.from_arrays("M1", np.ones((1, 2, 3)), dt=0)

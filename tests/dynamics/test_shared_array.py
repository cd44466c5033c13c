import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import conjugacy as cj

W = np.array([[0.5, 0.1], [0.0, -0.3]])


@pytest.fixture(scope="module")
def points():
    weight = torch.from_numpy(W)
    starts = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return cj.fixed_points(lambda x, u: torch.tanh(3 * x @ weight.T), starts, n_inits=40, n_orbits=0, progress=False)


def test_points_are_numpy_arrays_for_numpy(points):
    assert isinstance(points.x, np.ndarray) and points.x.dtype == np.float64
    assert isinstance(points.x + 1, np.ndarray) and type(points.x.max()) is np.float64
    np.testing.assert_array_equal(points.x.mean(0), np.asarray(points.x).mean(0))
    assert np.concatenate([points.x, points.x]).shape == (2 * len(points), 2)
    assert repr(points.x).startswith("array(") and points.x[points.n_unstable == 0].shape[1] == 2


def test_torch_takes_points_as_tensors(points):
    with torch.random.fork_rng(), torch.no_grad():
        module = nn.Linear(2, 2, bias=False).double()
        module.weight.copy_(torch.from_numpy(W))
        expected = torch.from_numpy(np.asarray(points.x) @ W.T)
        torch.testing.assert_close(module(points.x), expected)
        torch.testing.assert_close(module(points.x[0]), expected[0])
    tensor = torch.ones(2, dtype=torch.float64)
    torch.testing.assert_close(0.5 * points.x[0] + tensor, torch.from_numpy(0.5 * np.asarray(points.x[0]) + 1))
    for made in (tensor - points.x[0], points.x[0] - tensor, torch.tanh(points.x), torch.stack([tensor, points.x[0]])):
        assert type(made) is torch.Tensor
    torch.testing.assert_close(tensor - points.x[0], torch.from_numpy(1 - np.asarray(points.x[0])))


def test_copies_and_pickles_are_plain(points):
    for made in (pickle.loads(pickle.dumps(points.x)), np.array(points.x)):
        assert type(made) is np.ndarray
        np.testing.assert_array_equal(made, points.x)
    np.testing.assert_array_equal(copy.deepcopy(points).x, points.x)

"""Rules for every test: no test may leave global state changed."""

import random

import matplotlib
import numpy as np
import pytest
import sklearn.linear_model  # noqa: F401  (its first import draws from Python's generator; not ours to mend)
import torch

import conjugacy

matplotlib.use("Agg")
conjugacy.install_ctd()  # the one step after which the notebook's import paths work


@pytest.fixture(autouse=True)
def global_state_is_untouched():
    import matplotlib.pyplot as plt

    torch_before, numpy_before, python_before = (
        torch.get_rng_state(),
        np.random.get_state()[1].copy(),
        random.getstate(),
    )
    dtype_before, rc_before, figures_before = (
        torch.get_default_dtype(),
        matplotlib.rcParams.copy(),
        plt.get_fignums(),
    )
    yield
    assert torch.equal(torch.get_rng_state(), torch_before), "the test changed torch's global random state"
    assert np.array_equal(np.random.get_state()[1], numpy_before), "the test changed NumPy's global random state"
    assert random.getstate() == python_before, "the test changed Python's global random state"
    assert torch.get_default_dtype() == dtype_before
    assert matplotlib.rcParams == rc_before, "the test changed rcParams"
    assert plt.get_fignums() == figures_before, "the test left figures open in pyplot"


@pytest.fixture(scope="session")
def small_task():
    from conjugacy.tasks import NBitFlipFlop

    return NBitFlipFlop(n=2, n_timesteps=40, switch_prob=0.05, noise=0.1)


@pytest.fixture(scope="session")
def small_runs(small_task):
    """Two networks trained for a few steps: enough to save, load, analyse and compare."""
    from conjugacy import networks
    from conjugacy.training import train

    settings = {"steps": 12, "batch_size": 8, "eval_every": 4, "progress": False}
    return [
        train(small_task, networks.GRU(7), seed=1, **settings),
        train(small_task, networks.NODE(3, 2, 11), seed=1, **settings),
    ]

"""Scores are the same bits on one thread and on several."""

import numpy as np
import pytest
import torch

from conjugacy import System
from conjugacy.similarity import get_measure, measure_names, pairwise

SMALL = {"rank": 3, "n_delays": 2, "n_inits": 32, "n_exponents": 2, "n_steps": 10}


@pytest.mark.parametrize("name", [n for n in measure_names() if n != "portrait"])
@pytest.mark.filterwarnings("ignore:.*no null. unrelated systems of the kind:UserWarning")
@pytest.mark.filterwarnings("ignore:.*no interval. the bias of the value:UserWarning")
def test_the_number_of_threads_changes_no_bit(make_trajectories, name):
    def step(x, u):
        return 0.9 * torch.tanh(x) + 0.1 * u[..., :1]

    u = np.random.default_rng(3).normal(size=(21, 19, 2))
    systems = [
        System.from_arrays(str(k), make_trajectories(k, 21), u, step=step, dt=0.1, step_tolerance=np.inf)
        for k in range(3)
    ]
    fields = get_measure(name).__dataclass_fields__
    measure = get_measure(name, **{k: v for k, v in SMALL.items() if k in fields})
    one, two = (
        pairwise(
            systems, measure, interval=0.9, n_resamples=10, null="auto", n_surrogates=3, n_threads=n, progress=False
        )
        for n in (1, 2)
    )
    for a, b in zip(one.scores, two.scores):
        assert repr((a.value, a.interval, a.null)) == repr((b.value, b.interval, b.null))  # of NaN too
    assert measure(systems[0], systems[1]).value == pytest.approx(one.scores[0].value, abs=1e-12)

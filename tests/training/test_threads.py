"""Scores and weights are the same bits whatever the number of threads."""

import pytest
import torch

import conjugacy as cj
from conjugacy.training.scores import masked_r2

LONG = cj.tasks.NBitFlipFlop(n=2, n_timesteps=50)  # 500 test trials: enough numbers for torch to sum on threads


@pytest.fixture
def with_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_r2_of_many_steps_does_not_depend_on_threads(with_threads):
    generator = torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(2, 300, 70, 5, generator=generator)
    scores, sums = set(), set()
    for n in (1, 2, 3, 5):
        with_threads(n)
        scores.add(masked_r2(outputs, targets, torch.ones(300, 70, 5)))
        sums.add(float((outputs.double() - targets.double()).square().sum()))
    assert len(scores) == 1
    assert len(sums) > 1  # else this would have been no test


@pytest.mark.parametrize("network", [cj.networks.GRU(5), cj.networks.VanillaRNN(5)], ids=["compiled", "plain"])
def test_trainings_do_not_depend_on_threads(with_threads, network):
    runs = []
    for n in (1, 2):
        with_threads(n)
        runs.append(cj.train(LONG, network, 3, steps=2, batch_size=80, eval_every=1, progress=False))
    a, b = runs
    assert all(torch.equal(x, y) for x, y in zip(a.network.state_dict().values(), b.network.state_dict().values()))
    assert a.history.drop(columns="seconds").equals(b.history.drop(columns="seconds"))
    assert {**a.metrics, "seconds": 0} == {**b.metrics, "seconds": 0}

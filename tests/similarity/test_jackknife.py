"""Jackknife intervals of measures of similarities between states."""

import numpy as np
import pytest

from conjugacy.similarity import get_measure
from conjugacy.similarity.bootstrap import bootstrap_values
from conjugacy.similarity.worlds import make_world


@pytest.mark.parametrize("comparator", ["pearson", "spearman", "cosine"])
def test_sums_over_pairs_of_trials_are_the_value_of_the_trials_left(comparator):
    a, b = make_world("tanh", seed=1).draw(12, 0)
    measure = get_measure("rsa", comparator=comparator, max_samples=200)
    x, y = measure.prepare(a), measure.prepare(b)
    counts = 1 - np.eye(12, dtype=int)
    fast = measure.compare_resampled(x, y, counts, counts)
    slow = [measure.compare(measure.resample(x, c), measure.resample(y, c))[0] for c in counts]
    # ranks among the trials left differ a little from those among all
    assert np.allclose(fast, slow, atol=5e-3 if comparator == "spearman" else 1e-12)
    whole = measure.compare_resampled(x, y, np.ones((1, 12)), np.ones((1, 12)))
    assert whole[0] == pytest.approx(measure.compare(x, y)[0], abs=1e-12)


def test_the_jackknife_of_a_mean_is_its_standard_error():
    a, b = make_world("linear", seed=2).draw(40, 0)
    measure = get_measure("cka_unbiased")
    score = measure(a, b, interval=0.95)
    assert score.interval.method == "jackknife over trials, about the value less its bias"
    assert score.interval.n_resamples == 40
    assert score.interval.low < score.value - score.interval.bias < score.interval.high
    # the bootstrap says nearly the same of a smooth statistic
    spread = bootstrap_values(measure, measure.prepare(a), measure.prepare(b), 300, 0).std()
    assert (score.interval.high - score.interval.low) / (2 * 2.02 * spread) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("name", ["cca", "procrustes"])
def test_intervals_of_biased_measures_are_about_the_value_less_its_bias(name):
    # intervals about the value held the truth in a third of the data sets for cca
    measure, covered = get_measure(name), 0
    for w in range(8):
        world = make_world("tanh" if w % 2 else "linear", seed=80 + w)
        truth = measure(*world.draw(1000, 99)).value
        for k in range(3):
            interval = measure(*world.draw(30, k), interval=0.95).interval
            covered += interval.low <= truth <= interval.high
    assert covered >= 16  # of 24 that cover with .88: fewer in .5 % of cases


def test_a_bias_larger_than_the_interval_leaves_none():
    a, b = make_world("spiking", seed=3000).draw(30, 0)
    with pytest.warns(UserWarning, match="pwcca: no interval: the bias of the value, about .* exceeds its spread"):
        assert np.isnan(get_measure("pwcca")(a, b, interval=0.95).interval.low)


@pytest.mark.parametrize(
    "name",
    [
        "cca",
        "state_r2",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("svcca", "procrustes", "cka", "cka_unbiased")),
    ],
)
def test_intervals_of_spike_counts_hold_the_value_of_very_many_trials(name):
    # before halves and the jackknife took the bias off, none of the first three covered, and the others in a third
    measure, covered = get_measure(name), 0
    for w in range(4):
        world = make_world("spiking", seed=90 + w)
        truth = measure(*world.draw(700, 99)).value
        for k in range(3):
            interval = measure(*world.draw(30, k), interval=0.95, seed=k).interval
            covered += interval.low <= truth <= interval.high
    assert covered >= 8  # of 12 that cover with .90: fewer in .4 % of cases


@pytest.mark.parametrize("name", ["cca", "procrustes"])
def test_intervals_of_small_distances_hold_the_value_of_very_many_trials(name):
    # the same states with noise of 2 %: corrections that do not know how near the value is to 0 miss all of them
    measure, covered = get_measure(name), 0

    def pair(n_trials, seed):
        x = make_world("linear", seed=91).draw(n_trials, seed)[0].trajectories.numpy()
        return x, x + 0.02 * np.random.default_rng(seed).normal(size=x.shape)

    truth = measure(*pair(600, 99)).value
    for k in range(8):
        interval = measure(*pair(30, k), interval=0.95).interval
        covered += interval.low <= truth <= interval.high
    assert covered >= 5
    same = measure(pair(12, 0)[0], pair(12, 0)[0], interval=0.95)
    assert same.interval.high < 1e-6


def test_the_bias_of_a_regression_on_few_trials_is_taken_off():
    # y = x + noise: the regression on very many trials explains half, that on 24 trials less
    rng, measure = np.random.default_rng(0), get_measure("state_r2")
    scores = []
    for _ in range(40):
        x = rng.normal(size=(30, 8, 6))
        scores.append(measure(x, x + rng.normal(size=x.shape), interval=0.95))
    assert np.mean([s.value for s in scores]) < 0.49
    without = np.array([s.value - s.interval.bias for s in scores])
    assert abs(without.mean() - 0.5) < 2.5 * without.std(ddof=1) / np.sqrt(len(without))
    assert sum(s.interval.low < 0.5 < s.interval.high for s in scores) >= 34


@pytest.mark.parametrize("name", ["cka_unbiased", "cka", pytest.param("rsa", marks=pytest.mark.slow)])
def test_intervals_cover_the_value_of_very_many_trials(name):
    options = {"max_samples": 1500} if name == "rsa" else {}  # with fewer, the choice of states is most of the spread
    measure, covered = get_measure(name, **options), 0
    for w in range(8):
        world = make_world("tanh" if w % 2 else "linear", seed=60 + w)
        truth = np.mean([measure(*world.draw(400, 90 + k)).value for k in range(3 if name == "rsa" else 1)])
        for k in range(3):
            interval = measure(*world.draw(30, k), interval=0.95).interval
            covered += interval.low <= truth <= interval.high
    assert covered >= 17  # of 24 that cover with .90: fewer in .2 % of cases

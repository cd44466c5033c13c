"""Intervals of distances between fits: they cover the truth, and say so where they cannot."""

import numpy as np
import pytest

from conjugacy import System
from conjugacy.similarity import get_measure
from conjugacy.similarity.distance_intervals import _without_a_group, halves
from conjugacy.similarity.dmd import cut_stability, embed, fit
from conjugacy.similarity.worlds import make_world


def test_a_resample_is_the_operator_of_the_trials_it_holds(make_trajectories):
    x = make_trajectories(3, 24)
    counts = np.random.default_rng(0).multinomial(24, np.full(24, 1 / 24))
    repeated = np.repeat(x, counts, axis=0)
    e = embed(x, 3, 2, room=True, center=False)
    assert e.rank == 10 and e.chosen == 3 and e.cut  # two delays of five units: all there are
    chosen_anew = fit(e, counts=counts)
    assert np.allclose(np.abs(chosen_anew.eigenvalues), np.abs(fit(embed(repeated, 3, 2, center=False)).eigenvalues))
    # held to the subspace of all trials, it is another operator
    fixed = fit(embed(x, 3, 2, center=False), counts=counts)
    assert not np.allclose(np.abs(chosen_anew.eigenvalues), np.abs(fixed.eigenvalues), atol=1e-6)


def test_halves_and_groups_share_out_the_trials():
    rng = np.random.default_rng(0)
    of = halves(23, rng)
    assert of.shape == (40, 23) and (of.sum(1) == 11).all() and of.max() == 1
    assert (of[0] + of[1]).max() == 1  # no trial is in both
    groups = _without_a_group(23, rng)
    assert groups.shape == (10, 23) and ((1 - groups).sum(0) == 1).all()  # every trial is left out once


def test_the_cut_is_stable_where_the_data_fix_it():
    rng = np.random.default_rng(0)
    counts = halves(40, rng)

    def record(sizes):
        return rng.normal(size=(40, 50, 4)) * sizes

    clear, unclear = (cut_stability(embed(record(s), 2, room=True), counts) for s in ([3, 2, 1, 1], [3, 1, 1, 1]))
    assert clear > 0.99 and unclear < 0.6
    assert cut_stability(embed(record([3, 2, 1, 1]), 4, room=True), counts) == 1.0


def test_an_undetermined_rank_is_said_and_another_proposed():
    rng = np.random.default_rng(0)
    a, b = (System.from_arrays(n, rng.normal(size=(40, 50, 6)) * [9, 6, 1, 1, 1, 0.3]) for n in "ab")
    with pytest.warns(UserWarning, match="^dsa: rank 4 is not determined by the data of .a.: .* Rank 5 ends at a gap"):
        score = get_measure("dsa", rank=4, n_delays=1)(a, b, interval=0.95, n_resamples=10)
    assert np.isfinite(score.interval.low)


@pytest.mark.parametrize("name", ["dsa", "spectrum_w2"])
def test_where_a_component_is_arbitrary_there_is_no_interval_and_it_is_said(name):
    measure = get_measure(name, rank=6, n_delays=3)
    with pytest.warns(UserWarning, match="no interval: unreliable here: rank 6 is not determined by the data of"):
        score = measure(*make_world("spiking", seed=1).draw(30, 0), interval=0.95, n_resamples=10)
    assert np.isnan(score.interval.low) and np.isfinite(score.value)


def test_few_trials_have_no_interval_and_it_is_said():
    a, b = make_world("linear", seed=1).draw(19, 0)
    with pytest.warns(UserWarning, match="no interval: 19 trials: below 20, the bias of this distance is not known"):
        score = get_measure("dsa", rank=3, n_delays=1)(a, b, interval=0.95)
    assert np.isnan(score.interval.low)


@pytest.mark.filterwarnings("ignore:.*rank 4 is not determined:UserWarning")
@pytest.mark.parametrize("name", ["dsa", "spectrum_w2"])
def test_intervals_cover_the_truth(name):
    # 18 data sets of 30 trials in 6 worlds: of 18 intervals that cover with .90, fewer than 12 do so in .1 % of cases
    measure = get_measure(name, rank=4, n_delays=2)
    covered = 0
    for w in range(6):
        world = make_world("tanh" if w % 2 else "linear", seed=40 + w)
        truth = measure(*world.draw(600, 99)).value
        for k in range(3):
            interval = measure(*world.draw(30, k), interval=0.95, n_resamples=40, seed=k).interval
            covered += interval.low <= truth <= interval.high
    assert covered >= 12

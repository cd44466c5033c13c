"""Intervals over units, conditions and blocks: coverage on populations with a known value, and what is refused."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom

import conjugacy as cj
from conjugacy.similarity import get_measure, pairwise
from conjugacy.similarity.half_samples import block_length, in_blocks

pytestmark = pytest.mark.filterwarnings("ignore")


def _areas(n_units=600, seed=0):
    """Two areas (trial, time, unit) that share four latents and have others of their own."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(24, 12, 4)).cumsum(1)
    out = []
    for own in (0.7, 1.0):
        private = own * rng.normal(size=(24, 12, 3)).cumsum(1)
        out.append(shared @ rng.normal(size=(4, n_units)) + private @ rng.normal(size=(3, n_units)))
    return out


def _band(n, share=0.95, level=0.999):
    """Fewest and most of n intervals that cover, where each does with the probability `share`."""
    return binom.ppf((1 - level) / 2, n, share), binom.ppf((1 + level) / 2, n, share)


@pytest.mark.parametrize("measure", ["cka", pytest.param("procrustes", marks=pytest.mark.slow)])
def test_intervals_over_units_cover_the_mean_over_other_units(measure):
    a, b = _areas()
    measure, rng = get_measure(measure), np.random.default_rng(1)

    def draw():
        return a[..., rng.choice(600, 30, replace=False)], b[..., rng.choice(600, 40, replace=False)]

    truth = np.mean([measure(*draw()).value for _ in range(100)])
    covered = 0
    for k in range(40):
        interval = measure(*draw(), interval=0.95, resample="units", n_resamples=25, seed=k).interval
        covered += interval.low <= truth <= interval.high
    assert covered >= _band(40)[0]


def test_conditions_are_drawn_alike_in_both_and_widen_what_trials_alone_do_not():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 8)
    means = rng.normal(size=(10, 15, 6))
    a = means[labels] + 0.1 * rng.normal(size=(80, 15, 6))
    b = means[labels] @ rng.normal(size=(6, 6)) + 0.1 * rng.normal(size=(80, 15, 6))
    measure = get_measure("cka")
    over_trials = measure(a, b, interval=0.95).interval
    over_conditions = measure(a, b, interval=0.95, resample="conditions", conditions=labels).interval
    assert over_conditions.method == "half-samples of conditions"
    assert over_conditions.high - over_conditions.low > 2 * (over_trials.high - over_trials.low)
    # with other names for the same conditions in another order, the same answer
    again = measure(a, b, interval=0.95, resample="conditions", conditions=[f"c{k}" for k in labels]).interval
    assert again.low == pytest.approx(over_conditions.low)


def test_units_and_trials_at_once_vary_more_than_either():
    a, b = (x[..., ::20] for x in _areas())
    measure, widths = get_measure("cka"), {}
    for over in ("units", ("units", "trials")):
        interval = measure(a, b, interval=0.95, resample=over, seed=3).interval
        widths[over] = interval.high - interval.low
    assert widths["units", "trials"] > widths["units"] > 0


def _noise(n, seed, rho=0.9):
    """A long stretch (time, 3) of autoregressive noise."""
    rng = np.random.default_rng(seed)
    x = np.zeros((n, 3))
    for t in range(1, n):
        x[t] = rho * x[t - 1] + rng.normal(size=3)
    return x


def _pair(n, seed):
    x = _noise(n, seed)
    return x[None], (x @ np.array([[1, 0.5, 0], [0, 1, 0.5], [0, 0, 0.3]]) + 2 * _noise(n, seed + 10**6))[None]


def test_blocks_of_one_long_recording_cover():
    measure = get_measure("cka")
    truth = measure(*_pair(100_000, 5)).value
    covered = 0
    for k in range(30):
        interval = measure(*_pair(1500, 100 + k), interval=0.95, resample="blocks").interval
        covered += interval.low <= truth <= interval.high
    assert "blocks of" in interval.method
    assert covered >= 24  # some blocks of fifty steps are few, and the interval a little short


def test_a_block_is_long_against_what_states_remember():
    for rho, slow in ((0.5, 2), (0.98, 50)):
        system = cj.System.from_arrays("x", _noise(20_000, 0, rho)[None])
        forgotten = -1 / math.log(rho)
        assert 0.5 * 5 * forgotten <= max(block_length(system), 5 * slow / 2) <= max(2 * 5 * forgotten, 10)
    cut = in_blocks(cj.System.from_arrays("x", np.arange(46.0).reshape(2, 23, 1)), 10)
    assert cut.trajectories[..., 0].tolist() == [[*range(k, k + 10)] for k in (0, 10, 23, 33)]


def test_tables_say_over_what():
    a, b = (x[..., ::20] for x in _areas())
    table = pairwise(
        [a, b], ["cka", "procrustes"], interval=0.95, resample="units", n_resamples=20, progress=False
    ).table()
    assert set(table.interval) == {"half-samples of units"}
    assert np.isfinite(table.low).all()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"resample": "neurons"}, r"`resample`: expected one of 'trials', 'units', .*, got 'neurons'"),
        ({"resample": []}, r"`resample`: expected one or several of .*, got list \[\]"),
        ({"resample": 3}, r"`resample`: expected one or several of .*, got int 3"),
        ({"resample": ("blocks", "units")}, r"`resample`: expected blocks alone"),
        ({"resample": ("trials", "conditions"), "conditions": [1]}, r"`resample`: expected blocks alone"),
        ({"resample": "conditions"}, r"`conditions`: expected one label a trial, .*, got None"),
        ({"resample": "conditions", "conditions": [1, 2]}, r"`conditions`: expected 24 labels, .*, got 2"),
        ({"resample": "conditions", "conditions": {"z": [1]}}, r"`conditions`: expected labels .* for 'a', got 'z'"),
        (
            {"resample": "conditions", "conditions": [0, 1] * 12},
            r"`resample`: expected at least 6 conditions that all have, .*, got 2",
        ),
        ({"conditions": [0] * 24}, r"`conditions`: expected None unless they are resampled"),
        ({"block": 5}, r"`block`: expected None unless blocks are resampled, got 5"),
        ({"resample": "blocks", "block": 1}, r"`block`: expected an integer >= 2, got 1"),
        ({"resample": "blocks", "block": 50}, r"`block`: expected at least 10 blocks in 'a', got 0 of 50 steps"),
    ],
)
def test_wrong_requests_are_told(options, text):
    a, b = (x[..., ::60] for x in _areas())
    with pytest.raises((TypeError, ValueError), match=text):
        get_measure("cka")(a, b, interval=0.95, **options)


def test_few_units_and_whole_networks_are_told():
    a, b = (x[..., ::150] for x in _areas())
    with pytest.raises(ValueError, match=r"`resample`: expected at least 6 units, .* got 4 in "):
        get_measure("cka")(a, b, interval=0.95, resample="units")


def test_tables_are_refused_before_anything_is_computed_and_networks_need_all_their_units():
    a, b = (x[..., ::150] for x in _areas())
    with pytest.raises(ValueError, match=r"`resample`: expected at least 6 units, .* got 4 in "):
        cj.compare([cj.System.from_arrays("a", a), cj.System.from_arrays("b", b)], ["cka"], resample="units")
    with torch.random.fork_rng(devices=[]):
        model = torch.nn.GRU(2, 8, batch_first=True)
    inputs = torch.randn(8, 15, 2, generator=torch.Generator().manual_seed(0))
    network = cj.System.from_arrays("network", model(inputs)[0].detach(), inputs, step=model)
    with pytest.warns(UserWarning, match="no interval: some units of a network have no step"):
        score = get_measure("lyapunov")(network, network, interval=0.95, resample="units")
    assert score.interval is not None and math.isnan(score.interval.low)

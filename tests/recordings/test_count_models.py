"""Simulated counts against the moments of their definition, and the ceilings against their closed form."""

import math

import numpy as np
import pytest

import conjugacy as cj
from conjugacy.recordings import bits_per_spike, ceilings_of, lognormal_bits
from conjugacy.recordings.ceilings import expected_bits
from conjugacy.recordings.count_models import COUNT_MODELS, com_poisson_moments, draw_counts

N = 1_000_000
BIN, PERIOD = 0.01, 0.002


def _exact_variance(model, m):
    """Variance of a bin's count at a constant expected count m."""
    if model == "poisson":
        return m
    if model == "negative_binomial":
        return 2 * m
    if model == "com_poisson":
        low, high = -30.0, 30.0  # bisection: another way than that of the code
        for _ in range(200):
            mid = (low + high) / 2
            mean, variance = com_poisson_moments(np.array([mid]), 2.0, 80)
            low, high = (mid, high) if mean[0] < m else (low, mid)
        return float(variance[0])
    p, u = m / 10, _refractory_renewal(m)
    return 10 * p * (1 - p) + 2 * sum((10 - k) * p * (u[k] - p) for k in range(1, 10))


def _refractory_renewal(m):
    """Chance of a spike k steps of 1 ms after a spike, by the renewal equation."""
    window = 2
    chance = m / 10 / (1 - window * m / 10)
    u = [1.0, 0.0, 0.0]
    for k in range(3, 20):
        u.append(sum(chance * (1 - chance) ** (gap - window - 1) * u[k - gap] for gap in range(window + 1, k + 1)))
    return u


def _exact_lag(model, m):
    """Covariance of the counts of neighbouring bins."""
    if model != "refractory":
        return 0.0
    u = _refractory_renewal(m)
    return sum((10 - abs(10 - k)) * m / 10 * (u[k] - m / 10) for k in range(1, 20))


@pytest.mark.parametrize("m", [0.1, 0.9])
@pytest.mark.parametrize("model", COUNT_MODELS)
def test_moments_of_a_million_bins(model, m):
    expected = np.full((N // 2000, 1000, 2), m)
    x = draw_counts(expected, model, np.random.default_rng(3), bin_size=BIN, fano=2.0, shape=2.0, refractory=PERIOD)
    variance = _exact_variance(model, m)
    # neighbouring bins of refractory neurons share a window, so errors are those of trials, which are independent
    means = x.mean(1).reshape(-1)
    assert abs(means.mean() - m) < 4 * means.std() / math.sqrt(len(means))
    squares = ((x - m) ** 2).mean(1).reshape(-1)
    assert abs(squares.mean() - variance) < 4 * squares.std() / math.sqrt(len(squares))
    noise = ((x[..., 0] - m) * (x[..., 1] - m)).mean(1)
    assert abs(noise.mean()) < 4 * noise.std() / math.sqrt(len(noise))
    lag = ((x[:, 1:] - m) * (x[:, :-1] - m)).mean(1).reshape(-1)
    assert abs(lag.mean() - _exact_lag(model, m)) < 4 * lag.std() / math.sqrt(len(lag))
    if model in ("com_poisson", "refractory"):
        assert variance < 0.98 * m


def test_refractory_neurons_keep_rates_that_change():
    m = 0.3 * (1 + np.sin(np.arange(50) / 4))[None, :, None].repeat(20000, 0)
    x = draw_counts(m, "refractory", np.random.default_rng(0), bin_size=BIN, refractory=0.005)
    z = (x.mean(0) - m[0]) / np.maximum(x.std(0) / math.sqrt(len(x)), 1e-12)
    assert np.abs(z[m[0] > 1e-3]).max() < 4.5


def test_a_refractory_period_too_long_for_the_rates_is_named():
    with pytest.raises(ValueError, match="`refractory`: expected less than one expected spike"):
        draw_counts(np.full((1, 3, 1), 3.0), "refractory", np.random.default_rng(0), bin_size=BIN, refractory=0.01)


@pytest.mark.parametrize("model", COUNT_MODELS)
def test_no_rate_no_spike(model):
    assert draw_counts(np.zeros((2, 3, 4)), model, np.random.default_rng(0), bin_size=BIN).sum() == 0


@pytest.mark.parametrize("sd", [0.5, 1.0])
def test_the_ceiling_of_lognormal_rates(sd):
    rng = np.random.default_rng(1)
    r = np.exp(sd * rng.standard_normal((1, 2_000_000, 1)) - 1)
    assert expected_bits(r) == pytest.approx(lognormal_bits(sd), rel=0.01)
    x = rng.poisson(r)
    # the log-rate of a spike has the standard deviation sd
    error = sd / math.log(2) / math.sqrt(x.sum())
    assert abs(bits_per_spike(r, x) - sd**2 / (2 * math.log(2))) < 4 * error


def test_no_other_rates_beat_the_true_ones():
    rng = np.random.default_rng(2)
    r = 0.1 * np.exp(0.8 * rng.standard_normal((60, 100, 20)))
    x = rng.poisson(r).astype(float)
    mean = r.mean((0, 1), keepdims=True)
    others = {
        "noisy": r * np.exp(0.5 * rng.standard_normal(r.shape)),
        "shrunk": 0.5 * r + 0.5 * mean,
        "constant": np.broadcast_to(mean, r.shape),
        "a fresh draw": rng.poisson(r) + 1e-3,
    }
    loglik = (x * np.log(r) - r).sum((1, 2))
    for name, q in others.items():
        gain = (x * np.log(q) - q).sum((1, 2)) - loglik
        assert gain.mean() < -3 * gain.std() / math.sqrt(len(gain)), name


@pytest.fixture(scope="module")
def run():
    task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=40)
    return cj.train(task, cj.networks.GRU(8), seed=0, progress=False, steps=2, batch_size=4)


@pytest.mark.parametrize("embedding", ["selection", "mixing", "nonlinear"])
@pytest.mark.parametrize("link", ["exp", "softplus", "sigmoid"])
def test_simulated_recordings(run, embedding, link):
    r = cj.simulate_spikes(run, 12, 30, n_held_out=3, embedding=embedding, link=link, mean_rate=20, seed=1)
    assert r.truth is not None and r.truth.rates is not None
    assert r.truth.rates.mean((0, 1)) == pytest.approx(np.full(12, 20.0), rel=1e-9)
    assert r.held_out == (9, 10, 11) and r.bin_size == run.task.dt and r.counts.shape == (30, 40, 12)
    again = cj.simulate_spikes(run, 12, 30, n_held_out=3, embedding=embedding, link=link, mean_rate=20, seed=1)
    assert np.array_equal(r.counts, again.counts)
    other = cj.simulate_spikes(run, 12, 30, n_held_out=3, embedding=embedding, link=link, mean_rate=20, seed=2)
    assert not np.array_equal(r.counts, other.counts)
    assert set(ceilings_of(r)) == {"bits_per_spike", "expected_bits", "rate_r2", "co_bps"}


def test_slips_get_one_line(run):
    with pytest.raises(ValueError, match="`n_held_out`: expected an integer in"):
        cj.simulate_spikes(run, 5, 4, n_held_out=5)
    with pytest.raises(TypeError, match="`options`: expected fano"):
        cj.simulate_spikes(run, 5, 4, n_held_out=1, fanoo=2)
    with pytest.raises(ValueError, match="`mean_rate"):
        cj.simulate_spikes(run, 5, 4, n_held_out=1, mean_rate=-1)
    for huge in ({"mean_rate": 1e30}, {"bin_size": 1e20}):
        with pytest.raises(ValueError, match="^`mean_rate`: expected at most 1e\\+06 spikes in a bin"):
            cj.simulate_spikes(run, 5, 4, n_held_out=1, **huge)
    with pytest.raises(ValueError, match="^`depth`: expected at most 20"):
        cj.simulate_spikes(run, 5, 4, n_held_out=1, depth=1e3)

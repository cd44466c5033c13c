"""Scores of models of spikes: likelihoods by scipy, held-out neurons, the way from latents to rates and back."""

import numpy as np
import pytest
from scipy.stats import poisson
from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import r2_score

from conjugacy.recordings.spike_scores import (
    bits_per_spike,
    co_bps,
    co_bps_from_latents,
    cycle_consistency,
    input_r2,
    rate_r2,
)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    z = 0.3 * rng.normal(size=(31, 17, 3)).cumsum(1)
    log_rates = z @ (0.5 * rng.normal(size=(3, 7))) - 1.5
    return z, log_rates, rng.poisson(np.exp(log_rates))


def test_rate_r2_is_variance_weighted(data):
    _, log_rates, _ = data
    rates = np.exp(log_rates)
    noisy = rates + 0.1 * np.random.default_rng(1).normal(size=rates.shape)
    expected = r2_score(rates.reshape(-1, 7), noisy.reshape(-1, 7), multioutput="variance_weighted")
    assert rate_r2(rates, noisy) == pytest.approx(expected, rel=1e-12)


def test_bits_per_spike_equals_its_definition(data):
    _, log_rates, counts = data
    rates, null = np.exp(log_rates), np.broadcast_to(counts.mean((0, 1)), counts.shape)
    gain = poisson.logpmf(counts, rates).sum() - poisson.logpmf(counts, null).sum()
    assert bits_per_spike(rates, counts) == pytest.approx(gain / counts.sum() / np.log(2), rel=1e-10)
    assert bits_per_spike(null, counts) == pytest.approx(0, abs=1e-14)


def test_only_held_out_neurons_are_scored(data):
    _, log_rates, counts = data
    rates = np.exp(log_rates)
    spoiled = rates.copy()
    spoiled[..., :5] = 100.0
    expected = bits_per_spike(rates[..., 5:], counts[..., 5:])
    assert co_bps(spoiled, counts, [5, 6]) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match=r"`held_out`: expected different indices in \[0, 6\], got \[6, 7\]"):
        co_bps(rates, counts, [6, 7])


def test_poisson_read_out_equals_scikit_learn(data):
    z, _, counts = data
    found = co_bps_from_latents(z[20:], counts[20:, :, :2], train=(z[:20], counts[:20, :, :2]), ridge=0.0)
    rates = []
    for neuron in range(2):
        model = PoissonRegressor(alpha=0, tol=1e-10, max_iter=1000)
        model.fit(z[:20].reshape(-1, 3), counts[:20, :, neuron].ravel())
        rates.append(model.predict(z[20:].reshape(-1, 3)))
    expected = bits_per_spike(
        np.stack(rates, 1)[None], counts[20:, :, :2].reshape(1, -1, 2), null_rates=counts[:20, :, :2].mean((0, 1))
    )
    assert found == pytest.approx(expected, abs=1e-5)
    assert found > 0


def test_cycle_consistency_falls_with_latents_that_no_neuron_shows(data):
    z, log_rates, _ = data
    seen = cycle_consistency(z[20:], log_rates[20:], train=(z[:20], log_rates[:20]))
    assert seen == pytest.approx(1, abs=0.05)
    hidden = np.concatenate([z, np.random.default_rng(2).normal(size=(31, 17, 4))], 2)
    for source in ("rates", "predictions"):
        r2 = cycle_consistency(hidden[20:], log_rates[20:], train=(hidden[:20], log_rates[:20]), source=source)
        share = z[20:].reshape(-1, 3).var(0).sum() / hidden[20:].reshape(-1, 7).var(0).sum()
        assert r2 == pytest.approx(share, abs=0.1)
    plain = cycle_consistency(z[20:], log_rates[20:], train=(z[:20], log_rates[:20]), variance=1.0, pca=False)
    assert plain == pytest.approx(1, abs=1e-12)


def test_validation_rates_are_looked_at(data):
    z, log_rates, _ = data
    train = (z[:20], log_rates[:20])
    wrong = log_rates[20:][::-1].copy()
    assert cycle_consistency(z[20:], wrong, train=train) < 0.5
    assert cycle_consistency(z[20:], wrong, train=train, source="predictions") > 0.9


def test_input_r2_is_state_r2_of_inputs(data):
    z, _, _ = data
    assert input_r2(z, 2 * z + 1).value == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("rates", "counts", "message"),
    [
        (np.zeros((1, 2, 3)), np.ones((1, 2, 3)), "`rates`: expected values > 0, got 6"),
        (np.ones((1, 2, 3)), -np.ones((1, 2, 3)), "`counts`: expected spike counts >= 0"),
        (np.ones((1, 2, 3)), np.zeros((1, 2, 3)), "`counts`: expected at least one spike"),
        (np.ones((1, 2, 3)), np.ones((1, 2, 4)), r"`counts`: expected the shape \(1, 2, 3\) of `rates`"),
    ],
)
def test_bad_spikes_are_named(rates, counts, message):
    with pytest.raises(ValueError, match=message):
        bits_per_spike(rates, counts)


def test_a_neuron_silent_in_training_that_fires_is_named():
    counts = np.ones((2, 3, 4))
    with pytest.raises(ValueError, match=r"^`null_rates`: expected rates > 0 .*, got 0 .* for neuron 1, 3: the null"):
        bits_per_spike(np.ones((2, 3, 4)), counts, null_rates=[1.0, 0.0, 1.0, 0.0])
    counts[..., [1, 3]] = 0
    rates = np.full((2, 3, 4), 0.5)
    # silent on both sides: only the rate that the model gives it costs
    expected = (6 * 2 * (np.log(0.5) + 0.5) - 6 * 2 * 0.5) / 12 / np.log(2)
    assert bits_per_spike(rates, counts, null_rates=[1.0, 0.0, 1.0, 0.0]) == pytest.approx(expected)

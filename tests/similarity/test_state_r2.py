"""State R2: agreement with an independent computation, its direction, its split, bad inputs."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from conjugacy import System
from conjugacy.similarity import get_measure, state_r2
from conjugacy.similarity.samples import split_trials


def walks(seed, n_trials=23, n_steps=17, n_units=5):
    return np.random.default_rng(seed).normal(size=(n_trials, n_steps, n_units)).cumsum(1)


def test_equals_scikit_learn_on_the_same_split():
    rng = np.random.default_rng(0)
    x = walks(1)
    y = np.tanh(x @ rng.normal(size=(5, 7))) + 3 + 0.5 * rng.normal(size=(23, 17, 7))
    train = split_trials(23, 0.8, seed=4)
    fit = LinearRegression().fit(x[train].reshape(-1, 5), y[train].reshape(-1, 7))
    predicted = fit.predict(x[~train].reshape(-1, 5))
    expected = r2_score(y[~train].reshape(-1, 7), predicted, multioutput="variance_weighted")
    score = state_r2(x, y, seed=4)
    assert score.value == pytest.approx(expected, abs=1e-12)
    assert score.diagnostics["n_train"] == 18 and score.diagnostics["n_held_out"] == 5


def test_both_directions_tell_missing_from_invented_dimensions():
    x = walks(2, n_units=3)
    y = np.concatenate([x, walks(3, n_units=4)], axis=2)
    forward, back = state_r2(x, y), state_r2(y, x)
    assert back.value == pytest.approx(1, abs=1e-12)
    assert forward.value < 0.8
    assert forward.direction == "a -> b"


def test_explicit_training_trials_equal_the_same_split():
    x, y = walks(4), walks(4) @ np.random.default_rng(5).normal(size=(5, 2)) + walks(6, n_units=2)
    train = split_trials(23, 0.8, seed=0)
    inside = state_r2(x, y, train=0.8, seed=0)
    apart = state_r2(x[~train], y[~train], train=(x[train], y[train]))
    assert inside.value == pytest.approx(apart.value, abs=1e-12)


def test_ragged_trials_use_the_valid_steps_only():
    x = [walks(7, 1, n, 3)[0] for n in (5, 9, 7, 11, 8)]
    w = np.random.default_rng(1).normal(size=(3, 4))
    a, b = System.from_arrays("a", x), System.from_arrays("b", [t @ w + 2 for t in x])
    assert state_r2(a, b).value == pytest.approx(1, abs=1e-12)
    b.trajectories[0, 5:] = 1e6  # past the end of the first trial
    assert state_r2(a, b).value == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_duplicated_and_badly_scaled_units_change_nothing(offset):
    x, y = walks(8), walks(8) @ np.random.default_rng(2).normal(size=(5, 2)) + walks(9, n_units=2)
    wide = np.concatenate([x, x[..., :2], 1e-7 * x[..., 2:]], axis=2) + offset
    expected = state_r2(x, y).value
    assert state_r2(wide, y).value == pytest.approx(expected, abs=1e-6 if offset else 1e-9)


def test_ridge_by_cross_validation_helps_where_units_outnumber_samples():
    rng = np.random.default_rng(3)
    latent = rng.normal(size=(12, 8, 2))
    x = latent @ rng.normal(size=(2, 70)) + 0.5 * rng.normal(size=(12, 8, 70))
    plain, ridge = state_r2(x, latent), state_r2(x, latent, ridge="cv")
    assert ridge.value > plain.value
    assert ridge.diagnostics["ridge"] > 0


def test_principal_components_limit_the_source():
    x = walks(10, n_units=6)
    score = state_r2(x, x, n_components=2)
    assert score.value < 0.95 and score.diagnostics["n_components"] == 2
    with pytest.raises(ValueError, match=r"`n_components`: expected at most 6, the rank of 'a', got 7"):
        state_r2(x, x, n_components=7)


def test_interval_covers_the_value_and_narrows_with_trials():
    rng = np.random.default_rng(11)

    def width(n):
        x = walks(12, n)
        y = x[..., :2] + 2 * rng.normal(size=(n, 17, 2))
        score = state_r2(x, y, interval=0.9, n_resamples=100)
        assert score.interval.low <= score.value <= score.interval.high
        return score.interval.high - score.interval.low

    assert width(320) < 0.6 * width(40)


def test_null_of_shuffled_trials_is_at_chance():
    x = walks(13, 60)
    score = state_r2(x, x, null="shuffled_trials", n_surrogates=19)
    assert score.null.mean < 0.2 and score.null.p_value == pytest.approx(1 / 20)


def test_same_seed_same_numbers():
    x, y = walks(14), walks(15)
    first = state_r2(x, y, interval=0.95, null="phase_randomised", n_surrogates=5, seed=3)
    assert first == state_r2(x, y, interval=0.95, null="phase_randomised", n_surrogates=5, seed=3)


def test_float32_in_float64_inside_and_inputs_untouched():
    x, y = (torch.tensor(walks(s), dtype=torch.float32) for s in (16, 17))
    before = x.clone(), y.clone()
    assert state_r2(x, y).value == state_r2(x.double(), y.double()).value
    assert torch.equal(x, before[0]) and torch.equal(y, before[1])


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        (walks(0)[:1], walks(0)[:1], {}, "`train`: expected at least 2 trials"),
        (walks(0), walks(0)[:22], {}, "`b`: 'state_r2' compares trial by trial .* got 22 trials"),
        (walks(0), walks(0)[:, :16], {}, "`b`: .* with other lengths"),
        (walks(0) * 0 + 0.1, walks(0), {}, "`trajectories` of 'a': all 391 states are the same"),
        (walks(0), walks(0)[0], {}, r"`b`: expected shape \(trial, time, unit\), got \(17, 5\)"),
        (np.full((3, 4, 2), np.nan), walks(0), {}, "`a`: expected finite values, got 24 NaN"),
        (walks(0), walks(0), {"train": 1.0}, "`train`: expected a share in"),
        (walks(0), walks(0), {"ridge": -1.0}, "`ridge`: expected a number"),
        (walks(0)[:2], walks(0)[:2], {"interval": 0.95}, "`interval`: expected at least 3 trials"),
        (walks(0), walks(0), {"interval": 95}, "`interval`: expected a number"),
        (walks(0), walks(0), {"null": "noise"}, "`null`: expected one of .*'shuffled_trials'"),
    ],
)
def test_bad_inputs_are_named(a, b, options, message):
    with pytest.raises(ValueError, match=message):
        state_r2(a, b, **options)


def test_the_registry_finds_it_and_corrects_names():
    assert get_measure("state_r2", ridge="cv").ridge == "cv"
    with pytest.raises(ValueError, match="Did you mean 'state_r2'"):
        get_measure("state_r")
    with pytest.raises(ValueError, match=r"`rigde`: expected a parameter of 'state_r2' .* Did you mean 'ridge'"):
        get_measure("state_r2", rigde=1)

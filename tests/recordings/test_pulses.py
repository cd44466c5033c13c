"""Pulses in inferred inputs: all found in the true ones, none in noise, shifts within the tolerance only."""

import numpy as np
import pytest

from conjugacy.recordings import pulses_found

TRAIN = np.arange(40) < 25


def pulses():
    rng = np.random.default_rng(0)
    u = np.zeros((40, 50, 2))
    for trial in range(40):
        for channel in range(2):
            for t in rng.choice(np.arange(3, 47, 5), 3, replace=False):
                u[trial, t, channel] = rng.choice([-1.0, 1.0])
    return u, rng


def test_true_inputs_under_any_linear_map_are_found():
    u, rng = pulses()
    found = pulses_found(u, u @ np.array([[0.5, 1.0, 0.0], [-2.0, 0.3, 0.1]]) + 3, TRAIN)
    assert found.hit_rate == 1 and found.false_alarm_rate == 0 and found.precision == 1
    assert found.n_pulses == 15 * 6
    noisy = pulses_found(u, u + 0.2 * rng.standard_normal(u.shape), TRAIN)
    assert noisy.hit_rate > 0.95 and noisy.false_alarm_rate < 0.01


def test_a_shift_by_one_bin_is_found_within_one_bin_only():
    u, _ = pulses()
    late = np.roll(u, 1, axis=1)
    assert pulses_found(u, late, TRAIN).hit_rate == 1
    assert pulses_found(u, late, TRAIN, tolerance=0).hit_rate < 0.5


def test_noise_finds_nothing():
    u, rng = pulses()
    found = pulses_found(u, rng.standard_normal(u.shape), TRAIN)
    assert found.precision < 0.3 and found.hit_rate < 3 * 3 * max(found.false_alarm_rate, 0.05)


def test_no_pulses_is_said():
    u, _ = pulses()
    with pytest.raises(ValueError, match="`true`: expected pulses of at least 0.5 in test trials, got none"):
        pulses_found(np.where(TRAIN[:, None, None], u, 0.0), u, TRAIN)

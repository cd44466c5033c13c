"""Trajectories that several test modules share; sizes are odd and distinct, so that swapped axes cannot pass."""

import numpy as np
import pytest


def trajectories(seed, n_trials=23, n_steps=19, n_units=5):
    """Noisy nonlinear oscillators seen through a random matrix, (trial, time, unit)."""
    rng = np.random.default_rng(seed)
    angle, radius = rng.uniform(0, 6, n_trials), rng.uniform(0.5, 2, n_trials)
    mix = rng.normal(size=(4, n_units))
    states = []
    for _ in range(n_steps):
        angle = angle + 0.3 + 0.1 * radius
        radius = radius + 0.1 * radius * (1 - radius**2) + 0.05 * rng.normal(size=n_trials)
        features = [radius * np.cos(angle), radius * np.sin(angle), np.cos(2 * angle), radius**2]
        states.append(np.stack(features, 1) @ mix)
    x = np.stack(states, 1)
    return x + 0.05 * rng.normal(size=x.shape)


@pytest.fixture
def make_trajectories():
    return trajectories


@pytest.fixture
def make_rotation():
    def make(n, det, seed=0):
        q = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]
        if np.sign(np.linalg.det(q)) != det:
            q[:, 0] *= -1
        return q

    return make

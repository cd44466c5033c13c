"""Intervals hold values that are known in closed form: those of Gaussian processes."""

import numpy as np
import pytest

from conjugacy.similarity import get_measure

_DECAY = 0.7  # of the latent process from one step to the next


def _root(c):
    values, vectors = np.linalg.eigh(c)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def _truths(xx, yy, xy):
    """Procrustes and CCA angles, and CKA, from covariances."""
    half = [np.linalg.inv(_root(c)) for c in (xx, yy)]
    correlations = np.linalg.svd(half[0] @ xy @ half[1], compute_uv=False)
    nuclear = np.linalg.svd(xy, compute_uv=False).sum()
    return {
        "procrustes": np.arccos(nuclear / np.sqrt(np.trace(xx) * np.trace(yy))),
        "procrustes_euclidean": np.sqrt(np.trace(xx) + np.trace(yy) - 2 * nuclear),
        "cca": np.arccos(correlations.mean()),
        "svcca": correlations.mean(),
        "cka": (xy**2).sum() / (np.linalg.norm(xx) * np.linalg.norm(yy)),
        "cka_unbiased": (xy**2).sum() / (np.linalg.norm(xx) * np.linalg.norm(yy)),
        "state_r2": 1 - np.trace(yy - xy.T @ np.linalg.solve(xx, xy)) / np.trace(yy),
    }


def _process(seed):
    """Covariances of two records of one latent process, each with noise of its own, and a function that draws them."""
    rng = np.random.default_rng(seed)
    load_x, load_y = rng.normal(size=(2, 3, 5)) / np.sqrt(3)
    noise = 0.5
    xx, yy = (load.T @ load + noise**2 * np.eye(5) for load in (load_x, load_y))

    def draw(n_trials, generator):
        z = generator.normal(size=(n_trials, 20, 3))
        for t in range(1, 20):
            z[:, t] = _DECAY * z[:, t - 1] + np.sqrt(1 - _DECAY**2) * z[:, t]
        return tuple(z @ load + noise * generator.normal(size=(n_trials, 20, 5)) for load in (load_x, load_y))

    return _truths(xx, yy, load_x.T @ load_y), draw


@pytest.mark.parametrize(
    "name", ["procrustes", "procrustes_euclidean", "cca", "svcca", "cka", "cka_unbiased", "state_r2"]
)
def test_intervals_hold_the_closed_form_at_the_rate_that_they_name(name):
    measure = get_measure("svcca", variance=1.0) if name == "svcca" else get_measure(name)
    rng, covered, n = np.random.default_rng(3), 0, 0
    for seed in range(6):
        truths, draw = _process(seed)
        for _ in range(10):
            interval = measure(*draw(30, rng), interval=0.95).interval
            covered += interval.low <= truths[name] <= interval.high
            n += 1
    assert covered / n >= 0.85  # of .95: fewer in .1 % of cases


@pytest.mark.parametrize("name", ["cca", "procrustes_euclidean", "cka", "state_r2"])
def test_values_less_their_bias_average_to_the_closed_form_at_ten_trials(name):
    measure, rng = get_measure(name), np.random.default_rng(4)
    plain, corrected = [], []
    for seed in range(4):
        truths, draw = _process(seed)
        for k in range(15):
            score = measure(*draw(20 if name == "state_r2" else 10, rng), interval=0.95, seed=k)
            plain.append(score.value - truths[name])
            corrected.append(score.value - score.interval.bias - truths[name])
    # a mean of correlations, some of them small, is half freed of it; the others within what the draws allow
    assert abs(np.mean(corrected)) < (0.65 if name == "cca" else 0.4) * abs(np.mean(plain))

"""CKA across trials and units: no noise in it, against plain loops and the plain CKA without noise."""

import numpy as np
import pytest

import conjugacy as cj
from conjugacy.recordings import CrossedCKA
from conjugacy.similarity.score import Undefined

MEASURE = CrossedCKA()


def states(n_trials=30, n_bins=20, n_latents=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n_trials, n_bins, n_latents)).cumsum(1)


def value(x, y):
    return MEASURE.compare(
        MEASURE.prepare(cj.System.from_arrays("x", x)), MEASURE.prepare(cj.System.from_arrays("y", y))
    )[0]


def test_it_is_the_sum_over_pairs_of_different_trials_and_units():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 6, 3)), rng.normal(size=(5, 6, 4)) + 2
    x, y = x - x.mean((0, 1)), y - y.mean((0, 1))

    def slow(a, b, own):
        total = 0.0
        for k in range(5):
            for m in range(5):
                if k != m:
                    left, right = a[k].T @ b[k], a[m].T @ b[m]
                    for i in range(left.shape[0]):
                        for j in range(left.shape[1]):
                            total += 0.0 if own and i == j else left[i, j] * right[i, j]
        return total * a.shape[2] / (a.shape[2] - 1) if own else total

    own = slow(x, x, True), slow(y, y, True)
    shared = rng.normal(size=(5, 6, 1)) * [1, 2, -1]
    x2, y2 = x + 9 * shared, np.concatenate([y[..., :1] + 9 * shared, y[..., 1:]], -1)
    x2, y2 = x2 - x2.mean((0, 1)), y2 - y2.mean((0, 1))
    want = slow(x2, y2, False) / np.sqrt(slow(x2, x2, True) * slow(y2, y2, True))
    assert value(x2, y2) == pytest.approx(want)
    assert MEASURE.prepare(cj.System.from_arrays("x", x)).own == pytest.approx(own[0])
    assert MEASURE.prepare(cj.System.from_arrays("y", y)).own == pytest.approx(own[1])


def test_noise_of_counting_does_not_lower_it_where_it_halves_the_plain_one():
    z = states()
    rng = np.random.default_rng(1)

    def seen(noise):
        x = z @ rng.normal(size=(4, 60)) / 2
        return x + noise * rng.normal(size=x.shape)

    clean, noisy = [seen(0.0) for _ in range(2)], [seen(8.0) for _ in range(2)]
    plain = cj.similarity.get_measure("cka")
    assert plain(*noisy).value < 0.5 < 0.9 < plain(*clean).value
    assert value(*noisy) == pytest.approx(value(*clean), abs=0.1)
    assert value(*noisy) == pytest.approx(1, abs=0.15)


def test_other_geometry_is_told_at_any_noise():
    z, rng = states(), np.random.default_rng(2)
    stretched = z * [3, 1, 0.3, 0.1]
    x, y = z @ rng.normal(size=(4, 60)), stretched @ rng.normal(size=(4, 60))
    assert value(x + 8 * rng.normal(size=x.shape), y) < 0.8


def test_counts_of_resamples_are_repeated_trials_that_make_no_pairs():
    rng = np.random.default_rng(0)
    x, y = (states(seed=3)[..., :k] @ rng.normal(size=(k, 12)) for k in (4, 3))
    a, b = (MEASURE.prepare(cj.System.from_arrays("s", v)) for v in (x, y))
    ones = np.ones(30, dtype=int)
    assert MEASURE.compare(MEASURE.resample(a, ones), MEASURE.resample(b, ones))[0] == pytest.approx(value(x, y))
    half = np.arange(30) < 15
    got = MEASURE.compare(MEASURE.resample(a, half), MEASURE.resample(b, half))[0]
    assert got == pytest.approx(value(x[half], y[half]))


def test_noise_alone_is_undefined_and_bad_input_refused():
    found = []
    for seed in range(6):
        x = np.random.default_rng(seed).normal(size=(10, 10, 5))
        try:
            found.append(value(x, x[..., ::-1] + 1))
        except Undefined:
            found.append(None)
    assert None in found
    with pytest.raises(ValueError, match="at least 2 of each"):
        MEASURE.prepare(cj.System.from_arrays("one trial", states(n_trials=1)))
    with pytest.raises(ValueError, match="trial by trial"):
        value(states(), states(n_trials=29))

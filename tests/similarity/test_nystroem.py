"""Kernel DMD: features reproduce the kernel, and nonlinear observables become eigenfunctions."""

import numpy as np
import pytest

from conjugacy.similarity import get_measure, kernel_dmd, kernel_features


def test_inner_products_of_features_are_the_kernel(make_trajectories):
    x = make_trajectories(0, 5, 9, 3)
    features = kernel_features(x, 45, bandwidth=0.7).trajectories.numpy().reshape(45, -1)
    rows = x.reshape(45, 3)
    d2 = ((rows[:, None] - rows[None]) ** 2).sum(2)
    scale = 0.7**2 * np.median(d2[d2 > 0])
    np.testing.assert_allclose(features @ features.T, np.exp(-d2 / (2 * scale)), atol=1e-6)


def test_features_do_not_depend_on_coordinates(make_trajectories, make_rotation):
    x = make_trajectories(1)
    y = 3 * x @ make_rotation(5, -1) + 2
    a, b = (kernel_features(v, 40) for v in (x, y))
    np.testing.assert_allclose(a.trajectories, b.trajectories, atol=1e-6)
    assert get_measure("dsa", rank=6, n_delays=1)(a, b).value < 1e-5


def test_a_nonlinear_map_has_the_eigenvalues_of_its_linear_part():
    # x -> 0.9 x, y -> 0.5 y + x^2 is conjugate to its linear part: products of 0.9 and 0.5 are eigenvalues
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, (2, 200))
    states = []
    for _ in range(12):
        states.append(np.stack([x, y], 1))
        x, y = 0.9 * x, 0.5 * y + x**2
    found = kernel_dmd(np.stack(states, 1), 15, n_centres=150, bandwidth=8.0, center=False).eigenvalues
    for expected in (0.9, 0.81, 0.5):
        assert np.abs(found - expected).min() < 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_centres": 1}, "`n_centres`: expected an integer >= 2"),
        ({"bandwidth": 0.0}, "`bandwidth`: expected a number"),
    ],
)
def test_bad_arguments_are_named(make_trajectories, options, message):
    with pytest.raises(ValueError, match=message):
        kernel_features(make_trajectories(0), **options)

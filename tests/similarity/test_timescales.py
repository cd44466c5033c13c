"""Timescale and Lyapunov distances: closed forms, scipy, units, intervals, bad inputs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from conjugacy import System
from conjugacy.similarity import get_measure
from conjugacy.similarity.lyapunov_distance import growth_along
from conjugacy.similarity.timescales import weighted_wasserstein


def decaying(tau, seed=0, n_trials=60, n_steps=400, dt=0.01, spread=1.0):
    """First-order processes with time constants tau (unit,) in steps, (trial, time, unit)."""
    rng = np.random.default_rng(seed)
    a = np.exp(-1 / np.asarray(tau))
    x = rng.normal(size=(n_trials, 1, len(a))) / np.sqrt(1 - a**2)
    for _ in range(n_steps):
        x = np.concatenate([x, a * x[:, -1:] + rng.normal(size=(n_trials, 1, len(a)))], 1)
    return System.from_arrays(f"tau {tau}", spread * x, dt=dt)


def linear(m, seed=0, n_trials=5, n_steps=60, dt=None):
    """x' = M x under its own noise, with its step function."""
    m = torch.as_tensor(m, dtype=torch.float64)
    rng = np.random.default_rng(seed)
    x = [torch.as_tensor(rng.normal(size=(n_trials, len(m))))]
    for _ in range(n_steps):
        x.append(x[-1] @ m.T + 0.1 * torch.as_tensor(rng.normal(size=(n_trials, len(m)))))
    return System.from_arrays("linear", torch.stack(x, 1), dt=dt, step=lambda x, u: x @ m.T, step_tolerance=np.inf)


def test_time_constants_are_those_of_the_processes():
    features = get_measure("timescales").prepare(decaying([5.0, 20.0]))
    steps, weights, reached = features.time_constants()
    assert sorted(steps) == pytest.approx([5, 20], rel=0.1)
    assert weights.sum() == pytest.approx(1) and reached.all()


def test_twice_as_slow_is_log_two_and_seconds_count():
    measure = get_measure("timescales")
    fast, slow = decaying([8.0]), decaying([16.0], seed=1)
    assert measure(fast, slow).value == pytest.approx(np.log(2), abs=0.1)
    sampled = System.from_arrays("same, in half as long steps", slow.trajectories, dt=0.005)
    assert measure(fast, sampled).value == pytest.approx(0, abs=0.1)
    unknown = System.from_arrays("no clock", fast.trajectories)
    with pytest.raises(ValueError, match=r"`dt`: 'timescales' .*'tau \[16.0\]' has dt=0.01 s while that of 'no clock'"):
        measure(slow, unknown)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 6), m=st.integers(1, 6))
def test_weighted_wasserstein_is_a_metric_and_equals_brute_force(seed, n, m):
    rng = np.random.default_rng(seed)
    (x, p), (y, q), (z, r) = ((rng.normal(size=k), rng.dirichlet(np.ones(k))) for k in (n, m, n))
    d = weighted_wasserstein(x, p, y, q)
    levels = (np.arange(200_000) + 0.5) / 200_000
    quantile = [np.sort(v)[np.minimum(np.searchsorted(np.cumsum(w[np.argsort(v)]), levels), len(v) - 1)]
                for v, w in ((x, p), (y, q))]  # fmt: skip
    assert d == pytest.approx(np.sqrt(np.mean((quantile[0] - quantile[1]) ** 2)), abs=1e-2)
    assert d >= wasserstein_distance(x, y, p, q) - 1e-9  # W2 >= W1
    assert d == pytest.approx(weighted_wasserstein(y, q, x, p), abs=1e-12)
    assert d <= weighted_wasserstein(x, p, z, r) + weighted_wasserstein(z, r, y, q) + 1e-9
    assert weighted_wasserstein(x, p, x, p) == 0


def test_timescales_of_resampled_trials_equal_those_of_repeated_trials():
    measure = get_measure("timescales", max_lag=40)
    a, b = decaying([5.0], n_trials=9), decaying([7.0], seed=2, n_trials=9)
    counts = np.array([2, 0, 1, 1, 0, 3, 1, 1, 0])
    repeated = [System.from_arrays("r", s.trajectories[np.repeat(np.arange(9), counts)], dt=0.01) for s in (a, b)]
    fast = measure.compare(*(measure.resample(measure.prepare(s), counts) for s in (a, b)))[0]
    # the mean of the whole data is kept, so that the two differ by little
    assert fast == pytest.approx(measure(*repeated).value, abs=0.05)
    more = decaying([5.0], n_trials=30), decaying([7.0], seed=2, n_trials=30)
    interval = measure(*more, interval=0.9, n_resamples=50).interval
    assert interval.low < measure(*more).value < interval.high


def test_resamples_choose_the_axes_anew_among_the_leading_components():
    measure = get_measure("timescales", max_lag=20)
    a, b = decaying([5.0, 9.0, 3.0], n_trials=30), decaying([6.0, 6.0, 6.0], seed=2, n_trials=30)
    x, y = measure.prepare(a), measure.prepare(b)
    half = np.repeat([[1, 0]], 15).reshape(1, -1)
    alone = [System.from_arrays("h", s.trajectories[:15], dt=0.01) for s in (a, b)]
    fast = measure.compare_resampled(x, y, half, half)[0]
    assert fast == pytest.approx(measure(*alone).value, abs=0.02)  # but for the mean
    assert measure.compare_resampled(x, y, half * 0 + 1, half * 0 + 1)[0] == pytest.approx(measure(a, b).value)


def test_components_slower_than_the_lags_are_reported():
    score = get_measure("timescales", max_lag=5)(decaying([4.0]), decaying([300.0]))
    assert score.diagnostics["beyond_max_lag_a"] == 0 and score.diagnostics["beyond_max_lag_b"] == 1
    assert score.diagnostics["time_constants_b"] == pytest.approx([0.05])


def test_exponents_of_a_linear_map_are_the_logarithms_of_its_moduli():
    m = np.array([[0.9, 2.0, 0.0], [0.0, 0.6, 1.0], [0.0, 0.0, 0.3]])
    growth = growth_along(linear(m), 3, 0.5)
    np.testing.assert_allclose(growth.exponents, np.log([0.9, 0.6, 0.3]), atol=1e-4)
    # whatever the frame, the volumes are exact
    assert growth.exponents.sum() == pytest.approx(np.log(np.linalg.det(m)), abs=1e-12)


def test_exponents_along_a_nonlinear_orbit_equal_those_of_the_product_of_jacobians():
    w = torch.as_tensor(np.random.default_rng(3).normal(size=(4, 4)))
    step = lambda x, u: torch.tanh(x @ w.T + u)  # noqa: E731
    u = torch.as_tensor(0.3 * np.random.default_rng(4).normal(size=(1, 12, 4)))
    x = [torch.zeros(1, 4, dtype=torch.float64)]
    for t in range(1, 12):
        x.append(step(x[-1], u[:, t]))
    x = torch.stack(x, 1)
    product = torch.eye(4, dtype=torch.float64)
    for t in range(1, 12):
        product = (1 - x[0, t] ** 2)[:, None] * w @ product
    growth = growth_along(System.from_arrays("net", x, u, step=step), 4, 0.0)
    assert growth.logarithms.sum() == pytest.approx(float(torch.linalg.slogdet(product)[1]), rel=1e-10)
    assert growth.steps.tolist() == [11]


def test_lyapunov_distance_of_linear_maps_in_seconds():
    measure = get_measure("lyapunov", n_exponents=2, burn_in=0.5)
    a, b = (linear(np.diag(d), dt=0.1) for d in ([0.9, 0.5], [0.8, 0.5]))
    assert measure(a, b).value == pytest.approx(np.log(0.9 / 0.8) / 0.1 / np.sqrt(2), rel=1e-3)
    interval = measure(a, b, interval=0.9, n_resamples=20).interval
    assert interval.low <= measure(a, b).value <= interval.high


@pytest.mark.parametrize(
    ("name", "systems", "message"),
    [
        ("lyapunov", lambda: [decaying([5.0] * 3)] * 2, "`step`: 'tau .*' has no step function"),
        ("lyapunov", lambda: [linear(np.eye(2))] * 2, "`n_exponents`: 'linear' has 2 units"),
        ("lyapunov", lambda: [linear(np.eye(3), n_steps=0)] * 2, "'lyapunov' needs at least 2 steps a trial"),
        ("timescales", lambda: [np.ones((3, 9, 2))] * 2, "all 27 states are the same"),
        ("timescales", lambda: [np.eye(3)[:, None]] * 2, "`max_lag`: .* a trial of 1 step"),
    ],
)  # fmt: skip
def test_bad_inputs_are_named(name, systems, message):
    with pytest.raises(ValueError, match=message):
        get_measure(name)(*systems())

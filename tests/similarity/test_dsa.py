"""DSA: exact on conjugate copies, bounded below, equal to brute force where that is possible; identities and axioms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conjugacy import System
from conjugacy.similarity import get_measure
from conjugacy.similarity.alignment import Operator, align, lower_bound
from conjugacy.similarity.dsa import pairwise_angles, vector_field_angle
from conjugacy.similarity.spectrum import wasserstein


def planar(theta, mirrored):
    c, s = np.cos(theta), np.sin(theta)
    return np.array([[c, s], [s, -c]]) if mirrored else np.array([[c, -s], [s, c]])


@pytest.mark.parametrize("det", [1, -1])
@pytest.mark.parametrize("n", [5, 17, 60, 100])
def test_conjugate_copies_are_at_zero(make_rotation, n, det):
    a = np.random.default_rng(n).normal(size=(n, n))
    q = make_rotation(n, det, seed=n)
    score = vector_field_angle(a, 3 * q @ a @ q.T)
    assert score.value <= 1e-7
    c = score.diagnostics["rotation"]
    np.testing.assert_allclose(c @ c.T, np.eye(n), atol=1e-12)


@pytest.mark.parametrize("det", [1, -1])
@pytest.mark.parametrize(
    "kind", ["normal", "symmetric", "skew", "orthogonal", "nearly normal", "repeated", "nilpotent"]
)
def test_conjugate_copies_with_special_spectra_are_at_zero(make_rotation, kind, det):
    rng = np.random.default_rng(3)
    n = 8
    g = rng.normal(size=(n, n))
    q = make_rotation(n, 1, seed=9)
    normal = np.zeros((n, n))
    for k, (x, y) in enumerate(rng.normal(size=(4, 2))):
        normal[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = [[x, -y], [y, x]]
    a = {
        "normal": q @ normal @ q.T,
        "symmetric": g + g.T,
        "skew": g - g.T,
        "orthogonal": q,
        "nearly normal": q @ normal @ q.T + 1e-4 * g,
        "repeated": q @ np.diag([1.0, 1, 1, 1, 2, 2, 2, 3]) @ q.T,
        "nilpotent": np.diag(np.ones(n - 1), 1),
    }[kind]
    r = make_rotation(n, det, seed=1)
    assert vector_field_angle(a, r @ a @ r.T).value <= 1e-7


def test_equals_brute_force_in_the_plane():
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 20_001)
    for _ in range(5):
        a, b = rng.normal(size=(2, 2, 2))
        a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
        best = max((a * (q @ b @ q.T)).sum() for m in (False, True) for q in (planar(t, m) for t in angles))
        assert vector_field_angle(a, b).value == pytest.approx(np.arccos(best), abs=1e-6)


def test_never_above_what_many_plain_starts_reach(make_rotation):
    from scipy.linalg import expm

    rng = np.random.default_rng(1)
    a, b = (m / np.linalg.norm(m) for m in rng.normal(size=(2, 4, 4)))
    best = -1.0
    for seed in range(12):  # gradient ascent with small steps: slow and obvious
        c = make_rotation(4, (-1) ** seed, seed)
        for _ in range(600):
            m = c @ b @ c.T
            w = a @ m.T + a.T @ m
            c = expm(0.5 * (w - w.T) / 2) @ c
        best = max(best, (a * (c @ b @ c.T)).sum())
    found = vector_field_angle(a, b)
    assert found.value <= np.arccos(best) + 1e-7
    assert found.diagnostics["lower_bound"] <= found.value


def test_angle_and_chord_agree():
    a, b = np.random.default_rng(2).normal(size=(2, 5, 5))
    angle, chord = vector_field_angle(a, b), vector_field_angle(a, b, score="euclidean")
    assert chord.value == pytest.approx(2 * np.sin(angle.value / 2), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 7), near=st.floats(0, 2))
def test_no_rotation_beats_the_lower_bound(seed, n, near):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, n))
    q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    b = q @ a @ q.T + near * rng.normal(size=(n, n))
    x, y = Operator.of(a), Operator.of(b)
    bound = lower_bound(x, y)
    for _ in range(10):
        c = np.linalg.qr(rng.normal(size=(n, n)))[0]
        assert bound <= np.linalg.norm(x.unit - c @ y.unit @ c.T) + 1e-12
    assert bound <= align(x, y).chord + 1e-12


def test_the_bound_is_attained_by_symmetric_operators():
    g, h = np.random.default_rng(3).normal(size=(2, 6, 6))
    score = vector_field_angle(g + g.T, h + h.T)
    assert score.value == pytest.approx(score.diagnostics["lower_bound"], abs=1e-9)


def test_for_normal_operators_the_chord_is_the_distance_of_spectra(make_rotation):
    rng = np.random.default_rng(4)

    def normal(seed):
        blocks = np.zeros((7, 7))
        for k, (x, y) in enumerate(rng.normal(size=(3, 2))):
            blocks[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = [[x, -y], [y, x]]
        blocks[6, 6] = rng.normal()
        q = make_rotation(7, 1, seed)
        return q @ blocks @ q.T / np.linalg.norm(blocks)

    for seed in range(4):
        a, b = normal(seed), normal(seed + 10)
        chord = vector_field_angle(a, b, score="euclidean").value
        w2 = wasserstein(np.linalg.eigvals(a), np.linalg.eigvals(b))
        assert chord**2 == pytest.approx(7 * w2**2, rel=1e-8)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), score=st.sampled_from(["angular", "euclidean"]))
def test_metric_axioms(seed, score):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(4, 4))
    d = pairwise_angles([base + 0.5 * rng.normal(size=(4, 4)) for _ in range(4)], score=score, effort=2, n_threads=1)
    assert np.array_equal(d, d.T)
    assert (d[:, :, None] <= d[:, None, :] + d.T[None] + 1e-6).all()


def test_all_pairs_equal_single_pairs_and_do_not_depend_on_threads():
    operators = list(np.random.default_rng(5).normal(size=(5, 6, 6)))
    one, two = pairwise_angles(operators, n_threads=1), pairwise_angles(operators, n_threads=2)
    assert np.array_equal(one, two)
    assert one[3, 1] == vector_field_angle(operators[3], operators[1]).value


def test_operators_are_left_alone():
    a, b = np.random.default_rng(6).normal(size=(2, 4, 4)).astype(np.float32)
    before = a.copy(), b.copy()
    score = vector_field_angle(torch.as_tensor(a), b)
    assert np.array_equal(a, before[0]) and np.array_equal(b, before[1])
    assert score.value == vector_field_angle(a.astype(float), b.astype(float)).value


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.ones((2, 3)), np.ones((2, 2)), r"`A`: expected a square matrix, got ndarray of shape \(2, 3\)"),
        (np.eye(2), np.zeros((2, 2)), "`B`: expected an operator other than zero"),
        (np.eye(2), np.eye(2) * np.nan, "`B`: expected finite values, got 4 NaN"),
        (np.eye(2), np.eye(3), r"`B`: expected the size \(2, 2\) of `A`, got \(3, 3\)"),
    ],
)
def test_bad_operators_are_named(a, b, message):
    with pytest.raises(ValueError, match=message):
        vector_field_angle(a, b)


def test_systems_of_other_size_and_coordinates_are_at_zero(make_trajectories, make_rotation):
    x = make_trajectories(0)
    y = 2 * x @ make_rotation(7, -1)[:5] + 3
    for name in ("dsa", "dsa_euclidean", "spectrum_w2", "spectrum_w1"):
        assert get_measure(name, rank=8, n_delays=4)(x, y).value < 1e-8


def test_trials_need_no_partner(make_trajectories):
    x = make_trajectories(0, 23)
    score = get_measure("dsa", rank=5, n_delays=3)(x, x[::-1][:21, :17])
    assert 0 < score.value < 0.2


def test_unequal_ranks_are_an_error_unless_a_policy_is_named(make_trajectories):
    a, b = System.from_arrays("a", make_trajectories(0)), System.from_arrays("b", make_trajectories(1, n_units=3))
    for name in ("dsa", "spectrum_w2"):
        measure = get_measure(name, rank="optimal", n_delays=1)
        fa, fb = get_measure(name, rank=4, n_delays=1).prepare(a), get_measure(name, rank=3, n_delays=1).prepare(b)
        with pytest.raises(ValueError, match="`rank`: the operators of 'a' and 'b' have ranks 4 and 3"):
            measure.compare(fa, fb)
        smaller = get_measure(name, rank=3, n_delays=1)
        policy = get_measure(name, rank=4, n_delays=1, unequal="min")
        assert policy.compare(fa, fb)[0] == pytest.approx(smaller(a, b).value, abs=1e-12)
    padded = get_measure("spectrum_w2", unequal="zero").compare(fa, fb)[0]
    assert padded != get_measure("spectrum_w2", unequal="uniform").compare(fa, fb)[0]


def test_interval_and_null_of_dynamics(make_trajectories):
    measure = get_measure("dsa", rank=5, n_delays=3)
    options = {"interval": 0.9, "n_resamples": 40, "null": "independent_phases", "n_surrogates": 9}
    score = measure(make_trajectories(0), make_trajectories(1, n_units=7), **options)
    assert score.interval.low <= score.value <= score.interval.high
    assert score.null.mean > score.interval.high
    for kind in ("shuffled_trials", "phase_randomised"):
        with pytest.raises(ValueError, match=f"`null`: '{kind}' leaves 'dsa' as it is"):
            measure(make_trajectories(0), make_trajectories(1), null=kind)


def brute(x, y, p):
    from itertools import permutations

    cost = np.abs(x[:, None] - y[None]) ** p
    return min(cost[np.arange(len(x)), list(o)].mean() for o in permutations(range(len(y)))) ** (1 / p)


@pytest.mark.parametrize("p", [1, 2])
def test_wasserstein_equals_all_permutations(p):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 6)) + 1j * rng.normal(size=(2, 6))
    assert wasserstein(x, y, p) == pytest.approx(brute(x, y, p), rel=1e-12)


def test_wasserstein_policies_for_unequal_sizes():
    x, y = np.array([0.0, 2.0]), np.array([0.0, 0.0, 2.0])
    with pytest.raises(ValueError, match="`y`: expected as many points as `x`, 2, got 3"):
        wasserstein(x, y)
    assert wasserstein(x, y, 1, "zero") == 0
    assert wasserstein(x, y, 1, "uniform") == pytest.approx(2 / 6)  # a sixth of the weight moves by 2
    assert wasserstein(x, y, 2, "uniform") == pytest.approx(np.sqrt(4 / 6))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), p=st.sampled_from([1, 2]), n=st.integers(1, 6))
def test_wasserstein_is_a_metric(seed, p, n):
    rng = np.random.default_rng(seed)
    sets = rng.normal(size=(4, n)) + 1j * rng.normal(size=(4, n))
    d = np.array([[wasserstein(x, y, p) for y in sets] for x in sets])
    np.testing.assert_allclose(d, d.T, atol=1e-12)
    assert np.allclose(np.diag(d), 0)
    assert (d[:, :, None] <= d[:, None, :] + d.T[None] + 1e-12).all()


def test_continuous_spectra_do_not_depend_on_the_rate_of_sampling():
    rng = np.random.default_rng(1)
    a = np.array([[-0.5, -3.0, 0.0], [3.0, -0.5, 0.0], [0.0, 0.0, -1.0]])
    from scipy.linalg import expm

    def sampled(dt):
        x = [rng.normal(size=(9, 3))]
        for _ in range(30):
            x.append(x[-1] @ expm(a * dt).T)
        return System.from_arrays(f"{dt}", np.stack(x, 1), dt=dt)

    options = {"rank": 3, "n_delays": 1, "center": False}
    assert get_measure("spectrum_w2_continuous", **options)(sampled(0.05), sampled(0.1)).value < 1e-9
    for name in ("spectrum_w2", "dsa"):
        with pytest.raises(
            ValueError, match=r"^`dt`: .* got 0\.05 s for '0\.05' and 0\.1 s for '0\.1'\. Resample .*, or"
        ):
            get_measure(name, **options)(sampled(0.05), sampled(0.1))


@pytest.mark.parametrize("name", ["dsa", "dsa_euclidean", "spectrum_w2", "spectrum_w1", "spectrum_w2_continuous"])
def test_poor_data_get_the_right_answer_or_a_clear_error(make_trajectories, name):
    measure = get_measure(name, rank=4, n_delays=2)
    x = make_trajectories(0)
    assert measure(x[:1], x[:1]).value == pytest.approx(0, abs=1e-9)  # a single trial is enough
    with pytest.raises(ValueError, match="`interval`: expected at least 3 trials to resample, got 1"):
        measure(x[:1], x[:1], interval=0.9)
    with pytest.raises(ValueError, match="`trajectories` of 'b': all 437 states are the same"):
        measure(x, np.full_like(x, 0.3))
    with pytest.raises(ValueError, match="`n_delays`: 2 delays 1 steps apart need trials of at least 3 steps, got 2"):
        measure(x, x[:, :2])
    with pytest.raises(ValueError, match="`b`: expected finite values, got 1 NaN or infinite"):
        spoiled = x.copy()
        spoiled[0, 0, 0] = np.nan
        measure(x, spoiled)
    with pytest.raises(ValueError, match=r"`rank`: the embedded trajectories of 'b' .* have rank 2, got 4"):
        measure(x, x[..., :1])
    before = x.copy()
    measure(x.astype(np.float32), x)
    assert np.array_equal(x, before)

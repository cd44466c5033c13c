"""InputDSA: zero on conjugate copies in all its parts, an honest Procrustes problem, identification in closed form."""

import numpy as np
import pytest

from conjugacy import System
from conjugacy.similarity import get_measure
from conjugacy.similarity.input_dsa import best_rotation, controllability, identify, joint_distance


def driven(seed, n, m, radius=0.9):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, n))
    return a * radius / np.abs(np.linalg.eigvals(a)).max(), rng.normal(size=(n, m))


def simulate(a, b, seed=0, n_trials=13, n_steps=60):
    rng = np.random.default_rng(seed)
    u, x = rng.normal(size=(n_trials, n_steps, b.shape[1])), rng.normal(size=(n_trials, len(a)))
    states = []
    for t in range(n_steps):
        x = x @ a.T + u[:, t] @ b.T
        states.append(x)
    return np.stack(states, 1), u


@pytest.mark.parametrize("det", [1, -1])
@pytest.mark.parametrize("n", [2, 5, 20, 100])
@pytest.mark.parametrize("radius", [0.3, 0.9, 1.1])
def test_conjugate_copies_are_at_zero(make_rotation, n, det, radius):
    a, b = driven(n, n, 3, radius)
    q = make_rotation(n, det)
    for score in ("angular", "euclidean"):
        s = joint_distance((a, b), (q @ a @ q.T, q @ b), score=score)
        assert s.value <= 1e-8 and s.diagnostics["state"] <= 1e-7 and s.diagnostics["input"] <= 1e-8


def test_the_transposed_rotation_is_not_the_answer(make_rotation):
    # what a shipped implementation scores on conjugate copies, where 0 is right
    a, b = driven(0, 8, 3)
    q = make_rotation(8, 1)
    k1, k2 = controllability(a, b, 8), controllability(q @ a @ q.T, q @ b, 8)
    c = best_rotation(k1, k2)
    np.testing.assert_allclose(k1, c @ k2, atol=1e-10)
    assert np.linalg.norm(k1 - c.T @ k2) > 1


def test_equals_brute_force_in_the_plane():
    (a1, b1), (a2, b2) = driven(1, 2, 1), driven(2, 2, 1)
    k1, k2 = (controllability(a, b, 2) for a, b in ((a1, b1), (a2, b2)))
    k1, k2 = k1 / np.linalg.norm(k1), k2 / np.linalg.norm(k2)
    t = np.linspace(0, 2 * np.pi, 20_001)
    turn = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]).transpose(2, 0, 1)
    both = np.concatenate([turn, turn @ np.diag([1, -1])])
    best = np.linalg.norm(k1 - both @ k2, axis=(1, 2)).min()
    assert joint_distance((a1, b1), (a2, b2), score="euclidean").value == pytest.approx(best, abs=1e-7)


def test_parts_tell_what_differs(make_rotation):
    a, b = driven(3, 5, 2)
    other = driven(4, 5, 2)
    same_state = joint_distance((a, b), (a, other[1])).diagnostics
    assert same_state["state"] < 1e-7 and same_state["input"] > 0.1
    same_input = joint_distance((a, b), (other[0], b)).diagnostics
    assert same_input["input"] < 1e-8 and same_input["state"] > 0.1


def test_triangle_inequality_and_symmetry():
    systems = [driven(s, 4, 2) for s in range(5)]
    d = np.array([[joint_distance(x, y).value for y in systems] for x in systems])
    np.testing.assert_allclose(d, d.T, atol=1e-9)
    assert (d[:, :, None] <= d[:, None, :] + d.T[None] + 1e-9).all()


def test_identification_from_observed_states_is_exact():
    a, b = driven(5, 4, 2)
    x, u = simulate(a, b)
    found = identify(x, 4, inputs=u)
    assert found.r2 == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(np.sort_complex(np.linalg.eigvals(found.A)), np.sort_complex(np.linalg.eigvals(a)))


def test_identification_from_half_of_the_state_is_exact_by_subspaces():
    a, b = driven(6, 4, 2)
    x, u = simulate(a, b)
    y = x @ np.random.default_rng(0).normal(size=(4, 2))
    found = identify(y, 4, 6, inputs=u, method="subspace")
    np.testing.assert_allclose(
        np.sort_complex(np.linalg.eigvals(found.A)), np.sort_complex(np.linalg.eigvals(a)), atol=1e-8
    )
    assert identify(y, 2, 1, inputs=u).r2 < 0.99


def test_trials_are_kept_apart():
    a, b = driven(7, 3, 2)
    x, u = simulate(a, b, n_trials=20, n_steps=8)
    lengths = np.random.default_rng(1).integers(5, 9, 20)
    ragged = [x[k, :n] for k, n in enumerate(lengths)], [u[k, :n] for k, n in enumerate(lengths)]
    system = System.from_arrays("ragged", *ragged)
    np.testing.assert_allclose(
        np.sort_complex(np.linalg.eigvals(identify(system, 3).A)), np.sort_complex(np.linalg.eigvals(a)), atol=1e-10
    )


@pytest.mark.parametrize("method", ["observed", "subspace"])
def test_measured_systems_in_other_coordinates_are_at_zero(make_rotation, method):
    a, b = driven(8, 3, 2)
    x, u = simulate(a, b)
    y = 2 * x @ make_rotation(3, -1) + 1
    measure = get_measure("input_dsa", rank=3, n_delays=2, method=method)
    score = measure(System.from_arrays("x", x, u), System.from_arrays("y", y, u), interval=0.9, n_resamples=20)
    assert score.value < 1e-8 and score.interval.low == pytest.approx(0, abs=1e-8)
    assert score.diagnostics["state"] < 1e-6 and score.diagnostics["input"] < 1e-8


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.eye(2), (np.eye(2), np.ones((2, 1))), r"`first`: expected a pair \(A, B\), got ndarray"),
        ((np.eye(2), np.ones((3, 1))), (np.eye(2), np.ones((2, 1))), "`first`: expected A .n, n. and B .n, m."),
        ((np.eye(2), np.ones((2, 1))), (np.eye(3), np.ones((3, 1))), "`second`: expected the sizes of `first`"),
        ((np.eye(2), np.ones((2, 1))), (np.eye(2), np.ones((2, 2))), "`second`: expected the sizes of `first`"),
        ((np.eye(2), np.zeros((2, 1))), (np.eye(2), np.ones((2, 1))), "`first`: B is zero"),
        ((np.full((2, 2), np.inf), np.ones((2, 1))), (np.eye(2), np.ones((2, 1))), "`first`: expected finite values"),
    ],
)
def test_bad_arguments_are_named(first, second, message):
    with pytest.raises(ValueError, match=message):
        joint_distance(first, second)


def test_systems_without_inputs_are_refused(make_trajectories):
    with pytest.raises(ValueError, match="`inputs`: 'a' has none"):
        get_measure("input_dsa")(make_trajectories(0), make_trajectories(1))
    with pytest.raises(ValueError, match="`n_delays`: windows of 10 need trials of at least 21 steps"):
        identify(make_trajectories(0), 3, 10, inputs=np.ones((23, 19, 1)), method="subspace")

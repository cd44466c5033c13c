"""Matched units and stochastic shapes: brute force, closed forms, and rotations taken out."""

from itertools import permutations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from conjugacy.similarity import get_measure
from conjugacy.similarity.stochastic import stochastic_shape_distance


def test_permutation_equals_all_assignments(make_trajectories):
    x, y = make_trajectories(0, n_units=4), make_trajectories(1, n_units=4)
    a, b = (v.reshape(-1, 4) - v.reshape(-1, 4).mean(0) for v in (x, y))
    best = max((a * b[:, list(p)]).sum() for p in permutations(range(4)))
    expected = np.arccos(best / np.linalg.norm(a) / np.linalg.norm(b))
    assert get_measure("permutation")(x, y).value == pytest.approx(expected, rel=1e-10)


def test_permutation_never_pairs_what_only_costs(make_trajectories):
    x = make_trajectories(0, n_units=2)
    y = np.concatenate([x, -3 * x], 2)
    a, b = (v.reshape(-1, v.shape[2]) - v.reshape(-1, v.shape[2]).mean(0) for v in (x, y))
    expected = np.arccos((a**2).sum() / np.linalg.norm(a) / np.linalg.norm(b))
    assert get_measure("permutation")(x, y).value == pytest.approx(expected, rel=1e-9)


def test_soft_matching_of_equal_sizes_is_one_to_one_and_copies_share_their_weight(make_trajectories):
    x, y = make_trajectories(0, n_units=4), make_trajectories(1, n_units=4)
    c = np.corrcoef(x.reshape(-1, 4).T, y.reshape(-1, 4).T)[:4, 4:]
    best = max(np.mean([c[i, p[i]] for i in range(4)]) for p in permutations(range(4)))
    assert get_measure("soft_matching")(x, y).value == pytest.approx(best, rel=1e-10)
    assert get_measure("soft_matching")(x, np.concatenate([x, x], 2)).value == pytest.approx(1, abs=1e-9)


def responses(seed, n_trials=40, n_conditions=3):
    rng = np.random.default_rng(seed)
    condition = np.repeat(np.arange(n_conditions), n_trials)
    means = 2 * rng.normal(size=(n_conditions, 5, 3))
    mixing = rng.normal(size=(n_conditions, 5, 3, 3))
    noise = np.einsum("ktuv,ktv->ktu", mixing[condition], rng.normal(size=(len(condition), 5, 3)))
    return means[condition] + noise, condition


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.0])
def test_rotated_copies_are_at_zero(make_rotation, alpha):
    x, condition = responses(0)
    y = x @ make_rotation(3, -1) + 4
    assert stochastic_shape_distance(x, y, condition, alpha=alpha)["distance"] < 1e-5


def test_parts_are_the_gaussian_distance_at_the_rotation():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 60, 1, 1))  # one unit: rotations are signs
    y = 0.1 * y + 0.0
    condition = np.repeat([0, 1], 30)
    x[:30] += 5
    y[:30] += 5
    found = stochastic_shape_distance(x, y, condition)
    sx, sy = (np.array([v[condition == k].std(ddof=1) for k in (0, 1)]) for v in (x, y))
    assert found["noise"] == pytest.approx(np.sqrt(np.mean((sx - sy) ** 2)), rel=1e-9)
    gap = [v[:30].mean() - v[30:].mean() for v in (x, y)]
    assert found["means"] == pytest.approx(abs(gap[0] - gap[1]) / 2, rel=1e-9)


def test_bures_part_equals_its_formula():
    x, condition = responses(2, n_conditions=1)
    y, _ = responses(3, n_conditions=1)
    found = stochastic_shape_distance(x, y, condition, alpha=0.0)
    # no worse than without rotation, by the formula with matrix square roots
    total = 0.0
    for t in range(5):
        s, r = np.cov(x[:, t].T), np.cov(y[:, t].T)
        root = sqrtm(s).real
        total += np.trace(s) + np.trace(r) - 2 * np.trace(sqrtm(root @ r @ root).real)
    assert found["noise"] <= np.sqrt(total / 5) + 1e-9


def test_bad_conditions_are_named():
    x, condition = responses(4)
    with pytest.raises(ValueError, match="`conditions`: expected one for each of the 120 trials of 'a', got shape"):
        stochastic_shape_distance(x, x, condition[:5])
    with pytest.raises(ValueError, match="`conditions`: expected at least 2 trials of each, got 1"):
        stochastic_shape_distance(x, x, np.arange(120))
    with pytest.raises(ValueError, match="`conditions`: expected the same conditions"):
        stochastic_shape_distance(x, x, (condition, condition % 2))


@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_the_stochastic_distance_is_the_minimum_of_a_scan_of_the_plane(alpha):
    rng = np.random.default_rng(5)
    condition = np.repeat([0, 1, 2], 12)
    x, y = (
        rng.normal(size=(36, 1, 2)) @ np.diag(rng.uniform(0.1, 3, 2)) + 3 * rng.normal(size=(3, 1, 2))[condition]
        for _ in range(2)
    )
    found = stochastic_shape_distance(x, y, condition, alpha=alpha)
    (mx, sx), (my, sy) = (
        [np.array(v) for v in zip(*[(z[condition == k, 0].mean(0), np.cov(z[condition == k, 0].T)) for k in range(3)])]
        for z in (x, y)
    )
    mx, my, best = mx - mx.mean(0), my - my.mean(0), np.inf
    for angle in np.linspace(0, 2 * np.pi, 721):
        for sign in (1, -1):
            q = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([1, sign])
            noise = [
                np.trace(a) + np.trace(b) - 2 * np.sqrt(np.linalg.eigvals(a @ q.T @ b @ q).real.clip(0)).sum()
                for a, b in zip(sx, sy)
            ]
            best = min(best, alpha * ((mx - my @ q) ** 2).sum(1).mean() + (2 - alpha) * np.mean(noise))
    assert found["distance"] <= np.sqrt(best) * (1 + 1e-9) and found["distance"] == pytest.approx(
        np.sqrt(best), rel=1e-3
    )
    assert 1 <= found["n_agree"] <= found["n_starts"] == 67

"""Groups of networks: level, power, exactness, and independence of order."""

import math
from itertools import combinations

import numpy as np
import pytest

import conjugacy as cj
from conjugacy.analysis.groups import _effect, _means, _permuted, _statistics, distances_of, group_tests
from conjugacy.similarity import get_measure


def _points(rng, n, shift=0.0, spread=1.0):
    """Distances of points in the plane: two groups of n, the second shifted."""
    x = spread * rng.normal(size=(2 * n, 2))
    x[n:, 0] += shift
    return np.linalg.norm(x[:, None] - x[None], axis=-1), np.repeat([0, 1], n)


def _test(d, labels, n_permutations=400, seed=0):
    return group_tests({"m": d}, labels, ["A", "B"], n_permutations, 0.95, seed)[0]


def test_statistics_are_those_of_a_loop():
    d, labels = _points(np.random.default_rng(0), 4)
    rng = np.random.default_rng(1)
    ways = np.array([rng.permutation(labels == 0) for _ in range(5)])
    for way, value in zip(ways, _statistics(d, ways)):
        within = [np.mean([d[i, j] for i, j in combinations(np.flatnonzero(g), 2)]) for g in (way, ~way)]
        across = np.mean([d[i, j] for i in np.flatnonzero(way) for j in np.flatnonzero(~way)])
        assert value == pytest.approx(across - sum(within) / 2)
        assert _means(d, way) == pytest.approx((sum(within) / 2, across))


def test_the_level_is_five_per_cent():
    rng = np.random.default_rng(0)
    draws = (_points(rng, 5)[0] for _ in range(1000))
    rejected = sum(_permuted(d, np.arange(10) < 5, 300, rng)[0] <= 0.05 for d in draws)
    # binomial band of 99 %, and the p-values of 252 divisions are coarse
    assert 30 <= rejected <= 69


@pytest.mark.parametrize(("n", "least"), [(3, 0.0), (5, 0.5), (8, 0.9)])
def test_power_grows_with_the_number_of_networks(n, least):
    rng = np.random.default_rng(1)
    rejected = np.mean([_test(*_points(rng, n, shift=2.5)).p_value <= 0.05 for _ in range(60)])
    assert rejected >= least
    if n == 3:  # 2 of 20 divisions are the lowest
        assert rejected == 0


def test_few_networks_are_gone_through_and_the_floor_is_said():
    d, labels = _points(np.random.default_rng(2), 4, shift=50.0)
    found = _test(d, labels)
    assert found.exact
    assert found.p_value == found.p_floor == pytest.approx(2 / math.comb(8, 4))
    assert found.effect == found.low == found.high == 1.0
    many, names = _points(np.random.default_rng(2), 12, shift=50.0)
    drawn = _test(many, names)
    assert not drawn.exact
    assert drawn.p_value == drawn.p_floor == pytest.approx(1 / 401)


@pytest.mark.parametrize("n", [4, 12])
def test_the_order_of_networks_changes_nothing(n):
    rng = np.random.default_rng(3)
    d, labels = _points(rng, n, shift=1.0)
    order = rng.permutation(2 * n)
    assert _test(d, labels) == _test(d[np.ix_(order, order)], labels[order])


def test_a_group_that_varies_more_is_no_other_group():
    rng = np.random.default_rng(4)
    effects = []
    for _ in range(50):
        x = np.concatenate([rng.normal(size=(6, 2)), 3 * rng.normal(size=(6, 2))])
        d = np.linalg.norm(x[:, None] - x[None], axis=-1)
        effects.append(_effect(d, np.arange(12) < 6))
    assert np.mean(effects) == pytest.approx(0.5, abs=0.1)


def test_similarities_become_distances():
    d = distances_of(get_measure("cka"), np.array([[1.0, 0.7], [0.7, 1.0]]))
    assert d == pytest.approx(np.array([[0.0, 0.3], [0.3, 0.0]]))


def test_systems_of_two_kinds():
    rng = np.random.default_rng(5)

    def system(name, rate):
        x = np.zeros((20, 60, 3))
        for t in range(1, 60):
            x[:, t] = rate * x[:, t - 1] + rng.normal(size=(20, 3))
        return cj.System.from_arrays(name, x, dt=0.01)

    groups = {kind: [system(f"{kind} {k}", rate) for k in range(4)] for kind, rate in (("fast", 0.5), ("slow", 0.95))}
    found = cj.compare_groups(groups, ["timescales"])
    (test,) = found.tests
    assert test.p_value == pytest.approx(2 / 70)
    assert test.between > test.within
    assert found.distances["timescales"].shape == (8, 8)
    assert "differ more than copies do" in repr(found)
    assert list(found.table().index.names) == ["measure", "a", "b"]


def test_arrays_are_systems():
    rng = np.random.default_rng(6)
    arrays = [rng.normal(size=(6, 12, 3)) for _ in range(4)]
    found = cj.compare_groups({"a": arrays[:2], "b": arrays[2:]}, ["procrustes"])
    named = [cj.System.from_arrays(str(k), x) for k, x in enumerate(arrays)]
    same = cj.compare_groups({"a": named[:2], "b": named[2:]}, ["procrustes"])
    assert np.array_equal(found.distances["procrustes"], same.distances["procrustes"])


@pytest.mark.parametrize(
    ("groups", "error", "words"),
    [
        ([1, 2], TypeError, "`groups`"),
        ({"a": [1, 2]}, ValueError, "at least 2 groups"),
        ({"a": "runs", "b": [1, 2]}, TypeError, r"`groups\['a'\]`"),
        ({"a": [1], "b": [2, 3]}, ValueError, r"`groups\['a'\]`: expected at least 2"),
        ({"a": [True, None], "b": [None, 3]}, ValueError, "twice"),
        ({"a": ["x", np.zeros((5, 9, 2))], "b": [1, 2]}, TypeError, r"`groups\['a'\]\[0\]`.*conjugacy\.load"),
    ],
)
def test_bad_groups(groups, error, words):
    with pytest.raises(error, match=words):
        cj.compare_groups(groups)

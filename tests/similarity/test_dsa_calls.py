"""The call of the package dsa-metric gives our DSA at its settings."""

import numpy as np
import pytest
import torch

from conjugacy.similarity import get_measure
from conjugacy.similarity.dsa_calls import DSA


def _walks(n, seed=0):
    return [np.random.default_rng([seed, k]).normal(size=(4, 40, 3)).cumsum(1) for k in range(n)]


def test_two_arrays_give_a_number_that_is_our_dsa_without_centring():
    a, b = _walks(2)
    ours = get_measure("dsa", rank=5, n_delays=3, center=False)
    assert DSA(a, b, n_delays=3, rank=5).fit_score() == pytest.approx(ours(a, b).value, abs=1e-9)


def test_lists_give_tables():
    walks = _walks(3)
    table = DSA(walks, n_delays=2, rank=4).fit_score()
    assert table.shape == (3, 3) and (np.diag(table) == 0).all() and (table == table.T).all()
    cross = DSA(walks[:2], walks[1:], n_delays=2, rank=4).fit_score()
    np.testing.assert_allclose(cross, [[table[0, 1], table[0, 2]], [0, table[1, 2]]], atol=1e-6)
    assert DSA(walks, walks[0], n_delays=2, rank=4).fit_score().shape == (3, 1)


def test_a_rotated_copy_is_no_distance_away_and_no_rank_takes_all():
    a = _walks(1)[0]
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    assert DSA(a, a @ turn, n_delays=2).fit_score() < 1e-6
    single = DSA(a[0], (a @ turn)[0], n_delays=2, rank=4, score_method="euclidean")  # (time, unit): one trial
    assert single.fit_score() < 1e-6


def test_what_cannot_be_compared_is_refused():
    a, b = _walks(2)
    with pytest.raises(ValueError, match="`Y`"):
        DSA(a)
    with pytest.raises(ValueError, match="`rank`"):
        DSA(a, b, rank=0)
    with pytest.raises(ValueError, match="`score"):
        DSA(a, b, score_method="cosine")
    with pytest.raises(ValueError, match="rank"):
        DSA(a, b, rank=50).fit_score()


@pytest.mark.slow
def test_the_package_finds_the_same_values_or_worse_ones():
    theirs = pytest.importorskip("DSA", reason="dsa-metric is not installed").DSA
    pair = [noisy_rotation(seed) for seed in (1, 2)]
    with torch.random.fork_rng():
        torch.manual_seed(0)  # its descent starts from a draw of the global generator
        for settings in ({"n_delays": 2, "rank": 6}, {"n_delays": 1, "rank": 4}):
            for score in ("angular", "euclidean"):
                found = theirs(*pair, score_method=score, iters=1500, lr=5e-3, **settings).fit_score()
                ours = DSA(*pair, score_method=score, **settings).fit_score()
                assert ours < found + 1e-5 and found < ours + 0.02  # its descent may not have arrived
            squared = theirs(*pair, score_method="wasserstein", **settings).fit_score()
            ours = get_measure("spectrum_w2", center=False, **settings)(*pair, interval=None).value
            assert ours**2 == pytest.approx(squared, rel=1e-3)


def noisy_rotation(seed):
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0] * 0.95
    x = np.zeros((12, 60, 4))
    x[:, 0] = rng.normal(size=(12, 4))
    for t in range(1, 60):
        x[:, t] = x[:, t - 1] @ turn.T + 0.1 * rng.normal(size=(12, 4))
    return x


def test_spectra_are_asked_for_by_their_measure():
    with pytest.raises(ValueError, match=r"^`score_method`: .*got 'wasserstein'.*spectrum_w2"):
        DSA(noisy_rotation(1), noisy_rotation(2), score_method="wasserstein")

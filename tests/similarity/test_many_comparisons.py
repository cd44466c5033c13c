"""p-values of many pairs, corrected for their number."""

import numpy as np
import pytest

from conjugacy.similarity import pairwise
from conjugacy.similarity.many_comparisons import benjamini_hochberg, holm, uncertainty_said


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_benjamini_and_hochberg_against_the_definition():
    from scipy.stats import false_discovery_control

    p = np.random.default_rng(0).uniform(size=40) ** 2
    assert np.allclose(benjamini_hochberg(p), false_discovery_control(p))
    with_none = benjamini_hochberg([0.01, np.nan, 0.02])
    assert np.isnan(with_none[1]) and np.allclose(with_none[[0, 2]], [0.02, 0.02])
    assert len(benjamini_hochberg([])) == 0


def test_false_discoveries_are_as_few_as_said():
    rng, shares = np.random.default_rng(1), []
    for _ in range(300):
        related = rng.random(50) < 0.3
        p = np.where(related, rng.uniform(size=50) ** 8, rng.uniform(size=50))
        called = benjamini_hochberg(p) <= 0.1
        shares.append((called & ~related).sum() / max(called.sum(), 1))
    assert np.mean(shares) < 0.1


def test_a_table_of_pairs_carries_corrected_p_values_and_says_what_was_resampled():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 10, 4))
    found = pairwise([x, x + rng.normal(size=x.shape), rng.normal(size=x.shape)], ["cka", "procrustes"], null="auto",
                     interval=0.95, n_surrogates=39)  # fmt: skip
    table = found.table()
    assert (table["p_corrected"] >= table["p_value"]).all() and table["p_corrected"].max() <= 1
    assert "over the 6 p-values" in table.attrs["p_corrected"]
    assert table["interval"].str.contains("jackknife over trials").all()
    assert (table["null_breaks"] == "which trial of one belongs to which of the other").all()
    text = "\n".join(uncertainty_said(found.scores))
    assert "Surrogates of cka, procrustes: shuffled_trials; they keep the dynamics of both" in text

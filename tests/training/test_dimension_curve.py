"""The number of latents that a recording asks for."""

import numpy as np
import pytest

import conjugacy as cj
from conjugacy.recordings.trial_sums import TrialSums
from conjugacy.training import DimensionCurve, latent_dimension


def curve(means, noise=0.02, n=200):
    rng = np.random.default_rng(0)
    common = rng.standard_normal(n)  # trials differ more than sizes do
    spikes = np.full(n, 50.0)
    return DimensionCurve(
        tuple(means),
        {k: TrialSums(50 * (m + common + noise * rng.standard_normal(n)), spikes) for k, m in means.items()},
    )


def test_the_smallest_size_that_is_not_clearly_worse_is_chosen():
    found = curve({1: 0.1, 2: 0.25, 3: 0.4, 5: 0.4001, 8: 0.39})
    assert found.best in (3, 5) and found.chosen == 3
    assert list(found.table()["chosen"]) == [False, False, True, False, False]
    # errors of a size alone, which trials have in common, would have chosen a smaller one
    assert found.below_best(2)[1] < 0.01


def test_fits_are_kept_and_found_again(tmp_path):
    rng = np.random.default_rng(0)
    r = cj.Recording.from_counts(rng.poisson(0.5, (20, 12, 5)), 0.01, held_out=(4,))
    options = {"sizes": (1, 2), "n_folds": 2, "steps": 2, "out": tmp_path, "progress": False}
    a, b = (latent_dimension(r, cj.networks.GRU, **options) for _ in range(2))
    assert len(list(tmp_path.iterdir())) == 4
    assert a.table().equals(b.table()) and "chosen" in repr(a)
    with pytest.raises(ValueError, match="`sizes`: expected different numbers of latents"):
        latent_dimension(r, cj.networks.GRU, sizes=(2, 2))
    with pytest.raises(TypeError, match="`model`: expected a Network, got 3"):
        latent_dimension(r, lambda k: 3, sizes=(2,))

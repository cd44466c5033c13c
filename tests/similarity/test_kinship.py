"""Unrelated systems of the same kind: what they keep, what they break, and the test that is made of them."""

import numpy as np
import pytest

from conjugacy import System
from conjugacy.similarity import get_measure
from conjugacy.similarity.kinship import ENOUGH, p_value
from conjugacy.similarity.matched_systems import KINDS, Autoregression, _other_spectrum
from conjugacy.similarity.worlds import make_world


def test_another_spectrum_has_the_same_eigenvalues_and_departure_from_normality():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(6, 6)) * 0.3
    b = _other_spectrum(a, rng)
    assert np.allclose(np.sort_complex(np.linalg.eigvals(a)), np.sort_complex(np.linalg.eigvals(b)))
    assert np.linalg.norm(a) == pytest.approx(np.linalg.norm(b))
    assert not np.allclose(np.linalg.svd(a)[1], np.linalg.svd(b)[1], atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unrelated_system_keeps_lengths_slowness_and_noise(kind):
    a, _ = make_world("ragged", seed=5).draw(300, 0)
    model = Autoregression.fitted(a, kind)
    other = model.unrelated(kind, np.random.default_rng(0))
    assert other.lengths.tolist() == a.lengths.tolist() and other.trajectories.shape[:2] == a.trajectories.shape[:2]
    again = Autoregression.fitted(other, kind)
    assert np.allclose(np.sort(model.noise_sizes), np.sort(again.noise_sizes), rtol=0.1)
    if kind == "spectrum":
        moduli = (np.sort(np.abs(np.linalg.eigvals(m.operators[0]))) for m in (model, again))
        assert np.allclose(*moduli, atol=0.08)
    assert again.unexplained < 0.02  # it is what the model says


def test_filtered_noise_is_fitted_by_the_second_order_and_not_by_the_first():
    rng = np.random.default_rng(2)
    z = np.zeros((60, 92, 4))
    for t in range(2, 92):  # all channels through one second-order filter
        z[:, t] = 1.6 * z[:, t - 1] - 0.7 * z[:, t - 2] + rng.normal(size=(60, 4))
    noise = System.from_arrays("filtered noise", z[:, 30:] @ rng.normal(size=(4, 4)))
    first, second = (Autoregression.fitted(noise, kind) for kind in KINDS)
    assert first.unexplained > 0.2 and second.unexplained < 0.01
    # nothing in it joins the channels, and nothing is left of the interaction that noise alone put there
    turned = second._turned(rng)
    common = np.trace(turned, axis1=1, axis2=2) / 4
    assert np.allclose(common, [1.6, -0.7], atol=0.05)
    assert np.abs(turned - common[:, None, None] * np.eye(4)).max() < 0.05


def test_the_sequence_stops_when_ten_are_as_similar():
    measure = get_measure("dsa")
    assert p_value(measure, np.r_[np.zeros(ENOUGH), np.ones(10)], 0.5, 100) == ENOUGH / (ENOUGH + 10)
    assert p_value(measure, np.ones(39), 0.5, 39) == 1 / 40
    assert p_value(measure, np.full(39, 0.5), 0.5, 39) == 1.0  # ties are as similar


def test_unrelated_systems_are_not_kin_and_copies_are():
    # independent phases found 78 % of unrelated linear pairs kin at the level of 5 %
    measure, found = get_measure("dsa", rank=6, n_delays=2), {"unrelated": [], "copy": []}
    for relation, p_values in found.items():
        for seed in range(4):
            a, b = make_world("linear", relation, 700 + seed).draw(30, 0)
            p_values.append(measure(a, b, null="auto", n_surrogates=19, seed=seed).null.p_value)
    assert min(found["unrelated"]) > 0.05 and max(found["copy"]) == pytest.approx(0.05)


def test_a_record_that_no_model_fits_has_no_p_value():
    rng = np.random.default_rng(0)
    t = np.arange(60)
    x = np.sign(np.sin(0.35 * t[None, :, None] + rng.uniform(0, 6, (40, 1, 1)) + np.arange(3)))
    a, b = (System.from_arrays(n, x + 0.4 * rng.normal(size=x.shape)) for n in "ab")
    with pytest.warns(
        UserWarning,
        match="no null: unrelated systems of the kind of these records cannot be made: no autoregression of order 1",
    ):
        score = get_measure("dsa", rank=3, n_delays=2)(a, b, null="auto")
    assert np.isnan(score.null.p_value)


def test_independently_filtered_noise_is_not_kin():
    rng = np.random.default_rng(4)
    measure, p_values = get_measure("dsa", rank=4, n_delays=2), []
    for k in range(4):
        records = []
        for name in "ab":
            z = np.zeros((30, 90, 5))
            for t in range(2, 90):
                z[:, t] = 1.5 * z[:, t - 1] - 0.6 * z[:, t - 2] + rng.normal(size=(30, 5))
            records.append(System.from_arrays(name, z[:, 30:] @ rng.normal(size=(5, 5))))
        p_values.append(measure(*records, null="auto", n_surrogates=19, seed=k).null.p_value)
    assert sum(p <= 0.05 for p in p_values) <= 1


def test_random_walks_are_not_kin():
    # with six dimensions of eighty modelled, every pair of independent walks passed for kin
    def walks(seed, n_units):
        return System.from_arrays(str(seed), np.random.default_rng(seed).normal(size=(25, 60, n_units)).cumsum(1))

    with pytest.warns(UserWarning, match="no null: .* their variance changes within trials"):
        score = get_measure("dsa", rank=4, n_delays=2)(walks(0, 20), walks(1, 20), null="auto", n_surrogates=9)
    assert np.isnan(score.null.p_value)


def test_surrogates_have_the_dimensions_of_the_record():
    rng = np.random.default_rng(0)
    x = np.zeros((40, 100, 20))
    a = rng.normal(size=(20, 20))
    a *= 0.8 / np.abs(np.linalg.eigvals(a)).max()
    for t in range(1, 100):
        x[:, t] = x[:, t - 1] @ a.T + rng.normal(size=(40, 20))
    model = Autoregression.fitted(System.from_arrays("wide", x[:, 30:]), "spectrum")
    assert model.unexplained < 0.05 and len(model.noise_sizes) >= 18
    short = Autoregression.fitted(System.from_arrays("short", x[:2, 30:]), "spectrum")
    assert short.unexplained == 1.0  # 140 steps do not fix 400 weights

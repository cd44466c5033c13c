"""What is undefined is said: no value that algebra or rounding made, no NaN without its reason."""

import numpy as np
import pytest

from conjugacy import System
from conjugacy.similarity import Undefined, get_measure, pairwise
from conjugacy.similarity.dmd import dmd
from conjugacy.similarity.hsic import unbiased_hsic, unbiased_linear_hsic


@pytest.mark.parametrize("x", [np.eye(7)[None], np.concatenate([[[1.0, 2, 3]], np.zeros((6, 3))])[None]])
@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_states_that_share_nothing_have_no_unbiased_cka(x, shift):
    with pytest.raises(Undefined, match=r"^`trajectories` of 'a': 'cka_unbiased' is undefined \(0/0\), got states"):
        get_measure("cka_unbiased")(x + shift, x)


def test_unbiased_cka_takes_all_states_and_equals_its_kernel_form(make_trajectories):
    x, y = make_trajectories(0, 11, 13, 4), make_trajectories(1, 11, 13, 3)
    k, m = (z.reshape(-1, z.shape[2]) @ z.reshape(-1, z.shape[2]).T for z in (x, y))
    expected = unbiased_hsic(k, m) / np.sqrt(unbiased_hsic(k, k) * unbiased_hsic(m, m))
    score = get_measure("cka_unbiased")(x, y)
    assert score.value == pytest.approx(expected, abs=1e-12) and score.diagnostics["n_samples"] == 143
    assert unbiased_linear_hsic(x[0], y[0]) == pytest.approx(unbiased_hsic(x[0] @ x[0].T, y[0] @ y[0].T), rel=1e-10)


@pytest.mark.parametrize(("name", "expected"), [("cca", np.pi / 2), ("svcca", 0.0)])
def test_more_dimensions_than_samples_warn_and_cross_validate(name, expected):
    x, y = np.random.default_rng(0).standard_normal((2, 6, 15, 100))
    with pytest.warns(UserWarning, match=f"^{name}: 90 samples are too few for .* are 1 by algebra"):
        score = get_measure(name)(x, y)
    assert score.warnings and "Warning: 90 samples" in repr(score)
    assert score.diagnostics["cross_validated"] == pytest.approx(expected, abs=0.15)
    with pytest.warns(UserWarning, match=name):
        assert "1 by algebra" in pairwise([x, y], name, progress=False).table()["warnings"][0]


def test_weights_of_equal_correlations_are_undefined_or_the_mean_over_bases():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(1, 300, 4))
    x, y = (np.concatenate([shared, rng.normal(size=(1, 300, 4))], 2) for _ in range(2))
    with pytest.raises(Undefined, match="some of the 8 canonical correlations are equal"):
        get_measure("pwcca")(x, y)
    mean = get_measure("pwcca", repeated="mean")
    assert np.ptp([mean(x + c, y - c).value for c in (0, 1, 10)]) < 1e-9
    with pytest.warns(UserWarning, match="'a'|pwcca"):
        table = pairwise([x, y], "pwcca", progress=False).table()
    assert table["value"].isna().all() and table["warnings"].str.contains("arbitrary basis").all()


@pytest.mark.parametrize("n_delays", [5, 10])
def test_the_optimal_rank_of_clean_data_is_their_rank(n_delays):
    t = np.arange(300)
    mix = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    x = (np.stack([9 * np.cos(0.11 * t), 2 * np.cos(0.23 * t), 3 * np.cos(0.37 * t)], 1) @ mix)[None]
    noisy = x + 1e-6 * np.random.default_rng(1).normal(size=x.shape)
    assert dmd(x, "optimal", n_delays).rank >= dmd(noisy, "optimal", n_delays).rank >= 6
    systems = [System.from_arrays("a", x), System.from_arrays("noisy", noisy)]
    with pytest.warns(UserWarning, match="rank='optimal' is undefined for 'a', whose trajectories have no noise"):
        score = get_measure("dsa", rank="optimal", n_delays=n_delays, unequal="min")(*systems)
    assert len(score.warnings) == 1


def test_exponents_of_dead_units_are_minus_infinity():
    def system(name, rates):
        rates = np.array(rates)
        x = rates ** np.arange(1, 9)[None, :, None] * np.ones((4, 8, len(rates)))
        import torch

        return System.from_arrays(name, x, step=lambda x, u: x * torch.as_tensor(rates, dtype=x.dtype))

    alive, dead = system("alive", [0.9, 0.5]), system("dead", [0.9, 0.0])
    measure = get_measure("lyapunov", n_exponents=2)
    with pytest.warns(UserWarning, match="the distance is infinite"):
        score = measure(alive, dead)
    assert score.value == np.inf and score.diagnostics["exponents_b"][1] == -np.inf
    with pytest.raises(Undefined, match=r"infinity less infinity.*n_exponents=1"):
        measure(dead, dead)


def test_inputs_that_never_vary_are_named(make_trajectories):
    a, b = (System.from_arrays(n, make_trajectories(k), np.ones((23, 19, 2))) for k, n in enumerate("ab"))
    with pytest.raises(Undefined, match=r"^`inputs` of 'a': 'input_dsa' is undefined"):
        get_measure("input_dsa", rank=3, n_delays=1)(a, b)


def test_a_p_value_at_its_floor_is_a_bound(make_trajectories):
    x = make_trajectories(0)
    score = get_measure("procrustes")(x, x + 0.01, null="auto", n_surrogates=20)
    assert score.null.p_bound and score.null.p_text == "<= 0.048" and "p <= 0.048" in repr(score)

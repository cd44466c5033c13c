"""Features for values alone are those of the slow path; the second kind of surrogates stops without changing p."""

import numpy as np
import pytest

from conjugacy.similarity import get_measure, kinship
from conjugacy.similarity.dmd import embed, fit
from conjugacy.similarity.embedding_sums import embed_as_one
from conjugacy.similarity.samples import as_system
from conjugacy.similarity.worlds import make_world


def _walk(lengths, n_units=4, seed=0):
    rng = np.random.default_rng(seed)
    a = np.linalg.qr(rng.normal(size=(n_units, n_units)))[0] * 0.9
    trials = []
    for n in lengths:
        x = [rng.normal(size=n_units)]
        for _ in range(n - 1):
            x.append(a @ x[-1] + rng.normal(size=n_units) + 0.3)
        trials.append(np.array(x))
    return as_system("walk", trials)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("lengths", [(30,) * 6, (9, 30, 17, 21, 30)], ids=["equal", "ragged"])
@pytest.mark.parametrize(("rank", "n_delays"), [(4, 1), (3, 4), (12, 3), (2, 8)])
def test_operators_from_sums_are_those_from_rows(rank, n_delays, lengths, center):
    system = _walk(lengths)
    fast = fit(embed_as_one(system, rank, n_delays, center=center))
    slow = fit(embed(system, rank, n_delays, center=center))
    np.testing.assert_allclose(fast.eigenvalues, slow.eigenvalues, atol=1e-9)
    np.testing.assert_allclose(fast.embedding.singular, slow.embedding.singular[:rank], rtol=1e-9)
    np.testing.assert_allclose(fast.residuals(), slow.residuals(), atol=1e-7)


def test_noise_free_records_and_steps_between_delays_take_the_slow_path():
    t = np.arange(40)
    wave = np.stack([np.sin(0.3 * t), np.cos(0.3 * t)], 1)[None] * np.array([1.0, 2.0])[:, None, None]
    flat = np.concatenate([wave, np.roll(wave[::-1] ** 3, 5, 1) * 1e-7], axis=2)  # the last components are tiny
    for system, rank, interval in ((flat, 4, 1), (_walk((30,) * 5), 5, 2)):
        fast, slow = (f(as_system("x", system), rank, 2, interval, center=False) for f in (embed_as_one, embed))
        assert fast.n_trials == slow.n_trials > 1  # that of `embed`
        np.testing.assert_array_equal(fit(fast).operator, fit(slow).operator)


def test_records_too_short_are_refused_with_the_words_of_the_slow_path():
    with pytest.raises(ValueError, match="n_delays"):
        embed_as_one(_walk((5, 5, 5)), 2, 5)


@pytest.mark.parametrize("name", ["dsa", "spectrum_w2"])
def test_features_for_values_give_the_values(name):
    a, b = make_world("linear", "other", 3).draw(12, 0)
    measure = get_measure(name, rank=6, n_delays=3)
    full = measure.compare(measure.prepare(a), measure.prepare(b))[0]
    brief = measure.compare(measure.prepare_for_value(a), measure.prepare_for_value(b))[0]
    assert brief == pytest.approx(full, abs=1e-9)


@pytest.mark.parametrize("relation", ["unrelated", "copy"])
def test_the_second_kind_of_surrogates_stops_without_changing_the_larger_p(relation):
    measure = get_measure("spectrum_w2", rank=6, n_delays=3)
    n = 39
    for world in (1, 2):
        a, b = make_world("linear", relation, world).draw(30, 0)
        value = measure.compare(measure.prepare(a), measure.prepare(b))[0]
        whole = []
        for k, kind in enumerate(kinship.KINDS):
            models = [kinship.Autoregression.fitted(s, kind, measure.least_units) for s in (a, b)]
            if max(m.unexplained for m in models) > 0.1:
                continue
            drawn = kinship._sequence(measure, a, models, kind, value, n, np.random.default_rng([0, 1, k]))
            whole.append(kinship.p_value(measure, drawn, value, n))
            if whole[-1] > 0.5:
                break
        assert kinship.kinship_null(measure, a, b, value, n, 0).p_value == pytest.approx(max(whole))

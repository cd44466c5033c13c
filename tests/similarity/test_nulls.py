import numpy as np
import pytest

from conjugacy.similarity._pairwise import pairwise
from conjugacy.similarity.inference import null_kind, null_values, surrogate
from conjugacy.similarity.known_answers import bistable, pulses, run
from conjugacy.similarity.measure import get_measure
from conjugacy.similarity.samples import shuffled_order
from conjugacy.system import System


def pair(n_trials=6):
    x, y = np.random.default_rng(0).standard_normal((2, n_trials, 9, 3)).cumsum(2)
    return System.from_arrays("x", x), System.from_arrays("y", y)


@pytest.mark.parametrize("name", ["procrustes", "cka", "cca"])
def test_shuffling_prepared_trials_equals_preparing_shuffled_trials(name):
    x, y = pair()
    measure = get_measure(name)
    a, b = measure.prepare(x), measure.prepare(y)
    order = shuffled_order(np.full(6, 9), np.random.default_rng(5))
    again = measure.prepare(System.from_arrays("y", y.trajectories[order]))
    value = measure.compare(a, measure.shuffle(b, np.random.default_rng(5)))[0]
    assert value == pytest.approx(measure.compare(a, again)[0], abs=1e-10)
    assert value != pytest.approx(measure.compare(a, b)[0], abs=1e-3)


def test_state_r2_shuffles_within_training_and_held_out_trials():
    x, y = pair()
    measure = get_measure("state_r2")
    a, b = (measure.prepare(part(s, slice(3, 6)), part(s, slice(0, 3))) for s in (x, y))
    order = shuffled_order(np.full(6, 9), np.random.default_rng(5), b.train)
    assert sorted(order[:3]) == [0, 1, 2] and list(order) != sorted(order)
    again = measure.prepare(part(y, order[3:]), part(y, order[:3]))
    value = measure.compare(a, measure.shuffle(b, np.random.default_rng(5)))[0]
    assert value == pytest.approx(measure.compare(a, again)[0], abs=1e-10)


def part(system, rows):
    return System.from_arrays(system.name, system.trajectories[rows])


def test_shuffles_keep_lengths_and_parts():
    lengths, train = np.array([3, 5, 3, 5, 3, 5]), np.array([1, 1, 1, 0, 0, 0], bool)
    for seed in range(20):
        order = shuffled_order(lengths, np.random.default_rng(seed), train)
        assert sorted(order) == list(range(6))
        np.testing.assert_array_equal(lengths[order], lengths)
        np.testing.assert_array_equal(train[order], train)


def test_the_null_of_unrelated_systems_holds_their_value():
    x, y = pair(40)
    for name in ("state_r2", "procrustes"):
        measure = get_measure(name)
        values = null_values(measure, x, y, "auto", 60, seed=1)
        assert values.min() < measure(x, y).value < values.max()


def test_the_automatic_null_suits_the_measure():
    assert null_kind(get_measure("state_r2"), "auto") == "shuffled_trials"
    assert null_kind(get_measure("dsa"), "auto") == "matched_systems"
    assert null_kind(get_measure("spectrum_w2"), "auto") == "matched_systems"
    for name in ("input_dsa", "timescales", "portrait"):
        with pytest.raises(ValueError, match=f"`null`: '{name}' has no surrogates of its own. Give systems"):
            null_kind(get_measure(name), "auto")
    with pytest.raises(ValueError, match=r"`null`: expected one of .*'auto', got 'shufled_time'\. Did you mean"):
        null_kind(get_measure("dsa"), "shufled_time")


@pytest.mark.parametrize("name", ["dsa", "spectrum_w2", "timescales"])
def test_a_null_that_keeps_all_that_is_seen_is_refused(name):
    with pytest.raises(ValueError, match=f"`null`: 'phase_randomised' leaves '{name}' as it is, since all that it"):
        null_kind(get_measure(name), "phase_randomised")


def spirals(seed, n_trials=30, n_steps=120, turn=0.35):
    """Noisy planar spirals in two of three units, seen in random orthogonal axes."""
    rng = np.random.default_rng(seed)
    c, s = 0.97 * np.cos(turn), 0.97 * np.sin(turn)
    step = np.array([[c, -s, 0.2], [s, c, 0], [0, 0, 0.9]])
    x = rng.normal(size=(n_trials, 1, 3))
    for _ in range(n_steps):
        x = np.concatenate([x, x[:, -1:] @ step.T + 0.3 * rng.normal(size=(n_trials, 1, 3))], 1)
    return System.from_arrays(str(seed), x @ np.linalg.qr(rng.normal(size=(3, 3)))[0])


def test_like_operators_beat_independent_phases_and_not_randomised_ones():
    a, b = spirals(0), spirals(1)
    measure = get_measure("dsa", rank=3, n_delays=1)
    score = measure(a, b, null="independent_phases", n_surrogates=19)
    assert score.null.p_value == 0.05 and score.value < 0.5 * score.null.low
    # why the other one is refused: the operator does not change
    same = measure.prepare(surrogate(b, "phase_randomised", np.random.default_rng(0)))
    assert measure.compare(measure.prepare(a), same)[0] < score.null.low / 2


def test_the_interval_of_a_portrait_is_its_range_over_searches():
    rng = np.random.default_rng(0)
    u = pulses(rng, 6, 40, 2)
    a, b = (run(name, bistable(gain), 3, u) for name, gain in (("two memories", 2.0), ("none", 0.5)))
    score = get_measure("portrait", n_inits=64)(a, b, interval=0.95)
    assert score.interval.method == "range over 3 searches"
    assert score.interval.low == score.interval.high == score.value > 0  # each search finds all there is
    result = pairwise([a, b], get_measure("portrait", n_inits=64), interval=0.95, progress=False)
    assert result.scores[0].interval == score.interval

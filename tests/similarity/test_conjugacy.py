"""Changes of coordinates: pairs that have one by construction, pairs that have none, and what is said of bad input."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.similarity import check_measures, get_measure
from conjugacy.similarity.agreement import Metric, TrialShares
from conjugacy.similarity.conjugacy_maps import fit_conjugacy
from conjugacy.similarity.coordinates import Coordinates
from conjugacy.similarity.correspondence import at_speed, correspond
from conjugacy.similarity.known_answers import bistable, conjugate, known_pairs, pulses, random_network, run

PAIRS = {p.relation: p for p in known_pairs(0)}


def _reference(seed=0, n_trials=24, n_steps=120):
    return run("reference", bistable(), 3, pulses(np.random.default_rng(seed), n_trials, n_steps, 2))


def test_the_measure_does_right_by_all_seventeen_relations():
    table = check_measures(["conjugacy"]).set_index("relation")
    assert (table["verdict"] == "pass").all()
    assert (table.loc[table["same"], "deviation"] < 0.01).all()
    assert (table.loc[~table["same"], "value"] <= 0.9).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 10))
def test_the_measure_does_right_in_other_draws(seed):
    table = check_measures(["conjugacy"], seed=seed).set_index("relation")
    assert (table["verdict"] == "pass").all()
    assert (table.loc[table["same"], "deviation"] < 0.01).all()
    assert (table.loc[~table["same"], "value"] <= 0.9).all()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("silent", [0, 3])
def test_an_embedding_in_more_units_is_a_conjugacy(seed, silent):
    rng = np.random.default_rng(seed)
    a = _reference(seed)
    n = 3 * int(rng.integers(2, 5))
    basis = torch.as_tensor(np.linalg.qr(rng.normal(size=(n, 3)))[0])
    wide = torch.cat([basis, torch.zeros(silent, 3, dtype=basis.dtype)])
    b = replace(conjugate(a, lambda x: x @ wide.T + 0.5, lambda y: (y - 0.5) @ wide), name="wide")
    found = fit_conjugacy(a, b, n_steps=0)
    assert found.factor == "equal"
    assert min(found.score, found.score_off) >= 0.99


@pytest.mark.parametrize("seed", range(10))
def test_a_factor_map_is_named_the_right_way(seed):
    pair = {p.relation: p for p in known_pairs(seed)}["null dimensions"]
    assert fit_conjugacy(pair.a, pair.b, n_steps=0).factor == "a of b"
    assert fit_conjugacy(pair.b, pair.a, n_steps=0).factor == "b of a"


def test_what_a_factor_map_forgets_is_described():
    pair = PAIRS["null dimensions"]
    lost = fit_conjugacy(pair.b, pair.a, n_steps=0).forgotten()
    states = pair.b.states()
    share = float(states[:, 3:].var(0).sum() / states.var(0).sum())
    assert lost["variance"] == pytest.approx(share, rel=0.1)
    assert lost["dimension"] == 2
    assert lost["time constant"] == pytest.approx(-pair.b.dt / math.log(0.7), rel=0.2)
    assert math.isnan(lost["outputs"])


def test_of_a_conjugacy_nothing_is_forgotten():
    pair = PAIRS["affine map"]
    lost = fit_conjugacy(pair.a, replace(pair.b, readout=lambda x: x[..., :1])).forgotten()
    assert lost["variance"] < 1e-12
    assert lost["dimension"] == 0


def test_a_map_that_is_no_polynomial_is_learned_by_a_network():
    a = _reference(1, 40)

    def bend(x):
        p, q, r = x.unbind(-1)
        return torch.stack([p, q + torch.sin(p), r + 0.3 * q], -1)

    def straighten(y):
        q = y[..., 1] - torch.sin(y[..., 0])
        return torch.stack([y[..., 0], q, y[..., 2] - 0.3 * q], -1)

    b = replace(conjugate(a, bend, straighten), name="bent")
    closed, found = (fit_conjugacy(a, b, n_steps=n, n_states=3000) for n in (0, 300))
    assert "network" in found.there.map.kind
    assert found.value > 0.9
    assert 1 - found.value < 0.5 * (1 - closed.value)


@pytest.mark.parametrize(("speed", "least"), [(2.0, 1 - 1e-6), (1.5, 0.999), (0.5, 1 - 1e-6)])
def test_systems_of_unequal_speed(speed, least):
    u = pulses(np.random.default_rng(3), 24, 120, 2)
    u = u[:, ::6].repeat_interleave(6, dim=1)
    fast = run("fast", bistable(), 3, u)
    step = at_speed(bistable(), max(speed, 1 / speed))
    every = max(speed, 1 / speed)
    x = fast.trajectories
    at = every * np.arange(1, int(x.shape[1] / every) + 1) - 1
    rows = torch.as_tensor(np.ceil(at).astype(int))
    states, held = [at_speed(bistable(), at[0])(x[:, 0], u[:, 1])], u[:, rows]
    for t in range(1, held.shape[1]):
        states.append(step(states[-1], held[:, t]))
    slow = cj.System.from_arrays("slow", torch.stack(states, 1), held, dt=every * fast.dt, step=step)
    found = fit_conjugacy(fast, slow) if speed > 1 else fit_conjugacy(slow, fast)
    assert found.speed == pytest.approx(speed)
    assert found.factor == "equal"
    assert found.there.flow > least


def test_a_real_number_of_steps_is_between_iterates():
    step = bistable()
    x, u = torch.as_tensor(np.random.default_rng(0).normal(size=(5, 3))), torch.zeros(5, 2, dtype=torch.float64)
    assert torch.equal(at_speed(step, 3.0)(x, u), step(step(step(x, u), u), u))
    decay = lambda x, u: 0.98 * x  # noqa: E731
    assert torch.allclose(at_speed(decay, 2.4)(x, u), 0.98**2.4 * x, rtol=1e-7)


def test_fixed_points_are_taken_to_fixed_points_with_their_eigenvalues():
    pair = PAIRS["diffeomorphism"]
    table = fit_conjugacy(pair.a, pair.b).points()
    assert len(table) == 3
    assert table["inside"].all()
    assert table["taken once"].all()
    assert (table["unstable"] == table["unstable b"]).all()
    assert table["distance"].max() < 1e-6
    for a, b in zip(table["modulus a"], table["modulus b"]):
        assert np.allclose(a, b, atol=1e-6)


def test_the_map_and_its_inverse_and_the_same_bits_again():
    pair = PAIRS["diffeomorphism"]
    found, again = (fit_conjugacy(pair.a, pair.b, seed=3) for _ in range(2))
    x = pair.a.states()[:50]
    assert torch.allclose(found.backward(found.forward(x)), x, atol=1e-6)
    assert torch.equal(found.forward(x), again.forward(x))
    assert found.there.score == again.there.score
    assert found.forward(x[0].numpy()).shape == (3,)
    with pytest.raises(ValueError, match="`x`: .*3"):
        found.forward(torch.zeros(2, 4))


def test_the_image_follows_as_long_as_the_map_is_right():
    same, other = (fit_conjugacy(PAIRS[r].a, PAIRS[r].b, n_steps=0) for r in ("affine map", "fixed point removed"))
    assert same.there.horizon_is_bound
    assert same.horizon == len(same.there.curve)
    assert other.horizon < 20


def test_residuals_average_to_the_score():
    found = fit_conjugacy(PAIRS["fixed point removed"].a, PAIRS["fixed point removed"].b, n_steps=0)
    table = found.residuals()
    assert 1 - table["flow"].mean() == pytest.approx(found.there.flow)
    assert 1 - table["states"].mean() == pytest.approx(found.there.states)
    assert set(table.columns) >= {"trial", "time", "input size", "pc 1", "pc 2"}


def test_other_inputs_are_shared_by_running_b_anew():
    a = _reference(0)
    b = _reference(1)
    found = fit_conjugacy(a, replace(b, name="other trials"), n_steps=0)
    assert any("inputs differ" in text for text in found.doubts)
    assert found.there.flow > 0.9


def test_a_chaotic_system_is_said_to_be_one():
    rng = np.random.default_rng(0)
    w = torch.as_tensor(3.0 * rng.normal(size=(40, 40)) / 40**0.5)
    step = lambda x, u: torch.tanh(x @ w.T) + 0.0 * u[..., :1]  # noqa: E731
    systems = []
    for seed in (1, 2):
        x = torch.as_tensor(np.random.default_rng(seed).normal(size=(12, 40)))
        states = []
        for _ in range(100):
            x = step(x, torch.zeros(12, 1, dtype=torch.float64))
            states.append(x)
        inputs = torch.zeros(12, 100, 1, dtype=torch.float64)
        systems.append(cj.System.from_arrays(f"chaos {seed}", torch.stack(states, 1), inputs, step=step))
    found = fit_conjugacy(*systems, n_steps=0)
    assert found.factor == "neither"
    assert any("chaotic" in text for text in found.doubts)


def test_untrained_partners_and_partners_given_are_the_null():
    pair, rng = PAIRS["rotation"], np.random.default_rng(5)
    other = run("random", random_network(rng, 3, 2), 3, pair.a.inputs)
    found = cj.find_conjugacy(pair.a, pair.b, null=[other], n_steps=0)
    assert [name for name, *_ in found.null] == ["random"]
    assert min(found.null[0][1:]) < 0.5 < min(found.score, found.score_off)
    assert "partners that compute something else" in repr(found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"step": None}, "`step`: 'broken' has no step"),
        ({"trajectories": torch.zeros(30, 160, 3, dtype=torch.float64), "step_tolerance": math.inf}, "`b`: .*change"),
    ],
)
def test_systems_that_cannot_be_joined(change, words):
    a = PAIRS["rotation"].a
    with pytest.raises(ValueError, match=words):
        fit_conjugacy(a, replace(a, name="broken", **change))


def test_bad_arguments():
    a = PAIRS["rotation"].a
    one = cj.System.from_arrays("one", a.trajectories[:1], a.inputs[:1], step=a.step)
    three = run("three inputs", random_network(np.random.default_rng(0), 3, 3), 3, torch.zeros(30, 160, 3).double())
    for others, words in [((one, one), "at least 4 trials"), ((a, three), r"`b`: expected the input channels")]:
        with pytest.raises(ValueError, match=words):
            fit_conjugacy(*others)
    for options, words in [({"speed": 0}, "`speed`"), ({"reach": -1}, "`reach`"), ({"n_steps": -1}, "`n_steps`")]:
        with pytest.raises(ValueError, match=words):
            fit_conjugacy(a, a, **options)
    with pytest.raises(TypeError, match="`null`"):
        cj.find_conjugacy(a, a, null=3)
    with pytest.raises(TypeError, match="`b`: expected a Run"):
        cj.find_conjugacy(a, "run")


def test_a_metric_gives_its_reference_the_length_one_whatever_the_units():
    x = torch.as_tensor(np.random.default_rng(0).normal(size=(500, 4)) * [5.0, 1.0, 1.0, 0.01])
    m = Metric.of(x)
    assert float(m.shares(x - x.mean(0)).mean()) == pytest.approx(1.0)
    assert float(Metric.of(7 * x).shares(7 * x[:9]).sum()) == pytest.approx(float(m.shares(x[:9]).sum()))
    assert torch.isfinite(m.shares(torch.full((1, 4), math.nan, dtype=torch.float64))).all()


def test_intervals_of_trials_hold_the_value_and_shrink():
    g = torch.Generator().manual_seed(0)
    trial = torch.arange(40).repeat_interleave(20)
    r = 0.2 * torch.rand(800, generator=g, dtype=torch.float64)
    few, many = (TrialShares.of([(r[:n], trial[:n])]).score(0.95, 500, 0) for n in (200, 800))
    for b in (few, many):
        assert b.low <= b.value <= b.high
    assert many.value == pytest.approx(1 - float(r.mean()))
    assert many.high - many.low < few.high - few.low
    wide, narrow = (TrialShares.of([(r, trial)]).score(level, 500, 0) for level in (0.99, 0.5))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_shares_are_added_up_in_the_trial_they_belong_to():
    trial = torch.tensor([2, 0, 2])
    parts = [(torch.tensor([0.1, 0.2, 0.3]).double(), trial), (torch.tensor([0.5, 0.7]).double(), torch.tensor([5, 0]))]
    shares = TrialShares.of(parts)
    assert torch.allclose(shares.totals, torch.tensor([[0.2, 0.4, 0.0], [0.7, 0.0, 0.5]]).double())
    assert shares.score(0.95, 100, 0).value == pytest.approx(1 - 0.6)


def test_the_interval_of_the_measure_has_the_level_asked_for():
    pair, measure = PAIRS["fixed point added"], get_measure("conjugacy", reach=10.0)
    wide, narrow = (measure(pair.a, pair.b, interval=level).interval for level in (0.99, 0.5))
    assert (wide.level, narrow.level) == (0.99, 0.5)
    assert wide.high - wide.low > narrow.high - narrow.low


def test_a_reference_that_never_changes_is_met_or_it_is_not():
    still = Metric.of(torch.ones(5, 2, dtype=torch.float64))
    assert float(still.shares(torch.zeros(3, 2, dtype=torch.float64)).max()) == 0.0
    assert float(still.shares(torch.full((3, 2), 0.1, dtype=torch.float64)).min()) > 1e3


def test_coordinates_there_and_back_and_states_around():
    x = torch.as_tensor(np.random.default_rng(0).normal(size=(300, 5)) * [3.0, 1.0, 0.1, 0.0, 0.0])
    c = Coordinates.of(x)
    assert torch.allclose(c.invert(c.apply(x)), x)
    g = torch.Generator().manual_seed(0)
    near = c.perturb(x, g) - x
    assert float(near[:, 4].std()) == pytest.approx(0.1 * float(c.variances.mean()) ** 0.5, rel=0.15)
    assert float(near[:, 0].std()) == pytest.approx(0.3 * float(x[:, 0].std()), rel=0.15)


def test_pairs_of_states_follow_each_other_under_both_maps():
    pair = PAIRS["affine map"]
    c = correspond(pair.a, pair.b, n_states=500)
    for pool in (c.fit, c.validation, c.test):
        assert torch.allclose(c.step_a(pool.x, pool.u), pool.x_next)
        assert torch.allclose(c.step_b(pool.y, pool.u), pool.y_next)
    both = [set(p.trial.tolist()) for p in (c.fit, c.validation, c.test)]
    assert all(both)
    turned = c.turned()
    assert torch.equal(turned.fit.x, c.fit.y)
    assert torch.equal(turned.test.around[0].y_next, c.test.around[0].x_next)

"""Animals beside networks: the kind is named where the data can tell, and only there."""

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.analysis.prepared_recordings import Prepared
from conjugacy.recordings import as_recorded, modulation_depth

pytestmark = pytest.mark.filterwarnings("ignore")
N_TRIALS, N_BINS, DT = 60, 40, 0.02
SHARED = np.random.default_rng(0).normal(size=(N_TRIALS, N_BINS, 6)).cumsum(1)
SHARED = SHARED / SHARED.std((0, 1))
KINDS = {"wide": np.array([1, 1, 1, 1, 1, 1.0]), "narrow": np.array([2.2, 0.9, 0.3, 0.2, 0.1, 0.1])}


def network(kind, seed):
    """A network of a kind: what trials have in common, in proportions of the kind and a little of its own."""
    rng = np.random.default_rng([seed, 7])
    x = SHARED * KINDS[kind] * np.exp(0.1 * rng.normal(size=6)) @ np.linalg.qr(rng.normal(size=(6, 6)))[0]
    lengths = torch.full((N_TRIALS,), N_BINS)
    return cj.System(f"{kind} {seed}", torch.from_numpy(x), None, lengths, dt=DT)


LIKE = cj.Recording.from_counts(np.random.default_rng(0).poisson(0.4, (N_TRIALS, N_BINS, 40)), DT, name="like")


def animal(kind, seed, rate=20.0, name=None):
    """Spikes of a network, in 40 units."""
    like = cj.Recording.from_counts(
        np.random.default_rng([seed, 1]).poisson(rate * DT, (N_TRIALS, N_BINS, 40)), DT, name="like"
    )
    made = as_recorded(network(kind, seed), like, depth=0.8, counts="poisson", seed=seed)
    return cj.Recording.from_counts(made.values, DT, name=name or f"animal {seed}")


def kinds(n=5, names=("wide", "narrow"), start=100):
    return {name: [network(name, start + 10 * k + i) for i in range(n)] for k, name in enumerate(names)}


QUICK = {"bins": (0.02, 0.04), "smoothing": (0.03, 0.05), "n_resamples": 15}


@pytest.mark.parametrize("kind", ["wide", "narrow"])
def test_the_right_kind_is_named(kind):
    found = cj.nearest_kind(kinds(), [animal(kind, 1), animal(kind, 2)], **QUICK)
    assert found.answer == found.nearest == kind and not found.reasons and all(found.checks.values())
    table = found.table()
    assert table.index[0] == kind and table["low"].dropna().min() > 0 and table.loc[kind, "nearest in settings"] == 1
    assert f"{kind} is nearest in 100% of 4 settings" in repr(found)


def test_few_spikes_cannot_tell_and_the_reasons_say_why():
    found = cj.nearest_kind(kinds(), [animal("wide", 1, 0.05), animal("wide", 2, 0.05)], **QUICK)
    assert found.answer == "cannot tell" and found.reasons
    assert cj.nearest_kind(kinds(2), [animal("wide", 1)], **QUICK).answer == "cannot tell"
    few = cj.nearest_kind(kinds(2), [animal("wide", 1)], **QUICK)
    assert any("so few networks" in reason for reason in few.reasons)


def test_networks_of_one_kind_are_seldom_named_apart():
    named = 0
    for seed in range(3):
        same = {"a": kinds(5, ("wide",), 200 + 20 * seed)["wide"], "b": kinds(5, ("wide",), 210 + 20 * seed)["wide"]}
        named += cj.nearest_kind(same, [animal("wide", seed)], **QUICK).answer != "cannot tell"
    assert named <= 1  # at 5 % each


def test_one_network_of_each_is_about_these_networks():
    found = cj.nearest_kind({"a": network("wide", 5), "b": network("narrow", 6)}, animal("wide", 1), **QUICK)
    assert found.answer == "a" and "nothing about their kinds" in repr(found) and np.isnan(found.differences[0].p_value)


def test_an_order_that_settings_change_is_withdrawn():
    # what is fast is smoothed away: only narrow bins see that `quick` has it
    rng = np.random.default_rng(3)
    fast = rng.normal(size=(N_TRIALS, N_BINS, 6)) * 1.5
    slow = SHARED @ np.diag([1, 1, 1, 1, 0.2, 0.2])

    def made(name, x):
        return cj.System(name, torch.from_numpy(x), None, torch.full((N_TRIALS,), N_BINS), dt=DT)

    brain = made("brain", np.concatenate([fast, SHARED], 2))
    candidates = {"quick": made("quick", np.concatenate([fast, slow], 2)), "slow": made("slow", SHARED)}
    like = cj.Recording.from_counts(rng.poisson(0.8, (N_TRIALS, N_BINS, 40)), DT)
    spikes = as_recorded(brain, like, depth=0.8, counts="poisson", seed=1)
    subject = cj.Recording.from_counts(spikes.values, DT)
    found = cj.nearest_kind(candidates, subject, bins=(0.02, 0.1), smoothing=(0.005, 0.2), n_resamples=10)
    assert not found.checks["settings"] and found.answer == "cannot tell" and 0 < found.share < 1
    assert any("change the order" in reason for reason in found.reasons)


def test_a_model_of_the_animals_kind_is_not_told_from_them_and_another_is():
    animals = [animal("wide", seed, 40.0) for seed in range(4)]
    found = cj.turing_test({"like": network("wide", 50), "unlike": network("narrow", 51)}, animals, n_resamples=25)
    assert found.answers["unlike"].answer == "distinguishable" and found.answers["unlike"].position > 0.1
    like = found.answers["like"]
    assert like.answer == "not distinguishable" and like.low <= 0 and like.position_high <= 0.25
    assert found.answers["unlike"].p_value == pytest.approx(0.2) and "and animals" in found.resampled
    assert list(found.table().index) == ["like", "unlike"] and "not distinguishable from the animals" in repr(found)


def test_animals_that_are_noise_tell_nothing():
    animals = [animal("wide", seed, 0.05) for seed in range(3)]
    answer = cj.turing_test([network("narrow", 51)], animals, n_resamples=10).answers["narrow 51"]
    assert answer.answer == "cannot tell" and answer.reason


def test_ceilings_lie_between_noise_and_one():
    found = cj.animal_ceilings([animal("wide", 1), animal("wide", 2)], n_splits=5)
    assert found.loc["halves of units", "value"].min() > 0.8 and found.loc["animals", "value"].iloc[0] > 0.8
    noise = found.loc["noise"]
    assert ((noise["value"] < 0.6) | noise["reason"].str.contains("undefined")).all()
    assert found.loc["halves of trials", "reason"].str.contains("no partner").all()
    labels = np.arange(N_TRIALS) % 6
    x = network("wide", 1).trajectories.numpy()
    repeated = x[labels]
    rng = np.random.default_rng(0)
    rates = 20 * np.exp(0.8 * repeated @ rng.normal(size=(6, 40)) / np.sqrt(6))
    one = cj.Recording.from_counts(rng.poisson(rates * DT), DT, conditions=labels, name="one")
    by_condition = cj.animal_ceilings(one, n_splits=5)
    assert by_condition.loc["halves of trials", "value"].iloc[0] > 0.8
    assert by_condition.attrs["matched"].startswith("means of 6 conditions")


def test_a_system_as_recorded_has_the_rates_and_depth_asked_for():
    made = as_recorded(network("wide", 1), LIKE, depth=0.7, counts="poisson")
    assert made.values.shape == LIKE.values.shape and made.bin_size == DT
    np.testing.assert_allclose(made.mean_rates, LIKE.mean_rates, rtol=0.2)
    assert modulation_depth(made) == pytest.approx(0.7, abs=0.15)
    assert as_recorded(network("wide", 1), LIKE, n_units=5).kind == "rates"
    slower = cj.System("slow", torch.from_numpy(SHARED), None, torch.full((N_TRIALS,), N_BINS), dt=2 * DT)
    assert as_recorded(slower, LIKE).values.shape[1] == 2 * N_BINS


def test_measures_that_pair_nothing_are_given_networks_as_noisy_as_the_animals():
    found = cj.nearest_kind(kinds(), animal("wide", 1), "timescales", bins=(0.02,), smoothing=(0.03,), n_resamples=10)
    assert found.matched == "nothing is paired" and np.isfinite(found.distances).all()
    by_dimension = cj.nearest_kind(
        kinds(1), animal("wide", 1), "procrustes", bins=(0.02,), smoothing=(0.03,), dimensions=(4, 6), n_resamples=10
    )
    assert list(by_dimension.by_setting) == [
        "bins of 20 ms, SD 30 ms, 6 components",
        "bins of 20 ms, SD 30 ms, 4 components",
    ]


def test_runs_do_the_trials_of_the_animals_or_are_driven_by_their_inputs():
    task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=40, dt=0.02)
    runs = [cj.train(task, cj.networks.GRU(6), seed=s, steps=2, batch_size=4, progress=False) for s in range(2)]
    trials = task.trials(40, seed=1)
    subject = cj.simulate_spikes(runs[0], 30, n_held_out=0, trials=trials, mean_rate=60.0)
    kinds = {"its brain": runs[0], "another": runs[1]}
    settings = {"bins": (0.02,), "smoothing": (0.04,), "n_resamples": 10}
    given = cj.nearest_kind(kinds, subject, trials=trials, **settings)
    driven = cj.nearest_kind(kinds, subject, **settings)
    assert given.nearest == driven.nearest == "its brain"
    np.testing.assert_allclose(given.distances, driven.distances, atol=1e-4)
    bare = cj.Recording.from_counts(subject.values, 0.02)
    with pytest.raises(ValueError, match="`trials`: expected the trials that the run"):
        cj.nearest_kind(kinds, bare, **settings)
    kept = [Prepared(subject), Prepared(subject)]
    assert cj.turing_test(runs[0], kept, trials=trials, n_resamples=10).animals[1].endswith("(2)")


def test_ragged_trials_are_averaged_by_condition_with_networks_that_go_on_longer():
    labels, rng = np.arange(N_TRIALS) % 6, np.random.default_rng(1)
    lengths = rng.integers(25, N_BINS + 1, N_TRIALS)
    inside = (np.arange(N_BINS) < lengths[:, None])[..., None]
    brain = network("wide", 1)
    same = torch.from_numpy(brain.trajectories.numpy()[labels])
    spikes = as_recorded(cj.System("b", same, None, brain.lengths, dt=DT), LIKE, depth=0.8, counts="poisson").values
    subject = cj.Recording.from_counts(spikes * inside, DT, lengths=lengths, conditions=labels)

    def made(kind, seed):
        states = as_recorded(network(kind, seed), LIKE).values[:6]
        return cj.Recording.from_rates(states, DT, conditions=range(6), name=f"{kind} {seed}")

    found = cj.nearest_kind({"wide": made("wide", 50), "narrow": made("narrow", 51)}, subject, **QUICK)
    assert found.matched.startswith("means of 6 conditions") and found.nearest == "wide"
    assert np.isfinite(found.distances).all()


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("at least 2 kinds", lambda: cj.nearest_kind({"a": network("wide", 1)}, animal("wide", 1))),
        ("`kinds`", lambda: cj.nearest_kind([network("wide", 1)], animal("wide", 1))),
        ("as many trials", lambda: cj.nearest_kind(kinds(1), animal("wide", 1).select(trials=range(9)))),
        ("single trials, got averages", lambda: cj.nearest_kind(kinds(1), animal("wide", 1).average("all"))),
        ("at least 4 trials", lambda: cj.nearest_kind(kinds(1), animal("wide", 1).select(units=[0, 1]))),
        ("`level`", lambda: cj.nearest_kind(kinds(1), animal("wide", 1), level=1.0)),
        ("`n_noise`", lambda: cj.nearest_kind(kinds(1), animal("wide", 1), n_noise=5)),
        ("`dimensions`", lambda: cj.nearest_kind(kinds(1), animal("wide", 1), dimensions=(3,))),
        ("`match`", lambda: cj.nearest_kind(kinds(1), animal("wide", 1), match="trial")),
        ("at least 2 conditions", lambda: cj.nearest_kind(kinds(1), animal("wide", 1), match="condition")),
        ("compares trajectories", lambda: cj.nearest_kind(kinds(1), animal("wide", 1), "portrait")),
        ("expected bins of", lambda: cj.nearest_kind({"a": LIKE.bin(0.04), "b": LIKE}, animal("wide", 1))),
        ("multiple of", lambda: cj.nearest_kind(kinds(1), animal("wide", 1), bins=(0.03,))),
        ("at least 2 recordings", lambda: cj.turing_test(network("wide", 1), animal("wide", 1))),
        ("`candidates`", lambda: cj.turing_test(3, [animal("wide", 1), animal("wide", 2)])),
        ("`candidates`", lambda: cj.turing_test([], [animal("wide", 1), animal("wide", 2)])),
        ("`margin`", lambda: cj.turing_test(network("wide", 1), [animal("wide", 1)] * 2, margin=0)),
        ("bins of 0.02 s", lambda: cj.animal_ceilings([animal("wide", 1), animal("wide", 2).bin(0.04)])),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(message, call):
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)

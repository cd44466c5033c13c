"""Runs of different tasks compared, and how far a network generalises."""

import re

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.tasks import NBitFlipFlop, SineWaveGenerator

QUICK = {"steps": 1, "batch_size": 4, "progress": False}
FAST = {"n_trials": 20, "n_resamples": 10}


@pytest.fixture(scope="module")
def three_bits():
    task = NBitFlipFlop(n=3, n_timesteps=40, switch_prob=0.05, noise=0.1)
    return cj.train(task, cj.networks.GRU(8), **QUICK)


def test_measures_that_pair_nothing_are_taken_as_they_are(small_runs, three_bits):
    table = cj.compare([small_runs[0], three_bits], ["dsa", "portrait"], **FAST, interval=None).table()
    assert np.isfinite(table["a <-> b"]).all() and "matched" not in table
    own = [
        r.system(r.task.trials(20, cj.runs.trial_sets.derive_seed(0, "compare"))) for r in (small_runs[0], three_bits)
    ]
    expected = cj.compare(own, ["dsa"], interval=None, names=["GRU-7", "GRU-8"]).table()
    assert table.loc["dsa"]["a <-> b"].iloc[0] == pytest.approx(expected.loc["dsa"]["a <-> b"].iloc[0])


def test_a_probe_is_fed_to_the_channels_of_the_same_label(small_runs, three_bits):
    probe = small_runs[0].task
    comparison = cj.compare([small_runs[0], three_bits], "cka", probe=probe, seed=2, **FAST)
    text = comparison.table()["matched"].iloc[0]
    assert text.startswith("20 trials of 2BFF fed to all (Input 1, Input 2)")
    trials = probe.trials(20, cj.runs.trial_sets.derive_seed(2, "compare"))
    wide = torch.cat([trials.inputs, torch.zeros(20, 40, 1)], -1)
    driven = [small_runs[0].drive(trials.inputs), three_bits.drive(wide)]
    expected = cj.compare(driven, "cka", interval=None).table()["a <-> b"].iloc[0]
    assert comparison.table()["a <-> b"].iloc[0] == pytest.approx(expected)
    # a network that differs from itself by nothing but its task
    from dataclasses import replace

    twin = replace(small_runs[0], task=NBitFlipFlop(n=2, n_timesteps=60), name="twin")
    same = cj.compare([small_runs[0], twin], "cka", probe=probe, n_trials=20, interval=None).table()
    assert same["a <-> b"].iloc[0] == pytest.approx(1)
    by_array = cj.compare([small_runs[0], twin], "cka", probe=trials.inputs.numpy(), interval=None).table()
    assert by_array["matched"].iloc[0] == "20 trials of given inputs, fed to all"


def test_groups_of_tasks_are_compared_on_a_probe(small_runs, three_bits):
    task = small_runs[0].task
    groups = {
        "two bits": [cj.train(task, cj.networks.GRU(4), seed=s, **QUICK) for s in (1, 2)],
        "three bits": [cj.train(three_bits.task, cj.networks.GRU(4), seed=s, **QUICK) for s in (1, 2)],
    }
    found = cj.compare_groups(groups, ["cka", "timescales"], probe=task, n_trials=12)
    everyone = [run for runs in groups.values() for run in runs]
    with pytest.warns(UserWarning):
        pairs = cj.compare(everyone, ["cka"], probe=task, n_trials=12, interval=None).pairs.values["cka"]
    np.testing.assert_allclose(found.distances["cka"], np.abs(pairs - 1) * (1 - np.eye(4)), atol=1e-12)
    assert found.matched == {"cka": "12 trials of 2BFF fed to all (Input 1, Input 2)", "timescales": ""}
    assert str(found).endswith("  cka: 12 trials of 2BFF fed to all (Input 1, Input 2).")
    with pytest.raises(ValueError, match=r"^`probe`: expected inputs to feed to all.*2BFF \(two bits: GRU-4 \(1\), "):
        cj.compare_groups(groups, ["cka"], n_trials=12)


def test_what_cannot_be_matched_gets_one_line(small_runs, three_bits):
    gru = small_runs[0]
    other = cj.train(SineWaveGenerator.small(), cj.networks.GRU(5), **QUICK)
    sine = ", ".join(other.task.input_labels)
    cases = [
        (
            {},
            "`probe`: expected inputs to feed to all, since cka pairs trials and the runs are of different tasks, 2BFF",
        ),
        ({"probe": three_bits.task}, f"none of which GRU-5 has ({sine})"),
        ({"probe": "2BFF"}, "`probe`: expected a task, Trials or an array (trial, time, input), got '2BFF'."),
        ({"probe": np.zeros((20, 30, 4))}, "`probe`: expected the 2 inputs of GRU-7, got 4."),
    ]
    for more, message in cases:
        with pytest.raises((TypeError, ValueError), match=re.escape(message)):
            cj.compare([gru, other], "cka", **more, **FAST)
    with pytest.raises(ValueError, match="`things`: expected runs of one task for a verdict, got 2BFF, 3BFF"):
        cj.compare([gru, three_bits], "dsa", **FAST).verdict()


def test_every_task_has_variations_and_their_scores_are_those_of_the_varied_task(small_runs):
    run = small_runs[0]
    table = cj.generalisation_table(run, n_trials=20, seed=5)
    rates = ["half the switch_prob", "twice the switch_prob"]
    assert list(table.index) == ["as trained", "trials twice as long", *rates, "twice the noise", "no noise"]
    longer = NBitFlipFlop(n=2, n_timesteps=80, switch_prob=0.05, noise=0.1)
    expected = cj.training.evaluate(run.network, longer, longer.trials(20, 5))
    assert table.loc["trials twice as long", "r2"] == pytest.approx(expected["r2"])
    half = NBitFlipFlop(n=2, n_timesteps=40, switch_prob=0.025, noise=0.1)
    expected = cj.training.evaluate(run.network, half, half.trials(20, 5))
    assert table.loc["half the switch_prob", "accuracy"] == pytest.approx(expected["accuracy"])


@pytest.mark.parametrize("name", sorted(set(cj.tasks.__all__) - {"Task", "validate", "GymnasiumTask"}))
def test_the_variations_of_every_task_can_be_drawn(name):
    from conjugacy.analysis.generalisation import task_variations, varied

    kind = getattr(cj.tasks, name)
    if not isinstance(kind, type) or not hasattr(kind, "trials"):
        pytest.skip("no task")
    task = kind.small() if hasattr(kind, "small") else kind()
    found = task_variations(task)
    for changes in found.values():
        other = varied(task, changes)
        assert len(other.trials(2, 0)) == 2
        assert cj.tasks.task.input_size(other) == cj.tasks.task.input_size(task)


def test_networks_that_are_alike_generalise_alike(small_runs):
    twins = [small_runs[0], small_runs[0], small_runs[1], small_runs[1]]
    found = cj.generalise_alike(twins, "cka", n_trials=20, names=["a", "b", "c", "d"])
    pairs = found.pairs.set_index(["a", "b"])
    assert pairs.loc[("a", "b"), "difference"] == 0 and pairs.loc[("c", "d"), "difference"] == 0
    assert pairs.loc[("a", "c"), "difference"] > 0 and pairs.loc[("a", "b"), "similarity"] == pytest.approx(1)
    assert found.correlation < -0.7 and 0 < found.p_value <= 1
    assert list(found.scores.columns) == ["a", "b", "c", "d"] and "as trained" in found.scores.index
    assert len(found.plot().axes) == 1
    with pytest.raises(ValueError, match="`runs`: expected a list of at least 3 runs"):
        cj.generalise_alike(twins[:2], "cka")


def gated_by_rules(seed):
    """Two populations, bistable along a pattern each; rules "one" and "two" saturate the second, "three" the first."""
    from dataclasses import replace

    g = torch.Generator().manual_seed(seed)
    half, d = 20, 40

    class Rules(NBitFlipFlop):
        def __init__(self):
            super().__init__(n=3, n_timesteps=40)

    run = cj.train(Rules(), cj.networks.LowRankRNN(d, rank=2, alpha=0.5), **QUICK)
    first, second = torch.zeros(d), torch.zeros(d)
    first[:half], second[half:] = (torch.randn(half, generator=g).sign() for _ in range(2))
    cell = run.network.cell
    with torch.no_grad():
        cell.m[:] = torch.stack([first, second], 1)
        cell.n[:] = 4 * cell.m
        cell.bias.zero_()
        cell.weight_ih.zero_()
        for k, drives in enumerate((slice(half, d), slice(half, d), slice(0, half))):
            signs = torch.cat([torch.ones(half // 2), -torch.ones(half // 2)])[torch.randperm(half, generator=g)]
            cell.weight_ih[drives, k] = 8 * signs
        run.network.latent_ics.zero_()
    return replace(run, name="by hand"), first, second


@pytest.mark.parametrize("seed", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, 10))])
def test_rules_share_a_motif_if_they_do_by_construction(seed):
    run, first, second = gated_by_rules(seed)
    held = {"one": [1.0, 0, 0], "two": [0, 1.0, 0], "three": [0, 0, 1.0]}
    found = cj.shared_motifs(run, held, n_inits=128, progress=False)
    assert found.shares.loc["one", "two"] > 0.9 and found.shares.loc["one", "three"] < 0.3
    assert found.motifs["one"] == found.motifs["two"] != found.motifs["three"]
    assert found.table().loc["one", "stable"] == 2
    # the directions of a motif are those of the population it lives in
    basis = found.directions(found.motifs["one"])
    assert np.linalg.norm(basis @ (first / first.norm()).double().numpy()) > 0.99
    assert np.linalg.norm(basis @ (second / second.norm()).double().numpy()) < 0.1
    assert len(found.plot().axes) >= 1
    if seed == 0:
        lesioned = cj.shared_motifs(run.lesion(directions=basis), held, n_inits=128, progress=False)
        assert lesioned.table()["stable"].tolist() == [1, 1, 2]


def test_motifs_of_a_task_with_epochs_and_what_cannot_be(small_runs):
    task = cj.tasks.MultiTask(rules=["DelayPro", "MemoryPro"])
    run = cj.train(task, cj.networks.LeakyRNN(8), steps=1, batch_size=4, progress=False)
    found = cj.shared_motifs(run, [("DelayPro", "context"), ("MemoryPro", "context")], n_inits=32, progress=False)
    assert list(found.shares) == ["DelayPro, context", "MemoryPro, context"]
    evidence = found.lesion_evidence(n_random=2, n_trials=20)
    assert set(evidence.columns) == {"motif", "condition", "intact", "lesioned", "drop", "random", "random high"}
    with pytest.raises(ValueError, match="`places`: expected a dict of held inputs for 2BFF"):
        cj.shared_motifs(small_runs[0])
    with pytest.raises(ValueError, match="`places`: expected at least 2"):
        cj.shared_motifs(small_runs[0], {"rest": [0, 0]})
    with pytest.raises(ValueError, match="expected one of 'DelayPro', 'MemoryPro', got 'Pro'"):
        cj.shared_motifs(run, [("Pro", "context"), ("DelayPro", "context")])

"""Runs of different tasks compared, and how far a network generalises."""

import re

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.tasks import NBitFlipFlop, SineWaves

QUICK = {"steps": 1, "batch_size": 4, "progress": False}
FAST = {"n_trials": 20, "n_resamples": 10}


@pytest.fixture(scope="module")
def three_bits():
    task = NBitFlipFlop(n=3, n_timesteps=40, switch_prob=0.05, noise=0.1)
    return cj.train(task, cj.networks.GRU(8), **QUICK)


def test_measures_that_pair_nothing_are_taken_as_they_are(small_runs, three_bits):
    table = cj.compare([small_runs[0], three_bits], ["dsa", "portrait"], **FAST, interval=None).table()
    assert np.isfinite(table["a <-> b"]).all() and "matched" not in table
    own = [r.system(r.task.trials(20, cj.runs.trial_sets.derive_seed(0, "compare"))) for r in (small_runs[0], three_bits)]
    expected = cj.compare(own, ["dsa"], interval=None, names=["GRU-7", "GRU-8"]).table()
    assert table.loc["dsa"]["a <-> b"].iloc[0] == pytest.approx(expected.loc["dsa"]["a <-> b"].iloc[0])


def test_a_probe_is_fed_to_the_channels_of_the_same_label(small_runs, three_bits):
    probe = small_runs[0].task
    comparison = cj.compare([small_runs[0], three_bits], "cka", probe=probe, seed=2, **FAST)
    text = comparison.table()["matched"].iloc[0]
    assert text.startswith("20 trials of 2BFF fed to all (GRU-7: Input 1, Input 2; GRU-8: Input 1, Input 2)")
    trials = probe.trials(20, cj.runs.trial_sets.derive_seed(2, "compare"))
    wide = torch.cat([trials.inputs, torch.zeros(20, 40, 1)], -1)
    driven = [small_runs[0].drive(trials.inputs), three_bits.drive(wide)]
    expected = cj.compare(driven, "cka", interval=None).table()["a <-> b"].iloc[0]
    assert comparison.table()["a <-> b"].iloc[0] == pytest.approx(expected)
    # a network that differs from itself by nothing but its task
    from dataclasses import replace

    twin = replace(small_runs[0], task=NBitFlipFlop(n=2, n_timesteps=60), name="twin")
    same = cj.compare([small_runs[0], twin], "cka", probe=probe, **FAST).table()
    assert same["a <-> b"].iloc[0] == pytest.approx(1)
    by_array = cj.compare([small_runs[0], twin], "cka", probe=trials.inputs.numpy(), **FAST).table()
    assert by_array["matched"].iloc[0] == "20 trials of given inputs, fed to all"


def test_what_cannot_be_matched_gets_one_line(small_runs, three_bits):
    gru = small_runs[0]
    other = cj.train(SineWaves.small(), cj.networks.GRU(5), **QUICK)
    sine = ", ".join(other.task.input_labels)
    cases = [
        ({}, "`probe`: expected inputs to feed to all, since cka pairs trials and the runs are of different tasks, 2BFF"),
        ({"probe": three_bits.task}, f"none of which GRU-5 has ({sine})"),
        ({"probe": "2BFF"}, "`probe`: expected a task, Trials or an array (trial, time, input), got '2BFF'."),
        ({"probe": np.zeros((20, 30, 4))}, "`probe`: expected the 2 inputs of GRU-7, got 4."),
    ]
    for more, message in cases:
        with pytest.raises((TypeError, ValueError), match=re.escape(message)):
            cj.compare([gru, other], "cka", **more, **FAST)
    with pytest.raises(ValueError, match="`things`: expected runs of one task for a verdict, got 2BFF, 3BFF"):
        cj.compare([gru, three_bits], "dsa", **FAST).verdict()

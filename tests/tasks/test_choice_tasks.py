"""Tasks that end in a choice: their trials against their definitions, written out one trial and one step at a time."""

import numpy as np
import pytest
import torch

from conjugacy.tasks import ChaoticDelayedMatching, ContextualIntegration, DelayedDiscrimination, PoissonClicks
from conjugacy.trials import Rollout


def edges(trials, epoch):
    return trials.epochs[epoch].tolist()


def test_clicks_fall_in_their_epoch_and_the_choice_follows_their_counts():
    task = PoissonClicks()
    trials = task.trials(400, 1)
    for k in range(len(trials)):
        (start, stop), (go, end) = edges(trials, "clicks")[k], edges(trials, "response")[k]
        left, right, cue = trials.true_inputs[k].T
        assert left[:start].sum() == left[stop:].sum() == right[:start].sum() == right[stop:].sum() == 0
        assert cue.nonzero()[:, 0].tolist() == list(range(go, end)) and end - go == 20 and start == 10
        want = np.sign(float(right.sum() - left.sum()))
        assert (trials.targets[k, go:end] == want).all() and not trials.targets[k, :go].any()
        assert bool(trials.mask[k, go:end].all()) == (want != 0) and trials.mask[k, :go].all()


def test_clicks_have_the_stated_rates():
    task = PoissonClicks(rate=40, gammas=(1.0,), duration=1.0)
    trials = task.trials(4000, 2)
    counts = trials.true_inputs[..., :2].sum(1)
    for condition, sign in ((0, -1), (1, 1)):
        mine = counts[trials.conditions == condition]
        right = 40 / (1 + np.exp(-sign))
        for side, rate in ((0, 40 - right), (1, right)):
            # Poisson counts: mean and variance are the rate times one second
            n = len(mine)
            assert abs(mine[:, side].mean() - rate) < 5 * (rate / n) ** 0.5
            assert abs(mine[:, side].var() / rate - 1) < 5 * ((2 + 1 / rate) / n) ** 0.5
    assert abs(float((trials.conditions == 0).float().mean()) - 0.5) < 5 * 0.5 / 4000**0.5


def test_durations_of_clicks_are_uniform():
    spans = torch.tensor(edges(PoissonClicks(duration=(0.3, 0.5)).trials(4200, 0), "clicks"))
    steps = (spans[:, 1] - spans[:, 0]).bincount()
    assert steps.nonzero()[:, 0].tolist() == list(range(30, 51))
    assert ((steps[30:] - 200).abs() < 5 * 200**0.5).all()


def test_accuracy_is_split_by_the_size_of_gamma():
    task = PoissonClicks(gammas=(3.0, 0.5))
    trials = task.trials(300, 0)
    easy_only = trials.targets * ((trials.conditions == 0) | (trials.conditions == 3))[:, None, None]
    rates = task.success_rate(easy_only, trials)
    assert rates["accuracy/gamma 3"] == 1 and rates["accuracy/gamma 0.5"] == 0


def test_pairs_of_frequencies_are_uniform_where_they_differ_enough():
    task = DelayedDiscrimination(frequency=(10, 34), min_difference=4, noise=0.0)
    trials = task.trials(6000, 3)
    f = torch.zeros(len(trials), 2)
    for i, epoch in enumerate(("stimulus 1", "stimulus 2")):
        start = trials.epochs[epoch][:, 0]
        f[:, i] = trials.inputs[torch.arange(len(trials)), start, 0] * 34
    assert f.min() >= 10 - 1e-4 and f.max() <= 34 + 1e-4 and (f[:, 0] - f[:, 1]).abs().min() >= 4 - 1e-4
    assert torch.equal(trials.conditions.bool(), f[:, 0] > f[:, 1])
    # uniform on two triangles with legs of 20 Hz: |f1 - f2| - 4 has density 2 (20 - x) / 20^2, so mean 20 / 3
    gap = (f[:, 0] - f[:, 1]).abs() - 4
    assert abs(gap.mean() - 20 / 3) < 5 * 20 / 18**0.5 / 6000**0.5
    assert abs(f.mean() - 22) < 5 * 7 / 6000**0.5
    for k in range(50):
        on = [s for e in ("stimulus 1", "stimulus 2") for s in range(*edges(trials, e)[k])]
        assert trials.inputs[k, :, 0].nonzero()[:, 0].tolist() == on
        respond = list(range(*edges(trials, "response")[k]))
        assert trials.targets[k, :, 0].nonzero()[:, 0].tolist() == respond
        assert (trials.targets[k, respond] == (1 if f[k, 0] > f[k, 1] else -1)).all()
        silent = trials.mask[k, :, 0].logical_not().nonzero()[:, 0].tolist()
        assert silent == [*range(*edges(trials, "stimulus 2")[k]), *range(respond[-1] + 1, task.n_timesteps)]


def test_delays_are_uniform_and_exact():
    spans = DelayedDiscrimination(delay=(0.1, 0.2), dt=0.02).trials(3000, 0).epochs["delay"]
    counts = (spans[:, 1] - spans[:, 0]).bincount()
    assert counts.nonzero()[:, 0].tolist() == [5, 6, 7, 8, 9, 10]
    assert ((counts[5:] - 500).abs() < 5 * 500**0.5).all()
    fixed = DelayedDiscrimination(delay=0.5, dt=0.02).trials(10, 0).epochs["delay"]
    assert (fixed[:, 1] - fixed[:, 0] == 25).all()


def test_evidence_has_the_stated_mean_noise_and_independence():
    task = ContextualIntegration(coherences=(0.1, 0.4), noise=0.25)
    trials = task.trials(3000, 4)
    start, stop = edges(trials, "evidence")[0]
    clean = trials.true_inputs[:, start, :2]
    assert sorted(set(clean.flatten().tolist())) == pytest.approx([-0.4, -0.1, 0.1, 0.4])
    noise = (trials.inputs - trials.true_inputs)[:, start:stop, :2]
    assert abs(noise.std() - 0.25) < 5 * 0.25 / (2 * noise.numel()) ** 0.5
    assert abs((noise[..., 0] * noise[..., 1]).mean()) < 5 * 0.0625 / noise[..., 0].numel() ** 0.5
    assert not (trials.inputs - trials.true_inputs)[..., 2:].any()
    assert not trials.inputs[:, :start, :2].any() and not trials.inputs[:, stop:, :2].any()
    assert abs((clean[:, 0] * clean[:, 1]).sign().mean()) < 5 / 3000**0.5


def test_the_context_says_which_evidence_counts():
    task = ContextualIntegration()
    trials = task.trials(500, 4)
    start, stop = edges(trials, "evidence")[0]
    for k in range(len(trials)):
        motion, colour, on_motion, on_colour = trials.true_inputs[k, start].tolist()
        assert {on_motion, on_colour} == {0.0, 1.0}
        assert int(trials.conditions[k]) == 4 * on_colour + 2 * (motion > 0) + (colour > 0)
        assert (trials.targets[k, stop:, 0] == np.sign(motion if on_motion else colour)).all()
    assert not trials.targets[:, :stop].any()
    assert not trials.mask[:, start:stop].any() and trials.mask[:, :start].all() and trials.mask[:, stop:].all()


def test_no_observer_beats_the_ideal_one_and_the_sum_of_the_evidence_is_it():
    task = ContextualIntegration()
    trials = task.trials(20_000, 0)
    start, stop = edges(trials, "evidence")[0]
    sums = trials.inputs[:, start:stop, :2].sum(1)
    relevant = sums.gather(1, (trials.conditions // 4)[:, None])
    outputs = relevant[:, None].expand(-1, task.n_timesteps, 1)
    rates = task.success_rate(outputs, trials)
    p = task.ideal_accuracy()
    assert 0.98 < p < 0.995
    assert abs(rates["accuracy"] - p) < 5 * (p * (1 - p) / 20_000) ** 0.5
    # whoever sums both streams is right where they agree, and no better than chance where they disagree
    both = sums.sum(1)[:, None, None].expand(-1, task.n_timesteps, 1)
    rates = task.success_rate(both, trials)
    assert rates["accuracy/agree"] > 0.98 and abs(rates["accuracy/conflict"] - 0.5) < 5 * 0.5 / 10_000**0.5


def test_matching_trials_show_each_pair_equally_often_and_answer_it():
    task = ChaoticDelayedMatching(noise=0.0)
    trials = task.trials(2000, 6)
    assert task.n_timesteps == 105 and ChaoticDelayedMatching(dt=0.001).n_timesteps == 1050
    assert ((trials.conditions.bincount() - 500).abs() < 5 * 375**0.5).all()
    (a, b), (c, d), (go, end) = (edges(trials, e)[0] for e in ("cue 1", "cue 2", "response"))
    assert (a, b, c, d, go, end) == (5, 25, 45, 65, 85, 105)
    for k in range(100):
        first, second = divmod(int(trials.conditions[k]), 2)
        want = torch.zeros(105, 2)
        want[a:b, first] = 1
        want[c:d, second] = 1
        assert torch.equal(trials.inputs[k], want)
        assert (trials.targets[k, go:] == (1 if first != second else -1)).all() and not trials.targets[k, :go].any()
    assert trials.mask[:, go:].all() and not trials.mask[:, :go].any()


def test_the_windowed_objective_sees_the_mean_of_the_response_alone():
    task = ChaoticDelayedMatching(objective="window")
    trials = task.trials(50, 0)
    wobble = torch.zeros_like(trials.targets)
    wobble[:, 85:95], wobble[:, 95:] = 0.5, -0.5
    outputs = trials.targets + wobble
    assert task.loss(Rollout(outputs, outputs), trials).item() == pytest.approx(0, abs=1e-6)
    shifted = trials.targets + 0.25
    assert task.loss(Rollout(shifted, shifted), trials).item() == pytest.approx(0.25, abs=1e-6)


def test_random_delays_are_drawn_for_each_delay():
    task = ChaoticDelayedMatching(delay=(0.1, 0.3))
    trials = task.trials(2000, 0)
    first, second = (trials.epochs[e][:, 1] - trials.epochs[e][:, 0] for e in ("delay 1", "delay 2"))
    assert first.min() == second.min() == 10 and first.max() == second.max() == 30
    assert abs(float(torch.corrcoef(torch.stack([first, second]).float())[0, 1])) < 5 / 2000**0.5

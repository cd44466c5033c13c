"""The ideal observer: where the answer is known, and against networks."""

import numpy as np
import pytest
import torch
from scipy import stats

from conjugacy.tasks import MultiTask
from conjugacy.tasks.multitask_observer import ideal_outputs

RULES = MultiTask.RULES


@pytest.mark.parametrize("variant", ["standard", "ctdb"])
def test_without_noise_every_trial_is_solved(variant):
    task = MultiTask(noise=0.0, variant=variant)
    trials = task.trials(150, 3)
    outputs = ideal_outputs(task, trials)
    assert task.success_rate(outputs, trials)["accuracy"] == 1
    within = (trials.mask.any(2))[..., None]
    if variant == "standard":
        torch.testing.assert_close(outputs * within, trials.targets * within, atol=1e-3, rtol=0)


def test_its_success_is_what_sums_of_noisy_stimuli_allow():
    """The larger of two lengths, measured with nearly Gaussian errors of known size, is told with a known chance."""
    task = MultiTask(["IntMod1"], noise=0.6)
    trials = task.trials(700, 1)
    right = task.successes(ideal_outputs(task, trials), trials)["response"].numpy()
    steps = {name: (e[:, 1] - e[:, 0]).numpy() for name, e in trials.epochs.items()}
    rows = np.arange(len(trials))
    strength = [
        trials.true_inputs[rows, trials.epochs[s][:, 0], 1:3].norm(dim=1).numpy().astype(float)
        for s in ("stim1", "stim2")
    ]
    gap = abs(strength[0] - strength[1]) / (0.6 * np.sqrt(1 / steps["stim1"] + 1 / steps["stim2"]))
    choice = stats.norm.cdf(gap)
    # the direction of what was chosen is off by more than 18 degrees with the chance of a Gaussian angle
    chosen = np.where(strength[0] > strength[1], steps["stim1"], steps["stim2"])
    spread = 0.6 / np.sqrt(chosen) / np.maximum(*strength)
    direction = 1 - 2 * stats.norm.sf(np.pi / 10 / spread)
    expected = choice * direction
    assert 0.8 < expected.mean() < 0.95
    assert abs(right.mean() - expected.mean()) < 5 * np.sqrt((expected * (1 - expected)).sum()) / len(trials)


def test_no_simple_rule_does_better():
    """Larger length of the summed stimuli; matching within a fixed angle: rules that a network could use."""
    task = MultiTask(noise=0.5)
    trials = task.trials(15 * 80, 5)
    ideal = task.success_rate(ideal_outputs(task, trials), trials)
    simple = trials.targets.clone()
    step = torch.arange(trials.n_timesteps)
    mean = {}
    for name in ("stim1", "stim2", "response"):
        start, stop = trials.epochs[name].T
        within = ((step >= start[:, None]) & (step < stop[:, None]))[..., None]
        mean[name] = (trials.inputs[..., 1:3] * within).sum(1) / within.sum(1).clamp(min=1)
    first_is_longer = mean["stim1"].norm(dim=1, keepdim=True) > mean["stim2"].norm(dim=1, keepdim=True)
    integrated = torch.where(first_is_longer, mean["stim1"], mean["stim2"])
    cosine = torch.nn.functional.cosine_similarity(mean["stim1"], mean["response"])
    for rule, choice in (
        ("IntMod1", integrated),
        ("ContextIntMod1", integrated),
        ("Match2Sample", mean["response"] * (cosine > np.cos(np.radians(15)))[:, None]),
        ("NonMatch2Sample", mean["response"] * (cosine < -np.cos(np.radians(15)))[:, None]),
    ):
        its = trials.conditions == RULES.index(rule)
        within = ((step >= trials.epochs["response"][:, :1]) & (step < trials.epochs["response"][:, 1:]))[..., None]
        outputs = simple.clone()
        outputs[..., 1:] = within * choice[:, None]
        rate = task.successes(outputs[its], trials[its])["response"].float().mean()
        assert ideal[f"accuracy/{rule}"] >= rate - 0.02, rule
        assert rate > 0.5


def test_at_the_noise_of_the_task_little_is_lost():
    task = MultiTask()
    trials = task.trials(15 * 100, 7)
    ideal = task.success_rate(ideal_outputs(task, trials), trials)
    assert ideal["accuracy"] > 0.985
    assert all(ideal[f"accuracy/{rule}"] > 0.99 for rule in RULES[:6])
    assert all(ideal[f"accuracy/{rule}"] > 0.95 for rule in RULES[6:])

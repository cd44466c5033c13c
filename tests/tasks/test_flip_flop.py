import itertools
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conjugacy.networks import GRU, VanillaRNN
from conjugacy.tasks import NBitFlipFlop, validate
from conjugacy.trials import Rollout


def oracle(pulses):
    """Bits after every step, one step and one bit after the other."""
    bits = np.zeros_like(pulses)
    for trial, channels in zip(bits, pulses):
        for i in range(pulses.shape[2]):
            bit = 0
            for t in range(pulses.shape[1]):
                bit = {1: 1, -1: 0, 0: bit}[int(channels[t, i])]
                trial[t, i] = bit
    return bits


def oracle_mask(targets, blind):
    mask = np.ones(targets.shape, bool)
    for k, t, i in np.ndindex(targets.shape):
        before = targets[k, t - 1, i] if t > 0 else 0
        if targets[k, t, i] != before:
            mask[k, t : t + blind, i] = False
    mask[:, :5] = False
    return mask


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 4),
    steps=st.integers(6, 40),
    p=st.sampled_from([0.0, 0.01, 0.2, 0.5]),
    blind=st.integers(0, 7),
    seed=st.integers(0, 2**31),
)
def test_targets_and_mask_equal_a_plain_loop(n, steps, p, blind, seed):
    task = NBitFlipFlop(n, steps, p, noise=0.1, transition_blind=blind)
    trials = task.trials(3, seed)
    pulses = trials.true_inputs.numpy()
    np.testing.assert_array_equal(trials.targets, oracle(pulses))
    np.testing.assert_array_equal(trials.mask, oracle_mask(trials.targets.numpy(), blind))
    assert not pulses[:, :3].any()


def test_pulse_rate_sign_and_noise_have_the_stated_statistics():
    task = NBitFlipFlop(n=3, n_timesteps=500, switch_prob=0.015, noise=0.15)
    trials = task.trials(400, seed=7)
    pulses = trials.true_inputs[:, 3:].numpy()
    n = pulses.size
    for sign in (1, -1):
        count, sd = (pulses == sign).sum(), np.sqrt(n * 0.015 * 0.985)
        assert abs(count - 0.015 * n) < 5 * sd
    noise = (trials.inputs - trials.true_inputs).numpy()
    assert abs(noise.mean()) < 5 * 0.15 / np.sqrt(noise.size)
    assert abs(noise.std() - 0.15) < 5 * 0.15 / np.sqrt(2 * noise.size)
    # neighbouring steps are independent: P(two pulses in a row) = (2 p)^2
    hit = pulses != 0
    pairs = (hit[:, 1:] & hit[:, :-1]).sum()
    assert abs(pairs - 0.03**2 * n) < 6 * np.sqrt(0.03**2 * n)


def test_same_seed_same_trials_other_seed_others():
    task = NBitFlipFlop()
    assert task.trials(5, 3).digest() == task.trials(5, 3).digest()
    assert task.trials(5, 3).digest() != task.trials(5, 4).digest()
    assert task.trials(5, 3).digest() != NBitFlipFlop(switch_prob=0.02).trials(5, 3).digest()


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_is_a_valid_task_whose_spaces_hold_its_trials(n, noise):
    task = NBitFlipFlop(n=n, n_timesteps=37, noise=noise, switch_prob=0.1)
    validate(task)
    trials = task.trials(2, 0)
    assert all(step.numpy() in task.observation_space for step in trials.inputs.reshape(-1, n))
    assert all(step.numpy() in task.action_space for step in trials.targets.reshape(-1, n))


def test_loss_forgives_the_steps_of_a_flip_and_no_others():
    task = NBitFlipFlop(n=2, n_timesteps=60, switch_prob=0.05, noise=0.0, transition_blind=3)
    trials = task.trials(4, 1)
    lag = torch.cat([torch.zeros(4, 3, 2), trials.targets[:, :-3]], 1)
    answer = torch.where(trials.mask, trials.targets, lag)
    assert task.loss(Rollout(answer, answer), trials) == 0
    late = torch.cat([torch.zeros(4, 4, 2), trials.targets[:, :-4]], 1)
    assert task.loss(Rollout(late, late), trials) > 0
    assert task.loss(Rollout(answer, trials.targets + 0.5), trials).item() == pytest.approx(0.25)


def test_success_rate_counts_bits():
    task = NBitFlipFlop(n=2, n_timesteps=60)
    trials = task.trials(4, 1)
    assert task.success_rate(trials.targets, trials)["accuracy"] == 1
    one_wrong = trials.targets.clone()
    one_wrong[..., 1] = 1 - one_wrong[..., 1]
    rates = task.success_rate(one_wrong, trials)
    assert rates["accuracy/Bit 1"] == 1 and rates["accuracy/Bit 2"] == 0
    assert rates["accuracy"] == pytest.approx(float(trials.mask[..., 0].sum() / trials.mask.sum()))


def test_training_trials_are_busy_at_first_and_as_they_are_in_the_end():
    task = NBitFlipFlop(switch_prob=0.015)

    def pulses(task, step, progress):
        return float(task.training_trials(64, 3, step, progress).true_inputs[:, 3:].abs().mean())

    sd = np.sqrt(0.1 / (64 * 497 * 3))
    assert pulses(task, 0, 0.0) == pytest.approx(0.1, abs=4 * sd) == pulses(task, 1, 0.74)
    assert pulses(task, 2, 0.75) == pytest.approx(0.03, abs=4 * sd)
    for progress in (0.5, 0.9):  # where some are calm, none is busy
        calm = task.training_trials(64, 3, 2, progress, calm=0.25).true_inputs[:, 3:].abs()
        assert float(calm[:48].mean()) == pytest.approx(0.03, abs=4 * sd)
        assert float(calm[48:].mean()) == pytest.approx(0.006, abs=4 * sd)
    assert len(task.training_trials(1, 3, 2, 0.4, calm=0.25)) == 1 == len(task.training_trials(1, 3, 2, 0.4, calm=1))
    assert task.switch_prob == 0.015
    busier = NBitFlipFlop(switch_prob=0.2)
    assert pulses(busier, 0, 0.0) == pytest.approx(0.4, abs=8 * sd)
    assert pulses(NBitFlipFlop(switch_prob=0), 0, 0.0) == 0
    digests = {task.training_trials(4, seed, step, 0.5).digest() for seed in (0, 1) for step in (0, 1)}
    assert len(digests) == 4 and task.training_trials(4, 0, 1, 0.5).digest() in digests


def test_the_ideal_observer_is_bayes_rule_over_all_histories_of_pulses():
    task = NBitFlipFlop(n=1, n_timesteps=6, switch_prob=0.1, noise=0.6)
    trials = task.trials(5, 2)
    outputs = task.ideal_outputs(trials)
    for u, got in zip(trials.inputs[:, :, 0].double().numpy(), outputs[:, :, 0]):
        for t in range(6):
            weights = [0.0, 0.0]
            for pulses in itertools.product((-1, 0, 1), repeat=max(0, t - 2)):
                prior = np.prod([0.8 if s == 0 else 0.1 for s in pulses])
                heard = np.exp(-0.5 * ((u[3 : t + 1] - np.array(pulses)) / 0.6) ** 2).prod()
                last = [s for s in pulses if s]
                weights[bool(last and last[-1] > 0)] += prior * heard
            assert float(got[t]) == pytest.approx(weights[1] / sum(weights), abs=1e-6)


def test_no_outputs_are_nearer_to_the_bits_than_the_ideal_observers():
    task = NBitFlipFlop()
    trials = task.trials(200, 7)
    ideal = task.ideal_outputs(trials)
    assert torch.isfinite(ideal).all() and ideal.min() >= 0 and ideal.max() <= 1

    def error(outputs):
        return float(task.loss(Rollout(outputs, outputs, outputs), trials))

    best = error(ideal)
    assert 0 < best < 0.003  # an R2 of 0.99
    assert best < error((ideal > 0.5).float()) and best < error(0.98 * ideal + 0.01)


@pytest.mark.parametrize("noise", [0.0, 1e-6, 0.02])
def test_without_doubt_the_ideal_observer_knows_the_bits(noise):
    task = NBitFlipFlop(n_timesteps=60, switch_prob=0.1, noise=noise)
    trials = task.trials(4, 0)
    torch.testing.assert_close(task.ideal_outputs(trials), trials.targets, rtol=0, atol=1e-6)


def test_distilled_networks_see_weak_pulses_and_learn_the_outputs_of_the_ideal_observer():
    task, plain = NBitFlipFlop(distilled=True, noise=0.0), NBitFlipFlop(noise=0.0)
    assert task.trials(3, 1).digest() == plain.trials(3, 1).digest()
    trials, usual = (k.training_trials(64, 1, 5, 0.2) for k in (task, plain))
    at = usual.true_inputs != 0
    sizes = (trials.inputs / usual.inputs)[at]
    weak = sizes < 1
    assert torch.equal(trials.inputs[~at], usual.inputs[~at])
    assert float(weak.float().mean()) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(len(sizes)))
    assert sizes[weak].min() >= 0.35 and sizes[weak].max() <= 0.8 and sizes.max() <= 1
    assert float(task.training_trials(64, 1, 5, 0.74).true_inputs.abs().mean()) > 0.08  # busy for longer
    late = task.training_trials(64, 1, 5, 0.8)
    assert torch.equal(late.inputs, late.true_inputs)  # no weak ones
    noisy = NBitFlipFlop(distilled=True)
    for progress in (0.2, 0.8):
        trials = noisy.training_trials(8, 1, 5, progress)
        assert torch.equal(trials.targets, noisy.ideal_outputs(trials)) and trials.mask.all()


def test_a_gru_without_an_update_bias_is_given_one():
    free, set_by_hand, other = GRU(3), GRU(3, update_bias=2.0), VanillaRNN(3)
    for network in (free, set_by_hand, other):
        NBitFlipFlop().prepare(network)
    assert free.update_bias == 1 and set_by_hand.update_bias == 2 and not hasattr(other, "update_bias")


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_renders_figures_for_any_number_of_bits(n):
    task = NBitFlipFlop(n=n, n_timesteps=50, switch_prob=0.1)
    assert len(task.render().axes) == n + 1
    panels = [ax for ax in task.render_3d(n_trials=4).axes if ax.get_title().startswith("trial")]
    assert len(panels) == 4
    assert panels[0].name == ("3d" if n >= 3 else "rectilinear")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"n": 0}, "`n`: expected an integer >= 1, got 0. It is the number of bits."),
        ({"n": 2.5}, "`n`: expected an integer >= 1, got 2.5. It is the number of bits."),
        ({"n_timesteps": 5}, "`n_timesteps`: expected an integer >= 6, got 5."),
        (
            {"switch_prob": 0.6},
            "`switch_prob`: expected a number in [0, 0.5], got 0.6. "
            "It is the probability of each sign: both together are at most 1.",
        ),
        ({"noise": -0.1}, "`noise`: expected a number in [0, inf), got -0.1. It is a standard deviation."),
        ({"noise": float("nan")}, "`noise`: expected a number in [0, inf), got nan. It is a standard deviation."),
        ({"transition_blind": -1}, "`transition_blind`: expected an integer >= 0, got -1."),
        ({"dt": 0}, "`dt`: expected a number in (0, inf), got 0. It is the duration of a time step in seconds."),
    ],
)
def test_bad_arguments_are_named(args, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        NBitFlipFlop(**args)


def test_bad_counts_of_trials_are_named():
    with pytest.raises(ValueError, match=r"^`n`: expected an integer >= 1, got 0\. It is the number of trials\.$"):
        NBitFlipFlop().trials(0, 0)
    with pytest.raises(ValueError, match=r"^`seed`: expected an integer >= 0, got -1\.$"):
        NBitFlipFlop().trials(1, -1)

"""Tasks whose output goes on and on: their trials against their definitions."""

import math

import numpy as np
import pytest
import torch

from conjugacy.tasks import CyclingMemory, PathIntegration, PhaseCodedMemory, SineWaveGenerator


def test_waves_have_the_frequency_and_level_of_their_condition():
    task = SineWaveGenerator(n_frequencies=5, frequency=(1.0, 4.0), dt=0.02)
    trials = task.trials(200, 0)
    assert set(trials.conditions.tolist()) == set(range(5))
    for k in range(len(trials)):
        start, stop = trials.epochs["wave"][k].tolist()
        j = int(trials.conditions[k])
        want = [math.sin(2 * math.pi * (1 + 3 * j / 4) * 0.02 * (t - start + 1)) for t in range(start, stop)]
        np.testing.assert_allclose(trials.targets[k, start:stop, 0], want, atol=1e-5)
        cue = trials.inputs[k, :, 0]
        assert not cue[:start].any() and not cue[stop:].any() and not trials.targets[k, :start].any()
        np.testing.assert_allclose(cue[start:stop], 0.25 + j / 4, rtol=1e-6)
        assert trials.mask[k, :stop].all() and not trials.mask[k, stop:].any()


def test_a_wave_of_another_frequency_or_phase_is_wrong():
    task = SineWaveGenerator(n_frequencies=2)
    trials = task.trials(50, 0)
    time = (torch.arange(1, task.n_timesteps + 1) - trials.epochs["wave"][:, :1]) * task.dt
    on = time > 0

    def wave(scale, shift):
        f = task.hertz(trials.conditions)[:, None] * scale
        return (torch.sin(2 * torch.pi * f * time + shift) * on)[..., None]

    assert task.success_rate(wave(1.0, 0.0), trials)["accuracy"] == 1
    assert task.success_rate(wave(1.0, 0.1), trials)["accuracy"] == 1
    assert task.success_rate(wave(1.25, 0.0), trials)["accuracy"] == 0
    assert task.success_rate(wave(1.0, 0.6), trials)["accuracy"] == 0
    half = task.success_rate(wave(torch.where(trials.conditions == 0, 1.0, 1.3)[:, None], 0.0), trials)
    assert half["accuracy/slow"] == 1 and half["accuracy/fast"] == 0


def test_the_hand_turns_at_the_stated_frequency_in_the_cued_direction():
    task = CyclingMemory(frequency=2.0, noise=0.0, dt=0.02)
    trials = task.trials(100, 1)
    for k in range(len(trials)):
        forward = bool(trials.conditions[k])
        (cue, cued), (go, end) = trials.epochs["cue"][k].tolist(), trials.epochs["movement"][k].tolist()
        want = torch.zeros(task.n_timesteps, 3)
        want[cue:cued, 0 if forward else 1] = 1
        want[go:end, 2] = 1
        assert torch.equal(trials.inputs[k], want)
        assert (trials.targets[k, :go] == torch.tensor([1.0, 0.0])).all()
        angle = np.unwrap(torch.atan2(trials.targets[k, go:end, 1], trials.targets[k, go:end, 0]).numpy())
        np.testing.assert_allclose(
            angle, (1 if forward else -1) * 2 * np.pi * 0.04 * np.arange(1, end - go + 1), atol=1e-4
        )
        assert trials.mask[k, :end].all() and not trials.mask[k, end:].any()
    counts = task.trials(4000, 2).conditions.bincount()
    assert abs(int(counts[0]) - 2000) < 5 * 1000**0.5


def test_cycling_the_wrong_way_is_wrong():
    task = CyclingMemory()
    trials = task.trials(60, 1)
    forward = trials.targets.clone()
    forward[trials.conditions == 0, :, 1] *= -1
    rates = task.success_rate(forward, trials)
    assert rates["accuracy/forward"] == 1 and rates["accuracy/backward"] == 0


def test_the_memory_lags_the_reference_by_the_phase_of_its_item():
    task = PhaseCodedMemory(noise=0.0)
    trials = task.trials(100, 3)
    for k in range(len(trials)):
        (on, off), (_, end) = trials.epochs["cue"][k].tolist(), trials.epochs["memory"][k].tolist()
        reference, target = trials.inputs[k, :, 0].double(), trials.targets[k, :, 0].double()
        assert torch.equal(target[:on], reference[:on]) and end == task.n_timesteps
        item = int(trials.conditions[k])
        assert trials.inputs[k, :, 1 + item].nonzero()[:, 0].tolist() == list(range(on, off))
        assert not trials.inputs[k, :, 2 - item].any()
        # a sine obeys x(t + 1) + x(t - 1) = 2 cos(w) x(t): w from the reference, then the lag from two projections
        w = math.acos(
            float(((reference[2:] + reference[:-2]) @ reference[1:-1]) / (2 * reference[1:-1] @ reference[1:-1]))
        )
        assert 0.125 <= 2 * math.pi / w * task.dt <= 0.25
        steps = torch.arange(task.n_timesteps, dtype=torch.float64)
        basis = torch.stack([(w * steps).sin(), (w * steps).cos()], 1)
        a, b = (torch.linalg.lstsq(basis[on:], x[on:, None]).solution[:, 0] for x in (reference, target))
        lag = (math.atan2(a[1], a[0]) - math.atan2(b[1], b[0])) % (2 * math.pi)
        assert lag == pytest.approx((0.2 + item) * math.pi, abs=1e-3)
        assert torch.equal(trials.mask[k, :, 0].logical_not().nonzero()[:, 0], torch.arange(on, off))


def test_references_have_random_period_and_phase():
    trials = PhaseCodedMemory(noise=0.0).trials(4000, 0)
    start = trials.inputs[:, 0, 0]  # sin of a uniform phase: mean 0, variance 1 / 2
    assert abs(start.mean()) < 5 * (0.5 / 4000) ** 0.5 and abs(start.var() - 0.5) < 5 * (0.125 / 4000) ** 0.5
    spans = trials.epochs["cue"]
    assert spans[:, 0].min() == 30 and spans[:, 0].max() == 60
    assert set((spans[:, 1] - spans[:, 0]).tolist()) == set(range(30, 41))


def test_the_wrong_phase_is_wrong_and_an_eighth_of_a_cycle_is_forgiven():
    task = PhaseCodedMemory(noise=0.0)
    trials = task.trials(80, 1)
    item_b = torch.where((trials.conditions == 1)[:, None, None], trials.targets, -trials.targets)
    rates = task.success_rate(item_b, trials)
    assert rates["accuracy/B"] == 1 and rates["accuracy/A"] == 0
    quarter = trials.targets.roll(-8, 1)  # 8 of 31 to 62 steps: 0.81 to 1.6 rad early
    assert task.success_rate(quarter, trials)["accuracy"] < 0.1
    eighth = trials.targets.roll(-3, 1)
    assert task.success_rate(eighth, trials)["accuracy"] > 0.95


@pytest.mark.parametrize("position", [True, False])
def test_targets_are_the_integral_of_the_motion(position):
    task = PathIntegration(position=position, dt=0.05)
    trials = task.trials(20, 2)
    inputs, targets = trials.inputs.double().numpy(), trials.targets.numpy()
    for u, y in zip(inputs, targets):
        heading = math.atan2(u[0, -1], u[0, -2])
        x = np.zeros(2)
        for t in range(task.n_timesteps):
            heading += u[t, 0] * 0.05
            np.testing.assert_allclose(y[t, :2], [math.cos(heading), math.sin(heading)], atol=1e-4)
            if position:
                x += u[t, 1] * 0.05 * np.array([math.cos(heading), math.sin(heading)])
                np.testing.assert_allclose(y[t, 2:], x, atol=1e-4)
    assert not trials.inputs[:, 2:, -2:].any() and not trials.inputs[:, :2, 0].any()
    assert not trials.mask[:, :2].any() and trials.mask[:, 2:].all()


def test_turn_and_speed_have_the_stated_statistics():
    task = PathIntegration(turning=1.5, speed=0.3)
    trials = task.trials(3000, 0)
    turn, speed = trials.inputs[:, 2:, 0], trials.inputs[:, 2:, 1]
    keep = math.exp(-0.05 / 0.5)
    for t in (0, 40, 79):  # stationary: the same at every step
        assert abs(turn[:, t].mean()) < 5 * 1.5 / 3000**0.5
        assert abs(turn[:, t].std() / 1.5 - 1) < 5 / (2 * 3000) ** 0.5
        assert abs(speed[:, t].mean() - 0.3 * (2 / math.pi) ** 0.5) < 5 * 0.3 * 0.61 / 3000**0.5
    after = torch.corrcoef(torch.stack([turn[:, 30], turn[:, 31]]))[0, 1]
    assert abs(float(after) - keep) < 5 * (1 - keep**2) / 3000**0.5
    heading = torch.atan2(trials.targets[:, 0, 1], trials.targets[:, 0, 0])
    assert abs(heading.cos().mean()) < 5 * (0.5 / 3000) ** 0.5 and abs(heading.sin().mean()) < 5 * (0.5 / 3000) ** 0.5


def test_headings_are_compared_around_the_circle():
    task = PathIntegration(position=False)
    trials = task.trials(30, 0)

    def turned(angle):
        c, s = math.cos(angle), math.sin(angle)
        return trials.targets @ torch.tensor([[c, s], [-s, c]])

    assert task.success_rate(turned(0.3), trials)["accuracy"] == 1
    assert task.success_rate(turned(-0.33), trials)["accuracy"] == 0
    assert task.success_rate(turned(2 * math.pi), trials)["accuracy"] == 1
    moved = PathIntegration().trials(30, 0)
    off = moved.targets + torch.tensor([0.0, 0.0, 0.11, 0.0])
    rates = PathIntegration().success_rate(off, moved)
    assert (rates["accuracy"], rates["accuracy/heading"], rates["accuracy/position"]) == (0, 1, 0)

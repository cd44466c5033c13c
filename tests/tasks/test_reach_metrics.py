import math

import pytest
import torch

from conjugacy.tasks.reach_metrics import accuracy, reach_metrics
from conjugacy.trials import Rollout, Trials

DT, T = 0.01, 100


def made(hand, targets, **epochs):
    """Trials and a rollout with that course of the hand; an epoch not given is empty."""
    n = len(hand)
    edges = {name: torch.tensor(epochs.get(name, [(T, T)] * n)) for name in ("hold", "reach", "bump")}
    trials = Trials.from_tensors(torch.zeros(n, T, 3), targets, epochs=edges)
    actions = torch.full((n, T, 6), 0.5)
    return Rollout(torch.zeros(n, T, 1), hand, actions), trials


def test_a_reach_whose_figures_are_known():
    # from (0, 0) at the cue (step 40) by 5 mm a step along x, 20 steps, to 3 mm beside a target at (0.1, 0.003)
    x = 0.005 * (torch.arange(T) - 39).clamp(0, 20)
    hand = torch.stack([x, torch.zeros(T)], -1)[None]
    targets = torch.zeros(1, T, 2)
    targets[:, 40:] = torch.tensor([0.1, 0.003])
    out, trials = made(hand, targets, hold=[(0, 40)], reach=[(40, T)])
    metrics = reach_metrics(out, trials, DT)
    assert metrics["end_error"] == pytest.approx(0.003, abs=1e-6)
    assert metrics["end_error_median"] == pytest.approx(0.003, abs=1e-6)
    # after step 40 + k the hand is 0.1 - 0.005 (k + 1) away in x: within sqrt(0.02^2 - 0.003^2) from k = 16 on
    assert metrics["time_to_target"] == pytest.approx(0.16)
    assert metrics["hold_error"] == 0
    assert metrics["effort"] == pytest.approx(0.25)
    assert math.isnan(metrics["bump_peak"]) and math.isnan(metrics["bump_rest"])
    assert accuracy(hand, trials, DT) == 1.0


def test_short_reaches_and_catch_trials_do_not_count_at_the_end():
    targets = torch.zeros(4, T, 2)
    hand = torch.zeros(4, T, 2)
    hand[0], hand[1], hand[2], hand[3] = 0.02, 0.5, 0.5, 0.001
    reach = [(60, T), (61, T), (T, T), (30, T)]
    out, trials = made(hand, targets, hold=[(0, 60), (0, 61), (0, T), (0, 30)], reach=reach)
    far, near = 0.02 * 2**0.5, 0.001 * 2**0.5
    metrics = reach_metrics(out, trials, DT)
    assert metrics["end_error"] == pytest.approx((far + near) / 2)
    assert accuracy(hand, trials, DT) == 0.5
    # the hand of trial 0 never arrives, that of trial 3 is there at the cue
    assert metrics["time_to_target"] == 0
    # where no reach has time enough, all trials count
    assert accuracy(hand[1:3], trials[1:3], DT) == 0.0
    assert math.isnan(reach_metrics(out[1:3], trials[1:3], DT)["end_error"])


def test_leaving_the_target_again_is_not_having_arrived():
    hand, targets = torch.zeros(1, T, 2), torch.zeros(1, T, 2)
    hand[:, 80:83] = 0.5
    out, trials = made(hand, targets, hold=[(0, 30)], reach=[(30, T)])
    assert reach_metrics(out, trials, DT)["time_to_target"] == pytest.approx(0.53)
    hand[:, 80:] = 0.5
    assert math.isnan(reach_metrics(out, trials, DT)["time_to_target"])


def test_the_response_to_a_bump_is_taken_while_the_hand_is_held():
    hand, targets = torch.zeros(3, T, 2), torch.zeros(3, T, 2)
    hand[0, 30:40, 0], hand[0, 40:70, 0] = 0.05, 0.01
    hand[0, 80] = 9.0  # long after
    hand[1] = hand[2] = 7.0  # the cue comes too early; there is no bump
    hold = [(0, 70), (0, 60), (0, T)]
    out, trials = made(hand, targets, hold=hold, bump=[(25, 40), (25, 40), (T, T)])
    metrics = reach_metrics(out, trials, DT)
    assert metrics["bump_peak"] == pytest.approx(0.05)
    assert metrics["bump_rest"] == pytest.approx(0.01)

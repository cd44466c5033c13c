"""Metrics of reaches, in metres and seconds, from the path of the hand in the epochs of the trials."""

from __future__ import annotations

import torch
from torch import Tensor

from conjugacy.tasks.phases import before, during
from conjugacy.trials import Rollout, Trials

_ENOUGH = 0.4  # s after the go cue: a shorter reach cannot be expected to end
_END = 0.1  # s: the last part of a trial, over which an end is averaged
_NEAR = 0.01  # m: a reach that ends this near has been made
_THERE = 0.02  # m: the hand has arrived
_AFTER_BUMP = 0.3  # s: how long the hand is watched after a bump


def accuracy(hand: Tensor, trials: Trials, dt: float) -> float:
    """Share of reaches with enough time that end within 1 cm; of all trials where no reach has."""
    counts = _long_reaches(trials, dt)
    ends = _ends(hand, trials, dt)
    return float((ends[counts] if counts.any() else ends).le(_NEAR).double().mean())


def reach_metrics(rollout: Rollout, trials: Trials, dt: float) -> dict[str, float]:
    """Metrics of reaches; smaller is better, NaN where no trial counts.

    Returns
    -------
    dict
        "end_error", "end_error_median" (m): distance of the hand from the target over the last 0.1 s, mean and median
        over reaches with at least 0.4 s after the go cue.
        "time_to_target" (s): mean time from the go cue until the hand is within 2 cm and stays there, over those of
        these reaches in which it does.
        "hold_error" (m): mean distance from the start before the go cue, and throughout catch trials.
        "effort": mean squared command.
        "bump_peak" (m): mean largest distance from the start, from the onset of a bump while the hand is held to 0.3 s
        after its end. "bump_rest" (m): mean distance at that time.
    """
    hand, t = rollout.outputs, trials.n_timesteps
    distance = (hand - trials.targets).norm(dim=-1)
    long = _long_reaches(trials, dt)
    ends = _ends(hand, trials, dt)[long]
    holding = before(trials.epochs["hold"][:, 1], t)
    return {
        "end_error": _mean(ends),
        "end_error_median": float(ends.median()) if len(ends) else float("nan"),
        "time_to_target": _mean(_arrivals(distance, trials, dt)[long]),
        "hold_error": _mean(distance[holding]),
        "effort": _mean(rollout.actions.square()) if rollout.actions is not None else float("nan"),
        **_bump_metrics(distance, trials, dt),
    }


def _long_reaches(trials: Trials, dt: float) -> Tensor:
    reach = trials.epochs["reach"]
    return reach[:, 1] - reach[:, 0] >= round(_ENOUGH / dt)


def _ends(hand: Tensor, trials: Trials, dt: float) -> Tensor:
    n = max(1, round(_END / dt))
    return (hand - trials.targets)[:, -n:].norm(dim=-1).mean(1)


def _arrivals(distance: Tensor, trials: Trials, dt: float) -> Tensor:
    """Seconds from the go cue until the hand has arrived for good, (trial,); NaN where it does not."""
    t = distance.shape[1]
    steps = torch.arange(t, device=distance.device)
    away = (distance > _THERE) * (steps + 1)
    first_there = torch.maximum(away.amax(1), trials.epochs["reach"][:, 0])
    seconds = (first_there - trials.epochs["reach"][:, 0]).double() * dt
    return seconds.where(first_there < t, torch.nan)


def _bump_metrics(distance: Tensor, trials: Trials, dt: float) -> dict[str, float]:
    on, off = trials.epochs["bump"].unbind(1)
    watched_to = off + round(_AFTER_BUMP / dt)
    counts = (on < off) & (watched_to <= trials.epochs["hold"][:, 1])
    if not counts.any():
        return {"bump_peak": float("nan"), "bump_rest": float("nan")}
    watched = during(torch.stack([on, watched_to], 1), distance.shape[1])
    peak = distance.masked_fill(~watched, 0).amax(1)
    rest = distance.gather(1, (watched_to - 1).clamp(max=distance.shape[1] - 1)[:, None])[:, 0]
    return {"bump_peak": _mean(peak[counts]), "bump_rest": _mean(rest[counts])}


def _mean(x: Tensor) -> float:
    x = x[~x.isnan()]
    return float(x.double().mean()) if x.numel() else float("nan")

"""Shared parts of tasks without a plant: spaces made from labels, squared error, choices read from outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from conjugacy.tasks.phases import during
from conjugacy.tasks.task import Task
from conjugacy.trials import Rollout, Trials


def set_spaces(
    task: Task,
    inputs: Sequence[str],
    outputs: Sequence[str],
    reach: float | Sequence[float] = 1.0,
    bound: float | Sequence[float] = 1.0,
) -> None:
    """Give a task labels and boxes: inputs within +-reach, outputs within +-bound (a number, or one a channel)."""
    task.input_labels, task.output_labels = list(inputs), list(outputs)
    task.observation_space = _box(reach, len(inputs))
    task.context_inputs = _box(1.0, 0)
    task.action_space = _box(bound, len(outputs))


def squared_error(rollout: Rollout, trials: Trials) -> Tensor:
    """Mean squared error of the outputs over the steps that count."""
    return ((rollout.outputs - trials.targets).square() * trials.mask).sum() / trials.mask.sum()


def add_noise(rng: np.random.Generator, clean: Tensor, sd: float) -> Tensor:
    """Inputs with Gaussian noise of standard deviation `sd` on every channel and step."""
    if sd == 0:
        return clean
    noise = rng.standard_normal(tuple(clean.shape), dtype=np.float32)
    return clean + float(sd) * torch.from_numpy(noise)


def choices_right(outputs: Tensor, trials: Trials, epoch: str) -> tuple[Tensor, Tensor]:
    """Whether the mean of the first output in an epoch has the sign of the target, and which trials count, (trial,).

    A trial whose target is 0 there, or where no step of the epoch counts, has no right choice and does not count.
    """
    within = during(trials.epochs[epoch], trials.n_timesteps) & trials.mask[..., 0]
    steps = within.sum(1).clamp(min=1)
    choice = (outputs[..., 0] * within).sum(1) / steps
    target = (trials.targets[..., 0] * within).sum(1) / steps
    return choice.sign() == target.sign(), within.any(1) & (target != 0)


def share(right: Tensor, counted: Tensor) -> float:
    """Share of the trials that count which are right; 0 if none counts."""
    return float((right & counted).sum() / counted.sum().clamp(min=1))


def errors(outputs: Tensor, trials: Trials) -> Tensor:
    """Squared error of each trial over its steps that count, relative to the power of its targets, (trial,)."""
    missed = ((outputs - trials.targets).square() * trials.mask).sum((1, 2))
    return missed / (trials.targets.square() * trials.mask).sum((1, 2)).clamp(min=1e-12)


def _box(reach: float | Sequence[float], n: int) -> Box:
    high = np.broadcast_to(np.asarray(reach, np.float32), (n,)).copy()
    return Box(-high, high, (n,), np.float32)

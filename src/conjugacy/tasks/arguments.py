"""Checks of what the methods of tasks are given: numbers of trials, seeds, outputs, rollouts."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from conjugacy._check import check_instance, check_int, shown
from conjugacy.trials import Rollout, Trials

_MOST_TRIALS = 2**31 - 1


def trial_generator(n: Any, seed: Any) -> tuple[int, np.random.Generator]:
    """The number of trials and the generator from which they are drawn, once `n` and `seed` are known to be valid."""
    n = check_int("n", n, 1, hint="It is the number of trials.", limit=_MOST_TRIALS)
    return n, np.random.default_rng(check_int("seed", seed, 0))


def check_outputs(outputs: Any, trials: Any) -> None:
    """Raise an error unless `outputs` (trial, time, output) have the shape of the targets of `trials`."""
    check_instance("trials", trials, Trials, "Draw them with task.trials(n, seed).")
    _check_shape("outputs", outputs, trials)


def check_rollout(rollout: Any, trials: Any) -> None:
    """Raise an error unless `rollout` is one of `trials`."""
    check_instance("trials", trials, Trials, "Draw them with task.trials(n, seed).")
    check_instance("rollout", rollout, Rollout, "Make one with conjugacy.rollout(network, task, trials).")
    _check_shape("rollout.outputs", rollout.outputs, trials)


def _check_shape(name: str, outputs: Any, trials: Trials) -> None:
    if not isinstance(outputs, Tensor):
        raise TypeError(f"`{name}`: expected a tensor (trial, time, output), got {shown(outputs)}.")
    if not outputs.is_floating_point():
        raise TypeError(f"`{name}`: expected floating point numbers, got a tensor of {outputs.dtype}.")
    if outputs.shape != trials.targets.shape:
        raise ValueError(
            f"`{name}`: expected the shape of the targets of `trials`, {tuple(trials.targets.shape)}, got "
            f"{tuple(outputs.shape)}. Pass the outputs of a rollout of these trials."
        )

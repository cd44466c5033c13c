"""Epochs of trials: durations in steps, edges from one epoch to the next, and which steps lie in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_number


def check_range(name: str, value: Any, low: float = 0.0, hint: str = "") -> tuple[float, float]:
    """Return a pair (least, greatest) of numbers >= `low`, or say what is wrong; one number stands for both."""
    pair = (value, value) if isinstance(value, int | float) else value
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
        raise ValueError(f"`{name}`: expected a number or a pair (least, greatest), got {value!r}. {hint}".rstrip())
    least = check_number(name, pair[0], low, hint=hint)
    return least, check_number(name, pair[1], least, hint=hint)


def to_steps(name: str, seconds: float, dt: float, least: int = 1) -> int:
    """The number of steps nearest to a duration, at least `least`."""
    steps = round(check_number(name, seconds, 0, hint="It is a duration in seconds.") / dt)
    if steps < least:
        raise ValueError(
            f"`{name}`: expected at least {least} steps of dt = {dt:g} s, got {seconds!r} s. "
            "Lengthen it or shorten `dt`."
        )
    return steps


def range_to_steps(name: str, seconds: Any, dt: float, least: int = 1) -> tuple[int, int]:
    """The same for a pair (least, greatest) of durations."""
    low, high = check_range(name, seconds, hint="It is a duration in seconds.")
    return to_steps(name, low, dt, least), to_steps(name, high, dt, least)


def draw_steps(rng: np.random.Generator, n: int, span: tuple[int, int]) -> np.ndarray:
    """`n` numbers of steps, uniform on span[0] ... span[1], both included."""
    return rng.integers(span[0], span[1] + 1, n)


def consecutive(names: Sequence[str], steps: Sequence[np.ndarray | int], n: int) -> dict[str, Tensor]:
    """Epochs that follow one another from step 0 on, for `n` trials; `steps` are their lengths, one or one a trial."""
    lengths = np.stack([np.broadcast_to(s, n) for s in steps], 1)
    edges = np.concatenate([np.zeros((n, 1), np.int64), lengths.cumsum(1)], 1)
    return {name: torch.from_numpy(edges[:, i : i + 2].copy()) for i, name in enumerate(names)}


def during(epoch: Tensor, n_timesteps: int) -> Tensor:
    """True at the steps of an epoch (trial, 2): (trial, time)."""
    step = torch.arange(n_timesteps, device=epoch.device)
    return (step >= epoch[:, :1]) & (step < epoch[:, 1:])

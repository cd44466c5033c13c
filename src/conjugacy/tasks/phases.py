"""Epochs of trials: their durations in steps, their edges, and the steps that lie in one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_number, check_range, shown

MOST_STEPS = 10_000_000  # of an epoch; more is a slip of units
_SHORTEST_STEP, _LONGEST_STEP = 1e-9, 1e6  # seconds


def check_time_step(dt: Any) -> float:
    """Return `dt` as a number of seconds > 0, or say what is wrong with it."""
    hint = "It is the duration of a time step in seconds."
    seconds = check_number("dt", dt, 0, open_low=True, hint=hint, limit=_LONGEST_STEP)
    if seconds < _SHORTEST_STEP:
        raise ValueError(f"`dt`: expected at least {_SHORTEST_STEP:g}, got {seconds:g}. {hint}")
    return seconds


def to_steps(name: str, seconds: Any, dt: float, least: int = 1) -> int:
    """The number of steps nearest to a duration, at least `least`."""
    steps = check_number(name, seconds, 0, hint="It is a duration in seconds.") / dt
    if not steps < MOST_STEPS:
        raise ValueError(
            f"`{name}`: expected fewer than {MOST_STEPS} steps of dt = {dt:g} s, got {shown(seconds)} s. "
            "Shorten it or lengthen `dt`."
        )
    if round(steps) < least:
        raise ValueError(
            f"`{name}`: expected at least {least} steps of dt = {dt:g} s, got {shown(seconds)} s. "
            "Lengthen it or shorten `dt`."
        )
    return round(steps)


def fixed_steps(seconds: float, dt: float) -> int:
    """The number of steps of an epoch whose duration no argument sets; an error in `dt` if it is less than one."""
    steps = seconds / dt
    if round(steps) < 1 or not steps < MOST_STEPS:
        raise ValueError(
            f"`dt`: expected a time step of which an epoch of {seconds:g} s has at least one and fewer than "
            f"{MOST_STEPS}, got {dt:g} s."
        )
    return round(steps)


def exact_steps(name: str, seconds: Any, dt: float, least: int = 0) -> int:
    """The number of steps of a duration that has to be a multiple of `dt`, at least `least`."""
    hint = "It is a duration in seconds."
    seconds = check_number(name, seconds, least * dt * (1 - 1e-9), hint=hint, limit=MOST_STEPS * dt)
    steps = round(seconds / dt)
    if abs(seconds - steps * dt) > 1e-6 * dt:
        raise ValueError(
            f"`{name}`: expected a multiple of the time step, {dt:g} s, got {seconds!r}. Try {steps * dt:.6g}."
        )
    return steps


def range_to_steps(name: str, seconds: Any, dt: float, least: int = 1) -> tuple[int, int]:
    """The numbers of steps nearest to a pair (least, greatest) of durations, each at least `least`."""
    low, high = check_range(name, seconds, hint="It is a duration in seconds.")
    return to_steps(name, low, dt, least), to_steps(name, high, dt, least)


def draw_steps(rng: np.random.Generator, n: int, span: tuple[int, int]) -> np.ndarray:
    """`n` random numbers of steps, uniform on span[0] ... span[1], both included."""
    return rng.integers(span[0], span[1] + 1, n)


def consecutive(names: Sequence[str], steps: Sequence[np.ndarray | int], n: int) -> dict[str, Tensor]:
    """Epochs that follow one another from step 0 on, for `n` trials; `steps` are their lengths, one or one a trial."""
    lengths = np.stack([np.broadcast_to(s, n) for s in steps], 1)
    edges = np.concatenate([np.zeros((n, 1), np.int64), lengths.cumsum(1)], 1)
    return {name: torch.from_numpy(edges[:, i : i + 2].copy()) for i, name in enumerate(names)}


def during(epoch: Tensor, n_timesteps: int) -> Tensor:
    """Whether a step lies in an epoch (trial, 2) of its trial, bool (trial, time)."""
    step = torch.arange(n_timesteps, device=epoch.device)
    return (step >= epoch[:, :1]) & (step < epoch[:, 1:])


def before(step: Tensor, n_timesteps: int) -> Tensor:
    """Whether a step comes before the given step (trial,) of its trial, bool (trial, time)."""
    return torch.arange(n_timesteps, device=step.device) < step[:, None]


def as_epochs(edges: Mapping[str, tuple[np.ndarray | int, np.ndarray | int]], n: int) -> dict[str, Tensor]:
    """Epochs of `n` trials from their first steps and the steps after their last ones, one or one a trial."""
    pairs = {name: np.stack([np.broadcast_to(edge, n) for edge in pair], 1) for name, pair in edges.items()}
    return {name: torch.from_numpy(pair.astype(np.int64)) for name, pair in pairs.items()}

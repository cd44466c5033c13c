"""Cycling from memory: a brief cue sets the direction of the movement, a later one starts it.

After the cycling task of Russo et al. (2018), Neuron 97:953: monkeys pedalled forward or backward at about 2 Hz.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_noise, check_number
from conjugacy.tasks.arguments import check_outputs, check_rollout, trial_generator
from conjugacy.tasks.open_loop import add_noise, errors, set_spaces, squared_error
from conjugacy.tasks.phases import (
    before,
    check_time_step,
    consecutive,
    draw_steps,
    during,
    fixed_steps,
    range_to_steps,
    to_steps,
)
from conjugacy.tasks.task import Task
from conjugacy.trials import Rollout, Trials

_REST, _CUE = 0.1, 0.1  # seconds
_ERROR = 0.1


class CyclingMemory(Task):
    """Remember a direction through a delay; once the go input is on, cycle in that direction.

    The outputs are the position of the hand, (cos phi, sin phi): phi is 0 until the go input, then grows (forward) or
    falls (backward) by 2 pi `frequency` dt in every step. While the hand moves, no input holds the direction: the
    cycle that the network is on is its memory.

    Parameters
    ----------
    frequency : float
        Turns per second, > 0, with at least four steps of `dt` a turn.
    delay : pair of float
        Least and greatest time in seconds from the end of the cue to the go input, uniform between.
    duration : float
        Duration of the movement in seconds.
    noise : float
        Standard deviation of the Gaussian noise on every input and step, >= 0.
    dt : float
        Seconds per step, > 0.

    Notes
    -----
    `conditions` are 1 for forward, 0 for backward; epochs are "rest", "cue", "delay", "movement".
    """

    def __init__(
        self,
        frequency: float = 2.0,
        delay: float | tuple[float, float] = (0.2, 0.8),
        duration: float = 4.0,
        noise: float = 0.2,
        dt: float = 0.02,
    ):
        self.dt = check_time_step(dt)
        self.frequency = check_number(
            "frequency",
            frequency,
            0,
            0.25 / self.dt,
            open_low=True,
            hint=f"A turn needs four steps of `dt`, {self.dt:g} s.",
        )
        self.delay, self.duration = delay, duration
        self.noise = check_noise("noise", noise)
        self._delay = range_to_steps("delay", delay, self.dt)
        self._movement = to_steps("duration", duration, self.dt)
        self._rest, self._cue = (fixed_steps(s, self.dt) for s in (_REST, _CUE))
        self.n_timesteps = self._rest + self._cue + self._delay[1] + self._movement
        self.name = "cycling memory"
        set_spaces(self, ["Forward", "Backward", "Go"], ["Hand x", "Hand y"], reach=np.inf if self.noise > 0 else 1.0)

    @classmethod
    def small(cls) -> CyclingMemory:
        """An instance with short trials, used in tables of all tasks."""
        return cls(delay=0.1, duration=0.5, dt=0.04)

    @property
    def recipe(self) -> dict[str, Any]:
        """Two turns first, then the whole movement, long after it goes right.

        A network that is right for the length of a trial may still leave its cycle after it: R2 is 0.985 after a third
        of these steps, and then one cycle slowly gives way to the other (docs/tasks.md).
        """
        turns = min(self._movement, round(2 / (self.frequency * self.dt)))
        return {
            "steps": 3000,
            "batch_size": 32,
            "short_timesteps": self.n_timesteps - self._movement + turns,
            "stop_accuracy": 0.995,
            "stop_r2": 0.999,
        }

    def trials(self, n: int, seed: int) -> Trials:
        """`n` trials from `seed`; see the class for their statistics."""
        n, rng = trial_generator(n, seed)
        forward = rng.integers(0, 2, n)
        delay = draw_steps(rng, n, self._delay)
        names = ["rest", "cue", "delay", "movement"]
        epochs = consecutive(names, [self._rest, self._cue, delay, self._movement], n)
        cue, moving = (during(epochs[e], self.n_timesteps) for e in ("cue", "movement"))
        way = torch.from_numpy(forward)
        pulses = torch.nn.functional.one_hot(1 - way, 2)[:, None] * cue[..., None]
        inputs = torch.cat([pulses, moving[..., None]], -1).float()
        # the first step with the go input is the first one of the movement
        gone = (torch.arange(1, self.n_timesteps + 1) - epochs["movement"][:, :1]) * moving
        phi = 2 * torch.pi * self.frequency * self.dt * gone * (2 * way - 1)[:, None]
        mask = before(epochs["movement"][:, 1], self.n_timesteps)
        return Trials.from_tensors(
            add_noise(rng, inputs, self.noise),
            torch.stack([phi.cos(), phi.sin()], -1).float(),
            mask=mask,
            true_inputs=inputs,
            conditions=way,
            epochs=epochs,
        )

    def loss(self, rollout: Rollout, trials: Trials) -> Tensor:
        """Mean squared error of the outputs over the steps that count."""
        check_rollout(rollout, trials)
        return squared_error(rollout, trials)

    def success_rate(self, outputs: Tensor, trials: Trials) -> dict[str, float]:
        """Share of trials whose path is right: squared error at most a tenth of the power of the target.

        "accuracy" is over all trials, "accuracy/forward" and "accuracy/backward" for each direction.
        """
        check_outputs(outputs, trials)
        right = errors(outputs, trials) <= _ERROR
        rates = {"accuracy": float(right.float().mean())}
        for way, name in ((1, "forward"), (0, "backward")):
            which = trials.conditions == way
            rates[f"accuracy/{name}"] = float(right[which].float().mean()) if which.any() else 0.0
        return rates

"""Path integration: heading and position from self-motion.

Heading alone: Cueva, Wang, Chin & Wei (2020), ICLR, arXiv:1912.10189. Position: Cueva & Wei (2018), ICLR,
arXiv:1803.07770.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_flag, check_noise, check_number
from conjugacy.tasks.arguments import check_outputs, check_rollout, trial_generator
from conjugacy.tasks.open_loop import add_noise, set_spaces, squared_error
from conjugacy.tasks.phases import check_time_step, consecutive, during, fixed_steps, to_steps
from conjugacy.tasks.task import Task
from conjugacy.trials import Rollout, Trials

_CUE = 0.1  # seconds for which the first heading is shown
_MEMORY = 0.5  # correlation time of turning and speed, seconds
_HEADING_ERROR = 0.1 * math.pi
_POSITION_ERROR = 0.1  # metres


class PathIntegration(Task):
    """Report heading and position from the first heading and, after it, the speeds of turning and walking alone.

    Heading turns by turn * dt and position moves by speed * dt along it in every step; the walk starts at the origin.
    Turn is an Ornstein-Uhlenbeck process with standard deviation `turning` and a correlation time of 0.5 s; speed is
    the absolute value of another one with standard deviation `speed`.

    Parameters
    ----------
    position : bool
        Whether the position is reported too; without it there is no speed among the inputs.
    turning : float
        Standard deviation of the turn in rad/s, > 0.
    speed : float
        Standard deviation of the signed process whose size is the speed, in m/s, > 0.
    duration : float
        Duration of the walk in seconds.
    noise : float
        Standard deviation of the Gaussian noise on every input and step, >= 0.
    dt : float
        Seconds per step, > 0.

    Notes
    -----
    `conditions` are 0; epochs are "cue", "walk". Steps of the cue do not count.
    """

    def __init__(
        self,
        position: bool = True,
        turning: float = 1.5,
        speed: float = 0.3,
        duration: float = 4.0,
        noise: float = 0.0,
        dt: float = 0.05,
    ):
        self.position = check_flag("position", position)
        self.turning = check_number("turning", turning, 0, open_low=True, hint="It is in rad/s.", limit=1e6)
        self.speed = check_number("speed", speed, 0, open_low=True, hint="It is in m/s.", limit=1e6)
        self.dt = check_time_step(dt)
        self.duration = duration
        self.noise = check_noise("noise", noise)
        self._cue, self._walk = fixed_steps(_CUE, self.dt), to_steps("duration", duration, self.dt)
        self.n_timesteps = self._cue + self._walk
        self.name = "path integration" if self.position else "heading integration"
        inputs, outputs = ["Turn", "Cue cos", "Cue sin"], ["Heading cos", "Heading sin"]
        bound: list[float] = [1.0, 1.0]
        if self.position:
            inputs.insert(1, "Speed")
            outputs, bound = [*outputs, "x", "y"], [*bound, np.inf, np.inf]
        set_spaces(self, inputs, outputs, reach=np.inf, bound=bound)

    @classmethod
    def small(cls) -> PathIntegration:
        """An instance with short trials, used in tables of all tasks."""
        return cls(duration=1.0)

    @property
    def recipe(self) -> dict[str, Any]:
        """Short walks first, as in the default recipe."""
        return {
            "steps": 2500,
            "short_timesteps": min(40, self.n_timesteps),
            "short_share": 0.5,
            "whole_share": 0.5,
            "stop_r2": 0.99,
        }

    def trials(self, n: int, seed: int) -> Trials:
        """`n` trials from `seed`; see the class for their statistics."""
        n, rng = trial_generator(n, seed)
        first = rng.uniform(-np.pi, np.pi, n)
        turn = self.turning * self._wandering(rng, n)
        speed = np.abs(self.speed * self._wandering(rng, n)) if self.position else np.zeros_like(turn)
        heading = first[:, None] + np.cumsum(turn * self.dt, 1)
        direction = np.stack([np.cos(heading), np.sin(heading)], 2)
        targets = direction
        if self.position:
            targets = np.concatenate([direction, np.cumsum(speed[..., None] * self.dt * direction, 1)], 2)
        cue = np.zeros((n, self.n_timesteps, 2))
        cue[:, : self._cue] = direction[:, : self._cue]
        motion = [turn[..., None], speed[..., None]] if self.position else [turn[..., None]]
        epochs = consecutive(["cue", "walk"], [self._cue, self._walk], n)
        inputs = torch.from_numpy(np.concatenate([*motion, cue], 2).astype(np.float32))
        return Trials.from_tensors(
            add_noise(rng, inputs, self.noise),
            torch.from_numpy(targets.astype(np.float32)),
            mask=during(epochs["walk"], self.n_timesteps),
            true_inputs=inputs,
            epochs=epochs,
        )

    def _wandering(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Stationary Ornstein-Uhlenbeck processes of variance 1, (trial, time), at rest during the cue."""
        keep = math.exp(-self.dt / _MEMORY)
        xi = rng.standard_normal((n, self._walk))
        x = np.zeros((n, self.n_timesteps))
        x[:, self._cue] = xi[:, 0]
        for t in range(1, self._walk):
            x[:, self._cue + t] = keep * x[:, self._cue + t - 1] + math.sqrt(1 - keep**2) * xi[:, t]
        return x

    def loss(self, rollout: Rollout, trials: Trials) -> Tensor:
        """Mean squared error of the outputs over the steps that count."""
        check_rollout(rollout, trials)
        return squared_error(rollout, trials)

    def success_rate(self, outputs: Tensor, trials: Trials) -> dict[str, float]:
        """Share of the steps that count with a heading within 0.1 pi and a position within 0.1 m of the truth.

        "accuracy" is of both, "accuracy/heading" and "accuracy/position" (where it is reported) for each.
        """
        check_outputs(outputs, trials)
        counted = trials.mask[..., 0]
        heading, true = (torch.atan2(y[..., 1], y[..., 0]) for y in (outputs, trials.targets))
        off = torch.remainder(heading - true + torch.pi, 2 * torch.pi) - torch.pi
        right = {"heading": off.abs() <= _HEADING_ERROR}
        if self.position:
            right["position"] = (outputs[..., 2:] - trials.targets[..., 2:]).norm(dim=-1) <= _POSITION_ERROR
        both = torch.stack(list(right.values())).all(0)
        rates = {f"accuracy/{name}": float(r[counted].float().mean()) for name, r in right.items()}
        return {"accuracy": float(both[counted].float().mean()), **rates}

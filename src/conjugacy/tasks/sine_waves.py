"""Sine waves whose frequency a held input sets: Sussillo & Barak (2013), Neural Computation 25:626, section 3.3."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_int, check_noise, check_range
from conjugacy.tasks.arguments import check_outputs, check_rollout, trial_generator
from conjugacy.tasks.open_loop import add_noise, errors, set_spaces, squared_error
from conjugacy.tasks.phases import before, check_time_step, consecutive, draw_steps, during, fixed_steps, to_steps
from conjugacy.tasks.task import Task
from conjugacy.trials import Rollout, Trials

_LOWEST, _HIGHEST = 0.25, 1.25  # levels of the cue, as in the paper
_SILENCE = (0.05, 0.2)  # seconds before the cue: the phase must start with it, not with the trial
_ERROR = 0.1


class SineWaveGenerator(Task):
    """From the onset of a cue on, put out sin(2 pi f t); the level of the cue sets the frequency f.

    Levels are spaced evenly over 0.25 ... 1.25 (about as in the paper), frequencies over `frequency`. Before the onset
    input and output are 0.

    Parameters
    ----------
    n_frequencies : int
        Number of frequencies, >= 1 (51 in the paper).
    frequency : pair of float
        Lowest and highest frequency in Hz, with at least four steps of `dt` a period.
    duration : float
        Duration of the wave in seconds.
    noise : float
        Standard deviation of the Gaussian noise on the cue, every step, >= 0.
    dt : float
        Seconds per step, > 0.

    Notes
    -----
    `conditions` number the frequencies; epochs are "silence" (of random length), "wave".
    """

    def __init__(
        self,
        n_frequencies: int = 51,
        frequency: tuple[float, float] = (1.0, 4.0),
        duration: float = 1.5,
        noise: float = 0.0,
        dt: float = 0.02,
    ):
        self.n_frequencies = check_int("n_frequencies", n_frequencies, 1, limit=10**6)
        self.dt = check_time_step(dt)
        self.frequency = check_range("frequency", frequency, hint="It is in Hz.")
        if not 0 < self.frequency[0] <= self.frequency[1] <= 0.25 / self.dt:
            raise ValueError(
                f"`frequency`: expected two numbers in (0, {0.25 / self.dt:g}] Hz, got {frequency!r}. "
                f"A period needs at least four steps of `dt`, {self.dt:g} s."
            )
        self.duration = duration
        self.noise = check_noise("noise", noise)
        self._wave = to_steps("duration", duration, self.dt)
        self._silence = (fixed_steps(_SILENCE[0], self.dt), fixed_steps(_SILENCE[1], self.dt))
        self.n_timesteps = self._silence[1] + self._wave
        self.name = "sine waves"
        set_spaces(self, ["Cue"], ["Wave"], reach=np.inf if self.noise > 0 else _HIGHEST)

    @classmethod
    def small(cls) -> SineWaveGenerator:
        """An instance with short trials, used in tables of all tasks."""
        return cls(duration=0.5)

    @property
    def recipe(self) -> dict[str, Any]:
        """Whole trials: short ones would hold no period of the slow waves.

        With an R2 of 0.98 every wave counts as right, but those that go on are a fifth too small (docs/tasks.md).
        """
        return {
            "steps": 2500,
            "batch_size": 32,
            "short_timesteps": self.n_timesteps,
            "stop_accuracy": 0.99,
            "stop_r2": 0.997,
        }

    def level(self, condition: Tensor | int) -> Tensor:
        """Level of the cue of each condition."""
        return _LOWEST + (_HIGHEST - _LOWEST) * torch.as_tensor(condition) / max(1, self.n_frequencies - 1)

    def hertz(self, condition: Tensor | int) -> Tensor:
        """Frequency of each condition in Hz."""
        low, high = self.frequency
        return low + (high - low) * torch.as_tensor(condition) / max(1, self.n_frequencies - 1)

    def trials(self, n: int, seed: int) -> Trials:
        """`n` trials from `seed`; see the class for their statistics."""
        n, rng = trial_generator(n, seed)
        condition = torch.from_numpy(rng.integers(0, self.n_frequencies, n))
        silence = draw_steps(rng, n, self._silence)
        epochs = consecutive(["silence", "wave"], [silence, self._wave], n)
        on = during(epochs["wave"], self.n_timesteps)
        # after the first step with the cue one step of the wave has gone by
        since = (torch.arange(1, self.n_timesteps + 1) - epochs["wave"][:, :1]) * self.dt
        wave = torch.sin(2 * torch.pi * self.hertz(condition)[:, None] * since) * on
        cue = (self.level(condition)[:, None] * on)[..., None].float()
        mask = before(epochs["wave"][:, 1], self.n_timesteps)
        return Trials.from_tensors(
            add_noise(rng, cue, self.noise),
            wave[..., None].float(),
            mask=mask,
            true_inputs=cue,
            conditions=condition,
            epochs=epochs,
        )

    def loss(self, rollout: Rollout, trials: Trials) -> Tensor:
        """Mean squared error of the output over the steps that count."""
        check_rollout(rollout, trials)
        return squared_error(rollout, trials)

    def success_rate(self, outputs: Tensor, trials: Trials) -> dict[str, float]:
        """Share of trials whose wave is right: squared error at most a tenth of the power of the target.

        A wave of another frequency drifts out of phase and is wrong. "accuracy" is over all trials, "accuracy/slow" and
        "accuracy/fast" over the lower and the upper half of the frequencies.
        """
        check_outputs(outputs, trials)
        right = errors(outputs, trials) <= _ERROR
        slow = trials.conditions < self.n_frequencies / 2
        rates = {"accuracy": float(right.float().mean())}
        for half, which in (("slow", slow), ("fast", ~slow)):
            rates[f"accuracy/{half}"] = float(right[which].float().mean()) if which.any() else 0.0
        return rates

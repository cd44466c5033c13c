"""Delayed comparison of two vibrations: Romo, Brody, Hernandez & Lemus (1999), Nature 399:470."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_noise, check_number, check_range
from conjugacy.tasks.arguments import check_outputs, check_rollout, trial_generator
from conjugacy.tasks.open_loop import add_noise, choices_right, set_spaces, share, squared_error
from conjugacy.tasks.phases import before, check_time_step, consecutive, draw_steps, during, fixed_steps, range_to_steps
from conjugacy.tasks.task import Task
from conjugacy.trials import Rollout, Trials

_FIXATION, _STIMULUS, _RESPONSE = 0.1, 0.2, 0.2  # seconds


class DelayedDiscrimination(Task):
    """Two stimuli with a delay between; then report +1 if the first frequency was higher, -1 if the second was.

    Parameters
    ----------
    frequency : pair of float
        Lowest and highest frequency in Hz; 10 to 34 Hz in the paper. The input is the frequency divided by the highest
        one while a stimulus is on, 0 else.
    min_difference : float
        Least ``|f1 - f2|`` in Hz, > 0 and at most the span of `frequency`.
    delay : pair of float
        Least and greatest delay in seconds, uniform between.
    noise : float
        Standard deviation of the Gaussian noise on the input, every step, >= 0.
    dt : float
        Seconds per step, > 0.

    Notes
    -----
    (f1, f2) is uniform over all pairs that differ enough. `conditions` are 1 where f1 > f2, else 0; epochs are
    "fixation", "stimulus 1", "delay", "stimulus 2", "response". The output is 0 until the second stimulus, during which
    it does not count.
    """

    def __init__(
        self,
        frequency: tuple[float, float] = (10.0, 34.0),
        min_difference: float = 4.0,
        delay: float | tuple[float, float] = (0.4, 1.2),
        noise: float = 0.02,
        dt: float = 0.02,
    ):
        self.frequency = check_range("frequency", frequency, hint="It is in Hz.")
        if not self.frequency[0] < self.frequency[1]:
            raise ValueError(f"`frequency`: expected two different numbers of Hz, got {frequency!r}.")
        self.min_difference = check_number(
            "min_difference",
            min_difference,
            0,
            self.frequency[1] - self.frequency[0],
            open_low=True,
            hint="It is in Hz, within the span of `frequency`.",
        )
        self.dt = check_time_step(dt)
        self.delay = delay
        self.noise = check_noise("noise", noise)
        self._delay = range_to_steps("delay", delay, self.dt)
        self._fixation, self._stimulus, self._response = (
            fixed_steps(s, self.dt) for s in (_FIXATION, _STIMULUS, _RESPONSE)
        )
        self.n_timesteps = self._fixation + 2 * self._stimulus + self._delay[1] + self._response
        self.name = "delayed discrimination"
        set_spaces(self, ["Vibration"], ["Choice"], reach=np.inf if self.noise > 0 else 1.0)

    @classmethod
    def small(cls) -> DelayedDiscrimination:
        """An instance with short trials, used in tables of all tasks."""
        return cls(delay=0.1, dt=0.05)

    @property
    def recipe(self) -> dict[str, Any]:
        """Whole trials from the start: the answer comes at their end."""
        return {"steps": 2500, "short_timesteps": self.n_timesteps, "stop_accuracy": 0.99, "stop_r2": 0.95}

    def trials(self, n: int, seed: int) -> Trials:
        """`n` trials from `seed`; see the class for their statistics."""
        n, rng = trial_generator(n, seed)
        low, high = self.frequency
        # f1 > f2 + d, uniform: the triangle of such pairs is the lower half of a square with side span - d, mirrored
        pair = np.sort(rng.random((n, 2)), 1)[:, ::-1] * (high - low - self.min_difference) + low
        pair[:, 0] += self.min_difference
        first_higher = rng.random(n) < 0.5
        pair[~first_higher] = pair[~first_higher, ::-1]
        delay = draw_steps(rng, n, self._delay)
        names = ["fixation", "stimulus 1", "delay", "stimulus 2", "response"]
        steps = [self._fixation, self._stimulus, delay, self._stimulus, self._response]
        epochs = consecutive(names, steps, n)
        one, two, respond = (during(epochs[e], self.n_timesteps) for e in ("stimulus 1", "stimulus 2", "response"))
        f = torch.from_numpy(pair / high).float()
        inputs = (f[:, :1] * one + f[:, 1:] * two)[..., None]
        sign = torch.from_numpy(np.where(first_higher, 1, -1).astype(np.float32))
        mask = before(epochs["response"][:, 1], self.n_timesteps) & ~two
        return Trials.from_tensors(
            add_noise(rng, inputs, self.noise),
            (sign[:, None] * respond)[..., None],
            mask=mask,
            true_inputs=inputs,
            conditions=torch.from_numpy(first_higher.astype(np.int64)),
            epochs=epochs,
        )

    def loss(self, rollout: Rollout, trials: Trials) -> Tensor:
        """Mean squared error of the output over the steps that count."""
        check_rollout(rollout, trials)
        return squared_error(rollout, trials)

    def success_rate(self, outputs: Tensor, trials: Trials) -> dict[str, float]:
        """Share of choices (sign of the mean output in the response) that are right.

        Returns
        -------
        dict
            "accuracy" over all trials, "accuracy/f1 > f2" and "accuracy/f1 < f2" for each answer.
        """
        check_outputs(outputs, trials)
        right, counted = choices_right(outputs, trials, "response")
        return {
            "accuracy": share(right, counted),
            "accuracy/f1 > f2": share(right, counted & (trials.conditions == 1)),
            "accuracy/f1 < f2": share(right, counted & (trials.conditions == 0)),
        }

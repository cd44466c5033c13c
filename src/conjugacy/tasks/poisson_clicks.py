"""Poisson clicks, counted and compared: Brunton, Botvinick & Brody (2013), Science 340:95."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_noise, check_number, check_numbers
from conjugacy.tasks.arguments import check_outputs, check_rollout, trial_generator
from conjugacy.tasks.open_loop import add_noise, choices_right, set_spaces, share, squared_error
from conjugacy.tasks.phases import before, check_time_step, consecutive, draw_steps, during, fixed_steps, range_to_steps
from conjugacy.tasks.task import Task
from conjugacy.trials import Rollout, Trials

_FIXATION, _RESPONSE = 0.1, 0.2  # seconds


class PoissonClicks(Task):
    """Two trains of clicks, left and right; after the go cue, report which one had more: -1 left, +1 right.

    Clicks of each side are a Poisson process; both rates together are `rate`, and their ratio right / left is
    exp(gamma) with gamma drawn from +-`gammas`. The output is 0 until the clicks end and the go input begins.

    Parameters
    ----------
    rate : float
        Clicks per second, both sides together, > 0 (40 in the paper).
    gammas : sequence of float
        ``|log(rate right / rate left)|``, each > 0, equally likely. The default is 26:14, 31:9, 37:3 and 39:1.
    duration : pair of float
        Least and greatest duration of the clicks in seconds, uniform between.
    noise : float
        Standard deviation of the Gaussian noise on every input and step, >= 0.
    dt : float
        Seconds per step, > 0. Inputs are numbers of clicks within a step.

    Notes
    -----
    The right choice depends on the clicks that came, as the reward in the experiment does, not on their rates: a
    perfect counter is always right. Where both sides have equally many, the response does not count.
    `conditions` number the signed gammas from left to right; epochs are "fixation", "clicks", "response".
    """

    def __init__(
        self,
        rate: float = 40.0,
        gammas: Sequence[float] = (0.62, 1.24, 2.51, 3.66),
        duration: tuple[float, float] = (0.3, 1.0),
        noise: float = 0.0,
        dt: float = 0.01,
    ):
        self.rate = check_number("rate", rate, 0, open_low=True, hint="It is in clicks per second.", limit=1e6)
        self.gammas = check_numbers(
            "gammas", gammas, None, 0, 100, open_low=True, hint="They are sizes of log ratios of the rates."
        )
        self.dt = check_time_step(dt)
        self.duration = duration
        self.noise = check_noise("noise", noise)
        self._clicks = range_to_steps("duration", duration, self.dt)
        self._fixation, self._response = (fixed_steps(s, self.dt) for s in (_FIXATION, _RESPONSE))
        self.n_timesteps = self._fixation + self._clicks[1] + self._response
        self.name = "Poisson clicks"
        set_spaces(self, ["Left clicks", "Right clicks", "Go"], ["Choice"], reach=np.inf)

    @classmethod
    def small(cls) -> PoissonClicks:
        """An instance with short trials, used in tables of all tasks."""
        return cls(duration=(0.1, 0.3), dt=0.02)

    @property
    def recipe(self) -> dict[str, Any]:
        """Whole trials from the start: the answer comes at their end."""
        return {"steps": 1500, "short_timesteps": self.n_timesteps, "stop_accuracy": 0.99, "stop_r2": 0.95}

    def trials(self, n: int, seed: int) -> Trials:
        """`n` trials from `seed`; see the class for their statistics."""
        n, rng = trial_generator(n, seed)
        signed = np.sort(np.concatenate([np.negative(self.gammas), self.gammas]))
        condition = rng.integers(0, len(signed), n)
        steps = draw_steps(rng, n, self._clicks)
        epochs = consecutive(["fixation", "clicks", "response"], [self._fixation, steps, self._response], n)
        right = self.rate / (1 + np.exp(-signed[condition]))
        rates = np.stack([self.rate - right, right], 1)[:, None] * self.dt
        clicks = torch.from_numpy(rng.poisson(rates, (n, self.n_timesteps, 2)).astype(np.float32))
        clicking, respond = (during(epochs[e], self.n_timesteps) for e in ("clicks", "response"))
        clicks *= clicking[..., None]
        more = (clicks[..., 1] - clicks[..., 0]).sum(1).sign()
        inputs = torch.cat([clicks, respond[..., None].float()], -1)
        targets = (more[:, None] * respond)[..., None]
        mask = before(epochs["response"][:, 0], self.n_timesteps) | (respond & (more != 0)[:, None])
        return Trials.from_tensors(
            add_noise(rng, inputs, self.noise),
            targets,
            mask=mask,
            true_inputs=inputs,
            conditions=torch.from_numpy(condition),
            epochs=epochs,
        )

    def loss(self, rollout: Rollout, trials: Trials) -> Tensor:
        """Mean squared error of the outputs over the steps that count."""
        check_rollout(rollout, trials)
        return squared_error(rollout, trials)

    def success_rate(self, outputs: Tensor, trials: Trials) -> dict[str, float]:
        """Share of choices (sign of the mean output in the response) that are right.

        Returns
        -------
        dict
            "accuracy" over all trials, "accuracy/gamma g" for each size of gamma.
        """
        check_outputs(outputs, trials)
        right, counted = choices_right(outputs, trials, "response")
        sizes = sorted(self.gammas)
        # conditions count -g_max ... -g_min, g_min ... g_max
        size = torch.where(
            trials.conditions >= len(sizes), trials.conditions - len(sizes), len(sizes) - 1 - trials.conditions
        )
        rates = {f"accuracy/gamma {g:g}": share(right, counted & (size == i)) for i, g in enumerate(sizes)}
        return {"accuracy": share(right, counted), **rates}

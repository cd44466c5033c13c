"""Delayed non-match to sample, as learned by networks that start out chaotic: Miconi (2017), eLife 6:e20899."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_choice, check_noise
from conjugacy.tasks.arguments import check_outputs, check_rollout, trial_generator
from conjugacy.tasks.open_loop import add_noise, choices_right, set_spaces, share, squared_error
from conjugacy.tasks.phases import (
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

_BASELINE = 0.05  # seconds


class ChaoticDelayedMatching(Task):
    """Two cues with a delay between, each A or B; after a second delay, report whether they differ (+1) or match (-1).

    Parameters
    ----------
    cue : float
        Duration of each cue in seconds.
    delay : float or pair of float
        Duration of each of the two delays in seconds; of a pair, least and greatest, uniform between.
    response : float
        Duration of the response in seconds.
    noise : float
        Standard deviation of the Gaussian noise on every input and step, >= 0.
    objective : {"squared", "window"}
        "squared": mean squared error over the steps of the response. "window":
        ``|mean output in the response - target|``, averaged over trials, as in the paper.
    dt : float
        Seconds per step, > 0; 0.001 in the paper, which makes trials of 1050 steps.

    Notes
    -----
    Nothing in the task is chaotic. Its name refers to the networks that learn it in the paper: rate networks with
    random weights of gain 1.5 (`conjugacy.networks.ChaoticRateRNN`), whose largest Lyapunov exponent is positive before
    they are trained. docs/tasks.md has the exponents before and after, measured.
    `conditions` are 2 [first is B] + [second is B]; epochs are "baseline", "cue 1", "delay 1", "cue 2", "delay 2",
    "response". The response alone counts.
    """

    def __init__(
        self,
        cue: float = 0.2,
        delay: float | tuple[float, float] = 0.2,
        response: float = 0.2,
        noise: float = 0.1,
        objective: str = "squared",
        dt: float = 0.01,
    ):
        self.dt = check_time_step(dt)
        self.cue, self.delay, self.response = cue, delay, response
        self._cue, self._response = to_steps("cue", cue, self.dt), to_steps("response", response, self.dt)
        self._delay = range_to_steps("delay", delay, self.dt)
        self._baseline = fixed_steps(_BASELINE, self.dt)
        self.noise = check_noise("noise", noise)
        self.objective = check_choice("objective", objective, ("squared", "window"))
        self.n_timesteps = self._baseline + 2 * self._cue + 2 * self._delay[1] + self._response
        self.name = "delayed matching"
        set_spaces(self, ["Cue A", "Cue B"], ["Response"], reach=np.inf if self.noise > 0 else 1.0)

    @classmethod
    def small(cls) -> ChaoticDelayedMatching:
        """An instance with short trials, used in tables of all tasks."""
        return cls(cue=0.1, delay=0.05, response=0.1, dt=0.02)

    @property
    def recipe(self) -> dict[str, Any]:
        """Whole trials from the start: the answer comes at their end."""
        return {"steps": 1500, "short_timesteps": self.n_timesteps, "stop_accuracy": 0.995, "stop_r2": 0.97}

    def trials(self, n: int, seed: int) -> Trials:
        """`n` trials from `seed`; see the class for their statistics."""
        n, rng = trial_generator(n, seed)
        cues = torch.from_numpy(rng.integers(0, 2, (n, 2)))
        delays = [draw_steps(rng, n, self._delay) for _ in range(2)]
        names = ["baseline", "cue 1", "delay 1", "cue 2", "delay 2", "response"]
        epochs = consecutive(names, [self._baseline, self._cue, delays[0], self._cue, delays[1], self._response], n)
        shown = [during(epochs[e], self.n_timesteps) for e in ("cue 1", "cue 2")]
        respond = during(epochs["response"], self.n_timesteps)
        channel = torch.nn.functional.one_hot(cues, 2)
        inputs = (channel[:, :1] * shown[0][..., None] + channel[:, 1:] * shown[1][..., None]).float()
        answer = torch.where(cues[:, 0] != cues[:, 1], 1.0, -1.0)
        return Trials.from_tensors(
            add_noise(rng, inputs, self.noise),
            (answer[:, None] * respond)[..., None],
            mask=respond,
            true_inputs=inputs,
            conditions=2 * cues[:, 0] + cues[:, 1],
            epochs=epochs,
        )

    def loss(self, rollout: Rollout, trials: Trials) -> Tensor:
        """The loss named by `objective`, over the response."""
        check_rollout(rollout, trials)
        if self.objective == "squared":
            return squared_error(rollout, trials)
        steps = trials.mask.sum(1).clamp(min=1)
        means = [(y * trials.mask).sum(1) / steps for y in (rollout.outputs, trials.targets)]
        return (means[0] - means[1]).abs().mean()

    def success_rate(self, outputs: Tensor, trials: Trials) -> dict[str, float]:
        """Share of responses (sign of the mean output in the response) that are right.

        "accuracy" is over all trials, "accuracy/AA" ... "accuracy/BB" for each pair of cues.
        """
        check_outputs(outputs, trials)
        right, counted = choices_right(outputs, trials, "response")
        rates = {
            f"accuracy/{pair}": share(right, counted & (trials.conditions == k))
            for k, pair in enumerate(("AA", "AB", "BA", "BB"))
        }
        return {"accuracy": share(right, counted), **rates}

"""Contextual integration: integrate the one of two noisy streams that a context cue selects.

Mante, Sussillo, Shenoy & Newsome (2013), Nature 503:78.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_noise, check_numbers
from conjugacy.tasks.arguments import check_outputs, check_rollout, trial_generator
from conjugacy.tasks.open_loop import add_noise, choices_right, set_spaces, share, squared_error
from conjugacy.tasks.phases import check_time_step, consecutive, during, fixed_steps, to_steps
from conjugacy.tasks.task import Task
from conjugacy.trials import Rollout, Trials

_FIXATION, _RESPONSE = 0.1, 0.2  # seconds


class ContextualIntegration(Task):
    """Motion and colour evidence come at once; after they end, report the sign of the one that the context selects.

    Parameters
    ----------
    coherences : sequence of float
        Sizes of the mean evidence, each > 0; each stream draws size and sign by itself.
    noise : float
        Standard deviation of the evidence in each step, >= 0; cues of the context have none.
    duration : float
        Duration of the evidence in seconds (0.75 in the paper).
    dt : float
        Seconds per step, > 0.

    Notes
    -----
    `conditions` are 4 context + 2 [motion > 0] + [colour > 0] with context 0 for motion, 1 for colour; epochs are
    "fixation", "evidence", "response". The context is on throughout. The output is 0 in the fixation and the sign of
    the mean evidence in the response; it does not count while the evidence is on.
    """

    def __init__(
        self,
        coherences: Sequence[float] = (0.05, 0.1, 0.2, 0.4),
        noise: float = 0.25,
        duration: float = 0.75,
        dt: float = 0.01,
    ):
        self.coherences = check_numbers(
            "coherences", coherences, None, 0, open_low=True, hint="They are sizes of the mean evidence."
        )
        self.noise = check_noise("noise", noise)
        self.dt = check_time_step(dt)
        self.duration = duration
        self._evidence = to_steps("duration", duration, self.dt)
        self._fixation, self._response = (fixed_steps(s, self.dt) for s in (_FIXATION, _RESPONSE))
        self.n_timesteps = self._fixation + self._evidence + self._response
        self.name = "contextual integration"
        reach = np.inf if self.noise > 0 else max(self.coherences)
        labels = ["Motion", "Colour", "Context motion", "Context colour"]
        set_spaces(self, labels, ["Choice"], reach=[reach, reach, 1, 1])

    @classmethod
    def small(cls) -> ContextualIntegration:
        """An instance with short trials, used in tables of all tasks."""
        return cls(duration=0.3, dt=0.02)

    @property
    def recipe(self) -> dict[str, Any]:
        """Whole trials from the start: the answer comes at their end. It stops near the best that the noise allows."""
        goal = self.ideal_accuracy() - 0.015
        return {"steps": 2500, "short_timesteps": self.n_timesteps, "stop_accuracy": goal, "stop_r2": 0.92}

    def ideal_accuracy(self) -> float:
        """Accuracy of the ideal observer, who sums the relevant stream: mean over coherences of Phi(c sqrt(n) / sd)."""
        if self.noise == 0:
            return 1.0
        z = torch.tensor(self.coherences) * self._evidence**0.5 / self.noise
        return float(torch.special.ndtr(z).mean())

    def trials(self, n: int, seed: int) -> Trials:
        """`n` trials from `seed`; see the class for their statistics."""
        n, rng = trial_generator(n, seed)
        context = rng.integers(0, 2, n)
        mean = rng.choice(self.coherences, (n, 2)) * rng.choice((-1.0, 1.0), (n, 2))
        epochs = consecutive(["fixation", "evidence", "response"], [self._fixation, self._evidence, self._response], n)
        shown, respond = (during(epochs[e], self.n_timesteps) for e in ("evidence", "response"))
        cues = torch.nn.functional.one_hot(torch.from_numpy(context), 2).float()[:, None]
        cues = cues.expand(n, self.n_timesteps, 2)
        clean = torch.from_numpy(mean).float()[:, None] * shown[..., None]
        noisy = add_noise(rng, clean, self.noise)
        answer = torch.from_numpy(np.sign(mean[np.arange(n), context])).float()
        condition = 4 * context + 2 * (mean[:, 0] > 0) + (mean[:, 1] > 0)
        return Trials.from_tensors(
            torch.cat([torch.where(shown[..., None], noisy, clean), cues], -1),
            (answer[:, None] * respond)[..., None],
            mask=~shown,
            true_inputs=torch.cat([clean, cues], -1),
            conditions=torch.from_numpy(condition),
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
            "accuracy" over all trials, "accuracy/motion" and "accuracy/colour" for each context, "accuracy/agree" and
            "accuracy/conflict" where both streams have the same sign or not.
        """
        check_outputs(outputs, trials)
        right, counted = choices_right(outputs, trials, "response")
        c = trials.conditions
        agree = ((c % 4) == 0) | ((c % 4) == 3)
        groups = {"motion": c < 4, "colour": c >= 4, "agree": agree, "conflict": ~agree}
        rates = {f"accuracy/{name}": share(right, counted & which) for name, which in groups.items()}
        return {"accuracy": share(right, counted), **rates}

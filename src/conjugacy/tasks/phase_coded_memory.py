"""Phase-coded memory: hold one of two items as the phase of an oscillation relative to a reference.

Pals, Macke & Barak (2024), PLOS Computational Biology 20:e1011852.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_noise, check_number, check_range, shown
from conjugacy.tasks.arguments import check_outputs, check_rollout, trial_generator
from conjugacy.tasks.open_loop import add_noise, set_spaces, squared_error
from conjugacy.tasks.phases import before, check_time_step, consecutive, draw_steps, during, range_to_steps, to_steps
from conjugacy.tasks.task import Task
from conjugacy.trials import Rollout, Trials

_LAG = 0.2 * math.pi  # by which the output of item A lags the reference; that of item B is half a cycle later
_PHASE_ERROR = 0.25 * math.pi


class PhaseCodedMemory(Task):
    """Follow a reference oscillation; after a cue A or B, oscillate at a phase that depends on the cue.

    The reference is sin(2 pi t / period + theta). The output follows it until the cue, then lags it by 0.2 pi (A) or
    1.2 pi (B) until the end: the reference goes on, the cue does not.

    Parameters
    ----------
    period : pair of float
        Shortest and longest period of the reference in seconds, uniform between.
    onset : pair of float
        Least and greatest time of the cue's onset in seconds, uniform between.
    cue : pair of float
        Least and greatest duration of the cue in seconds, uniform between.
    duration : float
        Duration of a trial in seconds.
    noise : float
        Standard deviation of the Gaussian noise on every input and step, >= 0.
    dt : float
        Seconds per step, > 0.

    Notes
    -----
    `conditions` are 0 for A, 1 for B; epochs are "reference", "cue", "memory". Steps of the cue do not count.
    """

    def __init__(
        self,
        period: tuple[float, float] = (0.125, 0.25),
        onset: tuple[float, float] = (0.12, 0.24),
        cue: tuple[float, float] = (0.12, 0.16),
        duration: float = 0.8,
        noise: float = 0.2,
        dt: float = 0.004,
    ):
        self.dt = check_time_step(dt)
        hint = f"It is in seconds, at least four steps of `dt`, {self.dt:g} s."
        self.period = check_range("period", period, 4 * self.dt, hint=hint)
        self.onset, self.cue = onset, cue
        self._onset, self._cue = (range_to_steps(k, v, self.dt) for k, v in (("onset", onset), ("cue", cue)))
        least = (self._onset[1] + self._cue[1]) * self.dt + self.period[1]
        hint = f"It is in seconds and holds `onset` {shown(onset)}, `cue` {shown(cue)} and a `period` {shown(period)}."
        self.duration = check_number("duration", duration, least, hint=hint)
        self.n_timesteps = to_steps("duration", duration, self.dt)
        self.noise = check_noise("noise", noise)
        self.name = "phase-coded memory"
        set_spaces(self, ["Reference", "Cue A", "Cue B"], ["Oscillation"], reach=np.inf if self.noise > 0 else 1.0)

    @classmethod
    def small(cls) -> PhaseCodedMemory:
        """An instance with short trials, used in tables of all tasks."""
        return cls(dt=0.02)

    @property
    def recipe(self) -> dict[str, Any]:
        """Whole trials: short ones would hold no memory.

        With an R2 of 0.95 the phase is right to the end of a trial, and lost when the reference goes on: see
        docs/tasks.md.
        """
        return {"steps": 1500, "short_timesteps": self.n_timesteps, "stop_accuracy": 0.99, "stop_r2": 0.99}

    def trials(self, n: int, seed: int) -> Trials:
        """`n` trials from `seed`; see the class for their statistics."""
        n, rng = trial_generator(n, seed)
        item = torch.from_numpy(rng.integers(0, 2, n))
        period, theta = rng.uniform(*self.period, n), rng.uniform(-np.pi, np.pi, n)
        onset, length = draw_steps(rng, n, self._onset), draw_steps(rng, n, self._cue)
        steps = [onset, length, self.n_timesteps - onset - length]
        epochs = consecutive(["reference", "cue", "memory"], steps, n)
        cued = during(epochs["cue"], self.n_timesteps)
        time = np.arange(self.n_timesteps) * self.dt
        phase = torch.from_numpy(2 * np.pi * time / period[:, None] + theta[:, None])
        pulses = torch.nn.functional.one_hot(item, 2)[:, None] * cued[..., None]
        inputs = torch.cat([phase.sin()[..., None], pulses], -1).float()
        lag = _LAG + torch.pi * item
        lagging = ~before(epochs["cue"][:, 0], self.n_timesteps)
        targets = torch.sin(phase - lag[:, None] * lagging)[..., None].float()
        return Trials.from_tensors(
            add_noise(rng, inputs, self.noise),
            targets,
            mask=~cued,
            true_inputs=inputs,
            conditions=item,
            epochs=epochs,
        )

    def loss(self, rollout: Rollout, trials: Trials) -> Tensor:
        """Mean squared error of the output over the steps that count."""
        check_rollout(rollout, trials)
        return squared_error(rollout, trials)

    def success_rate(self, outputs: Tensor, trials: Trials) -> dict[str, float]:
        """Share of trials whose output in the memory epoch has the right phase.

        The cosine between output and target there, that of their phase difference for sine waves, has to be at least
        cos(pi / 4): an eighth of a cycle either way. "accuracy" is over all trials, "accuracy/A" and "accuracy/B" for
        each item.
        """
        check_outputs(outputs, trials)
        within = during(trials.epochs["memory"], trials.n_timesteps) & trials.mask[..., 0]
        y, t = outputs[..., 0] * within, trials.targets[..., 0] * within
        cosine = (y * t).sum(1) / (y.norm(dim=1) * t.norm(dim=1)).clamp(min=1e-12)
        right = cosine >= math.cos(_PHASE_ERROR)
        rates = {"accuracy": float(right.float().mean())}
        for k, name in enumerate("AB"):
            which = trials.conditions == k
            rates[f"accuracy/{name}"] = float(right[which].float().mean()) if which.any() else 0.0
        return rates

"""Bumps: forces that push the hand for a short time in some trials of a reaching task."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from conjugacy._check import check_flag, check_number, check_range
from conjugacy.tasks.phases import draw_steps, exact_steps
from conjugacy.tasks.reach_timing import SECONDS, Timing

_WINDOW = 0.4  # s after the go cue in which half of the bumps start
_LAST_STEPS = 30  # of a trial in which no bump of the other half starts, if bumps need not end within the trial


@dataclass(frozen=True)
class Bumps:
    """Pushes of the hand in trials with a `Timing`.

    Attributes
    ----------
    timing : Timing
        Durations of a trial.
    prob : float
        Probability of a bump in a trial.
    force : (float, float)
        Range of its force, N; its direction is uniform.
    duration : (float, float)
        Range of its duration, s, multiples of the time step.
    inside : bool
        Whether every bump starts and ends within its trial.
    """

    timing: Timing
    prob: float
    force: tuple[float, float]
    duration: tuple[float, float]
    inside: bool
    _steps: tuple[int, int] = field(init=False, repr=False)

    def __post_init__(self):
        duration = check_range("bump_duration", self.duration, hint=SECONDS)
        derived = {
            "prob": check_number("bump_prob", self.prob, 0, 1, hint="It is a probability."),
            "force": check_range("bump_force", self.force, hint="They are newtons.", limit=1e6),
            "duration": duration,
            "inside": check_flag("bump_inside", self.inside),
            "_steps": tuple(exact_steps("bump_duration", s, self.timing.dt, 1) for s in duration),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        self.timing.check_room(self._steps[1] + 1)

    def draw_times(self, cue: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """First step and step after the last one of the bump of each trial; both the trial's length without a bump.

        One half of the bumps starts soon after the go cue `cue` (trial,), the other half anywhere.
        """
        t, n = self.timing.n_timesteps, len(cue)
        length = draw_steps(rng, n, self._steps)
        window = round(_WINDOW / self.timing.dt)
        after_cue = rng.random(n) < 0.5
        if self.inside:
            soon = cue + rng.integers(0, np.clip(t - length - cue + 1, 1, window))
            on = np.where(after_cue, np.minimum(soon, t - length), rng.integers(0, t - length + 1))
        else:
            soon = cue + rng.integers(0, window, n)
            on = np.where(after_cue, soon, rng.integers(0, max(1, t - _LAST_STEPS), n))
        none = rng.random(n) >= self.prob
        on, off = np.minimum(on, t), np.minimum(on + length, t)
        return np.where(none, t, on), np.where(none, t, off)

    def draw_forces(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Forces on the hand in N, (trial, 2)."""
        direction, size = rng.uniform(0, 2 * np.pi, n), rng.uniform(*self.force, n)
        return np.stack([size * np.cos(direction), size * np.sin(direction)], 1)

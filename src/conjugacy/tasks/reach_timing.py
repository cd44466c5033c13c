"""Timing: when the target of a reach appears, when the go cue comes, and how long a trial takes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from conjugacy._check import check_range
from conjugacy.tasks.phases import draw_steps, exact_steps

SECONDS = "They are seconds."


@dataclass(frozen=True)
class Timing:
    """Durations of a trial of `RandomTarget`, checked against one another.

    Attributes
    ----------
    dt : float
        Time step, s. All other durations are multiples of it.
    max_ep_duration : float
        Duration of a trial, s.
    target_onset : (float, float)
        Range of the time at which the target appears, s.
    min_delay : float
        Least time between target and go cue, s.
    min_reach : float
        Least time between go cue and the end of the trial, s, at least a step.
    max_reach : float or None
        Most such time, s; None for no bound.
    n_timesteps : int
        Steps of a trial.
    """

    dt: float
    max_ep_duration: float
    target_onset: tuple[float, float]
    min_delay: float
    min_reach: float
    max_reach: float | None
    n_timesteps: int = field(init=False)
    _onset: tuple[int, int] = field(init=False, repr=False)
    _delay: int = field(init=False, repr=False)
    _reach: tuple[int, int] = field(init=False, repr=False)

    def __post_init__(self):
        onset = check_range("target_onset", self.target_onset, hint=SECONDS)
        derived = {
            "target_onset": onset,
            "n_timesteps": exact_steps("max_ep_duration", self.max_ep_duration, self.dt, 1),
            "_onset": tuple(exact_steps("target_onset", s, self.dt) for s in onset),
            "_delay": exact_steps("min_delay", self.min_delay, self.dt),
        }
        least = exact_steps("min_reach", self.min_reach, self.dt, 1)
        most = derived["n_timesteps"]
        if self.max_reach is not None:
            most = exact_steps("max_reach", self.max_reach, self.dt, 1)
        if most < least and self.max_reach is not None:
            raise ValueError(f"`max_reach`: expected at least `min_reach`, {self.min_reach} s, got {self.max_reach} s.")
        derived["_reach"] = (least, max(most, least))
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        self.check_room(self._onset[1] + self._delay + least)

    def check_room(self, n_steps: int) -> None:
        """Raise an error unless that many steps fit in a trial."""
        if self.n_timesteps < n_steps:
            raise ValueError(
                f"`max_ep_duration`: expected at least {n_steps * self.dt:g} s, which target onset, delay and "
                f"reach (or a bump) take (`target_onset` {self.target_onset}, `min_delay` {self.min_delay}, "
                f"`min_reach` {self.min_reach}), got {self.max_ep_duration:g} s. Make it longer or these shorter."
            )

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Steps at which the targets of `n` trials appear, and steps of their go cues, two arrays (trial,)."""
        onset = draw_steps(rng, n, self._onset)
        earliest = np.maximum(onset + self._delay, self.n_timesteps - self._reach[1])
        return onset, rng.integers(earliest, self.n_timesteps - self._reach[0] + 1)

"""Senses: delays and noise of what a network sees and feels of its arm, and what turns the hand that it sees."""

from __future__ import annotations

from dataclasses import dataclass, field

from conjugacy._check import check_noise, check_number
from conjugacy.tasks.phases import exact_steps


@dataclass(frozen=True)
class Senses:
    """Delays, noise and rotation of the senses in `RandomTarget`.

    Attributes
    ----------
    dt : float
        Time step, s.
    vision_delay, proprioception_delay : float
        Delays of the seen hand, and of muscle lengths and velocities, s, multiples of the time step.
    vision_noise, proprioception_noise : float
        Standard deviations of the noise on the seen hand (m), and on normalised lengths and velocities.
    context_noise : float
        Standard deviation of the noise on the context inputs.
    rotation : float
        Angle by which the seen hand is turned about where it started, degrees, counter-clockwise.
    exact_delays : bool
        Whether a delay of k steps lags k steps; MotorNet's lags k - 1.
    vision_lag, proprioception_lag : int
        The delays in steps.
    """

    dt: float
    vision_delay: float
    proprioception_delay: float
    vision_noise: float
    proprioception_noise: float
    context_noise: float
    rotation: float
    exact_delays: bool
    vision_lag: int = field(init=False)
    proprioception_lag: int = field(init=False)

    def __post_init__(self):
        for name in ("vision_noise", "proprioception_noise", "context_noise"):
            object.__setattr__(self, name, check_noise(name, getattr(self, name)))
        object.__setattr__(self, "rotation", check_number("rotation", self.rotation, hint="It is in degrees."))
        for sense in ("vision", "proprioception"):
            steps = exact_steps(f"{sense}_delay", getattr(self, f"{sense}_delay"), self.dt)
            object.__setattr__(self, f"{sense}_lag", steps if self.exact_delays else max(0, steps - 1))

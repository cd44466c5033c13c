"""Muscles with rigid tendons: from command and stretch to force.

A muscle turns an activation a, a normalised length l and a normalised velocity v into a force in units of its maximal
isometric force. Activation follows the command u in [min_activation, 1] as

    da/dt = (u - a) / tau,    tau = tau_activation (0.5 + 1.5 a) where u > a,  tau_deactivation / (0.5 + 1.5 a) else

Millard et al. (2013), J Biomech Eng 135:021005; MuJoCo's ``mju_muscleDynamics``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from conjugacy._check import check_number


class Muscle(ABC):
    """The base class of all muscles: activation, and what a muscle senses.

    Parameters
    ----------
    min_activation : float
        Lower bound of command and activation, in [0, 0.999].
    tau_activation, tau_deactivation : float
        Time constants in s, > 0.
    """

    def __init__(self, min_activation: float, tau_activation: float, tau_deactivation: float):
        self.min_activation = check_number(
            "min_activation", min_activation, 0, 0.999, hint="It is an activation in [0, 0.999]."
        )
        hint = "It is a time constant in seconds."
        self.tau_activation = check_number("tau_activation", tau_activation, 0, open_low=True, hint=hint)
        self.tau_deactivation = check_number("tau_deactivation", tau_deactivation, 0, open_low=True, hint=hint)

    def activate(self, a: Tensor, action: Tensor, dt: float) -> Tensor:
        """Activation after dt seconds by one Euler step, which may overshoot the command."""
        low = self.min_activation
        u, a = action.clamp(low, 1.0), a.clamp(low, 1.0)
        w = 0.5 + 1.5 * a
        tau = torch.where(u > a, self.tau_activation * w, self.tau_deactivation / w)
        # in this order: with dt = 5 ms, a first step from 0 ends on u but for rounding, which then decides the branch
        return (a + (u - a) / tau * dt).clamp(low, 1.0)

    def activate_exactly(self, a: Tensor, action: Tensor, dt: float) -> Tensor:
        """Activation after dt seconds under a held command: the solution of the equation, which never overshoots.

        Falling, it is a logistic curve. Rising, the distance d = u - a solves z exp(-z) = y for
        z = 1.5 d / (0.5 + 1.5 u) < 1 and a known y, that is, by Lambert's W function.
        """
        low = self.min_activation
        u, a = action.clamp(low, 1.0), a.clamp(low, 1.0)
        scale = (0.5 + 1.5 * u) / 1.5
        gap = u - a
        z0 = (gap / scale).clamp(min=0.0)
        risen = u - scale * _inverse_of_z_exp(z0 * torch.exp(-z0 - dt / (self.tau_activation * 1.5 * scale)))
        over = (-gap).clamp(min=0.0)
        decay = torch.exp(-1.5 * scale * (dt / self.tau_deactivation))
        fallen = u + over * decay / (1 + over / scale * (1 - decay))
        return torch.where(gap > 0, risen, fallen)

    @abstractmethod
    def normalise(self, length: Tensor, velocity: Tensor, tendon: Tensor, optimal: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised length and velocity.

        Parameters
        ----------
        length, velocity : Tensor (..., muscle)
            Of muscle and tendon together, in m and m/s.
        tendon, optimal : Tensor (muscle,)
            Tendon length and optimal length of the muscle, in m.
        """

    def normalise_exactly(
        self, length: Tensor, velocity: Tensor, tendon: Tensor, optimal: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As `normalise`, with the velocity in the units that the force-velocity curve is stated in."""
        return self.normalise(length, velocity, tendon, optimal)

    def sense(
        self, length: Tensor, velocity: Tensor, tendon: Tensor, optimal: Tensor, exactly: bool
    ) -> tuple[Tensor, Tensor]:
        """Length and velocity as proprioception reports them, of the order of 1."""
        return (self.normalise_exactly if exactly else self.normalise)(length, velocity, tendon, optimal)

    @abstractmethod
    def force(self, a: Tensor, length: Tensor, velocity: Tensor) -> Tensor:
        """Force / maximal isometric force, from activation and normalised length and velocity, all (..., muscle)."""


class MujocoHillMuscle(Muscle):
    """The muscle of MuJoCo: F = a FL(l) FV(v) + passive_forces FP(l).

    FL is a bump on [lmin, lmax] with its peak at 1 and a shoulder below, FV a parabola on each side of 0, FP a cubic
    that goes on as a straight line. Source: ``FLV.m`` of MuJoCo 3.2.1 (Apache-2.0).

    Parameters
    ----------
    min_activation, tau_activation, tau_deactivation : float
        See `Muscle`.
    passive_forces : float
        Weight of the passive force, >= 0.
    lmin, lmax : float
        Range of lengths with an active force, in optimal lengths; lmin < 0.95 and lmax > 1.
    vmax : float
        Velocity of shortening without force, > 0. ``RigidTendonArm26(physics="exact")`` takes it in optimal lengths per
        second, as its documentation does; ``physics="motornet"`` takes m/s, as MotorNet's code does.
    fvmax : float
        Largest force in lengthening over the isometric one, > 1.
    normalized_slack_muscle_length : float
        MuJoCo's fpmax, the passive force at lmax, under the name that MotorNet gives it, > 0.
    """

    def __init__(
        self,
        min_activation: float = 0.0,
        passive_forces: float = 1.0,
        tau_activation: float = 0.01,
        tau_deactivation: float = 0.04,
        lmin: float = 0.5,
        lmax: float = 1.6,
        vmax: float = 1.5,
        fvmax: float = 1.2,
        normalized_slack_muscle_length: float = 1.3,
    ):
        super().__init__(min_activation, tau_activation, tau_deactivation)
        self.passive_forces = check_number("passive_forces", passive_forces, 0)
        self.lmin = check_number("lmin", lmin, 0, 0.949)
        self.lmax = check_number("lmax", lmax, 1, open_low=True)
        self.vmax = check_number("vmax", vmax, 0, open_low=True)
        self.fvmax = check_number("fvmax", fvmax, 1, open_low=True)
        name = "normalized_slack_muscle_length"
        self.normalized_slack_muscle_length = check_number(name, normalized_slack_muscle_length, 0, open_low=True)

    def normalise(self, length: Tensor, velocity: Tensor, tendon: Tensor, optimal: Tensor) -> tuple[Tensor, Tensor]:
        """Lengths in optimal lengths, at least 1 mm; velocities over vmax in m/s."""
        return (length - tendon).clamp(min=0.001) / optimal, velocity / self.vmax

    def normalise_exactly(
        self, length: Tensor, velocity: Tensor, tendon: Tensor, optimal: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Lengths in optimal lengths, at least 1 mm; velocities over vmax in optimal lengths per second."""
        return (length - tendon).clamp(min=0.001) / optimal, velocity / (self.vmax * optimal)

    def force(self, a: Tensor, length: Tensor, velocity: Tensor) -> Tensor:
        """Force / maximal isometric force: a FL(l) FV(v) and the passive force."""
        return a * self.force_length(length) * self.force_velocity(velocity) + self.passive_forces * self.passive(
            length
        )

    def force_length(self, length: Tensor) -> Tensor:
        """Active force over length: 1 at the optimal length."""
        low, high = self.lmin, self.lmax
        return _bump(length, low, 1.0, high) + 0.15 * _bump(length, low, 0.5 * (low + 0.95), 0.95)

    def force_velocity(self, velocity: Tensor) -> Tensor:
        """Active force over velocity: 0 at -1 and below, 1 at 0, fvmax where it lengthens fast."""
        c = self.fvmax - 1
        # at 0 the slope has to come from one of the two branches alone: clamp passes it on at its bound, relu does not
        shortening, lengthening = velocity.clamp(-1.0, 0.0), torch.relu(velocity).clamp(max=c)
        return (shortening + 1).square() + c - (c - lengthening).square() / c

    def passive(self, length: Tensor) -> Tensor:
        """Passive force over length: 0 up to the optimal one, a cubic up to the middle of [1, lmax], then straight."""
        knee = 0.5 * (self.lmax - 1)
        x = (length - 1) / knee
        return 0.25 * self.normalized_slack_muscle_length * (x.clamp(0.0, 1.0).pow(3) + 3 * torch.relu(x - 1))


class RigidTendonHillMuscle(Muscle):
    """A Hill-type muscle with a hyperbola in shortening and one in lengthening.

    Kistemaker, Wong & Gribble (2010), J Neurophysiol 104:2985, after van Soest & Bobbert (1993), Biol Cybern 69:195.

    Parameters
    ----------
    min_activation, tau_activation, tau_deactivation : float
        See `Muscle`.
    normalized_slack_muscle_length : float
        Length at which the passive force begins, in optimal lengths, in (0, 1.66).
    """

    def __init__(
        self,
        min_activation: float = 0.001,
        tau_activation: float = 0.015,
        tau_deactivation: float = 0.05,
        normalized_slack_muscle_length: float = 1.4,
    ):
        super().__init__(min_activation, tau_activation, tau_deactivation)
        hint = "The force-velocity curve of this muscle has no limit at activation 0."
        check_number("min_activation", min_activation, 0, 0.999, open_low=True, hint=hint)
        name, slack = "normalized_slack_muscle_length", normalized_slack_muscle_length
        self.normalized_slack_muscle_length = check_number(name, slack, 0, 1.659, open_low=True)

    def normalise(self, length: Tensor, velocity: Tensor, tendon: Tensor, optimal: Tensor) -> tuple[Tensor, Tensor]:
        """Lengths in optimal lengths, velocities in 10 optimal lengths per second."""
        return (length - tendon).clamp(min=0.0) / optimal, velocity / (_VMAX * optimal)

    def normalise_exactly(
        self, length: Tensor, velocity: Tensor, tendon: Tensor, optimal: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Lengths in optimal lengths, velocities in optimal lengths per second, the unit of b = 5.2 / s."""
        return (length - tendon).clamp(min=0.0) / optimal, velocity / optimal

    def sense(
        self, length: Tensor, velocity: Tensor, tendon: Tensor, optimal: Tensor, exactly: bool
    ) -> tuple[Tensor, Tensor]:
        """Lengths in optimal lengths, velocities in 10 optimal lengths per second."""
        return self.normalise(length, velocity, tendon, optimal)

    def force(self, a: Tensor, length: Tensor, velocity: Tensor) -> Tensor:
        """Force / maximal isometric force; with ``physics="motornet"`` velocities are 10 times too small."""
        fl = (1 - (length - 1).square() / _WIDTH).clamp(min=0.01)
        ar = torch.where(length > 1, _A_REL * fl, _A_REL)
        br = torch.where(a < _Q_CRIT, _B_REL * (1 - 0.9 * (a - _Q_CRIT) / (0.005 - _Q_CRIT)).square(), _B_REL)
        x = fl * a
        shortening = velocity < 0
        # each branch sees a velocity of its own side, so that the gradient of the one not taken is finite
        v = velocity.clamp(max=0.0)
        short = (v * a * ar + x * br) / (br - v)
        p_slope = _ECCENTRIC_SLOPE - 2 * (a * (fl + ar) / br)
        p1, p2, p3 = -0.5 * x / p_slope, 0.25 * x.square() / p_slope, -1.5 * x
        v = velocity.clamp(min=0.0)
        long = (-p1 * p3 + p1 * _ECCENTRIC_SLOPE * v + p2 - p3 * v + _ECCENTRIC_SLOPE * v.square()) / (p1 + v)
        return torch.relu(torch.where(shortening, short, long)) + self.passive(length)

    def passive(self, length: Tensor) -> Tensor:
        """Passive force over length: a parabola from the slack length on, 1 at 1.66 optimal lengths."""
        slack = self.normalized_slack_muscle_length
        return torch.relu(length - slack).square() / (_PASSIVE_ONE - slack) ** 2


class ReluMuscle(Muscle):
    """A muscle whose force is its activation, whatever its length and velocity.

    Parameters
    ----------
    min_activation, tau_activation, tau_deactivation : float
        See `Muscle`.
    """

    def __init__(self, min_activation: float = 0.0, tau_activation: float = 0.015, tau_deactivation: float = 0.05):
        super().__init__(min_activation, tau_activation, tau_deactivation)

    def normalise(self, length: Tensor, velocity: Tensor, tendon: Tensor, optimal: Tensor) -> tuple[Tensor, Tensor]:
        """Length and velocity of muscle and tendon together, in m and m/s: this muscle has no units of its own."""
        return length, velocity

    def force(self, a: Tensor, length: Tensor, velocity: Tensor) -> Tensor:
        """Force / maximal isometric force, which is the activation."""
        return a


_VMAX = 10.0  # optimal lengths per second
_WIDTH = 0.66**2  # half width of the force-length parabola, squared
_A_REL, _B_REL, _Q_CRIT = 0.41, 5.2, 0.3
_ECCENTRIC_SLOPE = 0.001
_PASSIVE_ONE = 1.66  # where the passive force is 1


def _bump(x: Tensor, low: float, middle: float, high: float) -> Tensor:
    """A quadratic spline: 0 outside (low, high), 1 at the middle, 1/2 with its bends half-way up either side."""
    up = torch.minimum((x - low) / (middle - low), (high - x) / (high - middle)).clamp(0.0, 1.0)
    return 2 * up.square() - torch.relu(2 * up - 1).square()


def _inverse_of_z_exp(y: Tensor) -> Tensor:
    """The z in [0, 1) with z exp(-z) = y, by Newton's method, which from the left never steps past it."""
    z = y * (1 + y * (1 + 1.5 * y))
    for _ in range(6):
        z = z - (z - y * torch.exp(z)) / (1 - z)
    return z

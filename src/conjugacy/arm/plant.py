"""The plant of a closed loop: an arm, the senses by which a network observes it, and the forces on its hand.

One step of the loop is, with s the state of the plant, x that of the network and c the context inputs,

    o_t = observe(s_t),  x_t = cell([o_t, c_t], x_{t-1}),  u_t = command(readout(x_t)),  s_{t+1} = step(s_t, u_t, f_t)

`step` and `observe` are pure functions of an explicit state that ends with the delay lines, so the loop is a map of
(x, s), with a Jacobian and fixed points. Noise is no part of the map: it is drawn outside and passed in.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from conjugacy._check import check_axes, check_choice, check_int, check_noise, check_number, shown
from conjugacy.arm.arm26 import ArmState

COMMANDS = ("sigmoid", "clip")
FIELDS = ("none", "curl", "viscous")


class PlantState(NamedTuple):
    """The state of a plant: all that its next state depends on; any number of leading axes.

    Attributes
    ----------
    arm : ArmState
        Joint angles and velocities, activations, forces.
    vision : Tensor (..., lag, 2)
        What vision has still to deliver, the oldest first: hand positions (m).
    proprioception : Tensor (..., lag, 2 muscles)
        What proprioception has still to deliver, the oldest first: muscle lengths and velocities, normalised.
    origin : Tensor (..., 2) or (..., 0)
        The point about which vision is rotated, the hand's position at reset; no columns without a rotation.
    """

    arm: ArmState
    vision: Tensor
    proprioception: Tensor
    origin: Tensor


class Noise(NamedTuple):
    """Noise of a whole closed-loop rollout, drawn beforehand; None where there is none.

    Attributes
    ----------
    observations : Tensor (trial, time, observation) or None
    actions : Tensor (trial, time, muscle) or None
    states : Tensor (trial, time, unit) or None
        Added to the network's new states.
    """

    observations: Tensor | None = None
    actions: Tensor | None = None
    states: Tensor | None = None


class Plant:
    """An arm, its senses with their delays and noise, and forces that depend on its motion.

    Parameters
    ----------
    arm : RigidTendonArm26, or anything with its members
        The body.
    command : str
        How a network's outputs y become muscle commands: "sigmoid", u = sigma(y + command_bias), or "clip", u = y, of
        which the muscles take what lies in [0, 1] (no gradient reaches y outside).
    command_bias : float
        Offset of the sigmoid: muscles start almost relaxed at -2 (u = 0.12). Not used by "clip".
    vision_lag, proprioception_lag : int
        Steps by which the senses lag behind, >= 0; `arm.proprioception_lag` is added to the second.
    vision_noise : float
        Standard deviation of the noise on the hand's seen position, m.
    proprioception_noise : float
        Standard deviation of the noise on normalised muscle lengths and velocities.
    action_noise : float
        Standard deviation of the noise on the muscle commands.
    force_field : str
        Force on the hand at velocity v: "none", "curl" (strength * (v_y, -v_x)), "viscous" (-strength * v).
    field_strength : float
        Of that field, N s/m.
    rotation : float
        Angle by which the seen hand is turned about where it started, degrees, counter-clockwise.
    """

    def __init__(
        self,
        arm: Any,
        command: str = "sigmoid",
        command_bias: float = -2.0,
        vision_lag: int = 0,
        proprioception_lag: int = 0,
        vision_noise: float = 0.0,
        proprioception_noise: float = 0.0,
        action_noise: float = 0.0,
        force_field: str = "none",
        field_strength: float = 0.0,
        rotation: float = 0.0,
    ):
        members = ("dt", "n_muscles", "rest", "step", "observe", "hand", "proprioception_lag")
        if isinstance(arm, type) or any(not hasattr(arm, name) for name in members):
            raise TypeError(f"`arm`: expected an arm such as RigidTendonArm26(), got {shown(arm)}.")
        self.arm = arm
        self.command_kind = check_choice("command", command, COMMANDS)
        self.command_bias = check_number("command_bias", command_bias, hint="It is the offset of the sigmoid.")
        self.vision_lag = check_int("vision_lag", vision_lag, 0, hint="It is a number of steps.")
        lag = check_int("proprioception_lag", proprioception_lag, 0, hint="It is a number of steps.")
        self.proprioception_lag = lag + arm.proprioception_lag
        self.vision_noise = check_noise("vision_noise", vision_noise)
        self.proprioception_noise = check_noise("proprioception_noise", proprioception_noise)
        self.action_noise = check_noise("action_noise", action_noise)
        self.force_field = check_choice("force_field", force_field, FIELDS)
        self.field_strength = check_number("field_strength", field_strength, hint="It is in N s/m.")
        self.rotation = check_number("rotation", rotation, hint="It is in degrees.")

    @property
    def n_actions(self) -> int:
        """Number of muscle commands."""
        return self.arm.n_muscles

    @property
    def n_observations(self) -> int:
        """Number of observations: the hand's x and y, a length and a velocity for each muscle."""
        return 2 + 2 * self.arm.n_muscles

    @property
    def state_size(self) -> int:
        """Number of state variables: those of the arm, the delay lines, the origin of a rotation."""
        m = self.arm.n_muscles
        return self.arm.state_size + 2 * self.vision_lag + 2 * m * self.proprioception_lag + 2 * (self.rotation != 0)

    @property
    def noisy(self) -> bool:
        """Whether senses or commands have noise."""
        return max(self.vision_noise, self.proprioception_noise, self.action_noise) > 0

    def reset(self, ics: Tensor) -> PlantState:
        """The arm in joint state ics (..., 4), angles (rad) then velocities (rad/s), delay lines filled with it."""
        arm = self.arm.rest(ics[..., :2], ics[..., 2:])
        hand = self.arm.hand(arm.q)
        origin = hand if self.rotation else hand[..., :0]
        vision, proprioception = hand, self.arm.observe(arm)
        return PlantState(
            arm,
            vision[..., None, :].expand(*vision.shape[:-1], self.vision_lag, -1),
            proprioception[..., None, :].expand(*proprioception.shape[:-1], self.proprioception_lag, -1),
            origin,
        )

    def command(self, y: Tensor) -> Tensor:
        """Muscle commands (..., muscle) of a network's outputs."""
        return torch.sigmoid(y + self.command_bias) if self.command_kind == "sigmoid" else y

    def observe(self, state: PlantState) -> Tensor:
        """The observations of a network, (..., observation): hand x, y (m), muscle lengths and velocities; no noise."""
        vision = state.vision[..., 0, :] if self.vision_lag else self._seen(state.arm, state.origin)
        felt = state.proprioception[..., 0, :] if self.proprioception_lag else self.arm.observe(state.arm)
        return torch.cat([vision, felt], -1)

    def step(self, state: PlantState, action: Tensor, load: Tensor | None = None) -> PlantState:
        """The state after one time step.

        Parameters
        ----------
        state : PlantState
        action : Tensor (..., muscle)
            Muscle commands; what lies outside [0, 1] is clipped.
        load : Tensor (..., 2), optional
            Force on the hand, N.
        """
        vision, felt = state.vision, state.proprioception
        if self.vision_lag:
            vision = _pushed(vision, self._seen(state.arm, state.origin))
        if self.proprioception_lag:
            felt = _pushed(felt, self.arm.observe(state.arm))
        return PlantState(self.arm.step(state.arm, action, self._load(state.arm, load)), vision, felt, state.origin)

    def hand(self, state: PlantState) -> Tensor:
        """Position of the hand, (..., 2), m."""
        return self.arm.hand(state.arm.q)

    def draw_noise(self, n: int, n_timesteps: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        """Noise of senses and commands for `n` trials, independent between trials, steps and channels."""

        def draw(*scales: tuple[float, int]) -> Tensor | None:
            if not any(sigma for sigma, _ in scales):
                return None
            sigma = torch.tensor([s for s, width in scales for _ in range(width)], dtype=dtype, device=generator.device)
            shape = (n, n_timesteps, len(sigma))
            return sigma * torch.randn(shape, generator=generator, dtype=dtype, device=generator.device)

        senses = draw((self.vision_noise, 2), (self.proprioception_noise, self.n_observations - 2))
        return Noise(senses, draw((self.action_noise, self.n_actions)))

    def pack(self, state: PlantState) -> Tensor:
        """The state as one vector (..., state_size): arm, vision, proprioception, origin."""
        lines = (state.vision.flatten(-2), state.proprioception.flatten(-2), state.origin)
        return torch.cat([state.arm.pack(), *lines], -1)

    def unpack(self, vector: Tensor) -> PlantState:
        """The state that `pack` made a vector of."""
        check_axes("vector", vector.reshape(-1, vector.shape[-1]), "sample state", state=self.state_size)
        m = self.arm.n_muscles
        sizes = [self.arm.state_size, 2 * self.vision_lag, 2 * m * self.proprioception_lag, 2 * (self.rotation != 0)]
        arm, vision, felt, origin = vector.split(sizes, -1)
        return PlantState(
            getattr(self.arm, "unpack", ArmState.unpack)(arm),
            vision.reshape(*vision.shape[:-1], self.vision_lag, 2),
            felt.reshape(*felt.shape[:-1], self.proprioception_lag, 2 * m),
            origin,
        )

    def _seen(self, arm: ArmState, origin: Tensor) -> Tensor:
        hand = self.arm.hand(arm.q)
        return origin + rotated(hand - origin, self.rotation) if self.rotation else hand

    def _load(self, arm: ArmState, load: Tensor | None) -> Tensor | None:
        if self.force_field == "none" or self.field_strength == 0:
            return load
        vx, vy = self.arm.hand_velocity(arm.q, arm.qd).unbind(-1)
        force = torch.stack([vy, -vx], -1) if self.force_field == "curl" else -torch.stack([vx, vy], -1)
        force = self.field_strength * force
        return force if load is None else load + force


def rotated(xy: Tensor, degrees: float) -> Tensor:
    """Vectors xy (..., 2) turned counter-clockwise."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = xy.unbind(-1)
    return torch.stack([c * x - s * y, s * x + c * y], -1)


def _pushed(line: Tensor, newest: Tensor) -> Tensor:
    return torch.cat([line[..., 1:, :], newest[..., None, :]], -2)

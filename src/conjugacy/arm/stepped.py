"""Any effector of MotorNet, stepped by its own code: slow, in float32, without Jacobians by vmap.

Its state is kept outside: before each step the effector is put into the state that is given, so that here too
``step`` is a function of what it is passed.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor

_PARTS = ("joint", "muscle", "geometry")


class SteppedState(NamedTuple):
    """State of a MotorNet effector; one leading axis.

    Attributes
    ----------
    q, qd : Tensor (trial, joint)
        Joint angles (rad) and velocities (rad/s).
    muscle : Tensor (trial, row, muscle)
        MotorNet's muscle states: activation first, then length and velocity, force last.
    geometry : Tensor (trial, row, muscle)
        MotorNet's geometry states: lengths, velocities, moment arms.
    """

    q: Tensor
    qd: Tensor
    muscle: Tensor
    geometry: Tensor

    @property
    def activation(self) -> Tensor:
        """Activations (trial, muscle)."""
        return self.muscle[..., 0, :]

    @property
    def force(self) -> Tensor:
        """Forces (trial, muscle), N."""
        return self.muscle[..., -1, :]

    def pack(self) -> Tensor:
        """The state as one vector (trial, state)."""
        return torch.cat([x.flatten(1) if x.ndim > 2 else x for x in self], -1)


class SteppedEffector:
    """A MotorNet effector with two joints behind the members that `Plant` uses.

    Parameters
    ----------
    motornet_effector : motornet.effector.Effector
        It is used as it is: stepping changes its `states`.

    Attributes
    ----------
    dt, n_muscles, joint_limits, proprioception_lag
        As those of `RigidTendonArm26`. The muscle states of MotorNet lag by themselves, so no lag is added.
    """

    proprioception_lag = 0

    def __init__(self, motornet_effector: Any):
        dof = int(motornet_effector.skeleton.dof)
        if dof != 2:
            raise ValueError(f"`effector`: expected an effector with two joints, got {dof}.")
        self._theirs = motornet_effector
        self.dt = float(motornet_effector.dt)
        self.n_muscles = int(motornet_effector.n_muscles)
        self.muscle_names = [str(name) for name in motornet_effector.muscle_name]
        bounds = (motornet_effector.pos_lower_bound, motornet_effector.pos_upper_bound)
        self.joint_limits = torch.stack([torch.as_tensor(b).detach().reshape(-1).double() for b in bounds], 1)
        blank = self.rest(self.joint_limits.mean(1)[None].float())
        self._shapes = [tuple(x.shape[1:]) for x in blank]
        self.state_size = blank.pack().shape[1]

    @property
    def motornet_effector(self) -> NoReturn:
        """Raise an error: a run with such an effector cannot be saved."""
        raise TypeError(
            f"a run with {type(self._theirs).__name__} of {type(self._theirs).__module__} cannot be saved: its code is "
            "not part of conjugacy. Use RigidTendonArm26 of conjugacy.arm."
        )

    def rest(self, q: Tensor, qd: Tensor | None = None) -> SteppedState:
        """The state in which MotorNet resets the effector, with joints at q (trial, joint)."""
        if bool(((q < self.joint_limits[:, 0] - 1e-6) | (q > self.joint_limits[:, 1] + 1e-6)).any()):
            raise ValueError(f"`q`: expected angles within {self.joint_limits.tolist()} rad, got some outside.")
        joint = torch.cat([q, torch.zeros_like(q) if qd is None else qd], -1).float()
        self._theirs.reset(options={"batch_size": len(joint), "joint_state": joint})
        return self._state()

    def step(
        self, state: Any, action: Tensor, endpoint_load: Tensor | None = None, joint_load: Tensor | None = None
    ) -> SteppedState:
        """The state after one step of MotorNet's."""
        joint = torch.cat([state.q, state.qd], -1)
        self._theirs._set_state({"joint": joint, "muscle": state.muscle, "geometry": state.geometry})
        loads = {"endpoint_load": endpoint_load, "joint_load": joint_load}
        self._theirs.step(action, **{k: v for k, v in loads.items() if v is not None})
        return self._state()

    def observe(self, state: Any) -> Tensor:
        """Normalised muscle lengths and velocities (trial, 2 muscles), of MotorNet's muscle states."""
        muscle = self._theirs.muscle
        length, velocity = state.muscle[:, 1, :], state.muscle[:, 2, :]
        parts = (length / _flat(muscle.l0_ce), velocity / _flat(muscle.vmax))
        return torch.cat([x.expand(len(length), self.n_muscles) for x in parts], -1)

    def hand(self, q: Tensor) -> Tensor:
        """Position of the hand (..., 2), m."""
        return self._cartesian(q, torch.zeros_like(q))[..., :2]

    def hand_velocity(self, q: Tensor, qd: Tensor) -> Tensor:
        """Velocity of the hand (..., 2), m/s."""
        return self._cartesian(q, qd)[..., 2:]

    def inverse(self, xy: Tensor) -> NoReturn:
        """Raise an error: the inverse is known for `RigidTendonArm26` only."""
        raise ValueError("`effector`: joint angles of targets are known for RigidTendonArm26 of conjugacy.arm only.")

    def unpack(self, vector: Tensor) -> SteppedState:
        """The state that ``pack`` made a vector of."""
        sizes = [torch.Size(shape).numel() for shape in self._shapes]
        parts = vector.split(sizes, -1)
        return SteppedState(*(x.reshape(-1, *shape) for x, shape in zip(parts, self._shapes)))

    def _cartesian(self, q: Tensor, qd: Tensor) -> Tensor:
        flat = torch.cat([q, qd], -1).reshape(-1, 4)
        return self._theirs.joint2cartesian(flat.float()).to(q.dtype).reshape(*q.shape[:-1], 4)

    def _state(self) -> SteppedState:
        joint, muscle, geometry = (self._theirs.states[part] for part in _PARTS)
        # the effector keeps no graph of ours: it could not be copied, and the graph would stay in memory
        for part, x in self._theirs.states.items():
            self._theirs.states[part] = x.detach()
        return SteppedState(joint[:, :2], joint[:, 2:], muscle, geometry)


def _flat(x: Any) -> Tensor:
    x = torch.as_tensor(x)
    return x.reshape(-1) if x.ndim else x

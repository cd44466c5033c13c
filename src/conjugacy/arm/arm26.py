"""The arm of two joints and six muscles with rigid tendons: one step as a pure function of its state.

The muscles, their moment arms and the links are those of Nijhof & Kouwenhoven (2000) and Kistemaker, Wong & Gribble
(2010), J Neurophysiol 104:2985, as MotorNet (Codol et al. 2024, eLife 12:RP88591) has them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import (
    check_choice,
    check_finite,
    check_instance,
    check_int,
    check_last,
    check_number,
    check_numbers,
    shown,
)
from conjugacy._torch import transformed
from conjugacy.arm.bones import TwoJointSkeleton
from conjugacy.arm.muscles import MujocoHillMuscle, Muscle
from conjugacy.arm.state import ArmState

if TYPE_CHECKING:
    from conjugacy.arm.compiled_arm import Constants

_MUSCLES = ("pectoralis", "deltoid", "brachioradialis", "tricepslat", "biceps", "tricepslong")
_FMAX = (838.0, 1207.0, 1422.0, 1549.0, 414.0, 603.0)
_TENDON = (0.039, 0.066, 0.172, 0.187, 0.204, 0.217)
_OPTIMAL = (0.134, 0.140, 0.092, 0.093, 0.137, 0.127)
# length of muscle i with its tendon: A0_i + SHOULDER_i p_1 + (ELBOW_i + ELBOW2_i p_2) p_2, p = q - (pi/2, 0)
_A0 = (0.151, 0.2322, 0.2859, 0.2355, 0.3329, 0.2989)
_SHOULDER = (-0.03, 0.03, 0.0, 0.0, -0.03, 0.03)
_ELBOW = (0.0, 0.0, -0.014, 0.025, -0.016, 0.03)
_ELBOW2 = (0.0, 0.0, -0.004, -0.0022, -0.0057, -0.0032)
_MAX_SPEED = 1000.0  # rad/s
_ANGLES = "They are angles of shoulder and elbow in radians."
_FORCES = "They are forces of the six muscles in newtons."
_LENGTHS = "They are lengths of the six muscles in metres."

_KERNEL_DTYPES = {torch.float32: np.float32, torch.float64: np.float64}
_WIDTHS = (2, 2, 6, 6, 6, 2, 2)  # of the parts of a step: state, action, endpoint load, joint load
_WORTH_COMPILING = 32  # trials; with fewer, a step is soon done and loading the kernel takes longer


class RigidTendonArm26:
    """A planar arm: shoulder, elbow, six muscles.

    Parameters
    ----------
    muscle : Muscle, optional
        Kind of the muscles; `MujocoHillMuscle` by default.
    skeleton : TwoJointSkeleton, optional
        Masses and lengths of the links.
    timestep : float
        Duration of a step in s, > 0.
    n_ministeps : int
        Steps of integration in one time step, through which action and loads are held, >= 1.
    integration_method : str, optional
        "euler" or "rk4". By default (None) "euler" with ``physics="motornet"``, which knows no other, and "rk4" with
        ``physics="exact"``.
    damping : float
        Friction of both joints in N m s, >= 0.
    physics : str
        "motornet": the discrete map of MotorNet 0.2 and 0.3, step for step. "exact": the differential equations that it
        stands for. docs/arm.md has the list of what differs.
    pos_lower_bound, pos_upper_bound : sequence of two floats
        Limits of shoulder and elbow in rad. A limit is an inelastic stop.
    max_isometric_force, tendon_length, optimal_muscle_length : sequence of six floats
        Of the muscles in the order of `muscle_names`; N, m, m.

    Attributes
    ----------
    dt : float
        `timestep`.
    n_muscles, state_size : int
        6 and 16.
    muscle_names : tuple of str
    joint_limits : Tensor (2, 2), float64
        Lower and upper limit of shoulder (row 0) and elbow (row 1) in rad.
    proprioception_lag : int
        Steps by which MotorNet's muscle lengths and velocities lag behind the joints: 1 with ``physics="motornet"``,
        0 with "exact". `observe` returns those of the state that it is given.
    """

    n_muscles = 6
    state_size = 16
    muscle_names = _MUSCLES

    def __init__(
        self,
        muscle: Muscle | None = None,
        skeleton: TwoJointSkeleton | None = None,
        timestep: float = 0.01,
        n_ministeps: int = 1,
        integration_method: str | None = None,
        damping: float = 0.0,
        physics: str = "motornet",
        pos_lower_bound: Sequence[float] = (0.0, 0.0),
        pos_upper_bound: Sequence[float] = (math.radians(135), math.radians(155)),
        max_isometric_force: Sequence[float] = _FMAX,
        tendon_length: Sequence[float] = _TENDON,
        optimal_muscle_length: Sequence[float] = _OPTIMAL,
    ):
        self.muscle = MujocoHillMuscle() if muscle is None else check_instance("muscle", muscle, Muscle)
        self.skeleton = TwoJointSkeleton()
        if skeleton is not None:
            self.skeleton = check_instance("skeleton", skeleton, TwoJointSkeleton)
        self.timestep = check_number("timestep", timestep, 0, open_low=True, hint="It is a duration in seconds.")
        self.n_ministeps = check_int(
            "n_ministeps", n_ministeps, 1, hint="It counts steps of integration.", limit=10_000
        )
        self.damping = check_number("damping", damping, 0, hint="It is a friction in N m s.")
        self.physics = check_choice("physics", physics, ("motornet", "exact"))
        self.integration_method = _integration_method(integration_method, self.physics)
        self.pos_lower_bound = check_numbers("pos_lower_bound", pos_lower_bound, 2, hint=_ANGLES)
        self.pos_upper_bound = check_numbers("pos_upper_bound", pos_upper_bound, 2, hint=_ANGLES)
        if any(low >= high for low, high in zip(self.pos_lower_bound, self.pos_upper_bound)):
            raise ValueError(
                f"`pos_upper_bound`: expected angles above {self.pos_lower_bound}, got {shown(pos_upper_bound)}."
            )
        self.max_isometric_force = check_numbers("max_isometric_force", max_isometric_force, 6, 0, hint=_FORCES)
        self.tendon_length = check_numbers("tendon_length", tendon_length, 6, 0, hint=_LENGTHS)
        self.optimal_muscle_length = check_numbers(
            "optimal_muscle_length", optimal_muscle_length, 6, 0, open_low=True, hint=_LENGTHS
        )
        rows = (
            _A0,
            _SHOULDER,
            _ELBOW,
            _ELBOW2,
            self.max_isometric_force,
            self.tendon_length,
            self.optimal_muscle_length,
        )
        self._kernel_constants: dict[torch.dtype, Constants | None] = {}
        self._six = _Rows(np.array(rows))
        self._two = _Rows(np.array((self.pos_lower_bound, self.pos_upper_bound)))

    @property
    def dt(self) -> float:
        """Seconds per step."""
        return self.timestep

    @property
    def joint_limits(self) -> Tensor:
        """Lower and upper limit of shoulder (row 0) and elbow (row 1) in rad, float64."""
        return torch.tensor([self.pos_lower_bound, self.pos_upper_bound], dtype=torch.float64).T

    @property
    def proprioception_lag(self) -> int:
        """Steps by which MotorNet's muscle lengths and velocities lag behind the joints."""
        return 1 if self.physics == "motornet" else 0

    def rest(self, q: Tensor, qd: Tensor | None = None) -> ArmState:
        """The state with the muscles at their minimal activation.

        Parameters
        ----------
        q : Tensor (..., 2)
            Angles in rad, within the limits.
        qd : Tensor (..., 2), optional
            Velocities in rad/s; 0 by default.

        Raises
        ------
        ValueError
            If an angle is outside the limits, or a value is NaN or infinite.
        """
        check_last("q", q, 2)
        check_finite("q", q)
        low, high = self._two.like(q)
        # a limit rounded to the dtype of q is still within
        slack = 4 * torch.finfo(q.dtype).eps
        if bool(((q < low - slack) | (q > high + slack)).any()):
            limits = ", ".join(f"[{a:.4g}, {b:.4g}]" for a, b in self.joint_limits.tolist())
            worst = q.reshape(-1, 2)[((q < low - slack) | (q > high + slack)).any(-1).reshape(-1)][0].tolist()
            raise ValueError(
                f"`q`: expected shoulder and elbow in {limits} rad, got ({worst[0]:.4g}, {worst[1]:.4g}). "
                "Angles are in radians."
            )
        qd = torch.zeros_like(q) if qd is None else qd
        check_last("qd", qd, 2)
        check_finite("qd", qd)
        lead = torch.broadcast_shapes(q.shape, qd.shape)
        q, qd = q.expand(lead), qd.expand(lead)
        activation = q.new_full((*q.shape[:-1], 6), self.muscle.min_activation)
        return ArmState(q, qd, activation, self._force(activation, q, qd))

    def step(
        self,
        state: ArmState,
        action: Tensor,
        endpoint_load: Tensor | None = None,
        joint_load: Tensor | None = None,
    ) -> ArmState:
        """The state one time step later; a pure function, differentiable in all that it is given.

        Many trials at once on the CPU run on a compiled kernel, which is differentiable once; `plain_step` is the
        reference, and serves everything else.

        Parameters
        ----------
        state : ArmState
        action : Tensor (..., 6)
            Commands to the muscles, clipped to [min_activation, 1].
        endpoint_load : Tensor (..., 2), optional
            Force on the hand in N, in the axes of the plane.
        joint_load : Tensor (..., 2), optional
            Torque on shoulder and elbow in N m.

        Raises
        ------
        ValueError
            If a last axis has the wrong size, or a load holds NaN or infinite values.
        """
        known = self._kernel_for(state[0])
        if known is not None:
            parts = _as_rows((*state, action, endpoint_load, joint_load))
            if parts is not None:
                from conjugacy.arm.compiled_arm import compiled_step

                new = compiled_step(self, known, parts)
                lead = state[0].shape[:-1]
                return ArmState(*new) if len(lead) == 1 else ArmState(*(x.view(*lead, x.shape[-1]) for x in new))
        return self.plain_step(state, action, endpoint_load, joint_load)

    def plain_step(
        self,
        state: ArmState,
        action: Tensor,
        endpoint_load: Tensor | None = None,
        joint_load: Tensor | None = None,
    ) -> ArmState:
        """As `step`, in operations of torch: any dtype, device, order of derivative and transform of functions."""
        self._check_step(state, action, endpoint_load, joint_load)
        dt = self.timestep / self.n_ministeps
        one = self._motornet_step if self.physics == "motornet" else self._exact_step
        for _ in range(self.n_ministeps):
            state = one(state, action, endpoint_load, joint_load, dt)
        return state

    def observe(self, state: ArmState) -> Tensor:
        """What the muscles sense, (..., 12): six normalised lengths, then six normalised velocities.

        The units are those of `Muscle.sense`; the geometry is that of ``state.q`` and ``state.qd``, see
        `proprioception_lag`.
        """
        *_, tendon, optimal = self._six.like(state.q)
        stretch = self._geometry(state.q, state.qd)
        return torch.cat(self.muscle.sense(*stretch, tendon, optimal, self.physics == "exact"), -1)

    def hand(self, q: Tensor) -> Tensor:
        """Position of the hand (..., 2) in m for angles q (..., 2); the shoulder is the origin."""
        return self.skeleton.hand(q)

    def hand_velocity(self, q: Tensor, qd: Tensor) -> Tensor:
        """Velocity of the hand (..., 2) in m/s."""
        return self.skeleton.hand_velocity(q, qd)

    def inverse(self, xy: Tensor) -> Tensor:
        """The angles (..., 2) in rad that put the hand at xy (..., 2) in m.

        Raises
        ------
        ValueError
            If the hand cannot get there, because of its length or of the limits of the joints.
        """
        check_last("xy", xy, 2)
        check_finite("xy", xy)
        q = self.skeleton.angles(xy)
        low, high = self._two.like(q)
        # the same direction of the upper arm, as the angle nearest to the middle of its range
        middle = 0.5 * (low + high)[0]
        shoulder = middle + torch.remainder(q[..., 0] - middle + math.pi, 2 * math.pi) - math.pi
        q = torch.stack([shoulder, q[..., 1]], -1)
        slack = 1e3 * torch.finfo(q.dtype).eps
        reached = ((q >= low - slack) & (q <= high + slack)).all(-1)
        if not bool(reached.all()):
            point = xy.reshape(-1, 2)[~reached.reshape(-1)][0].tolist()
            raise ValueError(
                f"`xy`: {int((~reached).sum())} of {reached.numel()} points cannot be reached, the first is "
                f"({point[0]:.4g}, {point[1]:.4g}) m. Points are in metres from the shoulder; the arm reaches "
                f"{self.skeleton.l1 + self.skeleton.l2:.3g} m at most."
            )
        return torch.minimum(torch.maximum(q, low), high)

    def muscle_lengths(self, q: Tensor) -> Tensor:
        """Lengths of muscles and tendons together (..., 6) in m, for angles q (..., 2)."""
        return self._geometry(q, torch.zeros_like(q))[0]

    def moment_arms(self, q: Tensor) -> Tensor:
        """Derivative of these lengths (..., joint, muscle) in m/rad: negative where a muscle flexes the joint."""
        return torch.stack(torch.broadcast_tensors(*self._arms(q)), -2)

    def muscle_force(self, activation: Tensor, q: Tensor, qd: Tensor) -> Tensor:
        """Forces of the muscles (..., 6) in N at activations (..., 6), angles (..., 2) and velocities (..., 2)."""
        return self._force(activation, q, qd)

    def acceleration(self, state: ArmState, endpoint_load: Tensor | None = None) -> Tensor:
        """Accelerations of the joints (..., 2) in rad/s^2 under the forces that the state holds; no stop at limits."""
        return self._acceleration(state.q, state.qd, state.force, endpoint_load, None)

    def _kernel_for(self, q: Tensor) -> Constants | None:
        """The constants of the compiled step, if it can and should take states like this."""
        if self.physics != "motornet" or not q.is_cpu or q.dtype not in _KERNEL_DTYPES:
            return None
        if q.numel() < 2 * _WORTH_COMPILING or transformed(q) or torch.compiler.is_compiling():
            return None
        if q.dtype not in self._kernel_constants:
            from conjugacy.arm.compiled_arm import constants

            self._kernel_constants[q.dtype] = constants(self, _KERNEL_DTYPES[q.dtype])
        return self._kernel_constants[q.dtype]

    def _motornet_step(self, state, action, endpoint_load, joint_load, dt) -> ArmState:
        # everything from the old state, and the new force from the old geometry
        q, qd, a, force = state
        qdd = self._acceleration(q, qd, force, endpoint_load, joint_load)
        a = self.muscle.activate(a, action, dt)
        return ArmState(*self._stop(q + dt * qd, qd + dt * qdd), a, self._force(a, q, qd))

    def _exact_step(self, state, action, endpoint_load, joint_load, dt) -> ArmState:
        q, qd, a, _ = state

        def rates(q, qd, a):
            return qd, self._acceleration(q, qd, self._force(a, q, qd), endpoint_load, joint_load)

        later = self.muscle.activate_exactly(a, action, dt)
        v1, w1 = rates(q, qd, a)
        if self.integration_method == "euler":
            q, qd = self._stop(q + dt * v1, qd + dt * w1)
        else:
            # activation does not depend on the arm: its exact course is what the stages see
            half = self.muscle.activate_exactly(a, action, dt / 2)
            v2, w2 = rates(q + dt / 2 * v1, qd + dt / 2 * w1, half)
            v3, w3 = rates(q + dt / 2 * v2, qd + dt / 2 * w2, half)
            v4, w4 = rates(q + dt * v3, qd + dt * w3, later)
            q, qd = self._stop(q + dt / 6 * (v1 + 2 * v2 + 2 * v3 + v4), qd + dt / 6 * (w1 + 2 * w2 + 2 * w3 + w4))
        return ArmState(q, qd, later, self._force(later, q, qd))

    def _stop(self, q: Tensor, qd: Tensor) -> tuple[Tensor, Tensor]:
        """Angles within the limits, and no velocity out of them."""
        low, high = self._two.like(q)
        qd = qd.clamp(-_MAX_SPEED, _MAX_SPEED)
        stopped = ((qd < 0) & (q <= low)) | ((qd > 0) & (q >= high))
        return torch.minimum(torch.maximum(q, low), high), torch.where(stopped, 0.0, qd)

    def _acceleration(self, q, qd, force, endpoint_load, joint_load) -> Tensor:
        by_shoulder, by_elbow = self._arms(q)
        torque = -torch.stack([(force * by_shoulder).sum(-1), (force * by_elbow).sum(-1)], -1)
        if self.damping:
            torque = torque - self.damping * qd
        if joint_load is not None:
            torque = torque + joint_load
        return self.skeleton.acceleration(q, qd, torque, endpoint_load)

    def _arms(self, q: Tensor) -> tuple[Tensor, Tensor]:
        _, shoulder, elbow, elbow2, *_ = self._six.like(q)
        return shoulder, elbow + 2 * elbow2 * q[..., 1:]

    def _geometry(self, q: Tensor, qd: Tensor) -> tuple[Tensor, Tensor]:
        """Lengths and velocities of muscles and tendons together, (..., 6)."""
        a0, shoulder, elbow, elbow2, *_ = self._six.like(q)
        p1, p2 = q[..., :1] - math.pi / 2, q[..., 1:]
        bend = elbow2 * p2
        length = a0 + shoulder * p1 + (elbow + bend) * p2
        return length, shoulder * qd[..., :1] + (elbow + 2 * bend) * qd[..., 1:]

    def _stretch(self, length: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor]:
        *_, tendon, optimal = self._six.like(length)
        normalise = self.muscle.normalise if self.physics == "motornet" else self.muscle.normalise_exactly
        return normalise(length, velocity, tendon, optimal)

    def _force(self, activation: Tensor, q: Tensor, qd: Tensor) -> Tensor:
        return self._six.like(q)[4] * self.muscle.force(activation, *self._stretch(*self._geometry(q, qd)))

    def _check_step(self, state, action, endpoint_load, joint_load) -> None:
        check_last("action", action, 6, "It holds a command for each muscle.")
        if state[0].shape[-1:] != (2,) or state[3].shape[-1:] != (6,):
            shapes = ", ".join(str(tuple(x.shape)) for x in state)
            raise ValueError(f"`state`: expected an ArmState of (..., 2), (..., 2), (..., 6), (..., 6), got {shapes}.")
        for name, load in (("endpoint_load", endpoint_load), ("joint_load", joint_load)):
            if load is None:
                continue
            check_last(name, load, 2)
            # not on a device, where looking at a value waits for the work before it, nor inside a transform
            if load.device.type == "cpu" and not transformed(load) and not torch.compiler.is_compiling():
                check_finite(name, load)

    def __repr__(self) -> str:
        return f"RigidTendonArm26({type(self.muscle).__name__}, dt={self.dt:g} s, physics={self.physics!r})"


class _Rows:
    """The rows of a table of constants as tensors of a dtype and device, made once for each.

    Nothing is kept that was made inside a functorch transform: it belongs to the transform.
    """

    def __init__(self, table: np.ndarray):
        self.table = table
        cpu = torch.device("cpu")
        self._known = {(dtype, cpu): self._made(dtype, cpu) for dtype in (torch.float32, torch.float64)}

    def like(self, x: Tensor) -> tuple[Tensor, ...]:
        key = (x.dtype, x.device)
        if key not in self._known:
            made = self._made(x.dtype, x.device)
            if transformed():
                return made
            self._known[key] = made
        return self._known[key]

    def _made(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
        return torch.from_numpy(self.table).to(device=device, dtype=dtype).unbind(0)

    def __getstate__(self):
        return self.table

    def __setstate__(self, table):
        self.__init__(table)


def _as_rows(parts: tuple[Tensor | None, ...]) -> Sequence[Tensor | None] | None:
    """The parts of a step as (trial, .) tensors of one dtype on the CPU; None if they are not alike."""
    given = [(x, width) for x, width in zip(parts, _WIDTHS) if x is not None]
    q = given[0][0]
    n, dtype = q.shape[0], q.dtype
    if any(x.dtype != dtype or not x.is_cpu for x, _ in given):
        return None
    if all(x.shape == (n, width) for x, width in given):
        return parts
    lead = q.shape[:-1]
    if any(x.shape[-1:] != (w,) or torch.broadcast_shapes(lead, x.shape[:-1]) != lead for x, w in given):
        return None
    return [None if x is None else x.expand(*lead, w).reshape(-1, w) for x, w in zip(parts, _WIDTHS)]


def _integration_method(method: str | None, physics: str) -> str:
    if method is None:
        return "euler" if physics == "motornet" else "rk4"
    check_choice("integration_method", method, ("euler", "rk4"))
    if physics == "motornet" and method == "rk4":
        raise ValueError(
            "`integration_method`: expected 'euler' with physics='motornet', got 'rk4'. MotorNet's 'rk4' is of first "
            "order and no better; physics='exact' has a true one."
        )
    return method

"""Effectors of MotorNet (0.2 and 0.3) made into arms of conjugacy, without importing MotorNet."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from conjugacy._check import shown
from conjugacy.arm.arm26 import RigidTendonArm26
from conjugacy.arm.bones import TwoJointSkeleton
from conjugacy.arm.muscles import MujocoHillMuscle, Muscle, ReluMuscle, RigidTendonHillMuscle
from conjugacy.arm.stepped import SteppedEffector

_SKELETON = ("m1", "m2", "l1g", "l2g", "i1", "i2", "l1", "l2")
_CLOSE = 1e-6


def from_motornet(effector: Any) -> RigidTendonArm26 | SteppedEffector:
    """The arm of conjugacy with the constants of an effector of MotorNet.

    Parameters
    ----------
    effector : motornet.effector.Effector
        A RigidTendonArm26 with a MujocoHillMuscle, RigidTendonHillMuscle or ReluMuscle and the Euler method is read:
        constants only, the object is neither kept nor changed. Subclasses and all other effectors are not read.

    Returns
    -------
    RigidTendonArm26 or SteppedEffector
        Our arm, with ``physics="motornet"``. For an effector that is not read: one that calls its own ``step``, with
        one warning that says why.

    Raises
    ------
    TypeError
        If it is no effector of MotorNet.
    """
    if not any(base.__module__.split(".")[0] == "motornet" for base in type(effector).__mro__):
        raise TypeError(f"`effector`: expected an effector of motornet, got {shown(effector)}.")
    why = _why_unknown(effector)
    if why is None:
        arm = _read(effector)
        why = _difference(arm, effector)
        if why is None:
            return arm
    warnings.warn(
        f"{type(effector).__name__} is stepped by MotorNet's own code, many times slower than ours: {why}.",
        stacklevel=2,
    )
    return SteppedEffector(effector)


def _why_unknown(effector: Any) -> str | None:
    """The first class or setting of an effector that conjugacy has not got; None if it has all."""
    muscle, skeleton = effector.muscle, getattr(effector, "skeleton", None)
    known = (
        (effector, "motornet.effector", ("RigidTendonArm26",)),
        (muscle, "motornet.muscle", tuple(_MUSCLES)),
        (skeleton, "motornet.skeleton", ("TwoDofArm",)),
    )
    for thing, module, names in known:
        kind = type(thing)
        if kind.__module__ != module or kind.__name__ not in names:
            return f"{kind.__module__}.{kind.__name__} is not one of {', '.join(f'{module}.{n}' for n in names)}"
        replaced = [name for name in vars(thing) if callable(getattr(kind, name, None))]
        if replaced:
            return f"its {kind.__name__} has a {replaced[0]} of its own"
    if effector.integration_method != "euler":
        return f"its integration method is {effector.integration_method!r}, not 'euler'"
    for name in ("l0_pe", "vmax", "lmin", "lmax", "fvmax"):
        if type(muscle).__name__ == "MujocoHillMuscle" and np.unique(_array(getattr(muscle, name))).size != 1:
            return f"`{name}` differs between its muscles"
    return None


def _read(effector: Any) -> RigidTendonArm26:
    muscle, skeleton = effector.muscle, effector.skeleton
    law = {name: _number(getattr(muscle, name)) for name in ("min_activation", "tau_activation", "tau_deactivation")}
    body = {name: _number(getattr(skeleton, name)) for name in _SKELETON}
    muscles: dict[str, Any] = {"max_isometric_force": _numbers(muscle.max_iso_force)}
    if type(muscle).__name__ != "ReluMuscle":
        muscles |= {"tendon_length": _numbers(muscle.l0_se), "optimal_muscle_length": _numbers(muscle.l0_ce)}
    return RigidTendonArm26(
        _MUSCLES[type(muscle).__name__](muscle, law),
        TwoJointSkeleton(**body, viscosity=_number(skeleton.c_viscosity)),
        timestep=_number(effector.dt),
        n_ministeps=int(effector.n_ministeps),
        damping=_number(effector.damping),
        pos_lower_bound=_numbers(skeleton.pos_lower_bound),
        pos_upper_bound=_numbers(skeleton.pos_upper_bound),
        **muscles,
    )


def _mujoco(muscle: Any, law: dict[str, float]) -> Muscle:
    curves = {name: float(_numbers(getattr(muscle, name))[0]) for name in ("lmin", "lmax", "vmax", "fvmax")}
    return MujocoHillMuscle(
        **law,
        **curves,
        passive_forces=_number(muscle.passive_forces),
        normalized_slack_muscle_length=_numbers(muscle.l0_pe)[0],
    )


def _hill(muscle: Any, law: dict[str, float]) -> Muscle:
    slack = _array(muscle.l0_pe) / _array(muscle.l0_ce)
    return RigidTendonHillMuscle(**law, normalized_slack_muscle_length=_number(np.round(slack[0], 6)))


def _relu(muscle: Any, law: dict[str, float]) -> Muscle:
    return ReluMuscle(**law)


_MUSCLES = {"MujocoHillMuscle": _mujoco, "RigidTendonHillMuscle": _hill, "ReluMuscle": _relu}


def _difference(arm: RigidTendonArm26, effector: Any) -> str | None:
    """The constant of an effector that the arm made from it does not reproduce; None if it reproduces all."""
    a, b, c = arm.skeleton.inertia
    a0, shoulder, elbow, elbow2 = arm._six.table[:4]
    skeleton = effector.skeleton
    # inertia_c + inertia_m cos(q2), and the geometry as a polynomial of q - (pi/2, 0)
    pairs = {
        "skeleton.inertia_c": (_array(skeleton.inertia_c), [a, c, c, c]),
        "skeleton.inertia_m": (_array(skeleton.inertia_m), [2 * b, b, b, 0.0]),
        "a0": (_array(effector.a0), a0),
        "a1": (_array(effector.a1), np.concatenate([shoulder, elbow])),
        "a2": (_array(effector.a2), np.concatenate([np.zeros(6), elbow2])),
        "a3": (_array(effector.a3), [np.pi / 2, 0.0]),
        "vel_upper_bound": (_array(skeleton.vel_upper_bound), [1000.0, 1000.0]),
        "vel_lower_bound": (_array(skeleton.vel_lower_bound), [-1000.0, -1000.0]),
    }
    if isinstance(arm.muscle, RigidTendonHillMuscle):
        slack = np.full(6, arm.muscle.normalized_slack_muscle_length)
        pairs["muscle.l0_pe"] = (_array(effector.muscle.l0_pe) / _array(effector.muscle.l0_ce), slack)
        pairs["muscle.vmax"] = (_array(effector.muscle.vmax), 10 * np.array(arm.optimal_muscle_length))
    for name, (theirs, ours) in pairs.items():
        if theirs.shape != np.shape(ours) or not np.allclose(theirs, ours, rtol=_CLOSE, atol=_CLOSE):
            return f"its `{name}` is not that of RigidTendonArm26"
    return None


def _array(x: Any) -> np.ndarray:
    values = x.detach().cpu().numpy() if hasattr(x, "detach") else np.asarray(x)
    return values.reshape(-1).astype(float)


def _number(x: Any) -> float:
    return _numbers(x)[0]


def _numbers(x: Any) -> list[float]:
    """Shortest decimals of float32 numbers: 0.01 for 0.00999999977648."""
    return [float(str(np.float32(v))) for v in _array(x)]

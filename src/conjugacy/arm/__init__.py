"""Musculoskeletal plants: an arm of two joints and six muscles as a pure, differentiable step."""

from conjugacy.arm.arm26 import RigidTendonArm26
from conjugacy.arm.bones import TwoJointSkeleton
from conjugacy.arm.motornet import from_motornet
from conjugacy.arm.muscles import MujocoHillMuscle, Muscle, ReluMuscle, RigidTendonHillMuscle
from conjugacy.arm.state import ArmState

__all__ = [
    "ArmState",
    "MujocoHillMuscle",
    "Muscle",
    "ReluMuscle",
    "RigidTendonArm26",
    "RigidTendonHillMuscle",
    "TwoJointSkeleton",
    "from_motornet",
]

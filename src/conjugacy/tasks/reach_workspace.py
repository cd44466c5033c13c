"""Workspace: where reaches start and end, as joint angles of an arm and as positions of its hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from conjugacy._check import check_int, check_number, check_range
from conjugacy.arm.plant import rotated

_MAX_REDRAWS = 200
_MOST_DIRECTIONS = 10_000


@dataclass(frozen=True, eq=False)
class Workspace:
    """The starts and targets of reaches: drawn from ranges of joint angles, or a star around the middle of them.

    Attributes
    ----------
    arm : RigidTendonArm26, or an object with its members
        The arm that reaches.
    shoulder_range, elbow_range : (float, float)
        Ranges of the joint angles, degrees.
    n_directions : int
        Number of targets around the middle of the ranges; 0 for starts and targets anywhere.
    reach_distance : float
        Distance of these targets, m.
    rotation : float
        Angle by which the seen hand is turned about where it started, degrees.
    """

    arm: Any
    shoulder_range: tuple[float, float]
    elbow_range: tuple[float, float]
    n_directions: int
    reach_distance: float
    rotation: float
    _star: tuple[np.ndarray, np.ndarray] | None = field(init=False, repr=False)

    def __post_init__(self):
        derived = {
            "shoulder_range": self._angles("shoulder_range", self.shoulder_range, 0),
            "elbow_range": self._angles("elbow_range", self.elbow_range, 1),
            "n_directions": check_int("n_directions", self.n_directions, 0, limit=_MOST_DIRECTIONS),
            "reach_distance": check_number(
                "reach_distance", self.reach_distance, 0, open_low=True, hint="It is in metres."
            ),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_star", self._made_star() if self.n_directions else None)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Joint angles (trial, 2) in rad of starts and of targets, and the condition (trial,) of each trial."""
        if self._star is not None:
            centre, targets = self._star
            condition = rng.integers(0, self.n_directions, n)
            return np.tile(centre, (n, 1)), targets[condition], condition.astype(np.int64)
        low, high = np.radians([self.shoulder_range, self.elbow_range]).T
        start, target = rng.uniform(low, high, (n, 2)), rng.uniform(low, high, (n, 2))
        if self.rotation:
            self._redraw(start, target, low, high, rng)
        return start, target, np.zeros(n, np.int64)

    def hand(self, q: np.ndarray) -> np.ndarray:
        """Positions of the hand (trial, 2) in m at joint angles q (trial, 2)."""
        with torch.no_grad():
            return self.arm.hand(torch.from_numpy(q)).numpy()

    def seen(self, start_xy: np.ndarray, target_xy: np.ndarray) -> np.ndarray:
        """Where the target is seen: with a rotation, where the hand is seen once it is at the target."""
        if not self.rotation:
            return target_xy
        return start_xy + rotated(torch.from_numpy(target_xy - start_xy), self.rotation).numpy()

    def _angles(self, name: str, degrees: Any, joint: int) -> tuple[float, float]:
        low, high = check_range(name, degrees, -math.inf, hint="They are degrees.")
        limits = [math.degrees(x) for x in self.arm.joint_limits[joint].tolist()]
        if low < limits[0] - 1e-9 or high > limits[1] + 1e-9:
            raise ValueError(
                f"`{name}`: expected angles within the joint's limits, {limits[0]:.4g} to {limits[1]:.4g} degrees, "
                f"got {low:g} to {high:g}."
            )
        return low, high

    def _redraw(self, start: np.ndarray, target: np.ndarray, low: np.ndarray, high: np.ndarray, rng) -> None:
        """Draw reaches again, in place, until their targets are seen where targets lie without a rotation."""
        outside = np.arange(len(start))
        for _ in range(_MAX_REDRAWS):
            seen = self.seen(self.hand(start[outside]), self.hand(target[outside]))
            angles = self.arm.skeleton.angles(torch.from_numpy(seen)).numpy()
            outside = outside[~((angles >= low) & (angles <= high)).all(1)]
            if not len(outside):
                return
            start[outside], target[outside] = rng.uniform(low, high, (2, len(outside), 2))
        raise ValueError(
            f"`rotation`: expected an angle that leaves targets in the workspace, got {self.rotation:g} degrees."
        )

    def _made_star(self) -> tuple[np.ndarray, np.ndarray]:
        """Joint angles of the middle of the ranges, and of the targets around the hand's position there."""
        centre = np.radians([np.mean(self.shoulder_range), np.mean(self.elbow_range)])
        angle = 2 * np.pi * np.arange(self.n_directions) / self.n_directions
        around = self.reach_distance * np.stack([np.cos(angle), np.sin(angle)], 1)
        xy = self.hand(centre[None]) + around
        try:
            return centre, self.arm.inverse(torch.from_numpy(xy)).numpy()
        except ValueError as error:
            raise ValueError(
                f"`reach_distance`: expected targets within reach, got {self.reach_distance:g} m: {error}"
            ) from None

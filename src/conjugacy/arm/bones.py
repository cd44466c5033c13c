"""Two links in a horizontal plane: kinematics, inertia, and the equation of motion.

Angles q = (shoulder, elbow) in rad, the elbow relative to the upper arm, both 0 when the arm lies stretched along x.
With c_2 = cos q_2, s_2 = sin q_2 and the constants A, B, C of `TwoJointSkeleton`,

    | A + 2 B c_2   C + B c_2 |  q''  =  torque + B s_2 (q_2' (2 q_1' + q_2'), -q_1'^2) - viscosity q'
    | C + B c_2     C         |

Nijhof & Kouwenhoven (2000), in Biomechanics and Neural Control of Posture and Movement, Springer: the masses, lengths
and inertias. There is no gravity in the plane.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from conjugacy._check import check_number

_LARGEST = 1e6  # of any mass, length or inertia, in its SI unit


@dataclass(frozen=True)
class TwoJointSkeleton:
    """Masses and lengths of upper arm (1) and forearm with hand (2).

    Attributes
    ----------
    m1, m2 : float
        Masses in kg.
    l1g, l2g : float
        Distances from the joint at which a link begins to its centre of mass, in m.
    i1, i2 : float
        Moments of inertia about the centre of mass, in kg m^2.
    l1, l2 : float
        Lengths in m.
    viscosity : float
        Viscous friction of both joints, in N m s.
    """

    m1: float = 1.82
    m2: float = 1.43
    l1g: float = 0.135
    l2g: float = 0.165
    i1: float = 0.051
    i2: float = 0.057
    l1: float = 0.309
    l2: float = 0.333
    viscosity: float = 0.0

    def __post_init__(self):
        for f in fields(self):
            may_be_zero = f.name not in ("m2", "l1", "l2")
            value = check_number(
                f"skeleton.{f.name}", getattr(self, f.name), 0, open_low=not may_be_zero, limit=_LARGEST
            )
            object.__setattr__(self, f.name, value)
        a, b, c = self.inertia
        # the matrix is singular first where cos^2 q_2 is largest
        if a * c - c * c <= b * b:
            raise ValueError(
                f"`skeleton`: masses without a positive inertia matrix (A={a:.3g}, B={b:.3g}, C={c:.3g} kg m^2). "
                "Give the links inertia: i1, i2 > 0."
            )

    @property
    def inertia(self) -> tuple[float, float, float]:
        """A, B, C of the inertia matrix, in kg m^2."""
        a = self.m1 * self.l1g**2 + self.i1 + self.m2 * (self.l2g**2 + self.l1**2) + self.i2
        return a, self.m2 * self.l1 * self.l2g, self.m2 * self.l2g**2 + self.i2

    def acceleration(self, q: Tensor, qd: Tensor, torque: Tensor, endpoint_load: Tensor | None) -> Tensor:
        """Acceleration q'' (..., 2) in rad/s^2 under a torque (..., 2) in N m and a force on the hand (..., 2) in N."""
        a, b, c = self.inertia
        q2, (w1, w2), (t1, t2) = q[..., 1], qd.unbind(-1), torque.unbind(-1)
        if endpoint_load is not None:
            f1, f2 = self.torque_of(q, endpoint_load).unbind(-1)
            t1, t2 = t1 + f1, t2 + f2
        bs, bc = b * torch.sin(q2), b * torch.cos(q2)
        r1 = t1 + bs * w2 * (2 * w1 + w2) - self.viscosity * w1
        r2 = t2 - bs * w1 * w1 - self.viscosity * w2
        m11, m12 = a + 2 * bc, c + bc
        d = m11 * c - m12 * m12
        return torch.stack([(c * r1 - m12 * r2) / d, (m11 * r2 - m12 * r1) / d], -1)

    def torque_of(self, q: Tensor, endpoint_load: Tensor) -> Tensor:
        """Torque (..., 2) that a force on the hand (..., 2) exerts: J(q)^T f."""
        q1, q12 = q[..., 0], q.sum(-1)
        fx, fy = endpoint_load.unbind(-1)
        by_forearm = self.l2 * (torch.cos(q12) * fy - torch.sin(q12) * fx)
        return torch.stack([by_forearm + self.l1 * (torch.cos(q1) * fy - torch.sin(q1) * fx), by_forearm], -1)

    def hand(self, q: Tensor) -> Tensor:
        """Position of the hand (..., 2) in m; the shoulder is the origin."""
        q1, q12 = q[..., 0], q.sum(-1)
        x = self.l1 * torch.cos(q1) + self.l2 * torch.cos(q12)
        return torch.stack([x, self.l1 * torch.sin(q1) + self.l2 * torch.sin(q12)], -1)

    def hand_velocity(self, q: Tensor, qd: Tensor) -> Tensor:
        """Velocity of the hand (..., 2) in m/s: J(q) q'."""
        q1, q12 = q[..., 0], q.sum(-1)
        w1, w12 = self.l1 * qd[..., 0], self.l2 * qd.sum(-1)
        vx = -torch.sin(q1) * w1 - torch.sin(q12) * w12
        return torch.stack([vx, torch.cos(q1) * w1 + torch.cos(q12) * w12], -1)

    def angles(self, xy: Tensor) -> Tensor:
        """The angles (..., 2) with elbow >= 0 for the hand at xy (..., 2) in m, in (-2 pi, pi]; NaN if out of reach."""
        x, y = xy.unbind(-1)
        q2 = torch.acos((x * x + y * y - self.l1**2 - self.l2**2) / (2 * self.l1 * self.l2))
        q1 = torch.atan2(y, x) - torch.atan2(self.l2 * torch.sin(q2), self.l1 + self.l2 * torch.cos(q2))
        return torch.stack([q1, q2], -1)

    def kinetic_energy(self, q: Tensor, qd: Tensor) -> Tensor:
        """Kinetic energy (...,) in J: 1/2 q'^T M(q) q'."""
        a, b, c = self.inertia
        w1, w2 = qd.unbind(-1)
        bc = b * torch.cos(q[..., 1])
        return 0.5 * (a + 2 * bc) * w1 * w1 + (c + bc) * w1 * w2 + 0.5 * c * w2 * w2

"""The state of an arm: what its next step depends on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class ArmState(NamedTuple):
    """State of the arm; any number of leading axes, the same for all four.

    Attributes
    ----------
    q : Tensor (..., 2)
        Angles of shoulder and elbow in rad.
    qd : Tensor (..., 2)
        Their velocities in rad/s.
    activation : Tensor (..., 6)
        Activation of the muscles, in [0, 1].
    force : Tensor (..., 6)
        Their forces in N. With ``physics="motornet"`` it is a state of its own: it comes from the geometry of one step
        before. With ``physics="exact"`` it follows from the other three.
    """

    q: Tensor
    qd: Tensor
    activation: Tensor
    force: Tensor

    def pack(self) -> Tensor:
        """The state as one vector (..., 16)."""
        return torch.cat(self, -1)

    @classmethod
    def unpack(cls, flat: Tensor) -> ArmState:
        """The state in a vector (..., 16) that `pack` made."""
        if flat.shape[-1] != 16:
            raise ValueError(f"`flat`: expected shape (..., 16), got {tuple(flat.shape)}. Pass what pack() returned.")
        return cls(*flat.split((2, 2, 6, 6), -1))

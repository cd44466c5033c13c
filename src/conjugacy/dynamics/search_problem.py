"""What is searched for fixed points: a map at one held input, and the states that it visits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from conjugacy.dynamics.map import Map, Reduced
from conjugacy.dynamics.starts import spread


@dataclass(frozen=True, eq=False)
class Problem:
    """A map, what is known of where it goes, and the source of all that is random in the search.

    Attributes
    ----------
    dynamics : Map
    u : Tensor (I,)
        The held input.
    visited : Tensor (N, D)
    generator : Generator
    horizon : float or None
        In steps (a flow: in its unit of time); None: exact points only.
    """

    dynamics: Map
    u: Tensor
    visited: Tensor
    generator: Generator
    horizon: float | None = None

    @cached_property
    def scale(self) -> float:
        """The spread of the visited states."""
        return spread(self.visited)

    @cached_property
    def equation(self) -> Reduced:
        """The equation whose zeros are the fixed points."""
        return self.dynamics.equation()

    @cached_property
    def stiffness(self) -> float:
        """The median norm of its Jacobian on visited states, at least 1; rounding errors grow in proportion to it."""
        probe = self.equation.project(self.visited[: min(8, len(self.visited))])
        jacobian = self.equation.jacobian(probe, self.u.expand(len(probe), -1))
        jacobian = jacobian[torch.isfinite(jacobian).all(-1).all(-1)]
        norms = torch.linalg.matrix_norm(jacobian, ord=2).sort().values
        return max(1.0, *norms[len(jacobian) // 2 :][:1].tolist(), 1.0)

"""Search in the subspace that the data span: where large networks compute, in few unknowns.

Trained networks of hundreds of units visit some tens of dimensions. With an orthonormal basis V of these and the mean
m, the equation V'g(m + V a) = 0 has few unknowns, and its Jacobian V'(dg/dy)V is cheap. Its zeros are not those of g,
but near enough to start Newton's method from in all dimensions; every one is checked there, and starts in all
dimensions look for what the subspace does not show.
"""

from __future__ import annotations

import torch
from torch import Tensor

from conjugacy.dynamics.map import Reduced

_MOST_DIMENSIONS = 64
_VARIANCE = 0.999  # share of the variance of the visited states that the basis keeps


def basis_of(y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and orthonormal basis (D, k) of the main directions of states (N, D)."""
    y = y[:: max(1, len(y) // 4000)]
    centre = y.mean(0)
    _, size, axes = torch.linalg.svd(y - centre, full_matrices=False)
    kept = size.square().cumsum(0) / size.square().sum().clamp_min(1e-300)
    k = min(_MOST_DIMENSIONS, int((kept < _VARIANCE).sum()) + 1)
    return centre, axes[:k].T.contiguous()


def in_subspace(equation: Reduced, centre: Tensor, basis: Tensor) -> Reduced:
    """The equation V'g(m + V a) = 0 in the coordinates a."""

    def lift(a: Tensor, u: Tensor) -> Tensor:
        return centre + a @ basis.T

    def jacobian(a: Tensor, u: Tensor) -> Tensor:
        y = lift(a, u)
        if equation.times is not None:
            return basis.T @ equation.times(y, u, basis)
        # in parts: the whole batch of Jacobians would not fit
        parts = [basis.T @ (equation.jacobian(y[k : k + 8], u[k : k + 8]) @ basis) for k in range(0, len(y), 8)]
        return torch.cat(parts) if parts else a.new_zeros(0, a.shape[1], a.shape[1])

    return Reduced(
        project=lambda y: (y - centre) @ basis,
        lift=lift,
        residual=lambda a, u: equation.residual(lift(a, u), u) @ basis,
        jacobian=jacobian,
    )

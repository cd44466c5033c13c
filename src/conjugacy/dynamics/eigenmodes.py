"""Eigenvalues and eigenvectors of Jacobians, the slowest first."""

from __future__ import annotations

import torch
from torch import Tensor


def sorted_eigenvalues(jacobian: Tensor, flow: bool) -> Tensor:
    """Eigenvalues (P, D), the slowest first."""
    values = torch.linalg.eigvals(jacobian)
    return torch.gather(values, 1, _slowest_first(values, flow))


def modes_of(jacobian: Tensor, flow: bool) -> tuple[Tensor, Tensor]:
    """Right eigenvectors (P, D, D; columns) and left ones (P, D, D; rows), in the order of `sorted_eigenvalues`."""
    values, right = torch.linalg.eig(jacobian)
    order = _slowest_first(values, flow)
    right = torch.gather(right, 2, order[:, None, :].expand_as(right))
    left, info = torch.linalg.inv_ex(right)
    if bool((info != 0).any()):
        left = torch.linalg.pinv(right)
    return right, left


def _slowest_first(values: Tensor, flow: bool) -> Tensor:
    return (values.real if flow else values.abs()).argsort(dim=1, descending=True, stable=True)

"""The weights of torch's cells, and bounds of their nonlinearities, for closed forms."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def weights_of(cell: nn.RNNCellBase) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Recurrent weights, input weights and the biases of each, in float64 and detached; biases of 0 where none are."""
    w, v = (p.detach().cpu().double().clone() for p in (cell.weight_hh, cell.weight_ih))
    if not cell.bias:
        zero = torch.zeros(len(w), dtype=torch.float64)
        return w, v, zero, zero
    return w, v, cell.bias_hh.detach().cpu().double().clone(), cell.bias_ih.detach().cpu().double().clone()


def rows(scale: Tensor, matrix: Tensor) -> Tensor:
    """diag(scale) @ matrix for a batch of diagonals."""
    return scale[..., None] * matrix


def spectral(matrix: Tensor) -> Tensor:
    """The largest singular value."""
    return torch.linalg.matrix_norm(matrix, ord=2)


def sup_sigmoid_slope(centre: Tensor, shift: Tensor) -> Tensor:
    """The steepest slope of the sigmoid at an argument within `shift` of `centre`."""
    nearest = (centre.abs() - shift).clamp_min(0)
    s = torch.sigmoid(nearest)
    return s * (1 - s)


def tanh_range(centre: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest |tanh| of an argument within `shift` of `centre`."""
    return torch.tanh((centre.abs() - shift).clamp_min(0)), torch.tanh(centre.abs() + shift)

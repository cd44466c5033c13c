"""Euclidean distances without cancellation."""

from __future__ import annotations

import torch
from torch import Tensor


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Distances (A, B) between the rows of two sets; 0 for equal rows, which torch.cdist's default does not promise."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")

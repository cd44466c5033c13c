"""How much of the variance of some states lies in the subspace of others: the alignment index.

Elsayed, Lara, Kaufman, Churchland and Cunningham 2016, Nature Communications 7:13239, eq. 1.
"""

from __future__ import annotations

import torch
from torch import Tensor


def alignment_index(states: Tensor, subspace: Tensor, variance: float, most: int | None = None) -> float:
    """Variance along the first k principal components of `subspace`, over that along as many of its own.

    Parameters
    ----------
    states, subspace : Tensor (unit, unit)
        Covariances, up to a factor of each.
    variance : float
        k is the number of components that hold this share of the variance of `subspace`, at least; in (0, 1].
    most : int, optional
        The largest k.

    Returns
    -------
    float
        1 for equal subspaces, about k / units for unrelated ones, 0 for states without variance.
    """
    values, vectors = torch.linalg.eigh(subspace)
    held = values.flip(0).cumsum(0) / values.sum()
    k = int((held < variance).sum()) + 1
    basis = vectors[:, -(k if most is None else min(k, most)) :]
    own = float(torch.linalg.eigvalsh(states)[-basis.shape[1] :].sum())
    return float(torch.trace(basis.T @ states @ basis)) / own if own > 0 else 0.0

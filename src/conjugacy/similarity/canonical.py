"""Canonical correlations of two systems, where they are 1 by algebra, and what they are on data that were held out.

With whitened states Ux, Uy (sample, component), the canonical correlations are the singular values of Ux' Uy. m samples
about their mean span m - 1 dimensions, and two subspaces of r_x and r_y dimensions share r_x + r_y - (m - 1) of them,
if that is positive: as many correlations are 1 whatever the data are.
"""

from __future__ import annotations

import numpy as np

from conjugacy.similarity.covariance import Coordinates, Covariances
from conjugacy.similarity.principal_components import principal_axes

_FOLDS = 5


def canonical_correlations(c: Covariances) -> tuple[np.ndarray, np.ndarray]:
    """Correlations (min rank,), descending, and the canonical directions of x (component, min rank)."""
    wx, wy = inverse_root(c.xx), inverse_root(c.yy)
    left, s, _ = np.linalg.svd(wx @ c.xy @ wy, full_matrices=False)
    return s.clip(0, 1), wx @ left


def inverse_root(cov: np.ndarray) -> np.ndarray:
    """Symmetric W with W cov W the projection on the directions that have variance."""
    values, vectors = np.linalg.eigh(cov)
    keep = values > 1e-12 * values.max()
    return (vectors[:, keep] / np.sqrt(values[keep])) @ vectors[:, keep].T


def n_forced(n_samples: float, rank_a: int, rank_b: int) -> int:
    """How many canonical correlations are 1 by algebra."""
    return max(0, min(rank_a, rank_b, rank_a + rank_b - (int(n_samples) - 1)))


def forced_warning(n_samples: float, rank_a: int, rank_b: int) -> str:
    """A warning that names how many correlations are 1 by algebra, empty if none is."""
    forced = n_forced(n_samples, rank_a, rank_b)
    if not forced:
        return ""
    return (
        f"{int(n_samples)} samples are too few for {rank_a} and {rank_b} dimensions: {forced} of "
        f"{min(rank_a, rank_b)} canonical correlations are 1 by algebra, whatever the data are. See "
        "diagnostics['cross_validated'], or use more samples or fewer dimensions (svcca with a smaller variance)"
    )


def held_out_correlations(a: Coordinates, b: Coordinates) -> tuple[np.ndarray, np.ndarray]:
    """Correlations of canonical variates on samples that were held out, and the weights of `carried` on the others.

    The directions are fitted on four fifths of the trials (of the steps in order, where there are fewer than five
    trials) and correlated on the rest; both results (min rank,) are means over five such folds.
    """
    x, y = a.scores, b.scores
    fold = _folds(a)
    correlations, weights = np.zeros((2, min(x.shape[1], y.shape[1])))
    for k in range(fold.max() + 1):
        fit, test = fold != k, fold == k
        sides = [_whitened(z, fit) for z in (x, y)]
        (wx, mx, cov), (wy, my, _) = sides
        left, s, right = np.linalg.svd(wx.T @ ((x[fit] - mx).T @ (y[fit] - my) / fit.sum()) @ wy, full_matrices=False)
        u, v = (x[test] - mx) @ (wx @ left), (y[test] - my) @ (wy @ right.T)
        u, v = u - u.mean(0), v - v.mean(0)
        power = np.sqrt((u**2).sum(0) * (v**2).sum(0))
        r = np.divide((u * v).sum(0), power, out=np.zeros(len(s)), where=power > 0)
        # directions that the training samples do not span predict nothing
        correlations[: len(s)] += r
        weights[: len(s)] += np.abs(left.T @ wx.T @ cov @ a.axes.T).sum(1)
    return correlations / (fold.max() + 1), weights / (fold.max() + 1)


def _folds(a: Coordinates) -> np.ndarray:
    """The fold of each sample: whole trials, or stretches of time where there are few trials."""
    n_trials, lengths = a.layout.n_trials, a.layout.lengths
    if n_trials >= _FOLDS:
        return np.repeat(np.arange(n_trials) * _FOLDS // n_trials, lengths)
    within = np.concatenate([np.arange(n) * _FOLDS // n for n in lengths])
    return within if (np.bincount(within, minlength=_FOLDS) > 1).all() else np.arange(lengths.sum()) % 2


def _whitened(z: np.ndarray, fit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whitening matrix (component, rank), mean and covariance of the samples `fit`."""
    mean, sd, axes = principal_axes(z[fit])
    return axes / sd, mean, (axes * sd**2) @ axes.T

"""Geometry between conditions: how far apart their mean responses are, and whether two geometries agree."""

from __future__ import annotations

from typing import Any

import numpy as np

from conjugacy._check import check_choice, check_instance, check_int, shown
from conjugacy.recordings.recording import Recording

DISTANCES = ("crossnobis", "mahalanobis", "euclidean", "poisson")
AGREEMENTS = ("rho-a", "tau-a", "correlation", "whitened-correlation")
_PRIOR_WEIGHT = 0.1  # of a prior of one spike, as rsatoolbox has it: logarithms need means above 0


def condition_distances(
    recording: Recording, distance: str = "crossnobis", *, precision: Any = None, folds: int = 2, seed: int = 0
) -> np.ndarray:
    """Dissimilarities (pair,) between conditions of the mean activity of a trial, divided by the number of units.

    Parameters
    ----------
    recording : Recording
        Trials with conditions; each trial counts as the mean over its bins.
    distance : {"crossnobis", "mahalanobis", "euclidean", "poisson"}
        "crossnobis": Mahalanobis distance of differences in separate folds, without bias, so that equal conditions are
        0 on average (values may be negative); "mahalanobis", "euclidean": squared distances of means, biased upwards by
        noise; "poisson": symmetric divergence of Poisson counts.
    precision : array (unit, unit), optional
        Inverse covariance of the noise. None: of trials about the means of their conditions, shrunk (Ledoit-Wolf).
    folds : int
        Folds of crossnobis, at least 2; every condition has to have a trial in each.
    seed : int
        Of the division of trials into folds.

    Returns
    -------
    array (pair,)
        Pairs of the sorted conditions in the order (0, 1), (0, 2), ..., (1, 2), ...

    Raises
    ------
    ValueError
        If there are fewer than 3 conditions, a condition has too few trials, or Poisson is asked for without counts.

    Notes
    -----
    Walther et al. 2016, NeuroImage 137:188; Schuett et al. 2023, eLife 12:e82566.
    """
    check_instance("recording", recording, Recording)
    check_choice("distance", distance, DISTANCES)
    check_int("folds", folds, 2)
    if recording.conditions is None:
        raise ValueError("`recording`: expected one with conditions, got none. Give conditions=.")
    labels, group = np.unique(recording.conditions, return_inverse=True)
    if len(labels) < 3:
        raise ValueError(f"`recording`: expected at least 3 conditions, got {len(labels)}.")
    source = recording.counts if distance == "poisson" else recording.values
    x = (source * recording.valid[..., None]).sum(1) / recording.lengths[:, None]
    needed = {"crossnobis": folds, "mahalanobis": 2 if precision is None else 1}.get(distance, 1)
    trials = np.bincount(group)
    if trials.min() < needed:
        raise ValueError(
            f"`recording`: expected at least {needed} trials of each condition, got {trials.min()} of "
            f"{labels[trials.argmin()]!r}. Leave it out with select(conditions=...)."
        )
    means = _means(x, group)
    if distance == "euclidean":
        return _from_kernel(means @ means.T, x.shape[1])
    if distance == "poisson":
        smooth = (means + _PRIOR_WEIGHT) / (1 + _PRIOR_WEIGHT)
        return _from_kernel(smooth @ np.log(smooth).T, x.shape[1])
    weights = _noise_precision(x - means[group]) if precision is None else _given_precision(precision, x.shape[1])
    if distance == "mahalanobis":
        return _from_kernel(means @ weights @ means.T, x.shape[1])
    fold = balanced_folds(group, folds, check_int("seed", seed, 0))
    found = []
    for k in range(folds):
        train, test = _means(x[fold != k], group[fold != k]), _means(x[fold == k], group[fold == k])
        found.append(_from_kernel(train @ weights @ test.T, x.shape[1]))
    return np.mean(found, 0)


def distance_agreement(a: np.ndarray, b: np.ndarray, method: str = "rho-a") -> float:
    """Agreement, from -1 to 1, of the dissimilarities (pair,) of the same conditions in two systems.

    Parameters
    ----------
    a, b : array (pair,)
        From `condition_distances`.
    method : {"rho-a", "tau-a", "correlation", "whitened-correlation"}
        Spearman's and Kendall's coefficients with ties broken at random, on average; Pearson's; Pearson's after the
        covariance that estimates share, because pairs share conditions, was taken out.

    Raises
    ------
    ValueError
        If the arrays do not hold all pairs of the same conditions, or one is constant.
    """
    check_choice("method", method, AGREEMENTS)
    a, b = (np.asarray(v, dtype=np.float64) for v in (a, b))
    n = round((1 + np.sqrt(1 + 8 * a.size)) / 2)
    if a.ndim != 1 or a.shape != b.shape or n < 3 or n * (n - 1) // 2 != a.size:
        raise ValueError(f"`a`, `b`: expected all pairs of the same conditions, got {shown(a)} and {shown(b)}.")
    for name, v in (("a", a), ("b", b)):
        if not np.isfinite(v).all() or np.ptp(v) == 0:
            raise ValueError(f"`{name}`: expected finite dissimilarities that differ, got NaN or a constant.")
    if method == "tau-a":
        i, j = np.triu_indices(a.size, 1)
        return float((np.sign(a[i] - a[j]) * np.sign(b[i] - b[j])).mean())
    if method == "rho-a":
        from scipy.stats import rankdata  # slow to import

        ra, rb = (rankdata(v) - (a.size + 1) / 2 for v in (a, b))
        return float(12 * (ra @ rb) / (a.size**3 - a.size))
    a, b = a - a.mean(), b - b.mean()
    if method == "whitened-correlation":
        i, j = np.triu_indices(n, 1)
        contrasts = np.eye(n)[i] - np.eye(n)[j]
        shared = (contrasts @ contrasts.T) ** 2
        inverse = np.linalg.inv(shared)
        return float(a @ inverse @ b / np.sqrt((a @ inverse @ a) * (b @ inverse @ b)))
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def balanced_folds(group: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Fold (trial,) of each trial, with the trials of every group spread over all folds."""
    rng, out = np.random.default_rng(seed), np.empty(len(group), dtype=np.int64)
    for g in np.unique(group):
        rows = np.flatnonzero(group == g)
        out[rng.permutation(rows)] = np.arange(len(rows)) % folds
    return out


def _means(x: np.ndarray, group: np.ndarray) -> np.ndarray:
    return np.stack([x[group == g].mean(0) for g in range(group.max() + 1)])


def _from_kernel(kernel: np.ndarray, n_units: int) -> np.ndarray:
    own = np.diag(kernel)
    return (own[:, None] + own - kernel - kernel.T)[np.triu_indices(len(kernel), 1)] / n_units


def _noise_precision(residuals: np.ndarray) -> np.ndarray:
    from sklearn.covariance import LedoitWolf  # slow to import

    return np.linalg.inv(LedoitWolf().fit(residuals).covariance_)


def _given_precision(precision: Any, n_units: int) -> np.ndarray:
    weights = np.asarray(precision, dtype=np.float64)
    if weights.shape != (n_units, n_units) or not np.allclose(weights, weights.T):
        raise ValueError(f"`precision`: expected a symmetric matrix ({n_units}, {n_units}), got {shown(precision)}.")
    return weights

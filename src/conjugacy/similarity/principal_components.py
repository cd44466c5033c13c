"""Principal components of states, to the last digit that rounding leaves."""

from __future__ import annotations

import numpy as np
import scipy.linalg as sla


def column_means(rows: np.ndarray) -> np.ndarray:
    """Means (unit,) of `rows` (sample, unit)."""
    mean = rows.mean(0)
    return mean + (rows - mean).mean(0)  # again: the first mean of large numbers is off by its rounding


def about_mean(rows: np.ndarray, overwrite: bool = False) -> np.ndarray:
    """`rows` (sample, unit) less their means, in their own memory if `overwrite`."""
    centred = np.subtract(rows, rows.mean(0), out=rows if overwrite else None)
    centred -= centred.mean(0)  # again, as in `column_means`
    return centred


def principal_axes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (unit,), standard deviations (component,) and axes (unit, component) of `rows`, null directions dropped."""
    mean = column_means(rows)
    centred = rows - mean
    if centred.shape[0] > centred.shape[1]:
        values, vectors = sla.eigh(centred.T @ centred, check_finite=False)
        if values[0] > 1e-8 * values[-1]:  # well conditioned: the covariance tells all
            return mean, np.sqrt(values[::-1] / len(rows)), vectors[:, ::-1]
        centred = sla.qr(centred, mode="r", check_finite=False)[0][: centred.shape[1]]
    _, s, vt = sla.svd(centred, full_matrices=False, check_finite=False)
    # below this, directions are rounding errors, of the decomposition or of the data as they came (large offsets)
    rounding = np.finfo(float).eps * np.abs(rows).max() * np.sqrt(rows.size)
    keep = s > max(1e-10 * s[0], rounding)
    return mean, s[keep] / np.sqrt(len(rows)), vt[keep].T

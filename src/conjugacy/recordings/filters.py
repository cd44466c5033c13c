"""What is done to activity (trial, time, unit): bins joined, smoothing, normalising, resampling. Arrays in, arrays out.

Every function knows the lengths of trials: what lies past the end of a trial never reaches what lies before it.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import convolve1d

_TRUNCATED = 4.0  # standard deviations at which a Gaussian kernel is cut off


def gaussian_kernel(sd: float, causal: bool) -> np.ndarray:
    """Weights (2 n + 1,) of a Gaussian of `sd` bins, summing to 1; causal: none before the present bin."""
    n = max(int(np.ceil(_TRUNCATED * sd)), 1)
    lag = np.arange(-n, n + 1)
    kernel = np.exp(-0.5 * (lag / sd) ** 2)
    if causal:
        kernel[lag < 0] = 0.0
    return kernel / kernel.sum()


def smooth(x: np.ndarray, lengths: np.ndarray, sd: float, causal: bool = False) -> np.ndarray:
    """`x` (trial, time, unit) smoothed in time with a Gaussian of `sd` bins; near the ends with what there is of it."""
    kernel = gaussian_kernel(sd, causal)
    inside = (np.arange(x.shape[1]) < lengths[:, None]).astype(float)
    weight = convolve1d(inside, kernel, axis=1, mode="constant")
    out = convolve1d(np.where(inside[..., None] > 0, x, 0.0), kernel, axis=1, mode="constant")
    return np.where(inside[..., None] > 0, out / np.maximum(weight, 1e-12)[..., None], 0.0)


def join_bins(x: np.ndarray, lengths: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums over `n` bins each, and the new lengths; bins left over at the end of a trial are dropped."""
    shorter = lengths // n
    t = int(shorter.max())
    out = x[:, : t * n].reshape(len(x), t, n, x.shape[2]).sum(2)
    out[np.arange(t) >= shorter[:, None]] = 0.0
    return out, shorter


def resample(x: np.ndarray, lengths: np.ndarray, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Activity in bins `ratio` times as long, and the new lengths.

    Longer bins take the mean over the time they cover; shorter ones are interpolated linearly between the middles of
    the old ones. Time left over at the end of a trial is dropped.
    """
    new = np.floor(lengths / ratio + 1e-9).astype(np.int64)
    t = int(new.max())
    out = np.zeros((len(x), t, x.shape[2]))
    if ratio >= 1:
        area = np.concatenate([np.zeros((len(x), 1, x.shape[2])), np.cumsum(x, 1)], 1)
        edges = np.minimum(np.arange(t + 1) * ratio, x.shape[1])
        low = np.minimum(edges.astype(np.int64), x.shape[1] - 1)
        at_edges = area[:, low] + (edges - low)[:, None] * x[:, low]
        out = np.diff(at_edges, axis=1) / ratio
    else:
        centres = (np.arange(t) + 0.5) * ratio - 0.5
        for k, n in enumerate(lengths):
            place = np.clip(centres, 0, n - 1)
            low = np.minimum(place.astype(np.int64), max(n - 2, 0))
            share = (place - low)[:, None]
            high = np.minimum(low + 1, n - 1)
            out[k] = (1 - share) * x[k, low] + share * x[k, high]
    out[np.arange(t) >= new[:, None]] = 0.0
    return out, new


def ranges(x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Range (unit,) of each unit over all valid bins."""
    rows = x[np.arange(x.shape[1]) < lengths[:, None]]
    return rows.max(0) - rows.min(0)

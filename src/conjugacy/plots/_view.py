"""The direction from which points in space are seen apart best."""

from __future__ import annotations

from typing import Any

import numpy as np

_ELEVATIONS = range(10, 61, 10)  # degrees; from straight above, the third axis would vanish
_AZIMUTHS = range(-175, 180, 10)
_SQUARE_ON = 12  # degrees: nearer than this to an axis, two of the three dimensions lie on one line


def separating_view(ax: Any, points: np.ndarray) -> tuple[float, float]:
    """Elevation and azimuth (degrees) that make the least distance between any two points in the picture the largest.

    Distances are those on the screen, so the limits and proportions of the axes count; set them before.

    Parameters
    ----------
    ax : Axes3D
    points : array (point, 3)
    """
    from mpl_toolkits.mplot3d.proj3d import proj_transform

    points = np.unique(np.asarray(points, dtype=float), axis=0)
    before = ax.elev, ax.azim
    if len(points) < 2:
        return before
    best, chosen = -1.0, before
    for elevation in _ELEVATIONS:
        for azimuth in _AZIMUTHS:
            if min(azimuth % 90, 90 - azimuth % 90) < _SQUARE_ON:
                continue
            ax.view_init(elevation, azimuth)
            x, y, _ = proj_transform(points[:, 0], points[:, 1], points[:, 2], ax.get_proj())
            flat = np.stack([x, y], 1)
            gaps = np.linalg.norm(flat[:, None] - flat[None], axis=2)
            gaps[np.diag_indices(len(gaps))] = np.inf
            score = float(gaps.min() + 0.1 * np.median(gaps.min(1)))
            if score > best:
                best, chosen = score, (float(elevation), float(azimuth))
    ax.view_init(*before)
    return chosen

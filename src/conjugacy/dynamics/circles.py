"""Closed curves that a map turns into themselves, on which no orbit ever comes back to where it was.

The limit cycle of a flow, seen in steps of time, is such a curve unless its period is a whole number of steps: an
invariant circle on which the map is a rotation by 1 / period, in the right coordinate. The rotation is read off a
settled orbit by a weighted Birkhoff average, which converges faster than any power of its length (Das, Saiki, Sander &
Yorke 2017, Nonlinearity 30:4111), and the curve by a Fourier series in its phase. The series has to predict the second
half of the orbit from the first: what is chaotic, not settled or winds around two ways at once does not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from conjugacy.dynamics.maps import Map

_HARMONICS = 24
_TOLERANCE = 1e-3  # root mean square error of the prediction, relative to the size of the curve
_FRAME_STEPS = 400


class Circle(NamedTuple):
    """period (steps, no whole number), x (n, D) at equal phases, residual (root mean square, as states)."""

    period: float
    x: Tensor
    residual: float


def fit_circle(path: Tensor) -> Circle | None:
    """The circle that a settled orbit (time, D) turns round on, or None if it does no such thing."""
    n = len(path)
    centred = path - path.mean(0)
    size = float(centred.norm(dim=-1).max())
    axes = torch.linalg.svd(centred, full_matrices=False)[2][:3]
    plane = (centred @ axes.T).numpy()
    for i, j in ((0, 1), (0, 2), (1, 2)):
        if max(i, j) >= plane.shape[1]:
            continue
        radius = np.hypot(plane[:, i], plane[:, j])
        if radius.min() < 0.05 * radius.max():
            continue  # does not go round the centre in this plane
        turned = np.unwrap(np.arctan2(plane[:, j], plane[:, i]))
        rotation = abs(_birkhoff(np.diff(turned))) / (2 * np.pi)
        if rotation * n < 4 or rotation > 0.45:
            continue
        period = 1 / rotation
        half = n // 2
        harmonics = int(min(_HARMONICS, max(1, period // 2 - 1)))
        phases = 2 * np.pi * rotation * np.arange(n)
        basis = _fourier(torch.from_numpy(phases), harmonics)
        coefficients = torch.linalg.lstsq(basis[:half], path[:half]).solution
        residual = float((basis[half:] @ coefficients - path[half:]).square().sum(1).mean().sqrt())
        if residual <= _TOLERANCE * size:
            turn = torch.arange(max(3, round(period)), dtype=torch.float64) * 2 * torch.pi / max(3, round(period))
            return Circle(float(period), _fourier(turn, harmonics) @ coefficients, residual)
    return None


def circle_multipliers(dynamics: Map, path: Tensor, u: Tensor, period: float) -> Tensor:
    """exp(period * Lyapunov exponents) along a settled orbit on a circle, by falling size; the largest is 1.

    An orbit on an attracting circle has one exponent 0, along it: what a finite orbit gives for it is set to 0.
    """
    steps = min(len(path), _FRAME_STEPS)
    settling = steps // 4
    d = path.shape[1]
    frame, total = torch.eye(d, dtype=torch.float64), torch.zeros(d, dtype=torch.float64)
    for t, x in enumerate(path[:steps]):
        frame, r = torch.linalg.qr(dynamics.jacobians(x[None], u[None])[0][0] @ frame)
        if t >= settling:
            total += r.diagonal().abs().clamp_min(1e-300).log()
    exponents = total / (steps - settling)
    exponents[exponents.abs().argmin()] = 0.0
    values = (period * exponents).exp()
    return values.sort(descending=True).values.to(torch.complex128)


def _birkhoff(increments: np.ndarray) -> float:
    """Mean of quasi-periodic increments with the weights exp(-1 / (s (1 - s))) of their times s in (0, 1)."""
    s = (np.arange(len(increments)) + 1) / (len(increments) + 1)
    weights = np.exp(-1 / (s * (1 - s)))
    return float(weights @ increments / weights.sum())


def _fourier(phase: Tensor, harmonics: int) -> Tensor:
    """Columns 1, cos(k phase), sin(k phase) for k up to `harmonics`."""
    angles = phase[:, None] * torch.arange(1, harmonics + 1, dtype=torch.float64)
    return torch.cat([torch.ones(len(phase), 1, dtype=torch.float64), angles.cos(), angles.sin()], 1)

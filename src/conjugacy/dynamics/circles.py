"""Closed curves that a map turns into themselves, on which no orbit ever comes back to where it was.

The limit cycle of a flow, seen in steps of time, is such a curve unless its period is a whole number of steps: an
invariant circle on which the map is a rotation by 1 / period, in the right coordinate. The rotation is read off a
settled orbit by a weighted Birkhoff average, which converges faster than any power of its length (Das, Saiki, Sander &
Yorke 2017, Nonlinearity 30:4111), and the curve by a Fourier series in its phase. The series has to predict the second
half of the orbit from the first: what is chaotic, not settled or winds around two ways at once does not.

Where the period is all but a whole number of steps, an orbit lingers at some phases, and its rotation cannot be read
off a few dozen turns well enough to say where it will be. Where its curve runs can be said all the same: then the
series is one in the angle at which a state is seen from the centre.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from conjugacy.dynamics.map import Map

_HARMONICS = (3, 6, 12, 24, 48)
_CONDITION = 30.0  # an orbit that leaves gaps along the curve does not say what fast harmonics do there
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
        turned *= np.sign(turned[-1] - turned[0])  # phases grow with time, whichever way round the axes are
        rotation = abs(_birkhoff(np.diff(turned))) / (2 * np.pi)
        if rotation * n < 4 or rotation > 0.45:
            continue
        for phases in (2 * np.pi * rotation * np.arange(n), turned):
            curve, residual = _fit(path, torch.from_numpy(phases), max(3, round(1 / rotation)))
            if residual <= _TOLERANCE * size:
                return Circle(float(1 / rotation), curve, residual)
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


def _fit(path: Tensor, phases: Tensor, n_points: int) -> tuple[Tensor, float]:
    """The Fourier series of the first half of an orbit, at equal phases, and its error on the second half."""
    half, best, residual = len(path) // 2, path[:0], float("inf")
    turn = torch.arange(n_points, dtype=torch.float64) * 2 * torch.pi / n_points
    for harmonics in _HARMONICS:
        basis = _fourier(phases, harmonics)
        sizes = torch.linalg.svdvals(basis[:half])
        if half < basis.shape[1] or sizes[0] > _CONDITION * sizes[-1]:
            break
        coefficients = torch.linalg.lstsq(basis[:half], path[:half]).solution
        error = float((basis[half:] @ coefficients - path[half:]).square().sum(1).mean().sqrt())
        if error < residual:
            best, residual = _fourier(turn, harmonics) @ coefficients, error
    return best, residual


def _birkhoff(increments: np.ndarray) -> float:
    """Mean of quasi-periodic increments with the weights exp(-1 / (s (1 - s))) of their times s in (0, 1)."""
    s = (np.arange(len(increments)) + 1) / (len(increments) + 1)
    weights = np.exp(-1 / (s * (1 - s)))
    return float(weights @ increments / weights.sum())


def _fourier(phase: Tensor, harmonics: int) -> Tensor:
    """Columns 1, cos(k phase), sin(k phase) for k up to `harmonics`."""
    angles = phase[:, None] * torch.arange(1, harmonics + 1, dtype=torch.float64)
    return torch.cat([torch.ones(len(phase), 1, dtype=torch.float64), angles.cos(), angles.sin()], 1)

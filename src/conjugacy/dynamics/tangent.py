"""Growth of tangent vectors along orbits: what Lyapunov exponents are averages of.

A frame of k orthonormal tangent vectors is carried along an orbit, Q_t+1 R_t+1 = J_t Q_t with the Jacobian of step t on
the left of all earlier ones, and the logarithms of the diagonal of R say how much each vector grew (Benettin et al.
1980, Meccanica 15:9). Where Jacobians are small or in closed form they are computed for many steps and orbits at once
and the frame is carried by a compiled loop; else directional derivatives go along with the orbit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor

from conjugacy._threads import on_threads
from conjugacy.dynamics.strobe import Strobe

_CHUNK_BYTES = 64 * 2**20
_EPS = 2.220446049250313e-16
_MOST_VECTORS = 64  # beyond this many, LAPACK's blocked QR is faster than plain loops

Tick = Callable[[int], None]


def first_frame(n_orbits: int, d: int, k: int, generator: Generator) -> Tensor:
    """Random orthonormal frames (n_orbits, D, k)."""
    return torch.linalg.qr(torch.randn(n_orbits, d, k, generator=generator, dtype=torch.float64))[0]


def grow(
    strobe: Strobe, x: Tensor, frame: Tensor, n: int, tick: Tick | None = None, path: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Carry states (B, D) and frames (B, D, k) `n` looks on.

    Parameters
    ----------
    path : Tensor (B, n, D), optional
        Where to write the states, the first of them `x`.

    Returns
    -------
    tuple
        The logarithms of the growth (B, n, k), minus infinity where a direction is annihilated, the last states and
        the last frames.
    """
    b, d, k = frame.shape
    if not n:
        return torch.zeros(b, 0, k, dtype=torch.float64), x, frame
    if not strobe.closed_form or k > _MOST_VECTORS or k * 12 < d:
        return _along(strobe, x, frame, n, tick, path)
    out = []
    length = max(1, int(_CHUNK_BYTES / (8 * d * d * b)))
    for start in range(0, n, length):
        steps = min(length, n - start)
        part = strobe.path(x, steps + 1)
        logs, frame = grow_on(strobe.jacobians(part[:, :-1].flatten(0, 1)).reshape(b, steps, d, d), frame)
        out.append(logs)
        x = part[:, -1]
        if path is not None:
            path[:, start : start + steps] = part[:, :-1]
        if tick is not None:
            tick(steps)
    return torch.cat(out, 1), x, frame


def grow_on(jacobians: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
    """Growth (B, n, k) of frames (B, D, k) along stored Jacobians (B, n, D, D) in order of time, and last frames."""
    from conjugacy.dynamics.tangent_compiled import carry_frame

    b, n = jacobians.shape[:2]
    k = frame.shape[-1]
    if k > _MOST_VECTORS:
        logs = torch.empty(b, n, k, dtype=torch.float64)
        for t in range(n):
            frame, logs[:, t] = orthonormal(jacobians[:, t] @ frame)
        return logs, frame
    rows = np.ascontiguousarray(frame.mT.numpy())
    stored, logs = np.ascontiguousarray(jacobians.numpy()), np.empty((b, n, k))
    on_threads(lambda i: carry_frame(stored[i], rows[i], logs[i]), b)
    return torch.from_numpy(logs), torch.from_numpy(rows).mT.contiguous()


def _along(strobe, x, frame, n, tick, path) -> tuple[Tensor, Tensor, Tensor]:
    logs = torch.empty(len(x), n, frame.shape[-1], dtype=torch.float64)
    for t in range(n):
        if path is not None:
            path[:, t] = x
        x, grown = strobe.carry(x, frame)
        frame, logs[:, t] = orthonormal(grown)
        if tick is not None:
            tick(1)
    return logs, x, frame


def orthonormal(grown: Tensor) -> tuple[Tensor, Tensor]:
    """Q (B, D, k) and the logarithms of the diagonal of R (B, k), minus infinity within rounding of 0."""
    frame, r = torch.linalg.qr(grown)
    left = r.diagonal(dim1=-2, dim2=-1).abs()
    floor = (8 * grown.shape[-2] * _EPS * grown.norm(dim=-2)).clamp_min(1e-290)
    return frame, torch.where(left > floor, left.log(), -torch.inf)

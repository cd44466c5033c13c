"""Compiled loop that carries tangent frames along stored Jacobians; `tangent` has the mathematics.

It changes its arguments in place and releases the interpreter lock. Few and small functions on purpose: each takes
seconds to compile, once.
"""

from __future__ import annotations

import numba
import numpy as np

_EPS = 2.220446049250313e-16


def jit(function):
    """The function compiled, and kept on disk where there is a place for it."""
    options = {"nogil": True, "fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to keep the compiled code
        return numba.njit(**options)(function)


@jit
def carry_frame(jacobians, frame, logs):
    """Carry `frame` (k, D; rows orthonormal) along `jacobians` (n, D, D); `logs` (n, k) gets ln R_jj of each step.

    Gram-Schmidt, twice. What is left of a vector within rounding of the span of those before it is nothing: its
    logarithm is minus infinity, and the frame goes on with another direction.
    """
    n, d, _ = jacobians.shape
    k = len(frame)
    new = np.empty((k, d))
    for t in range(n):
        for j in range(k):
            for a in range(d):
                total = 0.0
                for b in range(d):
                    total += jacobians[t, a, b] * frame[j, b]
                new[j, a] = total
        for j in range(k):
            square = 0.0
            for a in range(d):
                square += new[j, a] * new[j, a]
            size = np.sqrt(square)
            left = size
            for _ in range(2):
                for i in range(j):
                    inner = 0.0
                    for a in range(d):
                        inner += new[i, a] * new[j, a]
                    for a in range(d):
                        new[j, a] -= inner * new[i, a]
                square = 0.0
                for a in range(d):
                    square += new[j, a] * new[j, a]
                left = np.sqrt(square)
            if left > 8 * d * _EPS * size and left > 1e-290:
                logs[t, j] = np.log(left)
                for a in range(d):
                    new[j, a] /= left
            else:
                logs[t, j] = -np.inf
                _fill(new, j)
        for j in range(k):
            for a in range(d):
                frame[j, a] = new[j, a]


@jit
def _fill(frame, j):
    """Put a unit vector orthogonal to rows 0 .. j-1 into row j: what is left of the axis least among them."""
    d = frame.shape[1]
    axis, least = 0, np.inf
    for a in range(d):
        share = 0.0
        for i in range(j):
            share += frame[i, a] * frame[i, a]
        if share < least:
            axis, least = a, share
    for a in range(d):
        frame[j, a] = 0.0
    frame[j, axis] = 1.0
    for _ in range(2):
        for i in range(j):
            inner = 0.0
            for a in range(d):
                inner += frame[i, a] * frame[j, a]
            for a in range(d):
                frame[j, a] -= inner * frame[i, a]
    square = 0.0
    for a in range(d):
        square += frame[j, a] * frame[j, a]
    for a in range(d):
        frame[j, a] /= np.sqrt(square)

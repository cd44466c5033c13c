"""Compiled loops of the search for the rotation that best aligns two operators; `alignment` has the mathematics.

Everything here changes its arguments in place, draws no random numbers and releases the interpreter lock. Matrices are
C-contiguous float64; `b` always holds the rotated operator C B C', and `c` the rotation C. The functions are few and
small on purpose: each takes seconds to compile, once.
"""

from __future__ import annotations

import numpy as np

from conjugacy._jit import njit

_GRID = 2 * np.pi * np.arange(12) / 12
_COS, _SIN = np.cos(_GRID), np.sin(_GRID)
_COS2, _SIN2 = np.cos(2 * _GRID), np.sin(2 * _GRID)
_BLAS_FROM = 20  # below this size, plain loops beat the overhead of a call


_jit = njit(nogil=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")


@_jit
def _mul(x, y, out):
    """The product of x (n, m) and y (m, n): four rows of y at a time, to touch the result less often."""
    n, m = x.shape
    if n >= _BLAS_FROM:
        np.dot(x, y, out)
        return
    for i in range(n):
        for j in range(n):
            out[i, j] = 0.0
        k = 0
        while k + 3 < m:
            u, v, w, z = x[i, k], x[i, k + 1], x[i, k + 2], x[i, k + 3]
            for j in range(n):
                out[i, j] += u * y[k, j] + v * y[k + 1, j] + w * y[k + 2, j] + z * y[k + 3, j]
            k += 4
        while k < m:
            u = x[i, k]
            for j in range(n):
                out[i, j] += u * y[k, j]
            k += 1


@_jit
def _mul_transposed(x, y, out):
    """X y'."""
    n = len(x)
    if n >= _BLAS_FROM:
        np.dot(x, y.T, out)
        return
    for i in range(n):
        for j in range(n):
            total = 0.0
            for k in range(n):
                total += x[i, k] * y[j, k]
            out[i, j] = total


@_jit
def _inner(x, y):
    n = len(x)
    total = 0.0
    for i in range(n):
        for j in range(n):
            total += x[i, j] * y[i, j]
    return total


@_jit
def _conjugate(r, b, work, out):
    """R b r'."""
    _mul(r, b, work)
    _mul_transposed(work, r, out)


@_jit
def _best_angle(alpha, beta, gamma, delta):
    """The maximum over t of alpha cos t + beta sin t + gamma cos 2t + delta sin 2t, and where it is."""
    best, where = -np.inf, 0
    for k in range(12):
        g = alpha * _COS[k] + beta * _SIN[k] + gamma * _COS2[k] + delta * _SIN2[k]
        if g > best:
            best, where = g, k
    t = _GRID[where]
    for _ in range(4):
        c, s = np.cos(t), np.sin(t)
        c2, s2 = c * c - s * s, 2 * c * s
        first = -alpha * s + beta * c - 2 * gamma * s2 + 2 * delta * c2
        second = -alpha * c - beta * s - 4 * gamma * c2 - 4 * delta * s2
        if second >= 0 or abs(first) < 1e-13:
            break
        step = -first / second
        t += min(max(step, -0.3), 0.3)
    c, s = np.cos(t), np.sin(t)
    g = alpha * c + beta * s + gamma * (c * c - s * s) + delta * 2 * c * s
    if g >= best:
        return g, c, s
    return best, _COS[where], _SIN[where]


@_jit
def sweep(a, b, c):
    """One pass over all planes of coordinates, each turned (or mirrored) to its global optimum. Returns the gain.

    In the plane (p, q), <a, Q b Q'> is a trigonometric polynomial of degree 2 in the angle of Q, once for rotations and
    once for reflections: its coefficients cost O(n), and its maximum is found without descent. This is what leaves the
    local optima in which gradients get stuck, and crosses between the two components of O(n).
    """
    n = len(a)
    total = 0.0
    for p in range(n - 1):
        for q in range(p + 1, n):
            m11 = m12 = m21 = m22 = 0.0
            for j in range(n):
                m11 += a[p, j] * b[p, j] + a[j, p] * b[j, p]
                m12 += a[p, j] * b[q, j] + a[j, p] * b[j, q]
                m21 += a[q, j] * b[p, j] + a[j, q] * b[j, p]
                m22 += a[q, j] * b[q, j] + a[j, q] * b[j, q]
            for j in (p, q):
                m11 -= a[p, j] * b[p, j] + a[j, p] * b[j, p]
                m12 -= a[p, j] * b[q, j] + a[j, p] * b[j, q]
                m21 -= a[q, j] * b[p, j] + a[j, q] * b[j, p]
                m22 -= a[q, j] * b[q, j] + a[j, q] * b[j, q]
            ta, da = 0.5 * (a[p, p] + a[q, q]), 0.5 * (a[p, p] - a[q, q])
            ea, ka = 0.5 * (a[p, q] + a[q, p]), 0.5 * (a[p, q] - a[q, p])
            tb, db = 0.5 * (b[p, p] + b[q, q]), 0.5 * (b[p, p] - b[q, q])
            eb, kb = 0.5 * (b[p, q] + b[q, p]), 0.5 * (b[p, q] - b[q, p])
            turned, tc, ts = _best_angle(m11 + m22, m21 - m12, 2 * (da * db + ea * eb), 2 * (ea * db - da * eb))
            turned += 2 * (ta * tb + ka * kb)
            mirrored, mc, ms = _best_angle(m11 - m22, m12 + m21, 2 * (da * db - ea * eb), 2 * (ea * db + da * eb))
            mirrored += 2 * (ta * tb - ka * kb)
            now = m11 + m22 + 2 * (ta * tb + ka * kb + da * db + ea * eb)
            gain = max(turned, mirrored) - now
            if gain < 1e-13:
                continue
            total += gain
            if turned >= mirrored:
                q11, q12, q21, q22 = tc, -ts, ts, tc
            else:
                q11, q12, q21, q22 = mc, ms, ms, -mc
            for j in range(n):
                u, v = b[p, j], b[q, j]
                b[p, j], b[q, j] = q11 * u + q12 * v, q21 * u + q22 * v
                u, v = c[p, j], c[q, j]
                c[p, j], c[q, j] = q11 * u + q12 * v, q21 * u + q22 * v
            for j in range(n):
                u, v = b[j, p], b[j, q]
                b[j, p], b[j, q] = q11 * u + q12 * v, q21 * u + q22 * v
    return total


@_jit
def _cayley(d, t, left, out):
    """The rotation (I - t d / 2)^-1 (I + t d / 2) for skew d. Without pivots: the symmetric part of the left is I."""
    n = len(d)
    h = 0.5 * t
    for i in range(n):
        for j in range(n):
            left[i, j] = -h * d[i, j]
            out[i, j] = h * d[i, j]
        left[i, i] += 1.0
        out[i, i] += 1.0
    for k in range(n):
        inverse = 1.0 / left[k, k]
        for i in range(k + 1, n):
            f = left[i, k] * inverse
            if f != 0.0:
                for j in range(k + 1, n):
                    left[i, j] -= f * left[k, j]
                for j in range(n):
                    out[i, j] -= f * out[k, j]
    for k in range(n - 1, -1, -1):
        inverse = 1.0 / left[k, k]
        for i in range(k + 1, n):
            f = left[k, i]
            for j in range(n):
                out[k, j] -= f * out[i, j]
        for j in range(n):
            out[k, j] *= inverse


@_jit
def _skew(w, out):
    """The skew part of w. Returns its squared norm."""
    n = len(w)
    total = 0.0
    for i in range(n):
        out[i, i] = 0.0
        for j in range(i):
            v = 0.5 * (w[i, j] - w[j, i])
            out[i, j], out[j, i] = v, -v
            total += 2 * v * v
    return total


@_jit
def _gradient(left, right, b, w, g):
    """The skew part g of a b' + a' b, from left = [a, a', .] and right = [b'; b; .], which _hessian uses again."""
    n = len(b)
    for i in range(n):
        for j in range(n):
            left[i, 2 * n + j] = 0.0
            right[i, j] = b[j, i]
            right[n + i, j] = b[i, j]
            right[2 * n + i, j] = 0.0
    _mul(left, right, w)
    square = _skew(w, g)
    for i in range(n):
        for j in range(n):
            left[i, 2 * n + j] = g[i, j]
    return square


@_jit
def _hessian(left, right, inner, outer, d, e, w, out):
    """The Riemannian Hessian of <a, C b C'> along the skew d: the skew part of a e' + a' e + g d, e = d b - b d.

    left = [a, a', g] and the right halves of inner = [d, -b], outer = [b; d] are in place; the rest is filled here.
    """
    n = len(d)
    for i in range(n):
        for j in range(n):
            inner[i, j] = d[i, j]
            outer[n + i, j] = d[i, j]
            right[2 * n + i, j] = d[i, j]
    _mul(inner, outer, e)
    for i in range(n):
        for j in range(n):
            right[i, j] = e[j, i]
            right[n + i, j] = e[i, j]
    _mul(left, right, w)
    _skew(w, out)


@_jit
def climb(a, at, b, c, tolerance, max_products):
    """Trust-region Newton on O(n) for <a, b>, from where b and c are. Returns the value and Hessian products used.

    The steps solve the trust-region problem by truncated conjugate gradients (Steihaug 1983; Absil, Mahony, Sepulchre
    2008, section 7.3), with the Cayley transform as retraction.
    """
    n = len(a)
    g, d, r, step = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    w1, w2, e = np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    hd, hs, bt = np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    left, right = np.empty((n, 3 * n)), np.empty((3 * n, n))
    inner, outer = np.empty((n, 2 * n)), np.empty((2 * n, n))
    left[:, :n] = a
    left[:, n : 2 * n] = at
    value = _inner(a, b)
    radius = 0.5
    used = 0
    rejected = 0
    while True:
        for i in range(n):
            for j in range(n):
                inner[i, n + j] = -b[i, j]
                outer[i, j] = b[i, j]
        square = _gradient(left, right, b, w1, g)
        norm = np.sqrt(square)
        if norm <= tolerance or used >= max_products or rejected >= 6:
            return value, used
        # minimise -<g, s> - <s, H s> / 2 for |s| <= radius; r is minus its gradient
        for i in range(n):
            for j in range(n):
                step[i, j], r[i, j], d[i, j], hs[i, j] = 0.0, g[i, j], g[i, j], 0.0
        rr, ss, sd, dd = square, 0.0, 0.0, square
        target = norm * min(0.1, norm)
        for _ in range(min(n * (n - 1) // 2, 60)):
            _hessian(left, right, inner, outer, d, e, w1, hd)
            used += 1
            curvature = -_inner(d, hd)
            t = rr / curvature if curvature > 0 else np.inf
            if curvature <= 0 or ss + 2 * t * sd + t * t * dd >= radius * radius:
                t = (-sd + np.sqrt(sd * sd + dd * (radius * radius - ss))) / dd
                for i in range(n):
                    for j in range(n):
                        step[i, j] += t * d[i, j]
                        hs[i, j] += t * hd[i, j]
                break
            old = rr
            rr = 0.0
            for i in range(n):
                for j in range(n):
                    step[i, j] += t * d[i, j]
                    hs[i, j] += t * hd[i, j]
                    r[i, j] += t * hd[i, j]
                    rr += r[i, j] * r[i, j]
            if rr <= target * target:
                break
            beta = rr / old
            ss, sd, dd = 0.0, 0.0, 0.0
            for i in range(n):
                for j in range(n):
                    d[i, j] = r[i, j] + beta * d[i, j]
                    ss += step[i, j] * step[i, j]
                    sd += step[i, j] * d[i, j]
                    dd += d[i, j] * d[i, j]
        expected = _inner(g, step) + 0.5 * _inner(step, hs)
        _cayley(step, 1.0, w2, e)
        _conjugate(e, b, w1, bt)
        new = _inner(a, bt)
        # below the rounding of f, Newton steps are right where f can no longer tell
        ratio = (new - value) / expected if expected > 1e-13 else 1.0
        if ratio < 0.25:
            radius *= 0.25
        elif ratio > 0.75:
            radius = min(2 * radius, 2.0)
        if ratio < 0.05:
            rejected += 1
            continue
        rejected = 0 if expected > 1e-15 else rejected + 1
        value = new
        for i in range(n):
            for j in range(n):
                b[i, j] = bt[i, j]
        _mul(e, c, w1)
        for i in range(n):
            for j in range(n):
                c[i, j] = w1[i, j]


@_jit
def turn(b, c, planes, cosines, sines):
    """Turn the planes (plane, 2) of coordinates one after the other."""
    n = len(b)
    for k in range(len(planes)):
        p, q = planes[k, 0], planes[k, 1]
        cos, sin = cosines[k], sines[k]
        for j in range(n):
            u, v = b[p, j], b[q, j]
            b[p, j], b[q, j] = cos * u - sin * v, sin * u + cos * v
            u, v = c[p, j], c[q, j]
            c[p, j], c[q, j] = cos * u - sin * v, sin * u + cos * v
        for j in range(n):
            u, v = b[j, p], b[j, q]
            b[j, p], b[j, q] = cos * u - sin * v, sin * u + cos * v

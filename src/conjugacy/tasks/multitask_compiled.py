"""Trials of constant levels, written out in time, and Gaussian noise on them: compiled loops.

The noise is a function of a 64-bit key, of the trial and of the place in it: Philox 4x32-10 (Salmon et al. 2011, SC'11,
doi:10.1145/2063384.2063405) turns these into random bits, and the Box-Muller transform turns two words of bits into two
normal deviates. Every step is a short loop over an array, which the compiler vectorises; logarithm, sine and cosine are
polynomials with errors below 1e-6. Nothing is drawn for the padding. Times: benchmarks/generation.py.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

from conjugacy._jit import njit

_ROUNDS = 10
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_HALF_WORD = np.uint64(32)
_STEP, _HALF_STEP = np.float32(2**-32), np.float32(2**-33)
_MANTISSA, _MANTISSA_BITS = np.int32(0x7FFFFF), np.int32(23)
_ROOT_HALF = np.int32(0x3F3504F3)  # the bits of sqrt(1/2) as a float32
_LN2 = np.float32(np.log(2))
_ONE, _QUARTER, _MINUS_TWO = np.float32(1), np.float32(0.25), np.float32(-2)


def _coefficients(f, degree: int, low: float, high: float) -> tuple[np.float32, ...]:
    """Coefficients, lowest first, of the polynomial through f at the Chebyshev nodes of [low, high]."""
    poly = Chebyshev.interpolate(f, degree, [low, high]).convert(kind=Polynomial)
    return tuple(np.float32(c) for c in poly.coef)


# log(1 + t) / t on [sqrt(1/2) - 1, sqrt(2) - 1]; sin(2 pi w) / w and cos(2 pi w) as functions of w^2, |w| <= 1/4
_L = _coefficients(lambda t: np.log1p(t) / t, 7, 0.5**0.5 - 1, 2**0.5 - 1)
_S = _coefficients(lambda y: np.sin(2 * np.pi * y**0.5) / y**0.5, 4, 0, 1 / 16)
_C = _coefficients(lambda y: np.cos(2 * np.pi * y**0.5), 4, 0, 1 / 16)
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7 = _L
_S0, _S1, _S2, _S3, _S4 = _S
_C0, _C1, _C2, _C3, _C4 = _C


@njit(cache=True)
def write_levels(levels, steps, out):
    """Write `levels` (trial, epoch, channel) over their `steps` (trial, epoch) into `out` (trial, time, channel)."""
    for k in range(levels.shape[0]):
        t = 0
        for e in range(levels.shape[1]):
            for _ in range(steps[k, e]):
                for c in range(levels.shape[2]):
                    out[k, t, c] = levels[k, e, c]
                t += 1


@njit(cache=True)
def add_noise(clean, lengths, sd, key, out):
    """Write `clean` (trial, time, channel) plus noise into `out`, up to the length of each trial."""
    n_channels = clean.shape[2]
    blocks = (clean.shape[1] * n_channels + 3) // 4
    x0, x1 = np.empty(blocks, np.uint32), np.empty(blocks, np.uint32)
    x2, x3 = np.empty(blocks, np.uint32), np.empty(blocks, np.uint32)
    z, spare = np.empty(4 * blocks, np.float32), np.empty(blocks, np.float32)
    for k in range(clean.shape[0]):
        n = lengths[k] * n_channels
        m = (n + 3) // 4
        random_words(key, k, x0[:m], x1[:m], x2[:m], x3[:m])
        _normal(x0[:m], x1[:m], spare[:m], z[:m], z[m : 2 * m])
        _normal(x2[:m], x3[:m], spare[:m], z[2 * m : 3 * m], z[3 * m : 4 * m])
        row, noisy = clean[k].reshape(-1), out[k].reshape(-1)
        for j in range(n):
            noisy[j] = row[j] + sd * z[j]


@njit(cache=True)
def random_words(key, trial, x0, x1, x2, x3):
    """Random bits: Philox 4x32-10 of the counters (i, trial, 0) for i = 0, 1, ..., word by word."""
    k0, k1 = np.uint32(key & np.uint64(0xFFFFFFFF)), np.uint32(key >> _HALF_WORD)
    for i in range(len(x0)):
        x0[i] = np.uint32(i)
        x1[i] = np.uint32(trial)
        x2[i] = np.uint32(np.uint64(trial) >> _HALF_WORD)
        x3[i] = np.uint32(0)
    philox(k0, k1, x0, x1, x2, x3)


@njit(cache=True)
def philox(k0, k1, x0, x1, x2, x3):
    """Ten rounds on arrays of counter words, in place."""
    for _ in range(_ROUNDS):
        for i in range(len(x0)):
            p0, p1 = _M0 * np.uint64(x0[i]), _M1 * np.uint64(x2[i])
            x0[i] = np.uint32(p1 >> _HALF_WORD) ^ x1[i] ^ k0
            x1[i] = np.uint32(p1)
            x2[i] = np.uint32(p0 >> _HALF_WORD) ^ x3[i] ^ k1
            x3[i] = np.uint32(p0)
        k0, k1 = np.uint32(k0 + _W0), np.uint32(k1 + _W1)


# integers are cast after every operation: numba would widen them to 64 bits, and vectors would hold half as many
@njit(fastmath=True, error_model="numpy", cache=True)
def _normal(radius_bits, angle_bits, u, first, second):
    """Two normal deviates from two words: r sin(a), r cos(a), with r^2 = -2 log(u), u and a uniform."""
    for i in range(len(u)):
        u[i] = np.float32(radius_bits[i]) * _STEP + _HALF_STEP
    bits = u.view(np.int32)
    for i in range(len(u)):
        # u = 2^e (1 + t) with 1 + t in [sqrt(1/2), sqrt(2)): e goes to `first`, 1 + t stays
        above = np.int32(bits[i] - _ROOT_HALF)
        first[i] = np.float32(np.int32(above >> _MANTISSA_BITS))
        bits[i] = np.int32(np.int32(above & _MANTISSA) + _ROOT_HALF)
    for i in range(len(u)):
        t = u[i] - _ONE
        log1p_by_t = ((((((_L7 * t + _L6) * t + _L5) * t + _L4) * t + _L3) * t + _L2) * t + _L1) * t + _L0
        u[i] = np.sqrt(abs(_MINUS_TWO * (first[i] * _LN2 + t * log1p_by_t)))
    turns = angle_bits.view(np.int32)
    for i in range(len(u)):
        # w in [-1/4, 1/4] covers half the circle, the sign of v the other half
        v = np.float32(turns[i]) * _STEP
        w = abs(v) - _QUARTER
        y = w * w
        sine = ((((_S4 * y + _S3) * y + _S2) * y + _S1) * y + _S0) * w
        cosine = (((_C4 * y + _C3) * y + _C2) * y + _C1) * y + _C0
        first[i] = u[i] * sine
        second[i] = u[i] * np.copysign(cosine, v)

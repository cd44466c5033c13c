"""Affine arithmetic with every rounding error counted: sets of states that a step can be evaluated on.

An `AffineForm` of n elements stands for all vectors c + L xi + sum_k diag(l_k) eps_k + e (c (n,), L (n, K), l_k (n,),
|eps_k| <= 1 element by element, |e_i| <= error_i). The symbols xi are shared by all forms of one evaluation and come in
groups, each in a Euclidean unit ball (`Symbols`); eps belongs to one element and is shared by the forms that name it,
e is shared by none. A nonlinearity f is replaced by a line that it stays near: f(y) in q + s (y - p) +- r on the whole
range of y (de Figueiredo & Stolfi 2004, Numer. Algorithms 37:147; for tanh Singh et al. 2018, NeurIPS).

Rounding
--------
u = 2^-53. A sum of n products in any order, fused or not, is off by at most g_n = n u / (1 - n u) times the sum of
absolute products (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1), and by the smallest
normal number for each product that underflows. So every operation adds to `error` (n + 4) u times the absolute terms:
|W| (|c| + sum |L|) for a product with a matrix, and the same with n = 1 element by element; n u < 1e-10 makes the
denominator of g_n part of the 4. What is added up for `error` has no sign, so that its own rounding is relative, below
g_{n + 8} (at most eight operations beside the sum), and is met by the factor 1 + 4 (n + 8) u. Ranges are met the same
way. NumPy's tanh is taken to be right to 16 u of itself (four units in the last place are documented; the tests
compare it with many digits). The sigmoid is (1 + tanh(y / 2)) / 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
UNIT = 2.0**-53
_TINY = 1e-290  # more than all underflows of one operation together
_TANH_ERROR = 16 * UNIT


def upward(x: Array, n: int = 1) -> Array:
    """An upper bound of what `x` >= 0, computed as a sum of `n` products of numbers >= 0, would be without rounding."""
    return x * (1 + 4 * (n + 8) * UNIT) + _TINY


@dataclass(frozen=True)
class Symbols:
    """How the columns of a linear part are grouped, in this order: balls, single intervals, pairs on discs, tracers.

    balls : tuple of int
        Sizes of the groups with Euclidean norm <= 1.
    intervals, discs : int
        Numbers of symbols in [-1, 1], and of pairs with norm <= 1.
    tracers : int
        Columns that only record the linear part; they are no part of the set.
    """

    balls: tuple[int, ...] = ()
    intervals: int = 0
    discs: int = 0
    tracers: int = 0

    def reach(self, linear: Array) -> Array:
        """Upper bound of |linear @ xi| over the set, row by row; linear (n, K)."""
        total, start = np.zeros(len(linear)), 0
        for size in self.balls:
            total += np.sqrt(np.square(linear[:, start : start + size]).sum(1))
            start += size
        total += np.abs(linear[:, start : start + self.intervals]).sum(1)
        start += self.intervals
        pairs = linear[:, start : start + 2 * self.discs]
        total += np.hypot(pairs[:, 0::2], pairs[:, 1::2]).sum(1)
        return upward(total, linear.shape[1])


@dataclass(frozen=True, eq=False)
class AffineForm:
    """A set of vectors (n,); see the module docstring. Arithmetic with forms, numbers and vectors encloses the truth.

    Write the step of a cell with ``matmul``, ``+``, ``-``, ``*`` (element by element), ``tanh()``, ``sigmoid()``,
    ``relu()``, slices and `concatenate`, and it bounds what the step does to a whole set of states.

    Attributes
    ----------
    centre : (n,)
    linear : (n, K)
    error : (n,), >= 0
    symbols : Symbols
    local : dict of (n,)
        Symbols of single elements.
    low, high : (n,) or None
        Bounds known from elsewhere, e.g. those of a sigmoid.
    """

    centre: Array
    linear: Array
    error: Array
    symbols: Symbols
    local: dict[Any, Array] = field(default_factory=dict)
    low: Array | None = None
    high: Array | None = None

    @property
    def radius(self) -> Array:
        """Upper bound of the distance from the centre, element by element."""
        total = upward(self.symbols.reach(self.linear) + whole_private(self))
        if self.low is not None and self.high is not None:
            known = np.maximum(self.high - self.centre, self.centre - self.low)
            total = np.minimum(total, upward(np.maximum(known, 0)) + 2 * UNIT)
        return total

    def shared(self) -> AffineForm:
        """The same set with its error as a symbol of each element, so that x - x is 0 and not twice the error."""
        local = {**self.local, object(): self.error}
        return AffineForm(self.centre, self.linear, np.zeros_like(self.error), self.symbols, local, self.low, self.high)

    def matmul(self, weight: Any, bias: Any = 0.0) -> AffineForm:
        """Weight @ x + bias, weight (m, n), bias (m,) or a number."""
        w, b = _numbers(weight), _numbers(bias)
        n = w.shape[1]
        size = np.abs(self.centre) + np.abs(self.linear).sum(1)
        private = whole_private(self)
        magnitude = np.abs(w)
        error = upward(magnitude @ (private + (n + 4) * UNIT * size) + 4 * UNIT * np.abs(b), n + self.linear.shape[1])
        return AffineForm(w @ self.centre + b, w @ self.linear, error, self.symbols)

    def add_product(self, weight: Any, vector: Any, bias: Any = 0.0) -> AffineForm:
        """The set moved by weight @ vector + bias, for a known vector such as the held input; weight (n, m)."""
        w, v, b = _numbers(weight), _numbers(vector), _numbers(bias)
        size = np.abs(w) @ np.abs(v) + np.abs(b)
        moved = self + (w @ v + b)
        error = upward(moved.error + 2 * (len(v) + 8) * UNIT * size)
        return AffineForm(moved.centre, moved.linear, error, moved.symbols, moved.local)

    def __add__(self, other: Any) -> AffineForm:
        if not isinstance(other, AffineForm):
            other = _numbers(other)
            return self._of(self.centre + other, self.linear, self.error, self.local, 2)
        local = dict(self.local)
        for key, value in other.local.items():
            local[key] = local[key] + value if key in local else value
        size = sum(np.abs(f.centre) + np.abs(f.linear).sum(1) for f in (self, other))
        centre, linear = self.centre + other.centre, self.linear + other.linear
        return self._of(centre, linear, self.error + other.error, local, 4, size)

    __radd__ = __add__

    def __neg__(self) -> AffineForm:
        local = {k: -v for k, v in self.local.items()}
        return AffineForm(-self.centre, -self.linear, self.error, self.symbols, local)

    def __sub__(self, other: Any) -> AffineForm:
        return self + (-other)

    def __rsub__(self, other: Any) -> AffineForm:
        return (-self) + other

    def __mul__(self, other: Any) -> AffineForm:
        if not isinstance(other, AffineForm):
            s = _numbers(other) * np.ones_like(self.centre)
            local = {k: s * v for k, v in self.local.items()}
            return self._of(s * self.centre, s[:, None] * self.linear, np.abs(s) * self.error, local, 2)
        x, y = self, other
        # (x0 + dx)(y0 + dy) = x0 y0 + x0 dy + y0 dx + dx dy
        linear = x.centre[:, None] * y.linear + y.centre[:, None] * x.linear
        local = {k: x.centre * v for k, v in y.local.items()}
        for key, value in x.local.items():
            local[key] = local.get(key, 0.0) + y.centre * value
        shift, spread = _product_of_deviations(x, y)
        error = np.abs(x.centre) * y.error + np.abs(y.centre) * x.error + spread
        size = np.abs(x.centre) * (np.abs(y.centre) + np.abs(y.linear).sum(1)) + np.abs(shift)
        size = size + np.abs(y.centre) * np.abs(x.linear).sum(1)
        size = size + sum(np.abs(x.centre * v) for v in y.local.values())
        size = size + sum(np.abs(y.centre * v) for v in x.local.values())
        return self._of(x.centre * y.centre + shift, linear, error, local, 4, size)

    __rmul__ = __mul__

    def __getitem__(self, rows: slice) -> AffineForm:
        local = {k: v[rows] for k, v in self.local.items()}
        low, high = (None if v is None else v[rows] for v in (self.low, self.high))
        return AffineForm(self.centre[rows], self.linear[rows], self.error[rows], self.symbols, local, low, high)

    def tanh(self) -> AffineForm:
        """Encloses tanh of the set."""
        value, slope, error, low, high = _tanh_line(self.centre, self.radius)
        return self._line(value, slope, error, low, high)

    def sigmoid(self) -> AffineForm:
        """Encloses the logistic function of the set."""
        value, slope, error, low, high = _tanh_line(self.centre / 2, self.radius / 2)
        return self._line(
            0.5 + 0.5 * value, slope / 4, error / 2 + 2 * UNIT, 0.5 + 0.5 * low - UNIT, 0.5 + 0.5 * high + UNIT
        )

    def relu(self) -> AffineForm:
        """Encloses max(0, x) of the set."""
        radius = self.radius
        low = self.centre - radius - 2 * UNIT * (np.abs(self.centre) + radius)
        high = self.centre + radius + 2 * UNIT * (np.abs(self.centre) + radius)
        mixed = (low < 0) & (high > 0)
        slope = np.where(mixed, high / np.where(mixed, high - low, 1.0), (low >= 0).astype(float))
        # on [low, 0] the line lies above by at most -slope low, at 0 itself; at the upper end by rounding only
        gap = np.where(mixed, -slope * low, 0.0)
        error = gap / 2 + np.where(mixed, 8 * UNIT * (np.abs(low) + np.abs(high)), 0.0)
        return self._line(slope * self.centre + gap / 2, slope, error, np.maximum(low, 0), np.maximum(high, 0))

    def _line(self, value, slope, error, low, high) -> AffineForm:
        local = {k: slope * v for k, v in self.local.items()}
        made = self._of(value, slope[:, None] * self.linear, slope * self.error + error, local, 4)
        return AffineForm(made.centre, made.linear, made.error, made.symbols, made.local, low, high)

    def _of(self, centre, linear, error, local, n, size=None) -> AffineForm:
        """A form with the rounding of at most `n` operations on each number added to its error."""
        if size is None:
            size = np.abs(centre) + np.abs(linear).sum(1)
        private = sum((np.abs(v) for v in local.values()), np.zeros_like(centre))
        # centre of a sum may be small where its terms are not: the caller hands their size
        total = upward(error + (n + 4) * UNIT * (size + private + np.abs(centre)), linear.shape[1])
        return AffineForm(centre, linear, total, self.symbols, local)


def concatenate(forms: list[AffineForm]) -> AffineForm:
    """The forms one below the other; errors of one element that several of them share are counted in each."""
    return AffineForm(
        np.concatenate([f.centre for f in forms]),
        np.concatenate([f.linear for f in forms]),
        np.concatenate([whole_private(f) for f in forms]),
        forms[0].symbols,
    )


def _product_of_deviations(x: AffineForm, y: AffineForm) -> tuple[Array, Array]:
    """Centre and half width of (x - x.centre) * (y - y.centre), element by element.

    On the unit ball (v . xi)(w . xi) lies within |v| |w| / 2 of v . w / 2, half of what the factors alone allow: the
    matrix v w' + w v' has the eigenvalues v . w +- |v| |w|.
    """
    whole = x.radius * y.radius
    m = x.symbols.balls[0] if x.symbols.balls else 0
    v, w = x.linear[:, :m], y.linear[:, :m]
    # rounded down, so that the half taken away is no more than what is there
    both = np.sqrt(np.square(v).sum(1) * np.square(w).sum(1)) * (1 - 4 * (m + 8) * UNIT)
    around = x.symbols.reach(x.linear) + whole_private(x), y.symbols.reach(y.linear) + whole_private(y)
    dot = (v * w).sum(1)
    rounding = (m + 4) * UNIT * (np.abs(v) * np.abs(w)).sum(1)
    centred = upward(around[0] * around[1] - both / 2 + rounding, 4)
    use = centred < whole
    return np.where(use, dot / 2, 0.0), np.where(use, centred, whole)


def whole_private(form: AffineForm) -> Array:
    """All that an element does not share with others, as a half width (n,)."""
    return upward(form.error + sum(np.abs(v) for v in form.local.values()), len(form.local) + 1)


def _tanh_line(p: Array, radius: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Value at `p`, slope and error of a line near tanh on [p - radius, p + radius]; least and largest tanh there.

    With g(y) = tanh(y) - s (y - p) for the chord's slope s: right of 0 tanh is concave, so any tangent of g lies above
    it, and the one at y* with tanh(y*)^2 = 1 - s is level. Its values at the ends of the part right of 0 bound g there
    however well y* was computed; the least g is at an end. Left of 0 the same with signs changed.
    """
    radius = radius * (1 + 4 * UNIT) + 4 * UNIT * np.abs(p) + _TINY
    low, high = p - radius, p + radius
    at_low, at_high = np.tanh(low), np.tanh(high)
    wide = radius > 1e-5
    slope = np.where(wide, (at_high - at_low) / np.where(wide, high - low, 1.0), 1 - np.tanh(p) ** 2)
    slope = np.clip(slope, 0.0, 1.0)
    level = np.arctanh(np.minimum(np.sqrt(1 - slope), 1 - 1e-15))

    def g(y):
        return np.tanh(y) - slope * (y - p)

    def tangent(y, start, stop):
        s = 1 - np.tanh(y) ** 2 - slope
        return g(y), np.stack([s * (start - y), s * (stop - y)])

    top, bottom = np.maximum(g(low), g(high)), np.minimum(g(low), g(high))
    start, stop = np.maximum(low, 0), np.maximum(high, 0)
    value, rise = tangent(np.clip(level, start, stop), start, stop)
    top = np.where(high > 0, np.maximum(top, value + rise.max(0)), top)
    start, stop = np.minimum(low, 0), np.minimum(high, 0)
    value, rise = tangent(np.clip(-level, start, stop), start, stop)
    bottom = np.where(low < 0, np.minimum(bottom, value + rise.min(0)), bottom)
    # g is off by less than 16 u + 3 u radius, the tangent's rise by less than 70 u radius
    rounding = 2 * _TANH_ERROR + 8 * _TANH_ERROR * radius
    margin = _TANH_ERROR * np.abs(np.stack([at_low, at_high])) + _TINY
    error = upward((top - bottom) / 2 + rounding)
    return (top + bottom) / 2, slope, error, at_low - margin[0], at_high + margin[1]


def _numbers(x: Any) -> Array:
    """Tensors, arrays and numbers as float64 arrays."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
    return np.asarray(x, dtype=np.float64)

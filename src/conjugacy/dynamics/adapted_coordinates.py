"""Coordinates in which a Jacobian hardly wraps: x = Re(V z), |z_k| <= rho_k, with V its eigenvectors.

A box of states is turned and stretched by a step, and the smallest box around its image is larger than the image; in
eigenvector coordinates a step only scales and turns each z_k, which keeps a product of discs one. Every bound below
holds for the exact inverse of V: with E = V X - I for the computed inverse X and e = |E| < 1 (largest row sum),
V^-1 = X (I + E)^-1, so that |V^-1 y - X y| <= |X| 1 e / (1 - e) max |y|.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conjugacy.dynamics.affine_form import UNIT, Array, Symbols, upward

Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Eigenvector coordinates, or those of the units.

    vectors, inverse : complex (D, D)
    row_sums : (D,)
        Upper bounds of the row sums of |inverse|.
    defect : float
        e / (1 - e) of the module docstring.
    pairs : list of (int, int)
        Columns that are each other's conjugates; (k, k) where the column is real, or complex without a partner.
    plain : bool
        Whether these are the units' own coordinates.
    kept : int
        Steps for which new errors are better kept as they are: until they have turned into the slow directions.
    """

    vectors: Complex
    inverse: Complex
    row_sums: Array
    defect: float
    pairs: list[tuple[int, int]]
    plain: bool = False
    kept: int = 10

    @classmethod
    def of(cls, jacobian: Array) -> Coordinates | None:
        """Eigenvector coordinates of `jacobian` (D, D); None where the eigenvectors nearly coincide."""
        values, vectors = (np.asarray(a, dtype=np.complex128) for a in np.linalg.eig(jacobian))
        try:
            inverse = np.linalg.inv(vectors)
        except np.linalg.LinAlgError:
            return None
        inverse = inverse.astype(complex)
        for k in np.flatnonzero(values.imag > 0):
            # conjugate columns have conjugate coordinates: exactly so, which `bound` relies on
            inverse[k + 1] = inverse[k].conj()
        made = cls._make(vectors.astype(complex), inverse, values)
        return made if np.isfinite(made.row_sums).all() and made.defect < 1e-6 else None

    @classmethod
    def of_units(cls, n_units: int) -> Coordinates:
        """The coordinates of the units themselves."""
        identity = np.eye(n_units, dtype=complex)
        return cls(identity, identity, np.ones(n_units), 0.0, [(k, k) for k in range(n_units)], plain=True, kept=4)

    @classmethod
    def _make(cls, vectors, inverse, values):
        n = len(vectors)
        rounding = 4 * (n + 8) * UNIT * (np.abs(vectors) @ np.abs(inverse))
        e = float((np.abs(vectors @ inverse - np.eye(n)) + rounding).sum(1).max() * (1 + 1e-12))
        defect = e / (1 - e) * (1 + 1e-12) if e < 1 else np.inf
        pairs, done = [], set()
        for k in range(n):
            if k in done:
                continue
            twin = k + 1
            paired = twin < n and values[k].imag != 0 and np.array_equal(vectors[:, twin], vectors[:, k].conj())
            pairs.append((k, twin if paired else k))
            done |= {k, twin} if paired else {k}
        return cls(vectors, inverse, upward(np.abs(inverse).sum(1), n), defect, pairs)

    def columns(self, rho: Array) -> tuple[Array, Array]:
        """The set {Re(V z): |z_k| <= rho_k} as columns of intervals (D, P) and pairs of columns of discs (D, 2 Q)."""
        singles, discs = [], []
        for k, twin in self.pairs:
            v = self.vectors[:, k]
            if self.plain:
                singles.append(v.real * rho[k])
                continue
            # z v and z' v* with real parts taken are one disc of both radii together
            size = rho[k] if k == twin else (rho[k] + rho[twin]) * (1 + 4 * UNIT)
            if k == twin and not v.imag.any():
                singles.append(v.real * size)
            else:
                discs += [v.real * size, -v.imag * size]
        d = len(self.vectors)
        # what the products above lose is met by a slightly larger set
        grow = 1 + 4 * UNIT
        stack = [np.stack(c, 1) * grow if c else np.zeros((d, 0)) for c in (singles, discs)]
        return stack[0], stack[1]

    def bound(self, columns: Array, symbols: Symbols) -> Array:
        """Bounds of |z_k| over the set of `columns` (D, K) with `symbols`, z its eigenvector coordinates."""
        if self.plain:
            return symbols.reach(columns)
        total = np.zeros(len(columns))
        real = [k for k, twin in self.pairs if k == twin and not self.inverse[k].imag.any()]
        rest = [(k, twin) for k, twin in self.pairs if k not in set(real)]
        total[real] = symbols.reach(self.inverse.real[real] @ columns)
        first, second = [k for k, _ in rest], [twin for _, twin in rest]
        re, im = self.inverse.real[first] @ columns, self.inverse.imag[first] @ columns
        start = 0
        for size in symbols.balls:
            total[first] += _largest_modulus(re[:, start : start + size], im[:, start : start + size])
            start += size
        stop = start + symbols.intervals
        total[first] += np.hypot(re[:, start:stop], im[:, start:stop]).sum(1)
        pairs = (v[:, stop : stop + 2 * symbols.discs].reshape(len(v), symbols.discs, 2) for v in (re, im))
        total[first] += _largest_modulus(*pairs).sum(1)
        total[second] = total[first]
        return upward(total, columns.shape[1]) + self._rounding(np.abs(columns).sum(1))

    def bound_box(self, half_widths: Array) -> Array:
        """The same for the box of the given half widths (D,)."""
        if self.plain:
            return half_widths
        exact = np.asarray(np.abs(self.inverse) @ half_widths, dtype=np.float64)
        return upward(exact, len(exact)) + self._rounding(half_widths)

    def modulus(self, matrix: Array) -> Array:
        """Upper bound of |V^-1 matrix V|, entry by entry (D, D): what one step does to rho."""
        if self.plain:
            return np.abs(matrix)
        n = len(matrix)
        y = self.inverse @ (matrix @ self.vectors)
        reach = np.abs(matrix) @ np.abs(self.vectors)
        slack = 8 * (n + 8) * UNIT * (np.abs(self.inverse) @ reach)
        total = np.abs(y) + slack + np.outer(self.row_sums, reach.max(0) * self.defect)
        return upward(np.asarray(total, dtype=np.float64), n)

    def _rounding(self, size: Array) -> Array:
        n = len(size)
        return upward(np.abs(self.inverse) @ (4 * (n + 8) * UNIT * size) + self.row_sums * self.defect * size.max(), n)


def _largest_modulus(re: Array, im: Array) -> Array:
    """The largest |sum_j (re + i im)_j xi_j| over |xi|_2 <= 1, along the last axis: a norm of two rows."""
    a, b, c = (re * re).sum(-1), (im * im).sum(-1), (re * im).sum(-1)
    return np.sqrt((a + b) / 2 + np.sqrt(np.square((a - b) / 2) + np.square(c)))

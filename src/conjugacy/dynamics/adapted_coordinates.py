"""Coordinates in which a Jacobian hardly wraps: x = Re(V z), |z_k| <= rho_k, with V its eigenvectors.

A box of states is turned and stretched by a step, and the smallest box around its image is larger than the image; in
eigenvector coordinates a step only scales and turns each z_k, which keeps a product of discs one. Every bound below
holds for the exact inverse of V: with E = V X - I for the computed inverse X and e = |E| < 1 (largest row sum),
V^-1 = X (I + E)^-1, so that |V^-1 y - X y| <= |X| 1 e / (1 - e) max |y|.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from conjugacy.dynamics.affine_form import UNIT, Array, Symbols, upward


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
    """

    vectors: np.ndarray
    inverse: np.ndarray
    row_sums: Array
    defect: float
    pairs: list[tuple[int, int]]

    @classmethod
    def of(cls, jacobian: Array) -> Coordinates | None:
        """Eigenvector coordinates of `jacobian` (D, D); None where the eigenvectors nearly coincide."""
        values, vectors = np.linalg.eig(jacobian)
        try:
            inverse = np.linalg.inv(vectors)
        except np.linalg.LinAlgError:
            return None
        made = cls._make(vectors.astype(complex), inverse.astype(complex), values)
        return made if np.isfinite(made.row_sums).all() and made.defect < 1e-6 else None

    @classmethod
    def of_units(cls, n_units: int) -> Coordinates:
        """The coordinates of the units themselves."""
        identity = np.eye(n_units, dtype=complex)
        return cls._make(identity, identity, np.zeros(n_units))

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
        y = self.inverse @ columns
        total, start = np.zeros(len(y)), 0
        for size in symbols.balls:
            total += _largest_modulus(y[:, start : start + size])
            start += size
        total += np.abs(y[:, start : start + symbols.intervals]).sum(1)
        start += symbols.intervals
        pairs = y[:, start : start + 2 * symbols.discs].reshape(len(y), symbols.discs, 2)
        total += _largest_modulus(pairs).sum(1)
        return upward(total, columns.shape[1]) + self._rounding(np.abs(columns).sum(1))

    def bound_box(self, half_widths: Array) -> Array:
        """The same for the box of the given half widths (D,)."""
        exact = np.abs(self.inverse) @ half_widths
        return upward(exact, len(exact)) + self._rounding(half_widths)

    def modulus(self, matrix: Array) -> Array:
        """Upper bound of |V^-1 matrix V|, entry by entry (D, D): what one step does to rho."""
        n = len(matrix)
        y = self.inverse @ (matrix @ self.vectors)
        reach = np.abs(matrix) @ np.abs(self.vectors)
        slack = 8 * (n + 8) * UNIT * (np.abs(self.inverse) @ reach)
        return upward(np.abs(y) + slack + np.outer(self.row_sums, reach.max(0) * self.defect), n)

    def _rounding(self, size: Array) -> Array:
        n = len(size)
        return upward(np.abs(self.inverse) @ (4 * (n + 8) * UNIT * size) + self.row_sums * self.defect * size.max(), n)


def _largest_modulus(block: np.ndarray) -> Array:
    """max |sum_j block_j xi_j| over |xi|_2 <= 1 along the last axis: the largest singular value of its two real rows."""
    re, im = block.real, block.imag
    a, b, c = (re * re).sum(-1), (im * im).sum(-1), (re * im).sum(-1)
    return np.sqrt((a + b) / 2 + np.sqrt(np.square((a - b) / 2) + np.square(c)))

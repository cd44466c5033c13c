"""The orthogonal change of coordinates that best aligns two linear operators, with a bound on what could be better.

For A, B (n, n) of Frobenius norm 1,

    maximise f(C) = <A, C B C'> over C in O(n),          |A - C B C'|_F^2 = 2 - 2 f(C).

The problem has many local maxima and two components, so the search has four parts.

1. Starts. If B = Q' A Q, every symmetric matrix made of A and A' in the same way as of B and B' has eigenvectors that
   correspond by Q up to signs. Six such matrices give six starts; they are exact for conjugate operators with simple
   spectra, whatever the sign of det Q. The axes themselves and draws from the Haar measure (fixed seed) come after.
2. Sweeps over the coordinate planes, each brought to its global optimum over O(2).
3. Riemannian trust-region Newton steps to a maximum.
4. Iterated search (fixed seed): the best so far is turned in random planes and climbs again, until several climbs
   agree, or the certificate below is met, or the rounds are used up.

Certificate. With S, K the symmetric and skew parts, |A - C B C'|^2 = |S_A - C S_B C'|^2 + |K_A - C K_B C'|^2, and by
Hoffman and Wielandt (1953) each term is at least the squared distance of the sorted eigenvalues; by Mirsky (1960) the
whole is at least the squared distance of the sorted singular values. No orthogonal matrix can do better than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from conjugacy.similarity.threads import map_threads


@dataclass(frozen=True, eq=False)
class Operator:
    """What the search needs to know of one operator, computed once.

    Attributes
    ----------
    unit : array (n, n)
        The operator divided by its Frobenius norm.
    norm : float
    bases : array (basis, n, n)
        Eigenbases of symmetric matrices made of the operator; the axes themselves last.
    symmetric, skew, singular : arrays (n,)
        Sorted eigenvalues of the symmetric part, of i times the skew part, and the singular values.
    """

    unit: np.ndarray
    norm: float
    bases: np.ndarray
    symmetric: np.ndarray
    skew: np.ndarray
    singular: np.ndarray

    @classmethod
    def of(cls, matrix: np.ndarray) -> Operator:
        """From a square matrix that is not zero; the matrix is not changed."""
        matrix = np.array(matrix, dtype=np.float64, order="C")
        norm = float(np.linalg.norm(matrix))
        a = matrix / norm
        s, k = (a + a.T) / 2, (a - a.T) / 2
        left, right, square = a @ a.T, a.T @ a, a @ a
        forms = [s, left, right, left + right, s + (square + square.T) / 2, left - right]
        bases = [np.linalg.eigh(form)[1] for form in forms] + [np.eye(len(a))]
        return cls(
            a,
            norm,
            np.ascontiguousarray(bases),
            np.linalg.eigvalsh(s),
            np.linalg.eigvalsh(1j * k),
            np.linalg.svd(a, compute_uv=False),
        )


@dataclass(frozen=True, eq=False)
class Alignment:
    """The best alignment found of two operators scaled to norm 1.

    Attributes
    ----------
    chord : float
        |A - C B C'|_F, in [0, 2].
    rotation : array (n, n)
        C.
    lower_bound : float
        No orthogonal matrix gives a smaller chord.
    n_agree, n_climbs : int
        How many of the climbs reached the best maximum (within 1e-6 in f): one of many leaves room for doubt.
    products : int
        Hessian products, the unit of work.
    """

    chord: float
    rotation: np.ndarray
    lower_bound: float
    n_agree: int
    n_climbs: int
    products: int

    @property
    def angle(self) -> float:
        """Arccos <A, C B C'>, without its loss of digits near zero."""
        return float(2 * np.arcsin(min(self.chord / 2, 1.0)))

    @property
    def angle_bound(self) -> float:
        """Lower bound on the angle."""
        return float(2 * np.arcsin(min(self.lower_bound / 2, 1.0)))


def align(a: Operator, b: Operator, effort: int = 1) -> Alignment:
    """The best alignment found of two operators of equal size.

    `effort` multiplies the rounds of the iterated search: 0 leaves only the spectral starts.
    """
    from conjugacy.similarity import alignment_kernel

    n = len(a.unit)
    bound = lower_bound(a, b)
    n_haar, n_rounds = _plan(n, effort)
    _, rotation, agree, tried, products = alignment_kernel.align(
        a.unit, b.unit, a.bases, b.bases, _haar(n, n_haar), 1 - bound**2 / 2, n_rounds, 6 + 2 * effort, n
    )
    chord = float(np.linalg.norm(a.unit - rotation @ b.unit @ rotation.T))
    return Alignment(chord, rotation, bound, agree, tried, products)


def align_many(
    a: Sequence[Operator], b: Sequence[Operator], pairs: Sequence[tuple[int, int]], effort: int = 1, **threads
) -> list[Alignment]:
    """``align(a[i], b[j])`` for all (i, j) in `pairs`, on all cores."""
    return map_threads(lambda ij: align(a[ij[0]], b[ij[1]], effort), pairs, **threads)


def lower_bound(a: Operator, b: Operator) -> float:
    """The certificate of the module docstring: a chord that no orthogonal matrix can beat."""
    parts = ((a.symmetric - b.symmetric) ** 2).sum() + ((a.skew - b.skew) ** 2).sum()
    return float(np.sqrt(max(parts, ((a.singular - b.singular) ** 2).sum())))


def _plan(n: int, effort: int) -> tuple[int, int]:
    """Random starts, and rounds of the iterated search, for size n: small problems afford more."""
    rounds = next(r for size, r in ((8, 40), (12, 32), (24, 28), (40, 20), (64, 8), (np.inf, 4)) if n <= size)
    return (5 if n <= 12 else 2) * min(effort, 1), rounds * effort


@lru_cache(maxsize=32)
def _haar(n: int, n_starts: int) -> np.ndarray:
    """Orthogonal matrices (start, n, n), det +1 and -1 in turn, from a fixed seed."""
    rng = np.random.default_rng([n, 20231])
    q, r = np.linalg.qr(rng.normal(size=(n_starts, n, n)))
    q = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    wrong = np.sign(np.linalg.det(q)) != np.where(np.arange(n_starts) % 2, -1, 1)
    q[wrong, :, 0] *= -1
    return np.ascontiguousarray(q)

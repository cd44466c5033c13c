"""The orthogonal change of coordinates that best aligns two linear operators, with a bound on what could be better.

For A, B (n, n) of Frobenius norm 1,

    maximise f(C) = <A, C B C'> over C in O(n),          |A - C B C'|_F^2 = 2 - 2 f(C).

The problem has many local maxima and two components, so the search has four parts.

1. Starts. If B = Q' A Q, every symmetric matrix made of A and A' in the same way as of B and B' has eigenvectors that
   correspond by Q up to signs. Six such matrices give six starts; they are exact for conjugate operators with simple
   spectra, whatever the sign of det Q. Draws from the Haar measure (fixed seed) and the axes as they are come after.
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

from conjugacy._threads import map_threads
from conjugacy.similarity.score import Undefined


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
    seen : array (basis, n, n)
        The operator in each of the bases.
    symmetric, skew, singular : arrays (n,)
        Sorted eigenvalues of the symmetric part, of i times the skew part, and the singular values.
    """

    unit: np.ndarray
    norm: float
    bases: np.ndarray
    seen: np.ndarray
    symmetric: np.ndarray
    skew: np.ndarray
    singular: np.ndarray

    @classmethod
    def of(cls, matrix: np.ndarray) -> Operator:
        """From a square matrix that is not zero; the matrix is not changed."""
        matrix = np.array(matrix, dtype=np.float64, order="C")
        norm = float(np.linalg.norm(matrix))
        if norm == 0:
            raise Undefined(
                "`operator`: the angle between operators is undefined, got one that is zero. Use other data."
            )
        a = matrix / norm
        s, k = (a + a.T) / 2, (a - a.T) / 2
        left, right, square = a @ a.T, a.T @ a, a @ a
        forms = [s, left, right, left + right, s + (square + square.T) / 2, left - right]
        bases = [np.linalg.eigh(form)[1] for form in forms] + [np.eye(len(a))]
        bases = np.ascontiguousarray(bases)
        return cls(
            a,
            norm,
            bases,
            bases.transpose(0, 2, 1) @ a @ bases,
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
    search = _Ascent(a, b, effort)
    search.from_starts()
    search.iterate()
    return search.result()


def align_many(
    a: Sequence[Operator], b: Sequence[Operator], pairs: Sequence[tuple[int, int]], effort: int = 1, **threads
) -> list[Alignment]:
    """``align(a[i], b[j])`` for all (i, j) in `pairs`, on all cores."""
    return map_threads(lambda ij: align(a[ij[0]], b[ij[1]], effort), pairs, **threads)


def lower_bound(a: Operator, b: Operator) -> float:
    """The certificate of the module docstring: a chord that no orthogonal matrix can beat."""
    parts = ((a.symmetric - b.symmetric) ** 2).sum() + ((a.skew - b.skew) ** 2).sum()
    return float(np.sqrt(max(parts, ((a.singular - b.singular) ** 2).sum())))


class _Ascent:
    """The state of one search: the best operator C B C' and rotation so far, and what was spent."""

    def __init__(self, a: Operator, b: Operator, effort: int):
        from conjugacy.similarity import alignment_compiled as alignment_kernel

        self.kernel, self.a, self.b = alignment_kernel, a.unit, b.unit
        self.at = np.ascontiguousarray(a.unit.T)
        self.bound = lower_bound(a, b)
        self.ceiling = 1 - self.bound**2 / 2 - 1e-12
        n = len(a.unit)
        _, self.rounds, self.budget = next(row for row in _PLAN if n <= row[0])
        self.rounds, self.budget = self.rounds * effort, self.budget * max(effort, 1)
        self.enough = 8 + 2 * effort
        self.starts = np.concatenate([_spectral_starts(a, b), _haar(n, (5 if n <= 12 else 2) * min(effort, 1))])
        self.value, self.moved, self.rotation = -np.inf, self.b, np.eye(n)
        self.products, self.tried, self.agree = 0, 0, 0

    def from_starts(self) -> None:
        """Sweep and climb a little from all starts, then all the way from those that promise something."""
        candidates = []
        swapped = np.eye(len(self.a))
        swapped[:2] = swapped[:2][::-1]
        # the axes as they are, in both components, without sweeps: where operators fitted alike lie already
        plain = [np.eye(len(self.a)), swapped]
        for k, c in enumerate([*self.starts, *plain]):
            moved = c @ self.b @ c.T
            for _ in range(4 if k < len(self.starts) else 0):
                if self.kernel.sweep(self.a, moved, c) < 3e-3:
                    break
            value = self._climb(moved, c, 1e-2, 200)
            candidates.append((value, moved, c))
            if value > self.ceiling:
                break
        for value, moved, c in sorted(candidates, key=lambda candidate: -candidate[0]):
            # what a climb to 1e-2 leaves to gain
            if value > self.value - 0.03 and not self._done():
                self._finish(moved, c)

    def iterate(self) -> None:
        """Turn the best so far in random planes, climb, keep what is better. Far and near turns alternate."""
        n = len(self.a)
        near, far = (2 * n // 3 if n >= 20 else n), 2 * n
        if n < 2:
            return
        every = 2 if n >= 20 else 3
        for k, (planes, cosines, sines) in enumerate(_turns(n, self.rounds, far)):
            if self._done():
                return
            moved, c = self.moved.copy(), self.rotation.copy()
            count = far if k % every == every - 1 else near
            self.kernel.turn(moved, c, planes[:count], cosines[:count], sines[:count])
            self.kernel.sweep(self.a, moved, c)
            self._finish(moved, c)

    def result(self) -> Alignment:
        """Polish the best to the last digit."""
        c = self.rotation.copy()
        self._climb(c @ self.b @ c.T, c, 1e-14, 300)
        chord = float(np.linalg.norm(self.a - c @ self.b @ c.T))
        return Alignment(chord, c, self.bound, self.agree, self.tried, self.products)

    def _done(self) -> bool:
        return self.value > self.ceiling or self.agree >= self.enough or self.products > self.budget

    def _climb(self, moved: np.ndarray, c: np.ndarray, tolerance: float, most: int) -> float:
        value, used = self.kernel.climb(self.a, self.at, moved, c, tolerance, most)
        self.products += used
        return value

    def _finish(self, moved: np.ndarray, c: np.ndarray) -> None:
        """Climb in stages, given up as soon as what a stage usually leaves to gain would not reach the best."""
        self.tried += 1
        for tolerance, left in _STAGES[len(self.a) >= 20]:
            value = self._climb(moved, c, tolerance, 600)
            if value < self.value - left:
                return
        self.agree = 1 if value > self.value + 1e-6 else self.agree + 1
        if value > self.value:
            self.value, self.moved, self.rotation = value, moved, c


# norm of the gradient to which a climb goes, and how far below the best it may be there and go on: small, large n
_STAGES = (
    ((1e-2, 2e-2), (3e-3, 2e-3), (1e-3, 5e-4), (1e-5, 1e-6)),
    ((3e-3, 4e-3), (1e-3, 7e-4), (1e-5, 1e-6)),
)

# size up to, rounds of the iterated search, Hessian products: small problems afford more
_PLAN = ((8, 45, 4000), (12, 60, 3300), (24, 40, 4500), (40, 52, 5600), (64, 12, 5000), (np.inf, 8, 5000))


def _spectral_starts(a: Operator, b: Operator) -> np.ndarray:
    """Rotations (basis, n, n) that carry the bases of b to those of a.

    The signs D of the axes are those of the leading eigenvector of (Va' A Va) * (Vb' B Vb), the quadratic form that
    D Vb' B Vb D has in D against Va' A Va.
    """
    form = a.seen * b.seen
    form = form + form.transpose(0, 2, 1)
    form[:, np.arange(len(a.unit)), np.arange(len(a.unit))] = 0.0
    signs = np.where(np.linalg.eigh(form)[1][..., -1] >= 0, 1.0, -1.0)
    return (a.bases * signs[:, None, :]) @ b.bases.transpose(0, 2, 1)


@lru_cache(maxsize=32)
def _turns(n: int, rounds: int, planes: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Random planes (plane, 2) of n coordinates and angles for each round, from a fixed seed."""
    rng = np.random.default_rng([n, 4409])
    first = rng.integers(n, size=(rounds, planes))
    second = (first + rng.integers(1, n, size=(rounds, planes))) % n
    angle = rng.uniform(0, 2 * np.pi, (rounds, planes))
    return list(zip(np.stack([first, second], -1), np.cos(angle), np.sin(angle)))


@lru_cache(maxsize=32)
def _haar(n: int, n_starts: int) -> np.ndarray:
    """Orthogonal matrices (start, n, n), det +1 and -1 in turn, from a fixed seed."""
    rng = np.random.default_rng([n, 20231])
    q, r = np.linalg.qr(rng.normal(size=(n_starts, n, n)))
    q = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    wrong = np.sign(np.linalg.det(q)) != np.where(np.arange(n_starts) % 2, -1, 1)
    q[wrong, :, 0] *= -1
    return np.ascontiguousarray(q)

"""What the shape measures, CCA and linear CKA share: they see two systems only through three covariance matrices.

The states of each system are centred once, and where need be turned to their principal coordinates (which leaves these
measures unchanged, drops directions without variance, and replaces n units by at most m coordinates where samples are
fewer than units). A pair then costs one product of the coordinates, and the products of one system with many are one
product of matrices. Sums over trials give the covariances of any resample of
trials, so that a bootstrap needs no pass over the data.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from typing_extensions import override

from conjugacy._threads import map_threads
from conjugacy.similarity.measure import Measure
from conjugacy.similarity.principal_components import about_mean, principal_axes
from conjugacy.similarity.samples import Samples, check_paired, check_varies, shuffled_order
from conjugacy.system import System

_PRODUCTS = 2**20  # entries of the products that are held at once by a thread: 8 MB


class Principal(NamedTuple):
    """Principal coordinates of one system.

    Attributes
    ----------
    scores : array (sample, component)
        Centred; the columns are orthogonal.
    sd : array (component,)
        Standard deviations of the columns, descending.
    axes : array (unit, component)
        ``states - mean = scores @ axes.T``.
    """

    scores: np.ndarray
    sd: np.ndarray
    axes: np.ndarray


@dataclass(frozen=True, eq=False)
class Coordinates:
    """States of one system about their mean, and, once they are asked for, in principal coordinates.

    Attributes
    ----------
    samples : Samples
    centred : array (sample, unit)
    given : Principal, optional
        The principal coordinates, where they are known.
    """

    samples: Samples
    centred: np.ndarray
    given: Principal | None = None

    @classmethod
    def of(cls, system: System, measure: str) -> Coordinates:
        """The states of `system`, ready to be compared; raises ValueError if they are constant."""
        samples = Samples.of(system)
        check_varies(samples, measure)
        return cls(samples, about_mean(samples.rows()))

    @cached_property
    def principal(self) -> Principal:
        """Principal coordinates; directions without variance are dropped."""
        if self.given is not None:
            return self.given
        rows = self.samples.rows()
        mean, sd, axes = principal_axes(rows)
        return Principal((rows - mean) @ axes, sd, axes)

    @property
    def scores(self) -> np.ndarray:
        """See `Principal`."""
        return self.principal.scores

    @property
    def sd(self) -> np.ndarray:
        """See `Principal`."""
        return self.principal.sd

    @property
    def axes(self) -> np.ndarray:
        """See `Principal`."""
        return self.principal.axes

    @cached_property
    def frame(self) -> np.ndarray:
        """States (sample, component) on orthonormal axes, none without variance: the units themselves if that is so.

        Enough for measures that rotations leave as they are, and cheaper than principal coordinates.
        """
        if self.given is None and self.centred.shape[0] > self.centred.shape[1]:
            # the Cholesky factor exists if and only if every eigenvalue is above the share of their sum taken off
            try:
                np.linalg.cholesky(self._gram - 1e-8 * np.trace(self._gram) * np.eye(len(self._gram)))
            except np.linalg.LinAlgError:
                return self.scores
            return self.centred
        return self.scores

    @cached_property
    def _gram(self) -> np.ndarray:
        return self.centred.T @ self.centred

    @property
    def rank(self) -> int:
        """Number of directions with variance."""
        return self.frame.shape[1]

    @cached_property
    def power(self) -> float:
        """Mean square of the states about their mean, all units together."""
        return float(np.trace(self._gram)) / len(self.centred)

    @cached_property
    def kernel_norm(self) -> float:
        """Frobenius norm of X X', the linear kernel between samples."""
        return float(np.linalg.norm(self._gram))

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return self.samples.n_trials

    def reorder(self, order: np.ndarray) -> Coordinates:
        """The same with the trials in another order."""
        cuts = np.cumsum(self.samples.lengths)[:-1]
        centred, scores = (
            np.concatenate([trials[k] for k in order])
            for trials in (np.split(self.centred, cuts), np.split(self.scores, cuts))
        )
        return Coordinates(self.samples.take(order), centred, Principal(scores, self.sd, self.axes))

    def keep(self, n_components: int) -> Coordinates:
        """The leading components only."""
        n = n_components
        scores, sd, axes = self.principal
        kept = Principal(scores[:, :n], sd[:n], axes[:, :n])
        return Coordinates(self.samples, kept.scores @ kept.axes.T, kept)


@dataclass(frozen=True, eq=False)
class Covariances:
    """Covariances of paired samples, in the principal coordinates of the whole data of each system.

    Attributes
    ----------
    xx, yy, xy : arrays (component, component)
    n : float
        Number of samples.
    """

    xx: np.ndarray
    yy: np.ndarray
    xy: np.ndarray
    n: float


class CovarianceMeasure(Measure):
    """A measure that is a function of the covariances of two systems."""

    pairs_at_once: ClassVar[int] = 1024

    @abstractmethod
    def value(self, c: Covariances, a: Coordinates, b: Coordinates) -> tuple[float, dict[str, Any]]:
        """Value and diagnostics from covariances; `a` and `b` tell how the coordinates lie in the units."""

    @override
    def prepare(self, system: System, train: System | None = None) -> Coordinates:
        del train  # nothing is fitted across systems
        return Coordinates.of(system, self.name)

    @override
    def shuffle(self, features: Coordinates, rng: np.random.Generator) -> Coordinates:
        return features.reorder(shuffled_order(features.samples.lengths, rng))

    @override
    def compare(self, a: Coordinates, b: Coordinates) -> tuple[float, dict[str, Any]]:
        check_paired(a.samples, b.samples, self.name)
        m = len(a.scores)
        c = Covariances(np.diag(a.sd**2), np.diag(b.sd**2), a.scores.T @ b.scores / m, m)
        return self.value(c, a, b)

    @override
    def compare_resampled(self, a, b, counts_a, counts_b):
        del counts_b  # trials are paired
        check_paired(a.samples, b.samples, self.name)
        sums = trial_sums(a, b)
        return np.array([self.value(weighted_covariances(sums, c), a, b)[0] for c in counts_a])


def map_products(
    work: Callable[[Sequence[int], np.ndarray], None],
    left: Mapping[int, np.ndarray],
    right: Mapping[int, np.ndarray],
    pairs: Sequence[tuple[int, int]],
) -> None:
    """Call ``work(members, products)`` on all cores until every pair has had its turn.

    Parameters
    ----------
    work : callable
        Gets the places of some pairs in `pairs`, all with the same sizes, and Y_j' X_i for each, (pair, component of
        y, component of x).
    left, right : mapping of int to array (sample, component)
        X_i and Y_j.
    pairs : sequence of (i, j)
    """
    stacks: dict[int, tuple[dict[int, int], np.ndarray]] = {}
    for size in {y.shape[1] for y in right.values()}:
        same = [j for j, y in right.items() if y.shape[1] == size]
        stacks[size] = {j: k for k, j in enumerate(same)}, np.concatenate([right[j] for j in same], axis=1)
    runs: list[list[int]] = []
    for k, (i, j) in enumerate(pairs):
        size = right[j].shape[1]
        most = max(1, _PRODUCTS // (size * left[i].shape[1]))
        if runs and len(runs[-1]) < min(most, 16):
            before_i, before_j = pairs[runs[-1][-1]]
            places = stacks[size][0]
            # neighbours in a stack go through one product without being copied
            if before_i == i and places.get(before_j, -2) == places[j] - 1:
                runs[-1].append(k)
                continue
        runs.append([k])

    def one(run: list[int]) -> None:
        i, first = pairs[run[0]]
        x, size = left[i], right[first].shape[1]
        places, stack = stacks[size]
        ys = stack[:, places[first] * size : (places[first] + len(run)) * size]
        work(run, (ys.T @ x).reshape(len(run), size, x.shape[1]))

    map_threads(one, runs)


def trial_sums(a: Coordinates, b: Coordinates) -> dict[str, np.ndarray]:
    """Sums over the steps of each trial: number of steps, x, y, x x', y y', x y'."""
    lengths = a.samples.lengths
    cuts = np.cumsum(lengths)[:-1]
    xs, ys = np.split(a.scores, cuts), np.split(b.scores, cuts)
    return {
        "n": lengths.astype(float),
        "x": np.stack([x.sum(0) for x in xs]),
        "y": np.stack([y.sum(0) for y in ys]),
        "xx": np.stack([x.T @ x for x in xs]),
        "yy": np.stack([y.T @ y for y in ys]),
        "xy": np.stack([x.T @ y for x, y in zip(xs, ys)]),
    }


def weighted_covariances(sums: dict[str, np.ndarray], weights: np.ndarray) -> Covariances:
    """Covariances if each trial had been recorded `weights` (trial,) times."""
    total = {key: np.tensordot(weights.astype(float), value, 1) for key, value in sums.items()}
    n = total["n"]
    mx, my = total["x"] / n, total["y"] / n
    return Covariances(
        total["xx"] / n - np.outer(mx, mx),
        total["yy"] / n - np.outer(my, my),
        total["xy"] / n - np.outer(mx, my),
        float(n),
    )

"""Covariances of two systems: the three matrices on which the shape measures, CCA and linear CKA depend.

The states of each system are centred once, and where need be turned to their principal coordinates (which leaves these
measures unchanged, drops directions without variance, and replaces n units by at most m coordinates where samples are
fewer than units). A pair then costs one product of the coordinates, and the products of one system with many are one
product of matrices. Sums over trials give the covariances of any resample of
trials, so that a bootstrap needs no pass over the data.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from typing_extensions import override

from conjugacy._threads import map_threads
from conjugacy.similarity.jackknife import jackknife_interval
from conjugacy.similarity.measure import Measure
from conjugacy.similarity.principal_components import about_mean, principal_axes
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.samples import Layout, Samples, check_paired, check_system_varies, layout_of, shuffled_order
from conjugacy.similarity.score import Interval, Undefined
from conjugacy.system import System

_PRODUCTS = 2**20  # entries of the products that are held at once by a thread: 8 MB
_STACK = 2**22  # entries of a copy of all systems side by side, which saves time where they are small: 32 MB


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
    """States of one system about their mean, on axes that suit the measure; each array is made when it is asked for.

    What a measure does not ask for is not kept: many systems at once would not fit into memory otherwise.

    Attributes
    ----------
    layout : Layout
    system : System, optional
        Where the states come from; None if the principal coordinates are given.
    given : Principal, optional
        The principal coordinates, where they are known.
    """

    layout: Layout
    system: System | None = None
    given: Principal | None = None

    @classmethod
    def of(cls, system: System, measure: str) -> Coordinates:
        """The states of `system`, ready to be compared; raises ValueError if they are constant."""
        check_system_varies(system, measure)
        return cls(layout_of(system), system)

    @cached_property
    def principal(self) -> Principal:
        """Principal coordinates; directions without variance are dropped."""
        if self.given is not None:
            return self.given
        rows = self._rows()
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
        return self._framed[0]

    @cached_property
    def _framed(self) -> tuple[np.ndarray, float, float]:
        """The frame, and the trace and the Frobenius norm of its matrix of products."""
        if self.system is not None and self.layout.n_samples > self.system.n_units:
            centred = about_mean(self._rows(), self.system.trajectories.dtype != torch.float64)
            gram = centred.T @ centred
            # the Cholesky factor exists if and only if every eigenvalue is above the share of their sum taken off
            with suppress(np.linalg.LinAlgError):
                np.linalg.cholesky(gram - 1e-8 * np.trace(gram) * np.eye(len(gram)))
                return centred, float(np.trace(gram)), float(np.linalg.norm(gram))
        squares = self.sd**2 * self.layout.n_samples
        return self.scores, float(squares.sum()), float(np.linalg.norm(squares))

    @property
    def rank(self) -> int:
        """Number of directions with variance."""
        return self.frame.shape[1]

    @property
    def power(self) -> float:
        """Mean square of the states about their mean, all units together."""
        return self._framed[1] / self.layout.n_samples

    @property
    def kernel_norm(self) -> float:
        """Frobenius norm of X X', the linear kernel between samples."""
        return self._framed[2]

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return self.layout.n_trials

    def reorder(self, order: np.ndarray) -> Coordinates:
        """The same with the trials in another order."""
        trials = np.split(self.scores, np.cumsum(self.layout.lengths)[:-1])
        scores = np.concatenate([trials[k] for k in order])
        layout = Layout(self.layout.name, self.layout.lengths[order])
        return Coordinates(layout, given=Principal(scores, self.sd, self.axes))

    def keep(self, n_components: int) -> Coordinates:
        """The leading components only."""
        n = n_components
        scores, sd, axes = self.principal
        return Coordinates(self.layout, given=Principal(scores[:, :n], sd[:n], axes[:, :n]))

    def _rows(self) -> np.ndarray:
        assert self.system is not None
        return Samples.of(self.system).rows()


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
    # see `jackknife`: in directions of noise alone the bias of correlations falls more slowly than 1 / trials
    most_bias: ClassVar[float | None] = 1.0

    @abstractmethod
    def value(self, c: Covariances, a: Coordinates, b: Coordinates) -> tuple[float, dict[str, Any]]:
        """Value and diagnostics from covariances; `a` and `b` hold the axes of the coordinates in the units."""

    def doubts(self, c: Covariances, a: Coordinates, b: Coordinates) -> dict[str, Any]:
        """Entries to add to the diagnostics, "warnings" among them, where these data say little."""
        return {}

    @override
    def prepare(self, system: System, train: System | None = None) -> Coordinates:
        del train  # nothing is fitted across systems
        return Coordinates.of(system, self.name)

    @override
    def shuffle(self, features: Coordinates, rng: np.random.Generator) -> Coordinates:
        return features.reorder(shuffled_order(features.layout.lengths, rng))

    @override
    def compare(self, a: Coordinates, b: Coordinates) -> tuple[float, dict[str, Any]]:
        check_paired(a.layout, b.layout, self.name)
        m = len(a.scores)
        c = Covariances(np.diag(a.sd**2), np.diag(b.sd**2), a.scores.T @ b.scores / m, m)
        value, diagnostics = self.value(c, a, b)
        return value, {**diagnostics, **self.doubts(c, a, b)}

    @override
    def interval(self, a: Coordinates, b: Coordinates, value: float, resampling: Resampling) -> Interval:
        return jackknife_interval(self, a, b, value, resampling, corrected=True, most_bias=self.most_bias)

    @override
    def compare_resampled(self, a, b, counts_a, counts_b):
        del counts_b  # trials are paired
        check_paired(a.layout, b.layout, self.name)
        sums = trial_sums(a, b)
        values = np.full(len(counts_a), np.nan)
        for k, counts in enumerate(counts_a):
            with suppress(Undefined):
                values[k] = self.value(weighted_covariances(sums, counts), a, b)[0]
        return values


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
    if sum(y.size for y in right.values()) > _STACK:

        def single(k: int) -> None:
            i, j = pairs[k]
            work([k], (right[j].T @ left[i])[None])

        map_threads(single, range(len(pairs)))
        return
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

    def several(run: list[int]) -> None:
        i, first = pairs[run[0]]
        x, size = left[i], right[first].shape[1]
        places, stack = stacks[size]
        ys = stack[:, places[first] * size : (places[first] + len(run)) * size]
        work(run, (ys.T @ x).reshape(len(run), size, x.shape[1]))

    map_threads(several, runs)


def trial_sums(a: Coordinates, b: Coordinates) -> dict[str, np.ndarray]:
    """Sums over the steps of each trial: number of steps, x, y, x x', y y', x y'."""
    lengths = a.layout.lengths
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

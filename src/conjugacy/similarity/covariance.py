"""What the shape measures, CCA and linear CKA share: they see two systems only through three covariance matrices.

The states of each system are centred and turned to their principal coordinates once (which leaves these measures
unchanged, drops directions without variance, and replaces n units by at most m coordinates where samples are fewer
than units). A pair then costs one product of the coordinates. Sums over trials give the covariances of any resample of
trials, so that a bootstrap needs no pass over the data.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from conjugacy.similarity.measure import Measure
from conjugacy.similarity.regression import principal_axes
from conjugacy.similarity.samples import Samples, check_paired, check_varies, shuffled_order
from conjugacy.system import System


@dataclass(frozen=True, eq=False)
class Coordinates:
    """States of one system in principal coordinates.

    Attributes
    ----------
    samples : Samples
    scores : array (sample, component)
        Centred; the columns are orthogonal.
    sd : array (component,)
        Standard deviations of the columns, descending.
    axes : array (unit, component)
        ``states - mean = scores @ axes.T``.
    """

    samples: Samples
    scores: np.ndarray
    sd: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, system: System, measure: str) -> Coordinates:
        """Principal coordinates of the states of `system`; raises ValueError if they are constant."""
        samples = Samples.of(system)
        check_varies(samples, measure)
        rows = samples.rows()
        mean, sd, axes = principal_axes(rows)
        scores = (rows - mean) @ axes
        return cls(samples, scores, sd, axes)

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return self.samples.n_trials

    def reorder(self, order: np.ndarray) -> Coordinates:
        """The same with the trials in another order."""
        trials = np.split(self.scores, np.cumsum(self.samples.lengths)[:-1])
        return Coordinates(self.samples.take(order), np.concatenate([trials[k] for k in order]), self.sd, self.axes)

    def keep(self, n_components: int) -> Coordinates:
        """The leading components only."""
        n = n_components
        return Coordinates(self.samples, self.scores[:, :n], self.sd[:n], self.axes[:, :n])


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

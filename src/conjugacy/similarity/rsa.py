"""Representational similarity analysis (Kriegeskorte et al. 2008): compare matrices of dissimilarities between states.

The states are those of all trials and steps, or the mean state of each trial. Squared Euclidean dissimilarities
compared by the cosine of the doubly centred matrices are linear CKA, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.stats import kendalltau, rankdata
from typing_extensions import override

from conjugacy._check import check_choice, check_int
from conjugacy.similarity.cka import centred, spread_rows
from conjugacy.similarity.jackknife import jackknife_interval
from conjugacy.similarity.measure import Measure
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.samples import Layout, Samples, check_paired, check_varies, repeated
from conjugacy.similarity.score import OFF_DATA, Interval, Traits, Undefined
from conjugacy.system import System

DISSIMILARITIES = ("euclidean", "sqeuclidean", "correlation", "cosine", "cityblock")
COMPARATORS = ("pearson", "spearman", "kendall", "cosine", "centred_cosine")


@dataclass(frozen=True, eq=False)
class Dissimilarities:
    """Dissimilarities between states, (sample, sample); the trial of each state, and its own number."""

    layout: Layout
    matrix: np.ndarray
    trial: np.ndarray
    state: np.ndarray

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return self.layout.n_trials


@dataclass(frozen=True)
class RSA(Measure):
    """Similarity of two matrices of dissimilarities.

    Attributes
    ----------
    dissimilarity : {"euclidean", "sqeuclidean", "correlation", "cosine", "cityblock"}
    comparator : {"pearson", "spearman", "kendall", "cosine", "centred_cosine"}
        "centred_cosine" takes the cosine after double centring: equal to linear CKA for "sqeuclidean".
    of : {"states", "trials"}
        Compare states at all steps, or the mean state of each trial.
    max_samples : int
        At most this many states, drawn from all trials and steps.
    """

    dissimilarity: str = "euclidean"
    comparator: str = "spearman"
    of: str = "states"
    max_samples: int = 500

    def __post_init__(self):
        check_choice("dissimilarity", self.dissimilarity, DISSIMILARITIES)
        check_choice("comparator", self.comparator, COMPARATORS)
        check_choice("of", self.of, ("states", "trials"))
        check_int("max_samples", self.max_samples, 4)

    @property
    @override
    def traits(self) -> Traits:
        invariances = {"permutation", "observation noise"}
        if self.dissimilarity in ("euclidean", "sqeuclidean"):
            invariances |= {"rotation", "mirror", "scaling", "translation", "other size"}
        elif self.dissimilarity == "cosine":
            invariances |= {"rotation", "mirror", "scaling", "other size"}
        elif self.dissimilarity == "cityblock":
            invariances |= {"scaling", "translation"}
        else:
            invariances |= {"scaling"}
        return Traits(
            name="rsa",
            version="1",
            summary=f"{self.comparator} of {self.dissimilarity} dissimilarities between {self.of}",
            needs="paired trajectories",
            low=0.0 if self.comparator == "cosine" else -1.0,
            high=1.0,
            perfect=1.0,
            higher_is_more_similar=True,
            invariances=frozenset(invariances),
            blind_to=OFF_DATA | {"other dynamics, same geometry"},
            reference="Kriegeskorte, Mur, Bandettini 2008",
        )

    @override
    def prepare(self, system: System, train: System | None = None) -> Dissimilarities:
        del train
        samples = Samples.of(system)
        check_varies(samples, "rsa")
        if self.of == "trials":
            rows, trial = samples.x.sum(1) / samples.lengths[:, None], np.arange(samples.n_trials)
        else:
            rows, trial = spread_rows(samples, self.max_samples)
        if len(rows) < 3:
            raise ValueError(f"`of`: expected at least 3 {self.of} in {system.name!r}, got {len(rows)}.")
        if self.dissimilarity in ("correlation", "cosine"):
            self._check_directions(rows, system.name)
        matrix = squareform(pdist(rows, self.dissimilarity))  # type: ignore[call-overload]
        return Dissimilarities(samples.layout, matrix, trial, np.arange(len(rows)))

    def _check_directions(self, rows: np.ndarray, name: str) -> None:
        spread = rows - rows.mean(1, keepdims=True) if self.dissimilarity == "correlation" else rows
        if (np.linalg.norm(spread, axis=1) == 0).any():
            raise ValueError(
                f"`dissimilarity`: {self.dissimilarity!r} is undefined for states without direction, which {name!r} "
                "has (all units equal, or zero). Use 'euclidean'."
            )

    @override
    def compare(self, a: Dissimilarities, b: Dissimilarities) -> tuple[float, dict[str, Any]]:
        check_paired(a.layout, b.layout, "rsa")
        i, j = np.triu_indices(len(a.matrix), 1)
        apart = a.state[i] != a.state[j]  # a state drawn twice says nothing about dissimilarity
        i, j = i[apart], j[apart]
        diagnostics = {"n_states": len(np.unique(a.state)), "n_pairs": len(i)}
        if self.comparator == "centred_cosine":
            x, y = centred(a.matrix), centred(b.matrix)
            return self._cosine(x.ravel(), y.ravel(), a.layout.name, b.layout.name), diagnostics
        x, y = a.matrix[i, j], b.matrix[i, j]
        if self.comparator != "cosine":
            for side, v in ((a, x), (b, y)):
                # ranks of rounding errors would pass for data
                if len(v) < 2 or np.ptp(v) <= 1e-12 * v.max():
                    raise self._undefined(side.layout.name)
        if self.comparator == "kendall":
            return float(np.asarray(kendalltau(x, y))[0]), diagnostics
        if self.comparator == "spearman":
            x, y = rankdata(x), rankdata(y)
        if self.comparator != "cosine":
            x, y = x - x.mean(), y - y.mean()
        return self._cosine(x, y, a.layout.name, b.layout.name), diagnostics

    def _cosine(self, x: np.ndarray, y: np.ndarray, name_a: str, name_b: str) -> float:
        norms = np.linalg.norm(x), np.linalg.norm(y)
        for name, norm in zip((name_a, name_b), norms):
            if norm == 0:
                raise self._undefined(name)
        return float(x @ y / (norms[0] * norms[1]))

    def _undefined(self, name: str) -> Undefined:
        return Undefined(
            f"`trajectories` of {name!r}: 'rsa' by {self.comparator!r} is undefined, got dissimilarities that are all "
            "the same. Use more states, or another comparator."
        )

    @override
    def interval(self, a: Dissimilarities, b: Dissimilarities, value: float, resampling: Resampling) -> Interval:
        return jackknife_interval(self, a, b, value, resampling)

    @override
    def compare_resampled(
        self, a: Dissimilarities, b: Dissimilarities, counts_a: np.ndarray, counts_b: np.ndarray
    ) -> np.ndarray:
        """As `Measure.compare_resampled`; ranks are those among all trials: sums over pairs of trials suffice."""
        if self.comparator in ("kendall", "centred_cosine"):
            return super().compare_resampled(a, b, counts_a, counts_b)
        check_paired(a.layout, b.layout, "rsa")
        x, y = a.matrix, b.matrix
        if self.comparator == "spearman":
            x, y = (squareform(rankdata(squareform(m, checks=False))) for m in (x, y))
        if self.comparator != "cosine":  # changes nothing but rounding
            x, y = (m - m.sum() / (len(m) * (len(m) - 1)) for m in (x, y))
        member = (a.trial[:, None] == np.arange(a.n_trials)).astype(float)
        apart = 1.0 - np.eye(len(x))  # a state says nothing about dissimilarity to itself
        w = counts_a.astype(float)
        n, sx, sy, sxx, syy, sxy = (
            np.einsum("rk,rk->r", w @ (member.T @ (m * apart) @ member), w) for m in (apart, x, y, x * x, y * y, x * y)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.comparator == "cosine":
                return sxy / np.sqrt(sxx * syy)
            return (sxy - sx * sy / n) / np.sqrt((sxx - sx**2 / n) * (syy - sy**2 / n))

    @override
    def resample(self, features: Dissimilarities, counts: np.ndarray) -> Dissimilarities:
        rows = repeated(counts[features.trial])
        return Dissimilarities(
            features.layout, features.matrix[np.ix_(rows, rows)], features.trial[rows], features.state[rows]
        )

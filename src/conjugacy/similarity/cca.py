"""Canonical correlations, and the two averages of them that are in use: SVCCA and PWCCA.

With whitened states Ux, Uy, the canonical correlations are the singular values of Ux' Uy.

- SVCCA (Raghu et al. 2017) keeps the leading principal components of each system, those that hold a given share of the
  variance, and takes the mean of the min(rank) correlations. Components of equal variance are kept together, since
  which of them comes first is arbitrary.
- PWCCA (Morcos et al. 2018) weights the correlation of the canonical variate h_i of the first system by
  sum_j |<h_i, x_j>| over its units x_j: variates that the units carry count more. The weights depend on the axes, so
  PWCCA is not invariant to rotations of the first system, and not symmetric. Where k correlations are equal, their
  variates are any basis of a subspace, and the weights are undefined. That is an error where it changes the value;
  ``repeated="mean"`` takes the mean weight over all bases, k E|e_1| sum_j |P x_j|, with P the projection on the
  subspace and e uniform on the unit sphere of k dimensions, which is unique.

The angular distance made of all canonical correlations, which is a metric, is `CCA`, the shape distance at alpha = 0.
With few samples many correlations are 1 by algebra (see `canonical`): the score says so in its `warnings`, and its
diagnostics hold the value on held-out samples, "cross_validated".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln
from typing_extensions import override

from conjugacy._check import check_choice, check_int, check_number
from conjugacy.similarity.bootstrap import check_enough_trials
from conjugacy.similarity.canonical import (
    canonical_correlations,
    forced_warning,
    held_out_correlations,
    n_forced,
)
from conjugacy.similarity.covariance import Coordinates, CovarianceMeasure, Covariances
from conjugacy.similarity.procrustes import Shape
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.score import OFF_DATA, Interval, Traits, Undefined
from conjugacy.similarity.strength_intervals import Strengths, strength_interval
from conjugacy.system import System

_EQUAL = 1e-9  # correlations nearer to each other than this are equal: rounding mixes their variates
_SPREAD = 1e-6  # a value that the choice of a basis moves by less is defined


@dataclass(frozen=True)
class CCA(Shape):
    """Angular distance of whitened states: the arc cosine of the mean canonical correlation, a metric.

    Attributes
    ----------
    alpha : float
        0 whitens the states; other values give the shape distances of `conjugacy.similarity.procrustes`.
    """

    alpha: float = 0.0


@dataclass(frozen=True)
class SVCCA(CovarianceMeasure):
    """Mean canonical correlation of the leading principal components; see the module docstring.

    Attributes
    ----------
    variance : float
        Share of each system's variance that the kept components hold, in (0, 1].
    n_components : int or None
        Keep so many components in place of a share of the variance; of systems that have fewer, all.
    """

    variance: float = 0.99
    n_components: int | None = None

    def __post_init__(self):
        check_number("variance", self.variance, 0, 1, open_low=True)
        if self.n_components is not None:
            check_int("n_components", self.n_components, 1, hint="Or None for a share of the variance.")

    @property
    @override
    def traits(self) -> Traits:
        n = self.n_components
        kept = f"components with {self.variance:.0%} of the variance" if n is None else f"{n} leading components"
        return Traits(
            name="svcca",
            version="2",
            summary=f"mean canonical correlation of the {kept}",
            needs="paired trajectories",
            low=0.0,
            high=1.0,
            perfect=1.0,
            higher_is_more_similar=True,
            invariances=frozenset(
                {"rotation", "mirror", "permutation", "scaling", "translation", "other size", "observation noise"}
            ),
            blind_to=OFF_DATA | {"other dynamics, same geometry"},
            reference="Raghu, Gilmer, Yosinski, Sohl-Dickstein 2017",
        )

    @override
    def prepare(self, system: System, train: System | None = None) -> Coordinates:
        features = super().prepare(system, train)
        share = np.cumsum(features.sd**2) / np.sum(features.sd**2)
        if self.n_components is not None:
            return features.keep(min(self.n_components, len(share)))
        n = int(np.searchsorted(share, self.variance - 1e-12)) + 1
        return features.keep(int((features.sd >= (1 - 1e-6) * features.sd[min(n, len(share)) - 1]).sum()))

    @override
    def value(self, c: Covariances, a: Coordinates, b: Coordinates) -> tuple[float, dict[str, Any]]:
        correlations, _ = canonical_correlations(c)
        return float(correlations.mean()), {"rank_a": len(c.xx), "rank_b": len(c.yy), "correlations": correlations}

    @override
    def interval(self, a: Coordinates, b: Coordinates, value: float, resampling: Resampling) -> Interval:
        def strengths(c: Covariances) -> Strengths:
            correlations = canonical_correlations(c)[0]
            return Strengths(correlations, correlations, 1.0, 1.0)

        check_enough_trials(self, a, b)
        return strength_interval(strengths, lambda found: float(found.s.mean()), a, b, value, resampling, 0.0, 1.0)

    @override
    def doubts(self, c: Covariances, a: Coordinates, b: Coordinates) -> dict[str, Any]:
        text = forced_warning(c.n, len(c.xx), len(c.yy))
        if not text:
            return {}
        return {"warnings": (text,), "cross_validated": float(held_out_correlations(a, b)[0].mean())}


@dataclass(frozen=True)
class PWCCA(CovarianceMeasure):
    """Canonical correlations weighted by what the first system's units carry; see the module docstring.

    Attributes
    ----------
    repeated : {"error", "mean"}
        What to do where equal correlations leave the value undefined: raise, or take the mean weight over all bases.
    """

    repeated: str = "error"

    def __post_init__(self):
        check_choice("repeated", self.repeated, ("error", "mean"))

    @property
    @override
    def traits(self) -> Traits:
        return Traits(
            name="pwcca",
            version="2",
            summary="canonical correlations weighted by how much of a's units they carry",
            needs="paired trajectories",
            low=0.0,
            high=1.0,
            perfect=1.0,
            higher_is_more_similar=True,
            symmetric=False,
            # whatever the weights are, they average correlations that are all 1 here
            invariances=frozenset(
                {
                    "rotation",
                    "mirror",
                    "permutation",
                    "scaling",
                    "translation",
                    "affine map",
                    "other size",
                    "observation noise",
                }
            ),
            blind_to=OFF_DATA | {"other dynamics, same geometry"},
            reference="Morcos, Raghu, Bengio 2018, eq. 2",
        )

    @override
    def value(self, c: Covariances, a: Coordinates, b: Coordinates) -> tuple[float, dict[str, Any]]:
        correlations, directions = canonical_correlations(c)
        weights, spread = carried(correlations, directions.T @ c.xx @ a.axes.T)
        if spread > _SPREAD and self.repeated == "error":
            forced = n_forced(c.n, len(c.xx), len(c.yy))
            cause = (
                f"{forced} of {len(correlations)} canonical correlations are 1 by algebra ({int(c.n)} samples, "
                f"{len(c.xx)} and {len(c.yy)} dimensions)"
                if forced > 1
                else f"some of the {len(correlations)} canonical correlations are equal"
            )
            raise Undefined(
                f"`repeated`: 'pwcca' of {a.layout.name!r} and {b.layout.name!r} is undefined, since {cause}, and its "
                f"weights depend on an arbitrary basis, which moves the value by up to {spread:.2g}. Got 'error'; use "
                "get_measure('pwcca', repeated='mean') for the mean over all bases, or 'svcca'."
            )
        value = float(weights @ correlations / weights.sum())
        return value, {"rank_a": len(c.xx), "rank_b": len(c.yy), "correlations": correlations}

    @override
    def doubts(self, c: Covariances, a: Coordinates, b: Coordinates) -> dict[str, Any]:
        text = forced_warning(c.n, len(c.xx), len(c.yy))
        if not text:
            return {}
        correlations, weights = held_out_correlations(a, b)
        return {"warnings": (text,), "cross_validated": float(weights @ correlations / weights.sum())}


def carried(correlations: np.ndarray, products: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights (variate,) from products <h_i, x_j> (variate, unit), the mean over bases where correlations are equal.

    The second result bounds by how much their weighted mean depends on the bases.
    """
    weights = np.abs(products).sum(1)
    groups = np.split(np.arange(len(weights)), np.flatnonzero(correlations[:-1] - correlations[1:] > _EQUAL) + 1)
    lengths = [np.linalg.norm(products[group], axis=0).sum() for group in groups]
    for group, length in zip(groups, lengths):
        k = len(group)
        if k > 1:
            # E|e_1| = gamma(k / 2) / (sqrt(pi) gamma((k + 1) / 2)), whose factors overflow by themselves
            weights[group] = length * np.exp(gammaln(k / 2) - gammaln((k + 1) / 2)) / np.sqrt(np.pi)

    def mean_with(group: np.ndarray, weight: float) -> float:
        w = weights.copy()
        w[group] = weight / len(group)
        return float(w @ correlations / w.sum())

    spread = 0.0
    for group, length in zip(groups, lengths):
        if len(group) > 1:
            # the weights of any orthonormal basis lie between these
            spread += abs(mean_with(group, length) - mean_with(group, np.sqrt(len(group)) * length))
    return weights, spread

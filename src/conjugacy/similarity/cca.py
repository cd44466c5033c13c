"""Canonical correlations, and the two averages of them that are in use: SVCCA and PWCCA.

With whitened states Ux, Uy, the canonical correlations are the singular values of Ux' Uy.

- SVCCA (Raghu et al. 2017) keeps the leading principal components of each system, those that hold a given share of the
  variance, and takes the mean of the min(rank) correlations.
- PWCCA (Morcos et al. 2018) weights the correlation of the canonical variate h_i of the first system by
  sum_j |<h_i, x_j>| over its units x_j: variates that the units carry count more. The weights depend on the axes, so
  PWCCA is not invariant to rotations of the first system, and not symmetric.

The angular distance made of all canonical correlations, which is a metric, is `CCA`, the shape distance at alpha = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from conjugacy._check import check_number
from conjugacy.similarity.covariance import Coordinates, CovarianceMeasure, Covariances
from conjugacy.similarity.procrustes import Shape
from conjugacy.similarity.score import OFF_DATA, Traits
from conjugacy.system import System


def canonical_correlations(c: Covariances) -> tuple[np.ndarray, np.ndarray]:
    """Correlations (min rank,), descending, and the canonical directions of x (component, min rank)."""
    wx, wy = _inverse_root(c.xx), _inverse_root(c.yy)
    left, s, _ = np.linalg.svd(wx @ c.xy @ wy, full_matrices=False)
    return s.clip(0, 1), wx @ left


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
    """

    variance: float = 0.99

    def __post_init__(self):
        check_number("variance", self.variance, 0, 1, open_low=True)

    @property
    @override
    def traits(self) -> Traits:
        return Traits(
            name="svcca",
            version="1",
            summary=f"mean canonical correlation of the components with {self.variance:.0%} of the variance",
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
        return features.keep(int(np.searchsorted(share, self.variance - 1e-12)) + 1)

    @override
    def value(self, c: Covariances, a: Coordinates, b: Coordinates) -> tuple[float, dict[str, Any]]:
        correlations, _ = canonical_correlations(c)
        return float(correlations.mean()), {"rank_a": len(c.xx), "rank_b": len(c.yy), "correlations": correlations}


@dataclass(frozen=True)
class PWCCA(CovarianceMeasure):
    """Canonical correlations weighted by what the first system's units carry; see the module docstring."""

    @property
    @override
    def traits(self) -> Traits:
        return Traits(
            name="pwcca",
            version="1",
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
        carried = np.abs(directions.T @ c.xx @ a.axes.T).sum(1)
        return float(carried @ correlations / carried.sum()), {"rank_a": len(c.xx), "rank_b": len(c.yy)}


def _inverse_root(cov: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(cov)
    keep = values > 1e-12 * values.max()
    return (vectors[:, keep] / np.sqrt(values[keep])) @ vectors[:, keep].T

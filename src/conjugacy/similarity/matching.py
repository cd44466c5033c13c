"""Shape distances under smaller groups than rotations: units matched one to one, or softly.

- permutation: arccos of max over assignments of units sum_i C_i,p(i) / (|X| |Y|), C the cross-covariance: a metric
  (Williams et al. 2021), blind to nothing but the order of units. The smaller system has silent units added.
- soft matching (Khosla and Williams 2024): each unit's weight, 1/n on one side and 1/m on the other, is spread over
  partners so that the mean correlation of partners is largest: for n = m the best is one to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from typing_extensions import override

from conjugacy.similarity.covariance import Coordinates, CovarianceMeasure, Covariances
from conjugacy.similarity.score import OFF_DATA, Traits
from conjugacy.similarity.spectrum import _transport


@dataclass(frozen=True)
class Permutation(CovarianceMeasure):
    """Angular distance after the best one-to-one matching of units; see the module docstring."""

    @property
    @override
    def traits(self) -> Traits:
        return Traits(
            name="permutation",
            version="1",
            summary="angular shape distance, units matched one to one",
            needs="paired trajectories",
            low=0.0,
            high=np.pi,
            perfect=0.0,
            higher_is_more_similar=False,
            is_metric=True,
            invariances=frozenset({"permutation", "scaling", "translation", "observation noise"}),
            blind_to=OFF_DATA | {"other dynamics, same geometry"},
            reference="Williams, Kunz, Kornblith, Linderman 2021",
        )

    @override
    def value(self, c: Covariances, a: Coordinates, b: Coordinates) -> tuple[float, dict[str, Any]]:
        cross = a.axes @ c.xy @ b.axes.T
        # silent units may take partners that would only cost
        padded = np.zeros((sum(cross.shape),) * 2) if cross.shape[0] != cross.shape[1] else cross
        padded[: cross.shape[0], : cross.shape[1]] = cross
        rows, columns = linear_sum_assignment(-padded)
        power = np.trace(c.xx) * np.trace(c.yy)
        cosine = padded[rows, columns].sum() / np.sqrt(power)
        if cosine > 1 - 1e-6 and c.n == len(a.scores) and cross.shape[0] == cross.shape[1]:
            # near zero arccos loses half of the digits
            x, y = a.scores @ a.axes.T / np.sqrt(np.trace(c.xx)), b.scores @ b.axes.T / np.sqrt(np.trace(c.yy))
            chord = np.sqrt(((x[:, rows] - y[:, columns]) ** 2).sum() / c.n)
            return float(2 * np.arcsin(min(chord / 2, 1.0))), {"n_samples": int(c.n)}
        return float(np.arccos(np.clip(cosine, -1, 1))), {"n_samples": int(c.n)}


@dataclass(frozen=True)
class SoftMatching(CovarianceMeasure):
    """Mean correlation of softly matched units; see the module docstring."""

    @property
    @override
    def traits(self) -> Traits:
        return Traits(
            name="soft_matching",
            version="1",
            summary="mean correlation of softly matched units",
            needs="paired trajectories",
            low=-1.0,
            high=1.0,
            perfect=1.0,
            higher_is_more_similar=True,
            invariances=frozenset({"permutation", "scaling", "translation", "observation noise"}),
            blind_to=OFF_DATA,
            reference="Khosla and Williams 2024",
        )

    @override
    def value(self, c: Covariances, a: Coordinates, b: Coordinates) -> tuple[float, dict[str, Any]]:
        sd_x = np.sqrt(np.einsum("ui,ij,uj->u", a.axes, c.xx, a.axes))
        sd_y = np.sqrt(np.einsum("ui,ij,uj->u", b.axes, c.yy, b.axes))
        scale = np.outer(sd_x, sd_y)
        cross = a.axes @ c.xy @ b.axes.T
        # units that never vary correlate with nothing
        correlation = np.divide(cross, scale, out=np.zeros_like(cross), where=scale > 1e-12 * scale.max())
        if correlation.shape[0] == correlation.shape[1]:
            rows, columns = linear_sum_assignment(-correlation)
            return float(correlation[rows, columns].mean()), {"n_samples": int(c.n)}
        return float(1 - _transport(1 - correlation)), {"n_samples": int(c.n)}

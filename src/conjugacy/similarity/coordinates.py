"""Principal coordinates of a cloud of states, with a floor under their scale, and states drawn around the cloud.

In the coordinates z = V' (x - mean) / s, with s_i^2 = l_i + f^2 l, l_i the variance along the i-th principal
direction, l their mean and f the share `across`, the cloud has unit variance where it extends, and directions that it
does not enter have a scale all the same: that of a perturbation that gives each unit the share f of its spread.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ACROSS = 0.1  # of the spread of a unit: perturbations in directions that the data do not enter
ALONG = 0.3  # of the spread of the data in their own directions
_MOST_QUANTILED = 20_000  # states whose range is looked at


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Principal coordinates of states, see the module docstring.

    Attributes
    ----------
    mean : Tensor (unit,)
    variances : Tensor (unit,)
        Along the principal directions, by falling size.
    directions : Tensor (unit, unit)
        One a column.
    scale : Tensor (unit,)
        What one unit of a coordinate is; positive.
    low, high : Tensor (unit,)
        Between which 99 % of the states lie in each coordinate.
    """

    mean: Tensor
    variances: Tensor
    directions: Tensor
    scale: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, x: Tensor, across: float = ACROSS) -> Coordinates:
        """The coordinates of states x (sample, unit)."""
        mean = x.mean(0)
        centred = x - mean
        values, vectors = torch.linalg.eigh(centred.T @ centred / max(len(x) - 1, 1))
        variances = values.flip(0).clamp(min=0.0)
        floor = across**2 * variances.mean()
        if not float(floor) > 0.0:
            floor = torch.ones((), dtype=x.dtype)  # one state: any scale will do
        directions, scale = vectors.flip(1), (variances + floor).sqrt()
        z = centred[torch.linspace(0, len(x) - 1, min(len(x), _MOST_QUANTILED)).long()] @ directions / scale
        low, high = torch.quantile(z, torch.tensor([0.005, 0.995], dtype=x.dtype), dim=0)
        return cls(mean, variances, directions, scale, low, high)

    @property
    def floor(self) -> Tensor:
        """Variance that every direction has at least."""
        return self.scale[-1] ** 2 - self.variances[-1]

    def apply(self, x: Tensor) -> Tensor:
        """Coordinates z of states x (..., unit)."""
        return (x - self.mean) @ self.directions / self.scale

    def invert(self, z: Tensor) -> Tensor:
        """States x of coordinates z (..., unit)."""
        return self.mean + (z * self.scale) @ self.directions.T

    def n_filled(self, share: float = 1e-4) -> int:
        """How many directions hold at least this share of the variance each."""
        return int((self.variances > share * self.variances.sum()).sum())

    def perturb(self, x: Tensor, generator: torch.Generator, along: float = ALONG) -> Tensor:
        """States around x (sample, unit): Gaussian, `along` of the spread in the cloud's directions, a floor in all.

        In its own directions no state is pushed out of the range of the cloud.
        """
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        z, floor = self.apply(x), self.floor.sqrt() / self.scale
        inside = torch.clamp(z + noise * along * self.variances.sqrt() / self.scale, self.low, self.high)
        across = floor * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        return self.invert(torch.where((z < self.low) | (z > self.high), z, inside) + across)

    def in_box(self, n: int, reach: float, generator: torch.Generator) -> Tensor:
        """`n` states, uniform in the box of `reach` scales to either side of the mean."""
        draws = torch.rand(n, len(self.mean), generator=generator, dtype=self.mean.dtype)
        return self.invert(reach * (2 * draws - 1))

"""Maps between the states of two systems: affine, polynomial, and with a network on top; fitted to paired states.

    h(x) = P( W f(z) + n(z) ),   z the coordinates of x in A, P from coordinates to states of B

with f(z) all of z and products of its first components up to the degree, and n a network of two layers or nothing. W
is the least squares solution, by singular values, those below a cut left out; cut and degree are chosen on trials kept
for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement

import torch
from torch import Tensor, nn

from conjugacy.similarity.coordinates import Coordinates

_MOST_FEATURES = {2: 20, 3: 10}  # components whose products are taken
_CUTS = (1e-12, 1e-6, 1e-3)  # of the largest singular value


@dataclass(frozen=True, eq=False)
class StateMap:
    """A map from states of A to states of B; call it on states (..., unit of A).

    Attributes
    ----------
    a, b : Coordinates
    degree : int
        1, 2 or 3.
    weights : Tensor (feature, unit of B)
    network : Module or None
        Added in coordinates of B.
    """

    a: Coordinates
    b: Coordinates
    degree: int
    weights: Tensor
    network: nn.Module | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """States of B (..., unit of B) for states x of A."""
        z = self.a.apply(x)
        w = features(z, self.degree, self.a) @ self.weights
        if self.network is not None:
            w = w + self.network(z)
        return self.b.invert(w)

    @property
    def kind(self) -> str:
        """In words: "affine", "quadratic", "cubic", with " + network"."""
        return ("affine", "quadratic", "cubic")[self.degree - 1] + (" + network" if self.network is not None else "")


def features(z: Tensor, degree: int, a: Coordinates) -> Tensor:
    """1, z (..., unit), and products of its first components up to `degree`: (..., feature)."""
    parts = [torch.ones_like(z[..., :1]), z]
    for power in range(2, degree + 1):
        n = min(a.n_filled(), _MOST_FEATURES[power])
        at = torch.tensor(list(combinations_with_replacement(range(n), power)))
        parts.append(z[..., at].prod(-1))
    return torch.cat(parts, -1)


@torch.no_grad()
def closed_forms(a: Coordinates, b: Coordinates, x: Tensor, y: Tensor) -> list[StateMap]:
    """Least squares maps from x to y (sample, unit): each degree with each cut of singular values."""
    z, w = a.apply(x), b.apply(y)
    maps = []
    for degree in (1, 2, 3):
        f = features(z, degree, a)
        if degree > 1 and len(f) < 2 * f.shape[1]:
            break  # more coefficients than these states can tell
        u, s, v = torch.linalg.svd(f, full_matrices=False)
        for cut in _CUTS:
            keep = s > cut * s[0]
            weights = (v[keep].T / s[keep]) @ (u[:, keep].T @ w)
            maps.append(StateMap(a, b, degree, weights))
    return maps


class Network(nn.Module):
    """Two layers of tanh, whose output begins at zero."""

    def __init__(self, n_in: int, n_out: int, width: int, generator: torch.Generator):
        super().__init__()
        self.w1 = nn.Parameter(torch.randn(n_in, width, generator=generator, dtype=torch.float64) / n_in**0.5)
        self.b1 = nn.Parameter(0.5 * torch.randn(width, generator=generator, dtype=torch.float64))
        self.w2 = nn.Parameter(torch.randn(width, width, generator=generator, dtype=torch.float64) / width**0.5)
        self.b2 = nn.Parameter(torch.zeros(width, dtype=torch.float64))
        self.w3 = nn.Parameter(torch.zeros(width, n_out, dtype=torch.float64))

    def forward(self, z: Tensor) -> Tensor:
        """Coordinates of B (..., unit of B) for coordinates z of A."""
        return torch.tanh(torch.tanh(z @ self.w1 + self.b1) @ self.w2 + self.b2) @ self.w3

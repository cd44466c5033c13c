"""F(x) = const: one fixed point, which forgets everything in one step."""

import math

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.dynamics import linearisation_error, timescales_along

X0 = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(
    "step",
    [
        lambda x, u: torch.full_like(x, 0.3),
        lambda x, u: torch.full((len(x), 3), 0.3, dtype=torch.float64),
        lambda x, u: u.expand(len(x), 3) * 1.0,
        lambda x, u: 0 * x + 0.3,
        lambda x: 0 * x + 0.3,
    ],
)
def test_the_constant_is_the_fixed_point(step):
    points = cj.fixed_points(step, X0, 0.3, n_inits=16, progress=False)
    np.testing.assert_allclose(points.x, np.full((1, 3), 0.3))
    assert abs(points.jacobian).max() == 0 and points.n_unstable.tolist() == [0]


def test_time_constants_and_errors_at_rest_are_said():
    x = torch.full((4, 10, 3), 0.3, dtype=torch.float64)
    system = cj.System.from_arrays("rest", x, step=lambda x, u: torch.full_like(x, 0.3), dt=0.1)
    assert float(timescales_along(system, 2).abs().max()) == 0
    points = cj.fixed_points(system, n_inits=8, progress=False)
    assert math.isnan(linearisation_error(system, points).mean)  # 0 / 0: nothing moves


def test_the_jacobian_that_a_cell_returns_is_not_written_to():
    class Linear(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(0.5 * torch.eye(3, dtype=torch.float64))

        def forward(self, u, x):
            return x @ self.w.T + u

        def jacobian(self, u, x):
            w = self.w.expand(len(x), 3, 3)
            return w, torch.ones(len(x), 3, 1, dtype=torch.float64)

    points = cj.fixed_points(Linear(), X0, 0.1, n_inits=16, progress=False)
    np.testing.assert_allclose(points.x, np.full((1, 3), 0.2))

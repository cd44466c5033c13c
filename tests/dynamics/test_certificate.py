import math

import pytest
import torch

from conjugacy.dynamics._as_map import as_map
from conjugacy.dynamics.certificate import certify
from conjugacy.dynamics.map import Reduced

from .known_systems import flip_flop, states


def quadratic(slope):
    """g(y) = slope y + y^2: zeros 0 and -slope, L = 2, beta = 1 / |slope| at 0."""
    return Reduced(
        lambda x: x,
        lambda y, u: y,
        lambda y, u: slope * y + y * y,
        lambda y, u: (slope + 2 * y)[..., None],
        lambda y, u, radius: torch.full_like(radius, 2.0),
    )


def run(equation, y, scale=1.0):
    y = torch.tensor(y, dtype=torch.float64).reshape(-1, 1)
    return certify(equation, y, torch.zeros(1).double(), scale, torch.Generator().manual_seed(0))


def test_kantorovich_radius_is_that_of_the_theorem():
    # at the zero itself eta = 0, h = 0: unique within 2 / (beta L) = slope, where the other zero lies
    certificate = run(quadratic(0.25), [0.0])
    assert certificate.method == ["kantorovich"]
    assert 0.25 * 0.6 < float(certificate.radius) <= 0.25 * (1 + 1e-6)
    assert float(certificate.error) < 1e-12


def test_kantorovich_error_bounds_the_distance_to_the_zero():
    y = [1e-2, -1e-3, 3e-2]
    certificate = run(quadratic(0.25), y)
    assert all(abs(v) <= float(e) <= 1.5 * abs(v) for v, e in zip(y, certificate.error))


def test_no_certificate_without_a_simple_zero():
    # a double zero, and a point from which h > 1/2 (g has no zero near: y^2 + 1e-4)
    assert run(quadratic(0.0), [0.0]).method == ["none"]
    ghost = Reduced(*(None,) * 2, lambda y, u: y * y + 1e-4, lambda y, u: (2 * y)[..., None], lambda y, u, r: 2 + 0 * r)
    assert run(ghost, [1e-3]).method == ["none"]


def test_contraction_where_no_bound_is_known():
    equation = quadratic(0.25)
    blind = Reduced(equation.project, equation.lift, equation.residual, equation.jacobian)
    certificate = run(blind, [0.0, -0.25])
    assert certificate.method == ["contraction"] * 2
    # |I - R^-1 R(y)| = 8 |y| <= 1/2
    assert all(0 < float(r) <= 1 / 16 for r in certificate.radius)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_balls_of_the_flip_flop_hold_one_zero_each(n):
    dynamics = as_map(flip_flop(n))
    root = 1.0
    for _ in range(200):
        root = math.tanh(2 * root)
    grid = torch.cartesian_prod(*[torch.tensor([-root, 0.0, root], dtype=torch.float64)] * n).reshape(-1, n)
    u = torch.zeros(n).double()
    certificate = certify(dynamics.equation(), grid, u, 1.0, torch.Generator().manual_seed(0))
    assert certificate.method == ["kantorovich"] * 3**n
    gap = torch.cdist(grid, grid) + torch.diag(torch.full((3**n,), torch.inf).double())
    assert bool((certificate.radius < gap.amin(1)).all())
    assert bool((certificate.error < 1e-12).all())


def test_newton_from_a_third_of_the_radius_goes_to_its_zero():
    # Rheinboldt 1974: Newton's method converges from within 2 / (3 beta L) of a zero; the radius is <= 2 / (beta L)
    dynamics = as_map(flip_flop(2, gain=1.7))
    u = torch.zeros(2).double()
    certificate = certify(dynamics.equation(), torch.zeros(1, 2).double(), u, 1.0, torch.Generator().manual_seed(0))
    y = states(50, 2)
    y = 0.33 * float(certificate.radius) * y / y.norm(dim=-1, keepdim=True)
    for _ in range(30):
        held = u.expand(50, -1)
        y = y - torch.linalg.solve(dynamics.residual_jacobian(y, held), dynamics.residual(y, held))
    assert float(y.abs().max()) < 1e-12

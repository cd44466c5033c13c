"""Shares of rings and lines: planes that two inputs have in common, or not."""

import math

import pytest
import torch

import conjugacy as cj
from conjugacy.analysis.motif_shares import resting, share


def ring(x, pull):
    """Onto the unit circle of a plane, or to its centre."""
    r = x.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    return pull * x * (1 + 0.5 * (1 - r) / r) + (1 - pull) * 0.3 * x


def step(x, u):
    """Input 0 lets a ring be in units 0 and 1, input 1 in units 2 and 3; input 2 moves unit 4, a leaky one."""
    first, second = u[..., :1], u[..., 1:2]
    rest = 0.5 * x[..., 4:] + 0.5 * u[..., 2:3]
    return torch.cat([ring(x[..., :2], first), ring(x[..., 2:4], second), rest], -1)


def found(inputs, plane):
    """What rests under held inputs, searched from a ring in one of the two planes."""
    angle = 2 * math.pi * torch.rand(50, 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    x = torch.zeros(50, 5, dtype=torch.float64)
    x[:, 2 * plane : 2 * plane + 2] = torch.cat([angle.cos(), angle.sin()], 1)
    u = torch.tensor(inputs, dtype=torch.float64)
    orbits = [x]
    for _ in range(20):
        orbits.append(step(orbits[-1], u.expand(50, -1)))
    states = torch.stack(orbits, 1)
    held = u.expand(50, 21, -1)
    system = cj.System.from_arrays("planes", states, inputs=held, step=step, order="state, input")
    return cj.fixed_points(system, inputs=u, n_inits=64, horizon=40, seed=0, progress=False), u.numpy()


@pytest.fixture(scope="module")
def places():
    return {
        "first": found([1.0, 0.0, 0.0], 0),
        "first, moved": found([1.0, 0.0, 2.0], 0),
        "second": found([0.0, 1.0, 0.0], 1),
        "none": found([0.0, 0.0, 0.0], 0),
    }


def both(places, a, b):
    return share(places[a][0], places[b][0], places[b][1], 1), share(places[b][0], places[a][0], places[a][1], 1)


def test_a_ring_that_moves_as_a_whole_is_shared(places):
    assert both(places, "first", "first, moved") == pytest.approx((1.0, 1.0), abs=1e-3)
    assert both(places, "second", "second") == pytest.approx((1.0, 1.0), abs=1e-3)


def test_rings_in_other_planes_and_places_that_hold_nothing_share_nothing(places):
    assert max(both(places, "first", "second")) < 1e-3
    assert max(both(places, "first, moved", "second")) < 1e-3
    assert max(both(places, "first", "none")) < 1e-3


def test_all_plateaus_are_represented_alike(places):
    points = places["first"][0]
    assert len(resting(points)) == 64 * len(points.plateaus)
    assert resting(places["none"][0]).norm(dim=1).max() < 1e-3

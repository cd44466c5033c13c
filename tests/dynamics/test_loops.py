"""Loops: clouds that go round a hole, and those that do not."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.dynamics import as_map
from conjugacy.dynamics.loops import Loop, widest_gap
from conjugacy.dynamics.plateaus import Ruler

from .slow_systems import saturated_cube

RNG = np.random.default_rng(0)


def embedded(plane, thickness=0.05, size=20):
    """A cloud of a plane (M, 2) among `size` units, with noise of that size in all of them."""
    axes = np.linalg.qr(RNG.normal(size=(size, 2)))[0]
    noise = thickness * RNG.normal(size=(len(plane), size))
    return torch.from_numpy(plane @ axes.T + noise)


def on_circle(angles, radius=1.0):
    return np.stack([radius * np.cos(angles), radius * np.sin(angles)], 1)


@pytest.mark.parametrize("thickness", [0.0, 0.05, 0.1])
def test_rings_go_round_though_they_are_thick_uneven_and_oval(thickness):
    even = embedded(on_circle(np.linspace(0, 2 * np.pi, 80, endpoint=False)), thickness)
    crowded = embedded(on_circle(np.concatenate([RNG.normal(0, 0.4, 60), np.linspace(0, 2 * np.pi, 20)])), thickness)
    oval = embedded(on_circle(RNG.uniform(0, 2 * np.pi, 150)) * [2.0, 1.2], thickness)
    assert all(widest_gap(x) is not None for x in (even, crowded, oval))


def test_what_has_no_hole_or_does_not_close_is_no_ring():
    disc = on_circle(RNG.uniform(0, 2 * np.pi, 200), np.sqrt(RNG.uniform(0, 1, 200)))
    line = np.stack([np.linspace(-1, 1, 100), np.zeros(100)], 1)
    horseshoe = on_circle(np.linspace(0, 1.2 * np.pi, 100))
    corners = np.repeat(np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T, 10, 0) + 0.01
    three = on_circle(np.repeat([0.0, 2.1, 4.2], 20) + RNG.normal(0, 0.05, 60))
    assert all(widest_gap(embedded(x)) is None for x in (disc, line, horseshoe, three))
    assert widest_gap(torch.from_numpy(corners + 0.01 * RNG.normal(size=corners.shape))) is None
    assert widest_gap(embedded(on_circle(np.arange(5.0)))) is None
    clouds = [torch.from_numpy(RNG.normal(size=(n, d))) for n in (13, 25, 60) for d in (2, 3, 20) for _ in range(20)]
    assert sum(widest_gap(x) is not None for x in clouds) <= 2  # of 180


def test_places_on_a_ring_are_angles():
    angles = np.linspace(-np.pi, np.pi, 90, endpoint=False)
    x = embedded(on_circle(angles), 0.0)
    found = Loop(x).angles(x).numpy()
    turned = np.angle(np.exp(1j * (found - angles))), np.angle(np.exp(1j * (found + angles)))
    assert min(np.ptp(np.unwrap(t)) for t in turned) < 1e-6
    assert Loop(x).radii(x).numpy() == pytest.approx(1.0)


def ring_with_slow_width(x, u):
    """A ring in the first two units, and two further directions that hardly relax."""
    r = x[..., :2].norm(dim=-1, keepdim=True).clamp_min(1e-9)
    round_it = x[..., :2] * (1 + 0.5 * (1 - r) / r)
    return torch.cat([round_it, (1 - 1e-5) * x[..., 2:4], 0.5 * x[..., 4:]], -1)


def test_a_ring_with_slow_directions_across_it_is_one_ring_whose_places_are_read():
    generator = torch.Generator().manual_seed(0)
    angles = 2 * math.pi * torch.rand(60, generator=generator, dtype=torch.float64)
    start = torch.stack([angles.cos(), angles.sin()], 1)
    start = torch.cat([start, 0.1 * torch.randn(60, 4, generator=generator, dtype=torch.float64)], 1)
    orbits = [start]
    for _ in range(20):
        orbits.append(ring_with_slow_width(orbits[-1], None))
    system = cj.System.from_arrays("ring", torch.stack(orbits, 1), step=ring_with_slow_width, order="state, input")
    points = cj.fixed_points(system, horizon=50, seed=0, progress=False)
    (plateau,) = [p for p in points.plateaus if p.share > 0.5]
    assert plateau.topology == "ring" and plateau.dimension == 3
    assert "a ring" in points.summary()
    found = plateau.angles(start).numpy()
    turned = [np.angle(np.exp(1j * (found - s * angles.numpy()))) for s in (1, -1)]
    assert max(abs(np.exp(1j * t).mean()) for t in turned) > 0.999
    with pytest.raises(ValueError, match=r"^`x`: expected shape \(\.\.\., 6\)"):
        plateau.angles(start[:, :3])


def test_places_of_other_plateaus_are_not_angles():
    orbits = torch.rand(30, 10, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    orbits[:, 1:] = orbits[:, :1]
    still = cj.System.from_arrays("still", orbits, step=lambda x, u: x, order="state, input")
    points = cj.fixed_points(still, horizon=20, n_inits=32, progress=False)
    with pytest.raises(ValueError, match="^`topology`: expected a ring, whose places are angles, got a "):
        points.plateaus[0].angles()


@pytest.mark.parametrize("output_range", [None, torch.tensor([1.0, 1.0])])
def test_readouts_that_hardly_move_tell_nothing(output_range):
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(400, 4, generator=generator, dtype=torch.float64) * torch.tensor([1.0, 1.0, 1e-3, 1e-3])
    weights = torch.tensor([[0.0, 0.02, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    system = cj.System.from_arrays(
        "s", x[:, None].expand(-1, 3, -1), step=lambda x, u: x, readout=lambda x: x @ weights.to(x.dtype).T
    )
    ruler = Ruler(as_map(replace(system, output_range=output_range)), x, 1.0)
    # it moves by .07, which is little beside 1 and says nothing where nothing is known
    assert ruler.tells.tolist() == [output_range is None, True]
    assert ruler.coordinates(x).shape == (400, 5 if output_range is not None else 6)
    assert ruler.readout(x).shape == (400, 2)


@pytest.mark.parametrize("weight", [0.0, 1e-9])
def test_a_system_that_reads_nothing_out_has_a_portrait_all_the_same(weight):
    still = saturated_cube(2, 6)
    mute = replace(still, readout=lambda x: weight * x[..., :2], output_range=torch.ones(2))
    points = cj.fixed_points(mute, horizon=100, n_inits=64, seed=0, progress=False)
    assert points.plateaus and len(points.plateaus[0].readout) == 2
    assert points.portrait().counts[0] == len(points.plateaus) == 4


def test_an_lstm_is_read_from_half_of_its_state():
    # cells reach far and are not read: that makes the readout no silent one
    run = cj.train(
        cj.tasks.NBitFlipFlop(n=2, n_timesteps=60), cj.networks.LSTM(6), steps=2, batch_size=4, progress=False
    )
    system = run.system("val")
    assert Ruler(as_map(system), system.states().double(), 1.0).tells.all()

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import nn

import conjugacy as cj
from conjugacy._npz import read_npz, write_npz
from conjugacy.dynamics import FixedPoints, as_map, portrait_distance
from conjugacy.dynamics.horizon import as_horizon, carried, motion, on_horizon
from conjugacy.dynamics.levenberg import slide
from conjugacy.dynamics.plateaus import readout_levels
from conjugacy.dynamics.starts import visited_states

from .known_systems import cell, flip_flop, states
from .slow_systems import ghost, linear, ring, saturated_cube, trials_of


def search(thing, horizon, **options):
    return cj.fixed_points(thing, **{"n_inits": 200, "progress": False, "horizon": horizon, **options})


@pytest.fixture(scope="module")
def cube():
    return search(saturated_cube(3, 18), 100)


# what the horizon is


def test_the_default_horizon_is_a_trial_and_there_is_none_without():
    dynamics = as_map(linear(1.0, 0.5))
    assert as_horizon("trial", dynamics) == 20 and as_horizon(None, dynamics) is None
    assert as_horizon("trial", as_map(flip_flop(2))) is None
    timed = replace(dynamics, dt=0.02)
    assert as_horizon("3 s", timed) == pytest.approx(150) and as_horizon(7, timed) == 7
    assert cj.fixed_points(flip_flop(1), progress=False).asked_horizon is None


@pytest.mark.parametrize(
    ("horizon", "message"),
    [
        (0, "`horizon`: expected a number in"),
        ("soon", "`horizon`: expected a number of steps, '2.5 s', 'trial' or None, got 'soon'"),
        ("2 s", "got '2 s' for a system without dt"),
        (float("nan"), "`horizon`: expected a number in"),
    ],
)
def test_bad_horizons_are_explained(horizon, message):
    with pytest.raises(ValueError, match=message):
        search(linear(1.0, 0.5), horizon)


def test_bad_reach_is_explained():
    with pytest.raises(ValueError, match="`reach`: expected a number in"):
        search(linear(1.0, 0.5), 10, reach=0)


def test_modes_are_counted_by_what_they_do_within_the_horizon():
    values = torch.tensor([[1.05 + 0j, 1.02, 1.005, 0.995, 0.98, -1.05]], dtype=torch.complex128)
    # H = 100: growing beyond 1.03, ambiguous beyond 1.01, neutral within 0.01 of one
    assert [int(n) for n in on_horizon(values, 100, False)] == [2, 1, 2]
    rates = torch.tensor([[0.05 + 2j, 0.02, -0.005j, -0.02]], dtype=torch.complex128)
    assert [int(n) for n in on_horizon(rates, 100, True)] == [1, 1, 1]


# known slow sets


@pytest.mark.parametrize(
    ("multipliers", "horizon", "topology", "dimension"),
    [
        ((1.0, 0.5, 0.3), 50, "line", 1),
        ((1.0, 1.0, 0.5), 50, "sheet", 2),
        ((math.exp(-1e-4), 0.5), 500, "line", 1),
        ((math.exp(-1e-3), 0.5), 3000, "point", 0),
        # two time scales: both neutral, one, none
        ((1 - 1e-5, 1 - 1e-3, 0.5), 100, "sheet", 2),
        ((1 - 1e-5, 1 - 1e-3, 0.5), 4000, "line", 1),
        ((1 - 1e-2, 1 - 1e-1, 0.5), 600, "point", 0),
    ],
)
def test_linear_maps_are_one_node_of_the_dimension_that_the_horizon_leaves(multipliers, horizon, topology, dimension):
    points = search(linear(*multipliers), horizon, n_inits=64)
    p = points.portrait()
    assert p.counts == {0: 1} and p.edges == () and p.apart == ()
    if p.kinds:
        assert p.topologies == (topology,) and p.dimensions == (dimension,)
        # a set of exact points is one node of kind fixed
        assert p.kinds == ("fixed",) and (p.extents[0] > 0.5) == (dimension > 0)
    else:
        assert dimension == 0 and points.counts == {0: 1}


def test_a_ring_broken_by_weak_noise_is_whole_until_the_horizon_resolves_it():
    whole, short, long = (search(ring(e), h) for e, h in ((0.0, 50), (1e-2, 10), (1e-2, 2000)))
    for points in (whole, short):
        p = points.portrait()
        assert p.topologies == ("ring", "point") and p.counts == {0: 1, 2: 1} and p.dimensions[0] == 1
        # Morse-Bott: a circle has Euler characteristic 0, the point in its middle index +1
        assert p.index_sum == 1 and p.edges == ()
    p = long.portrait()
    assert p.counts == {0: 8, 1: 8, 2: 1} and p.index_sum == 1 and len(p.edges) == 8
    # the exact points themselves do not depend on the horizon
    assert short.counts == long.counts == {0: 8, 1: 8, 2: 1}
    assert cdist(short.x, long.x).min(1).max() < 1e-9
    assert "a ring" in short.summary() and "8 memories" in long.summary()


def test_a_ghost_is_a_memory_below_its_passage_time_and_slow_above():
    # the passage takes about 2 pi / sqrt(epsilon) = 628 steps
    short, long = search(ghost(1e-4), 20), search(ghost(1e-4), 3000)
    assert short.kind.tolist() == ["fixed", "held"] and short.memories.all()
    assert abs(short.x[1].item()) < 0.3 and 100 < float(short.horizon[1]) < 628
    assert short.portrait().counts == {0: 2, 1: 1}
    assert long.kind.tolist() == ["fixed", "slow"] and long.portrait().counts == {0: 1}


def test_a_flow_has_a_horizon_in_its_own_time():
    # dx/dt = -1e-3 x, dy/dt = -y
    rates = torch.tensor([1e-3, 1.0], dtype=torch.float64)
    for horizon, topology in ((20.0, "line"), (4000.0, "point")):
        made = cj.fixed_points(
            lambda x, u: -rates * x, states(60, 2), kind="flow", horizon=horizon, n_inits=32, progress=False
        )
        p = made.portrait()
        assert made.counts == {0: 1} and (p.topologies or ("point",)) == (topology,)
    assert cj.fixed_points(lambda x: -x, states(9, 1), kind="flow", progress=False).asked_horizon is None


def test_memories_that_are_approached_more_slowly_than_the_horizon_are_found():
    def step(x, u):
        bit, slow = x[..., :1], x[..., 1:]
        return torch.cat([torch.tanh(2 * bit), slow + 0.004 * (6 * bit - slow)], -1)

    start = torch.stack([torch.linspace(-1, 1, 20), torch.zeros(20)], 1).double()
    points = search(trials_of(step, start), 100)
    assert int(points.memories.sum()) == 2 and points.record.n_unsettled == 0


# a cube of saturated gates


def test_saturated_memories_are_found_one_for_each_pattern(cube):
    p = cube.portrait()
    assert int(cube.memories.sum()) == 8 and (cube.kind[cube.memories] == "held").all()
    stable = [p.labels[k] for k, n in enumerate(p.n_unstable) if n == 0]
    assert sorted(stable) == sorted(f"{a}{b}{c}" for a in "+-" for b in "+-" for c in "+-")
    pairs = p.pairs()
    one_bit = [sum(a != b for a, b in zip(x, y)) == 1 for x, y in zip(pairs.label_a, pairs.label_b)]
    assert len(pairs) == 12 and all(one_bit) and bool(pairs.agree.all())
    # each saddle is named by the memories it separates: the bit that they do not share is open
    assert len(p.edges) == 12
    for saddle, a, b in p.edges:
        expected = "".join(x if x == y else "0" for x, y in zip(p.labels[a], p.labels[b]))
        assert p.labels[saddle] == expected
    assert p.counts[1] == 12 and p.n_lost == 0
    assert bool((cube.horizon[cube.memories] >= 5000).all())


def test_every_orbit_is_on_the_plateau_that_it_reads_out(cube):
    dynamics = cube.dynamics
    x = 2 * torch.rand(300, 18, generator=torch.Generator().manual_seed(5), dtype=torch.float64) - 1
    x = carried(dynamics, x, torch.from_numpy(cube.u[0]), 1.0, 100)
    who = cube.memory_of(x, 0)
    bits = dynamics.readout(x) > 0.5
    assert bool((who >= 0).all())
    assert torch.equal(torch.stack([q.readout for q in cube.plateaus])[torch.from_numpy(who)] > 0.5, bits)
    assert np.array_equal(cube.memory_of(x.numpy()), who)


def test_what_holds_moves_no_further_than_it_is_said_to(cube):
    held = cube[(cube.kind == "held") & cube.is_stable & cube.reached]
    _, way, read_way = motion(cube.dynamics, torch.from_numpy(held.x), torch.from_numpy(held.u[0]), 1.0, 100)
    assert float(way.max()) <= 0.25 * cube.scale and read_way is not None and float(read_way.max()) < 0.1
    saddles = cube[(cube.kind == "held") & ~cube.is_stable]
    assert float(saddles.speed.max() if len(saddles) else 0.0) * 100 <= 0.05 * cube.scale
    # held points are no zeros, and no index or certificate is claimed for them
    every = cube[cube.kind == "held"]
    assert float(every.q.min()) > 0 and (every.certificate == "none").all() and not bool(every.index.any())


def test_points_away_from_the_data_are_listed_apart(cube):
    # the exact attractors have all units at the same place, where none of the slow ones gets within a trial
    stable = cube[cube.fixed & cube.is_stable]
    assert len(stable) == 8 and not bool(stable.reached.any())
    p = cube.portrait()
    assert len(p.apart) == 8 and not set(p.apart) & set(p.rows)
    assert "8 further points lie where no orbit from the data ends" in cube.summary()


def test_exact_points_do_not_depend_on_the_horizon():
    system = saturated_cube(2, 12)
    with_, without = search(system, 100, n_inits=400), search(system, None, n_inits=400)
    assert with_.counts == without.counts == {0: 4, 1: 4, 2: 1} and without.plateaus == ()
    np.testing.assert_allclose(with_.x[with_.fixed], without.x[without.fixed], rtol=1e-7, atol=1e-7)


def test_what_changes_with_the_horizon_is_shown(cube):
    table = cube.at_horizons([100, 1000, 10**9])
    assert table["memories"].tolist() == [8, 8, 0] and (table["fixed"] == table["fixed"].iloc[0]).all()


def test_the_same_seed_gives_the_same_points():
    a, b = (search(saturated_cube(2, 12), 100, n_inits=64) for _ in range(2))
    assert np.array_equal(a.x, b.x) and a.walls == b.walls and a.sides.tolist() == b.sides.tolist()


def test_saved_plateaus_come_back_and_older_files_load(cube, tmp_path):
    cube.save(tmp_path / "a.npz")
    back = FixedPoints.load(tmp_path / "a.npz", dynamics=cube.dynamics)
    assert back.portrait().pairs().equals(cube.portrait().pairs()) and back.summary() == cube.summary()
    assert back.asked_horizon == 100 and back.scale == cube.scale and back.walls == cube.walls
    for name in ("n_neutral", "n_ambiguous", "distance", "reached", "node"):
        np.testing.assert_array_equal(getattr(back, name), getattr(cube, name))
    arrays, meta = read_npz(tmp_path / "a.npz")
    later = ("n_neutral", "n_ambiguous", "distance", "reached", "node", "sides")
    old = {k: v for k, v in arrays.items() if not k.startswith("plateau") and k not in later}
    for name in ("plateaus", "walls", "asked_horizon", "scale", "reach"):
        del meta[name]
    del meta["record"]["saturated"]
    write_npz(tmp_path / "old.npz", old, meta)
    older = FixedPoints.load(tmp_path / "old.npz")
    assert len(older) == len(cube) and older.plateaus == () and bool(np.isnan(older.distance).all())
    assert older.counts == cube.counts and older.asked_horizon is None


def test_a_selection_keeps_its_plateaus(cube):
    some = cube[cube.memories]
    assert len(some) == 8 and some.memories.all() and sorted(some.node.tolist()) == list(range(8))


# distances


def test_portraits_are_compared_on_a_common_horizon(cube):
    mine, other = cube.portrait(), search(saturated_cube(3, 18), 100, seed=3).portrait()
    distance = portrait_distance(mine, other)
    assert distance.counts == 0 and distance.graph == 0
    # the exact cube has the same memories and neighbours
    clean = cj.fixed_points(flip_flop(3), progress=False).portrait()
    distance = portrait_distance(mine, clean)
    assert distance.counts == 0 and distance.graph == 0
    square = search(saturated_cube(2, 12), 100).portrait()
    assert portrait_distance(mine, square).counts == pytest.approx(1 - 8 / 20)
    # on a horizon that no memory was seen to hold for, there is nothing to compare with
    assert portrait_distance(mine, clean, hold=1e6).counts > 0.9


def test_a_ring_is_no_point():
    turned = search(ring(0.0), 50).portrait()
    point = search(linear(1 - 1e-2, 0.5), 600).portrait()
    assert portrait_distance(turned, point).counts > 0


# the parts


def test_slides_end_at_zeros_and_leave_flat_directions_alone():
    a = torch.diag(torch.tensor([0.5, 1 - 1e-6, 2.0], dtype=torch.float64))
    dynamics = as_map(lambda x, u: x @ a)
    start = states(40, 3)
    x, norm = slide(dynamics, start, torch.zeros(1).double(), floor=1e-4, enough=1e-8)
    # the second coordinate moves by 1e-6 of itself: the damping floor leaves it where it was
    assert float(x[:, [0, 2]].abs().max()) < 1e-4 and float(norm.max()) < 1e-4
    torch.testing.assert_close(x[:, 1], start[:, 1], rtol=1e-3, atol=0)


def test_the_displacement_of_a_gru_does_not_cancel():
    made = cell(nn.GRUCell, 3, 7, gain=2.0)
    with torch.no_grad():
        made.bias_hh[7:14] = 38.0  # z rounds to one in double precision
    dynamics = as_map(made)
    x, u = states(5, 7, scale=0.3), torch.zeros(5, 3).double()
    r = dynamics.residual(x, u)
    i = (x @ made.weight_hh.T + made.bias_hh + made.bias_ih).detach()
    gate = torch.sigmoid(-i[:, 7:14])
    reset = torch.sigmoid(i[:, :7])
    h_n = (x @ made.weight_hh[14:].T + made.bias_hh[14:]).detach()
    expected = gate * (torch.tanh(made.bias_ih[14:].detach() + reset * h_n) - x)
    assert 0 < float(expected.abs().max()) < 1e-13
    torch.testing.assert_close(r, expected, rtol=1e-10, atol=0)
    # the Jacobian agrees with that of the step, and with finite differences of the displacement
    mild = as_map(cell(nn.GRUCell, 3, 7, gain=2.0))
    own = mild.residual_jacobian(x, u)
    torch.testing.assert_close(own, mild.jacobians(x, u)[0] - torch.eye(7).double())
    e = torch.eye(7, dtype=torch.float64)[3] * 1e-6
    slope = (mild.residual(x + e, u) - mild.residual(x - e, u)) / 2e-6
    torch.testing.assert_close(own[:, :, 3], slope, rtol=1e-6, atol=1e-9)


def test_levels_are_told_apart_by_empty_bands_only():
    rng = torch.Generator().manual_seed(0)
    bits = torch.randint(2, (200, 2), generator=rng).double() + 0.05 * torch.randn(200, 2, generator=rng).double()
    assert len(readout_levels(bits, torch.ones(2).double()).unique()) == 4
    angle = 2 * math.pi * torch.rand(200, generator=rng).double()
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    assert len(readout_levels(circle, 2 * torch.ones(2).double()).unique()) == 1
    three = torch.randint(3, (200, 1), generator=rng).double()
    assert len(readout_levels(three, 2 * torch.ones(1).double()).unique()) == 3


# far and flat


def plain_gru(made):
    """The step of an nn.GRUCell as other people write it: a keep gate, and one matrix a gate."""
    d = made.hidden_size
    w_r, w_z, w_n = made.weight_hh.detach().split(d)
    b_r, b_z, b_n = made.bias_hh.detach().split(d)
    i_r, i_z, i_n = made.bias_ih.detach().split(d)

    def step(x, u):
        keep = torch.sigmoid(-(x @ w_z.T + b_z + i_z))
        r = torch.sigmoid(x @ w_r.T + b_r + i_r)
        return keep * torch.tanh(i_n + r * (x @ w_n.T + b_n)) + (1 - keep) * x

    return step


def test_no_far_zero_of_a_gru_written_as_a_function_is_counted():
    made = cell(nn.GRUCell, 3, 7, gain=6.0, seed=1)
    visited = visited_states(as_map(made), torch.zeros(3).double(), torch.Generator().manual_seed(0))
    known = cj.fixed_points(made, visited, n_inits=256, progress=False)
    plain = cj.fixed_points(plain_gru(made), visited, inputs=[0, 0, 0], n_inits=256, progress=False)
    assert plain.counts == known.counts and plain.index_sum == known.index_sum == 1
    counted = plain.fixed & plain.counted
    np.testing.assert_allclose(plain.x[counted], known.x[known.fixed], rtol=0, atol=1e-6)
    assert np.abs(plain.x[counted]).max() <= 1


def test_points_beyond_reach_are_listed_and_not_counted():
    def step(x, u):
        return x - 0.05 * x * (x * x - 1) * (x - 6) / 6

    near = torch.linspace(-1.2, 1.2, 30)[:, None].double()
    options = {"n_inits": 128, "progress": False, "n_orbits": 0, "box": ([-2.0], [8.0])}
    every, some = (cj.fixed_points(step, near, reach=reach, **options) for reach in (20, 3))
    assert sum(every.counts.values()) == 4 and sum(some.counts.values()) == 3 and len(some) == 4
    far = int(some.distance.argmax())
    assert some.x[far].item() == pytest.approx(6) and some.counted.sum() == 3 and not some.counted[far]
    assert float(some.distance[far]) == pytest.approx((6 - 1.2) / float(near.std(correction=0)), rel=1e-6)
    # the index of a box is that of everything inside, and the audit says what it refers to
    assert some.index_sum == every.index_sum and "1 beyond reach" in repr(some)
    assert "not counted" in str(some.audit())
    assert some.portrait().apart == (far,) and sum(some.portrait().counts.values()) == 3
    # without a box the search ends where the data do
    plain = cj.fixed_points(step, near, n_inits=128, progress=False, n_orbits=0)
    assert np.abs(plain.x).max() < 1.1 and sum(plain.counts.values()) == 3


# the network of the issue, where it is at hand


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_the_saturated_network_is_a_cube_of_memories(saturated, seed):
    points = cj.fixed_points(saturated, seed=seed, progress=False)
    dynamics = as_map(saturated)
    assert int(points.memories.sum()) == 8 and len(points.plateaus) == 8
    p = points.portrait()
    stable = {p.labels[k] for k, n in enumerate(p.n_unstable) if n == 0}
    assert stable == {f"{a}{b}{c}" for a in "+-" for b in "+-" for c in "+-"}
    assert bool((points.horizon[points.memories] >= 5000).all())
    pairs = {frozenset((a, b)) for a, b in zip(p.pairs().label_a, p.pairs().label_b)}
    cube = {frozenset((a, b)) for a in stable for b in stable if sum(x != y for x, y in zip(a, b)) == 1}
    assert cube <= pairs
    # another thousand states, one trial later
    x = saturated.states()[torch.randperm(len(saturated.states()), generator=torch.Generator().manual_seed(2))[:1000]]
    x = carried(dynamics, x, torch.from_numpy(points.u[0]), 1.0, 500)
    read = torch.stack([q.readout for q in points.plateaus]) > 0.5
    who = points.memory_of(x, 0)
    assert bool((who >= 0).all()) and torch.equal(read[torch.from_numpy(who)], saturated.readout(x) > 0.5)


def test_held_points_of_a_system_without_a_readout():
    made = trials_of(saturated_cube(2, 12).step, states(60, 12, 1).clamp(-1, 1), 40)
    points = search(made, 100)
    assert int(points.memories.sum()) == 4 and len(points.portrait().pairs()) == 4

import dataclasses
import math

import numpy as np
import pytest
import torch

import conjugacy as cj
from conjugacy.dynamics import find_cycles, fixed_points

from .known_attractors import henon, locked, mean_turn, pushed, stuart_landau, three_attractors, turned
from .known_systems import flip_flop, lorenz, states, van_der_pol


def only(step, x0, kind, **options):
    """The one attractor of a system, of this kind, that all orbits settle on."""
    found = cj.attractors(step, x0=x0, **{"progress": False, "n_transient": 1500, **options})
    assert found.counts == {kind: 1}, found.summary()
    assert found[0].hits == len(found.owner) and found[0].share == 1 and found.owner.unique().tolist() == [0]
    return found[0]


def check_circle(n, omega, mu, wobble, n_orbits=24):
    step, push = stuart_landau(n, omega, mu, wobble)
    circle = only(step, push(0.5 * states(n_orbits, n, 1)), "circle")
    turn = mean_turn(omega, wobble)
    assert circle.period == pytest.approx(1 / turn, rel=1e-5) and circle.period_error < 1e-4 * circle.period
    assert circle.rotations[0] == pytest.approx(1 / circle.period)
    # with a wobble the angle contracts here and expands there; on average, nothing
    across = min(math.log(1 - 2 * mu), math.log(0.5)), max(math.log(1 - 2 * mu), math.log(0.5))
    assert abs(float(circle.exponents[0])) < max(1e-6, 5 * float(circle.exponent_errors[0]))
    assert float(circle.exponents[1]) == pytest.approx(across[1], rel=0.02, abs=3e-4)
    # its points are on the circle |y| = 1: pushing is one to one
    on = push(torch.nn.functional.pad(torch.eye(2, dtype=torch.float64), (0, n - 2)))
    reach = (circle.x - circle.x.mean(0)).norm(dim=1).max()
    assert circle.resolution < 1e-2 and torch.cdist(on, circle.x).min(1).values.max() < 0.05 * reach
    return circle


@pytest.mark.parametrize(("n", "period", "mu", "wobble"), [(3, 11.5864, 0.25, 0.1)])
def test_circles_of_irrational_rotation(n, period, mu, wobble):
    check_circle(n, 2 * math.pi / period, mu, wobble)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "period", "mu", "wobble"),
    [
        (20, 7.31, 0.05, 0.2),
        (50, 77.9, 0.05, 0.02),
        (50, 7.5544, 5e-4, 0.2),
        (100, 12.3456, 0.05, 0.2),
        (20, 2.7183, 5e-3, 0.1),
    ],
)
def test_circles_of_irrational_rotation_weak_and_wide(n, period, mu, wobble):
    check_circle(n, 2 * math.pi / period, mu, wobble, 48)


def test_a_circle_of_rational_rotation_is_one_circle_and_not_a_cycle_for_each_start():
    step, push = stuart_landau(3, 2 * math.pi * 0.3, 0.25)
    circle = only(step, push(0.5 * states(16, 3, 1)), "circle")
    assert circle.period == pytest.approx(10 / 3, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "turn", "mu"), [(20, 1 / 7, 0.05), (50, 0.3, 5e-3), (20, 0.4, 5e-4)])
def test_circles_of_rational_rotation_weak_and_wide(n, turn, mu):
    step, push = stuart_landau(n, 2 * math.pi * turn, mu)
    circle = only(step, push(0.5 * states(64, n, 1)), "circle")
    assert circle.period == pytest.approx(1 / turn, rel=1e-6)
    assert float(circle.exponents[1]) == pytest.approx(math.log(1 - 2 * mu), rel=0.25)


@pytest.mark.parametrize(("q", "k"), [(2, 1), (5, 2), (37, 5)])
def test_cycles_of_a_whole_period(q, k):
    cycle = only(locked(q, k), states(20, 2), "cycle")
    assert cycle.period == q and len(cycle.x) == q
    expected = torch.tensor([0.7, 0.5]).double().log()
    torch.testing.assert_close(cycle.exponents, expected, atol=1e-6, rtol=0)
    assert cycle.contraction == pytest.approx(0.7**q, rel=1e-6) and cycle.resolution < 1e-8
    assert q > 5 or (cycle.certificate == "contraction" and cycle.radius > 0)


@pytest.mark.slow
@pytest.mark.parametrize(("q", "k"), [(150, 7), (400, 3)])
def test_cycles_of_a_long_period(q, k):
    test_cycles_of_a_whole_period(q, k)


@pytest.mark.parametrize(("r", "period"), [(3.5, 4), (3.832, 3)])
def test_cycles_of_the_logistic_map_have_the_multiplier_of_the_chain_rule(r, period):
    cycle = only(lambda x: r * x * (1 - x), torch.rand(20, 1, generator=torch.Generator().manual_seed(0)), "cycle")
    assert cycle.period == period
    expected = math.prod(r * (1 - 2 * float(v)) for v in cycle.x)
    assert float(cycle.multipliers[0].real) == pytest.approx(expected, abs=1e-8)


def test_points_of_a_flip_flop_and_who_goes_where():
    found = cj.attractors(flip_flop(2), x0=states(40, 2), progress=False)
    assert found.counts == {"fixed": 4} and sum(a.hits for a in found) == 40 and found.unresolved == 0
    for k, a in enumerate(found):
        assert a.certificate == "kantorovich" and (found.starts[a.orbits].sign() == a.x.sign()).all()
        assert (found.owner[a.orbits] == k).all()
    assert len(found.table()) == 4 and list(found)[1] is found[1] and len(found.of_kind("fixed")) == 4
    assert "4 fixed points" in found.summary() and "40 orbits" in found.summary()
    with pytest.raises(dataclasses.FrozenInstanceError):
        found[0].kind = "chaos"


def test_henon_is_chaos_with_its_exponents():
    chaos = only(henon, 0.1 * states(32, 2), "chaos")
    # Sprott 2003: 0.41922, -1.62319; their sum is ln 0.3
    assert float(chaos.exponents[0]) == pytest.approx(0.41922, abs=4 * float(chaos.exponent_errors[0]) + 2e-3)
    assert float(chaos.exponents.sum()) == pytest.approx(math.log(0.3), abs=1e-6)
    assert chaos.dimension == pytest.approx(1.258, abs=0.02) and float(chaos.exponent_errors[0]) < 0.01


@pytest.mark.slow
def test_lorenz_is_chaos_with_its_exponents():
    chaos = only(lorenz(), states(64, 3, scale=5) + torch.tensor([0, 0, 25.0]), "chaos")
    assert float(chaos.exponents[0]) == pytest.approx(0.9056, abs=0.04)
    assert float(chaos.exponents.sum()) == pytest.approx(-(10 + 1 + 8 / 3), abs=2e-2)
    assert chaos.dimension == pytest.approx(2.062, abs=0.01)


@pytest.mark.slow
def test_a_random_rate_network_is_chaos():
    network = cj.networks.ChaoticRateRNN(64, gain=3.0, alpha=0.5)
    network.init_model(2, 1, seed=0)
    chaos = only(network.cell, states(64, 64), "chaos", inputs=[0.0, 0.0])
    alone = cj.lyapunov_spectrum(network.cell, states(64, 64), [0.0, 0.0], n_exponents=2, n_orbits=16, progress=False)
    error = float(chaos.exponent_errors[0] + alone.standard_error[0])
    assert float(chaos.exponents[0]) == pytest.approx(float(alone.exponents[0]), abs=5 * error)


@pytest.mark.slow
def test_a_rate_network_that_is_not_chaotic_has_a_circle_and_its_mirror_image():
    network = cj.networks.ChaoticRateRNN(64, gain=3.0, alpha=0.5)
    network.init_model(2, 1, seed=2)  # tanh without biases: with x, -x is a solution too
    found = cj.attractors(network.cell, x0=states(64, 64), inputs=[0.0, 0.0], n_transient=1500, progress=False)
    assert found.counts == {"circle": 2}, found.summary()
    first, second = found
    assert first.period == pytest.approx(second.period, rel=1e-6)
    torch.testing.assert_close(first.exponents, second.exponents, atol=1e-3, rtol=0)
    size = (first.x - first.x.mean(0)).norm(dim=1).max()
    assert torch.cdist(-first.x, second.x).min(1).values.max() < 0.05 * size
    assert torch.cdist(first.x, second.x).min() > 0.1 * size


def test_the_cycle_of_a_flow():
    cycle = only(van_der_pol(), states(6, 2), "cycle")
    assert cycle.period == pytest.approx(6.6632868593, abs=1e-6)
    assert abs(cycle.multipliers[0] - 1) < 1e-6 and float(cycle.exponents[1]) == pytest.approx(-1.0593, abs=1e-3)


@pytest.mark.slow
def test_a_torus():
    def inner(y):
        return torch.cat(
            [turned(y[..., :2], 2 * math.pi / 20.3, 0.1, 0.02), turned(y[..., 2:], 2 * math.pi * 0.0371, 0.1, 0.02)], -1
        )

    step, push = pushed(inner, 4)
    torus = only(step, push(0.5 * states(48, 4)), "torus")
    assert len(torus.rotations) == 2 and torus.exponents[:2].abs().max() < 1e-4
    assert float(torus.exponents[2]) == pytest.approx(math.log(0.8), rel=0.01)
    want = mean_turn(2 * math.pi / 20.3, 0.02), mean_turn(2 * math.pi * 0.0371, 0.02)
    for f in torus.rotations:  # whole combinations of the two
        sums = [abs((i * want[0] + j * want[1] - f + 0.5) % 1 - 0.5) for i in range(-4, 5) for j in range(-4, 5)]
        assert min(sums) < 2e-4


@pytest.mark.slow
def test_a_point_a_circle_and_chaos_side_by_side():
    step, push = three_attractors()
    start = 0.3 * states(64, 6, 1)
    start[:, :2] *= 0.3  # further out Henon's map runs away
    start[:, 2] = torch.linspace(-1.3, 1.3, 64)  # from 1.4 one step leads beyond 1.5, where the point's well begins
    found = cj.attractors(step, x0=push(start), progress=False)
    assert found.counts == {"fixed": 1, "circle": 1, "chaos": 1}, found.summary()
    (circle,), (chaos,) = found.of_kind("circle"), found.of_kind("chaos")
    assert circle.period == pytest.approx(2 * math.pi / 0.7, rel=1e-6)
    assert float(chaos.exponents[0]) == pytest.approx(0.419, abs=0.015)
    # the wells meet halfway
    assert (found.owner[start[:, 2].abs() < 0.5] == found.owner[circle.orbits[0]]).all()


@pytest.mark.parametrize("start", [[[0.0, 0.0]], [[0.0, 1.0]], [[1, -2], [0, 0], [3, 0]]])
def test_orbits_that_start_exactly_on_a_saddle_or_on_its_stable_manifold_leave_it(start):
    found = cj.attractors(lambda x, u: torch.tanh(2 * x), x0=start, n_transient=50, max_steps=200, progress=False)
    assert set(found.counts) == {"fixed"}, found.summary()
    stable = 0.9575040240772687  # tanh(2 x) = x
    for attractor in found:
        torch.testing.assert_close(attractor.x.abs(), torch.full_like(attractor.x, stable), rtol=1e-6, atol=0)


def test_orbits_that_run_away_are_named():
    assert cj.attractors(lambda x: 1.2 * x, x0=states(8, 2), progress=False).counts == {"runaway": 1}
    mixed = cj.attractors(
        lambda x: torch.where(x > 0, 1.05 * x, 0.5 * x), x0=torch.linspace(-1, 1, 9)[[0, 1, 2, 6, 7]][:, None]
    )
    assert mixed.counts == {"fixed": 1, "runaway": 1} and "leave for infinity" in mixed.summary()
    assert mixed.owner.tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("g", [1.05, 1.25, 2.5])
def test_searches_survive_orbits_that_run_away(g):
    x0 = states(16, 2)
    assert fixed_points(lambda x, u: g * x, x0=x0, n_inits=16, progress=False).counts == {2: 1}
    cycles, owner = find_cycles(lambda x, u: g * x, x0, n_transient=0)
    assert cycles == () and (owner == -1).all()


def piecewise_linear(a, w, h):
    a, h, w = (torch.tensor(v).double() for v in (a, h, [[0, w[0]], [w[1], 0]]))
    return lambda z: z * a + torch.relu(z) @ w.T + h


@pytest.mark.parametrize(
    ("period", "w", "h"),
    [(40, (-0.64375, 0.52505308), (0.37298253, -0.97931491)), (80, (-0.14375, 0.52505308), (0.37298253, -0.77931491))],
)
def test_a_cycle_that_is_approached_slowly_is_listed_once(period, w, h):
    step, x0 = piecewise_linear((0.9777689, 0.96461297), w, h), states(32, 2, scale=3)
    cycles, owner = find_cycles(step, x0, n_transient=2000)
    assert [c.period for c in cycles] == [period] and not cycles[0].circle
    assert cycles[0].hits == 32 and (owner == 0).all()
    assert only(step, x0[:8], "cycle").period == period


def test_dead_units_and_constant_maps():
    dead = torch.diag(torch.tensor([0.5, 0.0, 0.3]).double())
    point = only(lambda x: x @ dead + 1, states(8, 3), "fixed")
    assert float(point.exponents[0]) == pytest.approx(math.log(0.5)) and torch.isneginf(point.exponents[2])
    constant = only(lambda x: 0 * x + 1, states(8, 3), "fixed")
    assert torch.isneginf(constant.exponents).all() and constant.contraction == 0


def test_a_line_of_fixed_points_is_one():
    line = only(lambda x: x * torch.tensor([1.0, 0.5]).double(), states(16, 2), "fixed")
    assert line.dimension == 1 and line.certificate == "continuum" and "continuum" in repr(line)


def test_a_leak_of_ten_thousand_steps_ends_at_its_point_and_what_creeps_is_held():
    leak = torch.tensor([1 - 1e-4, 0.5]).double()
    assert only(lambda x: x * leak, states(16, 2), "fixed").contraction == pytest.approx(1 - 1e-4)

    def creeps(x):
        return torch.stack([x[..., 0] + 1e-6, 0.5 * x[..., 1]], -1)

    held = cj.attractors(creeps, x0=torch.linspace(-1, 1, 12)[:, None].expand(-1, 2), horizon=300, progress=False)
    assert set(held.counts) == {"held"} and all(a.horizon == 300 for a in held) and held.unresolved == 0


def test_entrainment_by_inputs_that_repeat():
    period = 20
    u = torch.sin(2 * math.pi * torch.arange(period, dtype=torch.float64) / period)[:, None]
    driven = cj.attractors(lambda x, u: 0.9 * x + u, u, states(8, 1), progress=False)
    assert driven.counts == {"cycle": 1} and driven[0].period == period and len(driven[0].x) == period
    # x' = 0.9 x + u has the periodic solution sum_j 0.9^j u_(t-1-j)
    past = (torch.arange(period)[:, None] - 1 - torch.arange(400)[None]) % period
    expected = (0.9 ** torch.arange(400, dtype=torch.float64) * u[past, 0]).sum(1)
    torch.testing.assert_close(driven[0].x[:, 0], expected, atol=1e-9, rtol=0)
    torch.testing.assert_close(driven[0].exponents, torch.tensor([math.log(0.9)]).double())
    w = torch.tensor([[0.9, 0.2], [-0.2, 0.9]]).double()

    def oscillator(strength):
        return lambda x, u: torch.tanh(1.2 * x @ w) + strength * u * torch.tensor([1.0, 0.0]).double()

    strong = cj.attractors(oscillator(0.3), u, states(6, 2), progress=False)
    weak = cj.attractors(oscillator(0.01), u, states(6, 2), progress=False)
    assert strong.counts == {"cycle": 1} and strong[0].period == period and "period of the inputs" in strong.summary()
    assert weak.counts == {"circle": 1}


def test_attractors_of_fixed_points_have_the_same_input_and_the_readout():
    w = torch.tensor([[0.9, 0.4], [-0.4, 0.9]]).double()
    system = cj.System.from_arrays(
        "turning",
        0.3 * states(60, 2).reshape(3, 20, 2),
        np.zeros((3, 20, 1)),
        step=lambda x, u: torch.tanh(1.3 * x @ w + u),
        readout=lambda x: x[..., :1],
        dt=0.01,
        step_tolerance=np.inf,
    )
    points = cj.fixed_points(system, n_inits=32, progress=False)
    found = points.attractors(progress=False)
    assert found.counts == {"circle": 1} and found[0].readout.shape == (len(found[0].x), 1)
    assert found.dt == 0.01 and {"period_s", "readout_0_low"} <= set(found.table())
    assert found.table().period_s[0] == pytest.approx(0.01 * found[0].period)
    assert f"{0.01 * found[0].period:.4g} s" in found.summary()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": np.zeros((2, 3, 1))}, r"`inputs`: expected shape \(time, input\)"),
        ({"inputs": [[np.nan]]}, "`inputs`: expected finite values"),
        ({"n_orbits": 0}, "`n_orbits`: expected an integer >= 1"),
        ({"horizon": -1.0}, "`horizon`: expected a number"),
        ({"kind": "flow", "inputs": np.zeros((4, 1))}, "`integration_step`: expected a number with inputs"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        cj.attractors(lambda x, u: 0.5 * x, **{"x0": states(4, 2), "progress": False, **options})


def test_the_same_seed_gives_the_same_attractors():
    step, push = stuart_landau(3, 0.6, 0.2)
    first, second = (
        cj.attractors(step, x0=push(states(200, 3)) * 0.5, n_orbits=4, n_transient=300, progress=False)
        for _ in range(2)
    )
    assert torch.equal(first.starts, second.starts) and torch.equal(first[0].exponents, second[0].exponents)

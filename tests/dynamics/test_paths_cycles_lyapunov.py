import math

import numpy as np
import pytest
import torch
from torch import nn

import conjugacy as cj
from conjugacy.dynamics import (
    find_cycles,
    fixed_points,
    input_path,
    linearisation_error,
    lyapunov_spectrum,
    timescales_along,
)
from conjugacy.dynamics._as_map import as_map
from conjugacy.dynamics.lyapunov import kaplan_yorke
from conjugacy.system import System

from .known_systems import cell, flip_flop, lorenz, states, van_der_pol


def test_saddle_node_pair_appears_and_vanishes_at_the_analytic_place():
    # zeros of u + x - x^3: three for |u| < 2 / (3 sqrt 3), else one
    path = input_path(
        lambda x, u: x + 0.3 * (u + x - x**3),
        -1.0,
        1.0,
        6,
        x0=torch.linspace(-1.5, 1.5, 31)[:, None],
        n_inits=64,
        progress=False,
    )
    assert [sum(c.values()) for c in path.counts] == [1, 1, 3, 3, 1, 1]
    fold = 2 / (3 * math.sqrt(3))
    appear, vanish = path.events
    assert (appear.kind, vanish.kind) == ("appear", "vanish")
    assert -1 + 2 * appear.at == pytest.approx(-fold, abs=1e-5) and -1 + 2 * vanish.at == pytest.approx(fold, abs=1e-5)
    assert float(vanish.inputs) == pytest.approx(fold, abs=1e-5)
    # the branch that was alone before is not the one that is alone after: hysteresis
    assert len(appear.branches) == len(vanish.branches) == 2
    assert path.branches[0] != path.branches[-1] and len(path.table()) == 6 and "2 events" in repr(path)
    assert [p.index_sum for p in path.points] == [1] * 6


def test_a_path_without_events_keeps_its_branches():
    path = input_path(flip_flop(2), 0.0, 0.05, 3, n_inits=128, progress=False)
    assert list(path.response()) == ["0, 0", "0.025, 0.025", "0.05, 0.05"] and path.response()["0, 0"] == path.counts[0]
    assert path.events == () and all(sorted(b) == list(range(9)) for b in path.branches)


def test_linear_response_of_a_point_is_the_predicted_one():
    made = cell(nn.GRUCell, 2, 6, gain=0.5)
    a, b = (fixed_points(made, inputs=[v, 0.0], n_inits=32, progress=False) for v in (0.0, 1e-5))
    predicted = np.linalg.solve(np.eye(6) - a.jacobian[0], a.input_jacobian[0][:, 0])
    np.testing.assert_allclose((b.x[0] - a.x[0]) / 1e-5, predicted, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_published_network_loses_points_in_pairs_under_a_held_input(published):
    path = input_path(published.cell, [0, 0, 0], [0.4, 0, 0], 2, n_inits=512, n_bisections=6, progress=False)
    assert path.counts[0] == {0: 8, 1: 12, 2: 6, 3: 1} and path.points[1].index_sum == 1
    lost = [b for e in path.events if e.kind == "vanish" for b in e.branches]
    assert len(lost) == len(set(lost)) == 27 - sum(path.counts[1].values())


@pytest.mark.parametrize(("r", "period"), [(3.3, 2), (3.5, 4), (3.55, 8), (3.832, 3)])
def test_cycles_of_the_logistic_map(r, period):
    def step(x):
        return r * x * (1 - x)

    cycles, owner = find_cycles(step, torch.tensor([[0.3], [0.41], [0.77]]).double())
    assert [c.period for c in cycles] == [period] and owner.tolist() == [0, 0, 0] and cycles[0].hits == 3
    x = cycles[0].x[0]
    for _ in range(period):
        x = step(x)
    assert float((x - cycles[0].x[0]).abs()) < 1e-10 and cycles[0].is_stable
    expected = math.prod(r * (1 - 2 * float(v)) for v in cycles[0].x)
    assert float(cycles[0].multipliers[0].real) == pytest.approx(expected, abs=1e-8)


def test_van_der_pol_cycle():
    # period 6.6632868593 at mu = 1 (e.g. Amore, Boyd & Fernandez 2018); one multiplier is 1
    cycles, owner = find_cycles(van_der_pol(), states(3, 2), kind="flow", n_transient=1500)
    assert len(cycles) == 1 and owner.tolist() == [0, 0, 0]
    assert cycles[0].period == pytest.approx(6.6632868593, abs=1e-5)
    assert abs(cycles[0].multipliers[0] - 1) < 1e-5 and cycles[0].is_stable
    assert float(cycles[0].x[:, 0].max()) == pytest.approx(2.00862, abs=1e-3)


def test_rotation_and_scaling_flow_has_a_unit_circle():
    def step(x, u):
        r2 = x.square().sum(-1, keepdim=True)
        return torch.stack([-3 * x[:, 1], 3 * x[:, 0]], -1) + x * (1 - r2)

    points = fixed_points(step, x0=states(20, 2), kind="flow", n_inits=64, progress=False)
    assert points.counts == {2: 1} and len(points.cycles) == 1
    assert points.cycles[0].period == pytest.approx(2 * math.pi / 3, rel=1e-6)
    torch.testing.assert_close(
        points.cycles[0].x.norm(dim=-1), torch.ones(len(points.cycles[0].x)).double(), atol=1e-5, rtol=0
    )
    assert float(points.cycles[0].multipliers[1].abs()) == pytest.approx(math.exp(-2 * 2 * math.pi / 3), rel=1e-3)
    assert points.record.n_unsettled == points.record.n_orbits and "settled on no fixed point" in str(points.audit())


def spiral(turn, pull=0.3, bend=0.0):
    """A map of the plane whose unit circle it turns by `turn` a step, in a coordinate sheared by `bend`."""

    def step(x):
        y = torch.stack([x[..., 0], x[..., 1] - bend * x[..., 0] ** 2], -1)
        r, angle = y.norm(dim=-1), torch.atan2(y[..., 1], y[..., 0]) + turn
        r = r + pull * (1 - r)
        z = torch.stack([r * angle.cos(), r * angle.sin()], -1)
        return torch.stack([z[..., 0], z[..., 1] + bend * z[..., 0] ** 2], -1)

    return step


@pytest.mark.parametrize("bend", [0.0, 0.6])
@pytest.mark.parametrize("period", [math.sqrt(50), 8 * math.sqrt(10), 10 * math.e])
def test_a_circle_that_is_turned_by_no_fraction_of_a_turn_is_a_cycle(period, bend):
    starts = states(3, 2, seed=1)
    cycles, owner = find_cycles(spiral(2 * math.pi / period, bend=bend), starts, n_transient=200)
    assert owner.tolist() == [0, 0, 0] and cycles[0].circle and cycles[0].hits == 3
    assert cycles[0].period == pytest.approx(period, rel=1e-9)
    # across the circle, distances shrink by 0.7 a step; along it they stay
    factors = cycles[0].multipliers.abs()
    assert factors[0] == 1 and float(factors[1]) == pytest.approx(0.7**period, rel=0.1)
    x = cycles[0].x
    rounded = torch.stack([x[:, 0], x[:, 1] - bend * x[:, 0] ** 2], 1)
    torch.testing.assert_close(rounded.norm(dim=1), torch.ones(len(x)).double(), atol=1e-4, rtol=0)


def test_a_circle_whose_period_is_a_whole_number_of_steps_is_a_periodic_orbit():
    cycles, _ = find_cycles(spiral(2 * math.pi / 25), states(2, 2), n_transient=200)
    assert cycles[0].period == 25 and not cycles[0].circle


def uneven(turn, order, unevenness, lobes=0.0):
    """A map whose circle r = 1 (with `lobes`: a rosette near it) it turns by turn + unevenness sin(order angle)."""

    def step(x):
        r, angle = x.norm(dim=-1), torch.atan2(x[..., 1], x[..., 0])
        r = r + 0.3 * (1 + lobes * torch.cos(5 * angle) - r)
        angle = angle + turn + unevenness * torch.sin(order * angle)
        return torch.stack([r * angle.cos(), r * angle.sin()], -1)

    return step


@pytest.mark.parametrize(("order", "off", "unevenness"), [(5, 2e-3, 1e-3), (5, 2e-3, 1.5e-3), (25, 1e-4, 5e-5)])
def test_an_orbit_that_lingers_is_on_a_circle_too(order, off, unevenness):
    # all but locked at 1 : order. In phi = order * angle each step turns by a mean of sqrt(off^2 - unevenness^2),
    # the flow of d phi = order (off + unevenness sin phi), beside 2 pi
    step = uneven(2 * math.pi / order + off, order, unevenness)
    mirrored = find_cycles(lambda x: step(x.flip(-1)).flip(-1), states(1, 2, seed=1), n_transient=200)[0][0].x
    assert (mirrored[:, 0] * mirrored.roll(-1, 0)[:, 1] < mirrored[:, 1] * mirrored.roll(-1, 0)[:, 0]).all()
    cycles, owner = find_cycles(step, states(3, 2, seed=1), n_transient=200)
    assert owner.tolist() == [0, 0, 0] and cycles[0].circle
    rotation = 1 / order + math.sqrt(off**2 - unevenness**2) / (2 * math.pi)
    assert cycles[0].period == pytest.approx(1 / rotation, rel=3e-4)
    x = cycles[0].x  # in the order of time, which turns this map's orbits to the left
    assert (x[:, 0] * x.roll(-1, 0)[:, 1] > x[:, 1] * x.roll(-1, 0)[:, 0]).all()
    torch.testing.assert_close(cycles[0].x.norm(dim=1), torch.ones(len(cycles[0].x)).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("period", [5.3, 7.07, 12.499])
def test_a_circle_of_few_steps_may_have_many_harmonics(period):
    step = uneven(2 * math.pi / period, 1, 0.2, lobes=0.3)
    cycles, owner = find_cycles(step, states(3, 2, seed=1), n_transient=200)
    assert owner.tolist() == [0, 0, 0] and cycles[0].circle
    # its points are on it: a step on they are where its orbits come by
    x = orbit = cycles[0].x
    closest = torch.full((len(x),), torch.inf, dtype=torch.float64)
    for _ in range(3000):
        orbit = step(orbit)
        closest = torch.minimum(closest, torch.cdist(x, orbit).min(1).values)
    assert closest.max() < 2e-3


def test_a_torus_and_a_spiral_that_has_not_settled_are_no_circles():
    def torus(x):
        return torch.cat([spiral(2 * math.pi / 20.3)(x[..., :2]), spiral(2 * math.pi * 0.0371)(x[..., 2:])], -1)

    assert find_cycles(torus, states(2, 4), n_transient=200)[0] == ()
    assert find_cycles(spiral(0.31, pull=1e-3), states(2, 2), n_transient=0, max_period=500)[0] == ()


def test_circles_are_saved_with_fixed_points(tmp_path):
    turning = spiral(2 * math.pi / math.sqrt(420))
    points = fixed_points(turning, x0=states(40, 2), n_inits=64, n_orbits=4, progress=False)
    assert points.cycles[0].circle
    points.save(tmp_path / "points.npz")
    again = type(points).load(tmp_path / "points.npz").cycles[0]
    assert again.circle and again.period == points.cycles[0].period


def test_fixed_points_and_chaos_are_no_cycles():
    assert find_cycles(flip_flop(2), states(4, 2))[0] == ()
    assert find_cycles(lambda x: 4 * x * (1 - x), torch.tensor([[0.3], [0.6]]).double(), max_period=300)[0] == ()


def test_lyapunov_of_linear_and_logistic_maps():
    w = torch.diag(torch.tensor([0.5, 0.9, 0.8], dtype=torch.float64))
    q = torch.linalg.qr(states(3, 3))[0]
    spectrum = lyapunov_spectrum(lambda x: x @ (q @ w @ q.T), states(5, 3), n_steps=200, n_orbits=2, progress=False)
    expected = torch.log(torch.tensor([0.9, 0.8, 0.5], dtype=torch.float64))
    torch.testing.assert_close(spectrum.exponents, expected, atol=1e-3, rtol=0)
    assert spectrum.dimension == 0 and spectrum.exponents_per_s is None
    x0 = torch.rand(20, 1, generator=torch.Generator().manual_seed(0))
    chaos = lyapunov_spectrum(lambda x: 4 * x * (1 - x), x0, n_steps=2000, n_orbits=8, progress=False)
    assert float(chaos.exponents[0]) == pytest.approx(math.log(2), abs=4 * float(chaos.standard_error[0]) + 1e-4)
    assert float(chaos.standard_error[0]) < 0.01 and "largest +0.69" in repr(chaos)


def test_lyapunov_of_lorenz():
    x0 = states(20, 3, scale=5) + torch.tensor([0, 0, 25.0])
    spectrum = lyapunov_spectrum(
        lorenz(), x0, kind="flow", n_steps=2500, n_orbits=24, integration_step=0.02, progress=False
    )
    # the sum is the divergence, exactly; the rest from the literature (Sprott 2003: 0.9056, 0, -14.5723)
    assert float(spectrum.exponents.sum()) == pytest.approx(-(10 + 1 + 8 / 3), abs=2e-2)
    assert float(spectrum.exponents[0]) == pytest.approx(0.9056, abs=0.05)
    assert abs(float(spectrum.exponents[1])) < 0.03
    assert spectrum.dimension == pytest.approx(2.06, abs=0.01)
    lead = lyapunov_spectrum(lorenz(), x0, kind="flow", n_exponents=1, n_steps=10, progress=False)
    assert lead.exponents.shape == (1,)


def test_kaplan_yorke_by_hand():
    assert kaplan_yorke(torch.tensor([0.9, 0.0, -14.57])) == pytest.approx(2 + 0.9 / 14.57)
    assert kaplan_yorke(torch.tensor([-0.1, -0.2])) == 0 and kaplan_yorke(torch.tensor([0.3, 0.1])) == 2


def test_orbits_that_leave_are_an_error():
    with pytest.raises(ValueError, match="expected states whose orbits stay bounded"):
        lyapunov_spectrum(lambda x: x**2, torch.full((1, 1), 3.0), n_steps=50, progress=False)


def linear_system(w, b, noise=0.0):
    u = states(3 * 20, 2, 7).reshape(3, 20, 2)
    x, out = states(3, 4, 8), []
    for t in range(20):
        x = x @ w.T + u[:, t] @ b.T
        out.append(x)
    return System.from_arrays("lin", torch.stack(out, 1), u, dt=0.1, step=lambda x, u: x @ w.T + u @ b.T)


def test_linearisation_predicts_a_linear_system_and_timescales_are_its_own():
    w, b = 0.4 * states(4, 4, 1), states(4, 2, 2)
    system = linear_system(w, b)
    points = cj.fixed_points(system, n_inits=16, progress=False)
    error = linearisation_error(system, points)
    assert error.mean < 1e-12 and error.relative.shape == (3, 19) and float(error.relative.nanmean()) < 1e-10
    times = timescales_along(system, k=2)
    expected = -0.1 / torch.linalg.eigvals(w).abs().sort(descending=True).values[:2].log()
    torch.testing.assert_close(times, expected.expand(3, 19, 2), rtol=1e-8, atol=1e-8)
    assert int(torch.isfinite(timescales_along(system, k=1, n_max=7)).sum()) == 7


def test_linearisation_error_refuses_what_does_not_fit():
    system = linear_system(0.4 * states(4, 4, 1), states(4, 2, 2))
    with pytest.raises(ValueError, match="at least one fixed point"):
        linearisation_error(system, cj.fixed_points(lambda x: x + 1, x0=states(3, 4), progress=False))
    with pytest.raises(ValueError, match=r"`points.x`: expected shape \(point, unit=4\)"):
        linearisation_error(system, cj.fixed_points(flip_flop(2), progress=False))


def test_as_map_passes_a_map_through():
    made = lorenz()
    assert as_map(made) is made


def test_orbits_from_one_state_are_orbits_of_their_own():
    def henon(x, u):
        return torch.stack([1 - 1.4 * x[..., 0] ** 2 + x[..., 1], 0.3 * x[..., 0]], -1)

    generator = torch.Generator().manual_seed(0)
    states = 0.1 * torch.randn(64, 2, generator=generator, dtype=torch.float64)
    one, several = (cj.lyapunov_spectrum(henon, x0=x, inputs=[0.0], progress=False) for x in (states[:1], states))
    # Henon's first exponent; equal orbits would have had an error of zero
    assert abs(one.exponents[0] - 0.419) < 4 * one.standard_error[0]
    assert 1 / 3 < one.standard_error[0] / several.standard_error[0] < 3

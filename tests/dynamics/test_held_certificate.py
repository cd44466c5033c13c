import math

import mpmath
import numpy as np
import pytest
import torch
from torch import nn

from conjugacy.dynamics import as_map, held_certificate, horizon_curve
from conjugacy.dynamics.adapted_coordinates import Coordinates
from conjugacy.dynamics.affine_form import UNIT, AffineForm, Symbols
from conjugacy.dynamics.reachable import Enlargement, Reachable, advance, deviations, line
from conjugacy.dynamics.sampled_horizon import sampled_horizon
from conjugacy.dynamics.step_bounds import torch_cell_bounds
from conjugacy.networks.cells import DaleCell, FlowCell, LeakyCell, LowRankCell, LSTMStateCell, RateCell
from conjugacy.system import System

from .known_systems import cell, cell_of, flip_flop, states


def form(centre, scale, n=7, seed=0, balls=(3,), discs=1):
    """A set with symbols of every kind around `centre`."""
    linear = np.random.default_rng(seed).standard_normal((len(centre), n)) * scale
    symbols = Symbols(balls, n - sum(balls) - 2 * discs, discs)
    return AffineForm(np.asarray(centre, float), linear, np.zeros(len(centre)), symbols)


def members(of, n, seed=1):
    """Symbols of `n` members, half of them extreme, and the members themselves (n, D)."""
    rng, start = np.random.default_rng(seed), 0
    xi = rng.uniform(-1, 1, (n, of.linear.shape[1]))
    xi[::2] = np.sign(xi[::2])
    for size in (*of.symbols.balls, *[2] * of.symbols.discs):
        if start == sum(of.symbols.balls):
            start += of.symbols.intervals
        block = xi[:, start : start + size]
        xi[:, start : start + size] = block / np.maximum(1, np.linalg.norm(block, axis=1, keepdims=True))
        start += size
    return xi, of.centre + xi @ of.linear.T


def misses(of, xi, values):
    """By how much members' images lie outside what the form promises for the very same symbols; <= 0 is right."""
    private = of.error + sum(np.abs(v) for v in of.local.values())
    return (np.abs(values - of.centre - xi @ of.linear.T) - private).max()


def test_tanh_is_as_accurate_as_the_proofs_assume():
    y = np.concatenate([np.geomspace(1e-300, 30, 4000), np.random.default_rng(0).uniform(0, 10, 4000)])
    with mpmath.workdps(40):
        exact = [mpmath.tanh(mpmath.mpf(float(v))) for v in y]
        worst = max(abs((mpmath.mpf(float(a)) - b) / b) for a, b in zip(np.tanh(y), exact))
    assert worst < 8 * UNIT
    assert (np.tanh(-y) == -np.tanh(y)).all()


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e-3, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu"])
def test_lines_stay_near_their_function(name, scale):
    centre = np.concatenate([np.linspace(-6, 6, 41), [0.0, 1e-9, 40.0, -40.0]])
    of = form(centre, scale)
    xi, y = members(of, 200)
    f = {"tanh": np.tanh, "sigmoid": lambda v: 1 / (1 + np.exp(-v)), "relu": lambda v: np.maximum(v, 0)}[name]
    image = getattr(of, name)()
    assert misses(image, xi, f(y)) < 4 * UNIT * (1 + np.abs(y).max())
    if name != "relu":
        assert image.error.max() < 1e-14 + min(scale * 7, 1)


def test_error_of_the_line_is_that_of_the_best_one():
    # f'' r^2 / 4 for a small range of radius r; |tanh''(y)| = 2 tanh (1 - tanh^2)
    r, y = 1e-3, 0.7
    of = AffineForm(np.array([y]), np.array([[r]]), np.zeros(1), Symbols(intervals=1))
    best = 2 * math.tanh(y) * (1 - math.tanh(y) ** 2) * r * r / 4
    assert of.tanh().error[0] == pytest.approx(best, rel=2e-3)


def test_products_and_sums_enclose():
    a, b = form(np.linspace(-2, 2, 9), 0.3), form(np.linspace(1, -3, 9), 0.2, seed=5)
    xi, x = members(a, 500)
    y = b.centre + xi @ b.linear.T
    assert misses(a * b, xi, x * y) <= 1e-15
    assert misses(a + b - 2.0 * a, xi, y - x) <= 1e-15
    shared = a.tanh().shared()
    assert (shared - shared).radius.max() < 1e-14
    assert (a.tanh() - a.tanh()).radius.max() > 1e-3


def test_product_on_a_ball_is_half_as_uncertain_as_its_factors_say():
    symbols = Symbols((2,))
    x = AffineForm(np.zeros(1), np.array([[1.0, 0.0]]), np.zeros(1), symbols)
    square = x * x
    # x^2 on [-1, 1] is [0, 1]
    assert float(square.centre[0]) == pytest.approx(0.5)
    assert float(square.radius[0]) == pytest.approx(0.5, rel=1e-12)


def test_rounding_of_a_matrix_product_is_covered_and_small():
    rng = np.random.default_rng(0)
    w, c = rng.standard_normal((20, 50)) * 10.0 ** rng.integers(-8, 8, (20, 50)), rng.standard_normal(50)
    image = AffineForm(c, np.zeros((50, 0)), np.zeros(50), Symbols()).matmul(w)
    with mpmath.workdps(60):
        exact = [mpmath.fdot(map(mpmath.mpf, row), map(mpmath.mpf, c.tolist())) for row in w.tolist()]
        off = [float(abs(mpmath.mpf(float(v)) - e)) for v, e in zip(image.centre, exact)]
    assert (np.array(off) <= image.error).all()
    assert (image.error <= 100 * UNIT * np.abs(w) @ np.abs(c)).all()


def drawn(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(0, 0.5, generator=generator)
    return module.double()


CELLS = {
    "gru": lambda: cell(nn.GRUCell, 2, 5, gain=1.5),
    "gru without bias": lambda: cell(nn.GRUCell, 2, 5, bias=False, gain=1.5),
    "tanh": lambda: cell(nn.RNNCell, 2, 5, gain=1.5),
    "relu": lambda: cell(nn.RNNCell, 2, 5, nonlinearity="relu", gain=1.5),
    "lstm": lambda: drawn(LSTMStateCell(2, 5)),
    "leaky": lambda: drawn(LeakyCell(2, 5, 0.3)),
    "low rank": lambda: drawn(LowRankCell(2, 5, 2, 0.3)),
    "rate": lambda: drawn(RateCell(2, 5, 0.3)),
    "dale": lambda: drawn(DaleCell(2, 5, 3, 0.3)),
    "flow": lambda: drawn(FlowCell(2, 5, 3, 7, 0.1)),
}


def map_of(name):
    with torch.random.fork_rng():
        module = CELLS[name]()
    d = 10 if name == "lstm" else 5
    x, u, lengths = states(3, d)[None], states(3, 2)[None], torch.tensor([3])
    return as_map(System(name, x, u, lengths, cell=module, step=lambda x, u: module(u, x), step_tolerance=float("inf")))


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 0.05, 0.5])
@pytest.mark.parametrize("name", CELLS)
def test_steps_of_sets_enclose_steps_of_states(name, scale):
    dynamics = map_of(name)
    d = 10 if name == "lstm" else 5
    u = states(1, 2, seed=3)[0]
    of = form(states(1, d, seed=2)[0].numpy(), scale)
    xi, x = members(of, 400)
    image = dynamics.bounds(u.numpy(), of)
    with torch.no_grad():
        after = dynamics.step(torch.from_numpy(x), u.expand(len(x), -1)).numpy()
    assert misses(image, xi, after) < 1e-14
    if scale == 1e-3 and name not in ("relu", "dale", "flow"):
        # second order in the size of the set: no step is bounded by its slopes alone
        assert image.error.max() < 300 * (7 * scale) ** 2 / 7


@pytest.mark.parametrize("seed", range(3))
def test_adapted_coordinates_bound_what_they_say(seed):
    jacobian = states(6, 6, seed=seed, scale=0.4).numpy()
    of = Coordinates.of(jacobian)
    assert of is not None
    rng = np.random.default_rng(seed)
    rho = rng.uniform(0, 1, 6)
    singles, discs = of.columns(rho)
    columns, symbols = np.concatenate([singles, discs], 1), Symbols((), singles.shape[1], discs.shape[1] // 2)
    # the discs of a conjugate pair are one, whose radius is found again in equal halves
    halves = np.array([next((rho[a] + rho[b]) / 2 for a, b in of.pairs if k in (a, b)) for k in range(6)])
    np.testing.assert_allclose(of.bound(columns, symbols), halves, rtol=1e-9)
    # in these coordinates the Jacobian does not wrap: M has the spectral radius of J
    spectral = np.abs(np.linalg.eigvals(jacobian)).max()
    assert np.abs(np.linalg.eigvals(of.modulus(jacobian))).max() == pytest.approx(spectral, rel=1e-9)
    set_ = AffineForm(np.zeros(6), columns, np.zeros(6), symbols)
    _, x = members(set_, 300)
    z = np.abs(np.linalg.solve(of.vectors, x.T)).T
    assert (z <= of.bound(columns, symbols) * (1 + 1e-12)).all()


def test_windows_of_many_steps_contain_orbits():
    module = cell(nn.GRUCell, 1, 6, gain=1.2, seed=4)
    step, u = torch_cell_bounds(module), np.zeros(1)
    x = torch.zeros(1, 6).double()
    with torch.no_grad():
        for _ in range(300):
            x = module(torch.zeros(1, 1).double(), x)
    jacobian = as_map(module).jacobians(x, torch.zeros(1, 1).double())[0][0].numpy()
    now = Reachable.around(x[0].numpy(), 0.05, Coordinates.of(jacobian))
    orbit = x + 0.05 * torch.nn.functional.normalize(states(500, 6), dim=1)
    for t, many in enumerate([False] * 8 + [True, False, True, True]):
        length, of = 1, None
        if many:
            plain = line(now, lambda s: step(u, s))
            more = Enlargement(1.5 * plain.box, 1.5 * deviations(plain, 200, lambda v: bool((v < 0.1).all()))[0])
            of = line(now, lambda s: step(u, s), more)
            _, length = deviations(of, 200, lambda v, most=more.rho: bool((v <= most).all()))
            assert (of.box <= more.box).all() and length > of.kept
        with torch.no_grad():
            for _ in range(length):
                orbit = module(torch.zeros(500, 1).double(), orbit)
        now = now.next(lambda s: step(u, s)) if of is None else advance(now, of, length)
        ways = states(50, 6, seed=t).numpy()
        linear, symbols = now.columns()
        reach = symbols.reach(ways @ linear)
        assert (np.abs((orbit.numpy() - now.centre) @ ways.T) <= reach + 1e-13).all()


def bistable(gain=2.0):
    """x' = tanh(gain x): memories at +-root, and a saddle at 0 between them."""
    root = 1.0
    for _ in range(500):
        root = math.tanh(gain * root)
    return flip_flop(1, gain), root


def test_bistable_unit_holds_up_to_its_saddle():
    unit, root = bistable()
    ask = {"readout": nn.Identity(), "threshold": 0.0}
    held = held_certificate(unit, [[root], [-root]], radius=0.99 * root, **ask)
    assert held.method == ["proof"] * 2 and held.reason == [""] * 2
    assert torch.isinf(held.n_steps).all()
    beyond = held_certificate(unit, [root], radius=1.001 * root, **ask)
    assert beyond.method == ["none"] and float(beyond.radius) == 0 and "ball itself" in beyond.reason[0]
    widest = held_certificate(unit, [root], **ask)
    assert root / 2 < float(widest.radius) < root


def test_horizon_next_to_the_saddle_is_the_exit_time():
    # the worst start lies `beyond` on the other side of the saddle and has left when it reads below -0.5
    unit, root = bistable()
    for beyond in (1e-3, 1e-6, 1e-9):
        x, exact = -beyond, 0
        while math.tanh(2 * x) > -0.5:
            x, exact = math.tanh(2 * x), exact + 1
        held = held_certificate(unit, [root], radius=root + beyond, readout=nn.Identity(), threshold=-0.5)
        assert exact / 2 <= float(held.n_steps) <= exact


@pytest.mark.parametrize("growth", [1.1, 1.01, 1.001])
def test_linear_growth_is_followed_to_the_step(growth):
    # x' = relu(growth x + 1 - growth) keeps 1; the farthest start leaves [0.5, 1.5] after log / log steps
    unit = nn.RNNCell(1, 1, nonlinearity="relu", device="meta", dtype=torch.float64).to_empty(device="cpu")
    with torch.no_grad():
        unit.weight_hh.fill_(growth)
        unit.bias_hh.fill_(1 - growth)
        unit.weight_ih.zero_()
        unit.bias_ih.zero_()
    exact = math.floor(math.log(0.5 / 1e-3) / math.log(growth))
    held = held_certificate(unit, [1.0], radius=1e-3, stay=0.5, n_steps=10 * exact)
    assert held.method == ["proof"] and "reach over" in held.reason[0]
    assert exact - 1 - exact // 50 <= float(held.n_steps) <= exact


def test_turning_does_not_wrap():
    # a box turned by 45 degrees grows by sqrt(2) a step; here all orbits shrink by a thousandth
    turn = 0.999 * torch.tensor([[1.0, -1.0], [1.0, 1.0]]) / 2**0.5
    held = held_certificate(cell_of(turn.double()), [0.0, 0.0], radius=0.02, stay=0.05, n_steps=2000)
    assert float(held.n_steps) >= 2000


def test_drifting_state_is_followed():
    # x' = tanh(0.9 x): no fixed point at 0.5, but the orbits next to it stay with it
    unit = flip_flop(1, 0.9)
    held = held_certificate(unit, [0.5], radius=0.1, readout=nn.Identity(), threshold=-0.01)
    assert math.isinf(float(held.n_steps))
    assert 1 <= float(held_certificate(unit, [0.5], radius=0.1, readout=nn.Identity(), threshold=0.01).n_steps) < 60


def test_memory_that_is_a_cycle_is_held():
    # a bistable unit, pushed to and fro by one that alternates between two values
    module = cell_of(torch.tensor([[2.0, 0.1], [0.1, -2.0]]).double())
    x = torch.ones(1, 2).double()
    with torch.no_grad():
        for _ in range(500):
            x = module(torch.zeros(1, 2).double(), x)
    readout = nn.Linear(2, 1, device="meta", dtype=torch.float64).to_empty(device="cpu")
    with torch.no_grad():
        readout.weight.copy_(torch.tensor([[1.0, 0.0]]))
        readout.bias.zero_()
    held = held_certificate(module, x, radius=0.3, readout=readout, threshold=0.0)
    assert held.method == ["proof"] and math.isinf(float(held.n_steps))


def coupled(seed, gain=1.7, coupling=0.1, n=4):
    w = gain * torch.eye(n, dtype=torch.float64) + coupling * states(n, n, seed=seed)
    module = cell_of(w)
    x = torch.sign(states(1, n, seed=seed))
    with torch.no_grad():
        for _ in range(3000):
            x = module(torch.zeros(1, n).double(), x)
    return module, x


@pytest.mark.parametrize("seed", range(4))
def test_never_longer_than_brute_force(seed):
    module, x = coupled(seed)
    dynamics, u = as_map(module), torch.zeros(4).double()
    side = torch.sign(x[0])
    radii = float(x.abs().min()) * torch.tensor([0.3, 0.6, 0.8, 0.9, 0.97, 1.2]).double()
    steps = horizon_curve(module, x, radii, readout=nn.Identity(), threshold=0.0, n_steps=300)[0]
    for r, n in zip(radii.tolist(), steps.tolist()):
        generator = torch.Generator().manual_seed(seed)
        brute = sampled_horizon(dynamics, lambda y: (y * side).amin(-1), x[0], u, r, 300, generator, 500, 16, 5)
        assert min(n, 300) <= max(brute, 0)
    assert float(steps[0]) >= 300 and float(steps[-1]) == 0
    assert bool((steps[:-1] >= steps[1:]).all())


def test_cells_without_bounds_are_sampled_and_say_so():
    held = held_certificate(lambda x, u: torch.tanh(2 * x), [[0.9575]], radius=0.5, stay=1.0, n_steps=50)
    assert held.method == ["sampled"] and float(held.n_steps) == 50 and "no bounds" in held.reason[0]
    left = held_certificate(lambda x, u: torch.tanh(2 * x), [[0.9575]], radius=0.958, stay=1.0, n_steps=50)
    assert 1 <= float(left.n_steps) < 50
    unit, root = bistable()
    opaque = held_certificate(unit, [root], radius=0.5, readout=lambda x: x, threshold=0.0, n_steps=50)
    assert opaque.method == ["sampled"] and "readout" in opaque.reason[0]


def test_proofs_outlive_training_of_the_cell():
    unit, root = bistable()
    dynamics = as_map(unit)
    with torch.no_grad():
        unit.weight_hh.zero_()
    held = held_certificate(dynamics, [root], radius=0.9, readout=nn.Identity(), threshold=0.0)
    assert math.isinf(float(held.n_steps))


def test_no_points_give_no_certificates():
    unit, _ = bistable()
    assert len(held_certificate(unit, torch.zeros(0, 1), radius=0.1, stay=1.0)) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "`readout`: expected a readout or `stay`, got neither"),
        ({"stay": 0.0}, "`stay`: expected a number in"),
        ({"stay": 1.0, "radius": -1.0}, "`radius`: expected numbers > 0"),
        ({"stay": 1.0, "radius": [1.0, 2.0]}, "`radius`: expected shape"),
        ({"stay": 1.0, "n_steps": 0}, "`n_steps`: expected an integer"),
        ({"readout": nn.Identity(), "threshold": 0.5}, "`threshold`: expected levels"),
    ],
)
def test_untidy_arguments_are_named(options, message):
    unit, _ = bistable()
    with pytest.raises(ValueError, match=message):
        held_certificate(unit, [0.5], **options)
    with pytest.raises(ValueError, match="`x`: expected shape"):
        held_certificate(unit, [0.5, 0.5], stay=1.0)


@pytest.mark.slow
def test_published_memories_are_held_for_ever(published):
    cell_, readout = published.cell, nn.utils.skip_init(nn.Linear, 64, 3).double()
    with torch.no_grad():
        zero, eye = torch.zeros(1, 64).double(), torch.eye(64).double()
        readout.bias.copy_(published.readout(zero)[0])
        readout.weight.copy_((published.readout(eye) - readout.bias).T)
        x = published.states().double()[-1:]
        for _ in range(20_000):
            x = cell_(torch.zeros(1, 3).double(), x)
    spread = float(published.states().double().var(0).sum().sqrt())
    held = held_certificate(cell_, x, radius=0.005 * spread, readout=readout)
    assert held.method == ["proof"] and math.isinf(float(held.n_steps))

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import conjugacy as cj
from conjugacy.dynamics import input_response, portrait, portrait_distance
from conjugacy.dynamics._portrait import Portrait
from conjugacy.dynamics._portrait_distance import _mode_distance, ruzicka
from conjugacy.system import System

from .known_systems import cell, flip_flop, lorenz, states


def portrait_of(thing, *args, **options):
    return cj.fixed_points(thing, *args, progress=False, **options).portrait()


def flip_flop_system(n):
    made = flip_flop(n)
    trajectories = torch.sign(states(40 * 5, n)).reshape(40, 5, n)
    u = torch.zeros(40, 5, n).double()
    return System(
        "ff",
        trajectories,
        u,
        torch.full((40,), 5),
        step=lambda x, u: made(u, x),
        cell=made,
        readout=lambda x: 0.5 + 0.5 * x,
        step_tolerance=float("inf"),
    )


@pytest.mark.parametrize("n", [1, 2, 3])
def test_flip_flop_is_a_hypercube(n):
    p = portrait_of(flip_flop_system(n))
    adjacency = p.adjacency()
    assert adjacency.sum() == n * 2**n and (adjacency.sum(1) == n).all() and len(p.edges) == n * 2 ** (n - 1)
    for saddle, a, b in p.edges:
        differ = [k for k in range(n) if p.labels[a][k] != p.labels[b][k]]
        # the ends differ in one bit, the one that the saddle leaves open
        assert len(differ) == 1 and p.labels[saddle][differ[0]] == "0"
        assert sum(c == "0" for c in p.labels[saddle]) == 1
    assert len(set(p.labels)) == 3**n
    assert len(p.table()) == len(p.edges) and "x 0-unstable" in repr(p)


def test_published_network_is_the_cube(published):
    p = portrait_of(published)
    assert p.counts == {0: 8, 1: 12, 2: 6, 3: 1} and len(p.edges) == 12
    corners = {p.labels[k] for k in range(8)}
    assert corners == {f"{a}{b}{c}" for a in "+-" for b in "+-" for c in "+-"}
    pairs = {frozenset((p.labels[a], p.labels[b])) for _, a, b in p.edges}
    assert len(pairs) == 12
    assert all(sum(s != t for s, t in zip(*pair)) == 1 for pair in pairs)


def test_double_well_flow():
    # dx/dt = x - x^3, dy/dt = -y: one saddle between two sinks
    p = portrait_of(
        lambda x, u: torch.stack([x[:, 0] - x[:, 0] ** 3, -x[:, 1]], -1), x0=states(20, 2), kind="flow", n_inits=64
    )
    assert p.counts == {0: 2, 1: 1} and p.edges == ((2, 0, 1),)
    # eigenvalues of the map over one unit of time
    np.testing.assert_allclose(p.eigenvalues[2].real.numpy(), [math.e, 1 / math.e], rtol=1e-10)
    np.testing.assert_allclose(p.time_constants.numpy(), [1, 1, -1], rtol=1e-10)


def test_branches_that_reach_no_attractor_are_marked():
    p = cj.fixed_points(lorenz(), states(30, 3, scale=10), kind="flow", n_orbits=0, progress=False).portrait(
        n_steps=300
    )
    assert p.counts == {1: 1, 2: 2} and p.edges == ((0, -1, -1),)


def test_negative_unstable_eigenvalue_alternates_but_settles():
    # x' = -1.5 tanh(x) has a period-2 orbit and a flip saddle at 0: no stable point to reach
    p = portrait_of(lambda x, u: -1.5 * torch.tanh(x), x0=states(20, 1), n_inits=32)
    assert p.counts == {1: 1} and p.edges == ((0, -1, -1),) and p.cycles == (2.0,)


# portrait_distance: invariance and axioms


def conjugate(matrix):
    inverse = torch.linalg.inv(matrix)
    return lambda x, u: torch.tanh(2 * x @ inverse.T) @ matrix.T


def test_distance_is_zero_under_linear_and_nonlinear_changes_of_coordinates():
    plain = portrait_of(flip_flop(2))
    matrix = torch.tensor([[1.0, 0.7], [-0.3, 2.0]], dtype=torch.float64)
    bent = portrait_of(conjugate(matrix), x0=states(80, 2) @ matrix.T)

    # y = sinh(x), componentwise
    def warped(y, u):
        return torch.sinh(torch.tanh(2 * torch.asinh(y)))

    for other in (bent, portrait_of(warped, x0=torch.sinh(states(80, 2)))):
        distance = portrait_distance(plain, other)
        assert distance.counts == distance.graph == 0 and distance.spectra < 1e-6 and distance.total < 1e-6


def test_distance_does_not_see_null_dimensions():
    padded = torch.zeros(5, 5, dtype=torch.float64)
    padded[:2, :2] = 2 * torch.eye(2)
    made = cell(nn.RNNCell, 5, 5)
    with torch.no_grad():
        made.weight_hh.copy_(padded)
        made.bias_hh.zero_()
        made.bias_ih.zero_()
    assert portrait_distance(portrait_of(flip_flop(2)), portrait_of(made)).total < 1e-9


def test_distance_sees_what_differs():
    a, b, fast = portrait_of(flip_flop(2)), portrait_of(flip_flop(3)), portrait_of(flip_flop(2, gain=1.2))
    d = portrait_distance(a, b)
    assert d.counts == pytest.approx(1 - 9 / 27) and d.graph > 0 and d.spectra > 0 and 0 < d.total <= 1
    d = portrait_distance(a, fast)
    assert d.counts == d.graph == 0 and d.spectra > 0.05
    # the same counts, joined otherwise: three memories in a row, or one saddle with both branches in one of them
    row = Portrait({0: 3, 1: 2}, 1, (0, 0, 0, 1, 1), ((3, 0, 1), (4, 1, 2)), ("",) * 5, torch.zeros(5, 1) + 0j)
    loop = Portrait({0: 3, 1: 2}, 1, (0, 0, 0, 1, 1), ((3, 0, 0), (4, 1, 2)), ("",) * 5, torch.zeros(5, 1) + 0j)
    d = portrait_distance(row, loop)
    assert d.counts == 0 and d.graph > 0 and d.spectra == 0


@st.composite
def portraits(draw):
    """Random skeletons: not all of them can occur, the axioms hold for all."""
    n = draw(st.integers(0, 5))
    kinds = tuple(sorted(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))))
    stable = [p for p in range(n) if kinds[p] == 0]
    ends = st.sampled_from([*stable, -1])
    edges = tuple((p, *sorted((draw(ends), draw(ends)))) for p in range(n) if kinds[p] == 1)
    d = draw(st.integers(1, 4))
    values = draw(st.lists(st.complex_numbers(max_magnitude=1.5), min_size=n * d, max_size=n * d))
    response = {"1, 0": {0: draw(st.integers(0, 3)), 1: draw(st.integers(0, 3))}}
    counts = {k: kinds.count(k) for k in set(kinds)}
    cycles = (3.0,) * draw(st.integers(0, 2))
    eigenvalues = torch.tensor(values, dtype=torch.complex128).reshape(n, d)
    return Portrait(counts, None, kinds, edges, ("",) * n, eigenvalues, cycles, 1.0, response)


@settings(max_examples=60, deadline=None)
@given(a=portraits(), b=portraits(), c=portraits())
def test_distance_is_a_pseudo_metric(a, b, c):
    ab, ba, bc, ac, aa = (portrait_distance(x, y) for x, y in ((a, b), (b, a), (b, c), (a, c), (a, a)))
    for part in ("total", "counts", "graph", "spectra", "input_response"):
        x, y, z = getattr(ab, part), getattr(bc, part), getattr(ac, part)
        assert 0 <= x <= 1 + 1e-12
        assert getattr(ba, part) == pytest.approx(x, abs=1e-7)
        assert getattr(aa, part) == pytest.approx(0, abs=1e-7)
        assert z <= x + y + 1e-7


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999))
def test_relabelling_points_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    p = Portrait(
        {0: 3, 1: 2},
        1,
        (0, 0, 0, 1, 1),
        ((3, 0, 1), (4, 1, 2)),
        ("",) * 5,
        torch.from_numpy(rng.normal(size=(5, 3)) + 0j),
    )
    order = np.concatenate([rng.permutation(3), 3 + rng.permutation(2)])
    place = np.argsort(order)
    edges = tuple((int(place[s]), *sorted((int(place[a]), int(place[b])))) for s, a, b in p.edges)
    q = Portrait(p.counts, 1, p.n_unstable, edges, p.labels, p.eigenvalues[order])
    assert portrait_distance(p, q).total == pytest.approx(0, abs=1e-12)


def test_parts_against_hand_computed_values():
    assert ruzicka({"a": 2, "b": 1}, {"a": 1, "c": 1}) == pytest.approx(1 - 1 / 4) and ruzicka({}, {}) == 0
    assert _mode_distance(np.array([1.0]), np.array([])) == pytest.approx(1)
    assert _mode_distance(np.array([1.0, 0.5j]), np.array([0.5j, 0.9])) == pytest.approx(0.1)


def test_response_to_held_inputs():
    made = flip_flop(2)
    fold = math.sqrt(0.5) - 0.5 * math.acosh(math.sqrt(2.0))  # where tanh(2 x + u) = x loses two zeros
    response = input_response(made, [[0, 0], [0.5 * fold, 0], [3 * fold, 0]], n_inits=200)
    assert list(response) == ["0, 0", f"{0.5 * fold:g}, 0", f"{3 * fold:g}, 0"]
    assert [sum(c.values()) for c in response.values()] == [9, 9, 3]
    a = portrait_of(made).with_response(response)
    b = portrait_of(made).with_response({k: {0: 1} for k in response})
    assert portrait_distance(a, a).input_response == 0 and portrait_distance(a, b).input_response > 0.5
    assert math.isnan(portrait_distance(a, portrait_of(made)).input_response)


def test_bad_arguments_are_explained():
    p = portrait_of(flip_flop(1))
    with pytest.raises(ValueError, match="`horizon`: expected a number in"):
        portrait_distance(p, p, horizon=0)
    with pytest.raises(ValueError, match="`n_steps`: expected an integer >= 1"):
        cj.fixed_points(flip_flop(1), progress=False).portrait(n_steps=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": {1}}, r"`points`: expected FixedPoints, got \{1\}"),
        ({"inputs": np.array(3.0)}, r"`inputs`: expected a sequence of held inputs, got array"),
        ({"inputs": "abc"}, "`inputs`: expected a sequence of held inputs, got 'abc'"),
        ({"n_init": 3}, "`n_init`: expected an option of portrait .* Did you mean .n_inits."),
    ],
)
def test_a_portrait_of_something_else_is_explained(options, message):
    points = cj.fixed_points(flip_flop(1), n_inits=8, progress=False)
    with pytest.raises(TypeError, match=message):
        portrait(**{"points": points, **options})

import math
from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.spatial.distance import cdist
from torch import nn

import conjugacy as cj
from conjugacy.dynamics._as_map import as_map
from conjugacy.dynamics.audit import coverage, unseen_points, well_covered

from .known_systems import cell, cell_of, flip_flop, lorenz, states, van_der_pol


def search(thing, *args, **options):
    return cj.fixed_points(thing, *args, progress=False, **options)


def root(gain):
    return brentq(lambda x: math.tanh(gain * x) - x, 1e-6, 2)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_flip_flop_has_3_to_the_n_points(n):
    points = search(flip_flop(n))
    assert points.counts == {k: math.comb(n, k) * 2 ** (n - k) for k in range(n + 1)}
    assert (points.kind == "fixed").all() and (points.certificate == "kantorovich").all()
    assert float(points.q.max()) < 1e-20 and points.index_sum == 1
    assert points.audit().complete is True
    # every coordinate is 0 or +-root, and the eigenvalues are 2 (1 - x^2)
    allowed = np.array([-root(2), 0, root(2)])
    assert np.abs(points.x[..., None] - allowed).min(-1).max() < 1e-12
    expected = -np.sort(-2 * (1 - points.x**2))
    np.testing.assert_allclose(points.eigenvalues.real, expected, rtol=1e-10, atol=1e-10)
    assert np.array_equal(points.index, (-1) ** points.n_unstable)
    assert int(points.hits.sum()) == points.record.n_zero


def test_flip_flop_in_other_coordinates_is_the_same():
    m = torch.linalg.qr(states(3, 3, 4))[0] @ torch.diag(torch.tensor([1.0, 2.0, 0.3])).double()
    inverse = torch.linalg.inv(m)

    def step(x, u):
        return torch.tanh(2 * x @ inverse.T) @ m.T

    points = search(step, x0=states(100, 3) @ m.T, expected_index=1)
    plain = search(flip_flop(3))
    assert points.counts == plain.counts and (points.certificate == "contraction").all()
    order = [int(np.linalg.norm(plain.x @ m.T.numpy() - x, axis=-1).argmin()) for x in points.x]
    assert sorted(order) == list(range(27))
    np.testing.assert_allclose(points.eigenvalues, plain.eigenvalues[order], rtol=1e-8, atol=1e-8)


def test_linear_map_has_one_point_at_the_solution():
    w, b = 0.3 * states(5, 5), states(1, 5, 1)[0]
    points = search(lambda x, u: x @ w.T + b + u.sum(-1, keepdim=True), x0=states(9, 5), inputs=[0.5, 0.25])
    np.testing.assert_allclose(points.x[0], torch.linalg.solve(torch.eye(5).double() - w, b + 0.75))
    np.testing.assert_allclose(points.jacobian[0], w, atol=1e-12)
    np.testing.assert_allclose(points.input_jacobian[0], np.ones((5, 2)))
    assert len(points) == 1 and points.hits.tolist() == [points.record.n_starts]


def test_an_audit_flags_a_withheld_saddle():
    dynamics = as_map(flip_flop(2))
    full = search(dynamics)
    saddle = np.flatnonzero(full.n_unstable == 1)[0]
    rest = full.x[np.arange(9) != saddle]
    partial = search(dynamics, x0=rest, search="given")
    assert len(partial) == 8
    audit = partial.audit()
    assert audit.complete is False and audit.index_sum == 2 and audit.expected_index == 1
    assert "points are missing" in str(audit) and "INCOMPLETE" in str(audit)
    # and a search that goes on finds it
    assert search(dynamics, x0=rest, search="until_complete", n_inits=16).audit().complete is True


def test_an_unresolved_point_leaves_the_verdict_open():
    points = search(flip_flop(2))
    assert points.audit().complete is True
    parts = {f.name: getattr(points, f.name) for f in fields(points)}
    arrays = {k: np.concatenate([v, v[:1]]) for k, v in parts.items() if isinstance(v, np.ndarray)}
    arrays |= {"certificate": np.append(points.certificate, "none"), "kind": np.append(points.kind, "unresolved")}
    audit = replace(points, **arrays).audit()
    assert audit.index_sum == 1 and audit.complete is None
    assert "Not established: 1 unresolved points" in str(audit)


def test_until_complete_goes_on_where_a_short_search_ends_too_early():
    short = search(flip_flop(4), n_inits=24)
    assert len(short) < 81 and short.audit().complete is not True
    long = search(flip_flop(4), n_inits=200, search="until_complete")
    assert len(long) == 81 and long.audit().complete is True and long.record.n_starts > 200


def test_until_complete_says_when_its_budget_ends():
    points = search(flip_flop(2), n_inits=1, search="until_complete", expected_index=5)
    assert points.record.exhausted and "budget" in str(points.audit())


def test_ring_attractor_is_a_continuum_not_a_count():
    def step(x, u):
        return x * (1 + 0.5 * (1 - x.norm(dim=-1, keepdim=True)))

    points = search(step, x0=states(60, 2), n_inits=200)
    ring = points[points.certificate == "continuum"]
    np.testing.assert_allclose(np.linalg.norm(ring.x, axis=-1), 1, atol=1e-10)
    np.testing.assert_allclose(ring.eigenvalues.real, np.tile([1.0, 0.5], (len(ring), 1)), rtol=1e-7)
    assert len(ring) >= 100 and int(ring.hits.sum()) > 150 and ring.is_stable.all() and not bool(ring.isolated.any())
    assert points.counts[2] == 1 and points.index_sum is None
    assert points.audit().complete is None and "not isolated" in str(points.audit())
    assert "Coverage" not in str(points.audit())


def test_line_attractor_in_more_dimensions():
    v = states(5, 1, 2)[:, 0]
    v = v / v.norm()
    # the part along v stays, the rest halves
    points = search(lambda x, u: 0.5 * x + 0.5 * (x @ v)[:, None] * v, x0=states(40, 5), n_inits=64)
    assert (points.certificate == "continuum").all() and points.index_sum is None
    off = points.x - (points.x @ v.numpy())[:, None] * v.numpy()
    assert np.linalg.norm(off, axis=-1).max() < 1e-11


def test_ghost_of_a_fold_is_slow_and_has_a_horizon():
    epsilon = 1e-3
    points = search(lambda x: x + epsilon + x**2, x0=torch.linspace(-0.6, 0.4, 41)[:, None], n_orbits=0)
    assert points.kind.tolist() == ["slow"] and points.counts == {}
    assert abs(points.x.item()) < 1e-6
    assert points.speed.item() == pytest.approx(epsilon, rel=1e-6)
    # dx/dt = epsilon + x^2 leaves [-l, l] from 0 after atan(l / sqrt(epsilon)) / sqrt(epsilon) steps
    spread = float(torch.linspace(-0.6, 0.4, 41).double().std(correction=0))
    expected = math.atan(0.1 * spread / epsilon**0.5) / epsilon**0.5
    assert points.horizon.item() == pytest.approx(expected, rel=0.1)


def test_a_fold_itself_is_unresolved():
    points = search(lambda x: x + x**2, x0=states(30, 1, scale=0.5), n_orbits=0)
    assert points.kind.tolist() == ["unresolved"] and abs(points.x.item()) < 1e-5
    assert "certified" not in str(points.audit())


def test_no_fixed_points_is_a_result():
    points = search(lambda x, u: x + 1, x0=states(20, 3))
    assert len(points) == 0 and points.index_sum == 0 and points.counts == {}
    assert "none found" in repr(points) and len(points.table()) == 0
    assert str(points.audit()) and points.x.shape == (0, 3)
    assert points.portrait().edges == ()


def test_lorenz():
    points = search(lorenz(), x0=states(50, 3, scale=20), kind="flow", expected_index=1, n_orbits=0)
    c = math.sqrt(8 / 3 * 27)
    assert points.counts == {1: 1, 2: 2} and points.audit().complete is True
    assert (
        sorted(tuple(round(v, 9) for v in x) for x in points.x.tolist())
        == sorted([(0.0, 0.0, 0.0), (round(c, 9), round(c, 9), 27.0), (-round(c, 9), -round(c, 9), 27.0)])
        or np.abs(np.abs(points.x[1:]) - [c, c, 27]).max() < 1e-9
    )
    # at the origin -beta and the roots of l^2 + (sigma + 1) l + sigma (1 - rho)
    expected = sorted(
        [-8 / 3, (-11 + math.sqrt(121 + 4 * 270)) / 2, (-11 - math.sqrt(121 + 4 * 270)) / 2], reverse=True
    )
    np.testing.assert_allclose(points.eigenvalues[0].real, expected, atol=1e-9)
    # at the wings the sum of eigenvalues is the divergence
    np.testing.assert_allclose(points.eigenvalues.sum(1).real, -(10 + 1 + 8 / 3), atol=1e-9)


def test_van_der_pol_and_pendulum():
    points = search(van_der_pol(), x0=states(40, 2), kind="flow", n_inits=100, n_orbits=0)
    assert points.counts == {2: 1}
    np.testing.assert_allclose(points.eigenvalues[0], [0.5 + 0.75**0.5 * 1j, 0.5 - 0.75**0.5 * 1j], atol=1e-12)

    def pendulum(x, u):
        return torch.stack([x[:, 1], -torch.sin(x[:, 0]) - 0.3 * x[:, 1]], -1)

    points = search(pendulum, x0=states(40, 2, scale=2), kind="flow", n_inits=200)
    near = points[np.abs(points.x[:, 0]) < 4]
    assert near.counts == {0: 1, 1: 2}
    np.testing.assert_allclose(np.sort(near.x[:, 0]) / math.pi, [-1.0, 0.0, 1.0], atol=1e-12)


@pytest.mark.parametrize("r", [0.5, 2.5, 3.3])
def test_logistic_map(r):
    points = search(lambda x: r * x * (1 - x), x0=torch.linspace(-1.5, 0.9, 25)[:, None], n_inits=64, n_orbits=0)
    by_x = sorted(zip(points.x[:, 0].tolist(), points.eigenvalues[:, 0].real.tolist()))
    expected = sorted([(0.0, r), (1 - 1 / r, 2 - r)])
    np.testing.assert_allclose(by_x, expected, atol=1e-12)
    orbits = search(lambda x: r * x * (1 - x), x0=torch.linspace(0.1, 0.9, 9)[:, None], n_inits=64)
    assert [c.period for c in orbits.cycles] == ([2.0] if r == 3.3 else [])


@pytest.mark.parametrize(
    "made", [cell(nn.GRUCell, 3, 7, gain=3.0), cell(nn.LSTMCell, 2, 5, gain=3.0), cell(nn.RNNCell, 3, 7, gain=2.0)]
)
def test_points_are_zeros_of_torchs_own_cell(made):
    points = search(made, inputs=0.1, n_inits=256)
    assert len(points) >= 1 and points.audit().index_sum == 1
    made = made.requires_grad_(False)
    x, u = torch.from_numpy(points.x), torch.from_numpy(points.u)
    image = torch.cat(made(u, x.chunk(2, -1)), -1) if isinstance(made, nn.LSTMCell) else made(u, x)
    missed = (image - x).detach().numpy()
    assert np.abs(missed[points.fixed]).max() < 1e-10
    np.testing.assert_allclose(points.q, 0.5 * (missed**2).sum(-1), atol=1e-24, rtol=1e-3)


def test_a_plain_newton_from_every_start_finds_nothing_more():
    made = cell(nn.GRUCell, 3, 5, gain=5.0, seed=3)
    points = search(made)
    dynamics = as_map(made)
    x, u = 2 * torch.rand(600, 5, generator=torch.Generator().manual_seed(1)).double() - 1, torch.zeros(600, 3).double()
    for _ in range(200):
        x = (
            x
            - 0.5
            * torch.linalg.lstsq(dynamics.residual_jacobian(x, u), dynamics.residual(x, u)[..., None]).solution[..., 0]
        )
    # inside the box: far outside the update gate rounds to one, and F(x) - x to zero, without a fixed point
    x = x[(dynamics.residual(x, u).norm(dim=-1) < 1e-10) & (x.abs().amax(-1) < 1)]
    assert len(x) > 100
    assert float(torch.cdist(x, torch.from_numpy(points.x)).amin(1).max()) < 1e-6


@pytest.mark.parametrize("n_inits", [1, 2, 5])
def test_few_starts_work(n_inits):
    points = search(flip_flop(1), n_inits=n_inits)
    assert 1 <= len(points) <= 3 and points.record.n_starts <= n_inits
    assert len(search(cell(nn.GRUCell, 2, 1), n_inits=n_inits)) == 1


def test_same_seed_same_points_other_seed_same_set():
    a, b, c = (search(flip_flop(3), seed=s) for s in (1, 1, 2))
    assert np.array_equal(a.x, b.x) and np.array_equal(a.hits, b.hits)
    assert not np.array_equal(a.hits, c.hits) and cdist(a.x, c.x).min(1).max() < 1e-12


def test_weights_stay_trainable_and_lambdas_on_parameters_work():
    made = cell(nn.GRUCell, 3, 4)
    search(made, n_inits=16)
    search(lambda x, u: made(u, x), x0=states(5, 4), inputs=[0, 0, 0], n_inits=16)
    made(states(2, 3), states(2, 4)).sum().backward()
    assert all(p.requires_grad and p.grad is not None for p in made.parameters())


BAD = [
    (lambda: search(flip_flop(2), x0=[[0.0, float("nan")]]), ValueError, r"`x0`: expected finite values, got 1 NaN"),
    (
        lambda: search(flip_flop(2), x0=[[0.0, 0.0, 1.0]]),
        ValueError,
        r"`x0`: expected shape \(state, unit=2\), got \(1, 3\)",
    ),
    (
        lambda: search(lambda x, u: x[:, :1], x0=states(4, 2)),
        ValueError,
        r"`step`: expected step\(x, u\) to return the shape",
    ),
    (lambda: search(lambda x, u: x.sum(), x0=states(4, 2)), ValueError, r"got \(\)"),
    (
        lambda: search(lambda x, u: x @ torch.eye(2), x0=states(4, 2)),
        TypeError,
        "expected a function that takes float64",
    ),
    (lambda: search(lambda x, u: x.numpy(), x0=states(4, 2)), TypeError, "return a tensor, got ndarray"),
    (
        lambda: search(lambda x, u: torch.tanh(x.detach()), x0=states(4, 2)),
        ValueError,
        "agrees with finite differences",
    ),
    (lambda: search(lambda x, u: x / 0 * 0, x0=states(4, 2)), ValueError, "`step`: expected finite next states"),
    (lambda: search(lambda x, u: x), ValueError, "A function does not tell its size"),
    (lambda: search(flip_flop(2), n_inits=0), ValueError, "`n_inits`: expected an integer >= 1, got 0"),
    (lambda: search(flip_flop(2), inputs=[[0.0]]), ValueError, r"`inputs`: expected shape \(input=2\)"),
    (lambda: search(flip_flop(2), search="untill_complete"), ValueError, "Did you mean 'until_complete'"),
    (lambda: search(flip_flop(2), learning_rate=0.1), TypeError, "only with method='adam'"),
    (lambda: search(flip_flop(2), box=([1.0, 1.0], [0.0, 2.0])), ValueError, "`box`: expected"),
    (lambda: search(flip_flop(2), box=-1), ValueError, r"`box`: expected a pair \(lower, upper\), got -1"),
    (lambda: search(flip_flop(2), box="12"), TypeError, "`box`: expected a pair of arrays"),
    (lambda: search(flip_flop(2), expected_index=1.5), ValueError, "`expected_index`: expected an integer or None"),
    (
        lambda: search(flip_flop(2), max_iters=10**30),
        ValueError,
        r"`max_iters`: expected an integer in \[1, 1000000000",
    ),
    (lambda: search(flip_flop(2), reach=np.zeros(3)), ValueError, r"`reach`: .*got ndarray of shape \(3,\)"),
    (lambda: search(flip_flop(2), n_orbits=-1), ValueError, "`n_orbits`: expected an integer >= 0"),
    (lambda: search(flip_flop(2), kind=["map"]), ValueError, "`kind`: expected one of 'map', 'flow', got"),
    (lambda: cj.fixed_points(flip_flop(2), progress="no"), TypeError, "`progress`: expected True or False"),
    (lambda: search(flip_flop(2), x0=3.0), ValueError, r"Write \[\[value\]\]"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=range(len(BAD)))
def test_bad_arguments_are_explained(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_ctrl_c_returns_what_was_found(monkeypatch):
    from conjugacy.dynamics import stages as module

    calls = []

    def interrupted(*args, **options):
        if calls:
            raise KeyboardInterrupt
        calls.append(1)
        return solve(*args, **options)

    solve = module.solve
    monkeypatch.setattr(module, "solve", interrupted)
    points = search(flip_flop(2))
    assert len(points) == 9 and points.record.interrupted and "interrupted" in str(points.audit())


def test_starts_at_which_the_step_is_not_finite_are_counted_and_left_out():
    # zeros of log x = 0, defined for x > 0 only
    x0 = torch.linspace(-1, 2, 30)[:, None]
    points = search(lambda x: torch.log(x), x0=x0, kind="flow", search="given", n_orbits=0)
    assert points.x.flatten().tolist() == pytest.approx([1.0]) and points.record.n_diverged == int((x0 <= 0).sum())
    assert "not finite" in str(points.audit())


def test_estimators_on_urns_with_known_content():
    assert unseen_points((3, 5, 2), 3) == 0 and coverage((3, 5, 2)) == 1
    assert unseen_points((1, 1, 1, 2), 4) == pytest.approx(3 * 2 / (2 * 2))
    assert coverage((1, 1, 1, 2)) == pytest.approx(1 - 3 / 5) and coverage(()) == 0
    # an urn of 40 equally likely kinds, 60 draws: Chao's estimate comes near on average
    rng = np.random.default_rng(0)
    estimates = []
    for _ in range(300):
        sample = tuple(Counter(rng.integers(0, 40, 60).tolist()).values())
        estimates.append(len(sample) + unseen_points(sample, len(sample)))
    assert 36 < np.mean(estimates) < 42


def test_coverage_needs_points_that_are_met_more_than_once():
    assert well_covered((40, 60, 2), [40, 60, 2]) and well_covered((1, 60, 80), [3, 60, 80])
    assert not well_covered((1, 60, 80), [2, 60, 80]) and not well_covered((60, 80), [60, 80, 2])
    assert not well_covered((1, 1, 2), [5, 5, 5]) and not well_covered((), [])


def test_published_network_has_27_certified_points(published):
    for thing, seed in ((published.cell, 0), (published, 7)):
        points = search(thing, seed=seed)
        assert points.counts == {0: 8, 1: 12, 2: 6, 3: 1} and len(points) == 27
        assert float(points.q.max()) < 1e-20 and (points.certificate == "kantorovich").all()
        assert points.distinct and "27 of 27 points are certified" in str(points.audit())
        assert points.index_sum == 1 and "Complete as far as index and coverage tell" in str(points.audit())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_published_network_from_ten_seeds(published, seed):
    assert search(published.cell, seed=seed).counts == {0: 8, 1: 12, 2: 6, 3: 1}


def test_cell_of_float32_is_searched_in_float64():
    made = cell_of(2 * torch.eye(2).double()).float()
    assert float(search(made).q.max()) < 1e-20

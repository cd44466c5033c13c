import numpy as np
import pytest
import torch
from torch import nn

import conjugacy as cj
from conjugacy.dynamics import FixedPoints, as_map
from conjugacy.system import System

from .known_systems import cell, flip_flop, states


@pytest.fixture(scope="module")
def points():
    return cj.fixed_points(flip_flop(2), progress=False)


def test_slicing_keeps_rows_together(points):
    some = points[[4, 0]]
    assert len(some) == 2 and torch.equal(some.x, points.x[[4, 0]]) and some.kind.tolist() == ["fixed"] * 2
    assert some.record.sample == (points.record.sample[4], points.record.sample[0])
    assert len(points[points.is_stable]) == 4 and len(points[points.n_unstable == 2]) == 1
    assert len(points[3]) == 1 and len(points[2:5]) == 3 and len(points[:0]) == 0
    torch.testing.assert_close(points[-1].x, points.x[-1:])
    assert [len(p) for p in (points[i] for i in range(9))] == [1] * 9
    assert "none found" in repr(points[:0])
    # a part is not audited as if it were the whole
    assert points[points.is_stable].audit().complete is None and "selection of 4" in str(points[:4].audit())
    assert points[points.fixed].audit().complete is True


def test_modes_are_biorthonormal_eigenvectors(points):
    right, left = points.modes
    j = points.jacobian.to(right.dtype)
    torch.testing.assert_close(j @ right, right * points.eigenvalues[:, None, :])
    torch.testing.assert_close(left @ j, left * points.eigenvalues[:, :, None])
    torch.testing.assert_close(left @ right, torch.eye(2, dtype=right.dtype).expand(9, -1, -1))


def test_modes_belong_to_their_eigenvalues_when_these_are_complex():
    made = cj.fixed_points(cell(nn.RNNCell, 2, 6, gain=0.9), progress=False, n_inits=32)
    right = made.modes[0]
    torch.testing.assert_close(made.jacobian.to(right.dtype) @ right, right * made.eigenvalues[:, None, :])
    assert bool((made.eigenvalues.imag != 0).any())


def test_time_constants_in_steps_and_seconds():
    w = torch.diag(torch.tensor([0.9, 0.5, 1.25], dtype=torch.float64))
    x = states(12, 3).reshape(2, 6, 3)
    system = System.from_arrays("linear", x, dt=0.01, step=lambda x, u: x @ w, step_tolerance=float("inf"))
    made = cj.fixed_points(system, progress=False, n_inits=16)
    expected = -1 / torch.log(torch.tensor([1.25, 0.9, 0.5], dtype=torch.float64))
    torch.testing.assert_close(made.time_constants[0], expected)
    torch.testing.assert_close(made.time_constants_s[0], 0.01 * expected)
    flow = cj.fixed_points(lambda x: x @ (w - torch.eye(3)), x0=states(9, 3), kind="flow", progress=False, n_inits=16)
    torch.testing.assert_close(flow.time_constants[0], torch.tensor([-4.0, 10.0, 2.0], dtype=torch.float64))
    assert flow.time_constants_s is None


def test_table(points):
    table = points.table()
    assert len(table) == 9 and table["hits"].sum() == points.record.n_zero
    assert list(table["n_unstable"]) == [0] * 4 + [1] * 4 + [2]
    assert np.isinf(table["horizon"][:4]).all() and table["horizon"][4:].isna().all()


def test_saved_points_come_back(points, tmp_path):
    points.save(tmp_path / "fps.npz")
    back = FixedPoints.load(tmp_path / "fps.npz")
    for name in ("x", "q", "jacobian", "eigenvalues", "radius", "hits", "index", "isolated", "horizon", "u"):
        torch.testing.assert_close(getattr(back, name), getattr(points, name), rtol=0, atol=0, equal_nan=True)
    assert back.kind.tolist() == points.kind.tolist() and str(back.audit()) == str(points.audit())
    assert back.record == points.record and back.counts == points.counts
    with pytest.raises(ValueError, match="`points`: expected fixed points that know their dynamics"):
        back.portrait()
    with_map = FixedPoints.load(tmp_path / "fps.npz", dynamics=as_map(flip_flop(2)))
    assert with_map.portrait().edges == points.portrait().edges


def test_cycles_are_saved_too(tmp_path):
    made = cj.fixed_points(
        lambda x: 3.3 * x * (1 - x), x0=torch.rand(20, 1, generator=torch.Generator().manual_seed(0)), progress=False
    )
    made.save(tmp_path / "a.npz")
    back = FixedPoints.load(tmp_path / "a.npz")
    assert back.cycles[0].period == 2.0 and torch.equal(back.cycles[0].x, made.cycles[0].x)


def test_names_of_the_notebook_are_arrays(points):
    stable = points.xstar[points.qstar < 1e-6]
    assert isinstance(stable, np.ndarray) and stable.shape == (9, 2)
    assert points.is_stable.sum() == 4 and points.J_xstar.shape == (9, 2, 2) and points.eigval_J_xstar.shape == (9, 2)
    np.testing.assert_allclose(
        points.J_xstar @ points.eigvec_J_xstar, points.eigvec_J_xstar * points.eigval_J_xstar[:, None]
    )


def test_adam_is_the_notebooks_search():
    made = flip_flop(2)
    options = dict(method="adam", n_inits=50, learning_rate=0.02, max_iters=400, progress=False)
    x0 = states(30, 2, scale=0.5)
    a, b = cj.fixed_points(made, x0, **options), cj.fixed_points(made, x0, **options)
    assert len(a) == 50 and torch.equal(a.x, b.x)
    torch.testing.assert_close(a.q, 0.5 * (torch.tanh(2 * a.x) - a.x).square().sum(-1))
    # it descends, to zeros that the other search knows
    exact = cj.fixed_points(made, progress=False)
    good = a.q < 1e-10
    assert bool(good.any()) and float(torch.cdist(a.x[good], exact.x).amin(1).max()) < 1e-3
    assert len(cj.fixed_points(made, x0, q_thresh=1e-10, **options)) == int(good.sum())
    still = cj.fixed_points(made, x0, **{**options, "max_iters": 0})
    assert bool((still.x[:, None] == x0).all(-1).any(1).all())
    assert all(p.requires_grad for p in made.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0}, "`learning_rate`"),
        ({"noise_scale": -1.0}, "`noise_scale`"),
        ({"q_thresh": -1}, "`q_thresh`"),
    ],
)
def test_adam_explains_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        cj.fixed_points(flip_flop(1), method="adam", max_iters=1, progress=False, **options)


def test_distinct_means_disjoint_balls(points):
    from dataclasses import replace

    assert points.distinct
    gap = float((points.x[0] - points.x[1]).norm())
    assert replace(points, error=torch.full((9,), 0.4 * gap, dtype=torch.float64))[:2].distinct
    assert not replace(points, error=torch.full((9,), 0.6 * gap, dtype=torch.float64))[:2].distinct

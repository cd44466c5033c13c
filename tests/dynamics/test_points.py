import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
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
    assert len(some) == 2 and np.array_equal(some.x, points.x[[4, 0]]) and some.kind.tolist() == ["fixed"] * 2
    assert some.record.sample == (points.record.sample[4], points.record.sample[0])
    assert len(points[points.is_stable]) == 4 and len(points[points.n_unstable == 2]) == 1
    assert len(points[3]) == 1 and len(points[2:5]) == 3 and len(points[:0]) == 0
    np.testing.assert_array_equal(points[-1].x, points.x[-1:])
    assert [len(p) for p in (points[i] for i in range(9))] == [1] * 9
    assert "none found" in repr(points[:0])
    # a part is not audited as if it were the whole
    assert points[points.is_stable].audit().complete is None and "selection of 4" in str(points[:4].audit())
    assert points[points.fixed].audit().complete is True


def test_modes_are_biorthonormal_eigenvectors(points):
    right, left = points.modes
    j, values = points.jacobian, points.eigenvalues
    np.testing.assert_allclose(j @ right, right * values[:, None, :], atol=1e-12)
    np.testing.assert_allclose(left @ j, left * values[:, :, None], atol=1e-12)
    np.testing.assert_allclose(left @ right, np.broadcast_to(np.eye(2), (9, 2, 2)), atol=1e-12)


def test_modes_belong_to_their_eigenvalues_when_these_are_complex():
    made = cj.fixed_points(cell(nn.RNNCell, 2, 6, gain=0.9), progress=False, n_inits=32)
    right = made.modes[0]
    np.testing.assert_allclose(made.jacobian @ right, right * made.eigenvalues[:, None, :], atol=1e-12)
    assert bool((made.eigenvalues.imag != 0).any())


def test_time_constants_in_steps_and_seconds():
    w = torch.diag(torch.tensor([0.9, 0.5, 1.25], dtype=torch.float64))
    x = states(12, 3).reshape(2, 6, 3)
    system = System.from_arrays("linear", x, dt=0.01, step=lambda x, u: x @ w, step_tolerance=float("inf"))
    made = cj.fixed_points(system, progress=False, n_inits=16)
    expected = -1 / np.log([1.25, 0.9, 0.5])
    np.testing.assert_allclose(made.time_constants[0], expected)
    np.testing.assert_allclose(made.time_constants_s[0], 0.01 * expected)
    flow = cj.fixed_points(lambda x: x @ (w - torch.eye(3)), x0=states(9, 3), kind="flow", progress=False, n_inits=16)
    np.testing.assert_allclose(flow.time_constants[0], [-4.0, 10.0, 2.0], rtol=1e-5)
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
        np.testing.assert_array_equal(getattr(back, name), getattr(points, name))
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
    assert len(a) == 50 and np.array_equal(a.x, b.x)
    np.testing.assert_allclose(a.q, 0.5 * ((np.tanh(2 * a.x) - a.x) ** 2).sum(-1), rtol=1e-6, atol=1e-24)
    # it descends, to zeros that the other search knows
    exact = cj.fixed_points(made, progress=False)
    good = a.q < 1e-10
    assert bool(good.any()) and cdist(a.x[good], exact.x).min(1).max() < 1e-3
    assert len(cj.fixed_points(made, x0, q_thresh=1e-10, **options)) == int(good.sum())
    still = cj.fixed_points(made, x0, **{**options, "max_iters": 0})
    assert bool((still.x[:, None] == x0.numpy()).all(-1).any(1).all())
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
    assert points.distinct
    gap = float(np.linalg.norm(points.x[0] - points.x[1]))
    assert replace(points, error=np.full(9, 0.4 * gap))[:2].distinct
    assert not replace(points, error=torch.full((9,), 0.6 * gap))[:2].distinct


ARRAYS = {
    np.float64: ["x", "u", "q", "jacobian", "input_jacobian", "radius", "error", "horizon", "distance", "speed"],
    np.int64: ["n_unstable", "n_neutral", "n_ambiguous", "index", "hits", "node"],
    np.bool_: ["isolated", "reached", "fixed", "counted", "memories", "is_stable"],
    np.complex128: ["eigenvalues"],
}


def assert_arrays(points):
    for kind, names in ARRAYS.items():
        for name in names:
            array = getattr(points, name)
            assert isinstance(array, np.ndarray) and array.dtype == kind and len(array) == len(points), name
    assert all(type(getattr(points, name)) is np.ndarray for name in ("kind", "certificate", "sides"))
    assert type(points.time_constants) is np.ndarray and [type(m) for m in points.modes] == [np.ndarray] * 2


def test_everything_at_the_face_is_an_array(points, tmp_path):
    points.save(tmp_path / "a.npz")
    for some in (points, points[:0], points[[1]], FixedPoints.load(tmp_path / "a.npz")):
        assert_arrays(some)
    assert_arrays(cj.fixed_points(flip_flop(2), states(9, 2), method="adam", max_iters=3, n_inits=4, progress=False))
    with_readout = System.from_arrays("x", states(12, 2).reshape(2, 6, 2), step=lambda x, u: torch.tanh(2 * x),
                                      readout=lambda x: x.sum(-1), step_tolerance=float("inf"))  # fmt: skip
    read = cj.fixed_points(with_readout, progress=False, n_inits=64)
    assert type(read.readout) is np.ndarray and read.readout.shape == (len(read), 1)
    np.testing.assert_allclose(read.readout[:, 0], read.x.sum(1))


def test_tensors_lists_and_old_pickles_become_arrays(points):
    names = [f.name for f in fields(points) if isinstance(getattr(points, f.name), np.ndarray)]
    numbers = [name for name in names if getattr(points, name).dtype.kind != "U"]
    tensors = {name: torch.from_numpy(getattr(points, name)) for name in numbers}
    lists = {name: getattr(points, name).tolist() for name in names}
    old = FixedPoints.__new__(FixedPoints)
    old.__setstate__({**points.__getstate__(), **tensors})
    backwards = replace(points[::-1], x=points.x[::-1])  # torch has no negative strides
    for made in (replace(points, **tensors), replace(points, **lists), old, pickle.loads(pickle.dumps(points))):
        assert_arrays(made)
        for name in names:
            np.testing.assert_array_equal(getattr(made, name), getattr(points, name))
    assert_arrays(backwards)
    assert np.array_equal(backwards[::-1].x, points.x) and backwards.distinct


def test_points_go_back_into_a_search(points):
    again = cj.fixed_points(flip_flop(2), points.x, points.u[0], search="given", progress=False)
    assert again.counts == points.counts and np.array_equal(np.sort(again.x, 0), np.sort(points.x, 0))
    assert np.asarray(torch.as_tensor(points.x)).base is not None  # shared, not copied


@pytest.mark.parametrize("which", [0.5, "a", None, b"x", {}, [[0, 1]], True, ["a"], [0.5], 1j, object()])
def test_a_selection_that_is_none_is_explained(points, which):
    with pytest.raises(TypeError, match="^`which`: expected an index, indices, a boolean mask .* or a slice, got"):
        points[which]


def test_a_selection_out_of_range_is_explained(points):
    for which in (9, [0, 9], np.ones(8, bool)):
        with pytest.raises(IndexError, match="^`which`: .*of 9 points, got"):
            points[which]
    assert len(points[[]]) == 0 and len(points[torch.arange(2)]) == 2 and len(list(points)) == 9


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: replace(p, x=p.x[:3]), ValueError, r"`u`: expected shape \(point=3, input\), got \(9, 2\)"),
        (lambda p: replace(p, hits=p.x), ValueError, r"`hits`: expected shape \(point=9\), got \(9, 2\)"),
        (lambda p: replace(p, q="a"), TypeError, r"`q`: expected an array \(point\), got 'a'"),
        (lambda p: replace(p, dynamics="a"), TypeError, "`dynamics`: expected a Map or None, got 'a'"),
        (lambda p: p.at_horizons(3), ValueError, "`horizons`: expected a sequence of horizons, got 3"),
        (lambda p: p.at_horizons([-3]), ValueError, "`horizons`: expected a number in"),
        (lambda p: p[:0].attractors(), ValueError, "`attractors`: expected at least one point"),
        (lambda p: p.starz, AttributeError, "'FixedPoints' object has no attribute 'starz'"),
    ],
)
def test_what_does_not_fit_is_explained(points, call, error, message):
    with pytest.raises(error, match=message):
        call(points)

"""All pairs, cross tables, surfaces, intervals, nulls and ceilings."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from conjugacy import System
from conjugacy.similarity import cross, get_measure, pairwise, split_half_ceiling, surface
from conjugacy.similarity._pairwise import Pairwise
from conjugacy.similarity.inference import NULLS, centred_interval, surrogate


@pytest.fixture
def systems(make_trajectories):
    return [System.from_arrays(f"s{i}", make_trajectories(i, n_units=n)) for i, n in enumerate((5, 3, 7, 5))]


def test_matrices_hold_what_single_calls_give(systems):
    measures = ["state_r2", "procrustes", get_measure("dsa", rank=3, n_delays=2)]
    result = pairwise(systems, measures, progress=False)
    for name, m in result.measures.items():
        matrix = result.matrix(name)
        assert list(matrix.index) == list(matrix.columns) == ["s0", "s1", "s2", "s3"]
        assert (np.diag(matrix) == m.traits.perfect).all()
        assert matrix.loc["s0", "s2"] == pytest.approx(m(systems[0], systems[2]).value, abs=1e-9)
        assert matrix.loc["s2", "s0"] == pytest.approx(m(systems[2], systems[0]).value, abs=1e-9)
    table = result.table()
    assert len(table) == 12 + 6 + 6
    assert set(table.direction[table.measure == "procrustes"]) >= {"s0 <-> s1"}
    assert set(table.direction[table.measure == "state_r2"]) >= {"s0 -> s1", "s1 -> s0"}


def test_intervals_and_nulls_of_pairs_equal_those_of_single_calls(systems):
    options = {"interval": 0.9, "n_resamples": 20, "null": "shuffled_trials", "n_surrogates": 3, "seed": 4}
    result = pairwise(systems[:2], "cka", progress=False, **options)
    single = get_measure("cka")(systems[0], systems[1], **options)
    assert result.scores[0].interval.low == pytest.approx(single.interval.low, abs=1e-12)
    assert result.scores[0].null.mean == pytest.approx(single.null.mean, abs=1e-12)


def test_cross_compares_rows_with_columns(systems):
    result = cross(systems[:1], systems[1:], "procrustes", progress=False)
    assert result.matrix().shape == (1, 3)
    assert result.matrix().loc["s0", "s3"] == pytest.approx(get_measure("procrustes")(systems[0], systems[3]).value)
    with pytest.raises(ValueError, match="`dissimilarity` needs all pairs of one list"):
        result.dissimilarity()


def fake(points):
    names = tuple(map(str, range(len(points))))
    d = squareform(pdist(points))
    return Pairwise(names, names, {"procrustes": get_measure("procrustes")}, {"procrustes": d}, ())


def test_mds_recovers_points_in_the_plane():
    points = np.random.default_rng(0).normal(size=(9, 2))
    found = fake(points).mds()
    np.testing.assert_allclose(pdist(found), pdist(points), atol=1e-10)


def test_order_puts_clusters_side_by_side():
    points = np.array([[0.0], [5], [0.1], [5.1], [0.2], [5.2]])
    order = fake(points).order()
    assert {*order[:3]} in ({0, 2, 4}, {1, 3, 5})


def test_similarities_become_dissimilarities(systems):
    result = pairwise(systems, ["cka", "state_r2"], progress=False)
    np.testing.assert_allclose(result.dissimilarity("cka"), 1 - result.values["cka"])
    d = result.dissimilarity("state_r2")
    np.testing.assert_allclose(d, d.T)


def test_equal_names_are_told_apart(systems):
    assert pairwise([systems[0], systems[0]], progress=False).rows == ("s0 (0)", "s0 (1)")
    assert pairwise([systems[0].trajectories, systems[3].trajectories], progress=False).rows == ("0", "1")


def test_an_interrupt_returns_what_is_done(systems):
    class Interrupting(type(get_measure("procrustes"))):
        def compare_many(self, a, b, pairs):
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="Interrupted: 6 scores are done"):
        result = pairwise(systems, ["cka", Interrupting()], progress=False)
    assert not result.complete
    assert np.isfinite(result.values["cka"]).all() and np.isnan(result.values["procrustes"][0, 1])


def test_explicit_training_trials_reach_the_regression(systems):
    train = [System.from_arrays(s.name, s.trajectories[:15]) for s in systems]
    held = [System.from_arrays(s.name, s.trajectories[15:]) for s in systems]
    result = pairwise(held, "state_r2", train=train, progress=False)
    single = get_measure("state_r2")(held[0], held[1], train=(train[0], train[1]))
    assert result.matrix().loc["s0", "s1"] == single.value


def test_surface_equals_single_calls_and_warns_where_orders_change(systems):
    result = surface(systems, ranks=[2, 3, 40], n_delays=[1, 4], progress=False)
    value = get_measure("dsa", rank=3, n_delays=4)(systems[0], systems[1]).value
    assert result.values[1, 1, 0, 1] == pytest.approx(value, abs=1e-8)
    assert np.isnan(result.values[2]).all()
    assert len(result.table()) == 3 * 2 * 6
    assert result.stable == (np.nanmax(result.disagreement) == 0)
    assert ("Report the surface" in result.warning) == (not result.stable)
    with pytest.raises(ValueError, match="`measure`: expected a measure of operators such as 'dsa', got 'cka'"):
        surface(systems, "cka", progress=False)


@pytest.mark.parametrize("kind", [kind for kind in NULLS if kind != "matched_systems"])
def test_surrogates_keep_what_they_should(systems, kind):
    s = systems[0]
    other = surrogate(s, kind, np.random.default_rng(0))
    x, y = s.trajectories.numpy(), other.trajectories.numpy()
    assert not np.allclose(x, y)
    if kind == "phase_randomised":
        fx, fy = np.fft.rfft(x, axis=1), np.fft.rfft(y, axis=1)
        np.testing.assert_allclose(np.einsum("kfi,kfj->kfij", fx, fx.conj()), np.einsum("kfi,kfj->kfij", fy, fy.conj()))
    elif kind == "independent_phases":
        mean = x.reshape(-1, 5).mean(0)
        axes = np.linalg.svd(x.reshape(-1, 5) - mean)[2].T
        before, after = (np.abs(np.fft.rfft((v - mean) @ axes, axis=1)) for v in (x, y))
        np.testing.assert_allclose(before, after, atol=1e-9)
        crossed = [np.fft.rfft((v - mean) @ axes, axis=1)[..., :2].prod(-1) for v in (x, y)]
        assert not np.allclose(*crossed, atol=1e-2)
    else:
        axes = (0, 1) if kind == "shuffled_trials" else (1,)
        np.testing.assert_allclose(x.mean(axes), y.mean(axes))


def test_centred_interval_removes_the_bias_of_resampling():
    values = 3 + np.random.default_rng(0).normal(size=4000)
    interval = centred_interval(values, 1.0, 0.95, -10, 10)
    assert interval.bias == pytest.approx(2, abs=0.05)
    assert interval.low == pytest.approx(1 - 1.96, abs=0.1) and interval.high == pytest.approx(1 + 1.96, abs=0.1)
    assert centred_interval(values, 1.0, 0.95, 0, 2)[:2] == (0, 2)


@pytest.mark.slow
def test_intervals_cover_the_truth():
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(3, 3))

    def draw(n):
        x = rng.normal(size=(n, 10, 3))
        return x, x @ mix + rng.normal(size=x.shape)

    measure = get_measure("procrustes")
    truth = measure(*draw(20_000)).value
    hits = 0
    for seed in range(100):
        i = measure(*draw(60), interval=0.9, n_resamples=200, seed=seed).interval
        hits += i.low <= truth <= i.high
    assert 80 <= hits <= 98


def test_split_half_ceiling(systems):
    ceiling = split_half_ceiling(get_measure("dsa", rank=3, n_delays=2), systems[0], n_splits=5)
    assert 0 < ceiling["low"] <= ceiling["mean"] <= ceiling["high"] < 0.5
    assert 0.2 < split_half_ceiling(get_measure("cka"), systems[0], split="units", n_splits=5)["mean"] < 1
    with pytest.raises(ValueError, match="`split`: 'cka' pairs trials"):
        split_half_ceiling(get_measure("cka"), systems[0])


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (0, {}, "`systems`: expected at least 2 systems, got 0"),
        (2, {"measures": []}, "`measures`: expected at least one measure"),
        (2, {"measures": "dsaa"}, "Did you mean 'dsa'"),
        (2, {"measures": "cka", "interval": 2.0}, "`interval`: expected a number"),
        (2, {"measures": "cka", "train": [1]}, "`train`: expected one system for each of the 2 systems, got 1"),
    ],
)
def test_bad_arguments_are_named(systems, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        pairwise(systems[:arguments], progress=False, **options)


def test_measures_without_trials_have_no_intervals_and_no_automatic_null(systems):
    from dataclasses import dataclass

    from conjugacy.similarity import Measure, Traits

    @dataclass(frozen=True)
    class NumberOfUnits(Measure):
        @property
        def traits(self):
            return Traits("n_units", "1", "difference in units", "step", 0, np.inf, 0, False)

        def prepare(self, system, train=None):
            return system.n_units

        def compare(self, a, b):
            return float(abs(a - b)), {}

    options = {"interval": 0.9, "n_resamples": 10, "null": "auto", "n_surrogates": 2}
    with pytest.warns(UserWarning, match="no null: unrelated systems of the kind of these records cannot be made"):
        result = pairwise(
            systems, [NumberOfUnits(), "cka", get_measure("dsa", rank=2, n_delays=1)], progress=False, **options
        )
    by = {s.measure: s for s in result.scores}
    assert by["n_units"].interval is None and by["n_units"].null is None
    assert by["cka"].null.kind == "shuffled_trials" and by["dsa"].null.kind.startswith("unrelated")
    with pytest.raises(NotImplementedError, match="'n_units' has no intervals"):
        NumberOfUnits()(systems[0], systems[1], interval=0.9)
    with pytest.raises(ValueError, match="`null`: 'n_units' has no surrogates"):
        NumberOfUnits()(systems[0], systems[1], null="auto")


@pytest.mark.parametrize(("null", "n"), [(None, 0), ("auto", 7), ("given", 3)])
def test_the_bar_counts_every_pair_and_every_surrogate(monkeypatch, null, n):
    rng = np.random.default_rng(0)
    systems = [System.from_arrays(f"s{k}", rng.standard_normal((6, 9, 3))) for k in range(4)]
    others = systems[:3] if null == "given" else null
    steps, totals = [], []

    class Bar:
        n = 0

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def update(self, by):
            assert by >= 0
            self.n += by
            steps.append(self.n)

    def made(*_, total, **__):
        totals.append(total)
        return Bar()

    monkeypatch.setattr("conjugacy.similarity._pairwise.progress_bar", made)
    pairwise(systems, "procrustes", null=others, n_surrogates=7, progress=True)
    assert totals == [6 * (1 + n)] and steps[-1] == totals[0] and steps == sorted(steps)
    assert len([k for k in steps if k < totals[0]]) >= n  # it moves while surrogates are compared

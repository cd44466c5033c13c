import re

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

import conjugacy as cj
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.similarity import get_measure


@pytest.fixture(scope="module")
def comparison(small_runs):
    return cj.compare(small_runs, n_trials=30, seed=4)


def test_state_r2_both_ways_equals_scikit_learn_on_held_out_trials(small_runs, comparison):
    fit, held_out = (small_runs[0].task.trials(30, derive_seed(4, p)) for p in ("compare fit", "compare"))
    (xa, xb), (ya, yb) = (
        [run.rollout(trials).latents.double().flatten(0, 1).numpy() for run in small_runs] for trials in (fit, held_out)
    )
    row = comparison.table().loc[("state_r2", "GRU-7", "NODE-3")]
    for way, x, y, x_new, y_new in (("a -> b", xa, xb, ya, yb), ("b -> a", xb, xa, yb, ya)):
        predicted = LinearRegression().fit(x, y).predict(x_new)
        assert row[way] == pytest.approx(r2_score(y_new, predicted, multioutput="variance_weighted"), abs=1e-8)
        assert row[f"{way} low"] <= row[way] <= row[f"{way} high"]


def test_the_same_seed_gives_the_same_table(small_runs, comparison):
    pd.testing.assert_frame_equal(cj.compare(small_runs, n_trials=30, seed=4).table(), comparison.table())
    assert not cj.compare(small_runs, n_trials=30, seed=5).table().equals(comparison.table())


def test_a_network_explains_itself_and_its_rotations(small_runs):
    x = small_runs[0].system().trajectories.double().numpy()[:20]
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((7, 7)))[0]
    a, b = cj.System.from_arrays("a", x), cj.System.from_arrays("b", x @ q + 3)
    table = cj.compare([a, b], interval=None).table()
    np.testing.assert_allclose(table.to_numpy(), 1, atol=1e-9)


def test_three_runs_give_three_pairs_and_names_are_made_distinct(small_runs):
    table = cj.compare([*small_runs, small_runs[0]], n_trials=10, interval=None).table()
    assert list(table.index.get_level_values("b")) == ["NODE-3", "GRU-7 (2)", "GRU-7 (2)"]
    assert table.loc[("state_r2", "GRU-7 (1)", "GRU-7 (2)")].tolist() == pytest.approx([1, 1])
    named = cj.compare(small_runs, n_trials=10, interval=None, names=["x", "y"]).table()
    assert list(named.index[0]) == ["state_r2", "x", "y"]


def test_the_overlay_draws_every_system_in_the_space_of_the_reference(comparison):
    fig = comparison.plot_trials_3d_reference(num_trials=2)
    assert len(fig.axes) == 2 and fig.axes[0].name == "3d"
    assert [line.get_label() for line in fig.axes[0].lines] == ["GRU-7 (reference)", "NODE-3"]
    other = comparison.plot_trials_3d_reference(num_trials=1, reference=1, angle=(20, 30))
    assert "components of NODE-3" in other.get_suptitle() and other.axes[0].elev == 20


def test_what_cannot_be_compared_is_named(small_runs):
    other = cj.train(cj.tasks.NBitFlipFlop(2, 41), cj.networks.GRU(3), steps=1, progress=False)
    with pytest.raises(ValueError, match=r"^`probe`: expected inputs to feed to all, .* of different tasks, \{"):
        cj.compare([small_runs[0], other])
    with pytest.raises(ValueError, match=r"^`things`: expected a list of at least 2 Runs, .* got \[Run\(GRU-7"):
        cj.compare(small_runs[:1])
    with pytest.raises(
        TypeError, match=r"^`things\[1\]`: expected a Run, an Analysis, a Recording or a System, got str\.$"
    ):
        cj.compare([small_runs[0], "runs/node"])
    with pytest.raises(ValueError, match=r"^`things`: expected runs only or systems only, got both\."):
        cj.compare([small_runs[0], small_runs[1].system()])
    with pytest.raises(ValueError, match=r"^`names`: expected 2 names, one for each, got 1\.$"):
        cj.compare(small_runs, names=["x"])
    with pytest.raises(ValueError, match=re.escape("`measure`: expected one of ")):
        cj.compare(small_runs, measures=["state_r"])


def test_runs_are_held_against_untrained_networks_where_trials_are_not_paired(small_runs):
    measures = ["cka", get_measure("dsa", rank=3, n_delays=1)]
    scores = cj.compare(small_runs, measures, n_trials=6, null="auto", n_surrogates=7, interval=None).scores
    kinds = {s.measure: (s.null.kind, s.null.n_surrogates) for s in scores}
    assert kinds == {"cka": ("shuffled_trials", 7), "dsa": ("systems given", 7)}
    assert [s.measure for s in scores] == ["cka", "dsa"]


def test_networks_that_do_not_do_the_task_are_marked(small_runs):
    from conjugacy.report.text_table import text_table

    with pytest.warns(
        UserWarning, match=r"GRU-7 \(test accuracy 0\.\d+ < 0\.\d+\), .*: below the threshold of the task"
    ):
        comparison = cj.compare(small_runs, "cka", n_trials=6, null="auto", n_surrogates=20, interval=None)
    assert list(comparison.task_scores["does_the_task"]) == [False, False]
    assert "does not do the task" in text_table(comparison)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interval": 5}, "`interval`: expected a number in (0, 1], got 5"),
        ({"n_resamples": 0}, "`n_resamples`: expected an integer in [10, 10000000], got 0"),
        ({"names": "ab"}, "`names`: expected a list of 2 names, got str 'ab'"),
        ({"measures": "dsaa"}, "`measure`: expected one of"),
        ({"measures": "dsa", "null": "shuffled_trials"}, "`null`: 'shuffled_trials' leaves 'dsa' as it is"),
        ({"measures": "portrait"}, "`step`: 'portrait' needs a step function, and 'x' has no step function"),
        ({"progress": "False"}, "`progress`: expected True or False, got 'False'"),
    ],
)
def test_errors_come_at_the_call(options, message):
    x = np.random.default_rng(0).normal(size=(6, 9, 3))
    systems = [cj.System.from_arrays(name, x) for name in "xy"]
    with pytest.raises((TypeError, ValueError), match="^" + re.escape(message)):
        cj.compare(systems, **options)


def test_intervals_of_a_comparison_generalise_to_units_and_to_the_conditions_of_the_trials():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 6)
    x = rng.normal(size=(8, 20, 9))[labels] + 0.2 * rng.normal(size=(48, 20, 9))
    a, b = cj.System.from_arrays("a", x), cj.System.from_arrays("b", x @ rng.normal(size=(9, 12)))
    options = {"measures": ["cka"], "n_resamples": 20, "progress": False}
    found = {
        "units": cj.compare([a, b], resample="units", **options),
        "conditions": cj.compare([a, b], resample="conditions", conditions=labels, **options),
    }
    for over, comparison in found.items():
        (score,) = comparison.scores
        assert score.interval is not None and score.interval.method == f"half-samples of {over}"
        assert score.interval.low < score.value < score.interval.high


def test_conditions_are_those_of_the_task_where_none_are_given(small_runs):
    with pytest.raises(ValueError, match="`resample`: expected at least 6 conditions that all have.* got 1 in"):
        cj.compare(small_runs, ["cka"], n_trials=12, resample="conditions", progress=False)


def test_what_is_resampled_is_checked_first(small_runs):
    with pytest.raises(TypeError, match="`resample`: expected one or several of 'trials', .* got int 3"):
        cj.compare(small_runs, resample=3)

"""Similarity and fixed points along learning."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

import conjugacy as cj
from conjugacy.analysis import births
from conjugacy.analysis.learning_verdicts import LearningVerdicts
from conjugacy.analysis.verdict import PairVerdict
from conjugacy.networks import LowRankRNN
from conjugacy.runs.snapshots import KeptWeights
from conjugacy.tasks import NBitFlipFlop


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    task = NBitFlipFlop(n=2, n_timesteps=40, switch_prob=0.05, noise=0.1)
    settings = {"steps": 12, "batch_size": 8, "eval_every": 4, "progress": False, "seed": 1, "learning_rate": 0.03}
    return cj.train(task, cj.networks.GRU(7), out=tmp_path_factory.mktemp("run"), keep=[0, 4, 12], **settings)


def test_the_curve_is_what_compare_says_of_each_snapshot(kept):
    curve = cj.learning_curve(kept, ["state_r2", "cka"], n_trials=20, n_resamples=10, seed=3)
    table = curve.table()
    for step in (0, 4):
        comparison = cj.compare(
            [kept.snapshots[step], kept], ["state_r2", "cka"], n_trials=20, n_resamples=10, seed=3
        ).table()
        rows = table[table.step == step].set_index(["measure", "direction"])
        expected = comparison.xs("state_r2").iloc[0]
        assert rows.loc[("state_r2", "snapshot -> reference"), "value"] == pytest.approx(expected["a -> b"])
        assert rows.loc[("state_r2", "reference -> snapshot"), "value"] == pytest.approx(expected["b -> a"])
        assert rows.loc[("cka", "both"), "value"] == pytest.approx(comparison.xs("cka").iloc[0]["a <-> b"])
    assert list(curve.task_scores.index) == [0, 4, 12] and {"r2", "accuracy"} == set(curve.task_scores.columns)
    same = cj.learning_curve(kept, "cka", reference=kept.snapshots[12], steps=[12], n_trials=20, interval=None)
    assert same.table().value[0] == pytest.approx(1)
    assert len(curve.plot().axes) == 3


def test_the_first_step_from_which_on_all_are_near(kept):
    curve = cj.learning_curve(kept, "cka", n_trials=20, interval=None)
    values = curve.table().set_index("step").value
    assert curve.first_step("cka", -1.0) == 0 and curve.first_step("cka", 2.0) is None
    assert curve.first_step("cka", values[12] - 1e-9) in (0, 4, 12)
    with pytest.raises(ValueError, match="`measure`: expected one that was compared"):
        curve.first_step("dsa", 0.1)


@pytest.mark.parametrize(
    "more, message",
    [
        ({"steps": [5]}, "`steps`: expected steps that were kept, 0, 4, 12, got [5]."),
        ({"steps": "all"}, "`steps`: expected a list of steps"),
        ({"reference": "end"}, "`reference`: expected a Run or Recording or System"),
        ({"measures": "nonsense"}, "nonsense"),
    ],
)
def test_bad_input_gets_one_line(kept, more, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        cj.learning_curve(kept, **more)


def test_runs_without_snapshots_and_other_inputs_are_named(kept, small_runs):
    with pytest.raises(
        ValueError, match=r"`run`: expected a run with snapshots, got GRU-7 without. Train it with keep="
    ):
        cj.learning_curve(small_runs[0])
    with pytest.raises(ValueError, match="`run`: expected a run with snapshots"):
        cj.points_through_learning(small_runs[0])
    settings = {"steps": 1, "batch_size": 4, "progress": False}
    other = cj.train(NBitFlipFlop(n=3, n_timesteps=30), cj.networks.GRU(4), **settings)
    with pytest.raises(ValueError, match="`reference`: expected a network with the 2 inputs"):
        cj.learning_curve(kept, reference=other)


def line_of_networks(tmp_path, weights, offsets=None):
    """A run whose snapshots are x' = x + alpha (-x + w tanh(x) + b), as a low-rank network of one unit."""
    task = NBitFlipFlop(n=1, n_timesteps=30, switch_prob=0.1, noise=0.0)
    run = cj.train(task, LowRankRNN(1, rank=1), steps=1, batch_size=4, progress=False)
    kept = KeptWeights(tmp_path, tuple(range(len(weights))))
    network = run.network
    with torch.no_grad():
        for step, w in enumerate(weights):
            network.cell.m.fill_(w)
            network.cell.n.fill_(1.0)
            network.cell.weight_ih.fill_(1.0)
            network.cell.bias.fill_(0.0 if offsets is None else offsets[step])
            network.latent_ics.fill_(0.1)
            kept.write(step, network, {})
    from dataclasses import replace

    return replace(run, kept=kept.found({}))


def test_a_pitchfork_is_found_where_the_weight_passes_one(tmp_path):
    found = cj.points_through_learning(line_of_networks(tmp_path, [0.5, 0.8, 1.8, 1.9]), progress=False, n_inits=64)
    assert found.table().fixed.tolist() == [1, 1, 3, 3] and found.table().born.tolist() == [0, 0, 2, 0]
    assert set(found.events.kind) == {"birth", "stability"} and len(found.events) == 2
    birth, turn = (found.events[found.events.kind == k].iloc[0] for k in ("birth", "stability"))
    assert birth["name"] == "pitchfork" and birth.n_unstable == (0, 0) and (birth.after, birth.before) == (1, 2)
    # w = 0.8 + s is 1 at s = 0.2
    assert birth["at"] == pytest.approx(0.2, abs=0.02) and turn["at"] == pytest.approx(0.2, abs=0.02)
    assert turn["name"] == "real, +1" and turn.branches == (0,) and found.branches[3] == found.branches[2]
    life = found.memories()
    assert life.loc[0, ["first", "last"]].tolist() == [0, 1] and (life.drop(0)["first"] == 2).all()
    assert len(found.plot().axes) == 2 and "fixed points 1 1 3 3" in repr(found)


def test_a_fold_is_found_where_it_is_and_what_was_born_is_lost(tmp_path):
    # of x = 2 tanh(x) + b two points end at |b| = 2 tanh(x) - x with x = arcosh(sqrt 2)
    x = np.arccosh(np.sqrt(2))
    fold = 2 * np.tanh(x) - x
    run = line_of_networks(tmp_path, [2.0, 2.0, 2.0], [1.0, 0.0, 1.0])
    found = cj.points_through_learning(run, progress=False, n_inits=64)
    assert found.table().fixed.tolist() == [1, 3, 1] and found.table().lost.tolist() == [0, 0, 2]
    birth, loss = found.events.iloc[0], found.events.iloc[1]
    assert (birth["kind"], birth["name"]) == ("birth", "fold") and (loss["kind"], loss["name"]) == ("loss", "fold")
    assert sorted(birth.n_unstable) == [0, 1] and birth.branches == loss.branches
    assert birth["at"] == pytest.approx(1 - fold, abs=0.01) and loss["at"] == pytest.approx(fold, abs=0.01)


def test_matched_points_are_those_of_the_fresh_searches(kept):
    found = cj.points_through_learning(kept, progress=False, n_inits=64)
    for step in found.steps:
        fresh = cj.fixed_points(kept.snapshots[step].system("val"), n_inits=64, progress=False)
        np.testing.assert_array_equal(fresh.x, found.points[step].x)
        assert len(found.branches[step]) == int((fresh.fixed & fresh.counted).sum())
    assert births._SUBSTEPS >= 8


@pytest.mark.slow
def test_the_end_computes_the_same_as_itself_and_what_has_not_learned_is_not_judged(kept):
    found = cj.verdicts_through_learning(kept, steps=[0, 12], n_trials=40, stop=False, progress=False)
    assert list(found.pairs) == [12, 0]
    assert set(found.table().columns) >= {"answer", "task", "skeleton", "conjugacy", "sentence"}
    # neither does the task: nothing is said to be the same
    assert found.first_same is None and "none of" in repr(found)
    assert "do the task" in found.table().loc[12, "sentence"]


def test_the_first_step_that_is_the_same_is_the_last_of_an_unbroken_row():
    def pair(answer):
        return PairVerdict("a", "b", answer, f"{answer}.", ())

    found = LearningVerdicts("r", {k: pair(a) for k, a in ((9, "same"), (5, "same"), (3, "different"), (1, "same"))})
    assert found.first_same == 5 and "from step 5 on. Before, at step 3: different." in repr(found)
    assert LearningVerdicts("r", {9: pair("cannot tell")}).first_same is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"steps": [5]}, "`steps`: expected steps that were kept, 0, 4, 12, got [5]."),
        ({"stop": "yes"}, "`stop`: expected True or False"),
        ({"copies": [1, 2]}, "`copies[0]`: expected a Run"),
    ],
)
def test_bad_input_of_verdicts(kept, more, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        cj.verdicts_through_learning(kept, progress=False, **more)


def test_fixed_points_can_be_watched(kept, tmp_path):
    found = cj.points_through_learning(kept, n_inits=32, progress=False)
    animation = found.animate(tmp_path / "births.gif", fps=10, progress=False)
    with Image.open(tmp_path / "births.gif") as picture:
        # frames that are equal to the one before are one, shown for longer
        assert 2 <= picture.n_frames <= 9
    ax = animation._fig.axes[0]
    assert "step 12" in ax.get_title() and ax.get_xlabel() and ax.get_ylabel()
    with pytest.raises(ValueError, match="`path`: expected a file that ends in"):
        found.animate(tmp_path / "births.avi")

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import conjugacy as cj
from conjugacy import plots
from conjugacy.plots import palette
from conjugacy.runs.trial_sets import TrialSets


@pytest.fixture(scope="module")
def analysis():
    network = cj.networks.GRU(6)
    network.init_model(17, 6)
    task = cj.tasks.RandomTarget(max_ep_duration=0.9, catch_prob=0.3)
    return cj.Analysis(cj.Run(task, network.eval(), 0, TrialSets(n=60, seed=0, n_test=10, test_seed=1)))


def test_paths_start_and_end_where_the_hand_does(analysis):
    fig = plots.hand_paths(analysis, num_trials=5)
    ax = fig.axes[0]
    trials, out = analysis.trials("val"), analysis.rollout("val")
    paths = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) == trials.n_timesteps]
    np.testing.assert_allclose(np.stack(paths), out.outputs[:5])
    reach, bump = trials.epochs["reach"][:5], trials.epochs["bump"][:5]
    crosses = [line for line in ax.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert len(crosses) == int((reach[:, 1] > reach[:, 0]).sum())
    pushes = [line for line in ax.lines if line.get_color() == palette.PUSH and len(line.get_xdata())]
    assert len(pushes) == int((bump[:, 1] > bump[:, 0]).sum()) == len(ax.texts)
    assert "(m)" in ax.get_xlabel()


def test_what_is_aligned_to_the_cue_is(analysis):
    trials, out = analysis.trials("val"), analysis.rollout("val")
    task = analysis.run.task
    ax = plots.hand_speed(analysis, before=0.1, after=0.3).axes[0]
    speed = task.effector.hand_velocity(out.plant.q, out.plant.qd).norm(dim=-1)
    cue, end = trials.epochs["reach"].unbind(1)
    drawn = [line for line in ax.lines if line.get_linewidth() == 0.5]
    assert len(drawn) == int((cue < end).sum())
    at_cue = sorted(float(line.get_ydata()[10]) for line in drawn)
    np.testing.assert_allclose(at_cue, sorted(speed[cue < end, cue[cue < end]].tolist()), rtol=1e-6)
    np.testing.assert_allclose(drawn[0].get_xdata()[[0, 10, -1]], [-0.1, 0, 0.3], atol=1e-12)
    fig = plots.latents_at_cue(analysis, before=0.1, after=0.2)
    assert fig.axes[0].get_ylabel().startswith("PC 1 (")
    single = [line for line in fig.axes[0].lines if line.get_linewidth() == 0.4]
    means = [line for line in fig.axes[0].lines if line.get_linewidth() == 2.0]
    assert len(single) == len(drawn) and 1 <= len(means) <= 8
    assert fig.axes[3].name == "3d" and fig.axes[4].get_ylabel() == "direction of the reach (degrees)"


def test_commands_have_a_row_for_each_muscle(analysis):
    fig = plots.muscle_commands(analysis, num_trials=2)
    assert len(fig.axes) == 12
    assert [ax.get_ylabel() for ax in fig.axes[::2]] == analysis.run.task.output_labels
    np.testing.assert_allclose(fig.axes[3].lines[0].get_ydata(), analysis.rollout("val").actions[1, :, 1])
    fig = analysis.plot_trial_io(1)
    assert [t.get_text() for t in fig.axes[1].get_legend().get_texts()] == ["hand x (m)", "hand y (m)"]


def test_an_animation_shows_every_step_asked_for(analysis, tmp_path):
    path = tmp_path / "arm.gif"
    animation = plots.animate_arm(analysis, trial=2, path=path, fps=10, progress=False)
    with Image.open(path) as gif:
        assert gif.n_frames == 9
    links = next(line for line in animation._fig.axes[0].lines if line.get_linewidth() == 5)
    # the last frame is what the figure shows now: two links of the lengths they have
    joints = links.get_xydata()
    skeleton = analysis.run.task.effector.skeleton
    np.testing.assert_allclose(np.linalg.norm(np.diff(joints, axis=0), axis=1), [skeleton.l1, skeleton.l2], rtol=1e-5)
    np.testing.assert_allclose(joints[-1], analysis.rollout("val").outputs[2, 80], rtol=1e-5)
    assert [p.name for p in tmp_path.iterdir()] == ["arm.gif"]


def test_files_that_cannot_be_written_are_refused_before_anything_is_drawn(analysis, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"`path`: expected a file that ends in .gif or .mp4, got 'arm.avi'"):
        plots.animate_arm(analysis, path=tmp_path / "arm.avi")
    monkeypatch.setattr("matplotlib.animation.FFMpegWriter.isAvailable", classmethod(lambda cls: False))
    with pytest.raises(ValueError, match=r"`path`: .mp4 needs the program ffmpeg"):
        plots.animate_arm(analysis, path=tmp_path / "arm.mp4")


@pytest.mark.slow
def test_rest_points_are_drawn_beside_their_targets(analysis):
    rest = analysis.rest_points([[0.1, 0.4], [-0.1, 0.3]], n_inits=6, progress=False)
    fig = plots.rest_map(rest)
    where = fig.axes[0]
    crosses = [line.get_xydata()[0] for line in where.lines if line.get_marker() == "x" and len(line.get_xdata())]
    np.testing.assert_allclose(crosses, rest.targets)
    dots = [line.get_xydata()[0] for line in where.lines if line.get_marker() == "o" and len(line.get_xdata())]
    np.testing.assert_allclose(dots, rest.table()[["hand_x", "hand_y"]].to_numpy())
    names = [t.get_text() for t in fig.legends[0].get_texts()]
    assert names[-3:] == ["network alone", "network with arm", "border of stability"]


def test_generalisation_is_drawn_against_its_reference():
    table = pd.DataFrame({"end_error": [0.01, 0.02, 0.05]}, index=["as trained", "a", "b"])
    fig = plots.generalisation(table)
    assert isinstance(fig, matplotlib.figure.Figure)
    ax = fig.axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["as trained", "a", "b"]
    np.testing.assert_allclose(ax.lines[1].get_xdata(), [2, 5])
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [1, 1])
    assert ax.get_xscale() == "linear"
    assert plots.generalisation(table.mul([1, 1, 10], axis=0)).axes[0].get_xscale() == "log"
    with pytest.raises(ValueError, match="`metric`: expected one of 'end_error'"):
        plots.generalisation(table, "end")


def test_runs_without_an_arm_are_refused(small_runs):
    with pytest.raises(ValueError, match="`analysis`: expected a run that reaches with an arm"):
        plots.hand_paths(cj.Analysis(small_runs[0]))

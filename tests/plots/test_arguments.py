"""What figures and analyses do not take is refused at the call, in a line that names the argument and what it got."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import conjugacy as cj
from conjugacy import plots
from conjugacy.analysis import Analysis, Epochs

STRANGE = [
    "runs/gru",
    Path("runs/gru"),
    3,
    float("nan"),
    None,
    np.ones((2, 3)),
    torch.ones(2),
    [1, 2],
    {},
    object,
    len,
    b"x",
]

TAKES = {
    "analysis": [plots.trial_io, plots.scree, plots.hand_paths, plots.hand_speed, plots.muscle_commands, Epochs,
                 plots.latents_at_cue, plots.animate_arm],
    "run": [Analysis, cj.generalisation_table, cj.rest_points],
    "points": [plots.fixed_points_3d, plots.spectrum, plots.hits],
    "portrait": [plots.portrait_graph],
    "epochs": [plots.trajectories_by_epoch],
    "path": [plots.branches],
    "rest": [plots.rest_map],
    "table": [plots.generalisation, plots.known_answers],
    "result": [plots.similarity_matrix, plots.similarity_map],
    "surface": [plots.parameter_surface],
}  # fmt: skip


@pytest.mark.parametrize(("name", "function"), [(name, f) for name, fs in TAKES.items() for f in fs])
def test_things_of_another_kind(name, function):
    for value in STRANGE:
        with pytest.raises(TypeError) as refused:
            function(value)
        message = str(refused.value)
        assert message.startswith(f"`{name}`: expected ") and "\n" not in message and ", got " in message
        assert (value.__name__ if isinstance(value, type) else type(value).__name__) in message
        if isinstance(value, (str, Path)):
            assert "conjugacy.load(path)" in message


@pytest.fixture(scope="module")
def points():
    cell = torch.nn.RNNCell(2, 2, device="meta", dtype=torch.float64).to_empty(device="cpu")
    with torch.no_grad():
        for p in cell.parameters():
            p.zero_()
        cell.weight_hh.copy_(2 * torch.eye(2))
    return cj.fixed_points(cell, progress=False, n_inits=100)


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    return cj.similarity.pairwise(list(rng.standard_normal((3, 4, 9, 2))), ["cka", "procrustes"], progress=False)


def test_wrong_values_of_the_options(small_runs, points, pairs):
    run, other = small_runs
    a = Analysis(run)
    recording = cj.Recording.from_counts(np.random.default_rng(0).poisson(2, (4, 9, 3)), 0.02, name="M1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that no unit changes
        silent = cj.Recording.from_counts(np.ones((4, 9, 3)), 0.02, name="still")
    wrong = [
        (lambda: plots.trial_io(run, 10**6), "`num_trials`: expected an integer in [1, "),
        (lambda: plots.trial_io(run, "3"), "`num_trials`: expected an integer"),
        (lambda: plots.trial_io(run, True), "`num_trials`: expected an integer"),
        (lambda: plots.trial_io(run, phase="vall"), "`phase`: expected one of"),
        (lambda: plots.scree(run, 0), "`max_pcs`: expected an integer >= 1, got 0"),
        (lambda: a.plot_scree(2.5), "`max_pcs`: expected an integer >= 1, got 2.5"),
        (lambda: plots.latents_3d("runs/gru"), "`analyses`: expected a list of Analyses, Runs or Recordings, got str"),
        (lambda: plots.latents_3d([]), "`analyses`: expected at least one"),
        (lambda: plots.latents_3d([run, "x"]), "`analyses[1]`: expected a Run or an Analysis, got str 'x'"),
        (lambda: plots.latents_3d([run, recording]), "`analyses`: expected networks or recordings, got both"),
        (lambda: plots.latents_3d(silent), "`analyses`: expected units that change, got still, in which none does"),
        (lambda: plots.latents_3d(recording, colour="target"), "`colour`: expected 'condition' or 'time', got"),
        (lambda: plots.latents_3d(recording, colour="condition"), "`colour`: expected 'time', got 'condition'"),
        (lambda: a.fixed_points(coupled="False"), "`coupled`: expected True or False, got 'False'"),
        (lambda: a.fixed_points(coupled=True), "`coupled`: expected False"),
        (lambda: plots.fixed_points_3d(points, run), "`system`: expected 2 units"),
        (lambda: plots.fixed_points_3d(points, space="pcs"), "`space`: expected one of 'pca', 'readout', got 'pcs'"),
        (lambda: plots.spectrum(points, ax=3), "`ax`: expected matplotlib Axes or None, got int 3"),
        (lambda: plots.portrait_graph(points), "`portrait`: expected a Portrait"),
        (lambda: plots.similarity_matrix(pairs), "`measure`: expected one of 'cka', 'procrustes', got None"),
        (lambda: plots.similarity_matrix(pairs, "ckaa"), "`measure`: expected one of"),
        (lambda: plots.similarity_matrix(pairs, "cka", order="no"), "`order`: expected True or False"),
        (lambda: plots.similarity_map(pairs, "cka", groups="abc"), "`groups`: expected a list of labels, got"),
        (lambda: plots.similarity_map(pairs, "cka", groups=[1, 2, 3]), "`groups[0]`: expected a str"),
        (lambda: plots.similarity_map(pairs, "cka", groups=["a"]), "`groups`: expected a label for each of the 3"),
        (lambda: plots.affine_overlay("ab", "cd"), "`systems`: expected a list"),
        (lambda: plots.affine_overlay([run, other], [run]), "`train`: expected 2, one for each"),
        (lambda: plots.affine_overlay([run, other], [run, other], 2), "`reference`: expected an integer in [0, 1]"),
        (lambda: plots.affine_overlay([run], [run], angle=3), "`angle`: expected a list of two numbers, got int 3"),
        (lambda: plots.affine_overlay([run], [run], angle=(1, 2, 3)), "`angle`: expected (elevation, azimuth)"),
        (lambda: plots.generalisation(pd.DataFrame({"x": [1.0]})), "`table`: expected a reference and at least one"),
        (lambda: plots.known_answers(pd.DataFrame({"x": [1.0]})), "`table`: expected the columns of check_measures"),
        (lambda: cj.rest_points(run), "`run`: expected one whose task has an arm"),
        (lambda: cj.generalisation_table(run, ["x"]), "`conditions`: expected a dict"),
        (lambda: cj.generalisation_table(run, {"x": 3}), "`conditions['x']`: expected a dict of changes or a task"),
        (lambda: cj.generalisation_table(run, {}, 10**30), "`n_trials`: expected at most 10000000, got 1000"),
    ]  # fmt: skip
    for call, beginning in wrong:
        with pytest.raises((TypeError, ValueError)) as refused:
            call()
        message = str(refused.value)
        assert message.startswith(beginning) and "\n" not in message and ", got " in message, message


def test_a_run_is_taken_where_an_analysis_is_meant(small_runs):
    run = small_runs[0]
    for figure in (plots.trial_io(run), plots.scree(run), plots.latents_3d(run)):
        assert run.name in figure.axes[0].get_title() + figure.get_suptitle() + figure.axes[-1].get_title()
    assert Analysis(Analysis(run)).run is run


def test_numbers_agree_with_their_nouns(points):
    title = " ".join(plots.portrait_graph(points.portrait()).axes[0].get_title().split())
    assert title == "RNN (tanh): 9 fixed points: 4 stable, 4 saddles, 1 source"
    assert plots.fixed_points_3d(points[:1]).axes[0].get_title() == "1 fixed point: 1 stable"


def test_a_recorded_trial_is_drawn_to_its_end_and_conditions_in_turn():
    trials = [np.random.default_rng(k).poisson(3, (n, 4)) for k, n in enumerate((5, 9, 7, 6))]
    recording = cj.Recording.from_counts(trials, 0.02, conditions=["a", "a", "b", "b"], name="M1")
    fig = plots.latents_3d(recording, num_trials=2)
    lines = [line for line in fig.axes[0].lines if line.get_marker() != "o"]
    assert [len(line.get_data_3d()[0]) for line in lines] == [5, 7]  # the first of each condition
    assert len({line.get_color() for line in lines}) == 2
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["start of a trial", "a", "b"]


def test_a_colour_is_one_condition_in_all_recordings_of_a_figure():
    counts = np.random.default_rng(0).poisson(3, (4, 9, 4))
    a, b = (
        cj.Recording.from_counts(counts, 0.02, conditions=labels, name=name)
        for name, labels in (("A", ["left", "right"] * 2), ("B", ["right", "up"] * 2))
    )
    fig = plots.latents_3d([a, b])
    first, second = (ax for ax in fig.axes if ax.name == "3d")
    drawn = [[line.get_color() for line in ax.lines if line.get_marker() != "o"] for ax in (first, second)]
    assert drawn[0][1] == drawn[1][0]  # right
    assert len({drawn[0][0], drawn[0][1], drawn[1][1]}) == 3
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["start of a trial", "left", "right", "up"]
    many = cj.Recording.from_counts(np.repeat(counts, 3, axis=0), 0.02, conditions=list(range(12)), name="many")
    with pytest.raises(ValueError, match="`colour`: expected 'time', got 'condition' for 12 of them"):
        plots.latents_3d(many, colour="condition")

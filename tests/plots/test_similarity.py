"""Figures of comparisons: they return Figures, carry the right labels and numbers, and draw where they are told."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from conjugacy.plots.similarity import known_answers, parameter_surface, similarity_map, similarity_matrix
from conjugacy.similarity import check_measures, pairwise, surface


@pytest.fixture(scope="module")
def systems():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(9, 30, 3)).cumsum(1)
    return [np.tanh(base @ rng.normal(size=(3, 5))) + 0.1 * rng.normal(size=(9, 30, 5)) for _ in range(5)]


@pytest.fixture(scope="module")
def result(systems):
    return pairwise(systems, ["procrustes", "state_r2"], progress=False)


def test_matrix_shows_all_values_in_clustering_order(result):
    figure = similarity_matrix(result, "procrustes")
    ax, bar = figure.axes
    order = [str(i) for i in result.order("procrustes")]
    assert [t.get_text() for t in ax.get_xticklabels()] == [t.get_text() for t in ax.get_yticklabels()] == order
    assert len(ax.texts) == 25
    assert bar.get_ylabel() == "procrustes (rad), low: similar"
    shown = ax.images[0].get_array()
    assert shown[0, 1] == result.matrix("procrustes").loc[order[0], order[1]]


def test_directions_are_named_where_there_are_two(result):
    ax = similarity_matrix(result, "state_r2", order=False).axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("to", "from")


def test_map_has_a_point_for_each_system(result):
    ax = similarity_map(result, "procrustes").axes[0]
    assert [t.get_text() for t in ax.texts] == list(result.rows)
    grouped = similarity_map(result, "procrustes", groups=["x", "x", "y", "y", "y"]).axes[0]
    assert [t.get_text() for t in grouped.get_legend().get_texts()] == ["x", "y"]
    assert [len(line.get_xdata()) for line in grouped.lines] == [2, 3]
    with pytest.raises(ValueError, match="`groups`: expected a label for each of the 5 systems, got 1"):
        similarity_map(result, "procrustes", groups=["x"])


def test_figures_draw_into_given_axes(result):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert similarity_matrix(result, "procrustes", ax=left) is figure
    assert similarity_map(result, "procrustes", ax=right) is figure


def test_surface_has_a_panel_for_each_number_of_delays(systems):
    grid = surface(systems[:3], ranks=[2, 3], n_delays=[1, 2, 4], progress=False)
    figure = parameter_surface(grid)
    assert len(figure.axes) == 3 and all(len(ax.lines) == 3 for ax in figure.axes)


def test_known_answers_have_a_cell_for_each_verdict():
    figure = known_answers(check_measures(["cka", "procrustes"]))
    assert figure.axes[0].images[0].get_array().shape == (2, 17)

"""Names that fit: long ones lose their middle, legends have columns, labels keep clear of each other and of points."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from conjugacy.plots._labels import name_points, name_ticks, place_beside, short
from conjugacy.plots._view import separating_view
from conjugacy.plots.figure import new_figure


def test_long_names_keep_both_ends():
    assert short("GRU-128") == "GRU-128"
    name = short("trained with noise and a very long name, seed 3", 24)
    assert len(name) == 24 and name.startswith("trained with") and name.endswith("seed 3")


@pytest.mark.parametrize("n", [2, 12, 13, 60])
def test_points_are_named_or_numbered_and_none_is_lost(n, shown_texts, unreadable):
    figure = new_figure(8.6, 5.2)
    ax = figure.subplots()
    xy = np.random.default_rng(n).normal(size=(n, 2))
    ax.plot(*xy.T, "o")
    ax.margins(0.2)
    names = [f"network {k}" for k in range(n)]
    name_points(ax, xy, names, what="networks")
    shown = shown_texts(figure)
    wanted = names if n <= 12 else [f"{k + 1}  {name}" for k, name in enumerate(names)]
    assert set(wanted) <= set(shown) and unreadable(figure) == []
    if n > 12:
        assert sum(text in shown for text in map(str, range(1, n + 1))) >= 0.9 * n


def test_a_label_for_which_there_is_no_room_is_left_out(unreadable):
    figure = new_figure(4, 3)
    ax = figure.subplots()
    xy = np.zeros((40, 2)) + np.linspace(0, 1e-3, 40)[:, None]
    ax.plot(*xy.T, "o")
    made = place_beside(ax, xy, ["a long name"] * 40, 8.0)
    assert 0 < sum(text.get_visible() for text in made) < 40 and unreadable(figure) == []


@pytest.mark.parametrize(("n", "inches"), [(5, 3.0), (60, 9.0), (60, 4.0), (300, 4.0)])
def test_ticks_shrink_and_then_thin_out(n, inches):
    ax = Figure(figsize=(inches + 2, inches + 2)).subplots()
    name_ticks(ax, "y", [f"name {k}" for k in range(n)], inches)
    shown = ax.get_yticklabels()
    size = shown[0].get_fontsize()
    assert size >= 5.0 and 72 * inches / n * (ax.get_yticks()[1] - ax.get_yticks()[0]) >= size
    assert [t.get_text() for t in shown] == [f"name {int(k)}" for k in ax.get_yticks()]


def test_the_view_shows_the_corners_of_a_cube_apart():
    """The default of 30 degrees and -60 does so too; along an edge or a diagonal they would fall on one another."""
    ax = Figure().add_subplot(projection="3d")
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    for axis in "xyz":
        getattr(ax, f"set_{axis}lim")(-0.1, 1.1)
    from mpl_toolkits.mplot3d.proj3d import proj_transform

    def least(view):
        ax.view_init(*view)
        x, y, _ = proj_transform(*corners.T, ax.get_proj())
        gaps = np.hypot(x[:, None] - x, y[:, None] - y)
        return gaps[~np.eye(8, dtype=bool)].min()

    found = separating_view(ax, corners)
    assert least(found) > 0.9 * max(least((e, a)) for e in range(10, 61, 10) for a in range(-175, 180, 10))
    assert least(found) > 2 * least((35.3, 45)) and least(found) > 2 * least((0, 0))

import matplotlib.figure
import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from torch import nn

import conjugacy as cj
from conjugacy.dynamics import Portrait
from conjugacy.plots import fixed_points_3d, hits, portrait_graph, spectrum
from conjugacy.system import System


def system(n, readout=True):
    cell = nn.RNNCell(n, n, device="meta", dtype=torch.float64).to_empty(device="cpu")
    with torch.no_grad():
        for p in cell.parameters():
            p.zero_()
        cell.weight_hh.copy_(2 * torch.eye(n))
    x = torch.randn(7, 11, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return System(
        "ff",
        x,
        torch.zeros_like(x),
        torch.tensor([11, 11, 5, 11, 11, 11, 11]),
        step=lambda x, u: cell(u, x),
        cell=cell,
        readout=(lambda x: x) if readout else None,
        step_tolerance=float("inf"),
    )


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("space", ["pca", "readout"])
def test_points_stand_where_they_are(n, space):
    made = system(n)
    points = cj.fixed_points(made, progress=False, n_inits=400)
    fig = fixed_points_3d(points, made, space=space, n_trials=3)
    assert isinstance(fig, matplotlib.figure.Figure)
    ax = fig.axes[0]
    # the first entry is that of the trajectories
    labels = [t.get_text() for t in ax.get_legend().get_texts()][1:]
    assert [int(label.split()[0]) for label in labels] == list(points.counts.values())
    kinds = ["stable" if k == 0 else "source" if k == n else "saddle" for k in points.counts]
    assert [label.split()[1].strip(",s") for label in labels] == [kind.strip("s") for kind in kinds]
    total = sum(points.counts.values())
    title = " ".join(ax.get_title().split())
    assert title.startswith(f"ff: {total} fixed point{'s' if total > 1 else ''}: {points.counts[0]} stable")
    dots = [line for line in ax.lines if line.get_marker() != "None"]
    lines = [line for line in ax.lines if line.get_marker() == "None"]
    # three trials, and a line for each unstable direction
    assert len(lines) == 3 + int(points.n_unstable.sum())
    drawn = np.concatenate([np.stack(d.get_data_3d() if n > 2 else d.get_data(), 1) for d in dots])
    if n == 1:
        drawn = drawn[:, :1]
    if space == "readout":
        np.testing.assert_allclose(drawn, points.x[:, :3])
    elif n <= 3:
        # principal components are a rotation: distances stay
        np.testing.assert_allclose(pdist(drawn), pdist(points.x))
    assert ax.get_xlabel().startswith("PC 1" if space == "pca" else "readout 1")


def test_the_other_figures_draw_what_they_say():
    points = cj.fixed_points(system(2), progress=False, n_inits=200)
    ax = spectrum(points).axes[0]
    assert sum(len(line.get_xdata()) for line in ax.lines if line.get_marker() != "None") == 18
    ax = hits(points).axes[0]
    assert sum(bar.get_height() for bar in ax.patches) == int(points.hits.sum()) and len(ax.patches) == 9
    ax = portrait_graph(points.portrait()).axes[0]
    # four memories, a line with a diamond for each of the four saddles between them, and the source, which is not drawn
    assert [len([m for m in ax.lines if m.get_marker() == mark]) for mark in ("o", "D", "None")] == [4, 4, 4]
    assert "1 source" in ax.get_title() and sorted(t.get_text() for t in ax.texts) == ["++", "+-", "-+", "--"]


def test_portraits_without_labels_loops_and_lost_branches():
    edges = ((3, 0, 1), (4, 0, 1), (5, 2, 2), (6, -1, 0), (7, -1, -1))
    made = Portrait({0: 3, 1: 5}, None, (0, 0, 0, 1, 1, 1, 1, 1), edges, ("",) * 8, torch.zeros(8, 1) + 0j)
    ax = portrait_graph(made).axes[0]
    assert [t.get_text() for t in ax.texts] == ["0", "1", "2"]
    lines = [line for line in ax.lines if line.get_marker() == "None" and line.get_zorder() == 1]
    # two parallel lines, a loop, a stub, a saddle that leads nowhere; a diamond each; three points
    assert len(lines) == 5 and len([line for line in ax.lines if line.get_marker() == "D"]) == 5
    assert [line.get_xydata().shape[0] for line in ax.lines if line.get_marker() == "x"] == [1, 2]
    assert len([line for line in ax.lines if line.get_marker() == "o"]) == 3
    named = [t.get_text() for t in ax.get_legend().get_texts()]
    assert named == ["saddle", "dead end: reaches no memory", "memory (stable)"]
    assert "3 branches of saddles end at no memory" in ax.get_title()
    a, b = lines[0].get_xydata(), lines[1].get_xydata()
    np.testing.assert_allclose(a[[0, -1]], b[[0, -1]])
    assert not np.allclose(a[15], b[15])


def test_empty_and_flow_results_are_drawn_too(fig_of=matplotlib.figure.Figure):
    empty = cj.fixed_points(lambda x, u: x + 1, x0=torch.zeros(3, 2), n_inits=8, progress=False)
    for draw in (fixed_points_3d, spectrum, hits):
        assert isinstance(draw(empty), fig_of)
    assert isinstance(portrait_graph(empty.portrait()), fig_of)
    flow = cj.fixed_points(
        lambda x: x - x**3,
        x0=torch.randn(9, 3, generator=torch.Generator().manual_seed(0)),
        kind="flow",
        progress=False,
    )
    assert "1 / unit of time" in spectrum(flow).axes[0].get_xlabel()
    ax = matplotlib.figure.Figure().subplots()
    assert spectrum(flow, ax=ax) is ax.get_figure()


def test_bad_arguments_are_explained():
    points = cj.fixed_points(system(2, readout=False), progress=False, n_inits=20)
    with pytest.raises(ValueError, match="`space`: expected 'pca', got 'readout' for a system without one"):
        fixed_points_3d(points, space="readout")
    with pytest.raises(ValueError, match="`space`: expected one of"):
        fixed_points_3d(points, space="pcs")

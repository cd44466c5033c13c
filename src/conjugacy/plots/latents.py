"""States (latents) of one or several networks: variance by component, trajectories in space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from conjugacy._check import check_choice, check_int
from conjugacy.analysis._given import counted, items_of
from conjugacy.analysis.analysis import Analysis
from conjugacy.plots import palette
from conjugacy.plots._coloured_paths import MEANINGS, Colouring, colouring
from conjugacy.plots._given import PHASE_NAMES, as_analysis, check_num_trials
from conjugacy.plots._labels import legend_below, legend_beside, over_all, short, title
from conjugacy.plots._style import points as text_size
from conjugacy.plots._view import separating_view
from conjugacy.plots.figure import label_dims, new_figure, small_panel, space_axes
from conjugacy.runs.run import Run


def scree(analysis: Analysis | Run, max_pcs: int = 10) -> Figure:
    """Share of the variance of the states on training trials, by principal component, and its running sum.

    Parameters
    ----------
    analysis : Analysis or Run
    max_pcs : int
        Components to draw; fewer if the network has fewer units.
    """
    analysis = as_analysis("analysis", analysis)
    share = analysis.explained_variance(check_int("max_pcs", max_pcs, 1))
    component = np.arange(1, len(share) + 1)
    fig = new_figure(6.4, 3.6)
    ax = fig.subplots()
    ax.bar(component, 100 * share, color=palette.BLUE, label="each component")
    ax.plot(component, 100 * np.cumsum(share), "o-", color=palette.VERMILLION, ms=4, label="running sum")
    ax.set(xlabel="principal component", ylabel="variance explained (%)", ylim=(0, 104))
    if len(component) <= 15:
        ax.set_xticks(component)
    else:
        ax.locator_params(axis="x", integer=True)
    title(ax, f"{short(analysis.name)}: variance of the states on training trials")
    legend_beside(ax)
    return fig


def latents_3d(
    analyses: Sequence[Analysis | Run] | Analysis | Run,
    num_trials: int = 10,
    phase: str = "val",
    *,
    colour: str = "auto",
) -> Figure:
    """Trajectories in the first three principal components of each network, a panel each.

    Each panel is seen from where its colours lie apart best.

    Parameters
    ----------
    analyses : Analysis, Run, or sequence of them
    num_trials : int
        Trials to draw.
    phase : str
        "train", "val", "all" or "test".
    colour : {"auto", "condition", "target", "time"}
        What colours mean: the condition of a trial, the target at a step, or the time since a trial began. "auto" takes
        the first that has two to eight values.
    """
    check_choice("colour", colour, MEANINGS)
    if isinstance(analyses, Analysis | Run):
        analyses = [analyses]
    shown = [as_analysis(f"analyses[{k}]", a) for k, a in enumerate(items_of("analyses", analyses, "Analyses or Runs"))]
    if not shown:
        raise ValueError("`analyses`: expected at least one Analysis or Run, got an empty list.")
    n = len(shown)
    columns = n if n <= 3 else min(8, math.ceil(math.sqrt(n)))
    rows = -(-n // columns)
    side = 4.6 if n <= 3 else max(1.5, 11.0 / columns)
    fig = new_figure(side * columns + 1.4, (0.92 * side + 0.1) * rows + 0.6)
    means, drawn = None, None
    for i, analysis in enumerate(shown):
        trials, pcs = analysis.trials(phase), analysis.pcs(phase, 3)
        check_num_trials(num_trials, pcs, phase)
        means = colouring(trials, num_trials, analysis.run.task, colour)
        drawn = _panel(space_axes(fig, rows, columns, i + 1, pcs.shape[-1]), analysis, pcs[:num_trials], means, n <= 9)
    assert means is not None
    if drawn is not None:
        fig.colorbar(drawn, ax=fig.axes, label="time in the trial (s)", shrink=0.6, aspect=30)
    dots = [Line2D([], [], color="black", marker="o", ms=4, linestyle="none")]
    handles, labels = means.handles()
    legend_below(fig, [*dots, *handles], ["start of a trial", *labels])
    trials_drawn = counted(num_trials, PHASE_NAMES[phase] + " trial")
    over_all(fig, f"States in {trials_drawn}, {means.in_words}")
    return fig


def _panel(ax: Any, analysis: Analysis, pcs: np.ndarray, means: Colouring, large: bool) -> Any:
    """Draw one network; small panels have no ticks. Returns what a bar of colours needs, or None."""
    dims = pcs.shape[-1]
    time = np.arange(pcs.shape[1]) * analysis.run.task.dt
    drawn = None
    for k, path in enumerate(pcs):
        drawn = means.draw(ax, path, k, time, lw=0.8, alpha=0.8)
        if dims > 1:
            ax.plot(*path[:1].T, "o", color="black", ms=4 if large else 2)
    # a collection does not widen the axes by itself
    line = pcs.reshape(-1, dims) if dims > 1 else np.stack([np.tile(time, len(pcs)), pcs.reshape(-1)], 1)
    for axis, low, high in zip("xyz", line.min(0), line.max(0)):
        edge = 0.04 * (high - low) or 1.0
        getattr(ax, f"set_{axis}lim")(low - edge, high + edge)
    share = 100 * analysis.explained_variance(dims)
    if large:
        label_dims(ax, [f"PC {j + 1} ({s:.0f} %)" for j, s in enumerate(share)])
    else:
        label_dims(ax, [f"PC {j + 1}" for j in range(dims)])
        small_panel(ax, dims)
    if dims == 3:
        ax.view_init(*separating_view(ax, means.nodes(pcs)))
    ax.set_title(short(analysis.name, 24 if large else 16), fontsize="medium" if large else text_size(7.0), pad=2)
    return drawn

"""States (latents) of one or several networks: variance by component, trajectories in space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from conjugacy._check import check_choice, check_int
from conjugacy.analysis._given import counted, items_of
from conjugacy.analysis.analysis import Analysis
from conjugacy.plots import palette
from conjugacy.plots._coloured_paths import MEANINGS, Colouring, colouring, recorded_colouring, recorded_kinds
from conjugacy.plots._given import PHASE_NAMES, as_analysis, check_num_trials
from conjugacy.plots._labels import legend_below, legend_beside, over_all, short, title
from conjugacy.plots._style import points as text_size
from conjugacy.plots._view import separating_view
from conjugacy.plots.figure import label_dims, new_figure, small_panel, space_axes
from conjugacy.recordings.recording import Recording
from conjugacy.runs.run import Run
from conjugacy.similarity.principal_components import principal_axes


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
    analyses: Sequence[Analysis | Run | Recording] | Analysis | Run | Recording,
    num_trials: int = 10,
    phase: str = "val",
    *,
    colour: str = "auto",
) -> Figure:
    """Trajectories in the first three principal components of each network, or of each recording, a panel each.

    Each panel is seen from where its colours lie apart best.

    Parameters
    ----------
    analyses : Analysis, Run or Recording, or sequence of them
        Networks or recordings; not both in one figure. Components of a recording are those of its own values: smooth
        it first, or average it over conditions.
    num_trials : int
        Trials to draw; of a recording that has fewer, all.
    phase : str
        "train", "val", "all" or "test"; recordings have none.
    colour : {"auto", "condition", "target", "time"}
        What colours mean: the condition of a trial, the target at a step, or the time since a trial began. "auto" takes
        the first that has two to eight values.
    """
    check_choice("colour", colour, MEANINGS)
    if isinstance(analyses, Analysis | Run | Recording):
        analyses = [analyses]
    given = items_of("analyses", analyses, "Analyses, Runs or Recordings")
    if not given:
        raise ValueError("`analyses`: expected at least one Analysis, Run or Recording, got an empty list.")
    recorded = [isinstance(a, Recording) for a in given]
    if any(recorded) and not all(recorded):
        raise ValueError(
            "`analyses`: expected networks or recordings, got both. Draw a figure of each: colours mean other things."
        )
    if all(recorded):
        check_int("num_trials", num_trials, 1)
        kinds = recorded_kinds([a.conditions for a in given], colour)
        panels = [_of_recording(a, num_trials, kinds) for a in given]
    else:
        panels = [_of_run(as_analysis(f"analyses[{k}]", a), num_trials, phase, colour) for k, a in enumerate(given)]
    n = len(panels)
    columns = n if n <= 3 else min(8, math.ceil(math.sqrt(n)))
    rows = -(-n // columns)
    side = 4.6 if n <= 3 else max(1.5, 11.0 / columns)
    fig = new_figure(side * columns + 1.4, (0.92 * side + 0.1) * rows + 0.6)
    drawn = None
    for i, panel in enumerate(panels):
        bar = _panel(space_axes(fig, rows, columns, i + 1, panel.pcs.shape[-1]), panel, n <= 9)
        drawn = bar if bar is not None else drawn
    means = panels[-1].means
    handles: dict[str, Any] = {}
    for panel in panels:
        handles |= {name: handle for handle, name in zip(*panel.means.handles())}
    if drawn is not None:
        fig.colorbar(drawn, ax=fig.axes, label="time in the trial (s)", shrink=0.6, aspect=30)
    dots = [Line2D([], [], color="black", marker="o", ms=4, linestyle="none")]
    legend_below(fig, [*dots, *handles.values()], ["start of a trial", *handles])
    if all(recorded):
        averaged = all(a.n_averaged is not None for a in given)
        what = "averages" if averaged else counted(max(len(p.pcs) for p in panels), "trial")
        over_all(fig, f"States of the recorded units, {what}, {means.in_words}")
    else:
        over_all(fig, f"States in {counted(num_trials, PHASE_NAMES[phase] + ' trial')}, {means.in_words}")
    return fig


@dataclass(frozen=True)
class _Drawn:
    """What a panel shows: paths (trial, time, component), the steps of each, and what colours mean."""

    name: str
    pcs: np.ndarray
    lengths: np.ndarray
    dt: float
    share: np.ndarray
    means: Colouring


def _of_run(analysis: Analysis, num_trials: int, phase: str, colour: str) -> _Drawn:
    trials, pcs = analysis.trials(phase), analysis.pcs(phase, 3)
    check_num_trials(num_trials, pcs, phase)
    task = analysis.run.task
    means = colouring(trials, num_trials, task, colour)
    pcs = np.asarray(pcs[:num_trials])
    lengths = np.full(len(pcs), pcs.shape[1])
    return _Drawn(analysis.name, pcs, lengths, task.dt, analysis.explained_variance(pcs.shape[-1]), means)


def _of_recording(recording: Recording, num_trials: int, kinds: tuple[str, ...]) -> _Drawn:
    x, lengths = recording.values, recording.lengths
    mean, deviations, axes = principal_axes(x[recording.valid])
    if not len(deviations):
        raise ValueError(f"`analyses`: expected units that change, got {recording.name}, in which none does.")
    n_dims = min(3, len(deviations))
    chosen = _spread_over(recording.conditions, num_trials, len(x))
    # past its end a trial stays where it is, so that it has one colour and no way back
    last = np.minimum(np.arange(x.shape[1]), lengths[chosen, None] - 1)
    pcs = (x[chosen[:, None], last] - mean) @ axes[:, :n_dims]
    labels = None if recording.conditions is None else recording.conditions[chosen]
    share = deviations[:n_dims] ** 2 / float((deviations**2).sum())
    means = recorded_colouring(labels, x.shape[1], kinds)
    return _Drawn(recording.name, pcs, lengths[chosen], recording.bin_size, share, means)


def _spread_over(conditions: np.ndarray | None, most: int, n_trials: int) -> np.ndarray:
    """Indices of at most so many trials, as even over the conditions as they go."""
    if conditions is None or n_trials <= most:
        return np.arange(min(n_trials, most))
    _, code = np.unique(np.array([str(c) for c in conditions]), return_inverse=True)
    turn = np.zeros(n_trials, dtype=int)
    for k in np.unique(code):
        turn[code == k] = np.arange((code == k).sum())
    return np.sort(np.lexsort((code, turn))[:most])


def _panel(ax: Any, panel: _Drawn, large: bool) -> Any:
    """Draw one network or recording; small panels have no ticks. Returns what a bar of colours needs, or None."""
    pcs, means, dims = panel.pcs, panel.means, panel.pcs.shape[-1]
    time = np.arange(pcs.shape[1]) * panel.dt
    drawn = None
    for k, (path, n) in enumerate(zip(pcs, panel.lengths)):
        drawn = means.draw(ax, path[:n], k, time[:n], lw=0.8, alpha=0.8)
        if dims > 1:
            ax.plot(*path[:1].T, "o", color="black", ms=4 if large else 2)
    # a collection does not widen the axes by itself
    line = pcs.reshape(-1, dims) if dims > 1 else np.stack([np.tile(time, len(pcs)), pcs.reshape(-1)], 1)
    for axis, low, high in zip("xyz", line.min(0), line.max(0)):
        edge = 0.04 * (high - low) or 1.0
        getattr(ax, f"set_{axis}lim")(low - edge, high + edge)
    if large:
        label_dims(ax, [f"PC {j + 1} ({100 * s:.0f} %)" for j, s in enumerate(panel.share)])
    else:
        label_dims(ax, [f"PC {j + 1}" for j in range(dims)])
        small_panel(ax, dims)
    if dims == 3:
        ax.view_init(*separating_view(ax, means.nodes(pcs)))
    ax.set_title(short(panel.name, 24 if large else 16), fontsize="medium" if large else text_size(7.0), pad=2)
    return drawn

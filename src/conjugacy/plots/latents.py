"""States (latents) of one or several networks: variance by component, trajectories in space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from conjugacy._check import check_int
from conjugacy.analysis._given import counted, items_of
from conjugacy.analysis.analysis import Analysis
from conjugacy.plots._given import PHASE_NAMES, as_analysis, check_num_trials
from conjugacy.plots.figure import label_dims, new_figure, space_axes
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
    fig = new_figure(5.5, 3.6)
    ax = fig.subplots()
    ax.bar(component, 100 * share, color="C0", label="each component")
    ax.plot(component, 100 * np.cumsum(share), "o-", color="C1", ms=4, label="running sum")
    ax.set(xlabel="principal component", ylabel="variance explained (%)", ylim=(0, 104), xticks=component)
    ax.set_title(f"{analysis.name}: variance of the states on training trials", fontsize="medium")
    ax.legend(frameon=False, loc="center right")
    return fig


def latents_3d(analyses: Sequence[Analysis | Run] | Analysis | Run, num_trials: int = 10, phase: str = "val") -> Figure:
    """Trajectories in the first three principal components of each network, a panel each, coloured by trial.

    Parameters
    ----------
    analyses : Analysis, Run, or sequence of them
    num_trials : int
        Trials to draw.
    phase : str
        "train", "val", "all" or "test".
    """
    if isinstance(analyses, Analysis | Run):
        analyses = [analyses]
    shown = [as_analysis(f"analyses[{k}]", a) for k, a in enumerate(items_of("analyses", analyses, "Analyses or Runs"))]
    if not shown:
        raise ValueError("`analyses`: expected at least one Analysis or Run, got an empty list.")
    fig = new_figure(5.2 * len(shown), 4.8)
    for i, analysis in enumerate(shown):
        pcs = analysis.pcs(phase, 3)
        check_num_trials(num_trials, pcs, phase)
        dims = pcs.shape[-1]
        ax = space_axes(fig, 1, len(shown), i + 1, dims)
        time = np.arange(pcs.shape[1]) * analysis.run.task.dt
        for k, path in enumerate(pcs[:num_trials]):
            line = path.T if dims > 1 else (time, path[:, 0])
            ax.plot(*line, lw=0.8, alpha=0.8, color=f"C{k % 10}")
            if dims > 1:
                ax.plot(*path[:1].T, "o", color="k", ms=4, label="start" if k == 0 else None)
        share = 100 * analysis.explained_variance(dims)
        label_dims(ax, [f"PC {j + 1} ({s:.0f} %)" for j, s in enumerate(share)])
        ax.set_title(analysis.name, fontsize="medium")
        if dims > 1:
            ax.legend(frameon=False, loc="upper left")
    fig.suptitle(f"States in {counted(num_trials, PHASE_NAMES[phase] + ' trial')}, one colour per trial")
    return fig

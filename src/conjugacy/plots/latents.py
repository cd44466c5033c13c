"""Latents of one or several networks: variance by component, trajectories in space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from conjugacy._check import check_int
from conjugacy.plots.figure import label_dims, new_figure, space_axes

if TYPE_CHECKING:
    from conjugacy.analysis.analysis import Analysis


def scree(analysis: Analysis, max_pcs: int = 10) -> Figure:
    """Share of the variance of the training latents by principal component, and its running sum."""
    share = analysis.explained_variance(max_pcs)
    component = np.arange(1, len(share) + 1)
    fig = new_figure(5.5, 3.6)
    ax = fig.subplots()
    ax.bar(component, 100 * share, color="C0", label="each")
    ax.plot(component, 100 * np.cumsum(share), "o-", color="C1", ms=4, label="together")
    ax.set(xlabel="principal component", ylabel="variance explained (%)", ylim=(0, 104), xticks=component)
    ax.set_title(f"{analysis.name}: latents on the training trials", fontsize="medium")
    ax.legend(frameon=False, loc="center right")
    return fig


def latents_3d(analyses: Sequence[Any], num_trials: int = 10, phase: str = "val") -> Figure:
    """Trajectories in the first three principal components of each network, a panel each, coloured by trial.

    Parameters
    ----------
    analyses : sequence of Analysis or Run
    num_trials : int
        Trials to draw.
    phase : str
        "train", "val", "all" or "test".
    """
    from conjugacy.analysis.analysis import Analysis
    from conjugacy.runs.run import Run

    analyses = [Analysis(a) if isinstance(a, Run) else a for a in analyses]
    fig = new_figure(5.2 * len(analyses), 4.8)
    for i, analysis in enumerate(analyses):
        pcs = analysis.pcs(phase, 3)
        check_int("num_trials", num_trials, 1, len(pcs), f"Phase {phase!r} has {len(pcs)} trials.")
        dims = pcs.shape[-1]
        ax = space_axes(fig, 1, len(analyses), i + 1, dims)
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
    fig.suptitle(f"{num_trials} {phase} trials, a colour each")
    return fig

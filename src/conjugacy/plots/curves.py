"""Curves of several systems over time, trial by trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from conjugacy._check import check_int
from conjugacy.analysis._given import counted
from conjugacy.plots import palette
from conjugacy.plots._labels import legend_below, legend_beside, short
from conjugacy.plots.figure import new_figure


def overlaid(curves: Mapping[str, np.ndarray], labels: Sequence[str], dt: float, num_trials: int = 2) -> Figure:
    """A row for each component, a column for each trial, a line for each system.

    Parameters
    ----------
    curves : mapping of str to array (trial, time, component)
        By name of the system; all with the same components.
    labels : sequence of str
        Names of the components.
    dt : float
        Seconds per step.
    num_trials : int
        Trials to draw.
    """
    fig, axes = _grid(len(labels), num_trials, curves)
    for name, values in curves.items():
        style = palette.line_style(list(curves).index(name)) | {"lw": 1.0}
        for k in range(num_trials):
            for row, ax in enumerate(axes[:, k]):
                ax.plot(np.arange(values.shape[1]) * dt, values[k, :, row], label=name, **style)
    for row, label in zip(axes, labels):
        row[0].set_ylabel(label)
    legend_below(fig, *axes[0, -1].get_legend_handles_labels())
    return fig


def side_by_side(
    curves: Mapping[str, np.ndarray], labels: Sequence[str], dt: float, num_trials: int = 2, ylabel: str = ""
) -> Figure:
    """A row for each system, a column for each trial, a line for each component; arguments as in `overlaid`."""
    fig, axes = _grid(len(curves), num_trials, curves)
    for row, (name, values) in zip(axes, curves.items()):
        for k in range(num_trials):
            for j in range(values.shape[2]):
                row[k].plot(np.arange(values.shape[1]) * dt, values[k, :, j], lw=1, **palette.line_style(j))
        row[0].set_ylabel(f"{short(name, 18)}\n{ylabel}".strip(), fontsize="small")
        shown = list(labels)[: values.shape[2]]
        legend_beside(row[-1], row[-1].lines[: len(shown)], shown)
    return fig


def _grid(rows: int, num_trials: int, curves: Mapping[str, np.ndarray]) -> tuple[Figure, np.ndarray]:
    least = min(len(values) for values in curves.values())
    check_int("num_trials", num_trials, 1, least, f"There {'is' if least == 1 else 'are'} {counted(least, 'trial')}.")
    fig = new_figure(4.6 * num_trials + 1.2, 1.6 * rows + 0.8)
    axes = fig.subplots(rows, num_trials, sharex=True, sharey="row", squeeze=False)
    for k in range(num_trials):
        axes[0, k].set_title(f"trial {k + 1}", fontsize="medium")
        axes[-1, k].set_xlabel("time (s)")
        for ax in axes[:, k]:
            ax.margins(x=0)
    return fig, axes

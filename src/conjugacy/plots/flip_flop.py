"""Figures of the N-bit flip-flop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from conjugacy.plots import palette
from conjugacy.plots._labels import legend_below, over_all
from conjugacy.plots.figure import label_dims, new_figure, space_axes
from conjugacy.trials import Trials

if TYPE_CHECKING:
    from conjugacy.tasks.flip_flop import NBitFlipFlop


def trial(task: NBitFlipFlop, trials: Trials, index: int = 0) -> Figure:
    """One trial: a row for each bit, with its pulses as triangles, and a last row with all inputs."""
    n = task.n
    time = np.arange(trials.n_timesteps) * task.dt
    fig = new_figure(9, 1.1 * n + 2.2)
    axes = fig.subplots(n + 1, 1, sharex=True, height_ratios=[1] * n + [1.6])
    for i, ax in enumerate(axes[:-1]):
        pulses = trials.true_inputs[index, :, i].numpy()
        colour = palette.series(i)
        ax.step(time, trials.targets[index, :, i], where="post", color=colour)
        for sign, marker, height in ((1, "^", -0.12), (-1, "v", 1.12)):
            at = time[pulses == sign]
            ax.plot(at, np.full(len(at), height), marker, color=colour, ms=5)
        ax.set(ylim=(-0.35, 1.35), yticks=(0, 1), ylabel=task.output_labels[i])
    for i, label in enumerate(task.input_labels):
        axes[-1].plot(time, trials.inputs[index, :, i], lw=0.8, label=label, **palette.line_style(i))
    axes[-1].set(xlabel="time (s)", ylabel="inputs")
    axes[-1].margins(x=0)
    legend_below(fig, *axes[-1].get_legend_handles_labels())
    over_all(fig, f"{task.name}: a pulse up (▲) sets a bit, a pulse down (▼) clears it")
    return fig


def corners(task: NBitFlipFlop, trials: Trials) -> Figure:
    """Targets of several trials, one panel each: walks between the corners of a cube, square or segment."""
    columns = min(len(trials), 6)
    rows = -(-len(trials) // columns)
    dims = min(task.n, 3)
    fig = new_figure(2.6 * columns, 2.7 * rows)
    time = np.arange(trials.n_timesteps) * task.dt
    points = None
    for k in range(len(trials)):
        ax = space_axes(fig, rows, columns, k + 1, dims)
        states = trials.targets[k, :, :dims].numpy()
        if dims == 1:
            ax.step(time, states[:, 0], where="post")
        else:
            ax.plot(*states.T, color="0.7", lw=1)
            visited, first = np.unique(states, axis=0, return_index=True)
            points = ax.scatter(*visited.T, c=time[first], cmap=palette.VALUES, vmin=0, vmax=time[-1], s=30)
            ax.set(xticks=(0, 1), yticks=(0, 1))
            if dims == 3:
                ax.set_zticks((0, 1))
        label_dims(ax, task.output_labels[:dims])
        if dims == 3:
            ax.set_box_aspect(None, zoom=0.72)
        ax.set_title(f"trial {k + 1}", fontsize="small")
    if points is not None:
        fig.colorbar(points, ax=fig.axes, label="first visited at (s)", shrink=0.7, aspect=25)
    return fig

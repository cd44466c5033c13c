"""Figures of MultiTask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from conjugacy.plots import palette
from conjugacy.plots.figure import new_figure
from conjugacy.trials import Trials

if TYPE_CHECKING:
    from torch import Tensor

    from conjugacy.tasks.multitask import MultiTask

_EPOCH_COLORS = {
    "context": "0.6",
    "stim1": palette.BLUE,
    "mem1": palette.ORANGE,
    "stim2": palette.GREEN,
    "mem2": palette.PURPLE,
    "response": palette.VERMILLION,
}


def trial(task: MultiTask, trials: Trials, index: int = 0, outputs: Tensor | None = None) -> Figure:
    """One trial: inputs and targets in time with the epochs above, and beside them the paths on the ring.

    Parameters
    ----------
    task : MultiTask
    trials : Trials
    index : int
        Which of the trials.
    outputs : Tensor (trial, time, output), optional
        A network's outputs, drawn dashed over the targets.
    """
    steps = {name: span[index].tolist() for name, span in trials.epochs.items()}
    stop = steps["response"][1]
    time = np.arange(stop) * task.dt
    clean, noisy, wanted = (x[index, :stop].numpy() for x in (trials.true_inputs, trials.inputs, trials.targets))
    said = None if outputs is None else outputs[index, :stop].detach().cpu().numpy()
    fig = new_figure(11, 6.4)
    halves: Any = fig.subfigures(1, 2, width_ratios=[3.6, 1])
    left, right = halves
    rows = left.subplots(5, 1, sharex=True, height_ratios=[1, 1.5, 1.5, 1, 1.5])
    rings = right.subplots(3, 1)
    columns = {"fixation": [0], "modality 1": [1, 2], "modality 2": [3, 4]}
    for ax, (name, channels) in zip(rows[:3], columns.items()):
        for k, channel in enumerate(channels):
            ax.plot(time, noisy[:, channel], color=palette.series(k), lw=0.5, alpha=0.5)
            ax.step(
                time, clean[:, channel], where="post", color=palette.series(k), label=_part(task.input_labels[channel])
            )
        ax.set_ylabel(name)
    for ax, (name, channels) in zip(rows[3:], {"fixation": [0], "response": [1, 2]}.items()):
        for k, channel in enumerate(channels):
            ax.step(
                time,
                wanted[:, channel],
                where="post",
                color=palette.series(k),
                label=_part(task.output_labels[channel]),
            )
            if said is not None:
                ax.plot(time, said[:, channel], color=palette.series(k), ls="--", lw=1)
        ax.set_ylabel(f"target:\n{name}")
    for ax in rows:
        ax.margins(x=0)
        low, high = ax.get_ylim()
        ax.set_ylim(min(low, -0.2), max(high, 1.2))
        for start, _ in steps.values():
            ax.axvline(start * task.dt, color="0.8", lw=0.8, zorder=0)
    for ax in (rows[1], rows[2], rows[4]):
        ax.legend(loc="upper left", fontsize="small", frameon=False, ncols=2)
    rows[-1].set_xlabel("time (s)")
    _name_epochs(rows[0], steps, task.dt)
    rule = task.RULES[int(trials.conditions[index])]
    _ring(rings[0], "modality 1", noisy[:, 1:3], steps, ms=2.5)
    _ring(rings[1], "modality 2", noisy[:, 3:5], steps, ms=2.5)
    _ring(rings[2], "target", wanted[:, 1:], steps, ms=6)
    if said is not None:
        for name, (start, end) in steps.items():
            rings[2].plot(*said[start:end, 1:].T, "-", lw=1, color=_EPOCH_COLORS[name])
    fig.suptitle(f"{rule}: inputs with noise (thin) and without (bold), targets", fontsize="medium")
    return fig


def _part(label: str) -> str:
    return label.split()[-1]


def _name_epochs(ax: Any, steps: dict[str, list[int]], dt: float) -> None:
    """A coloured bar for each epoch above the panel, with its name."""
    for name, (start, stop) in steps.items():
        if stop > start:
            ax.axvspan(start * dt, stop * dt, ymin=1.03, ymax=1.1, color=_EPOCH_COLORS[name], clip_on=False)
            ax.annotate(
                name,
                ((start + stop) / 2 * dt, 1.12),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="bottom",
                fontsize="small",
                color=_EPOCH_COLORS[name],
            )


def _ring(ax: Any, title: str, xy: np.ndarray, steps: dict[str, list[int]], ms: float) -> None:
    around = np.linspace(0, 2 * np.pi, 100)
    ax.plot(np.cos(around), np.sin(around), color="0.85", lw=1, zorder=0)
    for name, (start, stop) in steps.items():
        ax.plot(*xy[start:stop].T, "o", ms=ms, color=_EPOCH_COLORS[name], alpha=0.7)
    ax.set(aspect="equal", xlabel="cos", ylabel="sin", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    ax.set_title(title, fontsize="small")

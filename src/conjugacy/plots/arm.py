"""An animation of the arm in one trial."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from conjugacy._check import check_flag, check_int, check_number
from conjugacy.analysis._given import counted
from conjugacy.plots import palette
from conjugacy.plots.figure import leave_to_caller, new_figure
from conjugacy.plots.movies import checked_path, write
from conjugacy.plots.reaching import PER_NEWTON, PUSHED, _closed_loop

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation

    from conjugacy.analysis.analysis import Analysis
    from conjugacy.runs.run import Run


def animate_arm(
    analysis: Analysis | Run,
    trial: int = 0,
    phase: str = "val",
    path: str | os.PathLike | None = None,
    *,
    slowdown: float = 1.0,
    fps: int = 25,
    progress: bool = True,
) -> FuncAnimation:
    """An animation of one trial: the arm, the path of the hand, target, forces on the hand, muscle activations.

    Parameters
    ----------
    analysis : Analysis or Run
        Of a network that moves an arm.
    trial : int
        Number of the trial in its phase, from 0.
    phase : str
        "train", "val", "all" or "test".
    path : path, optional
        File to write, .gif or .mp4 (which needs ffmpeg); nothing is written without it.
    slowdown : float
        Seconds of the animation per second of the trial, > 0.
    fps : int
        Frames per second of the animation.
    progress : bool
        Show a bar while the file is written, if that takes longer than two seconds.

    Returns
    -------
    FuncAnimation
        Keep it while it is shown; in a notebook: ``IPython.display.HTML(animation.to_jshtml())``.

    Raises
    ------
    ValueError
        If the file is neither gif nor mp4, or ffmpeg is missing.
    """
    from matplotlib.animation import FuncAnimation

    analysis, trials, out = _closed_loop(analysis, phase)
    check_int("trial", trial, 0, len(trials) - 1, f"Phase {phase!r} has {counted(len(trials), 'trial')}.")
    check_flag("progress", progress)
    check_number("slowdown", slowdown, 0, open_low=True)
    check_int("fps", fps, 1, 100)
    path, writer = checked_path(path, fps)
    task = analysis.run.task
    # where a frame is shorter than a step, steps are shown more than once
    steps = np.arange(0, trials.n_timesteps, 1 / (fps * task.dt * slowdown)).astype(int)
    fig, show = _scene(analysis, trials[[trial]], out[[trial]])
    animation = FuncAnimation(fig, show, frames=list(steps), interval=1000 / fps, blit=False, cache_frame_data=False)
    if path is not None:
        write(animation, path, writer, len(steps), progress)
    return animation


def _scene(analysis: Analysis, trials: Any, out: Any) -> tuple[Any, Any]:
    """The figure of a single trial, and a function that sets it to a step."""
    task: Any = analysis.run.task
    elbow, hand = _joints(task.plant.arm, out)
    activation, loads, epochs = out.plant.activation[0].numpy(), trials.loads[0].numpy(), trials.epochs
    fig = leave_to_caller(new_figure(8.2, 4.8))
    ax, bars = fig.subplots(1, 2, width_ratios=(2, 1))
    everything = np.concatenate([hand, elbow, trials.targets[0].numpy(), np.zeros((1, 2))])
    low, high = everything.min(0) - 0.09, everything.max(0) + 0.09
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel="x (m)", ylabel="y (m)")
    ax.set_aspect("equal")
    ax.plot(0, 0, "s", color="0.2", ms=7)
    (trace,) = ax.plot([], [], "-", color=palette.BLUE, lw=1)
    (links,) = ax.plot([], [], "o-", color="0.2", lw=5, ms=7, solid_capstyle="round", alpha=0.75)
    (goal,) = ax.plot(*trials.targets[0, -1].numpy(), "x", ms=11, mew=2.5)
    force = ax.annotate("", (0, 0), (0, 0), arrowprops={"arrowstyle": "-|>", "color": PUSHED, "lw": 2, "shrinkB": 0})
    names = task.output_labels
    columns = bars.barh(np.arange(len(names)), np.zeros(len(names)), color=palette.BLUE)
    bars.set_yticks(np.arange(len(names)), names)
    bars.set(
        xlim=(0, max(0.2, 1.05 * float(activation.max()))), xlabel="activation (1: largest possible)", ylabel="muscle"
    )
    bars.invert_yaxis()
    shown, cue = epochs["target"][0].tolist(), epochs["reach"][0].tolist()

    def show(t: int) -> list[Any]:
        trace.set_data(*hand[: t + 1].T)
        links.set_data([0, elbow[t, 0], hand[t, 0]], [0, elbow[t, 1], hand[t, 1]])
        going = cue[0] <= t < cue[1]
        goal.set(visible=shown[0] <= t < shown[1] or going, color=palette.CUE if going else palette.PATH)
        pushed = bool(np.any(loads[t]))
        force.set_visible(pushed)
        if pushed:
            force.xy = tuple(hand[t])
            force.set_position(tuple(hand[t] - PER_NEWTON * loads[t]))
        for column, value in zip(columns, activation[t]):
            column.set_width(value)
        word = "go" if going else "hold"
        ax.set_title(f"{analysis.name}   {t * task.dt:5.2f} s   {word}", fontsize="medium", family="monospace")
        return [trace, links, goal, force, *columns]

    show(0)
    # laid out once: axes that are placed anew in every frame would tremble
    fig.draw_without_rendering()
    fig.set_layout_engine("none")
    return fig, show


def _joints(arm: Any, out: Any) -> tuple[np.ndarray, np.ndarray]:
    """Positions (time, 2) of elbow and hand, m."""
    hand = out.outputs[0].numpy()
    q = out.plant.q[0, :, 0]
    reach = getattr(getattr(arm, "skeleton", None), "l1", None)
    if reach is None:
        raise ValueError("`analysis`: the lengths of this effector's links are not known. Use RigidTendonArm26.")
    return reach * torch.stack([q.cos(), q.sin()], -1).numpy(), hand

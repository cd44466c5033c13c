"""Figures of reaches: paths of the hand, its speed, muscle commands, states around the go cue."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor

from conjugacy._check import check_number
from conjugacy._lazy import elsewhere
from conjugacy.analysis._given import counted
from conjugacy.analysis.analysis import Analysis
from conjugacy.plots._given import PHASE_NAMES, as_analysis, check_num_trials
from conjugacy.plots.figure import label_dims, new_figure
from conjugacy.runs.run import Run

_BUMP = "C3"
_PER_NEWTON = 0.008  # m: length of a force's arrow


def hand_paths(analysis: Analysis | Run, num_trials: int = 12, phase: str = "val") -> Figure:
    """Paths of the hand, with starts (open circles), targets (crosses) and pushes (red, an arrow for the force).

    Parameters
    ----------
    analysis : Analysis or Run
        Of a network that moves an arm.
    num_trials : int
        Trials to draw: the first of the phase.
    phase : str
        "train", "val", "all" or "test".
    """
    analysis, trials, out = _closed_loop(analysis, phase)
    check_num_trials(num_trials, trials, phase)
    fig = new_figure(6.2, 6.0)
    ax = fig.subplots()
    hand = out.outputs.numpy()
    bumps, reaches = trials.epochs["bump"].tolist(), trials.epochs["reach"].tolist()
    for k in range(num_trials):
        colour = f"C{(k % 9) + (k % 9 >= 3)}"  # C3 is that of the bumps
        ax.plot(*hand[k].T, "-", color=colour, lw=1, alpha=0.8, zorder=1)
        ax.plot(*hand[k, 0], "o", mec=colour, mfc="white", ms=5, zorder=3)
        if reaches[k][1] > reaches[k][0]:
            ax.plot(*trials.targets[k, -1].numpy(), "x", color=colour, ms=7, mew=1.8, zorder=3)
        on, off = bumps[k]
        if off > on:
            ax.plot(*hand[k, on:off].T, "-", color=_BUMP, lw=2.2, zorder=2)
            force = _PER_NEWTON * trials.loads[k, on].numpy()
            _arrow(ax, hand[k, on], force)
    ax.plot([], [], "o", mec="0.3", mfc="white", label="start")
    ax.plot([], [], "x", color="0.3", mew=1.8, label="target")
    ax.plot([], [], "-", color=_BUMP, lw=2.2, label="while pushed (bump)")
    # outside: a path may end anywhere inside
    fig.legend(loc="outside upper center", ncols=3, frameon=False)
    ax.set(xlabel="hand x (m)", ylabel="hand y (m)")
    ax.set_aspect("equal", "datalim")
    trials_drawn = counted(num_trials, f"{PHASE_NAMES[phase]} trial")
    ax.set_title(f"{analysis.name}: paths of the hand in {trials_drawn}", fontsize="medium")
    return fig


def hand_speed(analysis: Analysis | Run, phase: str = "val", before: float = 0.2, after: float = 0.6) -> Figure:
    """Speed of the hand around the go cue, in every reach and on average.

    The average is over reaches that no bump disturbs and that last through the whole window.

    Parameters
    ----------
    analysis, phase : see `hand_paths`
    before, after : float
        The window around the cue, s.
    """
    analysis, trials, out = _closed_loop(analysis, phase)
    task: Any = analysis.run.task
    arm, dt = task.plant.arm, task.dt
    speed = arm.hand_velocity(out.plant.q, out.plant.qd).norm(dim=-1)
    time, values, chosen = _around_cue(speed[..., None], trials, dt, before, after)
    values = values[..., 0]
    cue = trials.epochs["reach"][chosen, 0]
    on, off = trials.epochs["bump"][chosen].unbind(1)
    window = before / dt, after / dt
    pushed = ((on < off) & (off > cue - window[0]) & (on < cue + window[1])).numpy()
    fig = new_figure(6.4, 3.8)
    ax = fig.subplots()
    for mask, colour, name in ((~pushed, "C0", "undisturbed"), (pushed, _BUMP, "with a bump")):
        if mask.any():
            lines = ax.plot(time, values[mask].T, color=colour, lw=0.5, alpha=0.35)
            lines[0].set_label(f"{int(mask.sum())} {name}")
    # a mean over trials of which some end earlier would jump where they do
    whole = values[~pushed & ~np.isnan(values).any(1)]
    if len(whole):
        ax.plot(
            time,
            whole.mean(0),
            color="black",
            lw=2,
            label=f"mean of {len(whole)} undisturbed, through the whole window",
        )
    ax.axvline(0, color="0.5", lw=0.8, ls="--")
    ax.set(xlabel="time from the go cue (s)", ylabel="speed of the hand (m/s)", ylim=(0, None))
    ax.margins(x=0)
    legend = ax.legend(frameon=False, fontsize="small")
    for line in legend.get_lines():
        line.set(alpha=1, linewidth=1.5)
    ax.set_title(f"{analysis.name}: speed of the hand in {counted(len(values), 'reach', 'reaches')}", fontsize="medium")
    return fig


def muscle_commands(analysis: Analysis | Run, num_trials: int = 3, phase: str = "val") -> Figure:
    """Commands to the muscles (lines) and their activations (filled), one column per trial, with its events.

    Parameters
    ----------
    analysis, num_trials, phase : see `hand_paths`
    """
    analysis, trials, out = _closed_loop(analysis, phase)
    check_num_trials(num_trials, trials, phase)
    task = analysis.run.task
    commands, names = out.actions.clamp(0, 1).numpy(), task.output_labels
    activation = out.plant.activation.numpy()
    time = task.dt * np.arange(trials.n_timesteps)
    fig = new_figure(3.4 * num_trials + 1.0, 1.0 * len(names) + 1.4)
    axes = fig.subplots(len(names), num_trials, sharex=True, sharey=True, squeeze=False)
    marks: dict[str, Any] = {}
    for k in range(num_trials):
        for m, ax in enumerate(axes[:, k]):
            marks["command"] = ax.plot(time, commands[k, :, m], color="black", lw=1)[0]
            marks["activation"] = ax.fill_between(time, activation[k, :, m], color="C0", alpha=0.5, lw=0)
            _events(ax, trials, k, task.dt, marks)
            ax.margins(x=0)
            ax.set_ylim(0, 1.02 * max(0.2, commands[:num_trials].max(), activation[:num_trials].max()))
        axes[-1, k].set_xlabel("time (s)")
        axes[0, k].set_title(f"{PHASE_NAMES[phase]} trial {k + 1}", fontsize="medium")
    for name, ax in zip(names, axes[:, 0]):
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize="small")
    fig.legend(marks.values(), marks, loc="outside lower center", ncols=len(marks), frameon=False, fontsize="small")
    fig.supylabel("command and activation (1: largest possible)", fontsize="medium")
    fig.suptitle(f"{analysis.name}: muscles in {counted(num_trials, 'trial')}", fontsize="medium")
    return fig


def latents_at_cue(analysis: Analysis | Run, phase: str = "val", before: float = 0.2, after: float = 0.4) -> Figure:
    """Principal components of the states around the go cue, coloured by the direction of the reach.

    Parameters
    ----------
    analysis, phase, before, after : see `hand_speed`
    """
    analysis, trials, _ = _closed_loop(analysis, phase)
    pcs = analysis.pcs(phase, 3)
    dims, dt = pcs.shape[-1], analysis.run.task.dt
    time, values, chosen = _around_cue(torch.from_numpy(pcs), trials, dt, before, after)
    way = (trials.targets[chosen, -1] - trials.targets[chosen, 0]).numpy()
    angle = np.degrees(np.arctan2(way[:, 1], way[:, 0])) % 360
    colours = colormaps["hsv"](angle / 360)
    fig = new_figure(10.0, 1.6 * dims + 1.2)
    grid = fig.add_gridspec(dims, 2, width_ratios=(1.2, 1))
    share = 100 * analysis.explained_variance(dims)
    names = [f"PC {j + 1} ({s:.0f} %)" for j, s in enumerate(share)]
    for j, name in enumerate(names):
        ax = fig.add_subplot(grid[j, 0])
        for line, colour in zip(values[..., j], colours):
            ax.plot(time, line, color=colour, lw=0.6, alpha=0.7)
        ax.axvline(0, color="0.4", lw=0.8, ls="--")
        ax.set_ylabel(name)
        ax.margins(x=0)
        if j < dims - 1:
            ax.tick_params(labelbottom=False)
    ax.set_xlabel("time from the go cue (s)")
    if dims > 1:
        space = fig.add_subplot(grid[:, 1], projection="3d") if dims == 3 else fig.add_subplot(grid[:, 1])
        at = int(np.argmin(np.abs(time)))
        for path, colour in zip(values, colours):
            space.plot(*path.T, color=colour, lw=0.6, alpha=0.7)
        options = {"depthshade": False} if dims == 3 else {}
        dots = space.scatter(*values[:, at].T, c=angle, cmap="hsv", vmin=0, vmax=360, s=10, **options)
        label_dims(space, names)
        bar = fig.colorbar(dots, ax=space, shrink=0.7, label="direction of the reach (degrees)")
        bar.set_ticks([0, 90, 180, 270, 360])
    reaches = counted(len(values), "reach", "reaches")
    fig.suptitle(f"{analysis.name}: states around the go cue (dots) in {reaches}", fontsize="medium")
    return fig


def _closed_loop(given: Analysis | Run, phase: str) -> tuple[Analysis, Any, Any]:
    analysis = as_analysis("analysis", given)
    trials, out = analysis.trials(phase), analysis.rollout(phase)
    if out.plant is None or "reach" not in trials.epochs:
        raise ValueError(
            f"`analysis`: expected a run that reaches with an arm, got {type(given).__name__} of task "
            f"{analysis.run.task.name}."
        )
    return analysis, trials, out


def _around_cue(values: Tensor, trials: Any, dt: float, before: float, after: float):
    """Times (s), values (reach, time, ..) around the go cue, NaN outside of the trial, and which trials they are."""
    for name, seconds in (("before", before), ("after", after)):
        check_number(name, seconds, 0, hint="It is a duration in seconds.")
    longest = dt * trials.n_timesteps  # beyond, there is nothing to show
    before, after = min(before, longest), min(after, longest)
    cue, end = trials.epochs["reach"].unbind(1)
    chosen = torch.nonzero(cue < end)[:, 0]
    if not len(chosen):
        raise ValueError("`phase`: expected one with a go cue in some trial, got one without. Use another phase.")
    shift = torch.arange(-round(before / dt), round(after / dt) + 1)
    steps = cue[chosen, None] + shift
    inside = (steps >= 0) & (steps < trials.n_timesteps)
    picked = values[chosen[:, None], steps.clamp(0, trials.n_timesteps - 1)].double()
    picked[~inside] = torch.nan
    return dt * shift.numpy(), picked.numpy(), chosen


def _arrow(ax: Any, start: np.ndarray, force: np.ndarray) -> None:
    ax.annotate(
        "", start, start - force, arrowprops={"arrowstyle": "-|>", "color": _BUMP, "lw": 1, "shrinkA": 0, "shrinkB": 0}
    )


def _events(ax: Any, trials: Any, k: int, dt: float, marks: dict[str, Any]) -> None:
    """The target's appearance, the go cue and the bump of a trial, on an axis of time."""
    shown, cue, bump = (trials.epochs[name][k].tolist() for name in ("target", "reach", "bump"))
    if shown[1] > shown[0]:
        marks["target"] = ax.axvline(dt * shown[0], color="C2", lw=1, ls=":")
    if cue[1] > cue[0]:
        marks["go cue"] = ax.axvline(dt * cue[0], color="C2", lw=1, ls="--")
    if bump[1] > bump[0]:
        marks["bump"] = ax.axvspan(dt * bump[0], dt * bump[1], color=_BUMP, alpha=0.15, lw=0)


# under its path of 0.1
__getattr__ = elsewhere({"rest_map": "plots.rest_points", "generalisation": "plots._generalisation"})

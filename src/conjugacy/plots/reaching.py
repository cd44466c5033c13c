"""Figures of reaches: paths of the hand, its speed, commands to the muscles, latents around the go cue, rest points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor

from conjugacy._check import check_choice, check_int, check_number
from conjugacy.plots.figure import label_dims, new_figure

if TYPE_CHECKING:
    import pandas as pd

    from conjugacy.analysis.analysis import Analysis
    from conjugacy.analysis.rest_points import RestPoints

_BUMP = "C3"
_PER_NEWTON = 0.008  # m: length of a force's arrow
_FAR = 20  # times the reference: beyond, a logarithmic axis shows the others too


def hand_paths(analysis: Analysis, num_trials: int = 12, phase: str = "val") -> Figure:
    """Paths of the hand: start (open), target (cross), the part under a bump in red, with an arrow for its force.

    Parameters
    ----------
    analysis : Analysis
        Of a run in closed loop.
    num_trials : int
        Trials to draw: the first of the phase.
    phase : str
        "train", "val", "all" or "test".
    """
    trials, out = _closed_loop(analysis, phase)
    check_int("num_trials", num_trials, 1, len(trials), f"Phase {phase!r} has {len(trials)} trials.")
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
    ax.plot([], [], "-", color=_BUMP, lw=2.2, label="under a bump")
    # outside: a path may end anywhere inside
    fig.legend(loc="outside upper center", ncols=3, frameon=False)
    ax.set(xlabel="hand x (m)", ylabel="hand y (m)")
    ax.set_aspect("equal", "datalim")
    ax.set_title(f"{analysis.name}: {num_trials} {phase} trials", fontsize="medium")
    return fig


def hand_speed(analysis: Analysis, phase: str = "val", before: float = 0.2, after: float = 0.6) -> Figure:
    """Speed of the hand around the go cue: every reach, and the mean of those neither pushed nor over meanwhile.

    Parameters
    ----------
    analysis, phase : see `hand_paths`
    before, after : float
        The window around the cue, s.
    """
    trials, out = _closed_loop(analysis, phase)
    task: Any = analysis.run.task
    arm, dt = task.plant.arm, task.dt
    speed = arm.hand_velocity(out.plant.q, out.plant.qd).norm(dim=-1)
    time, values, chosen = _around_cue(speed[..., None], trials, dt, before, after)
    values = values[..., 0]
    cue = trials.epochs["reach"][chosen, 0]
    on, off = trials.epochs["bump"][chosen].unbind(1)
    window = round(before / dt), round(after / dt)
    pushed = ((on < off) & (off > cue - window[0]) & (on < cue + window[1])).numpy()
    fig = new_figure(6.4, 3.8)
    ax = fig.subplots()
    for mask, colour, name in ((~pushed, "C0", "undisturbed"), (pushed, _BUMP, "with a bump")):
        if mask.any():
            lines = ax.plot(time, values[mask].T, color=colour, lw=0.5, alpha=0.35)
            lines[0].set_label(f"{name}: {int(mask.sum())}")
    # a mean over trials of which some end earlier would jump where they do
    whole = values[~pushed & ~np.isnan(values).any(1)]
    if len(whole):
        ax.plot(time, whole.mean(0), color="black", lw=2, label=f"mean, undisturbed, of whole windows: {len(whole)}")
    ax.axvline(0, color="0.5", lw=0.8, ls="--")
    ax.set(xlabel="time from the go cue (s)", ylabel="speed of the hand (m/s)", ylim=(0, None))
    ax.margins(x=0)
    legend = ax.legend(frameon=False, fontsize="small")
    for line in legend.get_lines():
        line.set(alpha=1, linewidth=1.5)
    ax.set_title(analysis.name, fontsize="medium")
    return fig


def muscle_commands(analysis: Analysis, num_trials: int = 3, phase: str = "val") -> Figure:
    """Commands to the muscles (lines) and their activations (filled), a column a trial, with its events.

    Parameters
    ----------
    analysis, num_trials, phase : see `hand_paths`
    """
    trials, out = _closed_loop(analysis, phase)
    check_int("num_trials", num_trials, 1, len(trials), f"Phase {phase!r} has {len(trials)} trials.")
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
        axes[0, k].set_title(f"{phase} trial {k + 1}", fontsize="medium")
    for name, ax in zip(names, axes[:, 0]):
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize="small")
    fig.legend(marks.values(), marks, loc="outside upper center", ncols=len(marks), frameon=False, fontsize="small")
    fig.supylabel("command, activation (share of the largest)", fontsize="medium")
    return fig


def latents_at_cue(analysis: Analysis, phase: str = "val", before: float = 0.2, after: float = 0.4) -> Figure:
    """Principal components of the latents around the go cue, coloured by the direction of the reach.

    Parameters
    ----------
    analysis, phase, before, after : see `hand_speed`
    """
    trials, _ = _closed_loop(analysis, phase)
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
    fig.suptitle(f"{analysis.name}: {len(values)} reaches; dots at the go cue", fontsize="medium")
    return fig


def rest_map(rest: RestPoints, n_modes: int = 60) -> Figure:
    """Where the arm rests for each target, and the spectrum there: of network with arm, and of the network alone.

    Stable points are filled; a line joins each with its target. The spectra are those with all muscles falling, see
    `ClosedLoop.rest_spectra`.

    Parameters
    ----------
    rest : RestPoints
    n_modes : int
        Eigenvalues of each point that are drawn, the largest first.
    """
    check_int("n_modes", n_modes, 1)
    fig = new_figure(10.4, 4.9)
    where, plane = fig.subplots(1, 2)
    network = rest.parts["network"]
    known = set()
    for k, (target, points) in enumerate(zip(rest.targets.numpy(), rest.points)):
        hand = points.readout
        where.plot(*target, "x", color=f"C{k % 10}", ms=8, mew=1.8, zorder=2)
        for p in np.flatnonzero(points.fixed):
            xy, colour, stable = hand[p].numpy(), f"C{k % 10}", int(points.n_unstable[p]) == 0
            where.plot(*np.stack([target, xy]).T, color=colour, lw=0.8, zorder=1)
            where.plot(*xy, "o", mec=colour, mfc=colour if stable else "white", ms=6, zorder=3)
            alone = torch.linalg.eigvals(points.jacobian[p, network, network])
            alone = alone[alone.abs().argsort(descending=True)]
            for values, marker, name in (
                (alone, "+", "network alone"),
                (points.eigenvalues[p], ".", "network with arm"),
            ):
                v = values[:n_modes].numpy()
                style = {"color": "0.6" if marker == "+" else colour, "ms": 5, "zorder": 2 + (marker == ".")}
                plane.plot(v.real, v.imag, marker, label=None if name in known else name, **style)
                known.add(name)
    angle = np.linspace(0, 2 * np.pi, 400)
    plane.plot(np.cos(angle), np.sin(angle), color="0.4", lw=0.8)
    plane.set_aspect("equal", "datalim")
    plane.set(xlabel="real part (per step)", ylabel="imaginary part (per step)")
    if known:
        plane.legend(frameon=False, fontsize="small", loc="upper left")
    for marker, face, name in (("x", "0.3", "target"), ("o", "0.3", "stable"), ("o", "white", "unstable")):
        where.plot([], [], marker, color="0.3", mfc=face, label=name)
    where.legend(frameon=False, fontsize="small")
    where.set(xlabel="hand x (m)", ylabel="hand y (m)")
    where.set_aspect("equal", "datalim")
    where.set_title(f"{rest.name}: rest points", fontsize="medium")
    plane.set_title("their eigenvalues", fontsize="medium")
    return fig


def generalisation(table: pd.DataFrame, merit: str = "end_error") -> Figure:
    """One merit of a `generalisation_table`, a row a condition; the line is the world the network was trained in.

    The axis is logarithmic where a condition lies far off.

    Parameters
    ----------
    table : DataFrame
        The first row is the reference.
    merit : str
        Column to draw.
    """
    check_choice("merit", merit, [str(c) for c in table.columns])
    values = table[merit].to_numpy(dtype=float)
    if len(values) < 2:
        raise ValueError("`table`: expected a reference and at least one condition, got one row.")
    label, scale = _MERITS.get(merit, (merit, 1.0))
    fig = new_figure(6.8, 0.32 * len(values) + 1.2)
    ax = fig.subplots()
    row = np.arange(len(values))
    ax.axvline(scale * values[0], color="0.4", lw=1, ls="--", label=f"{table.index[0]}: {scale * values[0]:.3g}")
    ax.hlines(row, scale * values[0], scale * values, color="0.8", lw=1.2, zorder=1)
    ax.plot(scale * values[1:], row[1:], "o", color="C0", zorder=2)
    ax.plot(scale * values[0], 0, "o", color="0.3", zorder=2)
    if np.nanmin(values) > 0 and np.nanmax(values) > _FAR * values[0]:
        ax.set_xscale("log")
    ax.set_yticks(row, [str(name) for name in table.index])
    ax.invert_yaxis()
    ax.set_xlabel(label)
    ax.legend(frameon=False, fontsize="small")
    return fig


_MERITS = {
    "end_error": ("mean distance from the target at the end (cm)", 100.0),
    "end_error_median": ("median distance from the target at the end (cm)", 100.0),
    "time_to_target": ("time to target (s)", 1.0),
    "hold_error": ("mean distance from the start before the go cue (cm)", 100.0),
    "bump_peak": ("largest distance from the start after a bump (cm)", 100.0),
    "bump_rest": ("distance from the start 0.3 s after a bump (cm)", 100.0),
    "accuracy": ("share of reaches that end within 1 cm", 1.0),
    "r2": ("R2 of the hand's position", 1.0),
    "effort": ("mean squared command", 1.0),
}


def _closed_loop(analysis: Analysis, phase: str) -> tuple[Any, Any]:
    trials, out = analysis.trials(phase), analysis.rollout(phase)
    if out.plant is None or "reach" not in trials.epochs:
        raise ValueError(f"`analysis`: expected a run that reaches with an arm, got one of {analysis.run.task.name}.")
    return trials, out


def _around_cue(values: Tensor, trials: Any, dt: float, before: float, after: float):
    """Times (s), values (reach, time, ..) around the go cue, NaN outside of the trial, and which trials they are."""
    for name, seconds in (("before", before), ("after", after)):
        check_number(name, seconds, 0, hint="It is a duration in seconds.")
    cue, end = trials.epochs["reach"].unbind(1)
    chosen = torch.nonzero(cue < end)[:, 0]
    if not len(chosen):
        raise ValueError("`phase`: there is no go cue in any of its trials.")
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

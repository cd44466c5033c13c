"""Figures of reaches: paths of the hand, its speed, muscle commands, states around the go cue."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from conjugacy._check import check_number
from conjugacy._lazy import elsewhere
from conjugacy.analysis._given import counted
from conjugacy.analysis.analysis import Analysis
from conjugacy.plots import palette
from conjugacy.plots._given import PHASE_NAMES, as_analysis, check_num_trials
from conjugacy.plots._labels import legend_below, legend_beside, over_all, short, title
from conjugacy.plots._rasters import MOST_LINES, rasters
from conjugacy.plots._view import separating_view
from conjugacy.plots.figure import label_dims, new_figure
from conjugacy.runs.run import Run

PUSHED = palette.PUSH
PER_NEWTON = 0.008  # m: length of a force's arrow
_FEW = 12  # trials whose starts and forces are drawn one by one
_MOST_SINGLE = 200
_SECTORS = 8  # directions of reaches, each with a mean


def hand_paths(analysis: Analysis | Run, num_trials: int = 12, phase: str = "val") -> Figure:
    """Paths of the hand, coloured by the direction of the reach, with starts, targets and pushes.

    Of more than twelve trials, a second panel shows all reaches from one common start, so that directions are compared
    and not places.

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
    many = num_trials > _FEW
    fig = new_figure(11.0 if many else 6.8, 5.4)
    panels = fig.subplots(1, 2 if many else 1, squeeze=False)[0]
    ax = panels[0]
    hand = out.outputs.numpy()
    angle = _direction(trials, range(num_trials))
    wheel = palette.directions()
    bumps, reaches = trials.epochs["bump"].tolist(), trials.epochs["reach"].tolist()
    thin = 0.7 if many else 1.2
    for k in range(num_trials):
        going = reaches[k][1] > reaches[k][0]
        colour = wheel(angle[k] / 360) if going else palette.PATH
        ax.plot(*hand[k].T, "-", color=colour, lw=thin, alpha=0.9, zorder=1)
        if not many:
            ax.plot(*hand[k, 0], "o", mec=palette.TARGET, mfc="white", ms=5, zorder=3)
        if going:
            ax.plot(*trials.targets[k, -1].numpy(), "x", color=palette.TARGET, ms=4 if many else 7, mew=1.2, zorder=3)
        if many and going:
            panels[1].plot(*(hand[k] - hand[k, 0]).T, "-", color=colour, lw=thin, alpha=0.9)
        on, off = bumps[k]
        if off > on:
            ax.plot(*hand[k, on:off].T, "-", color=PUSHED, lw=2 * thin, zorder=2)
            if not many:
                _arrow(ax, hand[k, on], PER_NEWTON * trials.loads[k, on].numpy())
    marks = [("target", {"marker": "x", "color": palette.TARGET, "mew": 1.4, "linestyle": "none"})]
    if not many:
        white = {"mec": palette.TARGET, "mfc": "white", "linestyle": "none"}
        marks = [("start", {"marker": "o", **white}), *marks]
    marks.append(("while pushed; arrow: the force" if not many else "while pushed", {"color": PUSHED, "lw": 2.2}))
    if not all(stop > start for start, stop in reaches[:num_trials]):
        marks.append(("trial without a go cue", {"color": palette.PATH, "lw": 1.2}))
    legend_below(fig, [Line2D([], [], **style) for _, style in marks], [name for name, _ in marks])
    _bar_of_directions(fig, panels[-1])
    ax.set(xlabel="hand x (m)", ylabel="hand y (m)")
    if many:
        panels[1].set(xlabel="x from the start (m)", ylabel="y from the start (m)")
        title(panels[1], "All reaches from one start")
    for panel in panels:
        panel.set_aspect("equal", "datalim")
        panel.locator_params(nbins=6)
    title(ax, f"{short(analysis.name)}: paths of the hand in {counted(num_trials, f'{PHASE_NAMES[phase]} trial')}")
    return fig


def hand_speed(analysis: Analysis | Run, phase: str = "val", before: float = 0.2, after: float = 0.6) -> Figure:
    """Speed of the hand around the go cue: the mean of short, middling and long reaches, over single ones.

    Means are over reaches that no push disturbs and that last through the whole window; one mean, where there are fewer
    than six. Single reaches are thin, those with a push in its colour; of more than 200, every so manieth is drawn.

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
    fig = new_figure(8.2, 3.8)
    ax: Any = fig.subplots()
    for mask, colour, name in ((~pushed, palette.PATH, "undisturbed"), (pushed, PUSHED, "pushed")):
        rows = np.flatnonzero(mask)
        rows = rows[:: max(1, len(rows) // _MOST_SINGLE)]
        for k, row in enumerate(rows):
            label = {"label": f"{int(mask.sum())} single, {name}"} if k == 0 else {}
            ax.plot(time, values[row], color=colour, lw=0.5, alpha=0.5, zorder=1, **label)
    # a mean over trials of which some end earlier would jump where they do
    whole = np.flatnonzero(~pushed & ~np.isnan(values).any(1))
    way = (trials.targets[chosen, -1] - trials.targets[chosen, 0]).norm(dim=-1).numpy()[whole]
    groups = np.array_split(np.argsort(way, kind="stable"), 3) if len(whole) >= 6 else [np.arange(len(whole))]
    for colour, group in zip(palette.shades(len(groups)), groups):
        if len(group):
            low, high = 100 * way[group].min(), 100 * way[group].max()
            label = f"mean of {len(group)}, {low:.0f} to {high:.0f} cm long"
            ax.plot(time, values[whole[group]].mean(0), color=colour, lw=2.2, zorder=2, label=label)
    ax.axvline(0, color=palette.CUE, lw=1.2, ls="--", label="go cue")
    ax.set(xlabel="time from the go cue (s)", ylabel="speed of the hand (m/s)", ylim=(0, None))
    ax.margins(x=0)
    legend = legend_beside(ax)
    for line in legend.get_lines():
        line.set(alpha=1, linewidth=1.8)
    title(ax, f"{short(analysis.name)}: speed of the hand in {counted(len(values), 'reach', 'reaches')}")
    return fig


def muscle_commands(analysis: Analysis | Run, num_trials: int = 3, phase: str = "val") -> Figure:
    """Commands to the muscles (lines) and their activations (filled), one column per trial, with its events.

    More than twelve trials are drawn as pictures: a panel for each muscle, a row of it for each trial, in the order of
    the directions of reaches.

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
    heading = f"{short(analysis.name)}: muscles in {counted(num_trials, 'trial')}"
    if num_trials > MOST_LINES:
        fig = new_figure(11.0, 4.8)
        rows = [("command", commands[:num_trials], names), ("activation", activation[:num_trials], names)]
        rasters(fig, rows, task.dt, order=np.argsort(_direction(trials, range(num_trials)), kind="stable"))
        over_all(fig, f"{heading}, in the order of the directions of reaches")
        return fig
    wide = 3.4 if num_trials <= 4 else 1.8
    fig = new_figure(wide * num_trials + 1.6, 1.0 * len(names) + 1.4)
    axes = fig.subplots(len(names), num_trials, sharex=True, sharey=True, squeeze=False)
    marks: dict[str, Any] = {}
    for k in range(num_trials):
        for m, ax in enumerate(axes[:, k]):
            marks["command"] = ax.plot(time, commands[k, :, m], color="black", lw=1)[0]
            marks["activation"] = ax.fill_between(time, activation[k, :, m], color=palette.BLUE, alpha=0.5, lw=0)
            _events(ax, trials, k, task.dt, marks)
            ax.margins(x=0)
            ax.set_ylim(0, 1.02 * max(0.2, commands[:num_trials].max(), activation[:num_trials].max()))
        axes[-1, k].set_xlabel("time (s)")
        axes[-1, k].locator_params(axis="x", nbins=max(2, int(2.2 * wide)))
        axes[0, k].set_title(
            f"{PHASE_NAMES[phase]} trial {k + 1}" if num_trials <= 4 else f"trial {k + 1}", fontsize="medium"
        )
    for name, ax in zip(names, axes[:, 0]):
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize="small")
    legend_below(fig, marks.values(), marks)
    fig.supylabel("command and activation (1: largest possible)", fontsize="medium")
    over_all(fig, heading)
    return fig


def latents_at_cue(analysis: Analysis | Run, phase: str = "val", before: float = 0.2, after: float = 0.4) -> Figure:
    """Principal components of the states around the go cue, coloured by the direction of the reach.

    Thick lines are means over reaches within 45 degrees, thin ones single reaches.

    Parameters
    ----------
    analysis, phase, before, after : see `hand_speed`
    """
    analysis, trials, _ = _closed_loop(analysis, phase)
    pcs = analysis.pcs(phase, 3)
    dims, dt = pcs.shape[-1], analysis.run.task.dt
    time, values, chosen = _around_cue(torch.from_numpy(pcs), trials, dt, before, after)
    angle = _direction(trials, chosen.tolist())
    wheel = palette.directions()
    sector = np.round(angle / (360 / _SECTORS)).astype(int) % _SECTORS
    found = np.unique(sector)
    means = np.stack([_mean(values[sector == s]) for s in found])
    fig = new_figure(10.4, 1.6 * dims + 1.2)
    grid = fig.add_gridspec(dims, 2, width_ratios=(1.1, 1))
    share = 100 * analysis.explained_variance(dims)
    names = [f"PC {j + 1} ({s:.0f} %)" for j, s in enumerate(share)]
    for j, name in enumerate(names):
        ax = fig.add_subplot(grid[j, 0])
        for line, a in zip(values[..., j], angle):
            ax.plot(time, line, color=wheel(a / 360), lw=0.4, alpha=0.35)
        for line, s in zip(means[..., j], found):
            ax.plot(time, line, color=wheel(s / _SECTORS), lw=2.0)
        ax.axvline(0, color=palette.CUE, lw=1.2, ls="--")
        ax.set_ylabel(name)
        ax.margins(x=0)
        if j < dims - 1:
            ax.tick_params(labelbottom=False)
    ax.set_xlabel("time from the go cue (s)")
    if dims > 1:
        space: Any = fig.add_subplot(grid[:, 1], projection="3d") if dims == 3 else fig.add_subplot(grid[:, 1])
        at = int(np.argmin(np.abs(time)))
        for path, s in zip(means, found):
            space.plot(*path.T, color=wheel(s / _SECTORS), lw=1.8)
            space.plot(*path[at : at + 1].T, "o", color=wheel(s / _SECTORS), ms=5)
        label_dims(space, names)
        if dims == 3:
            ends = means[:, -1] if np.isfinite(means[:, -1]).all() else means[:, at]
            space.view_init(*separating_view(space, ends))
        _bar_of_directions(fig, space)
    reaches = counted(len(values), "reach", "reaches")
    over_all(fig, f"{short(analysis.name)}: states around the go cue (dots) in {reaches}, means by direction")
    return fig


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean over trials (trial, time, ..) where all go on, and after that over those that do."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(0)
    return np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan)


def _direction(trials: Any, rows: Any) -> np.ndarray:
    """Directions from start to target, degrees in [0, 360)."""
    rows = list(rows)
    way = (trials.targets[rows, -1] - trials.targets[rows, 0]).numpy()
    return np.degrees(np.arctan2(way[:, 1], way[:, 0])) % 360


def _bar_of_directions(fig: Figure, ax: Any) -> None:
    mapped = ScalarMappable(Normalize(0, 360), palette.directions())
    bar = fig.colorbar(mapped, ax=ax, shrink=0.7, label="direction of the reach (degrees)")
    bar.set_ticks([0, 90, 180, 270, 360])


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
        "", start, start - force, arrowprops={"arrowstyle": "-|>", "color": PUSHED, "lw": 1, "shrinkA": 0, "shrinkB": 0}
    )


def _events(ax: Any, trials: Any, k: int, dt: float, marks: dict[str, Any]) -> None:
    """The target's appearance, the go cue and the bump of a trial, on an axis of time."""
    shown, cue, bump = (trials.epochs[name][k].tolist() for name in ("target", "reach", "bump"))
    if shown[1] > shown[0]:
        marks["target"] = ax.axvline(dt * shown[0], color=palette.CUE, lw=1, ls=":")
    if cue[1] > cue[0]:
        marks["go cue"] = ax.axvline(dt * cue[0], color=palette.CUE, lw=1, ls="--")
    if bump[1] > bump[0]:
        marks["bump"] = ax.axvspan(dt * bump[0], dt * bump[1], color=PUSHED, alpha=0.15, lw=0)


# under its path of 0.1
__getattr__ = elsewhere({"rest_map": "plots.rest_points", "generalisation": "plots._generalisation"})

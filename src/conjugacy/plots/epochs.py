"""Figures of trials by condition and epoch, and of fixed points while a held input changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from conjugacy._check import check_choice, check_int
from conjugacy.analysis._given import check_kind, counted, names_of
from conjugacy.analysis.analysis import Analysis
from conjugacy.analysis.epochs import Epochs
from conjugacy.dynamics.continuation import InputPath
from conjugacy.plots import palette
from conjugacy.plots._given import as_analysis
from conjugacy.plots._labels import legend_below, legend_beside, name_ticks, over_all, short, title
from conjugacy.plots._view import separating_view
from conjugacy.plots.figure import label_dims, new_figure, space_axes
from conjugacy.runs.run import Run

_MAX_PER_ROW = 5


def trajectories_by_epoch(
    epochs: Epochs | Analysis | Run, conditions: Sequence[str] | None = None, num_trials: int = 10
) -> Figure:
    """Trajectories in the first three principal components, a panel for each condition, a colour for each epoch.

    Parameters
    ----------
    epochs : Epochs, Analysis or Run
        Of an Analysis or a Run, the validation trials.
    conditions : sequence of str, optional
        Which to show; all by default.
    num_trials : int
        Trials of each condition.
    """
    epochs = _as_epochs(epochs)
    check_int("num_trials", num_trials, 1)
    conditions = list(epochs.conditions) if conditions is None else names_of("conditions", conditions, "conditions")
    for k, condition in enumerate(conditions):
        check_choice(f"conditions[{k}]", condition, epochs.conditions)
    if not conditions:
        raise ValueError(f"`conditions`: expected some of {', '.join(epochs.conditions)}, got an empty list.")
    pcs = epochs.analysis.pcs(epochs.phase, 3)
    dims, dt = pcs.shape[-1], epochs.analysis.run.task.dt
    columns = min(len(conditions), _MAX_PER_ROW)
    rows = -(-len(conditions) // columns)
    fig = new_figure(3.3 * columns + 0.6, 3.1 * rows + 0.8)
    colours = {name: palette.series(k) for k, name in enumerate(_parts(epochs))}
    share = 100 * epochs.analysis.explained_variance(dims)
    low, high = pcs.reshape(-1, dims).min(0), pcs.reshape(-1, dims).max(0)
    drawn, view = {}, (30.0, -60.0)
    for i, condition in enumerate(conditions):
        ax = space_axes(fig, rows, columns, i + 1, dims)
        ends: list[np.ndarray] = []
        chosen = (epochs.trials.conditions == epochs.conditions[condition]).nonzero()[:num_trials, 0].tolist()
        for k in chosen:
            for name in colours:
                start, stop = epochs.trials.epochs[name][k].tolist()
                if stop > start:
                    # each piece begins where the one before it ended
                    piece = pcs[k, max(start - 1, 0) : stop].T
                    time = dt * np.arange(max(start - 1, 0), stop)
                    line = piece if dims > 1 else (time, piece[0])
                    drawn[name] = ax.plot(*line, lw=0.8, color=colours[name])[0]
                    ends.append(pcs[k, stop - 1])
        label_dims(ax, [f"PC {j + 1} ({s:.0f} %)" for j, s in enumerate(share)])
        if dims > 1:
            for axis, a, b in zip("xyz", low, high):
                getattr(ax, f"set_{axis}lim")(a, b)
        if dims == 3:
            if i == 0:  # one view for all, or panels could not be compared
                view = separating_view(ax, np.array(ends)[:24])
            ax.view_init(*view)
        ax.set_title(short(condition), fontsize="medium")
    over_all(fig, f"{short(epochs.analysis.name)}: states by condition and epoch")
    legend_below(fig, drawn.values(), drawn)
    return fig


def shared_subspaces(epochs: Epochs | Analysis | Run, epoch: str, variance: float = 0.9) -> Figure:
    """Heat map of `Epochs.shared_subspaces`: how much of one condition's variance lies in another's subspace.

    Parameters
    ----------
    epochs : Epochs, Analysis or Run
    epoch : str
    variance : float
        Share of the variance that a subspace holds, in (0, 1].
    """
    epochs = _as_epochs(epochs)
    shares = epochs.shared_subspaces(epoch, variance)
    n = len(shares)
    side = max(n, 4) * min(0.36, 9.0 / n)
    fig = new_figure(3.6 + side, 2.0 + side)
    ax = fig.subplots()
    image = ax.imshow(shares.to_numpy(), vmin=0, vmax=1, cmap=palette.VALUES_TURNED)
    ax.set(xlabel="in the subspace of", ylabel="variance of")
    name_ticks(ax, "x", list(map(str, shares.columns)), side)
    name_ticks(ax, "y", list(map(str, shares.index)), side)
    title(ax, f"{short(epochs.analysis.name)}: subspaces shared in epoch {epoch}")
    fig.colorbar(image, ax=ax, label="share of the variance (1: all of it)", shrink=0.9)
    return fig


def branches(path: InputPath, labels: tuple[str, str] = ("start", "stop")) -> Figure:
    """Fixed points while the held input changes: a line for each point, by its first principal component.

    Colour and marker are those of fixed points everywhere: black dots are stable, others saddles by their number of
    unstable directions. Dotted lines stand where points appear or vanish.

    Parameters
    ----------
    path : InputPath
    labels : pair of str
        Names of the inputs at both ends.
    """
    check_kind("path", path, InputPath, "an InputPath (conjugacy.input_path or Epochs.path)")
    ends = names_of("labels", labels, "two names")
    if len(ends) != 2:
        raise ValueError(f"`labels`: expected two names, got {len(ends)}.")
    everything = np.concatenate([p.x[p.fixed] for p in path.points])
    if not len(everything):
        raise ValueError(
            "`path`: expected a path with fixed points, got one without. Take another path, or more starts (n_inits)."
        )
    fig = new_figure(7.6, 4.0)
    ax: Any = fig.subplots()
    mean = everything.mean(0)
    direction = np.linalg.svd(everything - mean, full_matrices=False)[2][0]
    fraction = np.linspace(0, 1, len(path.points))
    lines: dict[int, list[tuple[float, float]]] = {}
    groups: dict[int, list[tuple[float, float]]] = {}
    for f, points, names in zip(fraction, path.points, path.branches):
        heights = (points.x[points.fixed] - mean) @ direction
        for name, height, index in zip(names, heights, points.n_unstable[points.fixed].tolist()):
            lines.setdefault(name, []).append((f, height))
            groups.setdefault(index, []).append((f, height))
    small = len(everything) > 400
    for index, members in sorted(groups.items()):
        colour, marker = palette.saddle(index)
        kind = f"saddle, {counted(index, 'unstable direction')}" if index else "stable"
        style = {"ms": 3 if small else 5, "mec": "white", "mew": 0.3, "zorder": 4 if index == 0 else 3}
        ax.plot(*np.transpose(members), marker, color=colour, linestyle="none", label=kind, **style)
    for line in lines.values():
        ax.plot(*np.transpose(line), lw=0.8, color=palette.PATH)
    for k, event in enumerate(path.events):
        label = {"label": "points appear or vanish"} if k == 0 else {}
        ax.axvline(event.at, lw=0.8, ls=":", color=palette.BLUE, **label)
    ax.set(xlabel=f"held input, from {short(ends[0])} to {short(ends[1])} (share of the way)")
    ax.set_ylabel("fixed point on PC 1 (a.u.)")
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "¼", "½", "¾", "1"])
    n = len(path.events)
    changes = f"they appear or vanish at {counted(n, 'place')}" if n else "none appears or vanishes"
    title(ax, f"Fixed points while the input changes: {changes}")
    legend_beside(ax)
    return fig


def _as_epochs(given: Epochs | Analysis | Run) -> Epochs:
    if isinstance(given, Epochs):
        return given
    if isinstance(given, Analysis | Run):
        return Epochs(as_analysis("epochs", given))
    return check_kind("epochs", given, Epochs, "an Epochs (analysis.epochs()), an Analysis or a Run")


def _parts(epochs: Epochs) -> list[str]:
    """The epochs that are a part of the trial, and not all of it under a name."""
    lengths = epochs.trials.lengths
    whole = [bool((e[:, 0] == 0).all() and (e[:, 1] == lengths).all()) for e in epochs.trials.epochs.values()]
    return [name for name, all_of_it in zip(epochs.names, whole) if not all_of_it] or list(epochs.names)

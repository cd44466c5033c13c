"""Figures of trials by condition and epoch, and of fixed points while a held input changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from conjugacy._check import check_choice, check_int
from conjugacy.analysis._given import check_kind, counted, names_of
from conjugacy.analysis.analysis import Analysis
from conjugacy.analysis.epochs import Epochs
from conjugacy.dynamics.continuation import InputPath
from conjugacy.plots._given import as_analysis
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
    fig = new_figure(3.4 * columns, 3.2 * rows + 0.5)
    colours = {name: f"C{k}" for k, name in enumerate(_parts(epochs))}
    share = 100 * epochs.analysis.explained_variance(dims)
    low, high = pcs.reshape(-1, dims).min(0), pcs.reshape(-1, dims).max(0)
    drawn = {}
    for i, condition in enumerate(conditions):
        ax = space_axes(fig, rows, columns, i + 1, dims)
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
        label_dims(ax, [f"PC {j + 1} ({s:.0f} %)" for j, s in enumerate(share)])
        if dims > 1:
            for axis, a, b in zip("xyz", low, high):
                getattr(ax, f"set_{axis}lim")(a, b)
        ax.set_title(condition, fontsize="medium")
    fig.suptitle(f"{epochs.analysis.name}: states by condition and epoch")
    fig.legend(drawn.values(), drawn, loc="outside lower center", ncols=len(drawn), frameon=False)
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
    fig = new_figure(2.6 + 0.36 * n, 1.9 + 0.36 * n)
    ax = fig.subplots()
    image = ax.imshow(shares.to_numpy(), vmin=0, vmax=1, cmap="viridis")
    ax.set(xticks=range(n), yticks=range(n), xlabel="in the subspace of", ylabel="variance of")
    ax.set_xticklabels(shares.columns, rotation=90, fontsize="small")
    ax.set_yticklabels(shares.index, fontsize="small")
    ax.set_title(f"{epochs.analysis.name}: subspaces shared in epoch {epoch}", fontsize="medium")
    fig.colorbar(image, label="share of the variance (alignment index)", shrink=0.8)
    return fig


def branches(path: InputPath, labels: tuple[str, str] = ("start", "stop")) -> Figure:
    """Fixed points while the held input changes: a line for each point, by its first principal component.

    Stable points are drawn solid, others open; the colour is the number of unstable directions. Vertical lines stand
    where points appear or vanish.

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
    fig = new_figure(6.0, 4.0)
    ax = fig.subplots()
    mean = everything.mean(0)
    direction = np.linalg.svd(everything - mean, full_matrices=False)[2][0]
    fraction = np.linspace(0, 1, len(path.points))
    most = max(max(p.counts, default=0) for p in path.points)
    colours = colormaps["viridis"](np.linspace(0, 0.85, most + 1))
    lines: dict[int, list[tuple[float, float]]] = {}
    for f, points, names in zip(fraction, path.points, path.branches):
        heights = (points.x[points.fixed] - mean) @ direction
        for name, height, index in zip(names, heights, points.n_unstable[points.fixed].tolist()):
            lines.setdefault(name, []).append((f, height))
            face = colours[index] if index == 0 else "white"
            kind = f"{counted(index, 'unstable direction')}" if index else "stable"
            known = kind in ax.get_legend_handles_labels()[1]
            ax.plot(f, height, "o", ms=5, mec=colours[index], mfc=face, label=None if known else kind, zorder=3)
    for line in lines.values():
        ax.plot(*np.transpose(line), lw=0.8, color="0.6")
    for event in path.events:
        ax.axvline(event.at, lw=0.8, ls=":", color="C3")
    ax.set(xlabel=f"held input, from {ends[0]} to {ends[1]}", ylabel="position of the fixed point on PC 1 (a.u.)")
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "¼", "½", "¾", "1"])
    n = len(path.events)
    changes = f"they appear or vanish at {counted(n, 'place')}" if n else "none appears or vanishes"
    ax.set_title(f"Fixed points while the input changes: {changes}", fontsize="medium")
    ax.legend(frameon=False, fontsize="small")
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

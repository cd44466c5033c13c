"""Figures of fixed points: where they lie, their eigenvalues, how often each was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from conjugacy._check import check_choice, check_int, check_number
from conjugacy._lazy import elsewhere
from conjugacy.analysis._given import check_kind, counted
from conjugacy.dynamics import FixedPoints
from conjugacy.plots import palette
from conjugacy.plots._given import check_axes
from conjugacy.plots._labels import legend_beside, title
from conjugacy.plots._view import separating_view
from conjugacy.plots.figure import label_dims, new_figure, space_axes
from conjugacy.similarity.samples import as_system
from conjugacy.system import System

_POINTS = "FixedPoints (of conjugacy.fixed_points or an Analysis)"
# kinds of points that are no fixed points: colour and marker
_OTHERS = {"held": (palette.HELD, "h"), "slow": (palette.SLOW, "x"), "unresolved": (palette.UNRESOLVED, "+")}


def fixed_points_3d(
    points: FixedPoints,
    system: System | None = None,
    *,
    space: str = "pca",
    n_trials: int = 20,
    reach: float = 0.08,
    ax: Any = None,
) -> Figure:
    """Fixed points and their unstable directions, over trajectories (grey).

    Stable points are black dots, saddles coloured by their number of unstable directions, along which lines are drawn.
    Three dimensions are seen from where the points lie apart best.

    Parameters
    ----------
    points : FixedPoints
    system : System, Run or Analysis, optional
        Whose trajectories to draw behind the points; without it the space is that of the points alone.
    space : {"pca", "readout"}
        Principal components of the trajectories (of the points, without a system), or the readout (at most its first
        three channels).
    n_trials : int
        Trials to draw.
    reach : float
        Half length of the lines along unstable directions, as a share of the diagonal of what is visited.
    ax : Axes, optional
        Where to draw; with a 3-D projection if the space has three dimensions.
    """
    check_kind("points", points, FixedPoints, _POINTS)
    if system is not None:
        system = as_system("system", system)
        if system.n_units != points.x.shape[1]:
            raise ValueError(
                f"`system`: expected {counted(points.x.shape[1], 'unit')} as the points have, got {system.n_units}."
            )
    check_choice("space", space, ("pca", "readout"))
    check_int("n_trials", n_trials, 0)
    check_number("reach", reach, 0)
    read, labels = _projection(points, system, space)
    where = read(torch.from_numpy(points.x))
    n_trials = 0 if system is None else min(n_trials, system.n_trials)
    paths = [] if system is None else [read(system.trajectories[k, : int(system.lengths[k])]) for k in range(n_trials)]
    flat = len(labels) == 1
    if ax is None:
        ax = space_axes(new_figure(7.2, 5.2), 1, 1, 1, len(labels))
    else:
        check_axes(ax, max(2, len(labels)))
    fig = ax.get_figure()
    if len(labels) == 3:
        ax.computed_zorder = False  # points are not hidden by the trajectories in front of them

    def draw(xs, *style, height=None, **options):
        # a single dimension lies on the horizontal axis, trajectories above it by time
        ax.plot(*xs.T, *([np.zeros(len(xs)) if height is None else height] if flat else []), *style, **options)

    for k, path in enumerate(paths):
        label = {"label": counted(len(paths), "trajectory", "trajectories")} if k == 0 else {}
        draw(path, "-", height=np.arange(len(path)), lw=0.5, alpha=0.5, color=palette.PATH, zorder=1, **label)
    for name, color, marker, mask in _groups(points):
        label = f"{int(mask.sum())} {_noun(name, int(mask.sum()))}"
        draw(where[mask], marker, ms=5.5, color=color, linestyle="none", label=label, zorder=3)
    for line, color in _unstable_lines(points, read, reach):
        draw(line, "-", color=color, lw=1.2, zorder=2)
    if flat:
        ax.set(xlabel=labels[0], ylabel="step of the trajectory")
    else:
        label_dims(ax, labels)
    if len(labels) == 3:
        stable = points.fixed & (points.n_unstable == 0)
        shown = where[stable] if stable.sum() > 1 else where[points.fixed]
        ax.view_init(*separating_view(ax, shown if len(shown) > 1 else np.concatenate([where, *paths])[:50]))
    name = "" if system is None or not system.name else f"{system.name}: "
    title(ax, name + _title(points))
    legend_beside(ax)
    return fig


def spectrum(points: FixedPoints, ax: Any = None) -> Figure:
    """Eigenvalues of the Jacobian at all points in the complex plane, with the boundary of stability.

    The boundary is the unit circle of a map, the imaginary axis of a flow.

    Parameters
    ----------
    points : FixedPoints
    ax : Axes, optional
        Where to draw.
    """
    check_kind("points", points, FixedPoints, _POINTS)
    ax = new_figure(6.6, 4.6).subplots() if ax is None else check_axes(ax)
    fig = ax.get_figure()
    values = points.eigenvalues
    for name, color, marker, mask in _groups(points):
        flat = values[mask].reshape(-1)
        of = f"of {int(mask.sum())} {_noun(name, int(mask.sum()))}"
        ax.plot(flat.real, flat.imag, marker, ms=3, color=color, linestyle="none", label=of, alpha=0.8, mew=0.5)
    border = {"color": palette.REFERENCE, "lw": 0.8, "label": "border of stability", "zorder": 0}
    if points.flow:
        ax.axvline(0, **border)
        unit = "1 / unit of time"
    else:
        angle = np.linspace(0, 2 * np.pi, 200)
        ax.plot(np.cos(angle), np.sin(angle), **border)
        ax.set_aspect("equal", "datalim")
        unit = "per step"
    ax.set(xlabel=f"real part ({unit})", ylabel=f"imaginary part ({unit})")
    title(ax, f"Eigenvalues at {_title(points)}")
    legend_beside(ax)
    return fig


def hits(points: FixedPoints, ax: Any = None) -> Figure:
    """How many starts of the search reached each point.

    Where some were reached by few starts only, others may have been missed.

    Parameters
    ----------
    points : FixedPoints
    ax : Axes, optional
        Where to draw.
    """
    check_kind("points", points, FixedPoints, _POINTS)
    ax = new_figure(7.2, 3.4).subplots() if ax is None else check_axes(ax)
    fig = ax.get_figure()
    counts = points.hits
    for name, color, _, mask in _groups(points):
        ax.bar(np.flatnonzero(mask), counts[mask], color=color, label=_noun(name, int(mask.sum())))
    ax.set(xlabel="number of the point in the table", ylabel="starts that reached it")
    ax.locator_params(axis="both", integer=True)
    title(ax, f"How often the search found {_title(points)}")
    legend_beside(ax)
    return fig


def _groups(points: FixedPoints) -> list[tuple[str, str, str, np.ndarray]]:
    """Name, colour, marker and mask (P,) of every class of points that occurs."""
    fixed, n = points.fixed, points.n_unstable
    groups = []
    for k in sorted(set(n[fixed].tolist())):
        name = _kind(k, points.x.shape[1])
        name += f", {counted(k, 'unstable direction')}" if name == "saddle" else ""
        groups.append((name, *palette.saddle(k), fixed & (n == k)))
    other = [(kind, *_OTHERS[kind], points.kind == kind) for kind in _OTHERS]
    return groups + [g for g in other if g[3].any()]


def _projection(points: FixedPoints, system: System | None, space: str):
    """A function from states (.., D) to coordinates (.., k), k <= 3, as an array; and their names."""
    n_units = points.x.shape[1]
    if space == "readout":
        readout = (system.readout if system is not None else None) or getattr(points.dynamics, "readout", None)
        if readout is None:
            raise ValueError(
                "`space`: expected 'pca', got 'readout' for a system without one. Use a system with readout."
            )

        def read(x):
            with torch.no_grad():
                return readout(x.double()).reshape(len(x), -1)[:, :3].numpy()

        return read, [f"readout {k + 1} (a.u.)" for k in range(read(torch.zeros(1, n_units)).shape[1])]
    states = torch.from_numpy(points.x) if system is None else system.states().double()
    centre = states.mean(0) if len(states) else torch.zeros(n_units).double()
    axes = torch.linalg.svd((states - centre)[:: max(1, len(states) // 5000)], full_matrices=False)[2]
    axes = axes if len(axes) >= min(3, n_units) else torch.eye(n_units).double()
    axes = axes[: min(3, n_units)]
    # signs are free: the largest entry of each axis is positive, so that pictures repeat
    axes = axes * torch.sign(axes.gather(1, axes.abs().argmax(1, keepdim=True)))

    def project(x):
        return ((x.double() - centre) @ axes.T).numpy()

    return project, [f"PC {k + 1} (a.u.)" for k in range(len(axes))]


def _unstable_lines(points: FixedPoints, read, reach: float) -> list[tuple[np.ndarray, str]]:
    """Segments (2, k) through every fixed point along the real parts of its unstable directions."""
    if not len(points):
        return []
    x, right, lines = torch.from_numpy(points.x), torch.from_numpy(points.modes[0]), []
    states = x if points.dynamics is None or points.dynamics.visited is None else points.dynamics.visited
    length = reach * float((states.amax(0) - states.amin(0)).norm()) if len(states) > 1 else reach
    for p in np.flatnonzero(points.fixed & (points.n_unstable > 0)):
        n = int(points.n_unstable[p])
        for k in range(n):
            value = points.eigenvalues[p, k]
            v = right[p, :, k]
            # of a conjugate pair, the plane: real part of one, imaginary part of the other
            v = v.imag if value.imag < 0 else v.real
            v = v / v.norm().clamp_min(1e-300)
            ends = read(torch.stack([x[p] - length * v, x[p] + length * v]))
            lines.append((ends, palette.saddle(n)[0]))
    return lines


def _title(points: FixedPoints) -> str:
    fixed = points.n_unstable[points.fixed]
    numbers = {int(k): int((fixed == k).sum()) for k in np.unique(fixed)}
    others = [(kind, int((points.kind == kind).sum())) for kind in _OTHERS]
    words = [f", {n} {_noun(kind, n)}" for kind, n in others if n]
    return sentence(numbers, points.x.shape[1]) + "".join(words)


def sentence(counts: Mapping[int, int], n_dims: int) -> str:
    """Fixed points by their unstable directions, in words: "27 fixed points: 8 stable, 19 saddles"."""
    kinds: dict[str, int] = {}
    for k, n in counts.items():
        kinds[_kind(k, n_dims)] = kinds.get(_kind(k, n_dims), 0) + n
    words = [f"{n} stable" if kind == "stable" else counted(n, kind) for kind, n in kinds.items()]
    return f"{counted(sum(counts.values()), 'fixed point')}{': ' if words else ''}{', '.join(words)}"


def _kind(n_unstable: int, n_dims: int) -> str:
    """What a fixed point with that many unstable directions is called; a source is unstable in every direction."""
    return "stable" if n_unstable == 0 else "source" if n_unstable == n_dims else "saddle"


def _noun(group: str, n: int) -> str:
    """The name of a group of points, in the plural where it is of several."""
    if group in _OTHERS:
        return f"{group} point" + ("s" if n != 1 else "")
    return group if n == 1 else group.replace("saddle", "saddles").replace("source", "sources")


# under its path of 0.1
__getattr__ = elsewhere({"portrait_graph": "plots._portrait_graph"})

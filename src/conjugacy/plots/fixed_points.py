"""Figures of fixed points: where they lie, their spectra, who joins whom, how often each was reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.figure import Figure

from conjugacy._check import check_choice, check_int, check_number
from conjugacy.plots.figure import label_dims, new_figure, space_axes

if TYPE_CHECKING:
    from conjugacy.dynamics import FixedPoints, Portrait
    from conjugacy.system import System

_STABLE, _SLOW = "black", "0.6"
_SADDLES = ("C3", "C1", "C4", "C5", "C6")  # by number of unstable directions, the last for all beyond


def fixed_points_3d(
    points: FixedPoints,
    system: System | None = None,
    *,
    space: str = "pca",
    n_trials: int = 20,
    reach: float = 0.08,
    ax: Any = None,
) -> Figure:
    """Fixed points and their unstable directions, over trajectories.

    Parameters
    ----------
    points : FixedPoints
    system : System, optional
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
    check_choice("space", space, ("pca", "readout"))
    check_int("n_trials", n_trials, 0)
    check_number("reach", reach, 0)
    read, labels = _projection(points, system, space)
    where = read(torch.from_numpy(points.x))
    n_trials = 0 if system is None else min(n_trials, system.n_trials)
    paths = [] if system is None else [read(system.trajectories[k, : int(system.lengths[k])]) for k in range(n_trials)]
    flat = len(labels) == 1
    if ax is None:
        ax = space_axes(new_figure(6.4, 5.6), 1, 1, 1, len(labels))
    fig = ax.get_figure()

    def draw(xs, *style, height=None, **options):
        # a single dimension lies on the horizontal axis, trajectories above it by time
        ax.plot(*xs.T, *([np.zeros(len(xs)) if height is None else height] if flat else []), *style, **options)

    for path in paths:
        draw(path, "-", height=np.arange(len(path)), lw=0.5, alpha=0.35, color="C0", zorder=1)
    for name, color, mask in _groups(points):
        draw(where[mask], "o", ms=6, color=color, label=f"{name}: {int(mask.sum())}", zorder=3)
    for line, color in _unstable_lines(points, read, reach):
        draw(line, "-", color=color, lw=1.2, zorder=2)
    if flat:
        ax.set(xlabel=labels[0], ylabel="step of the trajectory")
    else:
        label_dims(ax, labels)
    ax.set_title(_title(points), fontsize="medium")
    if len(points):
        ax.legend(frameon=False, fontsize="small", loc="upper left")
    return fig


def spectrum(points: FixedPoints, ax: Any = None) -> Figure:
    """Eigenvalues of all points in the complex plane, with the circle (a flow: the axis) that stability ends at."""
    if ax is None:
        ax = new_figure(5.2, 5.0).subplots()
    fig = ax.get_figure()
    values = points.eigenvalues
    for name, color, mask in _groups(points):
        flat = values[mask].reshape(-1)
        ax.plot(flat.real, flat.imag, ".", ms=4, color=color, label=name, alpha=0.8)
    if points.flow:
        ax.axvline(0, color="0.4", lw=0.8)
        unit = "1 / unit of time"
    else:
        angle = np.linspace(0, 2 * np.pi, 200)
        ax.plot(np.cos(angle), np.sin(angle), color="0.4", lw=0.8)
        ax.set_aspect("equal", "datalim")
        unit = "per step"
    ax.set(xlabel=f"real part ({unit})", ylabel=f"imaginary part ({unit})")
    ax.set_title(_title(points), fontsize="medium")
    if len(points):
        ax.legend(frameon=False, fontsize="small")
    return fig


def portrait_graph(portrait: Portrait, ax: Any = None) -> Figure:
    """The graph of a portrait: stable points, joined where the branches of a one-unstable saddle end in them.

    With a readout of k channels the points stand on the corners of a drawn hypercube, as their labels say; without,
    on a circle. Two saddles between the same points give two lines, one of them dashed where no saddle was found but
    the basins meet. A branch that reached nothing ends in a cross; saddles none of whose branches did stand below.
    Rings, lines and sheets are named beside their node.
    """
    if ax is None:
        ax = new_figure(5.4, 5.0).subplots()
    fig = ax.get_figure()
    place = _places(portrait)
    drawn: dict[tuple[int, int], int] = {}
    nowhere = 0
    for saddle, a, b in portrait.edges:
        if a < 0 or b < 0:
            end = max(a, b)
            if end >= 0:
                stub = place[end] * 1.25 + 0.05
                ax.plot(*np.stack([place[end], stub]).T, color=_SADDLES[0], lw=1, marker="x", markevery=[1])
            else:
                low = min((y for _, y in place.values()), default=0.0) - 0.35
                left = np.mean([x for x, _ in place.values()]) if place else 0.0
                x = left + 0.25 * nowhere
                ax.plot([x - 0.08, x, x + 0.08], [low] * 3, color=_SADDLES[0], lw=1, marker="x", markevery=[0, 2])
                nowhere += 1
            continue
        wall = bool(portrait.kinds) and portrait.kinds[saddle] == "wall"
        k = drawn[a, b] = drawn.get((a, b), -1) + 1
        ax.plot(*_curve(place[a], place[b], 0.12 * k).T, color=_SADDLES[0], lw=1.4, ls="--" if wall else "-", zorder=1)
    plain = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    for p, (x, y) in place.items():
        ax.plot(x, y, "o", ms=9, color=_STABLE, zorder=2)
        text = portrait.labels[p] or str(p)
        if portrait.topologies and portrait.topologies[p] in ("ring", "line", "sheet"):
            text += f" ({portrait.topologies[p]})"
        ax.annotate(
            text, (x, y), textcoords="offset points", xytext=(8, 8), size="small", family="monospace", bbox=plain
        )
    ax.margins(0.18)
    ax.set_aspect("equal")
    ax.set_axis_off()
    counts = ", ".join(f"{n} with {k}" for k, n in portrait.counts.items()) or "none"
    title = f"fixed points by unstable directions: {counts}"
    if portrait.horizon is not None:
        unit = "" if portrait.step == 1 else " s"
        title = f"what holds for {portrait.horizon:g}{unit}, by unstable directions: {counts}"
    lost = f"\n{portrait.n_lost} branches end nowhere" if portrait.n_lost else ""
    ax.set_title(title + lost, fontsize="medium")
    return fig


def hits(points: FixedPoints, ax: Any = None) -> Figure:
    """How many starts reached each point; bars near zero mean that others may have been missed."""
    if ax is None:
        ax = new_figure(6.4, 3.4).subplots()
    fig = ax.get_figure()
    counts = points.hits
    for name, color, mask in _groups(points):
        ax.bar(np.flatnonzero(mask), counts[mask], color=color, label=name)
    ax.set(xlabel="point (number in the table)", ylabel="starts that reached it (count)")
    ax.locator_params(axis="x", integer=True)
    ax.set_title(_title(points), fontsize="medium")
    if len(points):
        ax.legend(frameon=False, fontsize="small")
    return fig


def _groups(points: FixedPoints) -> list[tuple[str, str, np.ndarray]]:
    """Name, colour and mask (P,) of every class of points that occurs."""
    fixed, n = points.fixed, points.n_unstable
    groups = []
    for k in sorted(set(n[fixed].tolist())):
        name = "stable" if k == 0 else f"{k} unstable"
        groups.append((name, _STABLE if k == 0 else _SADDLES[min(k, len(_SADDLES)) - 1], fixed & (n == k)))
    other = [(kind, _SLOW, points.kind == kind) for kind in ("held", "slow", "unresolved")]
    return groups + [g for g in other if g[2].any()]


def _projection(points: FixedPoints, system: System | None, space: str):
    """A function from states (.., D) to coordinates (.., k), k <= 3, as an array; and their names."""
    n_units = points.x.shape[1]
    if space == "readout":
        readout = (system.readout if system is not None else None) or getattr(points.dynamics, "readout", None)
        if readout is None:
            raise ValueError("`space`: expected 'pca', got 'readout' for a system without one. Give it a readout.")

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
            lines.append((ends, _SADDLES[min(n, len(_SADDLES)) - 1]))
    return lines


def _places(portrait: Portrait) -> dict[int, np.ndarray]:
    stable = [p for p, n in enumerate(portrait.n_unstable) if n == 0]
    labels = [portrait.labels[p] for p in stable]
    if stable and labels[0] and len(set(labels)) == len(labels):
        # oblique directions for the channels: the picture of a cube for three
        angle = np.deg2rad([0, 90, 35, 125, 60, 150])
        size = np.array([1, 1, 0.5, 0.5, 0.3, 0.3])
        basis = np.stack([size * np.cos(angle), size * np.sin(angle)], 1)
        signs = {"+": 1.0, "-": -1.0, "0": 0.0}
        return {p: np.sum([signs[c] * basis[k % 6] for k, c in enumerate(t)], axis=0) for p, t in zip(stable, labels)}
    turn = 2 * np.pi * np.arange(len(stable)) / max(1, len(stable))
    return {p: np.array([np.cos(t), np.sin(t)]) for p, t in zip(stable, turn)}


def _curve(a: np.ndarray, b: np.ndarray, bend: float) -> np.ndarray:
    if np.allclose(a, b):
        # both branches of a saddle in one point: a loop
        turn = np.linspace(0, 2 * np.pi, 40)
        return a + (0.15 + bend) * np.stack([1 - np.cos(turn), np.sin(turn)], 1)
    t = np.linspace(0, 1, 30)[:, None]
    across = np.array([a[1] - b[1], b[0] - a[0]])
    return (1 - t) * a + t * b + 4 * bend * t * (1 - t) * across


def _title(points: FixedPoints) -> str:
    index = "" if points.index_sum is None else f", index sum {points.index_sum:+d}"
    return f"{int(points.fixed.sum())} fixed points{index}"

"""Figure of a portrait: the memories of a system, and the saddles between them, as a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from conjugacy.analysis._given import check_kind, counted
from conjugacy.dynamics import FixedPoints, Portrait
from conjugacy.plots._given import check_axes
from conjugacy.plots.figure import new_figure
from conjugacy.plots.fixed_points import SADDLES, STABLE, sentence


def portrait_graph(portrait: Portrait, ax: Any = None) -> Figure:
    """Stable fixed points as a graph: a line joins two of them if a saddle lies between.

    A saddle with one unstable direction lies between the two points that its branches end in. With a readout of k
    channels the points stand on the corners of a drawn hypercube, as their labels say; without, on a circle. Two
    saddles between the same points give two lines; a line is dashed where no saddle was found but the basins meet. A
    branch that reached nothing ends in a cross; saddles none of whose branches did stand below. Rings, lines and sheets
    are named beside their node.

    Parameters
    ----------
    portrait : Portrait
    ax : Axes, optional
        Where to draw.
    """
    hint = "Call .portrait() on the fixed points." if isinstance(portrait, FixedPoints) else ""
    check_kind("portrait", portrait, Portrait, "a Portrait (of FixedPoints.portrait())", hint)
    ax = new_figure(5.4, 5.0).subplots() if ax is None else check_axes(ax)
    fig = ax.get_figure()
    place = _places(portrait)
    drawn: dict[tuple[int, int], int] = {}
    nowhere = 0
    for saddle, a, b in portrait.edges:
        if a < 0 or b < 0:
            end = max(a, b)
            if end >= 0:
                stub = place[end] * 1.25 + 0.05
                ax.plot(*np.stack([place[end], stub]).T, color=SADDLES[0], lw=1, marker="x", markevery=[1])
            else:
                low = min((y for _, y in place.values()), default=0.0) - 0.35
                left = np.mean([x for x, _ in place.values()]) if place else 0.0
                x = left + 0.25 * nowhere
                ax.plot([x - 0.08, x, x + 0.08], [low] * 3, color=SADDLES[0], lw=1, marker="x", markevery=[0, 2])
                nowhere += 1
            continue
        wall = bool(portrait.kinds) and portrait.kinds[saddle] == "wall"
        k = drawn[a, b] = drawn.get((a, b), -1) + 1
        ax.plot(*_curve(place[a], place[b], 0.12 * k).T, color=SADDLES[0], lw=1.4, ls="--" if wall else "-", zorder=1)
    plain = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    for p, (x, y) in place.items():
        ax.plot(x, y, "o", ms=9, color=STABLE, zorder=2)
        text = portrait.labels[p] or str(p)
        if portrait.topologies and portrait.topologies[p] in ("ring", "line", "sheet"):
            text += f" ({portrait.topologies[p]})"
        ax.annotate(
            text, (x, y), textcoords="offset points", xytext=(8, 8), size="small", family="monospace", bbox=plain
        )
    ax.margins(0.18)
    ax.set_aspect("equal")
    ax.set_axis_off()
    title = sentence(portrait.counts, portrait.eigenvalues.shape[-1])
    if portrait.horizon is not None:
        # held points and walls are no fixed points
        memories, saddles = portrait.counts.get(0, 0), sum(n for k, n in portrait.counts.items() if k)
        kept = f"kept for {portrait.horizon:g}{' steps' if portrait.step == 1 else ' s'}"
        title = f"{counted(memories, 'memory', 'memories')} {kept}, {counted(saddles, 'saddle')} between them"
    lost = f"\n{counted(portrait.n_lost, 'branch', 'branches')} of saddles end{'s' * (portrait.n_lost == 1)} nowhere"
    ax.set_title(title + lost * bool(portrait.n_lost), fontsize="medium")
    return fig


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

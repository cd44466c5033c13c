"""Figure of a portrait: the memories of a system, and the saddles between them, as a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from conjugacy.analysis._given import check_kind, counted
from conjugacy.dynamics import FixedPoints, Portrait
from conjugacy.plots import palette
from conjugacy.plots._given import check_axes
from conjugacy.plots._labels import legend_beside, place_beside, title
from conjugacy.plots._style import points as text_size
from conjugacy.plots.figure import new_figure
from conjugacy.plots.fixed_points import sentence

_DEAD_END = "dead end: reaches no memory", "x"
_CROSS = {"color": palette.SLOW, "mew": 1.6}
_STUB = 0.42  # how far a dead end stands from its memory, in halves of the picture's width


def portrait_graph(portrait: Portrait, ax: Any = None) -> Figure:
    """Stable fixed points as a graph: a line joins two of them if a saddle lies between.

    A saddle with one unstable direction (a diamond) lies between the two memories (dots) in which its two branches end.
    With a readout of k channels the memories stand on the corners of a drawn hypercube, as their labels say; without,
    on a circle. Two saddles between the same memories give two lines; a line is dashed, without a diamond, where no
    saddle was found but the basins meet. A branch that reached nothing is a dead end: it stops at a grey cross; saddles
    none of whose branches reached a memory stand in a row below. Saddles with more unstable directions join nothing,
    and stand where their readout says, or are counted in the legend. Rings, lines and sheets are named beside their
    node.

    Parameters
    ----------
    portrait : Portrait
    ax : Axes, optional
        Where to draw.
    """
    hint = "Call .portrait() on the fixed points." if isinstance(portrait, FixedPoints) else ""
    check_kind("portrait", portrait, Portrait, "a Portrait (of FixedPoints.portrait())", hint)
    stable = [p for p, n in enumerate(portrait.n_unstable) if n == 0]
    side = 5.0 if len(stable) <= 16 else 6.4
    ax = new_figure(side + 2.2, side).subplots() if ax is None else check_axes(ax)
    fig = ax.get_figure()
    place, by_label = _places(portrait, stable)
    known: set[str] = set()

    def draw(xy: Any, label: str, fmt: str = "-", **style: Any) -> None:
        new = {} if label in known else {"label": label}
        known.add(label)
        ax.plot(*np.transpose(np.atleast_2d(xy)), fmt, **new, **style)

    colour, marker = palette.saddle(1)
    diamond = {"color": colour, "ms": 6, "zorder": 3, "mec": "white", "mew": 0.6}
    drawn: dict[tuple[int, int], int] = {}
    stubs: dict[int, int] = {}
    unit = max(1.0, 0.4 * max((float(np.abs(xy).max()) for xy in place.values()), default=1.0))
    below = min((y for _, y in place.values()), default=0.0) - 0.55 * unit
    lines: list[np.ndarray] = []
    nowhere = [edge for edge in portrait.edges if max(edge[1:]) < 0]
    for saddle, a, b in portrait.edges:
        wall = bool(portrait.kinds) and portrait.kinds[saddle] == "wall"
        if max(a, b) < 0:
            x = 0.5 * unit * (nowhere.index((saddle, a, b)) - (len(nowhere) - 1) / 2)
            ends = np.array([[x - 0.17 * unit, below], [x, below], [x + 0.17 * unit, below]])
            ax.plot(*ends.T, "-", color=colour, lw=1.4, zorder=1)
            draw(ends[1], "saddle", marker, **diamond)
            draw(ends[[0, 2]], *_DEAD_END, zorder=2, **_CROSS)
            continue
        if min(a, b) < 0:
            end = max(a, b)
            line = place[end] + np.linspace(0, unit * _STUB, 3)[:, None] * _free_way(place, end, stubs.get(end, 0))
            stubs[end] = stubs.get(end, 0) + 1
            ax.plot(*line.T, "-", color=colour, lw=1.4, zorder=1)
            draw(line[1], "saddle", marker, **diamond)
            draw(line[2], *_DEAD_END, zorder=2, **_CROSS)
            lines.append(line)
            continue
        k = drawn[a, b] = drawn.get((a, b), -1) + 1
        line = _curve(place[a], place[b], 0.12 * k)
        lines.append(line)
        if wall:
            draw(line, "basins meet, no saddle was found", "--", color=palette.REFERENCE, lw=1.2, zorder=1)
        else:
            ax.plot(*line.T, "-", color=colour, lw=1.4, zorder=1)
            draw(line[len(line) // 2], "saddle", marker, **diamond)
    _draw_higher(portrait, by_label, draw)
    for p in stable:
        draw(place[p], "memory (stable)", "o", ms=9 if len(stable) <= 16 else 6, color=palette.STABLE, zorder=4)
    ax.margins(0.22)
    ax.set_aspect("equal")
    ax.set_axis_off()
    title(ax, _in_words(portrait))
    legend_beside(ax, loc="center left", bbox_to_anchor=(1.0, 0.5))
    size = text_size(9.0 if len(stable) <= 16 else 7.0)
    names = [_name(portrait, p) for p in stable]
    dots = np.array([place[p] for p in stable])
    place_beside(ax, dots, names, size, lines=np.concatenate(lines) if lines else None, family="monospace")
    return fig


def _name(portrait: Portrait, p: int) -> str:
    text = portrait.labels[p] or str(p)
    if portrait.topologies and portrait.topologies[p] in ("ring", "line", "sheet"):
        text += f" ({portrait.topologies[p]})"
    return text


def _in_words(portrait: Portrait) -> str:
    text = sentence(portrait.counts, portrait.eigenvalues.shape[-1])
    if portrait.horizon is not None:
        # held points and walls are no fixed points
        memories, saddles = portrait.counts.get(0, 0), sum(n for k, n in portrait.counts.items() if k)
        kept = f"kept for {portrait.horizon:g}{' steps' if portrait.step == 1 else ' s'}"
        text = f"{counted(memories, 'memory', 'memories')} {kept}, {counted(saddles, 'saddle')} between them"
    if portrait.name:
        text = f"{portrait.name}: {text}"
    if portrait.n_lost:
        lost = counted(portrait.n_lost, "branch", "branches")
        text += f"\n{lost} of saddles end{'s' * (portrait.n_lost == 1)} at no memory"
    elif portrait.counts.get(0, 0) > 1 and not portrait.edges:
        text += "\nno saddle was found that joins two of them"
    return text


def _draw_higher(portrait: Portrait, by_label: Mapping[str, Any], draw: Any) -> None:
    """Saddles with two unstable directions or more: at their readout where that is a place of their own."""
    higher = [p for p, n in enumerate(portrait.n_unstable) if n > 1]
    labels = [portrait.labels[p] for p in higher]
    placed = bool(by_label) and all(labels) and len(set(labels)) == len(labels)
    for n in sorted({portrait.n_unstable[p] for p in higher}):
        here = [p for p in higher if portrait.n_unstable[p] == n]
        colour, marker = palette.saddle(n)
        label = f"{counted(len(here), 'saddle')}, {counted(n, 'unstable direction')}"
        if placed:
            at = np.array([_corner(portrait.labels[p]) for p in here])
            draw(at, label, marker, color=colour, ms=5, mec="white", mew=0.5, zorder=2)
        else:
            draw(np.full((1, 2), np.nan), f"{label} (not drawn)", marker, color=colour, ms=5, mfc="none")


# oblique directions for the channels: the picture of a cube for three
_ANGLES = np.deg2rad([0, 90, 33, 125, 62, 150])
_LENGTHS = np.array([1, 1, 0.52, 0.27, 0.17, 0.11])
_BASIS = np.stack([_LENGTHS * np.cos(_ANGLES), _LENGTHS * np.sin(_ANGLES)], 1)
_SIGNS = {"+": 1.0, "-": -1.0, "0": 0.0}


def _corner(label: str) -> np.ndarray:
    return np.sum([_SIGNS[c] * _BASIS[k % 6] for k, c in enumerate(label)], axis=0)


def _places(portrait: Portrait, stable: list[int]) -> tuple[dict[int, np.ndarray], dict[str, int]]:
    """Where the memories stand, by number; and their numbers by label, where labels say where."""
    labels = [portrait.labels[p] for p in stable]
    if stable and labels[0] and len(set(labels)) == len(labels) and len(labels[0]) <= 6:
        return {p: _corner(t) for p, t in zip(stable, labels)}, dict(zip(labels, stable))
    turn = 2 * np.pi * np.arange(len(stable)) / max(1, len(stable))
    # about one apart, as the corners are
    radius = max(1.0, 0.32 * len(stable) / 2)
    return {p: radius * np.array([np.cos(t), np.sin(t)]) for p, t in zip(stable, turn)}, {}


def _free_way(place: Mapping[int, np.ndarray], p: int, k: int) -> np.ndarray:
    """A direction (2,) of length one from a memory, away from all others; the k-th of them turned aside."""
    middle = np.mean(list(place.values()), axis=0)
    away = place[p] - middle
    angle = np.arctan2(away[1], away[0]) if np.linalg.norm(away) > 1e-9 else np.pi / 2
    angle += 0.5 * ((k + 1) // 2) * (-1) ** k
    return np.array([np.cos(angle), np.sin(angle)])


def _curve(a: np.ndarray, b: np.ndarray, bend: float) -> np.ndarray:
    if np.allclose(a, b):
        # both branches of a saddle in one point: a loop
        turn = np.linspace(0, 2 * np.pi, 41)
        return a + (0.15 + bend) * np.stack([1 - np.cos(turn), np.sin(turn)], 1)
    t = np.linspace(0, 1, 31)[:, None]
    across = np.array([a[1] - b[1], b[0] - a[0]])
    return (1 - t) * a + t * b + 4 * bend * t * (1 - t) * across

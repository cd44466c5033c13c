"""Names in figures that fit: beside points, along axes, in legends outside of the data, for two things or for sixty."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from conjugacy.plots._style import points

_SMALLEST = 5.0  # pt: the smallest text that is still read
_MOST_NAMED = 12  # points that get their names; more get numbers, and a list of names beside
_ROOM = 1.22  # a line's height in units of its text
_WIDTH = 0.56  # a letter's width in units of its text, about
_TURNS = np.deg2rad([45, 0, 90, 135, 315, 180, 225, 270, 20, 70, 110, 160, 200, 250, 290, 340])
_STEPS = (9.0, 13.0, 18.0, 25.0, 34.0, 46.0, 62.0, 84.0)  # pt: how far a label stands from its point
_LEADER = 13.0  # pt: from there on, a thin line leads to the point


def short(name: str, most: int = 24) -> str:
    """The name, or its beginning and end where it is long."""
    if len(name) <= most:
        return name
    head = (most - 1) * 3 // 5
    return f"{name[:head]}…{name[len(name) - (most - 1 - head) :]}"


def title(ax: Any, text: str, *, alone: bool = False) -> None:
    """A title in as many lines as its axes are wide; `alone`: where no legend and no bar stands beside them."""
    spec, figure = ax.get_subplotspec(), ax.get_figure()
    share = 1.0 if spec is None else len(spec.colspan) / spec.get_gridspec().ncols
    width = figure.bbox.width / figure.get_figure(root=True).dpi
    # beside a single column stands a legend or a bar, and a title in its middle must not leave on the left
    width = share * width if share < 1 else width - 0.6 if alone else max(0.55 * width, width - 2.4)
    ax.set_title(_wrapped(text, width), fontsize="medium")


def over_all(figure: Any, text: str) -> None:
    """A title over all panels, in as many lines as the figure is wide."""
    figure.suptitle(_wrapped(text, figure.bbox.width / figure.get_figure(root=True).dpi), fontsize="medium")


def _wrapped(text: str, inches: float) -> str:
    letters = max(14, int(0.92 * inches * 72 / (points(10.0) * _WIDTH)))
    return "\n".join(line for part in text.split("\n") for line in textwrap.wrap(part, letters) or [""])


def name_ticks(ax: Any, axis: str, names: Sequence[str], inches: float, *, letters: int = 24) -> None:
    """A name at each tick 0, 1, ..; smaller where there is little room, and only some where there is hardly any.

    Parameters
    ----------
    ax : Axes
    axis : {"x", "y"}
        Names along x stand upright where they would touch.
    names : sequence of str
    inches : float
        Length of the axis.
    letters : int
        Longest name that is written out.
    """
    shown = [short(str(name), letters) for name in names]
    room = 72 * inches / max(len(shown), 1)
    size = min(points(9.0), room / _ROOM)
    every = 1 if size >= _SMALLEST else int(np.ceil(_SMALLEST * _ROOM / room))
    size = max(size, _SMALLEST)
    at = list(range(0, len(shown), every))
    chosen = [shown[k] for k in at]
    if axis == "y":
        ax.set_yticks(at, chosen, fontsize=size)
        return
    longest = max((len(name) for name in chosen), default=0) * _WIDTH * size
    upright = longest > 0.86 * room * every
    ax.set_xticks(at, chosen, fontsize=size, rotation=90 if upright else 0)


def legend_beside(ax: Any, handles: Any = None, labels: Any = None, *, heading: str = "", **options: Any) -> Any:
    """A legend to the right of the axes, outside of the data, in as many columns as its entries need; or None.

    In a figure of the user's that makes no room for it, it stands inside, where least is covered.
    """
    if handles is None:
        handles, labels = ax.get_legend_handles_labels()
    if not len(handles):
        return None
    figure = ax.get_figure(root=True)
    if not figure.get_constrained_layout():
        return ax.legend(handles, labels, frameon=False, fontsize="small", title=heading or None)
    height = 72 * figure.bbox.height / figure.dpi / max(1, _rows_of(ax))
    size, columns = _fitted(len(handles), 0.8 * height - (14 if heading else 0), points(8.5))
    options = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0, **options}
    options |= {"frameon": False, "fontsize": size, "ncols": columns, "columnspacing": 1.0, "handlelength": 1.6}
    options |= {"labelspacing": 0.35, "title": heading or None, "title_fontsize": size, "alignment": "left"}
    few = len(handles) <= _MOST_NAMED
    words = [textwrap.fill(str(label), 30) if few else short(str(label), 34) for label in labels]
    return ax.legend(handles, words, **options)


def legend_below(figure: Any, handles: Iterable[Any], labels: Iterable[str]) -> Any:
    """A legend below all panels, in as many rows as its entries need; or None."""
    handles, labels = list(handles), [short(str(label), 40) for label in labels]
    if not handles:
        return None
    size = points(8.5)
    letter = _WIDTH * size
    entry = max(len(label) for label in labels) * letter + 3.6 * size
    width = 72 * figure.bbox.width / figure.get_figure(root=True).dpi
    columns = int(max(1, min(len(handles), 0.97 * width // entry)))
    rows = -(-len(handles) // columns)
    if rows > 3 and figure is figure.get_figure(root=True):  # the panels keep their height
        figure.set_figheight(figure.get_figheight() + (rows - 3) * 1.5 * size / 72)
    return figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=size,
        columnspacing=1.2,
        handlelength=1.6,
    )


def _rows_of(ax: Any) -> float:
    spec = ax.get_subplotspec()
    return 1.0 if spec is None else spec.get_gridspec().nrows / len(spec.rowspan)


def _fitted(n: int, height: float, size: float) -> tuple[float, int]:
    """Size of text (pt) and number of columns with which `n` entries fit into a height (pt)."""
    for columns in (1, 2, 3):
        rows = -(-n // columns)
        fits = height / (rows * 1.4)
        if fits >= size:
            return size, columns
        if fits >= 0.75 * size and fits >= _SMALLEST:
            return fits, columns
    return max(_SMALLEST, min(size, height / (-(-n // 4) * 1.4))), 4


def name_points(ax: Any, xy: np.ndarray, names: Sequence[str], *, most: int = _MOST_NAMED, what: str = "") -> None:
    """Names beside points, none over another; where there are many, numbers, and what they stand for beside the axes.

    Call it last: it lays the figure out.

    Parameters
    ----------
    ax : Axes
    xy : array (point, 2)
    names : sequence of str
    most : int
        Points that get names.
    what : str
        Heading of the list of names.
    """
    names = [str(name) for name in names]
    if len(names) <= most:
        place_beside(ax, xy, [short(name) for name in names], points(8.0))
        return
    from matplotlib.lines import Line2D

    numbers = [str(k + 1) for k in range(len(names))]
    key = [Line2D([], [], linestyle="none") for _ in names]
    entries = [f"{k}  {short(name, 20)}" for k, name in zip(numbers, names)]
    legend = legend_beside(ax, key, entries, heading=what)
    if not ax.get_figure(root=True).get_constrained_layout():
        legend.remove()  # it would cover the points
    place_beside(ax, xy, numbers, points(7.0))


def place_beside(
    ax: Any, xy: np.ndarray, texts: Sequence[str], size: float, *, lines: np.ndarray | None = None, **options: Any
) -> list[Any]:
    """Texts beside their points, moved until none lies over another text or point or leaves the axes.

    A text for which there is no room is left out. Places on lines (n, 2) are kept clear where that can be done nearby.
    """
    xy = np.asarray(xy, dtype=float).reshape(-1, 2)
    figure = ax.get_figure(root=True)
    made = [
        ax.annotate(t, p, xytext=(0, 0), textcoords="offset points", ha="center", va="center", fontsize=size, **options)
        for t, p in zip(texts, xy)
    ]
    for text in made:
        text.set_in_layout(False)
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer() if hasattr(figure.canvas, "get_renderer") else figure._get_renderer()
    scale = figure.dpi / 72
    pixels, frame = ax.transData.transform(xy), ax.get_window_extent(renderer)
    middle = pixels.mean(0) if len(pixels) else np.zeros(2)
    dots = np.concatenate([pixels - 3.5 * scale, pixels + 3.5 * scale], 1)
    along = np.zeros((0, 2)) if lines is None else ax.transData.transform(np.asarray(lines).reshape(-1, 2))
    along = np.concatenate([along - 1.5, along + 1.5], 1)
    taken = np.zeros((0, 4))
    for k, text in enumerate(made):
        box = text.get_window_extent(renderer)
        half = np.array([box.width, box.height]) / 2 + 1.0
        others = np.delete(dots, k, 0)
        found = None
        away = np.arctan2(*(pixels[k] - middle)[::-1]) if len(pixels) > 2 else np.deg2rad(45)
        turns = sorted(_TURNS, key=lambda t: -np.cos(t - away))
        near = [(step, turn, True) for step in _STEPS[:4] for turn in turns] if len(along) else []
        for step, turn, clear in [*near, *((step, turn, False) for step in _STEPS for turn in turns)]:
            way = np.array([np.cos(turn), np.sin(turn)])
            at = pixels[k] + way * (step * scale * 0.6 + np.abs(way) @ half)
            edge = np.concatenate([at - half, at + half])
            inside = edge[0] >= frame.x0 and edge[1] >= frame.y0 and edge[2] <= frame.x1 and edge[3] <= frame.y1
            blocked = _meets(edge, taken).any() or _meets(edge, others).any()
            if inside and not blocked and not (clear and _meets(edge, along).any()):
                found = at, edge, step
                break
        if found is None:
            text.set_visible(False)
            continue
        at, edge, step = found
        taken = np.vstack([taken, edge])
        text.set_position((at - pixels[k]) / scale)
        if step >= _LEADER:
            end = pixels[k] + (at - pixels[k]) * max(0.0, 1 - np.min(half) / max(np.linalg.norm(at - pixels[k]), 1e-9))
            ends = ax.transData.inverted().transform(np.stack([pixels[k], end]))
            ax.plot(*ends.T, "-", color="0.6", lw=0.5, zorder=0.5, scalex=False, scaley=False)
    return made


def _meets(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of the boxes (n, 4: left, bottom, right, top) overlap with a box."""
    return (others[:, 0] < box[2]) & (others[:, 2] > box[0]) & (others[:, 1] < box[3]) & (others[:, 3] > box[1])

"""Figure of a change of coordinates: how long orbits stay together, and when and where the map misses."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from conjugacy.analysis._given import check_kind
from conjugacy.plots import palette
from conjugacy.plots._labels import short, title
from conjugacy.plots.figure import new_figure
from conjugacy.similarity.conjugacy_result import FOLLOWS, Conjugacy

_COLOURS = (palette.BLUE, palette.VERMILLION)
_MOST_DOTS = 4000
_WORST_SHOWN = 1.0


def conjugacy(found: Conjugacy) -> Figure:
    """Three panels on a map found by `conjugacy.find_conjugacy`.

    Left: the orbit of the second system from the image of a first state, against the image of the orbit, by steps, in
    both directions; 1: on it, 0: as far as the states are spread. Middle: what the forward map misses by time in the
    trial, of states and of the flow. Right: the same of the flow by place, in the principal components of the first
    system.

    Parameters
    ----------
    found : Conjugacy

    Raises
    ------
    TypeError
        If `found` is something else.
    """
    check_kind("found", found, Conjugacy, "a Conjugacy", "Make it with find_conjugacy(a, b).")
    figure = new_figure(12.0, 3.8)
    left, middle, right = figure.subplots(1, 3)
    for direction, colour in zip((found.there, found.back), _COLOURS):
        steps = np.arange(1, len(direction.curve) + 1)
        way = f"{short(direction.a, 16)} → {short(direction.b, 16)}"
        left.plot(steps, np.clip(direction.curve, -0.1, 1.0), color=colour, label=way)
    left.axhline(FOLLOWS, color=palette.REFERENCE, linewidth=0.8, linestyle="--", label="follows, above this")
    left.set(xlabel="steps", ylabel="orbit stays with the image (1: on it)", ylim=(-0.12, 1.04))
    title(left, "How long do orbits stay together?")
    _legend_under(left)
    table = found.residuals()
    time = table["time"].to_numpy()
    counts = np.bincount(time)
    at = np.flatnonzero(counts)
    kinds = (("states", "states", palette.GREEN), ("flow", "changes of states", palette.PURPLE))
    for name, label, colour in kinds:
        means = np.bincount(time, weights=table[name].to_numpy())[at] / counts[at]
        middle.plot(at, means, color=colour, label=label, linewidth=1.0)
    middle.set(xlabel="time step in the trial", ylabel="share missed")
    middle.set_ylim(bottom=0.0)
    title(middle, f"{short(found.there.a, 16)} → {short(found.there.b, 16)}: when does it miss?")
    _legend_under(middle)
    shown = table.iloc[:_MOST_DOTS].sort_values("flow")
    dots = right.scatter(
        shown["pc 1"], shown["pc 2"], c=np.minimum(shown["flow"], _WORST_SHOWN), s=4, cmap=palette.VALUES, linewidths=0
    )
    right.set(xlabel=f"{short(found.there.a, 16)}, PC 1 (spreads)", ylabel="PC 2 (spreads)")
    title(right, "Where does it miss?")
    figure.colorbar(dots, ax=right, label="share missed (1 or more: yellow)")
    return figure


def _legend_under(ax: Any) -> None:
    ax.legend(fontsize="small", frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=1)

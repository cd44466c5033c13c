"""Figure of mechanisms of selection: networks in the triangle of direct, indirect and selection vector modulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from conjugacy.analysis._given import check_kind, counted, items_of
from conjugacy.analysis.context import MECHANISMS, ContextMechanism
from conjugacy.plots import palette
from conjugacy.plots._labels import legend_beside, title
from conjugacy.plots.figure import new_figure

_CORNERS = np.array([[0.0, 0.0], [0.5, np.sqrt(3) / 2], [1.0, 0.0]])  # direct, indirect, selection
_LABELS = ("direct input\nmodulation", "indirect input modulation", "selection vector\nmodulation")
_MOST_CLOUD = 200
_FRAME = np.array([0.85, 0.8])  # half the width and height of what is shown


def context_triangle(
    found: ContextMechanism | Sequence[ContextMechanism] | Mapping[str, Sequence[ContextMechanism]],
) -> Figure:
    """Networks in the triangle of the three mechanisms: a dot each, with the cloud of its resamples.

    A corner is a pure mechanism, the middle an equal mixture. Points outside have a mechanism that works against the
    selection. Hollow dots have doubts; the title counts those too far outside to be shown.

    Parameters
    ----------
    found : ContextMechanism, sequence of them, or mapping of str to sequences of them
        Results of `conjugacy.context_mechanism`; groups get a colour each.

    Raises
    ------
    TypeError
        If `found` holds something else.
    """
    groups = _groups(found)
    figure = new_figure(7.4, 5.2)
    axes = figure.subplots()
    outside = 0
    outline = np.vstack([_CORNERS, _CORNERS[:1]])
    axes.plot(*outline.T, color="0.4", linewidth=1.0)
    for share in (0.25, 0.5, 0.75):
        for k in range(3):
            ends = [share * _CORNERS[k] + (1 - share) * _CORNERS[j] for j in range(3) if j != k]
            axes.plot(*np.transpose(ends), color="0.9", linewidth=0.6, zorder=0)
    for corner, text, side, shift in zip(_CORNERS, _LABELS, ("top", "bottom", "top"), (-0.04, 0.04, -0.04)):
        axes.text(corner[0], corner[1] + shift, text, ha="center", va=side, fontsize="small")
    for k, (label, members) in enumerate(groups.items()):
        colour = palette.series(k)
        for member in members:
            cloud = member.resampled[:_MOST_CLOUD] @ _CORNERS
            axes.plot(*cloud.T, ".", color=colour, alpha=0.08, markersize=3, markeredgewidth=0)
        dots = np.array([[m.shares[name] for name in MECHANISMS] for m in members]) @ _CORNERS
        sure = np.array([not m.doubts for m in members])
        axes.plot(*dots[sure].T, "o", color=colour, markersize=6, markeredgecolor="white")
        axes.plot(*dots[~sure].T, "o", color=colour, markersize=5, fillstyle="none")
        if label:
            axes.plot([], [], "o", color=colour, markersize=6, label=label)
        outside += int((np.abs(dots - _CORNERS.mean(0)) > _FRAME).any(1).sum())
    axes.set_xlim(0.5 - _FRAME[0], 0.5 + _FRAME[0])
    axes.set_ylim(_CORNERS[:, 1].mean() - _FRAME[1], _CORNERS[:, 1].mean() + _FRAME[1])
    axes.plot([], [], "o", color="0.4", markersize=5, fillstyle="none", label="with doubts")
    n = sum(map(len, groups.values()))
    beyond = f", {outside} far outside" if outside else ""
    title(axes, f"How context selects evidence: {counted(n, 'network')}{beyond}")
    axes.set_aspect("equal")
    axes.axis("off")
    legend_beside(axes)
    return figure


def _groups(found: object) -> dict[str, list[ContextMechanism]]:
    if isinstance(found, ContextMechanism):
        return {found.name: [found]}
    sets = dict(found) if isinstance(found, Mapping) else {"": found}
    made = {}
    for label, members in sets.items():
        things = [members] if isinstance(members, ContextMechanism) else items_of("found", members, "ContextMechanisms")
        for k, thing in enumerate(things):
            check_kind(
                f"found[{k}]", thing, ContextMechanism, "a ContextMechanism", "Make it with context_mechanism()."
            )
        if not things:
            raise ValueError("`found`: expected at least one ContextMechanism, got none.")
        made[str(label)] = things
    return made

"""Figures of what changes while a network learns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from conjugacy.plots import palette
from conjugacy.plots._labels import legend_beside, over_all, short
from conjugacy.plots.figure import new_figure

if TYPE_CHECKING:
    from conjugacy.analysis.births import PointsThroughLearning
    from conjugacy.analysis.learning import LearningCurve


def learning_curve(curve: LearningCurve) -> Figure:
    """Similarity of the snapshots to the reference, a panel a measure, above what they score on their task."""
    table = curve.table()
    measures = list(dict.fromkeys(table["measure"]))
    fig = new_figure(8.0, 1.7 * len(measures) + 2.2)
    axes = fig.subplots(len(measures) + 1, 1, sharex=True)
    for ax, measure in zip(axes, measures):
        rows = table[table["measure"] == measure]
        for k, (way, line) in enumerate(rows.groupby("direction", sort=False)):
            label = "both ways" if way == "both" else str(way).replace("reference", short(curve.reference, 16))
            colour = palette.series(k)
            ax.plot(line["step"], line["value"], "o-", ms=3, lw=1.2, color=colour, label=label)
            ax.fill_between(line["step"], line["low"], line["high"], color=colour, alpha=0.2, lw=0)
        ax.set_ylabel(measure)
        legend_beside(ax)
    last = axes[-1]
    for k, name in enumerate(curve.task_scores.columns):
        values = curve.task_scores[name].clip(lower=-0.1)
        last.plot(values.index, values, "o-", ms=3, color=palette.series(k + 2), label=name)
    last.set_ylabel("task score")
    last.set_xlabel("gradient step")
    legend_beside(last)
    _over_steps(last, list(curve.task_scores.index))
    over_all(fig, f"{short(curve.name)} while it learns, compared with {short(curve.reference)}")
    return fig


def points_through_learning(found: PointsThroughLearning) -> Figure:
    """How many fixed points there are at each snapshot, and from when to when every one of them lives."""
    table = found.table()
    numbers = [c for c in table.columns if c.startswith("n_")]
    fig = new_figure(8.0, 5.6)
    above, below = fig.subplots(2, 1, sharex=True, height_ratios=(1, 1.6))
    for c in sorted(numbers, key=lambda c: int(c[2:])):
        k = int(c[2:])
        label = "stable" if k == 0 else f"{k} unstable"
        colour, marker = palette.saddle(k)
        above.plot(table.index, table[c], marker=marker, ms=3.5, lw=1.2, color=colour, label=label)
    above.set_ylabel("number of fixed points")
    above.locator_params(axis="y", integer=True)
    legend_beside(above)
    steps = list(found.steps)
    order = {b: k for k, b in enumerate(dict.fromkeys(b for s in steps for b in found.branches[s]))}
    for step in steps:
        points = found.points[step]
        chosen = points[points.fixed & points.counted]
        for branch, count in zip(found.branches[step], chosen.n_unstable):
            colour, marker = palette.saddle(int(count))
            below.plot(step, order[branch], marker, ms=4 if len(order) <= 30 else 2.5, color=colour)
    for branch, row in order.items():
        life = [s for s in steps if branch in found.branches[s]]
        below.plot([life[0], life[-1]], [row, row], "-", lw=0.8, color=palette.PATH, zorder=0)
    below.set_ylabel("which point (by first appearance)")
    below.locator_params(axis="y", integer=True)
    below.set_xlabel("gradient step")
    _over_steps(below, steps)
    over_all(fig, f"Fixed points of {short(found.name)} while it learns")
    return fig


def _over_steps(ax, steps: list[int]) -> None:
    """Steps that grow by a factor are drawn on a logarithmic axis that shows step 0 too."""
    positive = [s for s in steps if s > 0]
    if len(positive) > 3 and positive[-1] > 20 * positive[0]:
        ax.set_xscale("symlog", linthresh=max(1, positive[0]))
        ax.set_xlim(left=-0.1)

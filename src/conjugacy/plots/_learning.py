"""Figures of what changes while a network learns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from conjugacy.plots.figure import new_figure

if TYPE_CHECKING:
    from conjugacy.analysis.births import PointsThroughLearning
    from conjugacy.analysis.learning import LearningCurve


def learning_curve(curve: LearningCurve) -> Figure:
    """Similarity of the snapshots to the reference, a panel a measure, above what they score on their task."""
    table = curve.table()
    measures = list(dict.fromkeys(table["measure"]))
    fig = new_figure(6.4, 1.9 * len(measures) + 2.2)
    axes = fig.subplots(len(measures) + 1, 1, sharex=True)
    for ax, measure in zip(axes, measures):
        rows = table[table["measure"] == measure]
        for k, (way, line) in enumerate(rows.groupby("direction", sort=False)):
            label = None if way == "both" else str(way).replace("reference", curve.reference)
            ax.plot(line["step"], line["value"], "o-", ms=3, lw=1.2, color=f"C{k}", label=label)
            ax.fill_between(line["step"], line["low"], line["high"], color=f"C{k}", alpha=0.2, lw=0)
        ax.set_ylabel(measure)
        if len(set(rows["direction"])) > 1:
            ax.legend(frameon=False, fontsize="small")
    last = axes[-1]
    for k, name in enumerate(curve.task_scores.columns):
        last.plot(
            curve.task_scores.index, curve.task_scores[name].clip(lower=-0.1), "o-", ms=3, color=f"C{k + 2}", label=name
        )
    last.set_ylabel("task score")
    last.set_xlabel("gradient step")
    last.legend(frameon=False, fontsize="small")
    _over_steps(last, list(curve.task_scores.index))
    fig.suptitle(f"{curve.name} while it learns, compared with {curve.reference}", fontsize="medium")
    return fig


def points_through_learning(found: PointsThroughLearning) -> Figure:
    """How many fixed points there are at each snapshot, and from when to when every one of them lives."""
    table = found.table()
    numbers = [c for c in table.columns if c.startswith("n_")]
    fig = new_figure(6.4, 5.6)
    above, below = fig.subplots(2, 1, sharex=True, height_ratios=(1, 1.6))
    for c in sorted(numbers, key=lambda c: int(c[2:])):
        k = int(c[2:])
        label = "stable" if k == 0 else f"{k} unstable"
        above.plot(table.index, table[c], "o-", ms=3, lw=1.2, color=_colour(k), label=label)
    above.set_ylabel("fixed points")
    above.legend(frameon=False, fontsize="small", ncols=2)
    steps = list(found.steps)
    order = {b: k for k, b in enumerate(dict.fromkeys(b for s in steps for b in found.branches[s]))}
    for step in steps:
        points = found.points[step]
        chosen = points[points.fixed & points.counted]
        for branch, count in zip(found.branches[step], chosen.n_unstable):
            below.plot(step, order[branch], "s", ms=4, color=_colour(int(count)))
    for branch, row in order.items():
        life = [s for s in steps if branch in found.branches[s]]
        below.plot([life[0], life[-1]], [row, row], "-", lw=0.8, color="0.7", zorder=0)
    below.set_ylabel("fixed point (by first appearance)")
    below.set_xlabel("gradient step")
    _over_steps(below, steps)
    fig.suptitle(f"Fixed points of {found.name} while it learns", fontsize="medium")
    return fig


def _colour(n_unstable: int) -> str:
    return ("C0", "C3", "C1", "C4", "C5", "C6", "C7", "C8", "C9")[min(n_unstable, 8)]


def _over_steps(ax, steps: list[int]) -> None:
    """Steps that grow by a factor are drawn on a logarithmic axis that shows step 0 too."""
    positive = [s for s in steps if s > 0]
    if len(positive) > 3 and positive[-1] > 20 * positive[0]:
        ax.set_xscale("symlog", linthresh=max(1, positive[0]))
        ax.set_xlim(left=-0.1)

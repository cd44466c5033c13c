"""Figure of scores with their intervals, nulls and noise: one forest plot for all measures and pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from conjugacy._check import check_list
from conjugacy.analysis.comparison import Comparison
from conjugacy.plots import palette
from conjugacy.plots._labels import over_all, short
from conjugacy.plots._style import points
from conjugacy.plots.figure import new_figure
from conjugacy.similarity import Pairwise
from conjugacy.similarity.measure import get_measure, measure_names
from conjugacy.similarity.score import Score

_NAMED = 20  # rows of a measure that are named; of more, all are drawn in order of their value


def forest(scores: Comparison | Pairwise | Sequence[Score]) -> Figure:
    """All scores with their intervals, beside what they would be without a relation between the two systems.

    Each measure has its own axis, since measures have different units. The legend says what was resampled for the
    intervals and what the surrogates of the nulls keep.

    Parameters
    ----------
    scores : Comparison, Pairwise or sequence of Score

    Raises
    ------
    TypeError, ValueError
        If it holds something else, or no score.
    """
    held: Any = scores
    given = list(held.scores) if isinstance(held, Comparison | Pairwise) else check_list("scores", held, "Scores")
    for k, score in enumerate(given):
        if not isinstance(score, Score):
            raise TypeError(f"`scores[{k}]`: expected a Score, got {type(score).__name__}. Pass a Comparison.")
    if not given:
        raise ValueError("`scores`: expected at least one score, got none.")
    by_measure: dict[str, list[Score]] = {}
    for score in given:
        by_measure.setdefault(score.measure, []).append(score)
    rows = [min(len(s), 34) for s in by_measure.values()]
    untrained = isinstance(scores, Comparison) and bool(scores.untrained)
    legend = _legend(given, untrained)
    foot = 0.22 * sum(label.count("\n") + 1 for _, label in legend)
    fig = new_figure(7.2, 0.75 * len(rows) + 0.24 * sum(rows) + foot + 0.5)
    axes = fig.subplots(len(rows), 1, squeeze=False, height_ratios=[r + 0.8 for r in rows])[:, 0]
    for ax, (measure, shown) in zip(axes, by_measure.items()):
        _panel(ax, measure, shown)
    handles, labels = [h for h, _ in legend], [text for _, text in legend]
    fig.legend(handles, labels, loc="outside lower left", fontsize=points(8), frameon=False)
    over_all(fig, "How alike: scores, how sure they are, and what chance gives")
    return fig


def _panel(ax: Any, measure: str, shown: list[Score]) -> None:
    if len(shown) > _NAMED:
        shown = sorted(shown, key=lambda s: s.value if np.isfinite(s.value) else -np.inf)
    for y, s in enumerate(shown):
        if s.null is not None and s.null.n_surrogates and np.isfinite(s.null.mean):
            ax.fill_betweenx([y - 0.3, y + 0.3], s.null.low, s.null.high, color=palette.CHANCE, lw=0)
            ax.plot([s.null.mean] * 2, [y - 0.3, y + 0.3], color=palette.REFERENCE, lw=1.2)
        if "noise" in s.diagnostics:
            ax.plot(s.diagnostics["noise"], y, "x", color=palette.GREEN, ms=7, mew=1.8)
        if s.interval is not None and np.isfinite(s.interval.low + s.interval.high):
            ax.plot([s.interval.low, s.interval.high], [y, y], color=palette.BLUE, lw=2.2, solid_capstyle="butt")
        if np.isfinite(s.value):
            ax.plot(s.value, y, "o", color=palette.BLUE, ms=5.5, mec="white", mew=0.6)
        else:
            ax.text(0.5, y, "undefined", transform=ax.get_yaxis_transform(), va="center", ha="center", fontsize="small")
    if measure in measure_names():
        ax.axvline(get_measure(measure).traits.perfect, color=palette.REFERENCE, ls=":", lw=1.2, zorder=0)
    ax.set_ylim(len(shown) - 0.4, -0.6)
    if len(shown) > _NAMED:
        ax.set_yticks([])
        ax.set_ylabel(f"{len(shown)} scores,\nin their order", rotation=0, ha="right", va="center", fontsize="small")
    else:
        names = [f"{short(s.a, 18)} {'↔' if '<->' in s.direction else '→'} {short(s.b, 18)}" for s in shown]
        ax.set_yticks(range(len(shown)), names, fontsize=points(8.5))
        ax.set_ylabel("pair")
    ax.set_xlabel(f"{measure} (unit of the measure)", fontsize=points(8.5))
    alike = "right is more alike" if shown[0].higher_is_more_similar else "left is more alike"
    ax.set_title(f"{measure}  ({alike})", loc="left", fontsize=points(9.5))
    ax.tick_params(axis="x", labelsize=points(8.5))
    ax.margins(x=0.06)
    ax.locator_params(axis="x", nbins=6)
    ax.grid(axis="x", color="0.9", lw=0.6)
    ax.set_axisbelow(True)


def _legend(shown: Sequence[Score], untrained: bool) -> list[tuple[Any, str]]:
    """What the marks mean, in the order of their weight; long texts in lines."""
    import textwrap

    entries: list[tuple[Any, str]] = [(Line2D([], [], color=palette.BLUE, marker="o", ls=""), "score")]
    entries.append((Line2D([], [], color=palette.REFERENCE, ls=":", lw=1.2), "equal systems"))
    intervals: dict[str, list[str]] = {}
    for s in shown:
        if s.interval is not None and np.isfinite(s.interval.low + s.interval.high):
            n = f", {s.interval.n_resamples} times" if s.interval.n_resamples else ""
            level = "range" if s.interval.level == 1 else f"{s.interval.level:.0%} interval"
            names = intervals.setdefault(f"{level}: {s.interval.method}{n}", [])
            names += [] if s.measure in names else [s.measure]
    nulls: dict[str, list[str]] = {}
    for s in shown:
        if s.null is not None and s.null.n_surrogates:
            keeps = f"; keeps {s.null.keeps}" if s.null.keeps else ""
            breaks = f"; breaks {s.null.breaks}" if s.null.breaks else ""
            if untrained and s.null.kind == "systems given":
                keeps, breaks = "; keeps architecture and inputs", "; breaks what was learned"
            # nulls that name the systems in them are one kind
            kind = s.null.kind.replace(s.a, "a").replace(s.b, "b")
            kind = "untrained networks of the same kind" if untrained and kind == "systems given" else kind
            kind = kind.replace("_", " ")
            names = nulls.setdefault(f"by chance ({s.null.n_surrogates} surrogates): {kind}{keeps}{breaks}", [])
            names += [] if s.measure in names else [s.measure]
    entries += [(Line2D([], [], color=palette.BLUE, lw=2.2), _of(t, m)) for t, m in list(intervals.items())[:4]]
    entries += [(Patch(color=palette.CHANCE), _of(t, m)) for t, m in list(nulls.items())[:4]]
    if any("noise" in s.diagnostics for s in shown):
        entries.append(
            (Line2D([], [], color=palette.GREEN, marker="x", ls="", mew=1.8), "noise through the same bins and filter")
        )
    return [(handle, "\n".join(textwrap.wrap(text, 92))) for handle, text in entries]


def _of(text: str, measures: Sequence[str]) -> str:
    return f"{text} ({', '.join(measures)})"

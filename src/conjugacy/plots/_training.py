"""Figure of how networks learned: loss and scores over gradient steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from conjugacy.analysis._given import as_run, counted, items_of
from conjugacy.analysis.analysis import Analysis
from conjugacy.plots import palette
from conjugacy.plots._labels import legend_below, over_all, short
from conjugacy.plots.figure import new_figure
from conjugacy.runs.run import Run

_NAMED = 12  # runs that get a colour and a name each; of more, the best, the median and the worst are named
_SCORES = ("val_accuracy", "val_r2")  # the first that a task has is drawn
_WORDS = {"val_accuracy": "accuracy on validation trials (1: all)", "val_r2": "R2 on validation trials"}


def training_curves(runs: Sequence[Run | Analysis] | Run | Analysis) -> Figure:
    """Loss and validation score of each run over gradient steps.

    Up to twelve runs have a colour each. Of more, all are thin lines, and the best, the median and the worst at the end
    are named.

    Parameters
    ----------
    runs : Run, Analysis, or sequence of them

    Raises
    ------
    TypeError, ValueError
        If `runs` holds something else, or nothing was recorded while they were trained.
    """
    given = [runs] if isinstance(runs, Run | Analysis) else items_of("runs", runs, "Runs or Analyses")
    shown = [as_run(f"runs[{k}]", r) for k, r in enumerate(given)]
    kept = [r for r in shown if len(r.history) and "step" in r.history]
    if not kept:
        raise ValueError("`runs`: expected runs with a history of their training, got none. Train them with train().")
    score = next((s for s in _SCORES if all(s in r.history for r in kept)), None)
    panels = [("loss", "loss on training trials")] + ([(score, _WORDS[score])] if score else [])
    fig = new_figure(4.6 * len(panels), 3.8)
    axes = fig.subplots(1, len(panels), squeeze=False)[0]
    chosen = _chosen(kept, score or "loss")
    for ax, (column, label) in zip(axes, panels):
        for k, run in enumerate(kept):
            values = run.history[column]
            if len(kept) <= _NAMED:
                style: dict[str, Any] = {"lw": 1.4, "label": short(run.name), **palette.line_style(k)}
            elif k in chosen:
                style = {"lw": 1.8, "label": f"{chosen[k][0]}: {short(run.name)}", "color": chosen[k][1], "zorder": 3}
            else:
                style = {"lw": 0.5, "color": palette.PATH, "alpha": 0.6}
            ax.plot(run.history["step"], values, **style)
        ax.set(xlabel="gradient step", ylabel=label)
        ax.margins(x=0.02)
        ax.locator_params(axis="x", nbins=5)
        if column == "loss" and all((r.history[column].dropna() > 0).all() for r in kept):
            ax.set_yscale("log")
    legend_below(fig, *axes[0].get_legend_handles_labels())
    over_all(fig, f"How {short(kept[0].name) if len(kept) == 1 else counted(len(kept), 'network')} learned")
    return fig


def _chosen(runs: list[Run], column: str) -> dict[int, tuple[str, str]]:
    """Which of many runs are named: the best, the median and the worst at the end, each with its colour."""
    last = [pd.Series(r.history[column]).dropna() for r in runs]
    end = np.array([x.iloc[-1] if len(x) else np.nan for x in last], dtype=float)
    order = np.argsort(np.where(np.isfinite(end), end, -np.inf) * (-1 if column == "loss" else 1), kind="stable")
    named = (("best", palette.BLUE), ("median", palette.BLACK), ("worst", palette.VERMILLION))
    return {int(order[at]): name for at, name in zip((-1, len(order) // 2, 0), named)}

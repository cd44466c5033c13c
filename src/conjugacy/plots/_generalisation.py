"""Figure of a network's scores on variations of its task."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from conjugacy._check import check_choice, check_text
from conjugacy.analysis._given import check_kind, counted
from conjugacy.plots import palette
from conjugacy.plots._labels import legend_beside, name_ticks, short, title
from conjugacy.plots.figure import new_figure

if TYPE_CHECKING:
    from conjugacy.analysis.generalising_alike import GeneralisingAlike

_FAR = 20  # times the reference: beyond, a logarithmic axis shows the others too


def generalisation(table: pd.DataFrame, metric: str = "end_error", *, merit: str | None = None) -> Figure:
    """One metric of a `generalisation_table` by condition; the dashed line is its value in the trained condition.

    The axis is logarithmic where a condition lies far off.

    Parameters
    ----------
    table : DataFrame
        The first row is the reference.
    metric : str
        Column to draw.
    merit : str, optional
        The name that `metric` had in version 0.1.
    """
    check_kind("table", table, pd.DataFrame, "the DataFrame of conjugacy.generalisation_table")
    if merit is not None:
        warnings.warn("`merit` is now called `metric`.", FutureWarning, stacklevel=2)
        metric = check_text("merit", merit)
    numeric = [str(c) for c in table.columns if pd.api.types.is_numeric_dtype(table[c])]
    if len(table) < 2 or not numeric:
        rows = f"{counted(len(table), 'row')} and {counted(len(numeric), 'numeric column')}"
        raise ValueError(f"`table`: expected a reference and at least one condition, got {rows}.")
    check_choice("metric", metric, numeric)
    values = table[metric].to_numpy(dtype=float)
    label, scale = _METRICS.get(metric, (metric, 1.0))
    step = 0.32 if len(values) <= 24 else 0.18
    fig = new_figure(8.0, step * len(values) + 1.3)
    ax = fig.subplots()
    row = np.arange(len(values))
    as_trained = f"{short(str(table.index[0]))}: {scale * values[0]:.3g}"
    ax.axvline(scale * values[0], color=palette.REFERENCE, lw=1, ls="--", label=as_trained)
    ax.hlines(row, scale * values[0], scale * values, color="0.8", lw=1.2, zorder=1)
    ax.plot(scale * values[1:], row[1:], "o", color=palette.BLUE, zorder=2, label="in another condition")
    ax.plot(scale * values[0], 0, "o", color=palette.REFERENCE, zorder=2)
    if np.nanmin(values) > 0 and np.nanmax(values) > _FAR * values[0]:
        ax.set_xscale("log")
    name_ticks(ax, "y", [str(name) for name in table.index], step * len(values), letters=44)
    ax.invert_yaxis()
    ax.set(xlabel=label, ylabel="condition")
    title(ax, f"The trained network under {counted(len(values) - 1, 'other condition')}")
    legend_beside(ax)
    return fig


def generalising_alike(found: GeneralisingAlike) -> Figure:
    """How differently two networks generalise, over how similar they are: a point a pair."""
    fig = new_figure(5.2, 4.0)
    ax = fig.subplots()
    small = len(found.pairs) > 200
    style = {"ms": 2.5 if small else 6, "alpha": 0.5 if small else 0.9, "mec": "none"}
    ax.plot(found.pairs["similarity"], found.pairs["difference"], "o", color=palette.BLUE, **style)
    ax.set_xlabel(f"{found.measure} of two networks")
    ax.set_ylabel(
        f"how differently they generalise\n(rms difference of {found.score} over conditions)", fontsize="small"
    )
    pairs = counted(len(found.pairs), "pair")
    title(
        ax,
        f"Do similar networks generalise alike? {pairs}, rank correlation {found.correlation:.2f} "
        f"(p {found.p_value:.2g})",
        alone=True,
    )
    return fig


_METRICS = {
    "end_error": ("mean distance from the target at the end (cm)", 100.0),
    "end_error_median": ("median distance from the target at the end (cm)", 100.0),
    "time_to_target": ("time to target (s)", 1.0),
    "hold_error": ("mean distance from the start before the go cue (cm)", 100.0),
    "bump_peak": ("largest distance from the start after a bump (cm)", 100.0),
    "bump_rest": ("distance from the start 0.3 s after a bump (cm)", 100.0),
    "accuracy": ("share of reaches that end within 1 cm", 1.0),
    "r2": ("R2 of the hand's position", 1.0),
    "effort": ("mean squared command", 1.0),
}

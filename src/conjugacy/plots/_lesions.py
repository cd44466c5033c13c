"""Figure of what lesions do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from conjugacy.plots import palette
from conjugacy.plots._labels import legend_below, name_ticks, short, title
from conjugacy.plots.figure import new_figure

if TYPE_CHECKING:
    from conjugacy.analysis.lesion_table import LesionEffects


def lesion_effects(effects: LesionEffects) -> Figure:
    """Drop of the task score of each lesion, over the drops of random lesions of the same size."""
    table = effects.table
    row_height = 0.5 if len(table) <= 12 else 0.24
    fig = new_figure(8.6, row_height * len(table) + 1.5)
    ax = fig.subplots()
    rng = np.random.default_rng(0)
    for k, (name, row) in enumerate(table.iterrows()):
        drops = effects.random_drops[str(name)]
        height = k + rng.uniform(-0.12, 0.12, len(drops))
        ax.plot(drops, height, ".", color=palette.CHANCE, ms=4, label="_" if k else "random lesions of the same size")
        low, high = effects.intact - row["high"], effects.intact - row["low"]
        ax.plot([low, high], [k, k], "-", color=palette.VERMILLION, lw=1.5)
        ax.plot(row["drop"], k, "o", color=palette.VERMILLION, label="_" if k else "the lesion, with its interval")
    rows = table.to_dict("records")
    names = [f"{name} ({row['size']} dim., p {row['p']:.2g})" for name, row in zip(table.index, rows)]
    name_ticks(ax, "y", names, row_height * len(table), letters=44)
    ax.invert_yaxis()
    ax.set_ylabel("lesion")
    ax.set_xlabel(f"drop of {effects.score} (intact: {effects.intact:.3f})")
    ax.axvline(0, color=palette.REFERENCE, lw=0.8, ls="--")
    title(ax, f"What lesions of {short(effects.name)} cost on its task")
    legend_below(fig, *ax.get_legend_handles_labels())
    return fig

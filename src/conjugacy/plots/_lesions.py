"""Figure of what lesions do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from conjugacy.plots.figure import new_figure

if TYPE_CHECKING:
    from conjugacy.analysis.lesion_table import LesionEffects


def lesion_effects(effects: LesionEffects) -> Figure:
    """Drop of the task score of each lesion, over the drops of random lesions of the same size."""
    table = effects.table
    fig = new_figure(6.4, 0.5 * len(table) + 1.5)
    ax = fig.subplots()
    rng = np.random.default_rng(0)
    for k, (name, row) in enumerate(table.iterrows()):
        drops = effects.random_drops[str(name)]
        height = k + rng.uniform(-0.12, 0.12, len(drops))
        ax.plot(drops, height, ".", color="0.7", ms=4, label=None if k else "random, same size")
        low, high = effects.intact - row["high"], effects.intact - row["low"]
        ax.plot([low, high], [k, k], "-", color="C3", lw=1.5)
        ax.plot(row["drop"], k, "o", color="C3", label="the lesion" if k == 0 else None)
    rows = table.to_dict("records")
    names = [f"{name} ({row['size']} dim., p {row['p']:.2g})" for name, row in zip(table.index, rows)]
    ax.set_yticks(range(len(table)), names)
    ax.invert_yaxis()
    ax.set_xlabel(f"drop of {effects.score} (intact: {effects.intact:.3f})")
    ax.axvline(0, color="0.4", lw=0.8, ls="--")
    ax.set_title(f"Lesions of {effects.name}", fontsize="medium")
    ax.legend(frameon=False, fontsize="small")
    return fig

"""Figure of rules x motifs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from conjugacy.plots.figure import new_figure

if TYPE_CHECKING:
    from conjugacy.analysis.motifs import SharedMotifs


def shared_motifs(found: SharedMotifs) -> Figure:
    """Shares between all places, in the order of their motifs, which are framed."""
    names = sorted(found.motifs, key=lambda name: found.motifs[name])
    values = found.shares.loc[names, names].to_numpy()
    side = 1.8 + 0.32 * len(names)
    fig = new_figure(side + 1.8, side + 0.6)
    ax = fig.subplots()
    image = ax.imshow(values, vmin=0, vmax=1, cmap="Blues")
    table = found.table()
    ax.set_yticks(
        range(len(names)), [f"{name} ({table.loc[name, 'stable']} stable)" for name in names], fontsize="small"
    )
    ax.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize="small")
    start = 0
    for motif in dict.fromkeys(found.motifs[name] for name in names):
        n = sum(found.motifs[name] == motif for name in names)
        x, y = [start - 0.5, start + n - 0.5], [start - 0.5, start + n - 0.5]
        ax.plot([x[0], x[1], x[1], x[0], x[0]], [y[0], y[0], y[1], y[1], y[0]], "-", color="C3", lw=1.5)
        start += n
    fig.colorbar(image, ax=ax, label="share of the motif", shrink=0.7)
    ax.set_title(f"Motifs of {found.run.name} (framed: places that share one)", fontsize="medium")
    return fig

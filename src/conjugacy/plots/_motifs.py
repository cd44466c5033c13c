"""Figure of rules x motifs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from conjugacy.plots import palette
from conjugacy.plots._labels import name_ticks, short, title
from conjugacy.plots.figure import new_figure

if TYPE_CHECKING:
    from conjugacy.analysis.motifs import SharedMotifs


def shared_motifs(found: SharedMotifs) -> Figure:
    """Shares between all places, in the order of their motifs, which are framed."""
    names = sorted(found.motifs, key=lambda name: found.motifs[name])
    values = found.shares.loc[names, names].to_numpy()
    side = max(len(names), 4) * min(0.32, 9.0 / len(names))
    fig = new_figure(side + 4.2, side + 2.6)
    ax = fig.subplots()
    image = ax.imshow(values, vmin=0, vmax=1, cmap=palette.VALUES_TURNED)
    table = found.table()
    name_ticks(ax, "y", [f"{name} ({table.loc[name, 'at rest']})" for name in names], side, letters=36)
    name_ticks(ax, "x", names, side)
    ax.set(xlabel="place", ylabel="place (and what rests there)")
    start = 0
    for motif in dict.fromkeys(found.motifs[name] for name in names):
        n = sum(found.motifs[name] == motif for name in names)
        x, y = [start - 0.5, start + n - 0.5], [start - 0.5, start + n - 0.5]
        ax.plot([x[0], x[1], x[1], x[0], x[0]], [y[0], y[0], y[1], y[1], y[0]], "-", color=palette.VERMILLION, lw=1.8)
        start += n
    fig.colorbar(image, ax=ax, label="share in common", shrink=0.8)
    title(ax, f"Places of {short(found.run.name)} that share what rests there (framed: a motif)")
    return fig

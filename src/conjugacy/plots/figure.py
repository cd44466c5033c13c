"""New figures, independent of pyplot: nothing is shown, saved or kept open behind the caller's back."""

from __future__ import annotations

import sys
from typing import Any

from matplotlib.figure import Figure


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """An empty figure of that size in inches, which a notebook displays when a cell returns it."""
    _let_notebooks_display_figures()
    return Figure(figsize=(width, height), layout="constrained", **options)


def space_axes(fig: Figure, rows: int, columns: int, index: int, n_dims: int, **options: Any) -> Any:
    """Axes for trajectories in a space of `n_dims` dimensions: 3-D from three on, plain below."""
    projection = {"projection": "3d"} if n_dims >= 3 else {}
    return fig.add_subplot(rows, columns, index, **projection, **options)


def label_dims(ax: Any, labels: list[str]) -> None:
    """Name the axes of a panel made by `space_axes`: two or three dimensions, or one dimension over time."""
    if len(labels) == 1:
        ax.set_xlabel("time (s)")
        ax.set_ylabel(labels[0])
        return
    for name, label in zip("xyz", labels):
        getattr(ax, f"set_{name}label")(label)
        if len(labels) == 3:
            # 3-D panels are small: few ticks, or their labels run into one another
            ax.locator_params(axis=name, nbins=4)
            ax.tick_params(axis=name, labelsize="small", pad=1)
    if len(labels) == 3:
        ax.set_box_aspect(None, zoom=0.84)


def _let_notebooks_display_figures() -> None:
    """Register the PNG formatter of figures, which IPython else does only when pyplot is imported."""
    if "IPython" not in sys.modules:
        return
    from IPython.core.getipython import get_ipython  # pyright: ignore[reportMissingImports]

    shell = get_ipython()
    display: Any = getattr(shell, "display_formatter", None)
    if display is not None and Figure not in display.formatters["image/png"].type_printers:
        from IPython.core.pylabtools import select_figure_formats  # pyright: ignore[reportMissingImports]

        select_figure_formats(shell, {"png"})

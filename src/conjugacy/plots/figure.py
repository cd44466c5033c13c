"""New figures, independent of pyplot: nothing is saved or kept open, and outside of notebooks nothing is shown."""

from __future__ import annotations

import sys
from typing import Any

from matplotlib.figure import Figure

from conjugacy.plots._style import points as text_size
from conjugacy.plots._style import sized


class NotebookFigure(Figure):
    """A Figure that knows whether a notebook has displayed it."""

    was_displayed = False

    def _ipython_display_(self) -> None:
        shell = _kernel()
        if shell is not None and not self.was_displayed:
            _figures_of_cell(shell).display_until(self)
        self.was_displayed = True
        _forget(self)
        # IPython's way to say: go on with the formatter that is set, png or svg
        raise NotImplementedError


class _FiguresOfCell:
    """The figures that a notebook's cell has made; those it has not displayed itself are displayed when it ends."""

    def __init__(self) -> None:
        self.figures: list[NotebookFigure] = []

    def display_until(self, last: NotebookFigure | None = None) -> None:
        """Display what has been made and not displayed yet, in the order of making, up to but without `last`."""
        from IPython.display import display  # pyright: ignore[reportMissingImports]

        while self.figures and self.figures[0] is not last:
            figure = self.figures.pop(0)
            if not figure.was_displayed:
                figure.was_displayed = True
                display(figure)
        if last is not None and self.figures:
            self.figures.pop(0)

    def at_end_of_cell(self) -> None:
        """IPython calls this after every cell."""
        self.display_until()


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """An empty figure of that size in inches; a notebook displays it once, at the latest when the cell ends."""
    _let_notebooks_display_figures()
    options |= {"figsize": sized(width, height), "layout": "constrained"}
    shell = _kernel()
    figure = NotebookFigure(**options) if shell is None else _known_to_pyplot(options)
    if shell is not None:
        _figures_of_cell(shell).figures.append(figure)
    return figure


def leave_to_caller(figure: Figure) -> Figure:
    """Return the figure; a notebook will not display it by itself, as what is written to a file or animated."""
    shell = _kernel()
    if shell is not None:
        _forget(figure)
        waiting = _figures_of_cell(shell)
        waiting.figures = [f for f in waiting.figures if f is not figure]
    return figure


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
            getattr(ax, f"{name}axis").labelpad = 7
    if len(labels) == 3:
        ax.set_box_aspect(None, zoom=0.75)


def small_panel(ax: Any, dims: int) -> None:
    """Make a panel among many readable: no ticks, and small names of its axes close by."""
    for axis in "xyz"[: max(dims, 2)]:
        getattr(ax, f"set_{axis}ticks")([])
        getattr(ax, f"{axis}axis").label.set(fontsize=text_size(6.5))
        getattr(ax, f"{axis}axis").labelpad = -13 if dims == 3 else 1


def _shell() -> Any:
    """The running IPython shell, or None."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython  # pyright: ignore[reportMissingImports]

    return get_ipython()


def _kernel() -> Any:
    """The running IPython shell of a notebook, or None: a terminal displays no pictures."""
    shell = _shell()
    return shell if hasattr(shell, "kernel") else None


def _figures_of_cell(shell: Any) -> _FiguresOfCell:
    """The shell's list of figures that wait to be displayed; the shell keeps it."""
    for callback in shell.events.callbacks["post_execute"]:
        owner = getattr(callback, "__self__", None)
        if isinstance(owner, _FiguresOfCell):
            return owner
    made = _FiguresOfCell()
    shell.events.register("post_execute", made.at_end_of_cell)
    return made


def _known_to_pyplot(options: dict[str, Any]) -> NotebookFigure:
    """A figure that is pyplot's current one, where it is in use with pictures in the page: plt.title acts on it.

    At the end of the cell pyplot displays and closes what it knows, and so does `display_until`: whoever comes first.
    """
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None or "inline" not in str(pyplot.get_backend()):
        return NotebookFigure(**options)
    # many figures in one cell are meant
    with pyplot.rc_context({"figure.max_open_warning": 0}):
        return pyplot.figure(FigureClass=NotebookFigure, **options)


def _forget(figure: Figure) -> None:
    """Take a figure from pyplot's list, or it would be displayed once more."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None and pyplot.fignum_exists(getattr(figure, "number", -1)):
        pyplot.close(figure)


def _let_notebooks_display_figures() -> None:
    """Register the PNG formatter of figures, which IPython else does only when pyplot is imported."""
    shell = _shell()
    display: Any = getattr(shell, "display_formatter", None)
    if display is not None and Figure not in display.formatters["image/png"].type_printers:
        from IPython.core.pylabtools import select_figure_formats  # pyright: ignore[reportMissingImports]

        select_figure_formats(shell, {"png"})

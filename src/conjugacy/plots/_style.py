"""Sizes and fonts of figures for a purpose: a screen, a paper, a talk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from conjugacy._check import check_choice, check_int, check_number

_COLUMN = {1: 3.5, 2: 7.2}  # inches: widths of one and of two columns of most journals (89 and 183 mm)
_PURPOSES = ("screen", "paper")
_MOST_SMALL = 0.62  # a figure narrower than this share of its own size would be all text


@dataclass(frozen=True)
class Style:
    """What is set while figures are made.

    Attributes
    ----------
    width : float or None
        Inches; None: as wide as the figure itself asks for.
    text : float
        Size of the text, pt.
    """

    width: float | None = None
    text: float = 10.0


_SCREEN = Style()
_NOW: ContextVar[Style] = ContextVar("style", default=_SCREEN)


@contextmanager
def style(purpose: str = "paper", *, columns: int = 2, width: float | None = None, text: float = 7.0) -> Iterator[None]:
    """Within the block, figures are made for a paper: as wide as its columns, with small text, and text kept as text.

    ::

        with cj.plots.style("paper", columns=1):
            figure = cj.plots.similarity_map(comparison)
            figure.savefig("map.pdf")

    Save inside the block: there, pdf and svg hold text that can be searched and edited, in a sans-serif font. Colours
    are the same everywhere, see `conjugacy.plots.palette`.

    Parameters
    ----------
    purpose : {"paper", "screen"}
        "screen" is what holds without a block.
    columns : {1, 2}
        Width of the figure: 3.5 or 7.2 inches (89 or 183 mm). What does not fit into one column keeps its height.
    width : float, optional
        Inches, in place of `columns`.
    text : float
        Size of text, pt.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """
    import matplotlib

    check_choice("purpose", purpose, _PURPOSES)
    check_int("columns", columns, 1, 2)
    if width is not None:
        check_number("width", width, 0.5)
    check_number("text", text, 3.0)
    if purpose == "screen":
        made, settings = Style(), {}
    else:
        made = Style(float(width or _COLUMN[columns]), float(text))
        settings = _settings(made.text)
    token = _NOW.set(made)
    try:
        with matplotlib.rc_context(settings):
            yield
    finally:
        _NOW.reset(token)


def sized(width: float, height: float) -> tuple[float, float]:
    """The size in inches that a figure which asks for this one gets now."""
    now = _NOW.get()
    if now.width is None:
        return width, height
    share = now.width / width
    # text does not shrink as much as the figure: what is narrow stays higher
    return now.width, height * min(1.0, max(share, _MOST_SMALL))


def points(size: float) -> float:
    """The size (pt) that text which asks for this one of 10 gets now; never below what can be read."""
    return max(4.5, size * _NOW.get().text / 10.0)


def _settings(text: float) -> Any:
    """RcParams of a paper: small text and thin lines; text stays text in pdf (TrueType) and svg."""
    thin = text / 10.0
    return {
        "font.size": text,
        "font.family": "sans-serif",
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
        "svg.fonttype": "none",
        "axes.linewidth": 0.8 * thin,
        "lines.linewidth": 1.5 * thin,
        "lines.markersize": 6.0 * thin,
        "xtick.major.width": 0.8 * thin,
        "ytick.major.width": 0.8 * thin,
        "xtick.major.size": 3.5 * thin,
        "ytick.major.size": 3.5 * thin,
        "axes.labelpad": 4.0 * thin,
        "axes.titlepad": 6.0 * thin,
        "savefig.dpi": 300,
    }

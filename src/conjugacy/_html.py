"""Small pieces of HTML for notebooks: tables and sentences, with everything that a user named escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

_MOST_ROWS = 30
_STYLE = "border-collapse:collapse;margin:0.3em 0"
_CELL = "padding:0.15em 0.7em;text-align:{side};border-bottom:1px solid rgba(128,128,128,0.35)"


def card(heading: str, *parts: str) -> str:
    """A heading (escaped) and pieces of HTML below it."""
    return f'<div class="conjugacy"><p><b>{escape(heading)}</b></p>{"".join(parts)}</div>'


def sentence(text: str) -> str:
    """A paragraph; lines stay lines."""
    return "<p>" + "<br>".join(escape(line) for line in text.splitlines()) + "</p>" if text else ""


def bullets(texts: Iterable[str]) -> str:
    """A list of sentences; nothing of none."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def html_table(rows: Sequence[Mapping[str, object]], rest: str = "", most: int = _MOST_ROWS) -> str:
    """A table with a row for each of `rows`; columns in which nothing is known are left out.

    Parameters
    ----------
    rows : sequence of mapping
        Column to value; None and "" are empty, numbers are short.
    rest : str
        What shows the rows that do not fit, for a last line.
    most : int
        Rows that are shown.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    columns = [c for c in columns if any(_text(row.get(c)) for row in rows)]
    if not columns:
        return ""
    sides = {c: "right" if all(_is_number(row.get(c)) for row in rows) else "left" for c in columns}
    head = "".join(f'<th style="{_CELL.format(side=sides[c])}">{escape(c)}</th>' for c in columns)
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{_CELL.format(side=sides[c])}">{escape(_text(row.get(c)))}</td>' for c in columns)
        + "</tr>"
        for row in rows[:most]
    )
    more = len(rows) - most
    note = sentence(f"{more} more: {rest}") if more > 0 else ""
    return f'<table style="{_STYLE}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}'


def _is_number(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, int | float) and not isinstance(value, bool))


def _text(value: object) -> str:
    """A value as it is shown; what is not known is empty."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)

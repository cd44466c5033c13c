"""Pieces of the page: sections, tables, pictures, files to save. Text from users is escaped here and nowhere else."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from conjugacy._csv import as_csv
from conjugacy._files import file_stem
from conjugacy.plots.figure import leave_to_caller


def section(anchor: str, heading: str, *parts: str) -> str:
    """A section that links lead to; nothing where it would be empty."""
    body = "".join(parts)
    title = f'<h2 id="{anchor}-h">{escape(heading)}</h2>'
    return f'<section id="{anchor}" aria-labelledby="{anchor}-h">{title}{body}</section>' if body else ""


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text; nothing of no text."""
    return f"<p{f' class={kind!r}' if kind else ''}>{escape(text)}</p>" if text else ""


def listed(texts: Iterable[str]) -> str:
    """A list of sentences; nothing of none."""
    items = "".join(f"<li>{escape(text)}</li>" for text in dict.fromkeys(texts))
    return f"<ul>{items}</ul>" if items else ""


def folded(summary: str, *parts: str) -> str:
    """What is shown when its line is clicked, and in print never."""
    return f"<details><summary>{escape(summary)}</summary>{''.join(parts)}</details>"


def code(text: str) -> str:
    """Lines to copy."""
    return f'<pre tabindex="0"><code>{escape(text)}</code></pre>'


def table(caption: str, rows: Sequence[Mapping[str, object]]) -> str:
    """A table whose first column names its rows; columns in which nothing is known are left out."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    columns = [c for c in columns if any(_text(row.get(c)) for row in rows)]
    if not columns:
        return ""
    head = "".join(f'<th scope="col">{escape(c)}</th>' for c in columns)
    body = "".join(f"<tr>{''.join(_cell(row.get(c), c, k == 0) for k, c in enumerate(columns))}</tr>" for row in rows)
    said = escape(caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{said}"><table><caption>{said}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def picture(figure: Figure, alt: str, data: pd.DataFrame | None = None, name: str = "data") -> str:
    """A figure as a drawing that stays sharp, with what it shows in words and its numbers to save."""
    held = io.BytesIO()
    # the same numbers give the same file: no date, and names of its parts from a salt
    with matplotlib.rc_context({"svg.hashsalt": "conjugacy", "svg.fonttype": "path"}):
        leave_to_caller(figure).savefig(held, format="svg", metadata={"Date": None})
    drawn = base64.b64encode(held.getvalue()).decode()
    link = "" if data is None else f"<figcaption>{saved(data, name)}</figcaption>"
    return f'<figure><img alt="{escape(alt)}" src="data:image/svg+xml;base64,{drawn}">{link}</figure>'


def saved(data: pd.DataFrame, name: str, index: bool = False) -> str:
    """A link that saves a table as a file, out of the page itself."""
    held = base64.b64encode(as_csv(data, index=index)).decode()
    stem = escape(file_stem(name))
    return f'<a class="save" download="{stem}.csv" href="data:text/csv;base64,{held}">Save the numbers ({stem}.csv)</a>'


def _cell(value: object, column: str, names_row: bool) -> str:
    text = escape(_text(value))
    return f'<th scope="row">{text}</th>' if names_row else f'<td data-column="{escape(column)}">{text}</td>'


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)

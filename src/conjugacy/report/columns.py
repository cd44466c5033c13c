"""Text for a terminal: rows in aligned columns, and lines that end where the window does."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence

_NARROWEST, _WIDEST = 60, 100  # letters: what can be read, and what a pipe gets


def width() -> int:
    """Letters in a line of the terminal, at least 60 and at most 100; 100 in a pipe or file."""
    return max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns))


def aligned(rows: Sequence[Mapping[str, object]], indent: int = 2, *, head: bool = True) -> str:
    """Rows in columns, two spaces apart; numbers stand to the right; columns in which nothing stands are left out.

    Parameters
    ----------
    rows : sequence of mapping
        Column to value; None and "" are empty.
    indent : int
        Spaces before each line.
    head : bool
        Whether the first line names the columns.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    names = [n for n in names if any(_text(row.get(n)) for row in rows)]
    columns = []
    for name in names:
        cells = [_text(row.get(name)) for row in rows]
        long = max(map(len, [*cells, name if head else ""]))
        right = all(_is_number(cell) for cell in cells)
        columns.append([c.rjust(long) if right else c.ljust(long) for c in ([name] if head else []) + cells])
    return "\n".join((" " * indent + "  ".join(line)).rstrip() for line in zip(*columns))


def wrapped(text: str, indent: int = 2, hanging: int | None = None) -> str:
    """Text in lines as wide as the terminal, each indented; the second and later ones by `hanging`."""
    first, rest = " " * indent, " " * (indent if hanging is None else hanging)
    options = {"initial_indent": first, "subsequent_indent": rest, "break_long_words": False}
    lines = [textwrap.fill(line, width(), break_on_hyphens=False, **options) for line in text.splitlines()]
    return "\n".join(lines)


def one_line(text: str, room: int) -> str:
    """The text, or as many of its parts, between semicolons or commas, as there is room for, and three dots."""
    if len(text) <= room:
        return text
    head = text[: room - 2]
    for mark in ("; ", ", ", " "):
        if mark in head[room // 3 :]:
            return head[: head.rindex(mark)] + " …"
    return head + " …"


def _is_number(cell: str) -> bool:
    try:
        float(cell.removeprefix("<= ") or 0)
    except ValueError:
        return False
    return True


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)

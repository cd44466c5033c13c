"""The rows that benchmarks share: two figures of one run, and their ratio."""

from __future__ import annotations


def row(
    what: str, instead_of: str, theirs: float | None, ours: float | None, unit: str = "s", unfinished: bool = False
) -> dict:
    """One line of the table: two figures in one unit, lower is better, or None where a figure was not measured.

    `unfinished` says that theirs was broken off: the figure and the ratio are bounds from below.
    """
    ratio = None if theirs is None or not ours else theirs / ours
    told = {"theirs": theirs, "ours": ours, "unit": unit, "ratio": ratio, "unfinished": unfinished}
    return {"what": what, "instead of": instead_of, **told}


def text(table: list[dict]) -> str:
    """The table as text."""

    def figure(value, unit):
        return "not measured" if value is None else f"{value:.3g} {unit}"

    def bound(r):
        return "> " if r.get("unfinished") else ""

    head = ("what", "instead of", "theirs", "ours", "ratio")
    lines = [head] + [
        (
            r["what"],
            r["instead of"],
            bound(r) + figure(r["theirs"], r["unit"]),
            figure(r["ours"], r["unit"]),
            "" if r["ratio"] is None else f"{bound(r)}{r['ratio']:.3g}",
        )
        for r in table
    ]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    lines.insert(1, tuple("-" * w for w in widths))
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths)).rstrip() for line in lines)

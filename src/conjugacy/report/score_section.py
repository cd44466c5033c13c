"""Scores with intervals, chance and noise, and beside each measure what it cannot see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from conjugacy import plots
from conjugacy.report.elements import folded, listed, paragraph, picture, section, table
from conjugacy.similarity.score import Score

_MOST_ROWS = 40


def score_section(comparison: Any) -> str:
    """The forest plot, the table and the blind spots; of many systems matrices and maps too."""
    scores = comparison.scores
    numbers = pd.DataFrame([s.cells() for s in scores])
    n = len(comparison.systems)
    parts = [
        picture(
            plots.forest(comparison),
            f"Forest plot of the scores. {'; '.join(_said(s) for s in scores[:8])}.",
            numbers,
            "scores",
        ),
        table("Each measure, its result, and what it cannot see", [_row(m, scores) for m in comparison.measures]),
        listed(f"{s.measure}, {s.direction}: {text}" for s in scores[:200] for text in s.warnings),
    ]
    if n > 2:
        parts += [_matrix(comparison, m.name) for m in comparison.measures]
        parts += [_map(comparison, m.name) for m in comparison.measures[:2]] if n > 3 else []
    if len(scores) <= _MOST_ROWS:
        parts.append(folded("All scores as a table", table("All scores", [s.cells() for s in scores])))
    lead = "A score far outside of the grey band is not what chance gives. No measure sees everything: the last column "
    return section("scores", "How alike, by each measure", paragraph(f"{lead}says what each would miss."), *parts)


def _said(s: Score) -> str:
    return f"{s.measure} {s.direction}: {s.value:.3g}"


def _row(measure: Any, scores: Sequence[Score]) -> dict[str, str]:
    t = measure.traits
    mine = [s for s in scores if s.measure == t.name]
    if len(mine) <= 3:
        result = "; ".join(_with_interval(s, len(mine) > 1) for s in mine)
    else:
        values = [s.value for s in mine if s.value == s.value]
        result = f"{min(values):.3g} to {max(values):.3g}, {len(mine)} scores" if values else "undefined"
    return {
        "measure": t.name,
        "result": result,
        "equal systems": f"{t.perfect:g}",
        "what it is": t.summary,
        "does not see": ", ".join(sorted(t.blind_to)) or "nothing known",
    }


def _with_interval(s: Score, named: bool) -> str:
    interval = f" [{s.interval.low:.3g}, {s.interval.high:.3g}]" if s.interval is not None else ""
    return f"{s.direction}: {s.value:.3g}{interval}" if named else f"{s.value:.3g}{interval}"


def _matrix(comparison: Any, measure: str) -> str:
    try:
        figure = plots.similarity_matrix(comparison, measure)
    except ValueError as reason:
        return paragraph(f"No matrix of {measure}: {reason}", "soft")
    values = comparison.pairs.values[measure]
    names = [s.name for s in comparison.systems]
    frame = pd.DataFrame(values, columns=names)
    frame.insert(0, "system", names)
    return picture(figure, f"Matrix of {measure} between all {len(names)} systems", frame, f"matrix_{measure}")


def _map(comparison: Any, measure: str) -> str:
    try:
        figure = plots.similarity_map(comparison, measure)
    except ValueError as reason:
        return paragraph(f"No map by {measure}: {reason}", "soft")
    return picture(figure, f"Map of the systems: near is alike by {measure}")

"""A comparison as a table of text."""

from __future__ import annotations

from typing import Any

import pandas as pd


def text_table(comparison: Any) -> str:
    """A comparison as text, a row a score: measure, direction, value, interval, null; then what each measure is."""
    rows = []
    for s in comparison.scores:
        row = {"measure": s.measure, "direction": s.direction, "value": f"{s.value:.4f}"}
        if s.interval is not None:
            said = "range" if s.interval.level == 1 else f"{s.interval.level:.0%}"
            row["interval"] = f"{s.interval.low:.4f} to {s.interval.high:.4f} ({said})"
        if s.null is not None:
            row |= {"null": f"{s.null.mean:.4f}", "p": f"{s.null.p_value:.3f}"}
        rows.append(row)
    lines = [f"\n{comparison.systems[0].n_trials} trials, new to all networks and the same for all:\n"]
    lines += [pd.DataFrame(rows).fillna("").to_string(index=False), ""]
    for measure in comparison.measures:
        t = measure.traits
        lines.append(f"  {t.name:<12} {t.summary}; {t.perfect:g} for equal systems")
    return "\n".join([*lines, ""])

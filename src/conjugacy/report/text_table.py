"""A comparison as a table of text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from conjugacy.similarity.many_comparisons import benjamini_hochberg, uncertainty_said


def text_table(comparison: Any) -> str:
    """A comparison as text, a row a score: measure, direction, value, interval, null; then what each measure is."""
    rows = []
    corrected = benjamini_hochberg([np.nan if s.null is None else s.null.p_value for s in comparison.scores])
    for s, p in zip(comparison.scores, corrected):
        row = {"measure": s.measure, "direction": s.direction, "value": f"{s.value:.4f}"}
        if s.interval is not None:
            kind = "range" if s.interval.level == 1 else f"{s.interval.level:.0%}"
            row["interval"] = f"{s.interval.low:.4f} to {s.interval.high:.4f} ({kind})"
        if s.null is not None:
            row |= {"null": f"{s.null.mean:.4f}", "p": s.null.p_text, "p corrected": f"{p:.2g}"}
        if "noise" in s.diagnostics:
            row["noise"] = f"{s.diagnostics['noise']:.4f}{' (reached)' if s.diagnostics['reached_by_noise'] else ''}"
        rows.append(row)
    lines = [f"\n{comparison.systems[0].n_trials} trials that no network was trained on, the same for all:\n"]
    if comparison.provenance:
        lines = ["", *(f"{name}: {text}" for name, text in comparison.provenance.items())]
        lines += [f"Trials in pairs: {comparison.matched.text}"] if comparison.matched else []
        lines.append("")
    lines += [pd.DataFrame(rows).fillna("").to_string(index=False), ""]
    lines += uncertainty_said(comparison.scores)
    if comparison.task_scores is not None:
        lines += ["Scores of the networks on their own test trials:\n", _scores(comparison.task_scores), ""]
    for s in comparison.scores:
        lines += [f"  Warning: {s.measure}, {s.direction}: {text}" for text in s.warnings]
    for measure in comparison.measures:
        t = measure.traits
        lines.append(f"  {t.name:<12} {t.summary}; {t.perfect:g} for equal systems")
    return "\n".join([*lines, ""])


def _scores(scores: pd.DataFrame) -> str:
    """Test scores of runs as text, with the threshold where a run is below it."""
    rows = []
    for name, row in scores.to_dict("index").items():
        value = f"{row['score']} {row['test']:.4f}" if row["score"] else "unknown"
        below = f"below {row['threshold']:g}: does not do the task" if row["does_the_task"] is False else ""
        rows.append({"network": name, "test score": value, "": below})
    return pd.DataFrame(rows).to_string(index=False)

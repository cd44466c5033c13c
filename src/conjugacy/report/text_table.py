"""A comparison and its verdict as text for a terminal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from conjugacy.report.columns import aligned, one_line, width, wrapped
from conjugacy.similarity.many_comparisons import benjamini_hochberg, uncertainty_said

_LEVEL = 27  # letters before the evidence of a level


def text_table(comparison: Any, *, meanings: bool = True) -> str:
    """A comparison as text, a row a score: measure, direction, value, interval, what chance gives, and p.

    Parameters
    ----------
    comparison : Comparison
    meanings : bool
        Whether a line for each measure says what it is, and the scores of runs on their own task follow.
    """
    if comparison.provenance:
        head = [f"{name}: {text}" for name, text in comparison.provenance.items()]
        head += [f"Trials in pairs: {comparison.matched.text}"] if comparison.matched else []
    else:
        head = [f"Similarity on {comparison.systems[0].n_trials} trials that no network was trained on"]
    perfect = {m.name: m.traits.perfect for m in comparison.measures}
    rows = []
    corrected = benjamini_hochberg([np.nan if s.null is None else s.null.p_value for s in comparison.scores])
    for score, p in zip(comparison.scores, corrected):
        row = dict(score.cells())
        if score.null is not None:
            # with more surrogates, a p-value at its floor may be lower, and then this is too
            row["p corrected"] = f"{'<= ' if score.null.p_bound else ''}{p:.2g}"
        if "interval" in row:  # a level that all have is said once, above
            row["interval"] = row["interval"].replace(" (95%)", "")
        rows.append({**row, "if equal": f"{perfect[score.measure]:g}"})
    if any(s.interval is not None and s.interval.level == 0.95 for s in comparison.scores):
        head[-1] += ", with 95 % intervals"
    lines = [*map(wrapped_head, head), aligned(rows)]
    for score in comparison.scores:
        lines += [wrapped(f"Warning: {score.measure}, {score.direction}: {text}", 2, 4) for text in score.warnings]
    if comparison.task_scores is not None and (meanings or (comparison.task_scores["does_the_task"] == False).any()):  # noqa: E712
        lines += ["", "Networks on their own test trials", _scores(comparison.task_scores)]
    if meanings:
        said = uncertainty_said(comparison.scores)
        lines += ["", *(wrapped(text, 0, 2) for text in said)] if said else []
        lines += ["", "What the measures are"]
        long = max(len(m.traits.name) for m in comparison.measures)
        lines += [wrapped(f"{m.traits.name:<{long}}  {m.traits.summary}", 2, long + 4) for m in comparison.measures]
    return "\n".join(lines)


def wrapped_head(text: str) -> str:
    """A heading, in as many lines as it takes."""
    return wrapped(text, 0, 2)


def verdict_text(verdict: Any, *, brief: bool = False) -> str:
    """A verdict as text: the answer, then the five questions with what was found and, unless `brief`, on what it rests.

    A brief one has a line a question.
    """
    blocks = []
    for pair in verdict.pairs:
        lines = [wrapped(f"{pair.a} and {pair.b}: {pair.sentence}", 2, 4)]
        for number, level in enumerate(pair.levels, 1):
            head = f"  {number} {level.name:<10} {level.answer:<12} "
            if brief:
                lines.append((head + one_line(level.evidence, width() - len(head))).rstrip())
                continue
            lines.append(wrapped(head.lstrip() + level.evidence, 2, _LEVEL))
            if level.rests_on:
                lines.append(wrapped(level.rests_on, _LEVEL))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _scores(scores: pd.DataFrame) -> str:
    """Test scores of runs as text, with the threshold where a run is below it."""
    rows = []
    for name, row in scores.to_dict("index").items():
        value = f"{row['score']} {row['test']:.4f}" if row["score"] else "unknown"
        below = f"below {row['threshold']:g}: does not do the task" if row["does_the_task"] is False else ""
        rows.append({"network": name, "test score": value, "": below})
    return aligned(rows, head=False)

"""The top of the page: the question, the answer in a word and in a sentence, and what it rests on."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from conjugacy.analysis.verdict import CANNOT_TELL, DIFFERENT, SAME, PairVerdict, Verdict
from conjugacy.report.elements import folded, listed, table

_WORDS = {SAME: "Yes", "factor": "In part", DIFFERENT: "No", CANNOT_TELL: "Cannot tell"}
_KINDS = {SAME: "same", "factor": "part", DIFFERENT: "different", CANNOT_TELL: "tell"}
_MARKS = {SAME: "✓\u00a0same", DIFFERENT: "✗\u00a0different", CANNOT_TELL: "?\u00a0cannot tell"}
_QUESTIONS = {
    "task": "Do both do the task, equally well?",
    "geometry": "Are their states the same up to a linear map?",
    "dynamics": "Do they move alike?",
    "skeleton": "Have they the same fixed points, joined alike?",
    "conjugacy": "Does a change of coordinates join them?",
}


def answer_box(verdict: Verdict | None, findings: list[str]) -> str:
    """The answer of each pair; where no verdict was asked for, the plain findings."""
    if verdict is None:
        return f'<div class="answer tell"><p class="word">What was found</p>{listed(findings)}</div>'
    return "".join(map(_box, verdict.pairs)) + listed(findings)


def levels(verdict: Verdict | None) -> str:
    """The five questions behind the answer, a table a pair."""
    if verdict is None:
        return ""
    return "".join(_levels(p, len(verdict.pairs) == 1) for p in verdict.pairs)


def _box(p: PairVerdict) -> str:
    # the word stands above the sentence: it is not said twice
    rest = re.sub(r"^(yes|no|cannot tell)[,:]\s*", "", p.sentence)
    return (
        f'<div class="answer {_KINDS[p.answer]}"><p class="who">{escape(p.a)} and {escape(p.b)}</p>'
        f'<p class="word">{_WORDS[p.answer]}.</p><p>{escape(rest[:1].upper() + rest[1:])}</p></div>'
    )


def _levels(p: PairVerdict, alone: bool) -> str:
    rows: list[dict[str, Any]] = [
        {"question": _QUESTIONS.get(v.name, v.name), "answer": _MARKS[v.answer], "what was found": v.evidence}
        for v in p.levels
    ]
    rests = [f"{v.name}: {v.rests_on}" for v in p.levels if v.rests_on]
    caption = "Five questions behind the answer" if alone else f"Five questions: {p.a} and {p.b}"
    return table(caption, rows) + folded("What these answers rest on", listed(rests))

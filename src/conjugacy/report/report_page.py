"""The report: one page that says whether networks compute the same thing, and shows why. It needs nothing but itself.

Sections are files of their own; this one chooses what is computed and puts them in order.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from conjugacy import plots
from conjugacy._check import check_flag, check_instance
from conjugacy._files import check_path, write_file
from conjugacy._version import __version__
from conjugacy.analysis.population_classes import SolutionClasses, solution_classes
from conjugacy.analysis.verdict import Verdict
from conjugacy.report.answer_section import answer_box, levels
from conjugacy.report.dynamics_section import portrait_section, timing_section
from conjugacy.report.elements import folded, paragraph, picture, saved, section, table
from conjugacy.report.latents_section import latents_section
from conjugacy.report.provenance_section import methods_section, provenance_section
from conjugacy.report.score_section import score_section

_DRAWN = 6  # systems of which latents and portraits are drawn
_JUDGED = 3  # systems of which all pairs get a verdict unasked, half a minute each
_LINKS = (
    ("what", "What was compared"),
    ("latents", "States in 3-D"),
    ("portraits", "Fixed points"),
    ("scores", "Scores"),
    ("times", "Time constants"),
    ("training", "Training"),
    ("provenance", "Provenance"),
    ("methods", "Methods"),
)
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def write_report(
    comparison: Any,
    path: Any,
    *,
    title: str | None = None,
    verdict: Verdict | bool | None = None,
    folders: Mapping[str, str] | None = None,
) -> Path:
    """Write the report of a comparison, see `Comparison.report`."""
    path = check_path("path", path, "file")
    if path.is_dir():
        raise ValueError(f"`path`: expected a file such as report.html, got the folder {path}. Name a file in it.")
    if title is not None:
        check_instance("title", title, str)
    if verdict is not None and not isinstance(verdict, Verdict):
        check_flag("verdict", verdict)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_file(path, page(comparison, title, verdict, folders or {}).encode())


def page(comparison: Any, title: str | None, verdict: Verdict | bool | None, folders: Mapping[str, str]) -> str:
    """The page as text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # those of scores are in the page
        said = _verdict_of(comparison, verdict)
        classes, no_classes = _classes_of(comparison)
        shown = _shown(comparison, classes)
        sides = {s.name: s for s in comparison._sides if s.name in shown}
        points = {n: s.points for n, s in sides.items() if s.system.step is not None}
        portraits = {n: sides[n].portrait[0] for n in points}
        body = [
            _what(comparison, said, classes, no_classes),
            latents_section([s.system for s in sides.values()], points, _paired(comparison)),
            portrait_section(points, portraits, [n for n in sides if n not in points]),
            score_section(comparison),
            timing_section(points),
            _training(comparison),
            provenance_section(comparison, folders),
            methods_section(comparison),
        ]
    names = [s.name for s in comparison.systems]
    heading = title or "Do these networks compute the same thing?"
    style = resources.files("conjugacy.report").joinpath("style.css").read_text(encoding="utf-8")
    text = "".join(body)
    links = "".join(f'<li><a href="#{a}">{t}</a></li>' for a, t in _LINKS if f'<section id="{a}"' in text)
    who = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(heading)} {escape(who)}</title>"
        f'<link rel="icon" href="data:,"><style>{style}</style></head><body>'
        '<a class="skip" href="#what">Skip to what was compared</a>'
        f'<header class="top"><h1>{escape(heading)}</h1>{answer_box(said, _findings(comparison, classes, said))}'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>'
        f"<main>{text}</main><footer>Written by conjugacy {__version__}.</footer></body></html>\n"
    )


def _verdict_of(comparison: Any, verdict: Verdict | bool | None) -> Verdict | None:
    if isinstance(verdict, Verdict):
        return verdict
    one_task = len({run.task.name for run in comparison.runs.values()}) < 2
    wanted = len(comparison.systems) <= _JUDGED and one_task if verdict is None else verdict
    return comparison.verdict() if wanted else None


def _classes_of(comparison: Any) -> tuple[SolutionClasses | None, str]:
    """Classes by skeleton of more than a few networks, or why there are none."""
    if len(comparison.systems) <= _JUDGED:
        return None, ""
    things = [replace(run, name=name) for name, run in comparison.runs.items()]
    things = things or [s for s in comparison.systems if s.step is not None]
    try:
        return solution_classes(things, seed=comparison._resampling.seed), ""
    except ValueError as reason:
        return None, f"Networks were not sorted into classes: {str(reason).split(': {')[0]}."


def _shown(comparison: Any, classes: SolutionClasses | None) -> list[str]:
    """The systems whose states and portraits are drawn: all of a few; of many, one of each class first."""
    names = [s.name for s in comparison.systems]
    first = [c.representative for c in classes.classes] if classes is not None else []
    return list(dict.fromkeys([*[n for n in first if n in names], *names]))[:_DRAWN]


def _paired(comparison: Any) -> bool:
    one_task = len({run.task.name for run in comparison.runs.values()}) == 1
    return one_task and len(comparison.runs) == len(comparison.systems)


def _findings(comparison: Any, classes: SolutionClasses | None, verdict: Verdict | None) -> list[str]:
    """Plain sentences for the top: classes, and the scores where no verdict says more."""
    texts = []
    scores = comparison.task_scores
    does = [] if scores is None else list(scores["does_the_task"])
    failing = sum(known is False for known in does)
    if failing:
        texts.append(f"{failing} of {len(does)} networks do not do their task: what they share may come from that.")
    if classes is not None:
        n, k = sum(classes.counts), len(classes.classes)
        texts.append(
            f"By their fixed points, {n} networks are of {k} kind{'s' if k > 1 else ''} "
            f"({', '.join(f'{c}' for c in classes.counts[:8])}{', …' if k > 8 else ''} networks each)."
        )
        if classes.left_out:
            texts.append(f"{len(classes.left_out)} networks were not sorted.")
    if verdict is None or any(s.name not in comparison.runs for s in comparison.systems):
        for m in comparison.measures:
            mine = [s for s in comparison.scores if s.measure == m.name and s.value == s.value]
            if not mine:
                continue
            text = f"{m.name}: {min(s.value for s in mine):.2f}" + (
                f" to {max(s.value for s in mine):.2f}" if len(mine) > 1 else ""
            )
            text += f", where equal systems have {m.traits.perfect:g}"
            nulls = [s for s in mine if s.null is not None and s.null.n_surrogates]
            if nulls:
                beyond = sum(s.null.p_bound for s in nulls if s.null is not None)
                text += f"; {beyond} of {len(nulls)} more alike than every surrogate of chance"
            noise = [s for s in mine if "noise" in s.diagnostics]
            if noise:
                reached = sum(bool(s.diagnostics["reached_by_noise"]) for s in noise)
                text += f"; {reached} of {len(noise)} no better than noise through the same bins and filter"
            texts.append(text + ".")
    return texts


def _what(comparison: Any, verdict: Verdict | None, classes: SolutionClasses | None, no_classes: str) -> str:
    scores = comparison.task_scores
    rows = []
    for s in comparison.systems:
        row: dict[str, Any] = {"system": s.name, "units": s.n_units, "trials": s.n_trials}
        if s.name in comparison.runs:
            row["kind"] = f"trained on {comparison.runs[s.name].task.name}"
        else:
            row["kind"] = "recording" if s.name in comparison.provenance or s.step is None else "system"
        if scores is not None and s.name in scores.index:
            known = scores.loc[s.name]
            row["test score"] = f"{known['score']} {known['test']:.3f}" if known["score"] else "unknown"
            does = {True: "yes", False: f"no, below {known['threshold']:g}"}
            row["does the task"] = does.get(known["does_the_task"], "")
        rows.append(row)
    frame = [] if classes is None else classes.table().reset_index().to_dict("records")
    listed_rows = table("What was compared, and how well each does its task", rows)
    return section(
        "what",
        "What was compared",
        listed_rows if len(rows) <= 8 else folded(f"All {len(rows)} systems", listed_rows),
        levels(verdict),
        table("Classes of networks, by their fixed points", frame),
        saved(classes.table(), "classes", index=True) if classes is not None else "",
        paragraph(no_classes, "soft"),
        paragraph(comparison.matched.text if comparison.matched is not None else "", "soft"),
    )


def _training(comparison: Any) -> str:
    runs = {name: r for name, r in comparison.runs.items() if len(r.history) and "step" in r.history}
    if not runs:
        return ""
    import pandas as pd

    named = [replace(r, name=name) for name, r in runs.items()]
    numbers = pd.concat([r.history.assign(network=r.name) for r in named], ignore_index=True)
    alt = f"Loss and validation score of {len(named)} networks over gradient steps"
    return section("training", "How they were trained", picture(plots.training_curves(named), alt, numbers, "training"))

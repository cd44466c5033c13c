"""Verdict: do these networks compute the same thing? Said in words, level by level, each with its evidence.

1 task         do both do the task, equally well, also under conditions that neither was trained on?
2 geometry     are their states the same up to a linear map?
3 dynamics     do they move alike: operators, spectra, time constants?
4 skeleton     have they the same fixed points, joined in the same way, on the time scale of a trial?
5 conjugacy    does a change of coordinates join them, or is one a factor of the other?

Each is "same", "different" or "cannot tell". Levels 1 to 3 are tests against a margin, the largest distance among
retrained copies (`margins`): "same" if the whole interval of the pair's distance is within it (a test of equivalence),
"different" if the whole interval is beyond, else "cannot tell". Level 4 asks whether the portraits are isomorphic, "
"level 5 whether
both maps hold (`conjugacy.find_conjugacy`). The answer rests on 1, 4 and 5: what is computed is what a change of
coordinates keeps; geometry and speed are how.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from conjugacy.analysis.margins import LEAST_COPIES, Margins, distance_of
from conjugacy.analysis.task_conditions import BLOCK, N_BLOCKS, block_scores, conditions_of
from conjugacy.runs.run import Run
from conjugacy.similarity.conjugacy_result import Conjugacy
from conjugacy.similarity.measure import Measure, get_measure
from conjugacy.similarity.score import Score
from conjugacy.system import System

if TYPE_CHECKING:
    import pandas as pd

SAME, DIFFERENT, CANNOT_TELL = "same", "different", "cannot tell"
LEVELS = ("task", "geometry", "dynamics", "skeleton", "conjugacy")
_MEASURES = {"geometry": ("state_r2",), "dynamics": ("dsa", "spectrum_w2", "timescales")}
_SMALL = 0.05  # of a score: what a reader of a table would not call another performance
_WHEN = {
    "as trained": "as trained",
    "trials twice as long": "in trials twice as long",
    "twice the noise": "in twice the noise",
}
_T_95 = 2.262  # Student's quantile for the ten blocks of a condition


@dataclass(frozen=True)
class Level:
    """The answer to one question, see the module docstring.

    Attributes
    ----------
    name : str
        One of `LEVELS`.
    answer : {"same", "different", "cannot tell"}
    evidence : str
        What was found.
    rests_on : str
        Margins, trials or searches behind it, and what would be needed where it cannot be told.
    """

    name: str
    answer: str
    evidence: str
    rests_on: str


@dataclass(frozen=True)
class PairVerdict:
    """The verdict on two systems.

    Attributes
    ----------
    a, b : str
    answer : {"same", "factor", "different", "cannot tell"}
        "factor": what one computes, the other computes, and something else besides.
    sentence : str
        The same in words.
    levels : tuple of Level
    conjugacy : Conjugacy or None
        The map behind level 5.
    """

    a: str
    b: str
    answer: str
    sentence: str
    levels: tuple[Level, ...]
    conjugacy: Conjugacy | None = None

    def __str__(self) -> str:
        lines = [f"{self.a} and {self.b}: {self.sentence}"]
        for number, level in enumerate(self.levels, 1):
            lines.append(f"  {number} {level.name:<10} {level.answer:<12} {level.evidence}")
            if level.rests_on:
                lines.append(f"{'':27}{level.rests_on}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Verdict:
    """The verdicts on all pairs; printed, they are text.

    Attributes
    ----------
    pairs : tuple of PairVerdict
    """

    pairs: tuple[PairVerdict, ...]

    @property
    def answer(self) -> str:
        """The answer, of the only pair or shared by all; "mixed" where pairs differ."""
        answers = {p.answer for p in self.pairs}
        return answers.pop() if len(answers) == 1 else "mixed"

    def table(self) -> pd.DataFrame:
        """One row a pair and level: answer, evidence, rests on."""
        import pandas as pd

        rows = [{"a": p.a, "b": p.b, "level": v.name} | _columns(v) for p in self.pairs for v in p.levels]
        return pd.DataFrame(rows).set_index(["a", "b", "level"])

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.pairs))

    __repr__ = __str__


def _columns(level: Level) -> dict[str, str]:
    return {"answer": level.answer, "evidence": level.evidence, "rests on": level.rests_on}


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two: its system on new trials, on trials to fit on, and the run where it is one."""

    system: System
    train: System | None
    run: Run | None
    progress: bool = False

    @property
    def name(self) -> str:
        """Its name in the comparison."""
        return self.system.name

    @cached_property
    def points(self) -> Any:
        """Its fixed points without input (FixedPoints)."""
        from conjugacy.dynamics import fixed_points

        return fixed_points(self.system, seed=0, progress=self.progress)

    @cached_property
    def portrait(self) -> tuple[Any, bool | None]:
        """Its portrait without input on the horizon of a trial, and whether its search was complete (None: unknown)."""
        from conjugacy.dynamics import portrait

        return portrait(self.points), self.points.audit().complete


def verdict_of(
    sides: Sequence[Side],
    scores: Callable[[Measure, Side, Side], list[Score]],
    conjugacy: Callable[[Side, Side], Conjugacy],
    margins: Margins | None,
    seed: int = 0,
) -> Verdict:
    """The verdicts on all pairs of `sides`; see the module docstring.

    Parameters
    ----------
    sides : sequence of Side
    scores : callable
        Scores with intervals of a measure for two sides: one, or one a direction.
    conjugacy : callable
        The maps between two sides.
    margins : Margins or None
        None: levels that need them cannot be told.
    seed : int
        Of the trials of level 1.
    """
    tasks = _TaskScores(seed)
    pairs = []
    for a, b in combinations(sides, 2):
        failing = _failing(a, b)
        levels = [_task_level(a, b, failing, tasks, margins)]
        levels += [_measured_level(name, a, b, scores, margins) for name in ("geometry", "dynamics")]
        levels.append(_skeleton_level(a, b))
        level, found = _conjugacy_level(a, b, conjugacy)
        levels.append(level)
        answer, sentence = _answer(a.name, b.name, failing, {v.name: v for v in levels}, found)
        pairs.append(PairVerdict(a.name, b.name, answer, sentence, tuple(levels), found))
    return Verdict(tuple(pairs))


@dataclass(eq=False)
class _TaskScores:
    """Scores of runs in all conditions of their task, computed once."""

    seed: int
    _found: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)

    def of(self, run: Run) -> dict[str, np.ndarray]:
        if id(run) not in self._found:
            conditions = conditions_of(run.task, self.seed)
            self._found[id(run)] = {label: block_scores(run, c) for label, c in conditions.items()}
        return self._found[id(run)]


def _failing(a: Side, b: Side) -> dict[str, str]:
    """Names of those that do not do their task, each with its test score in words."""
    from conjugacy.analysis.task_scores import task_scores

    runs = {s.name: s.run for s in (a, b) if s.run is not None}
    known = task_scores(list(runs.values()), list(runs)) if runs else None
    if known is None:
        return {}
    below = known[[does is False for does in known["does_the_task"]]]
    return {str(name): f"{row['score']} {row['test']:.3f}" for name, row in below.iterrows()}


def _task_level(a: Side, b: Side, failing: dict[str, str], tasks: _TaskScores, margins: Margins | None) -> Level:
    name = "task"
    if a.run is None or b.run is None:
        missing = " and ".join(s.name for s in (a, b) if s.run is None)
        return Level(name, CANNOT_TELL, f"no task is known of {missing}", "Compare runs, which carry their task.")
    if failing:
        text = "; ".join(f"{n} does not do the task ({score})" for n, score in failing.items())
        return Level(name, DIFFERENT if len(failing) == 1 else CANNOT_TELL, text, "Train further first.")
    of_a, of_b = tasks.of(a.run), tasks.of(b.run)
    margin = None if margins is None else margins.of("task")
    texts, answers, beyond = [], [], []
    for label in of_a:
        d = of_a[label] - of_b[label]
        half = _T_95 * d.std(ddof=1) / len(d) ** 0.5
        low, high = max(abs(d.mean()) - half, 0.0), abs(d.mean()) + half
        texts.append(f"{label} {of_a[label].mean():.3f} and {of_b[label].mean():.3f}")
        if margin is None:
            continue
        answers.append(_against(low, high, margin))
        if answers[-1] == DIFFERENT:
            better = a.name if d.mean() > 0 else b.name
            beyond.append((label, better, abs(float(d.mean())), high))
    evidence = "; ".join([*texts, *_beyond_copies(beyond, margin)])
    rests = f"{N_BLOCKS * BLOCK} new trials each; {_margin_text(margins)}"
    return Level(name, _joined(answers), evidence, rests)


def _beyond_copies(beyond: Sequence[tuple[str, str, float, float]], margin: float | None) -> list[str]:
    """In which conditions scores differ by more than those of copies, by how much, and whether that is much."""
    said = []
    for label, better, size, high in beyond:
        small = ", a small difference, though a certain one" if high < _SMALL else ""
        said.append(f"{better} is better by {size:.3f} {_WHEN.get(label, label)} (copies: up to {margin:.3f}){small}")
    return said


def _measured_level(
    name: str,
    a: Side,
    b: Side,
    scores: Callable[[Measure, Side, Side], list[Score]],
    margins: Margins | None,
) -> Level:
    texts, answers, needs = [], [], []
    for measure in map(get_measure, _MEASURES[name]):
        try:
            found = scores(measure, a, b)
        except ValueError as error:
            texts.append(f"{measure.name} undefined")
            answers.append(CANNOT_TELL)
            needs.append(str(error))
            continue
        worst = max(found, key=lambda s: distance_of(measure, s.value))
        ends = [distance_of(measure, worst.value)] * 2
        if worst.interval is not None and np.isfinite(worst.interval.low + worst.interval.high):
            ends = sorted(distance_of(measure, e) for e in (worst.interval.low, worst.interval.high))
        margin = None if margins is None else margins.of(measure.name)
        texts.append(f"{measure.name} {worst.value:.3g}")
        if margin is None:
            answers.append(CANNOT_TELL)
            continue
        perfect, higher = measure.traits.perfect, measure.traits.higher_is_more_similar
        texts[-1] += (
            f" (copies: {'down to' if higher else 'up to'} {perfect - margin if higher else perfect + margin:.3g})"
        )
        answers.append(_against(ends[0], ends[1], margin))
        if answers[-1] == CANNOT_TELL:
            needs.append(
                _trials_needed(measure.name, ends, distance_of(measure, worst.value), margin, a.system.n_trials)
            )
    rests = "; ".join([_margin_text(margins), *needs])
    return Level(name, _joined(answers), ", ".join(texts), rests)


def _skeleton_level(a: Side, b: Side) -> Level:
    from conjugacy.dynamics import portrait_distance

    name = "skeleton"
    missing = [s.name for s in (a, b) if s.system.step is None]
    if missing:
        return Level(name, CANNOT_TELL, f"{' and '.join(missing)} has no map", "A skeleton needs a step function.")
    (p, complete_a), (q, complete_b) = a.portrait, b.portrait
    distance = portrait_distance(p, q)
    texts = [f"{s.name}: {counted_points(x)}" for s, x in ((a, p), (b, q))]
    searched = "without input, on the horizon of a trial"
    if not (p.n_unstable or q.n_unstable):
        return Level(name, CANNOT_TELL, "neither has fixed points or held ones", f"{searched}; see cj.attractors")
    if distance.counts == 0 and distance.graph == 0:
        return Level(name, SAME, f"isomorphic; {texts[0]}", searched)
    memories = [sum(k == 0 for k in x.n_unstable) for x in (p, q)]
    joined = "; ".join(texts)
    if memories[0] != memories[1]:
        return Level(name, DIFFERENT, joined, f"{searched}; other numbers of memories")
    if complete_a and complete_b:
        return Level(name, DIFFERENT, joined, f"{searched}; both searches complete as far as index and coverage tell")
    unsure = " and ".join(s.name for s, c in ((a, complete_a), (b, complete_b)) if not c)
    return Level(
        name, CANNOT_TELL, joined, f"{searched}; as many memories in both, but the search of {unsure} is not complete"
    )


def _conjugacy_level(a: Side, b: Side, conjugacy: Callable[[Side, Side], Conjugacy]) -> tuple[Level, Conjugacy | None]:
    name = "conjugacy"
    missing = [s.name for s in (a, b) if s.system.step is None]
    if missing:
        return Level(name, CANNOT_TELL, f"{' and '.join(missing)} has no map", "A conjugacy joins two maps."), None
    try:
        found = conjugacy(a, b)
    except ValueError as error:
        return Level(name, CANNOT_TELL, "no map was sought", str(error)), None
    ways = [
        f"{d.a} -> {d.b} {d.score.value:.3f} on new trials, {d.score_off.value:.3f} around them"
        for d in (found.there, found.back)
    ]
    rests = "wanted 0.9 and 0.8 by their lower bounds"
    if found.factor == "equal":
        return Level(name, SAME, "both maps hold: " + "; ".join(ways), rests), found
    if found.factor != "neither":
        of = f"{b.name} is a factor of {a.name}" if found.factor == "b of a" else f"{a.name} is a factor of {b.name}"
        back = found.back if found.factor == "b of a" else found.there
        answer = DIFFERENT if back.fails else CANNOT_TELL
        return Level(name, answer, f"one way: {of}; " + "; ".join(ways), rests), found
    if found.doubts or not (found.there.fails and found.back.fails):
        return Level(name, CANNOT_TELL, "; ".join(ways), "; ".join([rests, *found.doubts])), found
    return Level(name, DIFFERENT, "neither map holds: " + "; ".join(ways), rests), found


def _answer(
    a: str, b: str, failing: dict[str, str], levels: dict[str, Level], found: Conjugacy | None
) -> tuple[str, str]:
    skeleton, map_level = levels["skeleton"], levels["conjugacy"]
    if len(failing) == 2:
        return CANNOT_TELL, "cannot tell: neither does the task, so there is no computation to compare."
    if failing:
        return DIFFERENT, f"no: {levels['task'].evidence}."
    factor = None if found is None else found.factor
    if factor == "equal" and skeleton.answer != DIFFERENT:
        return SAME, "yes: one is the other in other coordinates, as far as these trials and their neighbourhood go."
    if factor in ("b of a", "a of b"):
        small, large = (b, a) if factor == "b of a" else (a, b)
        if skeleton.answer == DIFFERENT:
            return DIFFERENT, f"no: {large} computes what {small} does, and has other fixed points besides."
        return "factor", f"yes, as far as {small} goes: what it computes, {large} computes, and something else besides."
    if skeleton.answer == DIFFERENT:
        return DIFFERENT, f"no: they have other fixed points ({skeleton.evidence})."
    if map_level.answer == DIFFERENT and skeleton.answer == CANNOT_TELL:
        return DIFFERENT, "no: no change of coordinates takes one to the other."
    if skeleton.answer == SAME and map_level.answer == DIFFERENT:
        return CANNOT_TELL, "cannot tell: they have the same skeleton, but no change of coordinates was found."
    return CANNOT_TELL, "cannot tell: see what is missing below."


def _against(low: float, high: float, margin: float) -> str:
    return SAME if high <= margin else DIFFERENT if low > margin else CANNOT_TELL


def _joined(answers: Sequence[str]) -> str:
    if DIFFERENT in answers:
        return DIFFERENT
    return SAME if answers and all(a == SAME for a in answers) else CANNOT_TELL


def _margin_text(margins: Margins | None) -> str:
    if margins is None:
        return f"no margin is known: give at least {LEAST_COPIES} retrained copies (verdict(copies=[...]))"
    return f"margin: {margins.what}"


def _trials_needed(name: str, ends: Sequence[float], value: float, margin: float, n: int) -> str:
    gap = abs(value - margin)
    if gap == 0:
        return f"{name} lies on the margin"
    needed = int(np.ceil(n * ((ends[1] - ends[0]) / 2 / gap) ** 2))
    return f"{name} could be told from about {max(needed, n)} trials"


def counted_points(portrait: Any) -> str:
    """Memories, saddles and cycles of a portrait, in words."""
    stable = sum(k == 0 for k in portrait.n_unstable)
    saddles = len(portrait.n_unstable) - stable
    text = f"{stable} {'memory' if stable == 1 else 'memories'}, {saddles} saddle{'' if saddles == 1 else 's'}"
    return text + (f", {len(portrait.cycles)} cycles" if portrait.cycles else "")

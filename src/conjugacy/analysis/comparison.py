"""Comparison: networks x measures -> a table with intervals. Trials are new to every network and the same for all."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from conjugacy._check import check_flag, check_instance, check_int, check_optional, shown
from conjugacy._config import describe
from conjugacy._html import bullets, card, html_table
from conjugacy._json import dump
from conjugacy._lazy import higher
from conjugacy.analysis.across_tasks import few, probed
from conjugacy.analysis.analysis import Analysis
from conjugacy.analysis.margins import Margins, shipped_for
from conjugacy.analysis.matching_trials import Matched, check_dt, match_trials
from conjugacy.analysis.noise_floor import with_noise_floor
from conjugacy.analysis.task_scores import below_threshold, task_scores
from conjugacy.analysis.untrained import untrained_runs
from conjugacy.analysis.verdict import Side, Verdict, verdict_of
from conjugacy.networks.from_cell import CellNetwork
from conjugacy.recordings.anchors import noise_anchors
from conjugacy.recordings.recording import Recording
from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.similarity._pairwise import Pairwise, check_pairs, pairwise
from conjugacy.similarity.conjugacy_maps import fit_conjugacy
from conjugacy.similarity.conjugacy_result import Conjugacy
from conjugacy.similarity.many_comparisons import add_corrected
from conjugacy.similarity.measure import Measure, measure_list
from conjugacy.similarity.resampling import Resampling, check_resample
from conjugacy.similarity.samples import kind_of, system_list
from conjugacy.similarity.score import Score
from conjugacy.system import System

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_N_UNTRAINED = 5
# trials are not paired, so nothing is left to shuffle but what the networks have learned
_AGAINST_UNTRAINED = ("step", "trajectories")


class Comparison:
    """Networks, or recordings, compared pair by pair; see `compare`.

    Attributes
    ----------
    systems, train : list of System
        The trials that are scored, and those on which measures that fit one system to another do so.
    scores : tuple of Score
        One a measure and pair; two, one a direction, for measures with a direction.
    untrained : mapping of str to systems, or None
        By name, untrained networks of the same kind: the null of measures that do not pair trials.
    task_scores : DataFrame or None
        Test score of each run beside the threshold of its task, see `conjugacy.analysis.task_scores`; None where
        systems are compared that are no runs.
    matched : Matched or None
        The systems with their trials paired, for measures that need pairs, where recordings are among them.
    anchors : mapping of str to mapping of str to systems, or None
        Noise by the name of the recording whose bins and filter it went through, and by its kind.
    provenance : dict of str to str
        What was done to each recording, by its name.
    runs : dict of str to Run
        The runs behind systems, by name.
    """

    def __init__(
        self,
        systems: Sequence[System],
        train: Sequence[System] | None,
        measures: Iterable[str | Measure] | str | Measure = ("state_r2",),
        *,
        reference: int = 0,
        interval: float | None = 0.95,
        n_resamples: int = 200,
        null: Any = None,
        n_surrogates: int = 20,
        untrained: Mapping[str, Sequence[System]] | None = None,
        task_scores: pd.DataFrame | None = None,
        matched: Matched | None = None,
        anchors: Mapping[str, Mapping[str, Sequence[System]]] | None = None,
        provenance: Mapping[str, str] | None = None,
        runs: Mapping[str, Run] | None = None,
        seed: int = 0,
        resample: str | Sequence[str] = "trials",
        conditions: Any = None,
        block: int | None = None,
        progress: bool = False,
    ):
        systems = system_list("systems", systems, 2)
        train = None if train is None else system_list("train", train, 2)
        if train is not None and len(train) != len(systems):
            raise ValueError(f"`train`: expected one system for each of the {len(systems)}, got {len(train)}.")
        if untrained is not None:
            check_instance("untrained", untrained, Mapping, "A dict of name to systems.")
        names = [s.name for s in systems]
        if len(set(names)) < len(names):
            raise ValueError(
                f"`systems`: expected a different name for each, got {', '.join(names)}. Give names=[...]."
            )
        check_int("reference", reference, 0, len(systems) - 1)
        check_flag("progress", progress)
        self.systems, self.train, self.reference = list(systems), None if train is None else list(train), reference
        self.measures = list(measure_list(measures).values())
        check_optional("matched", matched, Matched)
        check_optional("task_scores", task_scores, pd.DataFrame)
        for what, given in (("anchors", anchors), ("provenance", provenance), ("runs", runs)):
            check_optional(what, given, Mapping, "A dict by the names of systems.")
        self.untrained, self.task_scores = untrained, task_scores
        self.matched, self.anchors, self.provenance = matched, dict(anchors or {}), dict(provenance or {})
        self.runs, self._maps = dict(runs or {}), {}
        self._resampling = Resampling(interval, n_resamples, null, n_surrogates, seed, resample, conditions, block)
        self._progress = progress
        # errors come here, not when the table is asked for
        for measure in self.measures:
            need = measure.traits.needs
            check_pairs(self._systems_for(need), measure, self._resampling_of(need, measure.costly))

    def _systems_for(self, need: str) -> list[System]:
        """The systems that measures which need `need` compare: with trials in pairs, where they were matched."""
        paired = self.matched is not None and need == "paired trajectories"
        return list(self.matched.systems) if self.matched is not None and paired else self.systems

    def _resampling_of(self, need: str, costly: bool) -> Resampling:
        """The settings for measures that need `need`: where trials are not paired, untrained networks are the null."""
        if costly and self._resampling.null == "auto":
            return replace(self._resampling, null=None)
        if self.anchors and need == "trajectories" and self._resampling.null == "auto":
            return replace(self._resampling, null=None)  # noise is put in its place, see `pairs`
        if not self.untrained or need not in _AGAINST_UNTRAINED:
            return self._resampling
        # their fixed points take a search each
        most = _N_UNTRAINED if need == "step" else None
        return replace(self._resampling, null={name: systems[:most] for name, systems in self.untrained.items()})

    @property
    def _paired(self) -> set[str]:
        return {m.name for m in self.measures if m.traits.needs == "paired trajectories"}

    @cached_property
    def pairs(self) -> Pairwise:
        """All measures over all pairs: matrices, orders and embeddings; computed when first asked for."""
        parts = []
        for need, costly in dict.fromkeys((m.traits.needs, m.costly) for m in self.measures):
            chosen = [m for m in self.measures if (m.traits.needs, m.costly) == (need, costly)]
            resampling = self._resampling_of(need, costly)
            options = {f.name: getattr(resampling, f.name) for f in fields(resampling)}
            train = None if need == "step" else self.train
            parts.append(pairwise(self._systems_for(need), chosen, train=train, progress=self._progress, **options))
        names = [m.name for m in self.measures]
        scores = [s for p in parts for s in p.scores]
        if self.anchors:
            as_null = self._resampling.null == "auto"
            scores = with_noise_floor(scores, self.measures, self.systems, self.anchors, as_null)
        return replace(
            parts[0],
            measures={name: p.measures[name] for name in names for p in parts if name in p.measures},
            values={name: p.values[name] for name in names for p in parts if name in p.values},
            scores=tuple(sorted(map(self._with_provenance, scores), key=lambda s: names.index(s.measure))),
            complete=all(p.complete for p in parts),
        )

    def _with_provenance(self, score: Score) -> Score:
        known = {side: self.provenance[side] for side in (score.a, score.b) if side in self.provenance}
        return replace(score, diagnostics={**score.diagnostics, "provenance": known}) if known else score

    @property
    def scores(self) -> tuple[Score, ...]:
        """All scores."""
        return self.pairs.scores

    def table(self) -> pd.DataFrame:
        """One row a measure and pair, with the direction in the name of the column.

        Columns "a -> b": how well a predicts b, with "low" and "high" ends of its interval; "b -> a" the other way.
        Measures without direction fill the columns "a <-> b". Where nulls were asked for, there are columns "null", "p"
        and "p bound": True where p is as small as the number of surrogates allows, and so an upper bound, and "p
        corrected" for the number of tests; `table.attrs["p corrected"]` says how, and over how many. A column
        "warnings" appears where a score has any. Where recordings are compared, "noise" is what noise through the same
        bins and filter scores, "reached by noise" is True where it comes as near, "matched" says which trials were
        paired, and `table.attrs["provenance"]` what was done to each recording. Test scores of runs are in
        `task_scores`.
        """
        rows: dict[tuple[str, str, str], dict[str, Any]] = {}
        for s in self.scores:
            flipped = (s.measure, s.b, s.a) in rows
            key = (s.measure, s.b, s.a) if flipped else (s.measure, s.a, s.b)
            way = "a <-> b" if "<->" in s.direction else ("b -> a" if flipped else "a -> b")
            row = rows.setdefault(key, {})
            row[way] = s.value
            if s.interval is not None:
                row[f"{way} low"], row[f"{way} high"] = s.interval.low, s.interval.high
            if s.null is not None:
                row[f"{way} null"], row[f"{way} p"] = s.null.mean, s.null.p_value
                row[f"{way} p bound"] = s.null.p_bound
            if "noise" in s.diagnostics:
                row["noise"], row["reached by noise"] = s.diagnostics["noise"], s.diagnostics["reached_by_noise"]
            if self.matched is not None:
                row["matched"] = self.matched.text if s.measure in self._paired else ""
            if s.warnings:
                row["warnings"] = "; ".join(filter(None, [row.get("warnings", ""), *s.warnings]))
        index = pd.MultiIndex.from_tuples(rows, names=["measure", "a", "b"])
        table = pd.DataFrame(list(rows.values()), index=index)
        add_corrected(table, ("a -> b", "b -> a", "a <-> b"), "p", "p corrected")
        if "warnings" in table:
            texts = table.pop("warnings")
            table["warnings"] = texts.fillna("")  # the last column
        if self.provenance:
            table.attrs["provenance"] = dict(self.provenance)
        return table

    def verdict(self, copies: Sequence[Run] | Margins | None = None, *, n_steps: int = 600) -> Verdict:
        """Do they compute the same thing? Answered in words, level by level, each with its evidence.

        Five questions, each answered "same", "different" or "cannot tell": do both do the task, are states the same up
        to a linear map, do they move alike, have they the same skeleton, does a change of coordinates join them. See
        `conjugacy.analysis.verdict`. Takes half a minute for a pair; maps and portraits are kept for the next call.

        Parameters
        ----------
        copies : sequence of Run, Margins or None
            At least five retrained copies, whose distances from each other are the margin of "same", or margins
            measured on them (`conjugacy.analysis.Margins.measured`). None: those that ship for the task with its
            settings, if there are any.
        n_steps : int
            Steps of training of a map, see `conjugacy.find_conjugacy`.

        Returns
        -------
        Verdict
            Printed, it is text; `table()`, `pairs`, `answer`.
        """
        check_int("n_steps", n_steps, 0)
        tasks = dict.fromkeys(run.task.name for run in self.runs.values())
        if len(tasks) > 1:
            raise ValueError(
                f"`things`: expected runs of one task for a verdict, got {', '.join(tasks)}. See `table()`, and "
                "docs/across_tasks.md."
            )
        if isinstance(copies, Margins):
            margins = copies
        elif copies is not None:
            margins = Margins.measured(copies, seed=self._resampling.seed)
        else:
            margins = shipped_for(next(iter(self.runs.values())).task) if self.runs else None
        maps = partial(self._conjugacy_of, n_steps=n_steps)
        return verdict_of(self._sides, self._scores_of, maps, margins, self._resampling.seed)

    @cached_property
    def _sides(self) -> list[Side]:
        train = self.train or [None] * len(self.systems)
        return [Side(s, t, self.runs.get(s.name), self._progress) for s, t in zip(self.systems, train)]

    def _scores_of(self, measure: Measure, a: Side, b: Side) -> list[Score]:
        """Scores of a pair: those of this comparison where it has them, else computed now."""
        if measure.name in {m.name for m in self.measures}:
            return [s for s in self.scores if s.measure == measure.name and {s.a, s.b} == {a.name, b.name}]
        options: dict[str, Any] = {"interval": 0.95, "n_resamples": 100, "seed": self._resampling.seed}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # they are in the scores
            ways = [(a, b)] if measure.traits.symmetric else [(a, b), (b, a)]
            trains = [None if x.train is None or y.train is None else (x.train, y.train) for x, y in ways]
            return [measure(x.system, y.system, train=t, **options) for (x, y), t in zip(ways, trains)]

    def _conjugacy_of(self, a: Side, b: Side, n_steps: int) -> Conjugacy:
        key = (a.name, b.name, n_steps)
        if key not in self._maps:
            options: dict[str, Any] = {"n_steps": n_steps, "seed": self._resampling.seed, "progress": self._progress}
            if a.train is not None and b.train is not None:
                test = (a.system, b.system)
                self._maps[key] = fit_conjugacy(a.train, b.train, test=test, **options)
            else:
                self._maps[key] = fit_conjugacy(a.system, b.system, **options)
        return self._maps[key]

    def plot_trials_3d_reference(self, num_trials: int = 2, reference: int | None = None, angle=None) -> Figure:
        """Figure of each system's trajectories in the principal components of the reference, affinely mapped.

        Where recordings are compared, trials have to be matched: ValueError if no measure pairs them.
        """
        at = self.reference if reference is None else check_int("reference", reference, 0, len(self.systems) - 1)
        if self.matched is None and self.provenance:
            raise ValueError(
                "`measures`: expected one that pairs trials, such as 'cka', to map recordings onto each other step by "
                f"step, got {', '.join(m.name for m in self.measures)}."
            )
        systems = self.systems if self.matched is None else list(self.matched.systems)
        train = systems if self.train is None else self.train
        return higher("plots.overlay", "affine_overlay")(systems, train, at, num_trials, angle)

    def report(
        self,
        path: Any,
        *,
        title: str | None = None,
        verdict: Verdict | bool | None = None,
        folders: Mapping[str, str] | None = None,
    ) -> Path:
        """Write one page (HTML) to read, print and send: the answer, the figures, the numbers, how to repeat it.

        The page needs no network and no other file. See docs/report.md.

        Parameters
        ----------
        path : str or Path
            The file, such as "report.html"; it is replaced where it exists.
        title : str, optional
            In place of the question.
        verdict : Verdict, bool or None
            One that is there already; or whether to ask for it, half a minute a pair. None: for up to three systems.
        folders : dict of str to str, optional
            Where the runs are, by name, for the commands that repeat the report.

        Returns
        -------
        Path
            The file.
        """
        return higher("report.report_page", "write_report")(self, path, title=title, verdict=verdict, folders=folders)

    def _repr_html_(self) -> str:
        """The scores, a row each and only what is known of them; `table` has every column."""
        rows = [s.cells() for s in self.scores]
        warned = dict.fromkeys(f"{s.measure}, {s.direction}: {text}" for s in self.scores for text in s.warnings)
        meanings = [
            f"{m.traits.name}: {m.traits.summary}; {m.traits.perfect:g} for equal systems" for m in self.measures
        ]
        return card(repr(self), html_table(rows, ".pairs.table() has all of them"), bullets(warned), bullets(meanings))

    def __repr__(self) -> str:
        return f"Comparison of {', '.join(s.name for s in self.systems)} by {', '.join(m.name for m in self.measures)}"


def compare(
    things: Sequence[Run | Analysis | Recording | System],
    measures: Iterable[str | Measure] | str | Measure = ("state_r2",),
    *,
    seed: int = 0,
    n_trials: int = 250,
    names: Sequence[str] | None = None,
    reference: int = 0,
    interval: float | None = 0.95,
    n_resamples: int = 200,
    null: Any = None,
    n_surrogates: int = 20,
    match: Any = None,
    probe: Any = None,
    resample: str | Sequence[str] = "trials",
    conditions: Any = None,
    block: int | None = None,
    progress: bool = True,
) -> Comparison:
    """Compare networks with each other, or with recordings.

    Arguments are checked at once; values are computed when they are first asked for. Runs below the threshold of their
    task are named in a warning, since networks that do not do the task may agree for that reason alone.

    Parameters
    ----------
    things : sequence of Run, Analysis, Recording or System
        At least two. Runs of one task are all run, without noise, on the same new trials of that task; systems bring
        their own trials, which are paired by index. Beside recordings, trials are paired as `match` says. Runs of
        different tasks are run on new trials of their own tasks, and where trials are paired on those of the `probe`.
    measures : str, Measure or iterable of them
        See `conjugacy.similarity.measure_names()`.
    seed : int
        Seed of the new trials, and of resampling; at least 0.
    n_trials : int
        New trials to score on. As many again are drawn for measures that fit one network to another.
    names : sequence of str, optional
        Names to use in place of the runs' own.
    reference : int
        Which one's space figures are drawn in.
    interval : float or None
        Level of the bootstrap intervals over trials.
    n_resamples : int
        Bootstrap resamples, at least 10.
    null : str, sequence of systems, mapping or None
        Kind of null: "auto" for what suits each measure (runs: trials of one system shuffled where trials are paired,
        else untrained networks of the same kind on the same inputs; recordings: noise through the same bins and filter
        for measures that pair nothing), one of `conjugacy.similarity.inference.NULLS`, or
        systems; see `conjugacy.similarity.Resampling`.
    n_surrogates : int
        Surrogates of a null, at least 1.
    match : {"condition", "inputs", "index"}, list of lists of indices, or None
        How trials are paired where recordings are compared, for measures that need pairs; see
        `conjugacy.analysis.matching_trials.match_trials`.
    probe : Task, Trials or array (trial, time, input), optional
        Inputs that are fed to all runs where they are of different tasks, for measures that pair trials; the column
        "matched" of the table says which. The channels of a task go to the inputs of the same label, see
        `conjugacy.analysis.across_tasks`.
    resample : str or sequence of str
        Over what intervals are: "trials"; "units" or "conditions", to which they then generalise; "blocks" of a long
        recording. See `conjugacy.similarity.Resampling`.
    conditions : labels (trial,), or mapping of name to labels, or None
        Condition of each trial, for ``resample="conditions"``. Default: those of the task's trials, or of recordings.
    block : int or None
        Steps of a block, for ``resample="blocks"``.
    progress : bool
        Show a bar while values are computed, if that takes longer than two seconds.

    Returns
    -------
    Comparison

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind or out of its range, runs are of different tasks and a measure pairs trials
        without a probe, names are not all different, or a measure cannot take the systems.
    """
    check_int("n_trials", n_trials, 2)
    over = check_resample(resample)
    chosen = measure_list(measures)
    if isinstance(things, (str, bytes, type, Run, Analysis, Recording, System)) or _is_single(things):
        path = isinstance(things, (str, bytes)) or hasattr(things, "__fspath__")
        raise TypeError(
            f"`things`: expected a list of at least 2 Runs, Analyses, Recordings or Systems, got {kind_of(things)}."
            f"{' Load runs first: conjugacy.load(path).' if path else ''}"
        )
    runs = [t.run if isinstance(t, Analysis) else t for t in things]
    if len(runs) < 2:
        raise ValueError(
            f"`things`: expected a list of at least 2 Runs, Analyses, Recordings or Systems, got {shown(runs)}."
        )
    for i, thing in enumerate(runs):
        if not isinstance(thing, Run | Recording | System):
            kind = f"the class {thing.__name__}" if isinstance(thing, type) else type(thing).__name__
            raise TypeError(f"`things[{i}]`: expected a Run, an Analysis, a Recording or a System, got {kind}.")
    if names is not None and (isinstance(names, (str, bytes)) or not hasattr(names, "__len__")):
        raise TypeError(f"`names`: expected a list of {len(runs)} names, got {kind_of(names)}.")
    if names is not None and not all(isinstance(name, str) for name in names):
        wrong = next(name for name in names if not isinstance(name, str))
        raise TypeError(f"`names`: expected a list of {len(runs)} names (str), got {kind_of(wrong)} among them.")
    if names is not None and len(names) != len(runs):
        raise ValueError(f"`names`: expected {len(runs)} names, one for each, got {len(names)}.")
    names = list(names) if names is not None else distinct_names([t.name for t in runs])
    if conditions is None and "conditions" in over:
        conditions = _known_conditions(runs, names, n_trials, seed)
    resampling = Resampling(interval, n_resamples, null, n_surrogates, seed, over, conditions, block)
    options: dict[str, Any] = {f.name: getattr(resampling, f.name) for f in fields(resampling)}
    options |= {"reference": reference, "progress": progress}
    trained = [t for t in runs if isinstance(t, Run)]
    if any(isinstance(t, Recording) for t in runs):
        return _compare_recordings(runs, names, chosen, n_trials, match, seed, options)
    if match is not None:
        raise ValueError(f"`match`: expected None where no recording is compared, got {shown(match)}.")
    if probe is not None and (not trained or len(trained) < len(runs)):
        raise ValueError(f"`probe`: expected None beside systems, which bring their trials, got {kind_of(probe)}.")
    if trained and len(trained) < len(runs):
        raise ValueError(
            "`things`: expected runs only or systems only, got both. Pass run.system(trials) on the trials that the "
            "other systems answer."
        )
    if not trained:
        systems = [_renamed(s, n) for s, n in zip(runs, names) if isinstance(s, System)]
        return Comparison(systems, None, chosen.values(), **options)
    if probe is not None or len({dump("task", describe(r.task), None) for r in trained}) > 1:
        return _compare_across(trained, names, chosen, n_trials, probe, seed, options)
    task = _one_task(trained)
    held_out, fit = (task.trials(n_trials, derive_seed(seed, purpose)) for purpose in ("compare", "compare fit"))
    systems, train = ([_renamed(r.system(t), n) for r, n in zip(trained, names)] for t in (held_out, fit))
    untrained = None
    if isinstance(null, str) and null == "auto" and any(m.traits.needs in _AGAINST_UNTRAINED for m in chosen.values()):
        of_trajectories = any(m.traits.needs == "trajectories" for m in chosen.values())
        count = max(_N_UNTRAINED, n_surrogates) if of_trajectories else _N_UNTRAINED
        untrained = {
            n: [u.system(held_out) for u in untrained_runs(r, count, seed)]
            for r, n in zip(trained, names)
            if not _given_cell(r)
        }
    scores = task_scores(trained, names)
    comparison = Comparison(
        systems,
        train,
        chosen.values(),
        untrained=untrained,
        task_scores=scores,
        runs=dict(zip(names, trained)),
        **options,
    )
    text = below_threshold(scores)
    if text:
        warnings.warn(text, stacklevel=2)
    return comparison


def _known_conditions(things: Sequence[Any], names: Sequence[str], n_trials: int, seed: int) -> Any:
    """Labels (trial,) of the new trials of runs of one task, or of each recording by its name; None for others."""
    if all(isinstance(t, Recording) and t.conditions is not None for t in things):
        return {name: t.conditions for name, t in zip(names, things)}
    if all(isinstance(t, Run) for t in things):
        return things[0].task.trials(n_trials, derive_seed(seed, "compare")).conditions.tolist()
    return None


def _is_single(things: Any) -> bool:
    return not hasattr(things, "__iter__") or getattr(things, "ndim", 1) == 0


def _compare_across(
    runs: Sequence[Run],
    names: Sequence[str],
    measures: Mapping[str, Measure],
    n_trials: int,
    probe: Any,
    seed: int,
    options: dict[str, Any],
) -> Comparison:
    """A comparison of runs of several tasks: on trials of their own, and on the probe where trials are paired."""
    paired = [m.name for m in measures.values() if m.traits.needs == "paired trajectories"]
    if paired and probe is None:
        alike = len({r.task.name for r in runs}) == 1  # then only their settings tell them apart
        whose: dict[str, list[str]] = {}
        for r, n in zip(runs, names):
            whose.setdefault(str(describe(r.task)) if alike else r.task.name, []).append(n)
        tasks = "; ".join(f"{task} ({few(who)})" for task, who in whose.items())
        raise ValueError(
            f"`probe`: expected inputs to feed to all, since {', '.join(paired)} pairs trials and the runs are of "
            f"different tasks, {tasks}; got None. Give a task, trials or an array, or choose measures that do not."
        )
    systems = [
        _renamed(r.system(r.task.trials(n_trials, derive_seed(seed, "compare"))), n) for r, n in zip(runs, names)
    ]
    if any(m.traits.per_step for m in measures.values()):
        check_dt(systems, names)
    matched = None if probe is None else probed(runs, names, probe, n_trials, derive_seed(seed, "compare"))
    scores = task_scores(runs, names)
    comparison = Comparison(
        systems, None, measures.values(), matched=matched, task_scores=scores, runs=dict(zip(names, runs)), **options
    )
    text = below_threshold(scores)
    if text:
        warnings.warn(text, stacklevel=3)
    return comparison


def _one_task(runs: Sequence[Run]) -> Any:
    """The task of all runs; ValueError if they are of several."""
    task = runs[0].task
    for run in runs[1:]:
        if describe(run.task) != describe(task):
            raise ValueError(
                f"`things`: expected runs of one task, got {describe(task)} ({runs[0].name}) and "
                f"{describe(run.task)} ({run.name}). Pass run.system(trials) to compare across tasks."
            )
    return task


def _compare_recordings(
    things: Sequence[Run | Recording | System],
    names: Sequence[str],
    measures: Mapping[str, Measure],
    n_trials: int,
    match: Any,
    seed: int,
    options: dict[str, Any],
) -> Comparison:
    """A comparison in which there are recordings: noise is scored beside them, and trials are paired where needed."""
    runs = [t for t in things if isinstance(t, Run)]
    trials = _one_task(runs).trials(n_trials, derive_seed(seed, "compare")) if runs else None
    systems = []
    for thing, name in zip(things, names):
        system = thing.system(trials) if isinstance(thing, Run) and trials is not None else thing
        system = system.system() if isinstance(system, Recording) else system
        if isinstance(system, System):
            systems.append(_renamed(system, name))
    paired = any(m.traits.needs == "paired trajectories" for m in measures.values())
    if paired or any(m.traits.per_step for m in measures.values()):
        check_dt(systems, [n for t, n in zip(things, names) if isinstance(t, Run)])
    recorded = {n: t for t, n in zip(things, names) if isinstance(t, Recording)}
    anchors = {}
    if any(m.traits.needs == "trajectories" for m in measures.values()):
        count = max(options["n_surrogates"], 20)  # of each kind: with fewer, one in twenty cannot be told
        for name, recording in recorded.items():
            noise = noise_anchors(recording, count, seed=seed)
            anchors[name] = {kind: [a.system() for a in ones] for kind, ones in noise.items()}
    return Comparison(
        systems,
        None,
        measures.values(),
        matched=match_trials(things, names, trials, match) if paired else None,
        anchors=anchors,
        provenance={n: r.provenance for n, r in recorded.items()},
        task_scores=task_scores(runs, [n for t, n in zip(things, names) if isinstance(t, Run)]) if runs else None,
        runs={n: t for t, n in zip(things, names) if isinstance(t, Run)},
        **options,
    )


def _given_cell(run: Run) -> bool:
    """Whether the network was made around a cell that came with its weights, which cannot be drawn anew."""
    return isinstance(run.network, CellNetwork)


def _renamed(system: System, name: str) -> System:
    return system if system.name == name else replace(system, name=name)


def distinct_names(names: list[str]) -> list[str]:
    """The names, numbered where one comes twice."""
    return [n if names.count(n) == 1 else f"{n} ({names[: i + 1].count(n)})" for i, n in enumerate(names)]

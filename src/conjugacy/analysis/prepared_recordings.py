"""Recordings made ready for a measure in several ways: bins, smoothing, dimensions, halves of trials and of units."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from conjugacy._check import check_choice, check_instance, check_int, check_list, check_number, check_optional
from conjugacy._threads import one_blas_thread
from conjugacy.recordings import averages
from conjugacy.recordings.anchors import noise_anchors
from conjugacy.recordings.crossed_cka import CrossedCKA
from conjugacy.recordings.provenance import milliseconds
from conjugacy.recordings.recording import Recording
from conjugacy.recordings.system_as_recorded import as_recorded
from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.similarity.half_samples import half
from conjugacy.similarity.measure import Measure, get_measure
from conjugacy.similarity.principal_components import principal_axes
from conjugacy.similarity.samples import kind_of
from conjugacy.similarity.score import Undefined
from conjugacy.system import System
from conjugacy.trials import Trials

MATCHES = ("condition", "index")
_FEW_TRIALS = 16


@dataclass(frozen=True, order=True)
class Setting:
    """One way to go from spikes to states.

    Attributes
    ----------
    bin_size : float or None
        Width of the bins (s); None: as they are.
    smooth : float or None
        Standard deviation of the Gaussian (s); None: no smoothing.
    dimension : int or None
        Leading principal components that are kept; None: all units.
    """

    bin_size: float | None = None
    smooth: float | None = None
    dimension: int | None = None

    def of(self, recording: Recording) -> Recording:
        """The recording in these bins, smoothed (without the reduction to components)."""
        width = self.bin_size
        if width is not None and abs(width - recording.bin_size) > 1e-9 * width:
            recording = recording.bin(width)
        if self.smooth is None:
            return recording
        return recording.smooth(self.smooth)

    def __str__(self) -> str:
        parts = [] if self.bin_size is None else [f"bins of {milliseconds(self.bin_size)}"]
        parts += [] if self.smooth is None else [f"SD {milliseconds(self.smooth)}"]
        parts += [] if self.dimension is None else [f"{self.dimension} components"]
        return ", ".join(parts) or "as recorded"


def settings_grid(bins: Sequence[float], smoothing: Sequence[float], dimensions: Sequence[int | None]) -> list[Setting]:
    """All combinations; the one in the middle of each list is the first. ValueError names a list with a wrong value."""
    for name, given in (("bins", bins), ("smoothing", smoothing)):
        for value in check_list(name, given, "widths in seconds"):
            check_number(name, value, 0, open_low=True, hint="In seconds.")
    for value in check_list("dimensions", dimensions, "numbers of components, or None for all units"):
        if value is not None:
            check_int("dimensions", value, 1)
    lists = [list(bins), list(smoothing), list(dimensions)]
    made = [Setting(*values) for values in itertools.product(*lists)]
    middle = Setting(*(values[len(values) // 2] for values in lists))
    return [middle, *(s for s in made if s != middle)]


@dataclass(eq=False)
class Prepared:
    """A recording with what was computed of it: give it in place of the recording where many questions are asked of it.

    Attributes
    ----------
    recording : Recording
    exact : bool
        Whether its units are rates of a known system, without noise and without end: they are not resampled then.
    """

    recording: Recording
    exact: bool = False
    _kept: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self):
        check_instance("recording", self.recording, Recording)

    @property
    def name(self) -> str:
        """Name of the recording."""
        return self.recording.name

    def called(self, name: str) -> Prepared:
        """The same under another name."""
        return self if name == self.name else Prepared(replace(self.recording, name=name), self.exact, self._kept)

    def at(self, setting: Setting) -> Recording:
        """The recording in the bins and with the smoothing of `setting`."""
        key = (setting.bin_size, setting.smooth)
        if key not in self._kept:
            self._kept[key] = setting.of(self.recording)
        return self._kept[key]

    def features(self, setting: Setting, measure: Measure, match: str | None, labels: Sequence[str]) -> Any:
        """What `measure` prepares of all trials and units."""
        key = (setting, measure, match, tuple(labels))
        if key not in self._kept:
            self._kept[key] = measure.prepare(self.system(setting, match, labels))
        return self._kept[key]

    def system(
        self,
        setting: Setting,
        match: str | None,
        labels: Sequence[str],
        trials: np.ndarray | None = None,
        units: np.ndarray | None = None,
    ) -> System:
        """Some of the trials and units as a system; by condition, the means of the conditions `labels`."""
        recording = self.at(setting)
        x, lengths, conditions = recording.values, recording.lengths, recording.conditions
        x = x if trials is None else x[trials]
        lengths = lengths if trials is None else lengths[trials]
        x = x if units is None else x[..., units]
        if match == "condition":
            assert conditions is not None
            own = conditions if trials is None else conditions[trials]
            group = np.array([labels.index(str(c)) if str(c) in labels else -1 for c in own])
            means = averages.group_means(x[group >= 0], lengths[group >= 0], group[group >= 0])
            x, lengths = means.mean, means.lengths
        if setting.dimension is not None and setting.dimension < x.shape[2]:
            inside = (np.arange(x.shape[1]) < lengths[:, None])[..., None]
            mean, _, axes = principal_axes(x[inside[..., 0]])
            x = (x - mean) @ axes[:, : setting.dimension] * inside
        return System(
            self.name,
            torch.from_numpy(np.ascontiguousarray(x)),
            None,
            torch.from_numpy(lengths),
            dt=recording.bin_size,
        )

    def halves(
        self, match: str | None, rng: np.random.Generator, share: float = 0.5
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Indices of a share of the trials (None where they are drawn for all alike) and of the units."""
        n, d = self.recording.n_trials, self.recording.n_units
        trials = None
        if match == "condition":
            trials = np.concatenate([half(rows, rng, share) for rows in _by_label(self.recording)])
        elif match is None:
            trials = half(np.arange(n), rng, share)
        return trials, None if self.exact else half(np.arange(d), rng, share)


def _by_label(recording: Recording) -> list[np.ndarray]:
    labels = _texts(recording)
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def _shortest(recording: Recording, label: str) -> int:
    """Bins of the shortest trial of a condition."""
    return int(recording.lengths[_texts(recording) == label].min())


def _ends(recording: Recording, ends: Mapping[str, int]) -> np.ndarray:
    """Lengths (trial,) to which trials of the conditions in `ends` are cut; the others stay as they are."""
    texts = _texts(recording)
    return np.array([ends.get(label, n) for label, n in zip(texts, recording.lengths.tolist())], dtype=np.int64)


def _texts(recording: Recording) -> np.ndarray:
    """Labels (trial,) of conditions as text."""
    assert recording.conditions is not None
    return np.array([str(label) for label in recording.conditions])


def check_asked(
    level: float, n_resamples: int, n_noise: int, seed: int, trials: Trials | None, match: str | None
) -> None:
    """Check what questions about animals take alike; ValueError, TypeError name what is wrong."""
    check_number("level", level, 0, 1, open_low=True)
    if level >= 1:
        raise ValueError(f"`level`: expected less than 1, got {level:g}.")
    check_int("n_resamples", n_resamples, 10)
    check_int("n_noise", n_noise, math.ceil(1 / (1 - level) - 1e-9) - 1, hint="Fewer reach no p-value that low.")
    check_int("seed", seed, 0)
    check_optional("trials", trials, Trials)
    check_match(match)


def check_match(match: str | None) -> None:
    """Check how trials are to be paired."""
    if match is not None:
        check_choice("match", match, MATCHES)


def chosen_measure(measure: str | Measure | None) -> Measure:
    """The measure asked for; None: `recordings.CrossedCKA`."""
    return CrossedCKA() if measure is None or measure == "cka_crossed" else get_measure(measure)


def counts_for(measure: Measure, counts: str | None) -> str | None:
    """The distribution of spikes of candidates; "auto": none where the measure is corrected for noise."""
    if counts != "auto":
        return counts
    return None if isinstance(measure, CrossedCKA) else "poisson"


def animals_of(animals: Any, least: int) -> list[Prepared]:
    """Recordings of animals, each with several trials; TypeError, ValueError name what is wrong."""
    if isinstance(animals, (Recording, Prepared)):
        animals = [animals]
    found = []
    for k, animal in enumerate(check_list("animals", animals, "recordings", least)):
        if isinstance(animal, Prepared):
            found.append(animal)
            continue
        found.append(Prepared(check_instance(f"animals[{k}]", animal, Recording, "Make one with Recording.from_...")))
        if found[-1].recording.n_averaged is not None:
            raise ValueError(
                f"`animals[{k}]`: expected single trials, got averages ({animal.provenance}). Trials are resampled, "
                "and averaged here where conditions are matched."
            )
        if animal.n_trials < 4 or animal.n_units < 4:
            raise ValueError(
                f"`animals[{k}]`: expected at least 4 trials and 4 units, of which halves are drawn, got "
                f"{animal.n_trials} trials and {animal.n_units} units."
            )
    width = found[0].recording.bin_size
    for k, animal in enumerate(found):
        if abs(animal.recording.bin_size - width) > 1e-9 * width:
            raise ValueError(
                f"`animals[{k}]`: expected bins of {width:g} s as in the first one, got "
                f"{animal.recording.bin_size:g} s. Bring all to one width with bin()."
            )
    return distinct(found)


def distinct(prepared: Sequence[Prepared]) -> list[Prepared]:
    """The same with names that differ."""
    names = [p.name for p in prepared]
    out = []
    for k, (p, name) in enumerate(zip(prepared, names)):
        if names.count(name) > 1:
            p = p.called(f"{name} ({names[: k + 1].count(name)})")
        out.append(p)
    return out


def candidate_of(
    name: str, thing: Any, like: Recording, trials: Trials | None, counts: str | None, seed: int
) -> Prepared:
    """A run, system or recording as a recording that can be compared with the animal `like`.

    Runs do the trials given, or are driven by the inputs of the animal; see `recordings.as_recorded`.
    """
    if isinstance(thing, Prepared):
        return thing
    if isinstance(thing, Recording):
        return Prepared(thing)
    if isinstance(thing, Run):
        conditions = None
        if trials is not None:
            system, conditions = thing.system(trials), trials.conditions.numpy()
            conditions = conditions if len(set(conditions.tolist())) > 1 else None
        elif like.inputs is not None:
            system, conditions = thing.drive(like.inputs, like.lengths), like.conditions
        else:
            raise ValueError(
                f"`trials`: expected the trials that the run {thing.name} is to do, got None, and {like.name} has no "
                "inputs to drive it with. Give trials=task.trials(n, seed), or recordings with inputs=."
            )
        made = as_recorded(system, like, counts=counts, conditions=conditions, seed=seed)
    elif isinstance(thing, System):
        made = as_recorded(thing, like, counts=counts, seed=seed)
    else:
        raise TypeError(f"`{name}`: expected a Run, Recording or System, got {kind_of(thing)}.")
    return Prepared(replace(made, name=thing.name), exact=counts is None)


@dataclass(frozen=True, eq=False)
class Bench:
    """Animals and candidates side by side, and how their trials are paired.

    Attributes
    ----------
    animals, candidates : list of Prepared
    measure : Measure
    match : {"condition", "index"} or None
    labels : tuple of str
        Conditions that all have, where they are matched.
    """

    animals: list[Prepared]
    candidates: list[Prepared]
    measure: Measure
    match: str | None
    labels: tuple[str, ...]

    @classmethod
    def of(
        cls, animals: Sequence[Prepared], candidates: Sequence[Prepared], measure: Measure, match: str | None
    ) -> Bench:
        """Pair the trials; ValueError says why they cannot be paired."""
        everyone = [*animals, *candidates]
        if measure.traits.needs not in ("paired trajectories", "trajectories"):
            raise ValueError(
                f"`measure`: expected one that compares trajectories, got {measure.name!r}, which needs "
                f"{measure.traits.needs}. Animals have no more."
            )
        width = everyone[0].recording.bin_size
        for p in everyone:
            if abs(p.recording.bin_size - width) > 1e-9 * width:
                raise ValueError(
                    f"`{p.name}`: expected bins of {width:g} s, those of the animals, got {p.recording.bin_size:g} s. "
                    "Bring all recordings to one width with bin()."
                )
        if measure.traits.needs == "trajectories":
            return cls(list(animals), list(candidates), measure, None, ())
        with_labels = all(p.recording.conditions is not None for p in everyone)
        shared: list[str] = []
        repeated = False
        if with_labels:
            shared = sorted(set.intersection(*(set(_texts(p.recording).tolist()) for p in everyone)))
            counts_of = [np.unique(_texts(p.recording), return_counts=True)[1] for p in animals]
            repeated = all((counts > 1).all() for counts in counts_of)
        if match is None:
            match = "condition" if len(shared) > 1 and repeated else "index"
        if match == "condition":
            if len(shared) < 2:
                raise ValueError(
                    f"`match`: expected at least 2 conditions that all share, got {len(shared)}. Give conditions=, or "
                    "match='index' where trial k of all is the same."
                )
            # averages of a condition are as long in all, whatever trials are drawn
            ends = {label: min(_shortest(p.recording, label) for p in everyone) for label in shared}
            cut = [_cut(p, _ends(p.recording, ends)) for p in everyone]
            return cls(cut[: len(animals)], cut[len(animals) :], measure, match, tuple(shared))
        counts = {p.name: p.recording.n_trials for p in everyone}
        if len(set(counts.values())) > 1:
            some = ", ".join(f"{n} ({name})" for name, n in list(counts.items())[:4])
            raise ValueError(
                f"`match`: expected as many trials of each where trial k is paired with trial k, got {some}. Give "
                "conditions=, or a measure that pairs nothing, such as 'dsa'."
            )
        shortest = np.min([p.recording.lengths for p in everyone], axis=0)
        cut = [_cut(p, shortest) for p in everyone]
        return cls(cut[: len(animals)], cut[len(animals) :], measure, "index", ())

    @property
    def text(self) -> str:
        """What was paired, in words."""
        if self.match == "condition":
            more = ", ..." * (len(self.labels) > 8)
            return f"means of {len(self.labels)} conditions: {', '.join(self.labels[:8])}{more}"
        if self.match == "index":
            return f"{self.animals[0].recording.n_trials} trials, by their number"
        return "nothing is paired"

    @property
    def share(self) -> float:
        """Share of trials and units that is drawn: half, three quarters where half of the trials would be too few."""
        return 0.5 if min(p.recording.n_trials for p in self.animals) >= _FEW_TRIALS else 0.75

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Values of draws (draw, ...) with the spread that whole data would have from one set to the next.

        A mean over a share f of n values drawn without replacement has the variance (1 - f) / f of that of a new mean
        over n: equal for halves.
        """
        if self.share == 0.5:
            return values
        middle = np.nanmean(values, axis=0)
        return middle + np.sqrt(self.share / (1 - self.share)) * (values - middle)

    def distances(self, setting: Setting) -> tuple[np.ndarray, np.ndarray]:
        """Distances (animal, candidate) and (animal, animal) with all trials and units; NaN where undefined."""
        with one_blas_thread():
            of_animals, of_candidates = (
                [_or_undefined(partial(p.features, setting, self.measure, self.match, self.labels)) for p in side]
                for side in (self.animals, self.candidates)
            )
            return self._compared(of_animals, of_candidates)

    def half_distances(self, setting: Setting, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The same with half (`share`) of the trials and units: those of an animal are the same for all."""
        n = self.animals[0].recording.n_trials
        share = self.share
        common = half(np.arange(n), rng, share) if self.match == "index" else None

        def prepared(p: Prepared) -> Any:
            trials, units = p.halves(self.match, rng, share)
            trials = common if self.match == "index" else trials
            return _or_undefined(
                lambda: self.measure.prepare(p.system(setting, self.match, self.labels, trials, units))
            )

        with one_blas_thread():
            return self._compared([prepared(p) for p in self.animals], [prepared(p) for p in self.candidates])

    def noise_distances(self, setting: Setting, n: int, seed: int) -> np.ndarray:
        """Distances (animal, surrogate) of animals from `n` surrogates of their own; infinite where undefined."""
        out = []
        for k, animal in enumerate(self.animals):
            # counts of wider bins are drawn as such: white noise has no other past
            binned = replace(setting, smooth=None).of(animal.recording)
            base = replace(binned, steps=(), origin=None, inputs=None, truth=None)
            kind = "gaussian" if base.kind == "activity" else "poisson"
            noise = noise_anchors(base, n, kinds=[kind], seed=derive_seed(seed, f"noise {k}"))[kind]
            with one_blas_thread():
                ours = _or_undefined(partial(animal.features, setting, self.measure, self.match, self.labels))
                theirs = [
                    _or_undefined(partial(Prepared(x).features, setting, self.measure, self.match, self.labels))
                    for x in noise
                ]
                out.append([self.distance(ours, f) for f in theirs])
        found = np.array(out)
        return np.where(np.isfinite(found), found, np.inf)

    def _compared(self, animals: Sequence[Any], candidates: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        to_candidates = np.array([[self.distance(a, c) for c in candidates] for a in animals])
        among = np.zeros((len(animals), len(animals)))
        for i, j in itertools.combinations(range(len(animals)), 2):
            among[i, j] = among[j, i] = self.distance(animals[i], animals[j])
        return to_candidates.reshape(len(animals), len(candidates)), among

    def distance(self, a: Any, b: Any) -> float:
        """Distance of two prepared features, the mean of both directions; NaN where undefined."""
        if a is None or b is None:
            return float("nan")
        traits = self.measure.traits
        values = [self.measure.compare_or_nan(a, b)[0]]
        if not traits.symmetric:
            values.append(self.measure.compare_or_nan(b, a)[0])
        sign = 1.0 if traits.higher_is_more_similar else -1.0
        return float(sign * (traits.perfect - np.mean(values)))


def _or_undefined(make: Any) -> Any:
    """Features, or None where the measure is undefined for them."""
    try:
        return make()
    except Undefined:
        return None


def _cut(p: Prepared, lengths: np.ndarray) -> Prepared:
    """The same trials, none longer than `lengths`; the same object where that changes nothing."""
    x = p.recording
    longest = int(lengths.max())
    if np.array_equal(x.lengths, lengths) and x.values.shape[1] == longest:
        return p
    inside = (np.arange(longest) < lengths[:, None])[..., None]
    origin = x.origin
    if origin is not None:
        raise ValueError(
            f"`{p.name}`: expected trials as long as those of the others, or a recording to which nothing was done "
            f"yet, got one that was processed ({x.provenance}). Bins and smoothing are chosen here."
        )
    cut = replace(
        x, values=np.where(inside, x.values[:, :longest], 0.0), lengths=lengths, inputs=None, truth=None, behaviour={}
    )
    return Prepared(cut, p.exact)

"""What a similarity measure is: `Measure`, the `Score` it returns, and the registry in which it is found by name.

A measure works in two stages. `prepare(system)` does, once per system, all that does not depend on the partner
(embedding, decompositions, operators); `compare(features_a, features_b)` does the rest. Comparing M systems all with
all then costs M preparations and M (M - 1) / 2 comparisons. Calling a measure, ``measure(a, b)``, does both and
returns a `Score`. A new measure is a new file: a frozen dataclass that inherits from `Measure` and states its
`Traits`, and one line in `FAMILIES` (or a call of `register`).
"""

from __future__ import annotations

import contextlib
import importlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from conjugacy._check import check_choice, did_you_mean, shown
from conjugacy._threads import one_blas_thread
from conjugacy.similarity.bootstrap import bootstrap_interval
from conjugacy.similarity.half_samples import check_resampled, generalising_interval
from conjugacy.similarity.nulls import Side, null_summary, value_or_nan
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.samples import as_system, kind_of, steps_differ
from conjugacy.similarity.score import OFF_DATA as OFF_DATA  # for measures of your own, which name it
from conjugacy.similarity.score import Interval, Null, Score, Traits, Undefined
from conjugacy.system import System


class Measure(ABC):
    """A way to compare two systems. Subclasses are frozen dataclasses whose fields are the measure's parameters."""

    # how many pairs `compare_many` is given between two looks at the keyboard
    pairs_at_once: ClassVar[int] = 64
    # the surrogate that suits it, where it is not the usual one of what it needs; see `nulls`
    automatic_null: ClassVar[str | None] = "usual"
    # whether a single comparison takes so long that surrogates are drawn only where they are asked for by name
    costly: ClassVar[bool] = False
    # surrogates that keep all that it sees: they are no null for it
    unmoved_by: ClassVar[frozenset[str]] = frozenset()

    @property
    @abstractmethod
    def traits(self) -> Traits:
        """Name, range, invariances and the like, for the parameters of this instance."""

    @abstractmethod
    def prepare(self, system: System, train: System | None = None) -> Any:
        """The features of one system: all work that does not depend on the partner.

        `train` holds trials on which a measure that fits one system to another may fit; the rest ignore it.
        """

    def prepare_for_value(self, system: System) -> Any:
        """Features good for `compare` alone, without what intervals need; for surrogates, which are many."""
        return self.prepare(system)

    @abstractmethod
    def compare(self, a: Any, b: Any) -> tuple[float, dict[str, Any]]:
        """Value and diagnostics for two prepared systems.

        An entry "warnings" of the diagnostics, a tuple of str, becomes the `warnings` of the score. Raises `Undefined`
        where the measure has no value for these two.
        """

    def resample(self, features: Any, counts: np.ndarray) -> Any:
        """The features if trial k had been recorded ``counts[k]`` times (integers, (trial,))."""
        raise NotImplementedError(
            f"{self.name!r} has no intervals: its value does not depend on the trials. Use interval=None."
        )

    def interval(self, a: Any, b: Any, value: float, resampling: Resampling) -> Interval | None:
        """The interval of `value` for prepared systems, by default from resampled trials; None where there is none."""
        if not (self.n_trials(a) and self.n_trials(b)):
            return None
        return bootstrap_interval(self, a, b, value, resampling)

    def shuffle(self, features: Any, rng: np.random.Generator) -> Any:
        """The features with the trials in a random order, each in the place of one as long.

        For measures that pair trials, this makes a null without preparing anew; None where that cannot be.
        """
        return None

    def n_trials(self, features: Any) -> int:
        """Number of trials behind prepared features, 0 where they do not depend on trials."""
        return int(getattr(features, "n_trials", 0))

    def draw_trials(self, a: Any, b: Any, n_resamples: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """How often each trial of `a` and of `b` is drawn with replacement, (resample, trial) each."""
        k_a, k_b = self.n_trials(a), self.n_trials(b)
        counts_a = rng.multinomial(k_a, np.full(k_a, 1 / k_a), size=n_resamples)
        if self.traits.needs == "paired trajectories":
            return counts_a, counts_a
        return counts_a, rng.multinomial(k_b, np.full(k_b, 1 / k_b), size=n_resamples)

    def compare_resampled(self, a: Any, b: Any, counts_a: np.ndarray, counts_b: np.ndarray) -> np.ndarray:
        """Values (resample,) under trial counts (resample, trial), NaN where undefined; the default refits each."""
        values = np.full(len(counts_a), np.nan)
        for k, (count_a, count_b) in enumerate(zip(counts_a, counts_b)):
            with contextlib.suppress(Undefined):
                values[k] = value_or_nan(self, self.resample(a, count_a), self.resample(b, count_b))
        return values

    def compare_many(
        self, a: Sequence[Any], b: Sequence[Any], pairs: Sequence[tuple[int, int]]
    ) -> list[tuple[float, dict[str, Any]]]:
        """Value and diagnostics of ``compare(a[i], b[j])`` for all (i, j) in `pairs`; batched where it pays.

        NaN, with the reason under "warnings", where the measure is undefined for a pair.
        """
        return [self.compare_or_nan(a[i], b[j]) for i, j in pairs]

    def compare_or_nan(self, a: Any, b: Any) -> tuple[float, dict[str, Any]]:
        """`compare`, or NaN with the reason under "warnings" where the measure is undefined."""
        try:
            return self.compare(a, b)
        except Undefined as reason:
            return float("nan"), {"warnings": (str(reason),)}

    @property
    def least_units(self) -> int:
        """How many units a system must have at least, for surrogates that are made of few components."""
        return 1

    @property
    def name(self) -> str:
        """Name in the registry."""
        return self.traits.name

    @property
    def version(self) -> str:
        """Version of the definition."""
        return self.traits.version

    def __call__(
        self,
        a: Any,
        b: Any,
        *,
        train: tuple[Any, Any] | None = None,
        interval: float | None = None,
        n_resamples: int = 200,
        null: Any = None,
        n_surrogates: int = 50,
        seed: int = 0,
        resample: str | Sequence[str] = "trials",
        conditions: Any = None,
        block: int | None = None,
    ) -> Score:
        """Compare two systems.

        Parameters
        ----------
        a, b : System or array (trial, time, unit)
            Never changed; computed on in float64.
        train : pair of systems, optional
            Trials on which measures that fit (State R2) fit, while `a` and `b` are held out. Without it such
            measures split the trials of `a` and `b`.
        interval, n_resamples, null, n_surrogates, seed
            Settings of the interval over trials ("portrait": the range over searches) and of the null; see
            `Resampling`. Systems given as `null` are put in the place of `b`: retrained or untrained copies, say.
        resample, conditions, block
            Over what the interval is, where not over trials: "units", "conditions" (with the label of each trial),
            both ways at once, or "blocks" of a long recording; see `Resampling`.

        Returns
        -------
        Score
            Its `warnings` are also issued as Python warnings.

        Raises
        ------
        TypeError, ValueError
            If an argument is of another kind or out of range, the systems do not fit each other, or the measure is
            undefined for them.
        """
        resampling = Resampling(interval, n_resamples, null, n_surrogates, seed, resample, conditions, block)
        a, b = as_system("a", a), as_system("b", b)
        check_resampled([a, b], resampling)
        train_a, train_b = _train_pair(train)
        # with more threads, the last digits would depend on their number
        with one_blas_thread():
            side_a, side_b = Side.of(self, a, train_a), Side.of(self, b, train_b)
            value, diagnostics = self.compare(side_a.features, side_b.features)
            score = self.score_of(side_a, side_b, value, diagnostics, resampling)
        if interval is not None and score.interval is None:
            self.resample(side_a.features, np.ones(1, dtype=int))  # raises: says that there are none
        for text in score.warnings:
            warnings.warn(f"{self.name}: {text}", stacklevel=2)
        return score

    def score_of(self, a: Side, b: Side, value: float, diagnostics: dict[str, Any], resampling: Resampling) -> Score:
        """The `Score` of a value that was computed from both sides, with the interval and null of `resampling`."""
        bounds = summary = None
        if resampling.interval is not None:
            if resampling.resample == ("trials",):
                bounds = self.interval(a.features, b.features, value, resampling)
            else:
                bounds = generalising_interval(self, a, b, value, resampling)
        if resampling.null_of(b.system.name) is not None:
            summary = null_summary(self, a, b, value, resampling)
        score = self.make_score(a.system.name, b.system.name, value, diagnostics, bounds, summary)
        if self.traits.needs == "paired trajectories" and steps_differ(a.system, b.system):
            text = (
                f"dt differs ({a.system.dt:g} s in {a.system.name!r}, {b.system.dt:g} s in {b.system.name!r}): steps "
                "are paired by their number, so at different times"
            )
            score = replace(score, warnings=(*score.warnings, text))
        return score

    def make_score(
        self,
        a: str,
        b: str,
        value: float,
        diagnostics: dict[str, Any] | None = None,
        interval: Interval | None = None,
        null: Null | None = None,
    ) -> Score:
        """A `Score` of this measure with its name, version and direction filled in."""
        return make_score(self.traits, a, b, value, diagnostics, interval, null)


def make_score(
    traits: Traits,
    a: str,
    b: str,
    value: float,
    diagnostics: dict[str, Any] | None = None,
    interval: Interval | None = None,
    null: Null | None = None,
) -> Score:
    """`Measure.make_score` for the measure with these `traits`."""
    direction = f"{a} {'<->' if traits.symmetric else '->'} {b}"
    higher = traits.higher_is_more_similar
    details = dict(diagnostics or {})
    texts = tuple(details.pop("warnings", ()))
    if not np.isfinite(value) and not texts:
        texts = (f"the value is {value}: {traits.name!r} is undefined for these data",)
    if interval is not None and not np.isfinite(interval.low + interval.high + interval.bias):
        texts += (f"no interval: {interval.method}",)
    if interval is not None and interval.doubt:
        texts += (interval.doubt,)
    if null is not None and null.n_surrogates == 0:
        texts += (f"no null: {null.kind}",)
    return Score(traits.name, traits.version, a, b, float(value), direction, higher, interval, null, details, texts)


def _train_pair(train: Any) -> tuple[System | None, System | None]:
    if train is None:
        return None, None
    if not isinstance(train, (tuple, list)) or len(train) != 2:
        raise TypeError(f"`train`: expected a pair of systems (a_train, b_train), got {kind_of(train)}.")
    return as_system("train[0]", train[0]), as_system("train[1]", train[1])


# family -> measure -> (class, parameters); the module of a family bears its name, and is imported when it is asked for
FAMILIES: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "state_r2": {"state_r2": ("StateR2", {})},
    "procrustes": {
        "procrustes": ("Shape", {}),
        "procrustes_euclidean": ("Shape", {"score": "euclidean"}),
        "bures": ("Shape", {"score": "bures"}),
        "shape_0.5": ("Shape", {"alpha": 0.5}),
    },
    "cca": {"cca": ("CCA", {}), "svcca": ("SVCCA", {}), "pwcca": ("PWCCA", {})},
    "matching": {"permutation": ("Permutation", {}), "soft_matching": ("SoftMatching", {})},
    "cka": {
        "cka": ("LinearCKA", {}),
        "angular_cka": ("LinearCKA", {"angular": True}),
        "cka_unbiased": ("UnbiasedCKA", {}),
        "cka_rbf": ("KernelCKA", {}),
    },
    "rsa": {"rsa": ("RSA", {})},
    "dsa": {"dsa": ("DSA", {}), "dsa_euclidean": ("DSA", {"score": "euclidean"})},
    "spectrum": {
        "spectrum_w2": ("Spectrum", {}),
        "spectrum_w1": ("Spectrum", {"p": 1}),
        "spectrum_w2_continuous": ("Spectrum", {"continuous": True}),
    },
    "lyapunov_distance": {"lyapunov": ("Lyapunov", {})},
    "timescales": {"timescales": ("Timescales", {})},
    "skeleton_distance": {"portrait": ("PortraitMeasure", {})},
    "conjugacy": {"conjugacy": ("ConjugacyMeasure", {})},
    "input_dsa": {
        "input_dsa": ("InputDSA", {}),
        "input_dsa_state": ("InputDSA", {"part": "state"}),
        "input_dsa_input": ("InputDSA", {"part": "input"}),
    },
}
_FAMILY_OF = {name: family for family, members in FAMILIES.items() for name in members}
# families whose module would hide a public function of its name
_HIDING = ("state_r2",)
_REGISTERED: dict[str, Callable[..., Measure]] = {}


def measure_names() -> list[str]:
    """Names of all measures that can be asked for."""
    return [*_FAMILY_OF, *_REGISTERED]


def get_measure(name: str | Measure, **parameters: Any) -> Measure:
    """The measure called `name`, with its parameters changed where given: ``get_measure("dsa", rank=6)``.

    Raises
    ------
    ValueError
        If there is no such measure, or it has no such parameter.
    """
    if isinstance(name, Measure):
        for key in parameters:
            raise ValueError(
                f"`{key}`: expected parameters only with the name of a measure, got the measure {name!r}. Use "
                f"get_measure({name.name!r}, ...)."
            )
        return name
    if not isinstance(name, str):
        raise TypeError(
            "`measure`: expected the name of a measure (conjugacy.similarity.measure_names()) or a Measure, got "
            f"{kind_of(name)}."
        )
    check_choice("measure", name, measure_names(), "See conjugacy.similarity.measure_names().")
    if name in _REGISTERED:
        make, given = _REGISTERED[name], {}
    else:
        family = _FAMILY_OF[name]
        cls, given = FAMILIES[family][name]
        module = f"_{family}" if family in _HIDING else family
        make = getattr(importlib.import_module(f"conjugacy.similarity.{module}"), cls)
    known = list(getattr(make, "__dataclass_fields__", parameters))
    for key, value in parameters.items():
        if key not in known:
            raise ValueError(
                f"`{key}`: expected a parameter of {name!r} (one of {', '.join(known) or 'none'}), got "
                f"{key}={shown(value)}.{did_you_mean(key, known)}"
            )
    return make(**{**given, **parameters})


def register(name: str, make: Callable[..., Measure]) -> None:
    """Make ``get_measure(name)`` return ``make(**parameters)``, for measures of your own.

    Raises
    ------
    ValueError
        If the name is taken.
    """
    if not isinstance(name, str):
        raise TypeError(f"`name`: expected a str, got {type(name).__name__} {shown(name)}.")
    if not callable(make):
        raise TypeError(f"`make`: expected a function that returns a Measure, or its class, got {shown(make)}.")
    if name in measure_names():
        raise ValueError(f"`name`: {name!r} is taken by another measure. Choose another name.")
    _REGISTERED[name] = make


def measure_list(measures: Any) -> dict[str, Measure]:
    """Measures by name, from one or several names or Measures.

    Raises
    ------
    TypeError, ValueError
        If there is none, or one of them is no measure.
    """
    if isinstance(measures, (str, Measure)):
        measures = [measures]
    if isinstance(measures, (bytes, type)) or not hasattr(measures, "__iter__") or getattr(measures, "ndim", 1) == 0:
        raise TypeError(
            f"`measures`: expected the name of a measure, a Measure or a list of them, got {type(measures).__name__} "
            f"{shown(measures)}."
        )
    chosen = {m.name: m for m in map(get_measure, measures)}
    if not chosen:
        raise ValueError("`measures`: expected at least one measure, got an empty list.")
    return chosen


def registry() -> dict[str, Traits]:
    """Traits of all measures by name."""
    return {name: get_measure(name).traits for name in measure_names()}

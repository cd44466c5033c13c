"""What a similarity measure is: `Measure`, the `Score` it returns, and the registry in which it is found by name.

A measure works in two stages. `prepare(system)` does, once per system, all that does not depend on the partner
(embedding, decompositions, operators); `compare(features_a, features_b)` does the rest. Comparing M systems all with
all then costs M preparations and M (M - 1) / 2 comparisons. Calling a measure, ``measure(a, b)``, does both and
returns a `Score`. A new measure is a new file: a frozen dataclass that inherits from `Measure` and states its
`Traits`, and one line in `FAMILIES` (or a call of `register`).
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from conjugacy._check import check_choice, check_int, check_number
from conjugacy.similarity.inference import bootstrap_interval, null_summary
from conjugacy.similarity.samples import as_system
from conjugacy.similarity.score import OFF_DATA as OFF_DATA  # for measures of your own, which name it
from conjugacy.similarity.score import Interval, Null, Score, Traits
from conjugacy.system import System

# what no measure can see that knows a system by its trajectories alone


class Measure(ABC):
    """A way to compare two systems. Subclasses are frozen dataclasses whose fields are the measure's parameters."""

    # how many pairs `compare_many` is given between two looks at the keyboard
    pairs_at_once: ClassVar[int] = 64
    # the surrogate that puts it to the test, where it is not the usual one of what it needs; see `inference`
    automatic_null: ClassVar[str | None] = None
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

    @abstractmethod
    def compare(self, a: Any, b: Any) -> tuple[float, dict[str, Any]]:
        """Value and diagnostics for two prepared systems."""

    def resample(self, features: Any, counts: np.ndarray) -> Any:
        """The features if trial k had been recorded ``counts[k]`` times (integers, (trial,))."""
        raise NotImplementedError(
            f"{self.name!r} has no intervals: its value does not depend on the trials. Use interval=None."
        )

    def interval(self, a: Any, b: Any, value: float, level: float, n_resamples: int, seed: int) -> Interval | None:
        """The interval of `value` for prepared systems, by default from resampled trials; None where there is none."""
        if not (self.n_trials(a) and self.n_trials(b)):
            return None
        return bootstrap_interval(self, a, b, value, level, n_resamples, seed)

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
        """Values (resample,) under trial counts (resample, trial). The default refits; faster where sums add up."""
        return np.array(
            [self.compare(self.resample(a, ca), self.resample(b, cb))[0] for ca, cb in zip(counts_a, counts_b)]
        )

    def compare_many(
        self, a: Sequence[Any], b: Sequence[Any], pairs: Sequence[tuple[int, int]]
    ) -> list[tuple[float, dict[str, Any]]]:
        """Value and diagnostics of ``compare(a[i], b[j])`` for all (i, j) in `pairs`; batched where it pays."""
        return [self.compare(a[i], b[j]) for i, j in pairs]

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
    ) -> Score:
        """Compare two systems.

        Parameters
        ----------
        a, b : System or array (trial, time, unit)
            Never changed; computed on in float64.
        train : pair of systems, optional
            Trials on which measures that fit (State R2) fit, while `a` and `b` are held out. Without it such
            measures split the trials of `a` and `b`.
        interval : float, optional
            Level of a bootstrap interval over trials, such as 0.95 ("portrait": the range over searches). None: no
            interval.
        n_resamples : int
            Number of bootstrap resamples.
        null : str, sequence of systems or None
            Kind of surrogate (see `conjugacy.similarity.inference.NULLS`; "auto" takes the one that suits), or systems
            to put in the place of `b`, such as retrained or untrained copies.
        n_surrogates : int
            Number of surrogates, if `null` is a kind.
        seed : int
            Of resamples and surrogates.

        Returns
        -------
        Score
        """
        a, b = as_system("a", a), as_system("b", b)
        train_a, train_b = (None, None) if train is None else (as_system("train", t) for t in train)
        features_a, features_b = self.prepare(a, train_a), self.prepare(b, train_b)
        value, diagnostics = self.compare(features_a, features_b)
        bounds = summary = None
        if interval is not None:
            check_number("interval", interval, 0.0, 1.0, open_low=True, hint="It is a level such as 0.95.")
            check_int("n_resamples", n_resamples, 10)
            bounds = self.interval(features_a, features_b, value, interval, n_resamples, seed)
            if bounds is None:
                self.resample(features_a, np.ones(1, dtype=int))  # raises: says that there are none
        if null is not None:
            summary = null_summary(
                self, a, b, value, null, n_surrogates, seed, (train_a, train_b), (features_a, features_b)
            )
        return self.make_score(a.name, b.name, value, diagnostics, bounds, summary)

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
    said = dict(diagnostics or {})
    return Score(traits.name, traits.version, a, b, float(value), direction, higher, interval, null, said)


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
        "cka_unbiased": ("KernelCKA", {"bandwidth": None, "unbiased": True}),
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
        return name
    check_choice("measure", name, measure_names(), "See conjugacy.similarity.measure_names().")
    if name in _REGISTERED:
        make, given = _REGISTERED[name], {}
    else:
        family = _FAMILY_OF[name]
        cls, given = FAMILIES[family][name]
        module = f"_{family}" if family in _HIDING else family
        make = getattr(importlib.import_module(f"conjugacy.similarity.{module}"), cls)
    known = list(getattr(make, "__dataclass_fields__", parameters))
    for key in parameters:
        check_choice(f"parameters of {name}", key, known)
    return make(**{**given, **parameters})


def register(name: str, make: Callable[..., Measure]) -> None:
    """Make ``get_measure(name)`` return ``make(**parameters)``, for measures of your own.

    Raises
    ------
    ValueError
        If the name is taken.
    """
    if name in measure_names():
        raise ValueError(f"`name`: {name!r} is taken by another measure. Choose another name.")
    _REGISTERED[name] = make


def registry() -> dict[str, Traits]:
    """Traits of all measures by name."""
    return {name: get_measure(name).traits for name in measure_names()}

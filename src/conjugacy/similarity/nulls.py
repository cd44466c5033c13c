"""Nulls: surrogates in which the relation between two systems is broken and something else kept. Each has its question.

- ``"shuffled_trials"``: is there a relation between these two records at all? Keeps the dynamics, breaks the pairing.
- ``"matched_systems"``: are their dynamics more alike than those of unrelated systems with the same time constants,
  noise and departure from normality? See `kinship`.
- systems given (untrained or otherwise trained networks, other animals): more alike than with these?
- ``"independent_phases"``: has `b` dynamics that join its components at all? Keeps the variance and the autocovariance
  of each principal component in each trial.
- ``"phase_randomised"``: is there more than auto- and cross-spectra? Keeps these for the units in each trial, breaks
  all else (Prichard and Theiler 1994: the same random phases in all units), also what joins states to inputs.
- ``"shuffled_time"``: does the order of states matter at all? Keeps the set of states of each trial.
- ``"auto"`` stands for the one that suits the measure: "shuffled_trials" where trials are paired, "matched_systems" for
  fitted operators. Measures of inputs, time constants, exponents and portraits have none: give systems.

The last three are no tests of kinship: any system with joint dynamics differs from its own surrogate, so that two
unrelated ones "agree" with p = .02. A surrogate that keeps all that a measure sees is no null for it: fitted operators
are functions of auto- and cross-covariances, which randomised phases keep. Such a null is refused, see
`Measure.unmoved_by`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from conjugacy._check import check_choice, check_int
from conjugacy._progress import count_one
from conjugacy.similarity.kinship import BREAKS, KEEPS, kinship_null, similar
from conjugacy.similarity.principal_components import principal_axes
from conjugacy.similarity.resampling import NULLS, Resampling
from conjugacy.similarity.samples import as_system, shuffled_order
from conjugacy.similarity.score import Null, Undefined
from conjugacy.system import System

if TYPE_CHECKING:
    from conjugacy.similarity.measure import Measure


# what each keeps, and what it breaks
MEANING = {
    "matched_systems": (KEEPS, BREAKS),
    "shuffled_trials": ("the dynamics of both", "which trial of one belongs to which of the other"),
    "shuffled_time": ("the states of each trial", "their order in time"),
    "phase_randomised": ("auto- and cross-spectra", "all else, and what joins states to inputs"),
    "independent_phases": ("variance and autocovariance of each component", "what joins components"),
    "systems given": ("what the systems given have", "what sets `b` apart from them"),
}


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two systems of a comparison: the system, its training trials if given, and its prepared features."""

    system: System
    train: System | None
    features: Any

    @classmethod
    def of(cls, measure: Measure, system: System, train: System | None = None) -> Side:
        """The side of `system`, prepared for `measure`."""
        return cls(system, train, measure.prepare(system, train))


def value_or_nan(measure: Measure, a: Any, b: Any) -> float:
    """The value for two prepared systems, NaN where the measure is undefined for them."""
    try:
        return measure.compare(a, b)[0]
    except Undefined:
        return float("nan")


def default_null(measure: Measure) -> str | None:
    """The kind of surrogate that suits a measure: what ``null="auto"`` stands for; None where there is none."""
    if measure.automatic_null != "usual":
        return measure.automatic_null
    return "shuffled_trials" if measure.traits.needs == "paired trajectories" else None


def surrogate(system: System, kind: str, rng: np.random.Generator) -> System:
    """A copy of `system` in which the relation named by `kind` (see the module docstring) is destroyed."""
    check_choice("null", kind, [k for k in NULLS if k != "matched_systems"])
    x = system.trajectories.detach().cpu().to(torch.float64).numpy().copy()
    lengths = system.lengths.numpy()
    if kind == "shuffled_trials":
        x = x[shuffled_order(lengths, rng)]
    else:
        axes, mean = np.eye(x.shape[2]), np.zeros(x.shape[2])
        if kind == "independent_phases":
            mean, _, axes = principal_axes(x[system.valid.numpy()])
        x = (x - mean) @ axes
        for k, n in enumerate(lengths):
            shared = kind == "phase_randomised"
            x[k, :n] = x[k, rng.permutation(n)] if kind == "shuffled_time" else _phase_randomised(x[k, :n], shared, rng)
        x = x @ axes.T + mean
    return replace(
        system, name=f"{system.name} ({kind})", trajectories=torch.from_numpy(x), step=None, cell=None, readout=None
    )


def _phase_randomised(x: np.ndarray, shared: bool, rng: np.random.Generator) -> np.ndarray:
    """`x` (time, component) with random phases, the same ones in all components if `shared`."""
    spectrum = np.fft.rfft(x, axis=0)
    phase = rng.uniform(0, 2 * np.pi, (len(spectrum), 1 if shared else x.shape[1]))
    phase[0] = 0.0
    if len(x) % 2 == 0:
        phase[-1] = 0.0
    return np.fft.irfft(spectrum * np.exp(1j * phase), n=len(x), axis=0)


def null_kind(measure: Measure, kind: str) -> str:
    """`kind`, or for "auto" what suits the measure; raises ValueError if it would leave the measure as it is."""
    check_choice("null", kind, (*NULLS, "auto"), "Or give systems to put in the place of `b`.")
    if kind in measure.unmoved_by or (kind == "shuffled_trials" and measure.traits.needs != "paired trajectories"):
        reason = "it does not pair trials" if kind == "shuffled_trials" else "all that it sees is kept"
        instead = default_null(measure)
        raise ValueError(
            f"`null`: {kind!r} leaves {measure.name!r} as it is, since {reason}. "
            + (f"Use {instead!r}, or systems." if instead else "Give systems, or use null=None.")
        )
    if kind != "auto":
        return kind
    suiting = default_null(measure)
    if suiting is None:
        raise ValueError(f"`null`: {measure.name!r} has no surrogates of its own. Give systems, or use null=None.")
    return suiting


def null_values(
    measure: Measure, a: Side | System, b: Side | System, kind: str = "auto", n_surrogates: int = 50, seed: int = 0
) -> np.ndarray:
    """Values (surrogate,) of ``measure(a, surrogate of b)``; NaN where the measure is undefined for a surrogate."""
    kind = null_kind(measure, kind)
    a, b = (side if isinstance(side, Side) else Side.of(measure, side) for side in (a, b))
    check_int("n_surrogates", n_surrogates, 1)
    if kind == "shuffled_trials" and b.system.n_trials < 2:
        raise ValueError("`null`: 'shuffled_trials' needs at least 2 trials, got 1. Use 'shuffled_time'.")
    rng = np.random.default_rng([seed, 1])
    values = []
    for _ in range(n_surrogates):
        features = measure.shuffle(b.features, rng) if kind == "shuffled_trials" else None
        if features is None:
            train = None if b.train is None else surrogate(b.train, kind, rng)
            features = measure.prepare(surrogate(b.system, kind, rng), train)
        values.append(value_or_nan(measure, a.features, features))
        count_one()
    return np.array(values)


def null_summary(measure: Measure, a: Side, b: Side, value: float, resampling: Resampling) -> Null:
    """Summary of the null distribution that `resampling` asks for: from surrogates of `b`, or systems in its place."""
    null = resampling.null_of(b.system.name)
    if isinstance(null, str):
        kind = null_kind(measure, null)
        if kind == "matched_systems":
            return kinship_null(measure, a.system, b.system, value, resampling.n_surrogates, resampling.seed)
        values = null_values(measure, a, b, kind, resampling.n_surrogates, resampling.seed)
    else:
        kind = "systems given"
        others = [as_system(f"null[{i}]", s) for i, s in enumerate(null)]
        given = []
        for other in others:
            given.append(value_or_nan(measure, a.features, measure.prepare(other)))
            count_one()
        values = np.array(given)
    defined = values[np.isfinite(values)]
    if len(defined) == 0 or not np.isfinite(value):
        nan = float("nan")
        return Null(f"{kind}: undefined for {len(values) - len(defined)} of {len(values)}", nan, nan, nan, nan, nan, 0)
    as_similar = similar(measure, defined, value)
    low, high = np.quantile(defined, [0.025, 0.975])
    return Null(
        kind,
        float(defined.mean()),
        float(defined.std(ddof=1)) if len(defined) > 1 else 0.0,
        float(low),
        float(high),
        float((as_similar.sum() + 1) / (len(defined) + 1)),
        len(defined),
        *MEANING[kind],
    )

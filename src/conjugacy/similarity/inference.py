"""How sure a score is: bootstrap intervals over trials, nulls from surrogate data, ceilings from halves.

Interval: trials are drawn with replacement (the same ones in both systems where trials are paired), the value is
recomputed, and the quantiles of the resampled values, shifted so that their mean falls on the value, are reported. The
shift removes what resampling itself adds: repeated trials carry less information, so distances grow and fits shrink.

Null: the second system is replaced by surrogates in which the relation has been destroyed and something else kept.

- ``"shuffled_trials"`` keeps the dynamics and breaks the pairing of trials.
- ``"independent_phases"`` keeps the variance of each principal component and its autocovariance in each trial, so all
  time constants of single components, and breaks what joins components over time.
- ``"phase_randomised"`` keeps the auto- and cross-spectra of the units in each trial, and breaks all else (Prichard and
  Theiler 1994: the same random phases in all units), also what joins states to inputs.
- ``"shuffled_time"`` keeps the set of states of each trial and breaks their order.
- ``"auto"`` stands for what the measure can be put to the test by: "shuffled_trials" where trials are paired,
  "phase_randomised" where inputs are seen, "independent_phases" for fitted operators, "shuffled_time" for time
  constants.

A surrogate that keeps all that a measure sees is no null for it: fitted operators and their eigenvalues are functions
of auto- and cross-covariances, which randomised phases keep, so the value would equal its null whatever the systems
are. Such a null is refused, see `Measure.unmoved_by`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from conjugacy._check import check_choice, check_int, check_number
from conjugacy.similarity.principal_components import principal_axes
from conjugacy.similarity.samples import as_system, shuffled_order
from conjugacy.similarity.score import Interval, Null
from conjugacy.system import System

if TYPE_CHECKING:
    from conjugacy.similarity.measure import Measure

NULLS = ("shuffled_trials", "shuffled_time", "phase_randomised", "independent_phases")


def default_null(measure: Measure) -> str | None:
    """The kind of surrogate that suits a measure: what ``null="auto"`` stands for; None where there is none."""
    if measure.automatic_null is not None:
        return measure.automatic_null
    suiting = {"paired trajectories": "shuffled_trials", "inputs": "phase_randomised", "step": None}
    return suiting.get(measure.traits.needs, "independent_phases")


def bootstrap_values(measure: Measure, a: Any, b: Any, n_resamples: int, seed: int) -> np.ndarray:
    """Values (resample,) of `measure` for prepared features `a` and `b` under resampled trials."""
    k_a, k_b = measure.n_trials(a), measure.n_trials(b)
    if min(k_a, k_b) == 0:
        measure.resample(a, np.ones(1, dtype=int))  # raises: no trials, no intervals
    if min(k_a, k_b) < 3:
        raise ValueError(
            f"`interval`: expected at least 3 trials to resample, got {min(k_a, k_b)}. Use interval=None, or cut the "
            "recording into trials."
        )
    counts_a, counts_b = measure.draw_trials(a, b, n_resamples, np.random.default_rng(seed))
    return measure.compare_resampled(a, b, counts_a, counts_b)


def centred_interval(values: np.ndarray, value: float, level: float, low: float, high: float) -> Interval:
    """The interval of the module docstring from resampled `values`, cut to the range [low, high] of the measure."""
    values = values[np.isfinite(values)]
    if len(values) < 10:
        return Interval(float("nan"), float("nan"), level, "centred bootstrap over trials", float("nan"), len(values))
    bias = float(values.mean() - value)
    tail = (1 - level) / 2
    quantiles = np.quantile(values - bias, [tail, 1 - tail])
    lo, hi = np.clip(quantiles, low, high)
    return Interval(float(lo), float(hi), level, "centred bootstrap over trials", bias, len(values))


def bootstrap_interval(
    measure: Measure, a: Any, b: Any, value: float, level: float = 0.95, n_resamples: int = 200, seed: int = 0
) -> Interval:
    """Bootstrap interval over trials for prepared features `a` and `b`; see the module docstring."""
    values = bootstrap_values(measure, a, b, n_resamples, seed)
    return centred_interval(values, value, level, measure.traits.low, measure.traits.high)


def surrogate(system: System, kind: str, rng: np.random.Generator) -> System:
    """A copy of `system` in which the relation named by `kind` (see the module docstring) is destroyed."""
    check_choice("null", kind, NULLS)
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
    measure: Measure,
    a: System,
    b: System,
    kind: str,
    n_surrogates: int = 50,
    seed: int = 0,
    train: tuple[System | None, System | None] = (None, None),
    prepared: tuple[Any, Any] | None = None,
) -> np.ndarray:
    """Values (surrogate,) of ``measure(a, surrogate of b)``; `prepared` are the features of both, where at hand."""
    kind = null_kind(measure, kind)
    check_int("n_surrogates", n_surrogates, 1)
    if kind == "shuffled_trials" and b.n_trials < 2:
        raise ValueError("`null`: 'shuffled_trials' needs at least 2 trials, got 1. Use 'shuffled_time'.")
    rng = np.random.default_rng([seed, 1])
    features_a, features_b = prepared or (measure.prepare(a, train[0]), None)
    if kind == "shuffled_trials" and features_b is None:
        features_b = measure.prepare(b, train[1])
    values = []
    for _ in range(n_surrogates):
        shuffled = measure.shuffle(features_b, rng) if kind == "shuffled_trials" else None
        if shuffled is not None:
            values.append(measure.compare(features_a, shuffled)[0])
            continue
        other = None if train[1] is None else surrogate(train[1], kind, rng)
        features_b = measure.prepare(surrogate(b, kind, rng), other)
        values.append(measure.compare(features_a, features_b)[0])
    return np.array(values)


def null_summary(
    measure: Measure,
    a: System,
    b: System,
    value: float,
    null: str | Sequence[Any],
    n_surrogates: int = 50,
    seed: int = 0,
    train: tuple[System | None, System | None] = (None, None),
    prepared: tuple[Any, Any] | None = None,
) -> Null:
    """Summary of a null distribution; `null` is a kind of surrogate, or systems to put in the place of `b`."""
    if isinstance(null, str):
        kind = null_kind(measure, null)
        values = null_values(measure, a, b, kind, n_surrogates, seed, train, prepared)
    else:
        kind = "systems given"
        others = [as_system(f"null[{i}]", s) for i, s in enumerate(null)]
        if not others:
            raise ValueError(f"`null`: expected one of {NULLS} or at least one system, got an empty list.")
        features_a = prepared[0] if prepared else measure.prepare(a, train[0])
        values = np.array([measure.compare(features_a, measure.prepare(s))[0] for s in others])
    as_similar = values >= value if measure.traits.higher_is_more_similar else values <= value
    low, high = np.quantile(values, [0.025, 0.975])
    return Null(
        kind,
        float(values.mean()),
        float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        float(low),
        float(high),
        float((as_similar.sum() + 1) / (len(values) + 1)),
        len(values),
    )


def split_half_ceiling(
    measure: Measure, system: System | Any, *, split: str = "trials", n_splits: int = 20, seed: int = 0
) -> dict[str, float]:
    """How similar one half of a system is to its other half: what a perfect model could reach with these data.

    Parameters
    ----------
    measure : Measure
    system : System or array (trial, time, unit)
    split : {"trials", "units"}
        Halves of the trials suit measures that do not pair trials; paired measures need the same trials on both
        sides, so halves of the units.
    n_splits : int
        Random halvings.
    seed : int

    Returns
    -------
    dict
        "mean", "std", "low", "high" (2.5 and 97.5 % quantiles) and "n_splits".
    """
    system = as_system("system", system)
    check_choice("split", split, ("trials", "units"))
    check_int("n_splits", n_splits, 1)
    if split == "trials" and measure.traits.needs == "paired trajectories":
        raise ValueError(f"`split`: {measure.name!r} pairs trials, so halves of the trials do not fit. Use 'units'.")
    count = system.n_trials if split == "trials" else system.n_units
    if count < 2:
        raise ValueError(f"`split`: expected at least 2 {split} in {system.name!r}, got {count}.")
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(n_splits):
        order = rng.permutation(count)
        halves = [part(system, split, order[: count // 2]), part(system, split, order[count // 2 : 2 * (count // 2)])]
        values.append(measure.compare(*(measure.prepare(half) for half in halves))[0])
    low, high = np.quantile(values, [0.025, 0.975])
    return {
        "mean": float(np.mean(values)),
        "std": float(np.std(values)),
        "low": float(low),
        "high": float(high),
        "n_splits": n_splits,
    }


def part(system: System, axis: str, index: np.ndarray) -> System:
    """The given trials, or the given units (then without `step` and `readout`, which need all units)."""
    check_choice("axis", axis, ("trials", "units"))
    rows = torch.as_tensor(np.asarray(index))
    if axis == "units":
        return replace(system, trajectories=system.trajectories[..., rows], step=None, cell=None, readout=None)
    inputs = None if system.inputs is None else system.inputs[rows]
    return replace(system, trajectories=system.trajectories[rows], inputs=inputs, lengths=system.lengths[rows])


def reliability(value: float, ceiling: float, chance: float = 0.0) -> float:
    """`value` on a scale from `chance` (0) to `ceiling` (1)."""
    check_number("ceiling", ceiling)
    if ceiling == chance:
        raise ValueError(f"`ceiling`: expected a number other than chance={chance}, got {ceiling}.")
    return (value - chance) / (ceiling - chance)

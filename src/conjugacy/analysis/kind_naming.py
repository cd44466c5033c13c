"""Which kind of network is nearest to animals: a kind is named where the data can tell, and else "cannot tell".

Distances of every animal from every network are taken alike: the same bins, smoothing and pairing of trials, networks
seen through units like the animal's. A kind is named only if all of this holds, and what does not is among `reasons`:

- the difference between its mean distance and that of every other kind has an interval above 0. The interval knows
  three sources: trials and units of the animals, by half-samples (McCarthy 1969, Rev Int Stat Inst 37:239; the same
  halves for all candidates, so that what they share cancels; halves hold no unit twice, where a bootstrap would make
  pairs of equal units), and the networks of each kind as a sample of it;
- where kinds have several networks, labels that are dealt out anew among them seldom give as large a difference (a
  permutation test, exact where all ways can be gone through). It makes naming as rare as `level` says where the
  networks of both kinds are of one kind;
- noise at the animals' rates, through the same bins and filter, is further from the animals than that kind;
- it is the nearest for every animal (four in five, where there are five or more);
- it is the nearest in the share `stability` of the settings: bins, smoothing, dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conjugacy._check import check_instance, check_number
from conjugacy.analysis.divisions import divisions, p_value_of
from conjugacy.analysis.prepared_recordings import (
    Bench,
    Prepared,
    Setting,
    animals_of,
    candidate_of,
    check_asked,
    chosen_measure,
    counts_for,
    distinct,
    settings_grid,
)
from conjugacy.analysis.summed_variances import interval_of_sum, variance_of_halves, variance_of_mean
from conjugacy.recordings.crossed_cka import CrossedCKA
from conjugacy.recordings.recording import Recording
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.similarity.measure import Measure
from conjugacy.trials import Trials

if TYPE_CHECKING:
    import pandas as pd

CANNOT_TELL = "cannot tell"
BINS = (0.005, 0.01, 0.02, 0.05)
SMOOTHING = (0.01, 0.02, 0.05)
_MOST_WAYS = 20_000
_FEW_ANIMALS, _MOST_ANIMALS = 5, 0.8


@dataclass(frozen=True)
class KindDifference:
    """How much further from the animals another kind is than the nearest one.

    Attributes
    ----------
    other : str
    difference, low, high : float
        Mean distance of the other kind less that of the nearest, and its interval.
    from_data, from_networks : float
        Standard errors: of trials and units, and of the networks of both kinds; the second is 0 for single networks.
    p_value, p_floor : float
        Of the permutation test, and the lowest that so few networks allow; NaN for single networks.
    """

    other: str
    difference: float
    low: float
    high: float
    from_data: float
    from_networks: float
    p_value: float
    p_floor: float


@dataclass(frozen=True, eq=False)
class KindNaming:
    """Which kind is nearest; see the module docstring.

    Attributes
    ----------
    answer : str
        Name of a kind, or "cannot tell".
    nearest : str
        The kind with the smallest mean distance, whether or not it may be named.
    reasons : tuple of str
        Why no kind is named; empty where one is.
    checks : dict of str to bool
        What held: "defined", "interval", "networks", "noise", "animals", "settings".
    differences : tuple of KindDifference
        One for each other kind.
    distances : array (animal, candidate)
        In the middle setting.
    animals, candidates, kinds : tuples of str
        Names; `kinds` has that of each candidate.
    share : float
        Share of the settings in which `nearest` is the nearest kind.
    by_setting : dict of str to dict of str to float
        Mean distance of each kind, by setting.
    noise : array (animal, surrogate)
        Distances of noise; infinite where the measure is undefined for it.
    measure, matched : str
        What was measured, and which trials were paired.
    level : float
    """

    answer: str
    nearest: str
    reasons: tuple[str, ...]
    checks: dict[str, bool]
    differences: tuple[KindDifference, ...]
    distances: np.ndarray
    animals: tuple[str, ...]
    candidates: tuple[str, ...]
    kinds: tuple[str, ...]
    share: float
    by_setting: dict[str, dict[str, float]]
    noise: np.ndarray
    measure: str
    matched: str
    level: float

    def table(self) -> pd.DataFrame:
        """One row a kind: networks, mean distance, how much further it is than the nearest, with an interval."""
        import pandas as pd

        others = {d.other: d for d in self.differences}
        rows = []
        for kind in dict.fromkeys(self.kinds):
            of_kind = np.array([k == kind for k in self.kinds])
            row: dict[str, Any] = {"kind": kind, "networks": int(of_kind.sum())}
            row["distance"] = float(self.distances[:, of_kind].mean())
            if kind in others:
                d = others[kind]
                row |= {"further by": d.difference, "low": d.low, "high": d.high, "p": d.p_value}
            settings = [min(means, key=lambda k: means[k]) == kind for means in self.by_setting.values()]
            row["nearest in settings"] = float(np.mean(settings))
            rows.append(row)
        return pd.DataFrame(rows).set_index("kind").sort_values("distance")

    def __repr__(self) -> str:
        lines = [f"Nearest to {', '.join(self.animals)}: {self.answer} ({self.measure}; {self.matched})."]
        for d in self.differences:
            p = "" if math.isnan(d.p_value) else f", p {d.p_value:.2g}"
            lines.append(
                f"  {d.other} is further than {self.nearest} by {d.difference:.3g} [{d.low:.3g}, {d.high:.3g}]{p}"
            )
        lines.append(f"  {self.nearest} is nearest in {self.share:.0%} of {len(self.by_setting)} settings")
        lines += [f"  - {reason}" for reason in self.reasons]
        if not any(self.kinds.count(k) > 1 for k in self.kinds):
            lines.append("  One network of each: this says nothing about their kinds.")
        return "\n".join(lines)


def nearest_kind(
    kinds: Mapping[str, Any],
    animals: Any,
    measure: str | Measure | None = None,
    *,
    bins: Sequence[float] | None = None,
    smoothing: Sequence[float] = SMOOTHING,
    dimensions: Sequence[int | None] = (None,),
    trials: Trials | None = None,
    match: str | None = None,
    counts: str | None = "auto",
    level: float = 0.95,
    stability: float = 1.0,
    n_resamples: int = 100,
    n_noise: int = 20,
    seed: int = 0,
) -> KindNaming:
    """Name the kind of network that is nearest to animals, or say that the data cannot tell.

    Parameters
    ----------
    kinds : mapping of str to Run, Recording or System, or sequence of them
        At least two kinds. With four or five networks of each, kinds can be told apart; with one of each the answer is
        about these networks alone. `analysis.prepared_recordings.Prepared` is taken in place of a recording.
    animals : Recording or sequence of Recording
        Counts (or rates) in trials, to which nothing was done yet; at least 4 trials and 4 units.
    measure : str or Measure, optional
        None: `recordings.CrossedCKA` ("cka_crossed"), which is corrected for noise. Measures that are not, such as
        "dsa", are given networks that are as noisy as the animals, see `counts`.
    bins, smoothing, dimensions : sequences
        Settings that are gone through: widths (s) of bins, multiples of the animals'; standard deviations (s) of the
        Gaussian; numbers of principal components, None for all units. The middle ones of each give the distances that
        are reported. `bins` None: those of 5, 10, 20 and 50 ms that are multiples of the animals', or theirs alone.
    trials : Trials, optional
        What runs do. None: they are driven by the inputs of the first animal.
    match : {"condition", "index"}, optional
        For measures that pair trials: means of the conditions that all share, or trial k with trial k. None: by
        condition where trials repeat them, else by number.
    counts : str or None
        Distribution of the spikes that runs and systems are given, at the animal's rates and number of units, see
        `recordings.as_recorded`. None: rates without noise. "auto": none with "cka_crossed", else "poisson".
    level : float
        Of intervals and tests, in (0, 1).
    stability : float
        Share of the settings in which the order has to hold, in [0, 1].
    n_resamples, n_noise : int
        Half-samples, at least 10; surrogates of each animal, at least enough for a p-value of 1 - `level`.
    seed : int
        Of half-samples, noise and spikes.

    Returns
    -------
    KindNaming
        Printed, it is text; `answer`, `table()`.

    Raises
    ------
    TypeError, ValueError
        If there are fewer than two kinds, animals have too few trials or units, or trials cannot be paired.
    """
    check_instance("kinds", kinds, Mapping, "A dict of name to runs.")
    if len(kinds) < 2:
        raise ValueError(f"`kinds`: expected at least 2 kinds, got {len(kinds)}. One kind is always the nearest.")
    check_number("stability", stability, 0, 1)
    check_asked(level, n_resamples, n_noise, seed, trials, match)
    chosen = chosen_measure(measure)
    beasts = animals_of(animals, 1)
    like = beasts[0].recording
    settings = settings_grid(default_bins(like) if bins is None else bins, smoothing, dimensions)
    if isinstance(chosen, CrossedCKA) and any(d is not None for d in dimensions):
        raise ValueError(
            f"`dimensions`: expected None with {chosen.name!r}, which takes products across units (components share "
            f"the noise of all), got {list(dimensions)}. Choose another measure to go through dimensions."
        )
    candidates, labels = _candidates(kinds, like, trials, counts_for(chosen, counts), seed)
    bench = Bench.of(beasts, candidates, chosen, match)
    label = np.array(labels)
    names = list(dict.fromkeys(labels))

    by_setting: dict[str, dict[str, float]] = {}
    for setting in settings:
        found = bench.distances(setting)[0]
        by_setting[str(setting)] = {k: float(found[:, label == k].mean()) for k in names}
    middle = settings[0]
    distances = bench.distances(middle)[0]
    means = by_setting[str(middle)]
    undefined = [k for k in names if not np.isfinite(means[k])]
    nearest = min(names, key=lambda k: means[k] if np.isfinite(means[k]) else np.inf)
    several = any(labels.count(k) > 1 for k in names)
    halves = _half_means(bench, middle, label, names, n_resamples, seed)
    differences = tuple(
        _difference(distances, label, nearest, k, halves[nearest], halves[k], level, seed)
        for k in names
        if k != nearest
    )
    held = [_nearest_of(m) == nearest for m in by_setting.values()]
    share = sum(held) / len(held)
    noise = bench.noise_distances(middle, n_noise, seed)
    own = distances[:, label == nearest].mean(1)
    p_noise = ((noise <= own[:, None]).sum(1) + 1) / (noise.shape[1] + 1)
    per_animal = {k: distances[:, label == k].mean(1) for k in names}
    agrees = np.array([all(per_animal[nearest][i] <= per_animal[k][i] for k in names) for i in range(len(beasts))])
    needed = 1.0 if len(beasts) < _FEW_ANIMALS else _MOST_ANIMALS
    error = 1 - level + 1e-12
    checks = {
        "defined": not undefined,
        "interval": all(d.low > 0 for d in differences),
        "networks": not several or all(d.p_value <= error for d in differences),
        "noise": bool((p_noise <= error).all()),
        "animals": bool(agrees.mean() >= needed),
        "settings": share >= stability - 1e-12,
    }
    reasons = _reasons(checks, undefined, differences, error, nearest, p_noise, agrees, share, len(settings), beasts)
    return KindNaming(
        nearest if all(checks.values()) else CANNOT_TELL,
        nearest,
        tuple(reasons),
        checks,
        differences,
        distances,
        tuple(p.name for p in bench.animals),
        tuple(p.name for p in bench.candidates),
        tuple(labels),
        share,
        by_setting,
        noise,
        chosen.name,
        bench.text,
        float(level),
    )


def _nearest_of(means: Mapping[str, float]) -> str | None:
    """The kind with the smallest mean distance; None where one is undefined."""
    return min(means, key=lambda k: means[k]) if all(map(math.isfinite, means.values())) else None


def default_bins(like: Recording) -> tuple[float, ...]:
    """The usual widths of bins that are multiples of those of the recording, or its own."""
    found = tuple(b for b in BINS if round(b / like.bin_size) >= 1 and abs(b / like.bin_size % 1) < 1e-6)
    return found or (like.bin_size,)


def _candidates(
    kinds: Mapping[str, Any], like: Recording, trials: Trials | None, counts: str | None, seed: int
) -> tuple[list[Prepared], list[str]]:
    made, labels = [], []
    for kind, things in kinds.items():
        several = isinstance(things, Sequence) and not isinstance(things, (str, bytes))
        members = list(things) if several else [things]
        if not members:
            raise ValueError(f"`kinds[{kind!r}]`: expected at least one network, got none.")
        for k, thing in enumerate(members):
            at = f"kinds[{kind!r}]" + (f"[{k}]" if several else "")
            made.append(candidate_of(at, thing, like, trials, counts, derive_seed(seed, f"{kind} {k}")))
            labels.append(str(kind))
    return distinct(made), labels


def _half_means(
    bench: Bench, setting: Setting, label: np.ndarray, names: Sequence[str], n: int, seed: int
) -> dict[str, np.ndarray]:
    """Mean distances (half-sample,) of each kind."""
    rng = np.random.default_rng(derive_seed(seed, "halves"))
    found = bench.scaled(np.array([bench.half_distances(setting, rng)[0].mean(0) for _ in range(n)]))
    return {k: np.array([row[label == k].mean() for row in found]) for k in names}


def _difference(
    distances: np.ndarray,
    label: np.ndarray,
    nearest: str,
    other: str,
    half_nearest: np.ndarray,
    half_other: np.ndarray,
    level: float,
    seed: int,
) -> KindDifference:
    per = distances.mean(0)
    a, b = per[label == nearest], per[label == other]
    difference = float(b.mean() - a.mean())
    of_data = variance_of_halves(half_other - half_nearest)
    single = len(a) == 1 and len(b) == 1
    of_networks = [] if single else [variance_of_mean(x) for x in (a, b)]
    low, high = interval_of_sum(difference, [of_data, *of_networks], level)
    p, floor = (math.nan, math.nan) if single else _permuted(np.concatenate([a, b]), len(a), seed)
    from_networks = math.sqrt(sum(v for v, _ in of_networks))
    return KindDifference(other, difference, low, high, math.sqrt(of_data[0]), from_networks, p, floor)


def _permuted(values: np.ndarray, k: int, seed: int) -> tuple[float, float]:
    """Two-sided p-value of the difference of means of the first `k` values and the others, and the lowest possible."""
    n = len(values)
    if not np.isfinite(values).all():
        return 1.0, 1.0
    ways, exact = divisions(n, k, _MOST_WAYS, np.random.default_rng(derive_seed(seed, "labels")))
    in_first = ways @ values
    gaps = np.abs(in_first / k - (values.sum() - in_first) / (n - k))
    observed = abs(values[:k].mean() - values[k:].mean())
    return p_value_of(gaps >= observed - 1e-12 * max(np.abs(values).max(), 1e-300), n, k, exact)


def _reasons(
    checks: Mapping[str, bool],
    undefined: Sequence[str],
    differences: Sequence[KindDifference],
    error: float,
    nearest: str,
    p_noise: np.ndarray,
    agrees: np.ndarray,
    share: float,
    n_settings: int,
    animals: Sequence[Prepared],
) -> list[str]:
    found = []
    if not checks["defined"]:
        found.append(f"the measure is undefined for {', '.join(undefined)}: there is more noise than signal")
    if not checks["interval"]:
        others = ", ".join(d.other for d in differences if not d.low > 0)
        found.append(f"the interval of the difference between {nearest} and {others} reaches 0")
    if not checks["networks"]:
        few = [d for d in differences if d.p_floor > error]
        if few:
            found.append(
                f"so few networks allow a p-value of {few[0].p_floor:.2g} at the lowest, more than {error:.2g}: give "
                "four or five of each kind"
            )
        far = [d for d in differences if d.p_value > error >= d.p_floor]
        found += [f"labels dealt out anew among the networks part {nearest} and {d.other} as far" for d in far]
    if not checks["noise"]:
        reached = ", ".join(p.name for p, q in zip(animals, p_noise) if q > error)
        found.append(f"noise through the same bins and filter comes as near to {reached}")
    if not checks["animals"]:
        apart = ", ".join(p.name for p, ok in zip(animals, agrees) if not ok)
        found.append(f"another kind is nearest to {apart}")
    if not checks["settings"]:
        found.append(
            f"bins, smoothing or dimensions change the order: it holds in {share:.0%} of {n_settings} settings"
        )
    return found

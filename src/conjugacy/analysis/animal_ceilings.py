"""How alike can anything be to these data? Halves of trials, halves of units, animal and animal, and noise.

A model that is nearer to an animal than its own halves are to each other has reached all that the data can show; one
that is no nearer than noise has shown nothing. Halves are half as long, or have half the units: measures that are not
corrected for noise find them further apart than two whole recordings of one system would be, so that their distance is
an upper bound.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from conjugacy._check import check_int
from conjugacy.analysis.prepared_recordings import Bench, Setting, animals_of, check_match, chosen_measure
from conjugacy.recordings.recording import Recording
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.similarity.half_samples import half
from conjugacy.similarity.measure import Measure
from conjugacy.similarity.score import Undefined

if TYPE_CHECKING:
    import pandas as pd


def animal_ceilings(
    animals: Recording | Sequence[Recording],
    measure: str | Measure | None = None,
    *,
    bin_size: float | None = None,
    smooth: float | None = 0.02,
    match: str | None = None,
    n_splits: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Values of a measure between halves of a recording, between animals, and between an animal and noise.

    Parameters
    ----------
    animals : Recording, or sequence of them
        Counts or rates in trials, to which nothing was done yet.
    measure : str or Measure, optional
        None: `recordings.CrossedCKA` ("cka_crossed").
    bin_size, smooth : float, optional
        Bins (s), a multiple of the animals', and standard deviation (s) of the Gaussian. None: as they are.
    match : {"condition", "index"}, optional
        How trials of two animals are paired, see `nearest_kind`.
    n_splits : int
        Ways to divide trials or units into halves, and surrogates of noise, at least 2.
    seed : int

    Returns
    -------
    DataFrame
        One row each: "halves of units" and "halves of trials" of each animal, "animals" for each pair, and "noise" of
        each animal; with "value", the mean over ways (or surrogates), "low" and "high", the 5 and 95 % quantiles over
        them, and "reason" where there is no value.

    Raises
    ------
    TypeError, ValueError
        If animals have too few trials or units, or their trials cannot be paired.
    """
    check_int("n_splits", n_splits, 2)
    check_int("seed", seed, 0)
    check_match(match)
    chosen = chosen_measure(measure)
    beasts = animals_of(animals, 1)
    bench = Bench.of(beasts, [], chosen, match)
    setting = Setting(bin_size, smooth)
    traits = chosen.traits

    def as_value(distance: Any) -> np.ndarray:
        return traits.perfect - np.asarray(distance) * (1.0 if traits.higher_is_more_similar else -1.0)

    rows = []
    for animal in bench.animals:
        rng = np.random.default_rng(derive_seed(seed, f"split {animal.name}"))
        units = [_unit_halves(bench, animal, setting, rng) for _ in range(n_splits)]
        rows.append(_row("halves of units", animal.name, "", as_value(units), ""))
        reason = ""
        if bench.match == "index":
            reason = "trial k is paired with trial k: other trials have no partner. Give conditions="
        trials = [] if reason else [_trial_halves(bench, animal, setting, rng) for _ in range(n_splits)]
        rows.append(_row("halves of trials", animal.name, "", as_value(trials), reason))
    among = bench.distances(setting)[1]
    for i, j in itertools.combinations(range(len(bench.animals)), 2):
        rows.append(_row("animals", bench.animals[i].name, bench.animals[j].name, as_value([among[i, j]]), ""))
    noise = bench.noise_distances(setting, n_splits, seed)
    for animal, distances in zip(bench.animals, noise):
        rows.append(_row("noise", animal.name, "", as_value(distances[np.isfinite(distances)]), ""))
    import pandas as pd

    table = pd.DataFrame(rows).set_index(["of", "a", "b"])
    table.attrs |= {"measure": chosen.name, "matched": bench.text, "setting": str(setting)}
    return table


def _row(of: str, a: str, b: str, values: np.ndarray, reason: str) -> dict[str, Any]:
    values = values[np.isfinite(values)]
    if not len(values):
        none = reason or "the measure is undefined: there is more noise than signal"
        return {"of": of, "a": a, "b": b, "value": np.nan, "low": np.nan, "high": np.nan, "reason": none}
    low, high = np.quantile(values, [0.05, 0.95]) if len(values) > 1 else (np.nan, np.nan)
    return {"of": of, "a": a, "b": b, "value": float(values.mean()), "low": low, "high": high, "reason": ""}


def _unit_halves(bench: Bench, animal: Any, setting: Setting, rng: np.random.Generator) -> float:
    d = animal.recording.n_units
    some = half(np.arange(d), rng)
    return _between(bench, animal, setting, (None, some), (None, np.setdiff1d(np.arange(d), some)))


def _trial_halves(bench: Bench, animal: Any, setting: Setting, rng: np.random.Generator) -> float:
    n = animal.recording.n_trials
    some = animal.halves(bench.match, rng)[0]
    rest = np.setdiff1d(np.arange(n), some)
    return _between(bench, animal, setting, (some, None), (rest, None))


def _between(bench: Bench, animal: Any, setting: Setting, one: Any, other: Any) -> float:
    try:
        sides = [
            bench.measure.prepare(animal.system(setting, bench.match, bench.labels, trials, units))
            for trials, units in (one, other)
        ]
    except Undefined:
        return float("nan")
    return bench.distance(*sides)

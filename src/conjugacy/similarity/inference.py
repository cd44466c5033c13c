"""How certain a score is: intervals (`bootstrap`), nulls (`nulls`), and the ceiling that halves of one system give."""

from __future__ import annotations

from typing import Any

import numpy as np

from conjugacy._check import check_choice, check_int, check_number
from conjugacy.similarity.bootstrap import bootstrap_interval, bootstrap_values, centred_interval
from conjugacy.similarity.measure import Measure, get_measure
from conjugacy.similarity.nulls import default_null, null_kind, null_summary, null_values, surrogate
from conjugacy.similarity.resampling import NULLS, Resampling
from conjugacy.similarity.samples import as_system, part
from conjugacy.system import System

__all__ = [
    "NULLS",
    "Resampling",
    "bootstrap_interval",
    "bootstrap_values",
    "centred_interval",
    "default_null",
    "null_kind",
    "null_summary",
    "null_values",
    "part",
    "reliability",
    "split_half_ceiling",
    "surrogate",
]


def split_half_ceiling(
    measure: str | Measure, system: System | Any, *, split: str = "trials", n_splits: int = 20, seed: int = 0
) -> dict[str, float]:
    """How similar one half of a system is to its other half: what a perfect model could reach with these data.

    Parameters
    ----------
    measure : name or Measure
    system : System or array (trial, time, unit)
    split : {"trials", "units"}
        Halves of the trials suit measures that do not pair trials; paired measures need the same trials on both
        sides, so halves of the units.
    n_splits : int
        Random halvings, at least 1.
    seed : int
        Seed of the halvings.

    Returns
    -------
    dict
        "mean", "std", "low", "high" (2.5 and 97.5 % quantiles) and "n_splits".

    Raises
    ------
    ValueError
        If there are fewer than two trials (or units) to halve, or the measure pairs trials and trials are to be halved.
    """
    measure = get_measure(measure)
    system = as_system("system", system)
    check_choice("split", split, ("trials", "units"))
    check_int("n_splits", n_splits, 1)
    check_int("seed", seed, 0)
    if split == "trials" and measure.traits.needs == "paired trajectories":
        raise ValueError(
            f"`split`: {measure.name!r} pairs trials, so halves of the trials do not fit, got 'trials'. Use 'units'."
        )
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


def reliability(value: float, ceiling: float, chance: float = 0.0) -> float:
    """`value` on a scale from `chance` (0) to `ceiling` (1)."""
    check_number("value", value)
    check_number("chance", chance)
    check_number("ceiling", ceiling)
    if ceiling == chance:
        raise ValueError(f"`ceiling`: expected a number other than chance={chance}, got {ceiling}.")
    return (value - chance) / (ceiling - chance)

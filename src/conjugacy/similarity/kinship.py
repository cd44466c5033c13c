"""Are two systems kin? The null of unrelated systems that share with them what does not make kin.

Surrogates are those of `matched_systems`: of `b` alone for "spectrum", and of both systems for "interaction", since a
record and something made by a model are further apart than two records. Each kind gives a p-value; the larger one
counts. A kind whose model misses a record (`Autoregression.unexplained`) is left out, and where both miss there is no
p-value: the surrogates would be unlike any record of this sort, related or not.

Surrogates are drawn until ten of them are as similar as the data, or as many as were asked for (Besag and Clifford
1991): p = 10 / drawn, or (r + 1) / (n + 1) for r of all n. Both are level whenever they stop. Since the larger p
counts, the second kind is drawn no longer than the first one was until its ten: its own p is not the larger one then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conjugacy._threads import map_threads
from conjugacy.similarity.matched_systems import KINDS, Autoregression
from conjugacy.similarity.score import Null, Undefined

if TYPE_CHECKING:
    from conjugacy.similarity.measure import Measure
    from conjugacy.system import System

KEEPS = "time constants, noise, departure from normality (or what all channels share and how strongly they interact)"
BREAKS = "which way the channels drive each other"
ENOUGH = 10  # surrogates as similar as the data: more of them change nothing that matters
_MOST_UNEXPLAINED = 0.1
_AT_ONCE = 20


def kinship_null(measure: Measure, a: System, b: System, value: float, n_surrogates: int, seed: int) -> Null:
    """The null of the module docstring for `value`, the score of `a` and `b`; undefined (NaN) where no model fits."""
    least = measure.least_units
    found, missed, most = {}, [], n_surrogates
    for k, kind in enumerate(KINDS):
        try:
            models = [Autoregression.fitted(system, kind, least) for system in (a, b)]
        except np.linalg.LinAlgError:
            continue
        miss = max(m.unexplained for m in models)
        if miss > _MOST_UNEXPLAINED:
            missed.append(miss)
            continue
        values = _sequence(measure, a, models, kind, value, most, np.random.default_rng([seed, 1, k]))
        if not len(values):  # the measure is undefined for all of them
            continue
        found[kind] = (values, p_value(measure, values, value, n_surrogates))
        if similar(measure, values, value).sum() >= ENOUGH:
            most = len(values)
        if found[kind][1] > 0.5:
            break  # the other kind could only raise it
    if not found:
        nan = float("nan")
        if min(missed, default=1.0) >= 1.0:
            why = "the records are too short for their dimensions, or their variance changes within trials"
        else:
            why = f"no autoregression of order 1 or 2 fits them ({min(missed):.0%} of what it leaves is predictable)"
        reason = f"unrelated systems of the kind of these records cannot be made: {why}. Give systems to compare with"
        return Null(reason, nan, nan, nan, nan, nan, 0)
    kind, (values, p) = max(found.items(), key=lambda item: item[1][1])
    low, high = np.quantile(values, [0.025, 0.975])
    name = f"unrelated linear systems of the same {'spectrum' if kind == 'spectrum' else 'strength of interaction'}"
    std = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return Null(name, float(values.mean()), std, float(low), float(high), p, len(values), KEEPS, BREAKS)


def p_value(measure: Measure, values: np.ndarray, value: float, n_surrogates: int) -> float:
    """The sequential p-value of the module docstring from the surrogates drawn; ties count as similar."""
    as_similar = int(similar(measure, values, value).sum())
    if as_similar >= ENOUGH and len(values) < n_surrogates:
        return as_similar / len(values)
    return (as_similar + 1) / (len(values) + 1)


def similar(measure: Measure, values: np.ndarray, value: float) -> np.ndarray:
    """Which of `values` (surrogate,) are at least as similar as `value`."""
    return values >= value if measure.traits.higher_is_more_similar else values <= value


def _sequence(
    measure: Measure,
    a: System,
    models: list[Autoregression],
    kind: str,
    value: float,
    n_surrogates: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Values (surrogate,) up to and with the one that makes `ENOUGH`; undefined ones are drawn again, once each."""
    of_a = measure.prepare_for_value(a) if kind == "spectrum" else None
    values: list[float] = []
    drawn = 0
    while len(values) < n_surrogates and drawn < 2 * n_surrogates:
        count = min(_AT_ONCE, n_surrogates - len(values))
        drawn += count
        generators = rng.spawn(count)

        def one(generator: np.random.Generator) -> float:
            try:
                left = of_a
                if left is None:
                    left = measure.prepare_for_value(models[0].unrelated(kind, generator))
                right = measure.prepare_for_value(models[1].unrelated(kind, generator))
                return measure.compare(left, right)[0]
            except Undefined:
                return float("nan")

        values += [v for v in map_threads(one, generators) if np.isfinite(v)]
        reached = np.flatnonzero(np.cumsum(similar(measure, np.array(values), value)) >= ENOUGH)
        if len(reached):
            return np.array(values[: reached[0] + 1])
    return np.array(values)

"""Every measure on the known-answer suite: what it detects, what it is blind to, and whether it does as it declares.

The value of each pair is judged by its distance from the measure's perfect value, relative to that of unrelated systems
(the median over several random networks):

- "same": below 1e-5 (rounding),  "close": below 0.1,  "different": above.

Verdicts:

- "pass"   a relation that keeps the computation leaves the measure where it declares to be invariant ("observation
           noise", and measures that are estimates: close to it), or happens to be the same; or a relation that changes
           the computation is seen
- "moves"  the computation is the same, but the measure does not claim to be invariant to this relation, and is not
- "blind"  the computation differs, and the measure does not see it, as documented
- "fails"  the measure does other than it declares
- "n/a"    the measure cannot take this pair (paired trials of other lengths, other time steps, no inputs, no step
           function)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from conjugacy._check import check_flag, check_int, check_list
from conjugacy._progress import progress_bar
from conjugacy.similarity.known_answers import KnownPair, known_pairs
from conjugacy.similarity.measure import Measure, measure_list, measure_names
from conjugacy.similarity.samples import Samples, steps_differ
from conjugacy.similarity.score import Traits

if TYPE_CHECKING:
    import pandas as pd

SAME, CLOSE = 1e-5, 0.1


def check_measures(
    measures: Sequence[str | Measure] | None = None, *, seed: int = 0, progress: bool = False
) -> pd.DataFrame:
    """Run measures through all known pairs.

    Parameters
    ----------
    measures : sequence of names or Measures, optional
        None: all registered ones.
    seed : int
        Of the suite's inputs and changes of coordinates.
    progress : bool
        Show a bar.

    Returns
    -------
    DataFrame
        One row for each measure and relation: measure, version, relation, same (whether both systems compute the same),
        value, deviation (relative to an unrelated pair), observed, expected, verdict.
    """
    import pandas as pd

    check_int("seed", seed, 0)
    check_flag("progress", progress)
    chosen = list(measure_list(measure_names() if measures is None else measures).values())
    pairs = known_pairs(seed)
    records = []
    for measure in progress_bar(chosen, desc="Checking measures", show=progress, unit="measures"):
        records += check_measure(measure, pairs)
    return pd.DataFrame(records)


def check_draws(
    measures: Sequence[str | Measure] | None = None, *, seeds: Sequence[int] = range(10), progress: bool = False
) -> pd.DataFrame:
    """`check_measures` for several draws of the suite's inputs, changes of coordinates and random networks.

    What a measure is invariant to holds in every draw. What it sees or misses is a matter of size, so that a pair near
    the border may fall on either side.

    Returns
    -------
    DataFrame
        As of `check_measures`, with a column "seed".
    """
    import pandas as pd

    seeds = [check_int(f"seeds[{i}]", s, 0) for i, s in enumerate(check_list("seeds", seeds, "seeds"))]
    check_flag("progress", progress)
    tables = [
        check_measures(measures, seed=seed).assign(seed=seed)
        for seed in progress_bar(seeds, desc="Repeating the checks", show=progress, unit="draws")
    ]
    return pd.concat(tables, ignore_index=True)


def agreement(draws: pd.DataFrame) -> pd.DataFrame:
    """How often each measure did as declared, from a table of `check_draws`.

    One row for each measure and relation that it takes: measure, relation, same, expected, draws, held (in how many it
    did as declared), and the low, median and high deviation.
    """
    taken = draws[draws["verdict"] != "n/a"]
    groups = taken.groupby(["measure", "relation"], sort=False)
    return groups.agg(
        same=("same", "first"),
        expected=("expected", "first"),
        draws=("verdict", "size"),
        held=("verdict", lambda v: int((v != "fails").sum())),
        low=("deviation", "min"),
        median=("deviation", "median"),
        high=("deviation", "max"),
    ).reset_index()


def check_measure(measure: Measure, pairs: Sequence[KnownPair]) -> list[dict]:
    """Records of `check_measures` for one measure."""
    t = measure.traits
    features: dict = {}
    values = {pair.relation: _value(measure, pair, features) for pair in pairs}
    scale = abs(values["unrelated"] - t.perfect)
    records = []
    for pair in pairs:
        value = values[pair.relation]
        deviation = abs(value - t.perfect) / scale if scale > 0 else np.nan
        observed = "n/a" if np.isnan(value) else _level(deviation)
        expected = _expected(t, pair)
        records.append(
            {
                "measure": t.name,
                "version": t.version,
                "relation": pair.relation,
                "same": pair.same,
                "value": value,
                "deviation": deviation,
                "observed": observed,
                "expected": expected,
                "verdict": _verdict(t, pair, observed, expected),
            }
        )
    return records


def _value(measure: Measure, pair: KnownPair, features: dict) -> float:
    if not _applies(measure.traits, pair):
        return np.nan
    small = (
        {**SUITE_OPTIONS, "rank": 3, "n_delays": 1}
        if pair.relation == "other non-normality, same spectrum"
        else SUITE_OPTIONS
    )
    options = {k: v for k, v in small.items() if k in getattr(measure, "__dataclass_fields__", {})}
    measure = replace(measure, **options)  # type: ignore[type-var]
    others = (pair.b, *pair.more)
    for system in (pair.a, *others):
        # the reference system is in most pairs
        if (id(system), measure) not in features:
            features[id(system), measure] = measure.prepare(system)
    prepared = features[id(pair.a), measure]
    return float(np.median([measure.compare(prepared, features[id(other), measure])[0] for other in others]))


# small systems: operators of a size that all of them support; two of them share units, so correlations repeat; what is
# added off the data lies up to 8 spreads out, and who looks there has to be told how far
SUITE_OPTIONS = {"rank": 6, "n_delays": 4, "repeated": "mean", "reach": 10.0}


def _applies(t: Traits, pair: KnownPair) -> bool:
    if t.per_step and steps_differ(pair.a, pair.b):
        return False
    if t.needs == "paired trajectories":
        return bool(np.array_equal(Samples.of(pair.a).lengths, Samples.of(pair.b).lengths))
    if t.needs == "inputs":
        return pair.a.inputs is not None and pair.b.inputs is not None
    if t.needs == "step":
        return pair.a.step is not None and pair.b.step is not None
    return True


def _level(deviation: float) -> str:
    return "same" if deviation < SAME else "close" if deviation < CLOSE else "different"


def _expected(t: Traits, pair: KnownPair) -> str:
    if pair.same and pair.relation in t.invariances:
        return "close" if t.estimated or pair.relation == "observation noise" else "same"
    if pair.same:
        return "any"
    return "same or close" if pair.relation in t.blind_to else "different"


def _verdict(t: Traits, pair: KnownPair, observed: str, expected: str) -> str:
    if observed == "n/a":
        return "n/a"
    held = {
        "same": observed == "same",
        "close": observed in ("same", "close"),
        "any": True,
        "same or close": observed in ("same", "close"),
        "different": observed == "different",
    }[expected]
    if not held:
        return "fails"
    if expected == "any" and observed != "same":
        return "moves"
    return "blind" if pair.relation in t.blind_to else "pass"


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Verdicts with measures as rows and relations as columns, of the first draw if there are several."""
    table = table.drop_duplicates(["measure", "relation"])
    wide = table.pivot(index="measure", columns="relation", values="verdict")
    order = list(dict.fromkeys(table["relation"]))
    return wide.loc[list(dict.fromkeys(table["measure"])), order]

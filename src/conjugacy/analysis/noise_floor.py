"""What noise reaches: scores of recordings against noise that went through their own bins and filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from conjugacy._threads import one_blas_thread
from conjugacy.similarity.measure import Measure
from conjugacy.similarity.nulls import value_or_nan
from conjugacy.similarity.score import Null, Score
from conjugacy.system import System

KIND = "noise through the same bins and filter"


def with_noise_floor(
    scores: Sequence[Score],
    measures: Sequence[Measure],
    systems: Sequence[System],
    anchors: Mapping[str, Mapping[str, Sequence[System]]],
    as_null: bool,
) -> tuple[Score, ...]:
    """Scores of operator measures with the scores of noise beside them.

    Noise takes the place of the partner of a recording; where both sides are recordings, each one has its own noise,
    and that which comes nearer counts. What is found is in the diagnostics "noise" (median of the kind of noise that
    comes nearest), "noise_kind" and "reached_by_noise": whether more than one in twenty of the surrogates of any kind
    is as similar as the partner. Each kind is a null of its own, and the largest p-value counts.

    Parameters
    ----------
    scores, measures, systems
        Of the comparison.
    anchors : mapping of str to mapping of str to systems
        Noise by the name of its recording and by its kind.
    as_null : bool
        Make the noise the null of these scores.
    """
    by_name = {m.name: m for m in measures if m.traits.needs == "trajectories"}
    of_system = {s.name: s for s in systems}
    values = {
        (name, key): _values(measure, of_system[key], noise)
        for name, measure in by_name.items()
        for key, noise in anchors.items()
    }
    return tuple(_marked(s, values, as_null) if s.measure in by_name else s for s in scores)


def _values(measure: Measure, recording: System, noise: Mapping[str, Sequence[System]]) -> dict[str, np.ndarray]:
    """Values of the recording against its noise, by kind; NaN are left out."""
    with one_blas_thread():
        ours = measure.prepare(recording, None)
        found = {
            kind: np.array([value_or_nan(measure, ours, measure.prepare(s, None)) for s in ones])
            for kind, ones in noise.items()
        }
    return {kind: v[np.isfinite(v)] for kind, v in found.items() if np.isfinite(v).any()}


def _marked(score: Score, values: Mapping[tuple[str, str], dict[str, np.ndarray]], as_null: bool) -> Score:
    sign = 1.0 if score.higher_is_more_similar else -1.0
    found = [v for side in (score.a, score.b) if (v := values.get((score.measure, side)))]
    if not found or not np.isfinite(score.value):
        return score
    medians = [{kind: float(np.median(v)) for kind, v in by_kind.items()} for by_kind in found]
    nearest = [max(m, key=lambda kind, m=m: sign * m[kind]) for m in medians]
    side = max(range(len(found)), key=lambda i: sign * medians[i][nearest[i]])
    kind = nearest[side]
    p_values = {k: ((sign * v >= sign * score.value).sum() + 1) / (len(v) + 1) for k, v in found[side].items()}
    hardest = max(p_values, key=lambda k: p_values[k])
    noise, p = found[side][hardest], float(p_values[hardest])
    reached = p > max(0.05, 1.0 / (len(noise) + 1) + 1e-12)
    level = medians[side][kind]
    details = {"noise": level, "noise_kind": kind, "reached_by_noise": reached}
    texts = score.warnings
    if reached:
        text = f"reached by noise: {kind} noise through the same bins and filter scores {level:.3g}"
        texts = (*texts, f"{text}, so this score is no evidence of shared dynamics")
    null = score.null
    if as_null:
        low, high = np.quantile(noise, [0.025, 0.975])
        std = float(noise.std(ddof=1)) if len(noise) > 1 else 0.0
        counts = float(noise.mean()), std, float(low), float(high), p, len(noise)
        null = Null(KIND, *counts, "the mean rate of each unit, the bins and the filter", "all dynamics")
    return replace(score, diagnostics={**score.diagnostics, **details}, warnings=texts, null=null)

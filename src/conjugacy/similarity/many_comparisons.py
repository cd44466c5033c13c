"""p-values corrected for how many were computed: who looks at twenty pairs finds one below 5 % by chance.

- `benjamini_hochberg`: of the pairs called related at a corrected p of at most q, a share of at most q is not, on
  average (false discovery rate; Benjamini and Hochberg 1995). It holds where p-values are independent or rise and fall
  together, as those of measures of the same pair do (Benjamini and Yekutieli 2001).
- `holm`: the probability of a single false one is at most q, however they hang together (Holm 1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from conjugacy.similarity.score import Score


def benjamini_hochberg(p_values: Sequence[float]) -> np.ndarray:
    """Corrected p-values in the order given; NaN, which is no test, stays NaN and does not count.

    p*_(k) = min over j >= k of  n p_(j) / j        for the sorted p_(1) <= ... <= p_(n)
    """
    p = np.asarray(p_values, dtype=float)
    corrected = np.full(len(p), np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
    corrected[order] = np.minimum.accumulate(scaled[::-1])[::-1].clip(max=1.0)
    return corrected


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected p-values in the order given."""
    order = np.argsort(p_values, kind="stable")
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, k in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[k]))
        corrected[k] = highest
    return corrected


def said(n_tests: int) -> str:
    """How p-values of a table are corrected, and over how many, in words."""
    return f"Benjamini and Hochberg 1995 (false discovery rate), over the {n_tests} p-values of the whole table"


def add_corrected(table: pd.DataFrame, ways: Sequence[str], p: str, corrected: str) -> None:
    """Put a corrected column after each column of p-values "`way` `p`" of a table; all are corrected together.

    ``table.attrs`` says by which method, and over how many.
    """
    columns = [f"{way} {p}".strip() for way in ways if f"{way} {p}".strip() in table]
    if not columns:
        return
    values = table[columns].to_numpy(dtype=float)
    found = benjamini_hochberg(values.ravel()).reshape(values.shape)
    for k, column in enumerate(columns):
        table.insert(
            int(table.columns.get_loc(column)) + 1, f"{column[: len(column) - len(p)]}{corrected}", found[:, k]
        )
    table.attrs[corrected] = said(int(np.isfinite(values).sum()))


def uncertainty_said(scores: Sequence[Score]) -> list[str]:
    """Lines that say by what intervals were made, what each null keeps and breaks, and over what p is corrected."""
    lines, by_method, by_null = [], {}, {}
    for s in scores:
        if s.interval is not None and np.isfinite(s.interval.low):
            by_method.setdefault(s.interval.method, []).append(s.measure)
        if s.null is not None and s.null.n_surrogates:
            by_null.setdefault((s.null.kind, s.null.keeps, s.null.breaks), []).append(s.measure)
    for method, measures in by_method.items():
        lines.append(f"  Intervals of {_listed(measures)}: {method}")
    for (kind, keeps, breaks), measures in by_null.items():
        meaning = f"; they keep {keeps}, and break {breaks}" if keeps else ""
        lines.append(f"  Surrogates of {_listed(measures)}: {kind}{meaning}")
    if by_null:
        lines.append(f"  p corrected: {said(sum(s.null is not None and np.isfinite(s.null.p_value) for s in scores))}")
    return [*lines, ""] if lines else []


def _listed(measures: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(measures))

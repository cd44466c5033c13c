"""How much a comparison depends on its own parameters: an operator measure over ranks and numbers of delays.

The distance between two systems by DSA and its relatives depends on the rank of the operators and the number of delays,
and so may the order of systems ("a is nearer to b than to c"). `surface` computes the distances of all pairs over a
grid of both, and says where the order changes. A conclusion that needs one corner of the grid is not one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from conjugacy._check import check_flag, check_int, check_number
from conjugacy._threads import map_threads
from conjugacy.similarity._pairwise import named
from conjugacy.similarity.dmd import embed, fit, integer_list
from conjugacy.similarity.dsa import OperatorMeasure
from conjugacy.similarity.measure import Measure, get_measure
from conjugacy.similarity.samples import system_list

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Surface:
    """Values of an operator measure over ranks and delays.

    Attributes
    ----------
    measure : str
    names : tuple of str
    ranks, n_delays : tuples of int
    values : array (rank, delay, system, system)
        NaN where a system's embedded trajectories have a lower rank.
    disagreement : array (rank, delay)
        Share of the pairs of pairs whose order differs from the one in the middle of the grid.
    stable : bool
        Whether no order changes anywhere on the grid by more than `tolerance`.
    warning : str
        What to tell the reader, empty if `stable`.
    """

    measure: str
    names: tuple[str, ...]
    ranks: tuple[int, ...]
    n_delays: tuple[int, ...]
    values: np.ndarray
    disagreement: np.ndarray
    stable: bool
    warning: str

    def table(self) -> pd.DataFrame:
        """One row for each rank, number of delays and pair of systems."""
        import pandas as pd

        n = len(self.names)
        return pd.DataFrame(
            [
                {"rank": r, "n_delays": d, "a": self.names[i], "b": self.names[j], "value": self.values[k, m, i, j]}
                for k, r in enumerate(self.ranks)
                for m, d in enumerate(self.n_delays)
                for i in range(n)
                for j in range(i)
            ]
        )


def surface(
    systems: Sequence[Any],
    measure: str | Measure = "dsa",
    *,
    ranks: Sequence[int] = (4, 6, 8, 12, 16),
    n_delays: Sequence[int] = (2, 5, 10, 20),
    tolerance: float = 0.02,
    n_threads: int | None = None,
    progress: bool = True,
) -> Surface:
    """Values of `measure` for all pairs of systems over a grid of ranks and delays.

    Parameters
    ----------
    systems : sequence of System or arrays (trial, time, unit)
    measure : name or Measure
        "dsa", "dsa_euclidean", "spectrum_w2" and the like.
    ranks, n_delays : sequences of int
    tolerance : float
        Two distances in one cell whose ratio is within 1 +- `tolerance` have no order.
    n_threads, progress
        As in `pairwise`.

    Returns
    -------
    Surface
        `warning` says where the order of pairs changes.
    """
    operator_measure = get_measure(measure)
    if not isinstance(operator_measure, OperatorMeasure):
        raise ValueError(f"`measure`: expected a measure of operators such as 'dsa', got {operator_measure.name!r}.")
    made = named(system_list("systems", systems, 2), "systems")
    n = len(made)
    ranks, n_delays = tuple(integer_list("ranks", ranks)), tuple(integer_list("n_delays", n_delays))
    check_number("tolerance", tolerance, 0)
    check_flag("progress", progress)
    if n_threads is not None:
        check_int("n_threads", n_threads, 1, hint="Or None for all cores.")
    values = np.full((len(ranks), len(n_delays), n, n), np.nan)
    pairs = [(i, j) for i in range(n) for j in range(i)]

    def embedded(task):
        d, system = task
        settings = {"delay_interval": operator_measure.delay_interval, "center": operator_measure.center}
        full = embed(system, "all", d, **settings)
        # one decomposition serves all ranks
        return full if full.rank <= max(ranks) else embed(system, max(ranks), d, **settings)

    tasks = [(d, s) for d in n_delays for s in made]
    embeddings = map_threads(embedded, tasks, n_threads=n_threads, progress=progress, label="embed")
    for m, d in enumerate(n_delays):
        of_delay = embeddings[m * n : (m + 1) * n]
        for k, r in enumerate(ranks):
            if min(e.rank for e in of_delay) < r:
                continue
            at = replace(operator_measure, rank=r, n_delays=d)
            features = [at._features(fit(e, r), s.dt) for e, s in zip(of_delay, made)]
            for (i, j), (value, _) in zip(pairs, at.compare_many(features, features, pairs)):
                values[k, m, i, j] = values[k, m, j, i] = value
            values[k, m][np.diag_indices(n)] = 0.0
    disagreement, warning = _order_changes(values, pairs, ranks, n_delays, tolerance, operator_measure.name)
    names = tuple(s.name for s in made)
    return Surface(operator_measure.name, names, ranks, n_delays, values, disagreement, not warning, warning)


def _order_changes(values, pairs, ranks, n_delays, tolerance, name) -> tuple[np.ndarray, str]:
    shape = values.shape[:2]
    disagreement = np.full(shape, np.nan)
    if len(pairs) < 2:
        return disagreement, ""
    i, j = np.array(pairs).T
    flat = values[:, :, i, j]
    first, second = np.triu_indices(len(pairs), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(flat[..., first] / flat[..., second])
    order = np.where(np.abs(ratio) > tolerance, np.sign(ratio), 0.0)
    known = np.argwhere(np.isfinite(flat).all(-1))
    if len(known) == 0:
        return disagreement, "No cell of the grid could be computed: all ranks exceed the rank of the data."
    middle = known[len(known) // 2]
    reference = order[tuple(middle)]
    for cell in map(tuple, known):
        disagreement[cell] = np.mean(order[cell] * reference < 0)
    worst = np.nanmax(disagreement)
    if worst == 0:
        return disagreement, ""
    k, m = np.unravel_index(np.nanargmax(disagreement), shape)
    warning = (
        f"The order of distances by {name!r} depends on its parameters: {worst:.0%} of the comparisons of two pairs "
        f"turn round between rank {ranks[middle[0]]}, {n_delays[middle[1]]} delays and rank {ranks[k]}, {n_delays[m]} "
        "delays. Report the surface, not one value."
    )
    return disagreement, warning

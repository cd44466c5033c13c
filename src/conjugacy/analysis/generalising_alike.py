"""Do networks that are similar generalise alike? Differences of scores on variations of the task beside similarity."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from conjugacy._check import check_int, check_list
from conjugacy._lazy import higher
from conjugacy.analysis._given import as_run
from conjugacy.analysis.comparison import compare, distinct_names
from conjugacy.analysis.generalisation import generalisation_table
from conjugacy.runs.run import Run
from conjugacy.similarity.measure import Measure
from conjugacy.tasks.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class GeneralisingAlike:
    """Differences of generalisation beside similarity; see `generalise_alike`.

    Attributes
    ----------
    measure, score : str
    scores : DataFrame (condition, run)
    pairs : DataFrame
        One row a pair: "a", "b", "similarity" (the value of the measure, the mean of both directions where it has any),
        "difference" (root mean square difference of the drop from "as trained", over conditions).
    correlation, p_value : float
        Spearman's rank correlation of both over pairs, and the share of permutations of the networks that reach its
        size, (r + 1) / (n + 1) (Mantel, Cancer Res. 27:209, 1967); NaN where either is the same for all pairs.
    """

    measure: str
    score: str
    scores: pd.DataFrame
    pairs: pd.DataFrame
    correlation: float
    p_value: float

    def plot(self) -> Figure:
        """Figure of the difference over the similarity, a point a pair."""
        return higher("plots._generalisation", "generalising_alike")(self)

    def __repr__(self) -> str:
        return f"GeneralisingAlike({self.measure}: rank correlation {self.correlation:.2f}, p {self.p_value:.2g})"


def generalise_alike(
    runs: Sequence[Run],
    measure: str | Measure = "portrait",
    conditions: Mapping[str, Mapping[str, Any] | Task] | None = None,
    *,
    names: Sequence[str] | None = None,
    n_trials: int = 250,
    n_permutations: int = 999,
    seed: int = 0,
) -> GeneralisingAlike:
    """Whether networks that are more similar generalise more alike.

    Parameters
    ----------
    runs : sequence of Run
        At least three, of one task; with five or fewer no p-value can be small.
    measure : str or Measure
        Of similarity, see `conjugacy.compare`.
    conditions : dict, optional
        As in `generalisation_table`.
    names : sequence of str, optional
        In place of the runs' own.
    n_trials : int
        Trials of each condition, and of the comparison.
    n_permutations : int
        Permutations of the networks, >= 19.
    seed : int
        Of trials and permutations; the trials of a condition are the same for all runs.

    Raises
    ------
    TypeError, ValueError
        If there are fewer than three runs, or an argument is not taken by `compare` or `generalisation_table`.
    """
    runs = [as_run(f"runs[{k}]", run) for k, run in enumerate(check_list("runs", runs, "runs", least=3))]
    check_int("n_permutations", n_permutations, 19)
    called = list(names) if names is not None else distinct_names([run.name for run in runs])
    comparison = compare(runs, measure, names=called, n_trials=n_trials, seed=seed, interval=None)
    tables = [generalisation_table(run, conditions, n_trials, seed) for run in runs]
    score = "accuracy" if all("accuracy" in t for t in tables) else "r2"
    scores = pd.DataFrame({name: table[score] for name, table in zip(called, tables)})
    drops = (scores - scores.loc["as trained"]).drop("as trained")
    table = comparison.table()
    similar = np.full((len(runs), len(runs)), np.nan)
    for key, row in zip(table.index.tolist(), table.to_dict("records")):
        ways = [row[w] for w in ("a <-> b", "a -> b", "b -> a") if w in row and np.isfinite(row[w])]
        i, j = called.index(key[1]), called.index(key[2])
        similar[i, j] = similar[j, i] = np.mean(ways) if ways else np.nan
    gaps = np.sqrt(np.nanmean((drops.to_numpy()[:, :, None] - drops.to_numpy()[:, None]) ** 2, axis=0))
    upper = list(itertools.combinations(range(len(runs)), 2))
    pairs = pd.DataFrame([(called[i], called[j], similar[i, j], gaps[i, j]) for i, j in upper])
    pairs.columns = ["a", "b", "similarity", "difference"]
    r, p = _mantel(similar, gaps, n_permutations, np.random.default_rng(seed))
    return GeneralisingAlike(comparison.measures[0].name, score, scores, pairs, r, p)


def _mantel(x: np.ndarray, y: np.ndarray, n_permutations: int, rng: np.random.Generator) -> tuple[float, float]:
    from scipy.stats import rankdata

    i, j = np.triu_indices(len(x), 1)
    known = np.isfinite(x[i, j]) & np.isfinite(y[i, j])
    i, j = i[known], j[known]
    a, b = rankdata(x[i, j]), rankdata(y[i, j])
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan"), float("nan")
    r = float(np.corrcoef(a, b)[0, 1])
    reached = 0
    for _ in range(n_permutations):
        order = rng.permutation(len(x))
        moved = y[np.ix_(order, order)][i, j]
        ok = np.isfinite(moved)
        reached += abs(np.corrcoef(a[ok], rankdata(moved[ok]))[0, 1]) >= abs(r) - 1e-12
    return r, (reached + 1) / (n_permutations + 1)

"""Whether networks do their task: test scores beside the thresholds at which training counts the task as learned.

Networks that do not do the task may well agree, for example because neither has left its random start. A comparison
shows these scores beside its table and warns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from conjugacy.runs.run import Run
from conjugacy.training.recipe import Recipe

_SLACK = 0.02  # the threshold ends training: a network that misses it by little does the task all the same


def task_scores(runs: Sequence[Run], names: Sequence[str]) -> pd.DataFrame:
    """Test scores of runs, one row a run.

    Columns: "score" ("accuracy", or "r2" where the task has no accuracy), "test" (its value on the run's test trials,
    NaN if it was not recorded), "threshold" (at which training stops as learned), and "does_the_task" (False more than
    0.02 below the threshold, None where the score is not known).
    """
    rows = []
    for run in runs:
        score = next((key for key in ("accuracy", "r2") if f"test_{key}" in run.metrics), "")
        test = float(run.metrics[f"test_{score}"]) if score else float("nan")
        threshold = float(getattr(Recipe.for_task(run.task), f"stop_{score}")) if score else float("nan")
        enough = None if np.isnan(test) else bool(test >= threshold - _SLACK)
        rows.append({"score": score, "test": test, "threshold": threshold, "does_the_task": enough})
    return pd.DataFrame(rows, index=pd.Index(names, name="run")).astype({"does_the_task": object})


def below_threshold(scores: pd.DataFrame) -> str:
    """A warning that names the runs below their threshold, empty if there is none."""
    below = scores[[value is False for value in scores["does_the_task"]]]
    if below.empty:
        return ""
    each = [f"{name} (test {row['score']} {row['test']:.3f} < {row['threshold']:g})" for name, row in below.iterrows()]
    return (
        f"{', '.join(each[:5])}{', ...' if len(each) > 5 else ''}: below the threshold of the task. Networks that do "
        "not do the task may agree for that reason alone: train them further."
    )

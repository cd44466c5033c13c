"""Cross-decoding: how much of each model's states the states of each other one explain.

Among models that predict equally well, those with dynamics of their own explain the others and are not explained by
them: what all need is in all, what one has invented is in no other (Dabholkar & Barak 2025, PLoS Comput Biol
21:e1013789).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from conjugacy._check import check_instance
from conjugacy.similarity._state_r2 import StateR2
from conjugacy.similarity.samples import as_system


def cross_decoding(states: Mapping[str, Any], *, train: float = 0.8, seed: int = 0) -> pd.DataFrame:
    """R2 of the states of one model, the column, by an affine map of those of another, the row.

    Parameters
    ----------
    states : dict of str to System or array (trial, time, state)
        By the names of the models, on the same trials.
    train : float
        Share of the trials on which maps are fitted, in (0, 1); the others are scored.
    seed : int
        Of this split.

    Returns
    -------
    DataFrame
        Rows decode columns; the diagonal is NaN. The row "mean" has the mean of each column: a model of which it is low
        holds states that no other knows of.

    Raises
    ------
    ValueError
        If there are fewer than 2 models, or they have other trials.
    """
    check_instance("states", states, Mapping)
    if len(states) < 2:
        raise ValueError(f"`states`: expected those of at least 2 models, got {len(states)}.")
    measure = StateR2(train=train, seed=seed)
    features = {name: measure.prepare(as_system(f"states[{name!r}]", x)) for name, x in states.items()}
    values = [[np.nan if a is b else measure.compare(a, b)[0] for b in features.values()] for a in features.values()]
    table = pd.DataFrame(values, index=list(features), columns=list(features))
    table.loc["mean"] = table.mean()
    return table

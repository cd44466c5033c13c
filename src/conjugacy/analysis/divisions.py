"""Ways to divide things into two groups, for permutation tests: all of them where they are few, else random ones."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np


def divisions(n: int, k: int, most: int, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """Ways to choose `k` of `n` things.

    Parameters
    ----------
    n, k : int
    most : int
        Ways that are drawn where there are more than that.
    rng : Generator

    Returns
    -------
    ways : boolean array (way, thing)
        True for what is in the first group.
    exact : bool
        Whether these are all ways there are.
    """
    count = math.comb(n, k)
    if count > most:
        return np.argsort(rng.random((most, n)), axis=1) < k, False
    ways = np.zeros((count, n), dtype=bool)
    for row, at in enumerate(combinations(range(n), k)):
        ways[row, list(at)] = True
    return ways, True


def p_value_of(reached: np.ndarray, n: int, k: int, exact: bool) -> tuple[float, float]:
    """The p-value, and the lowest possible one, from which ways (way,) reach what was observed.

    Of random ways the observed one is counted too (Davison & Hinkley 1997, Bootstrap Methods, eq. 4.11).
    """
    ways = len(reached)
    if not exact:
        return (int(reached.sum()) + 1) / (ways + 1), 1 / (ways + 1)
    # with groups of one size, a division and its mirror image are the same
    return float(reached.mean()), (2 if 2 * k == n else 1) / ways

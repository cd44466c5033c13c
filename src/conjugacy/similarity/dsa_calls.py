"""DSA by the call that users of the package `dsa-metric` write: ``DSA(X, Y, n_delays=, rank=).fit_score()``.

The definition is that package's (Ostrow et al. 2023): delays, no mean taken out, operators in whitened coordinates, the
angle after the best rotation. The search is ours (`alignment`), which finds the same optimum or a better one, so that a
score may be lower than the one printed there. Settings of its gradient descent (iterations, learning rate, device) have
nothing to set here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from conjugacy._check import check_choice, check_int
from conjugacy.similarity import dsa
from conjugacy.similarity.dmd import embed
from conjugacy.similarity.samples import as_system, kind_of
from conjugacy.system import System


class DSA:
    """Dynamical similarity of data to each other; nothing is computed before `fit_score`.

    Parameters
    ----------
    X : array (time, unit) or (trial, time, unit), System, or a list of them
        Arrays of two axes are one trial.
    Y : the same, optional
        What `X` is compared with. Without it `X` is a list, all of whose members are compared with each other.
    n_delays, delay_interval : int
        States in a row of the delay embedding, and time steps between them.
    rank : int or None
        Size of the operators. None: the largest that all data have.
    score_method : {"angular", "euclidean"}
        Radians in [0, pi], or the distance of operators scaled to norm 1, in [0, 2].
    center : bool
        Take the mean state out first; False, as in `dsa-metric`, lets the place of the origin matter.

    Raises
    ------
    TypeError, ValueError
        If there is nothing to compare with, or data are no arrays of this kind.
    """

    def __init__(
        self,
        X: Any,
        Y: Any = None,
        n_delays: int = 1,
        delay_interval: int = 1,
        rank: int | None = None,
        score_method: str = "angular",
        *,
        center: bool = False,
    ):
        if Y is None and (not isinstance(X, (list, tuple)) or len(X) < 2):
            raise ValueError(
                f"`Y`: expected data to compare with, or a list of two or more in `X`, got X={kind_of(X)}."
            )
        check_choice("score_method", score_method, ("angular", "euclidean"), "For spectra: get_measure('spectrum_w2').")
        if rank is not None:
            check_int("rank", rank, 1, hint="Or None for the largest that all data have.")
        # of a rank that is not known yet the other settings are checked all the same
        self._settings = {"n_delays": n_delays, "delay_interval": delay_interval, "score": score_method}
        self._settings["center"] = center
        dsa.DSA(rank=1 if rank is None else rank, **self._settings)
        self._rank = rank
        self._single = Y is not None and not any(isinstance(side, (list, tuple)) for side in (X, Y))
        self._x = _systems("X", X)
        self._y = None if Y is None else _systems("Y", Y)

    def fit_score(self) -> float | np.ndarray:
        """Fit all operators and compare them.

        Returns
        -------
        float or array
            A number for two arrays, else (X, Y); without `Y` the symmetric (X, X), with zeros on its diagonal.
        """
        every = self._x + (self._y or [])
        rank = self._rank
        if rank is None:
            delays = self._settings["n_delays"], self._settings["delay_interval"]
            rank = min(embed(s, "all", *delays, center=self._settings["center"]).rank for s in every)
        measure = dsa.DSA(rank=rank, **self._settings)
        features = [measure.prepare_for_value(s) for s in every]
        n = len(self._x)
        if self._y is None:
            pairs = [(i, j) for i in range(n) for j in range(i)]
            values = np.zeros((n, n))
            for (i, j), (value, _) in zip(pairs, measure.compare_many(features, features, pairs)):
                values[i, j] = values[j, i] = value
            return values
        pairs = [(i, n + j) for i in range(n) for j in range(len(self._y))]
        found = np.array([value for value, _ in measure.compare_many(features, features, pairs)])
        return float(found[0]) if self._single else found.reshape(n, len(self._y))


def _systems(name: str, data: Any) -> list[System]:
    if not isinstance(data, (list, tuple)):
        return [_system(name, data)]
    return [_system(f"{name}[{i}]", one) for i, one in enumerate(data)]


def _system(name: str, data: Any) -> System:
    return as_system(name, data[None] if getattr(data, "ndim", 0) == 2 else data)

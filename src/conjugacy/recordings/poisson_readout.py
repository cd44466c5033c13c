"""Poisson regression of spike counts on states, log r = W x + b: the read-out of neurons that a model did not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.linalg as sla

from conjugacy.similarity.principal_components import principal_axes

_HIGHEST = 30.0  # of log rates: beyond, exp overflows in the sums
_PRECISION = 1e-10


@dataclass(frozen=True, eq=False)
class PoissonReadout:
    """A fitted read-out: weights on standardised principal coordinates of the states.

    Attributes
    ----------
    mean : array (state,)
    axes : array (state, component)
        From states about their mean to coordinates of variance 1.
    weights : array (component + 1, neuron)
        The last row is the constant.
    """

    mean: np.ndarray
    axes: np.ndarray
    weights: np.ndarray

    @classmethod
    def fit(cls, states: np.ndarray, counts: np.ndarray, ridge: float = 1e-3, max_iterations: int = 50) -> Self:
        """The read-out that is likeliest given states (sample, state) and counts (sample, neuron).

        `ridge` is the penalty on the weights, relative to the number of samples: whatever linear map the states went
        through, the fit is the same.
        """
        mean, sd, axes = principal_axes(states)
        return cls.in_coordinates(mean, axes / sd, states, counts, ridge * len(states), max_iterations)

    @classmethod
    def in_coordinates(
        cls,
        mean: np.ndarray,
        axes: np.ndarray,
        states: np.ndarray,
        counts: np.ndarray,
        penalty: float,
        max_iterations: int = 50,
    ) -> Self:
        """The same in given coordinates, with a penalty that is not relative to anything."""
        x = np.concatenate([(states - mean) @ axes, np.ones((len(states), 1))], axis=1)
        return cls(mean, axes, np.stack([_weights(x, k, penalty, max_iterations) for k in counts.T], axis=1))

    def log_rates(self, states: np.ndarray) -> np.ndarray:
        """Logarithms of expected counts (..., neuron) at states (..., state)."""
        drive = (states - self.mean) @ self.axes @ self.weights[:-1] + self.weights[-1]
        return np.clip(drive, -_HIGHEST, _HIGHEST)


def _weights(x: np.ndarray, counts: np.ndarray, strength: float, max_iterations: int) -> np.ndarray:
    """Weights of a Poisson regression with logarithmic link, by damped Newton steps."""
    penalty = np.full(x.shape[1], strength)
    penalty[-1] = 0.0  # the constant is free
    w = np.zeros(x.shape[1])
    w[-1] = np.log(max(counts.mean(), 1e-12))

    def loss(v):
        e = np.clip(x @ v, -_HIGHEST, _HIGHEST)
        return np.exp(e).sum() - counts @ e + 0.5 * penalty @ v**2

    value = loss(w)
    for _ in range(max_iterations):
        rate = np.exp(np.clip(x @ w, -_HIGHEST, _HIGHEST))
        gradient = x.T @ (rate - counts) + penalty * w
        step = sla.solve((x.T * rate) @ x + np.diag(penalty + 1e-12 * len(x)), gradient, assume_a="pos")
        t = 1.0
        while loss(w - t * step) > value and t > 1e-6:
            t /= 2
        w, before, value = w - t * step, value, loss(w - t * step)
        if before - value < _PRECISION * abs(before):
            break
    return w

"""Baselines that every table of scores holds: smoothed rates, and principal components with linear dynamics.

Both see the held-in units only. The width of the Gaussian is the one whose smoothed counts, the bin itself left out,
make the training spikes likeliest. A model that is not better than these has found nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import convolve1d

from conjugacy._check import check_int
from conjugacy.recordings.estimate import Estimate
from conjugacy.recordings.filters import gaussian_kernel, smooth
from conjugacy.recordings.poisson_readout import PoissonReadout
from conjugacy.recordings.recording import Recording
from conjugacy.similarity.principal_components import principal_axes

WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # standard deviations (bins) to choose from
_SAMPLES = 20_000
_COMPONENTS = 20  # of the smoothed rates at most: more have nothing but noise
_PRIOR = 0.05  # counts per bin added, so that a window without spikes has a logarithm


@dataclass(frozen=True, eq=False)
class LinearDynamics:
    """x_t = A x_{t-1} + B u_t + c, fitted by least squares to principal components of smoothed activity.

    Attributes
    ----------
    a : array (state, state)
        Of spectral radius at most 1.
    b : array (state, input)
    c : array (state,)
    """

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray

    @classmethod
    def fit(cls, states: np.ndarray, inputs: np.ndarray, inside: np.ndarray) -> LinearDynamics:
        """Fitted to states (trial, time, state) whose bins are `inside` (trial, time)."""
        both = inside[:, 1:] & inside[:, :-1]
        x, u, y = states[:, :-1][both], inputs[:, 1:][both], states[:, 1:][both]
        regressors = np.concatenate([x, u, np.ones((len(x), 1))], 1)
        w = np.linalg.lstsq(regressors, y, rcond=None)[0].T
        d = states.shape[2]
        a, b, c = w[:, :d], w[:, d:-1], w[:, -1]
        fastest = np.abs(np.linalg.eigvals(a)).max()
        return cls(a / max(1.0, float(fastest)), b, c)

    def step(self, x: np.ndarray, u: np.ndarray) -> np.ndarray:
        """The next state (..., state)."""
        return x @ self.a.T + u @ self.b.T + self.c


def smoothed_rates(recording: Recording, rows: np.ndarray, train: np.ndarray, n_seen: int = 0) -> Estimate:
    """Rates of held-in units from the other bins of the same unit, of held-out ones from the smoothed held-in ones.

    States are the principal coordinates of logarithmic smoothed rates; the forecast is the last of them, kept.

    Parameters
    ----------
    recording : Recording
        Of counts.
    rows : array (trial,)
        Its trials.
    train : bool array (trial,)
        Those to fit on.
    n_seen : int
        Bins that a forecast has seen; 0: none is made.
    """
    fit = _Smoothed.fit(recording, rows, train)
    states = fit.states(fit.counts)
    readout = fit.readout(states)
    rates = np.exp(readout.log_rates(states))
    held_in = list(recording.held_in)
    rates[..., held_in] = np.maximum(_others(fit.counts, fit.lengths, fit.width), fit.floor)
    forecast = None
    if n_seen:
        last = fit.states(fit.counts[:, :n_seen], np.minimum(fit.lengths, n_seen))[:, -1:]
        forecast = np.broadcast_to(np.exp(readout.log_rates(last)), rates.shape)
    return Estimate("smoothed rates", rows, train, states, rates, None, forecast, n_seen)


def linear_dynamics(
    recording: Recording, rows: np.ndarray, train: np.ndarray, n_latents: int, n_seen: int = 0
) -> Estimate:
    """States that are the leading principal components of smoothed rates, their forecast by linear dynamics.

    Parameters are those of `smoothed_rates`, and the number of components; inputs are used where they are known.
    """
    return fitted_linear_dynamics(recording, rows, train, n_latents, n_seen)[0]


def fitted_linear_dynamics(
    recording: Recording, rows: np.ndarray, train: np.ndarray, n_latents: int, n_seen: int = 0
) -> tuple[Estimate, LinearDynamics]:
    """`linear_dynamics`, and the dynamics themselves."""
    n_latents = check_int("n_latents", n_latents, 1, len(recording.held_in), "There are so many held-in units.")
    fit = _Smoothed.fit(recording, rows, train)
    states = fit.states(fit.counts)[..., :n_latents]
    n, t = states.shape[:2]
    inputs = np.zeros((n, t, 1)) if recording.inputs is None else recording.inputs[rows]
    dynamics = LinearDynamics.fit(states[train], inputs[train], fit.inside[train])
    readout = fit.readout(states)
    forecast = None
    if n_seen:
        ahead = np.zeros_like(states)
        x = fit.states(fit.counts[:, :n_seen], np.minimum(fit.lengths, n_seen))[:, -1, :n_latents]
        for k in range(n_seen, t):
            x = ahead[:, k] = dynamics.step(x, inputs[:, k])
        forecast = np.exp(readout.log_rates(ahead))
    rates = np.exp(readout.log_rates(states))
    held_in = list(recording.held_in)
    others = fit.turned(_others(fit.counts, fit.lengths, fit.width))[..., :n_latents]
    rates[..., held_in] = np.exp(readout.log_rates(others))[..., held_in]
    return Estimate("linear dynamics", rows, train, states, rates, None, forecast, n_seen), dynamics


@dataclass(frozen=True, eq=False)
class _Smoothed:
    """Held-in counts, how wide they are smoothed, and their principal components."""

    counts: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray
    inside: np.ndarray
    train: np.ndarray
    width: float
    floor: np.ndarray
    mean: np.ndarray
    axes: np.ndarray

    @classmethod
    def fit(cls, recording: Recording, rows: np.ndarray, train: np.ndarray) -> _Smoothed:
        """Width and components from the training trials."""
        targets, lengths, inside = recording.counts[rows], recording.lengths[rows], recording.valid[rows]
        counts = targets[..., list(recording.held_in)]
        few = np.flatnonzero(train)[:100]
        floor = np.maximum(0.05 * counts[train][inside[train]].mean(0), 1e-6)

        def loss(width: float) -> float:
            r = np.maximum(_others(counts[few], lengths[few], width), floor)
            return float((r - counts[few] * np.log(r))[inside[few]].sum())

        width = min(WIDTHS, key=loss)
        x = np.log(smooth(counts[few], lengths[few], width) + _PRIOR)[inside[few]]
        mean, _, axes = principal_axes(x)
        return cls(counts, targets, lengths, inside, train, width, floor, mean, axes[:, :_COMPONENTS])

    def states(self, counts: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
        """Principal coordinates (trial, time, component) of logarithmic smoothed counts."""
        return self.turned(smooth(counts, self.lengths if lengths is None else lengths, self.width))

    def turned(self, smoothed: np.ndarray) -> np.ndarray:
        """Principal coordinates of the logarithms of smoothed counts (trial, time, unit)."""
        return (np.log(smoothed + _PRIOR) - self.mean) @ self.axes

    def readout(self, states: np.ndarray) -> PoissonReadout:
        """From states to all units, fitted on training trials."""
        x, n = states[self.train][self.inside[self.train]], self.targets[self.train][self.inside[self.train]]
        chosen = np.random.default_rng(0).permutation(len(x))[:_SAMPLES]
        return PoissonReadout.fit(x[chosen], n[chosen])


def _others(counts: np.ndarray, lengths: np.ndarray, width: float) -> np.ndarray:
    """Smoothed counts of each bin from the other bins of its trial: a bin's own spikes must not foretell it."""
    kernel = gaussian_kernel(width, False)
    kernel[len(kernel) // 2] = 0.0
    inside = (np.arange(counts.shape[1]) < lengths[:, None]).astype(float)
    weight = convolve1d(inside, kernel, axis=1, mode="constant")
    summed = convolve1d(counts * inside[..., None], kernel, axis=1, mode="constant")
    return summed / np.maximum(weight, 1e-12)[..., None]

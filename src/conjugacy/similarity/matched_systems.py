"""Surrogates for kinship: unrelated linear systems that share with a record all that does not make two systems kin.

Are the dynamics of two records more alike than those of unrelated systems with the same time constants, dimension,
non-normality and noise? Operators drawn at random answer nothing, since fitted operators have a structure that comes
from delays, whitening and truncation: surrogates have to pass through data. A vector autoregression is fitted to a
record, turned into an unrelated one of its kind, and run for as many trials of the same lengths. Two kinds are made:

"spectrum" (order 1)
    In coordinates in which the noise is white, eigenvalues are kept and, in the strictly upper part of the real Schur
    form, Henrici's departure from normality; the order of the eigenvalues and the upper part itself are drawn anew.
"interaction" (order 2)
    A_i = a_i I + R_i: what all channels have in common (a filter, a leak) is kept, and the strength of their
    interaction R_i; its orientation is turned at random. R_i is shrunk by its sampling noise first, which the refitted
    surrogate would carry twice.

As many principal components are modelled as hold 99 % of the variance: with fewer dimensions than the record, a
surrogate would be unlike it whatever the dynamics. A surrogate is seen through a random rotation. Neither kind fits
every record; the test takes the larger p-value of both (an intersection-union test: level where either kind fits).
`unexplained` says how badly a fit misses: where it misses in both kinds, there is no p-value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sla
import torch

from conjugacy.similarity.principal_components import principal_axes
from conjugacy.similarity.samples import Samples
from conjugacy.system import System

KINDS = ("spectrum", "interaction")
_HELD = 0.99  # of the variance, by the components that are modelled
_LEAST_HELD = 0.95
_ROWS_PER_WEIGHT = 10  # time steps for each weight of a row of the model, at least
_STEADY = 3.0  # times as much variance in one third of the trials as in another, at most
_BURN_IN = 30
_LARGEST_RADIUS = 0.99  # of what is run: above, the surrogate would not settle within a trial
_STRONGEST = 1.5  # times the fitted interaction


@dataclass(frozen=True, eq=False)
class Autoregression:
    """A vector autoregression of the leading principal components of a record.

    Attributes
    ----------
    name : str
    dt : float or None
    lengths : int array (trial,)
    operators : array (lag, unit, unit)
        In coordinates in which the noise is white.
    noise_sizes : array (unit,)
        Standard deviations of the noise along its principal axes, in the units of the record.
    sampling_noise : array (lag,)
        Expected squared Frobenius norm of the error of each operator.
    unexplained : float
        Share of the variance of the one-step residuals that two more lags predict, in [0, 1]: 0 where the model fits,
        1 where no model is tried: the record is too short for as many dimensions as it has, or its variance grows or
        shrinks within trials, which no autoregression that has settled does.
    """

    name: str
    dt: float | None
    lengths: np.ndarray
    operators: np.ndarray
    noise_sizes: np.ndarray
    sampling_noise: np.ndarray
    unexplained: float

    @classmethod
    def fitted(cls, system: System, kind: str, least_units: int = 1) -> Autoregression:
        """The autoregression of order 1 ("spectrum") or 2 ("interaction") of a record."""
        samples = Samples.of(system)
        order = 1 + KINDS.index(kind)
        mean, deviations, axes = principal_axes(samples.rows())
        held = np.cumsum(deviations**2) / np.sum(deviations**2)
        wanted = max(int(np.searchsorted(held, _HELD)) + 1, least_units)
        m = min(wanted, len(held), max(int(samples.lengths.sum()) // (_ROWS_PER_WEIGHT * order), 1))
        x = (samples.x - mean) @ axes[:, :m]
        past, future = _lagged(x, samples.lengths, order)
        gram = past.T @ past
        weights = _solved(gram, past.T @ future)
        residual = future - past @ weights
        q = residual.T @ residual / max(len(residual) - past.shape[1], 1)
        values, vectors = np.linalg.eigh(q)
        sizes = np.sqrt(np.maximum(values, values[-1] * 1e-10))
        half, inverse = vectors * sizes, (vectors / sizes).T
        operators = np.array([inverse @ a.T @ half for a in weights.reshape(order, m, m)])
        spread = np.linalg.pinv(gram, hermitian=True).reshape(order, m, order, m)
        noise = np.array([m * np.trace(half.T @ spread[i, :, i] @ half) for i in range(order)])
        return cls(
            system.name,
            system.dt,
            samples.lengths,
            operators,
            sizes,
            noise,
            _predictable(x @ inverse.T, samples.lengths, order)
            if held[m - 1] >= _LEAST_HELD and _is_steady(x, samples.lengths)
            else 1.0,
        )

    def unrelated(self, kind: str, rng: np.random.Generator) -> System:
        """A record of an unrelated system of this kind: as many trials, of the same lengths."""
        turned = _other_spectrum(self.operators[0], rng)[None] if kind == "spectrum" else self._turned(rng)
        m, order = len(self.noise_sizes), len(turned)
        n, t = len(self.lengths), int(self.lengths.max()) + _BURN_IN
        # the noise is turned into states in its place: most of the time goes to drawing it
        z = np.zeros((t + order, n, m))
        rng.standard_normal(out=z[order:])
        steps = [operator.T.copy() for operator in turned]
        for k in range(order, t + order):
            for i, step in enumerate(steps):
                z[k] += z[k - 1 - i] @ step
        seen = (z[-(t - _BURN_IN) :] @ (self.noise_sizes[:, None] * _haar(m, rng))).transpose(1, 0, 2)
        lengths = torch.from_numpy(self.lengths)
        return System(f"unrelated to {self.name}", torch.from_numpy(seen.copy()), None, lengths, dt=self.dt)

    def _turned(self, rng: np.random.Generator) -> np.ndarray:
        m = len(self.noise_sizes)
        common = np.trace(self.operators, axis1=1, axis2=2) / m
        rest = self.operators - common[:, None, None] * np.eye(m)
        power = np.maximum((rest**2).sum((1, 2)), 1e-300)
        rest = rest * np.sqrt(np.maximum(1 - self.sampling_noise / power, 0.0))[:, None, None]
        left, right = _haar(m, rng), _haar(m, rng)
        rest, base = left @ rest @ right, common[:, None, None] * np.eye(m)
        wanted = min(_radius(self.operators), _LARGEST_RADIUS)
        low, high = 0.0, _STRONGEST
        if _radius(base + high * rest) < wanted:
            return base + high * rest
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if _radius(base + middle * rest) < wanted else (low, middle)
        return base + low * rest


def _lagged(x: np.ndarray, lengths: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows [x(t - 1), ..., x(t - order)] and x(t), of all trials."""
    past, future = [], []
    for trial, n in zip(x, lengths):
        if n > order:
            past.append(np.concatenate([trial[order - 1 - i : n - 1 - i] for i in range(order)], axis=1))
            future.append(trial[order:n])
    return np.concatenate(past), np.concatenate(future)


def _is_steady(x: np.ndarray, lengths: np.ndarray) -> bool:
    """Whether the variance about the mean is about the same in all thirds of the trials."""
    third = np.minimum(3 * np.arange(x.shape[1]) // lengths[:, None], 3)  # 3: past the end
    power = [(x[third == k] ** 2).sum(-1).mean() if (third == k).any() else np.nan for k in range(3)]
    return bool(np.nanmax(power) <= _STEADY * np.nanmin(power))


def _predictable(x: np.ndarray, lengths: np.ndarray, order: int) -> float:
    """Share of the residual variance of an autoregression of `order` that one of `order` + 2 explains."""
    if (lengths > order + 2).sum() == 0:
        return 1.0
    past, future = _lagged(x, lengths, order + 2)
    m, n = x.shape[2], len(past)
    if n <= 2 * past.shape[1]:
        return 1.0
    left = []
    for width in (order * m, (order + 2) * m):
        weights = _solved(past[:, :width], future)
        left.append(((future - past[:, :width] @ weights) ** 2).sum() / (n - width))
    return float(np.clip(1 - left[1] / left[0], 0.0, 1.0))


def _solved(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(sla.lstsq(x, y, cond=1e-10, check_finite=False)[0])  # type: ignore[index]


def _other_spectrum(a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A matrix with the eigenvalues of `a` and its departure from normality, otherwise drawn at random."""
    values = np.linalg.eigvals(a)
    radius = np.abs(values).max()
    values = values * min(1.0, _LARGEST_RADIUS / radius) if radius > 0 else values
    blocks = [np.array([[v.real]]) for v in values if abs(v.imag) < 1e-12]
    blocks += [np.array([[v.real, v.imag], [-v.imag, v.real]]) for v in values if v.imag >= 1e-12]
    out = np.asarray(sla.block_diag(*[blocks[i] for i in rng.permutation(len(blocks))]))
    above = np.triu(rng.normal(size=(len(out), len(out))), 1) * (out == 0)
    henrici = np.sqrt(max((a**2).sum() - (np.abs(values) ** 2).sum(), 0.0))
    size = np.linalg.norm(above)
    return out + above * (henrici / size if size > 0 else 0.0)


def _radius(operators: np.ndarray) -> float:
    order, m, _ = operators.shape
    companion = np.eye(order * m, k=-m)
    companion[:m] = np.concatenate(list(operators), axis=1)
    return float(np.abs(np.linalg.eigvals(companion)).max())


def _haar(n: int, rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(n, n)))
    return q * np.sign(np.diagonal(r))

"""State R2: how much of one system's states an affine map of another system's states explains, on held-out trials.

With x the source and y the target, paired by trial and step,

    (W, c) = argmin sum_train |y - W x - c|^2 + ridge |W|^2 n_train,
    R2     = 1 - sum_held-out |y - W x - c|^2 / sum_held-out |y - mean(y)|^2,

the mean over the held-out samples: the variance-weighted mean of the R2 of the target's units. R2(a -> b) is low where
b has dimensions that a lacks; R2(b -> a) where a has dimensions that b lacks. One direction alone cannot tell a model
that invents dimensions from one that misses them (Versteeg et al. 2025 report true -> inferred).

Trials are whole in one part or the other. All is computed from sums over trials, so that a bootstrap costs no
pass over the data: training and held-out trials are resampled each within their part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg as sla
from typing_extensions import override

from conjugacy._check import check_int, check_number
from conjugacy.similarity.measure import Measure
from conjugacy.similarity.principal_components import principal_axes
from conjugacy.similarity.samples import Samples, as_system, check_paired, check_varies, shuffled_order, split_trials
from conjugacy.similarity.score import OFF_DATA, Score, Traits
from conjugacy.system import System

RIDGE_GRID = tuple(10.0**e for e in range(-8, 3))


@dataclass(frozen=True, eq=False)
class RegressionFeatures:
    """Samples of all trials, and the same in whitened principal coordinates of the training trials.

    Attributes
    ----------
    samples : Samples
        States about their mean; training trials first where they were given apart.
    white : array (trial, time, component)
        States in principal coordinates, scaled to unit variance: well-conditioned whatever the units are.
    gram : array (trial, component, component)
        Sums of products of `white` over the steps of each trial.
    scale : array (component,)
        Standard deviations of the principal coordinates.
    train : bool array (trial,)
    order : int array (trial,)
        Which trial stands in the place of each: the trials' own order, unless they were shuffled.
    """

    samples: Samples
    white: np.ndarray
    gram: np.ndarray
    scale: np.ndarray
    train: np.ndarray
    order: np.ndarray

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return self.samples.n_trials


@dataclass(frozen=True)
class StateR2(Measure):
    """R2 of b's states, predicted from a's by an affine map fitted on other trials.

    Attributes
    ----------
    train : float
        Share of trials to fit on, where no training trials are given.
    ridge : float or "cv"
        Penalty, relative to the variance of the source's leading principal component; "cv" chooses it by 5-fold
        cross-validation over training trials.
    n_components : int or None
        Keep this many principal components of the source. None: all.
    seed : int
        Of the split into training and held-out trials.
    """

    train: float = 0.8
    ridge: float | str = 0.0
    n_components: int | None = None
    seed: int = 0

    def __post_init__(self):
        check_number("train", self.train, 0, 1, open_low=True)
        if self.train == 1:
            raise ValueError("`train`: expected a share in (0, 1), got 1. Some trials must be held out.")
        if self.ridge != "cv":
            check_number("ridge", self.ridge, 0, hint="Or 'cv'.")
        if self.n_components is not None:
            check_int("n_components", self.n_components, 1)

    @property
    @override
    def traits(self) -> Traits:
        return Traits(
            name="state_r2",
            version="1",
            summary="share of b's variance explained by an affine map of a, on held-out trials",
            needs="paired trajectories",
            low=-np.inf,
            high=1.0,
            perfect=1.0,
            higher_is_more_similar=True,
            symmetric=False,
            invariances=frozenset(
                {
                    "rotation",
                    "mirror",
                    "permutation",
                    "scaling",
                    "translation",
                    "affine map",
                    "other size",
                    "observation noise",
                }
            ),
            blind_to=OFF_DATA | {"other dynamics, same geometry"},
            reference="Versteeg et al. 2025 (CtDB), State R2; here in both directions",
        )

    @override
    def prepare(self, system: System, train: System | None = None) -> RegressionFeatures:
        samples = Samples.of(system)
        check_varies(samples, "state_r2")
        if train is None:
            chosen = split_trials(samples.n_trials, self.train, self.seed)
        else:
            samples = _joined(Samples.of(train), samples)
            chosen = np.arange(samples.n_trials) < train.n_trials
        mean, scale, axes = principal_axes(samples.take(np.flatnonzero(chosen)).rows())
        if len(scale) == 0:
            raise ValueError(f"`train`: the training trials of {samples.name!r} are constant. Use other trials.")
        white = (samples.x - mean) @ (axes / scale)
        white[~samples.valid] = 0.0
        gram = white.transpose(0, 2, 1) @ white
        # about the mean of all, so that sums of squares lose no digits
        states = samples.x - samples.rows().mean(0)
        states[~samples.valid] = 0.0
        centred = Samples(samples.name, states, samples.lengths)
        return RegressionFeatures(centred, white, gram, scale, chosen, np.arange(samples.n_trials))

    @override
    def compare(self, a: RegressionFeatures, b: RegressionFeatures) -> tuple[float, dict[str, Any]]:
        sums = _sums(a, b, self.n_components)
        ridge = self._choose_ridge(sums, a.train)
        value = _held_out_r2(sums, a.train * 1.0, ~a.train * 1.0, ridge)
        components = sums["xx"].shape[-1]
        fit = _held_out_r2(sums, a.train * 1.0, a.train * 1.0, ridge)
        return value, {
            "train_r2": fit,
            "ridge": ridge,
            "n_components": components,
            "n_train": int(a.train.sum()),
            "n_held_out": int((~a.train).sum()),
        }

    @override
    def shuffle(self, features: RegressionFeatures, rng: np.random.Generator) -> RegressionFeatures:
        # within the parts, so that no trial is fitted and scored at once
        order = shuffled_order(features.samples.lengths, rng, features.train)
        return replace(features, order=features.order[order])

    @override
    def draw_trials(self, a, b, n_resamples, rng):
        # within the parts, so that no trial is fitted and scored at once
        counts = np.zeros((n_resamples, a.n_trials), dtype=np.int64)
        for part in (a.train, ~a.train):
            n = int(part.sum())
            counts[:, part] = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)
        return counts, counts

    @override
    def compare_resampled(self, a, b, counts_a, counts_b):
        del counts_b  # trials are paired
        sums = _sums(a, b, self.n_components)
        ridge = self._choose_ridge(sums, a.train)
        return np.array([_held_out_r2(sums, c * a.train, c * ~a.train, ridge) for c in counts_a])

    def _choose_ridge(self, sums: dict[str, np.ndarray], train: np.ndarray) -> float:
        if self.ridge != "cv":
            return float(self.ridge)
        trials = np.flatnonzero(train)
        if len(trials) < 2:
            raise ValueError("`ridge`: 'cv' needs at least 2 training trials, got 1. Use a number.")
        folds = np.array_split(np.random.default_rng(self.seed).permutation(trials), min(5, len(trials)))
        score = np.zeros(len(RIDGE_GRID))
        for held_out in folds:
            test = np.zeros(len(train))
            test[held_out] = 1
            fit = train * (1 - test)
            score += [_held_out_r2(sums, fit, test, ridge) for ridge in RIDGE_GRID]
        return RIDGE_GRID[int(np.argmax(score))]


def state_r2(
    a: Any,
    b: Any,
    *,
    train: float | tuple[Any, Any] = 0.8,
    ridge: float | str = 0.0,
    n_components: int | None = None,
    seed: int = 0,
    **options: Any,
) -> Score:
    """R2 of the states of `b`, predicted from those of `a` by an affine map fitted on other trials.

    Parameters
    ----------
    a, b : System or array (trial, time, unit)
        Source and target, paired by trial and step; any numbers of units.
    train : float or pair of systems
        Share of the trials to fit on, or the training trials (a_train, b_train): then all of `a`, `b` is held out.
    ridge, n_components, seed
        See `StateR2`.
    **options
        `interval`, `null` and the like, see `Measure.__call__`.

    Returns
    -------
    Score
        Its diagnostics hold "train_r2", the R2 on the trials of the fit.

    Raises
    ------
    ValueError
        If trials or lengths differ, there is a single trial, or the states of one system are constant.
    """
    if isinstance(train, tuple):
        pair = (as_system("train[0]", train[0]), as_system("train[1]", train[1]))
        return StateR2(ridge=ridge, n_components=n_components, seed=seed)(a, b, train=pair, seed=seed, **options)
    measure = StateR2(train=train, ridge=ridge, n_components=n_components, seed=seed)
    return measure(a, b, seed=seed, **options)


def _joined(train: Samples, test: Samples) -> Samples:
    if train.n_units != test.n_units:
        raise ValueError(
            f"`train`: expected the {test.n_units} units of {test.name!r}, got {train.n_units} in {train.name!r}."
        )
    steps = max(train.x.shape[1], test.x.shape[1])
    padded = [np.pad(s.x, ((0, 0), (0, steps - s.x.shape[1]), (0, 0))) for s in (train, test)]
    return Samples(test.name, np.concatenate(padded), np.concatenate([train.lengths, test.lengths]))


def _sums(a: RegressionFeatures, b: RegressionFeatures, n_components: int | None) -> dict[str, np.ndarray]:
    """Sums over the steps of each trial: n, x, y, x x', x y', y y (by unit), and the ridge of each component."""
    check_paired(a.samples, b.samples, "state_r2")
    if not np.array_equal(a.train, b.train):
        raise ValueError("`train`: expected the same training trials for both systems, got other ones. Give both.")
    x, scale, gram = a.white, a.scale, a.gram
    if n_components is not None:
        if n_components > len(scale):
            raise ValueError(
                f"`n_components`: expected at most {len(scale)}, the rank of {a.samples.name!r}, got {n_components}."
            )
        x, scale, gram = x[..., :n_components], scale[:n_components], gram[:, :n_components, :n_components]
    y, i, j = b.samples.x, a.order, b.order
    return {
        "n": a.samples.lengths[i].astype(float),
        "x": x.sum(1)[i],
        "y": y.sum(1)[j],
        "xx": gram[i],
        # trial by trial: states of shuffled trials are not copied
        "xy": np.stack([x[p].T @ y[q] for p, q in zip(i, j)]),
        "yy": np.einsum("ktd,ktd->kd", y, y)[j],
        "penalty": (scale[0] / scale) ** 2,
    }


def _held_out_r2(sums: dict[str, np.ndarray], fit: np.ndarray, test: np.ndarray, ridge: float) -> float:
    """R2 with trials weighted by `fit` in the regression and by `test` in the score."""

    def total(key, weights):
        return np.tensordot(weights, sums[key], 1)

    n = total("n", fit)
    mx, my = total("x", fit) / n, total("y", fit) / n
    cxx = total("xx", fit) / n - np.outer(mx, mx)
    cxy = total("xy", fit) / n - np.outer(mx, my)
    w = _solve(cxx + ridge * np.diag(sums["penalty"]), cxy)
    c = my - mx @ w
    m = total("n", test)
    sx, sy, yy = total("x", test), total("y", test), total("yy", test).sum()
    sse = (
        yy
        - 2 * np.sum(total("xy", test) * w)
        - 2 * sy @ c
        + np.sum((total("xx", test) @ w) * w)
        + 2 * (sx @ w) @ c
        + m * c @ c
    )
    sst = yy - sy @ sy / m
    return float(1 - sse / sst) if sst > 0 else float("nan")


def _solve(gram: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Least-norm solution: few samples leave directions of the source without data."""
    values, vectors = sla.eigh(gram, check_finite=False)
    keep = values > 1e-12 * values[-1]
    vectors = vectors[:, keep]
    return vectors @ ((vectors.T @ right) / values[keep][:, None])

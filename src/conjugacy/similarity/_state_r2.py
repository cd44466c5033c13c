"""State R2: how much of one system's states an affine map of another system's states explains, on held-out trials.

With x the source and y the target, paired by trial and step,

    (W, c) = argmin sum_train |y - W x - c|^2 + ridge |W|^2 n_train,
    R2     = 1 - sum_held-out |y - W x - c|^2 / sum_held-out |y - mean(y)|^2,

the mean over the held-out samples: the variance-weighted mean of the R2 of the target's units. R2(a -> b) is low where
b has dimensions that a lacks; R2(b -> a) where a has dimensions that b lacks. One direction alone cannot tell a model
that invents dimensions from one that misses them (Versteeg et al. 2025 report true -> inferred).

Trials are whole in one part or the other. All is computed from sums over trials, so that an interval costs no pass over
the data: it comes from values without one training or one held-out trial each, see `jackknife`, about the value less
its bias, which is what the regression would gain from more trials.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg as sla
from typing_extensions import override

from conjugacy._check import check_int, check_number
from conjugacy.similarity.jackknife import jackknife_interval
from conjugacy.similarity.measure import Measure
from conjugacy.similarity.principal_components import principal_axes
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.samples import (
    Layout,
    check_paired,
    check_system_varies,
    layout_of,
    shuffled_order,
    split_trials,
)
from conjugacy.similarity.score import OFF_DATA, Interval, Score, Traits, Undefined
from conjugacy.system import System

RIDGE_GRID = tuple(10.0**e for e in range(-8, 3))


@dataclass(frozen=True, eq=False)
class RegressionFeatures:
    """States of all trials in whitened principal coordinates of the training trials, and sums over them.

    The states themselves are read from the system when a pair needs them: many systems at once would not fit into
    memory in double precision otherwise.

    Attributes
    ----------
    layout : Layout
        Trials of one system; training trials first where they were given apart.
    source : tuple of System
        The system, after the training trials where they were given apart.
    mean : array (unit,)
        Mean of all states. States are taken about it, so that sums of squares lose no digits.
    white : array (trial, time, component)
        States in principal coordinates, scaled to unit variance: well-conditioned whatever the units are.
    scale : array (component,)
        Standard deviations of the principal coordinates.
    train : bool array (trial,)
    order : int array (trial,)
        Which trial stands in the place of each: the trials' own order, unless they were shuffled.
    """

    layout: Layout
    source: tuple[System, ...]
    mean: np.ndarray
    white: np.ndarray
    scale: np.ndarray
    train: np.ndarray
    order: np.ndarray

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return self.layout.n_trials

    def states(self, trial: int) -> np.ndarray:
        """States (time, unit) of one trial about the mean of all."""
        return _states(self.source, trial) - self.mean

    @cached_property
    def gram(self) -> np.ndarray:
        """Sums of products of `white` over the steps of each trial, (trial, component, component)."""
        return self.white.transpose(0, 2, 1) @ self.white

    @cached_property
    def sums(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sums over the steps of each trial: white (trial, component), states and their squares (trial, unit)."""
        totals = np.empty((2, self.n_trials, len(self.mean)))
        for k in range(self.n_trials):
            y = self.states(k)
            totals[:, k] = y.sum(0), np.einsum("td,td->d", y, y)
        return self.white.sum(1), totals[0], totals[1]

    @cached_property
    def gram_of_parts(self) -> dict[bool, np.ndarray]:
        """Sums of `gram` over the training trials (True) and the others (False)."""
        parts = {}
        for train in (True, False):
            trials = np.flatnonzero(self.train == train)
            parts[train] = sum((self.white[k].T @ self.white[k] for k in trials), np.zeros((len(self.scale),) * 2))
        return parts


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
        check_number("train", self.train, 0, 1, open_low=True, hint="Or give training trials: a pair of systems.")
        check_int("seed", self.seed, 0)
        if self.train == 1:
            raise ValueError("`train`: expected a share in (0, 1), got 1. Some trials must be held out.")
        if not (isinstance(self.ridge, str) and self.ridge == "cv"):
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
        check_system_varies(system, "state_r2")
        if train is None:
            source, layout = (system,), layout_of(system)
            chosen = split_trials(layout.n_trials, self.train, self.seed)
        else:
            _check_units(train, system)
            source = (train, system)
            layout = Layout(system.name, np.concatenate([layout_of(s).lengths for s in source]))
            chosen = np.arange(layout.n_trials) < train.n_trials
        rows = np.concatenate([_states(source, int(k)) for k in np.flatnonzero(chosen)])
        mean, scale, axes = principal_axes(rows)
        del rows  # before as much memory again is asked for
        if len(scale) == 0:
            raise ValueError(f"`train`: the training trials of {layout.name!r} are constant. Use other trials.")
        white = np.zeros((layout.n_trials, int(layout.lengths.max()), len(scale)))
        total = np.zeros(len(mean))
        for k, length in enumerate(layout.lengths):
            x = _states(source, k)
            total += x.sum(0)
            white[k, :length] = (x - mean) @ (axes / scale)
        order = np.arange(layout.n_trials)
        features = RegressionFeatures(layout, source, total / layout.n_samples, white, scale, chosen, order)
        _ = features.sums, features.gram_of_parts  # so that pairs find them done
        return features

    @override
    def compare(self, a: RegressionFeatures, b: RegressionFeatures) -> tuple[float, dict[str, Any]]:
        _check_pair(a, b, self.n_components)
        ridge = self._choose_ridge(_by_trial(a, b, self.n_components), a) if self.ridge == "cv" else float(self.ridge)
        fitted, held_out = (_of_part(a, b, self.n_components, train) for train in (True, False))
        value = _r2_of(fitted, held_out, ridge, a.scale)
        if np.isnan(value):
            raise Undefined(
                f"`b`: 'state_r2' is undefined (0/0), got the same state at all held-out steps of {b.layout.name!r}. "
                "Use other trials."
            )
        return value, {
            "train_r2": _r2_of(fitted, fitted, ridge, a.scale),
            "ridge": ridge,
            "n_components": len(fitted["xx"]),
            "n_train": int(a.train.sum()),
            "n_held_out": int((~a.train).sum()),
        }

    @override
    def shuffle(self, features: RegressionFeatures, rng: np.random.Generator) -> RegressionFeatures:
        # within the parts, so that no trial is fitted and scored at once
        order = shuffled_order(features.layout.lengths, rng, features.train)
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
    def interval(self, a: RegressionFeatures, b: RegressionFeatures, value: float, resampling: Resampling) -> Interval:
        # a regression on few trials predicts others worse than one on many: the bias is most of the error
        return jackknife_interval(self, a, b, value, resampling, corrected=True, parts=a.train)

    @override
    def compare_resampled(self, a, b, counts_a, counts_b):
        del counts_b  # trials are paired
        _check_pair(a, b, self.n_components)
        sums = _by_trial(a, b, self.n_components)
        ridge = self._choose_ridge(sums, a)
        return np.array(
            [_r2_of(_weighted(sums, c * a.train), _weighted(sums, c * ~a.train), ridge, a.scale) for c in counts_a]
        )

    def _choose_ridge(self, sums: dict[str, np.ndarray], a: RegressionFeatures) -> float:
        if self.ridge != "cv":
            return float(self.ridge)
        trials = np.flatnonzero(a.train)
        if len(trials) < 2:
            raise ValueError("`ridge`: 'cv' needs at least 2 training trials, got 1. Use a number.")
        folds = np.array_split(np.random.default_rng(self.seed).permutation(trials), min(5, len(trials)))
        score = np.zeros(len(RIDGE_GRID))
        for held_out in folds:
            test = np.zeros(len(a.train))
            test[held_out] = 1
            fit, test = _weighted(sums, a.train * (1 - test)), _weighted(sums, test)
            score += [_r2_of(fit, test, ridge, a.scale) for ridge in RIDGE_GRID]
        return RIDGE_GRID[int(np.argmax(score))]


def state_r2(
    a: Any,
    b: Any,
    *,
    train: float | tuple[Any, Any] = 0.8,
    ridge: float | str = 0.0,
    n_components: int | None = None,
    seed: int = 0,
    interval: float | None = None,
    n_resamples: int = 200,
    null: Any = None,
    n_surrogates: int = 50,
) -> Score:
    """R2 of the states of `b`, predicted from those of `a` by an affine map fitted on other trials.

    Parameters
    ----------
    a, b : System or array (trial, time, unit)
        Source and target, paired by trial and step; any numbers of units.
    train : float or pair of systems
        Share of the trials to fit on, or the training trials (a_train, b_train): then all of `a`, `b` is held out.
    ridge, n_components
        See `StateR2`.
    seed : int
        Seed of the split into training and held-out trials, of resamples and of surrogates.
    interval, n_resamples, null, n_surrogates
        Settings of the interval and of the null, see `Resampling`.

    Returns
    -------
    Score
        Its diagnostics hold "train_r2", the R2 on the trials of the fit.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, trials or lengths differ, there is a single trial, or the states of one
        system are constant.
    """
    resampling = Resampling(interval, n_resamples, null, n_surrogates, seed)
    options = {f.name: getattr(resampling, f.name) for f in fields(resampling)}
    if isinstance(train, (tuple, list)):
        return StateR2(ridge=ridge, n_components=n_components, seed=seed)(a, b, train=tuple(train), **options)
    return StateR2(train=train, ridge=ridge, n_components=n_components, seed=seed)(a, b, **options)


def _states(source: tuple[System, ...], trial: int) -> np.ndarray:
    """States (time, unit) of one trial in double precision, the trials of all of `source` counted through."""
    for system in source:
        if trial < system.n_trials:
            x = system.trajectories[trial, : int(system.lengths[trial])]
            return x.detach().cpu().numpy().astype(np.float64)
        trial -= system.n_trials
    raise IndexError(trial)


def _check_units(train: System, test: System) -> None:
    if train.n_units != test.n_units:
        raise ValueError(
            f"`train`: expected the {test.n_units} units of {test.name!r}, got {train.n_units} in {train.name!r}."
        )


def _check_pair(a: RegressionFeatures, b: RegressionFeatures, n_components: int | None) -> None:
    check_paired(a.layout, b.layout, "state_r2")
    if not np.array_equal(a.train, b.train):
        raise ValueError("`train`: expected the same training trials for both systems, got other ones. Give both.")
    if n_components is not None and n_components > len(a.scale):
        raise ValueError(
            f"`n_components`: expected at most {len(a.scale)}, the rank of {a.layout.name!r}, got {n_components}."
        )


def _by_trial(a: RegressionFeatures, b: RegressionFeatures, n_components: int | None) -> dict[str, np.ndarray]:
    """Sums over the steps of each trial: n, x, y, x x', x y', y y (by unit)."""
    n, i, j = n_components, a.order, b.order
    return {
        "n": a.layout.lengths[i].astype(float),
        "x": a.sums[0][i, :n],
        "y": b.sums[1][j],
        "xx": a.gram[i, :n, :n],
        "xy": np.stack([_cross(a, b, p, q)[:n] for p, q in zip(i, j)]),
        "yy": b.sums[2][j],
    }


def _of_part(
    a: RegressionFeatures, b: RegressionFeatures, n_components: int | None, train: bool
) -> dict[str, np.ndarray]:
    """`_by_trial`, summed over the training trials or over the others, without the sums of each trial."""
    n, part = n_components, a.train == train
    i, j = a.order[part], b.order[part]
    return {
        "n": a.layout.lengths[i].sum().astype(float),
        "x": a.sums[0][i, :n].sum(0),
        "y": b.sums[1][j].sum(0),
        # shuffling leaves trials in their part
        "xx": a.gram_of_parts[train][:n, :n],
        "xy": sum((_cross(a, b, p, q) for p, q in zip(i, j)), np.zeros((len(a.scale), len(b.mean))))[:n],
        "yy": b.sums[2][j].sum(0),
    }


def _cross(a: RegressionFeatures, b: RegressionFeatures, trial_a: int, trial_b: int) -> np.ndarray:
    y = b.states(int(trial_b))
    return a.white[trial_a, : len(y)].T @ y


def _weighted(sums: dict[str, np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Sums over all trials, each weighted."""
    return {key: np.tensordot(weights * 1.0, value, 1) for key, value in sums.items()}


def _r2_of(fit: dict[str, np.ndarray], test: dict[str, np.ndarray], ridge: float, scale: np.ndarray) -> float:
    """R2 on the sums of `test` of the regression on the sums of `fit`; NaN where the targets of `test` are constant."""
    n, mx, my = fit["n"], fit["x"] / fit["n"], fit["y"] / fit["n"]
    cxx = fit["xx"] / n - np.outer(mx, mx)
    cxy = fit["xy"] / n - np.outer(mx, my)
    penalty = (scale[0] / scale[: len(mx)]) ** 2
    w = _solve(cxx + ridge * np.diag(penalty), cxy)
    c = my - mx @ w
    m, sx, sy, yy = test["n"], test["x"], test["y"], test["yy"].sum()
    sse = yy - 2 * np.sum(test["xy"] * w) - 2 * sy @ c + np.sum((test["xx"] @ w) * w) + 2 * (sx @ w) @ c + m * c @ c
    sst = yy - sy @ sy / m
    # what rounding leaves of a constant is no variance
    return float(1 - sse / sst) if sst > 1e-13 * yy else float("nan")


def _solve(gram: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Least-norm solution: few samples leave directions of the source without data."""
    values, vectors = sla.eigh(gram, check_finite=False)
    keep = values > 1e-12 * values[-1]
    vectors = vectors[:, keep]
    return vectors @ ((vectors.T @ right) / values[keep][:, None])

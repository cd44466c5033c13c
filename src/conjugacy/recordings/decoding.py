"""Behaviour decoded from activity by regressions that are scored on trials, or conditions, they have not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from conjugacy._arrays import read_numbers
from conjugacy._check import (
    check_axes,
    check_choice,
    check_finite,
    check_instance,
    check_int,
    check_number,
    check_numbers,
)
from conjugacy.recordings.recording import Recording
from conjugacy.system import System

METHODS = ("ridge", "pls", "reduced-rank")
PENALTIES = tuple(float(10.0**k) for k in range(-4, 5))
_INNER = 5


@dataclass(frozen=True, eq=False)
class Decoding:
    """What was decoded, and how well.

    Attributes
    ----------
    r2 : array (channel,)
        Share of the variance of each channel that predictions of held-out trials explain; the variance is about the
        mean of the held-out trials of all folds together. Below 0: worse than that mean.
    predictions : array (trial, time, channel)
        Each trial as predicted by a fit that has not seen it (nor its condition); NaN where nothing was decoded.
    target : array (trial, time, channel)
        What was to be decoded, at the time of the bin plus the lag.
    chosen : tuple of float
        Penalty (ridge, reduced-rank: a share of the mean variance of the regressors times the number of samples) or
        number of components (PLS) of each fold.
    folds : array (trial,), int64
        Fold in which each trial was held out.
    lag : float
        Time (s) by which the target is later than the activity.
    """

    r2: np.ndarray
    predictions: np.ndarray
    target: np.ndarray
    chosen: tuple[float, ...]
    folds: np.ndarray
    lag: float


def decode(
    source: Recording | System,
    target: Any,
    *,
    lag: float = 0.0,
    history: int = 0,
    folds: int | str = 5,
    method: str = "ridge",
    rank: int = 1,
    grid: Sequence[float] | None = None,
    seed: int = 0,
) -> Decoding:
    """Decode behaviour from the activity of a recording or the states of a network.

    A fit is chosen within the training trials of each fold (nested cross-validation over trials or conditions) and
    scored on the fold that was held out. Units are centred and divided by their standard deviation in the training
    trials (units that are constant there are left out).

    Parameters
    ----------
    source : Recording or System
        Activity, such as a recording, or `run.system()` of a trained network.
    target : str or array (trial, time, channel)
        Behaviour of the recording by name (at the middles of the bins, plus `lag`), or values on the steps of the
        source, which are shifted by `lag` in whole steps.
    lag : float
        Time (s; steps where the system has no `dt`) by which behaviour follows activity.
    history : int
        Number of earlier bins of activity that are regressors beside the present one.
    folds : int or "conditions"
        Number of groups of whole trials, at least 2; or one fold for each condition of the recording.
    method : {"ridge", "pls", "reduced-rank"}
        Ridge regression; partial least squares; or ridge whose predictions are kept to `rank` dimensions.
    rank : int
        Dimensions of a reduced-rank regression, at least 1.
    grid : sequence of float, optional
        Penalties or numbers of components to choose from. None: powers of 10 from 1e-4 to 1e4, or 1 to 10.
    seed : int
        Of the division of trials into folds.

    Returns
    -------
    Decoding

    Raises
    ------
    TypeError, ValueError
        If target and source have other trials, fewer than 3 trials (or conditions) are there, or a target never varies.
    """
    check_instance("source", source, (Recording, System), "Pass a Recording, or the system of a run.")
    check_choice("method", method, METHODS)
    check_int("history", history, 0)
    check_number("lag", lag)
    x, valid, conditions, dt = _activity(source)
    y = _target(source, target, x, lag, dt)
    x, valid = _with_history(x, valid, history)
    valid = valid & np.isfinite(y).all(-1)
    kept = np.flatnonzero(valid.any(1))
    fold = fold_of_trials(len(x), kept, folds, conditions, check_int("seed", seed, 0))
    rows, trial = valid.nonzero()[0], np.where(valid)[0]
    a, b = x[valid], y[valid]
    if (b.std(0) == 0).any():
        raise ValueError("`target`: expected channels that vary, got one that is constant. Leave it out.")
    most = b.shape[1]
    if method == "reduced-rank" and check_int("rank", rank, 1) > most:
        raise ValueError(f"`rank`: expected at most the {most} channels of the target, got {rank}.")
    groups, fits = fold[rows], _fits(method, rank)
    candidates = _grid(method, grid, a.shape[1], min((groups != k).sum() for k in np.unique(groups)))
    found, chosen = np.full(b.shape, np.nan), []
    for k in np.unique(groups):
        train = groups != k
        inner = groups[train] if folds == "conditions" else _inner_groups(trial[train])
        best = _best(a[train], b[train], inner, candidates, fits)
        chosen.append(best)
        found[~train] = fits(a[train], b[train], (best,))(a[~train])[0]
    predictions = np.full(y.shape, np.nan)
    predictions[valid] = found
    r2 = 1 - ((b - found) ** 2).sum(0) / ((b - b.mean(0)) ** 2).sum(0)
    return Decoding(r2, predictions, y, tuple(chosen), fold, float(lag))


def fold_of_trials(n: int, kept: np.ndarray, folds: int | str, conditions: np.ndarray | None, seed: int) -> np.ndarray:
    """Fold (trial,) in which each trial is held out; -1 for trials that are not `kept`."""
    out = np.full(n, -1)
    if folds == "conditions":
        if conditions is None:
            raise ValueError("`folds`: expected a number where the source has no conditions, got 'conditions'.")
        _, out[kept] = np.unique(conditions[kept], return_inverse=True)
        found, what = out.max(initial=-1) + 1, "conditions"
    else:
        folds = check_int("folds", folds, 2, hint='A number of folds, or "conditions".')
        found, what = len(kept), "trials"
        out[kept] = np.random.default_rng(seed).permutation(len(kept)) % folds
    least = 3 if what == "conditions" else max(3, int(folds))
    if found < least:
        raise ValueError(f"`source`: expected at least {least} {what} to hold out in turn, got {found}.")
    return out


def _activity(source: Recording | System) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, float]:
    """Activity (trial, time, unit), which bins count, conditions, and seconds per bin."""
    if isinstance(source, Recording):
        return source.values, source.valid, source.conditions, source.bin_size
    x = source.trajectories.detach().double().cpu().numpy()
    lengths = np.full(len(x), x.shape[1]) if source.lengths is None else source.lengths.cpu().numpy()
    return x, np.arange(x.shape[1]) < lengths[:, None], None, source.dt or 1.0


def _target(source: Recording | System, target: Any, x: np.ndarray, lag: float, dt: float) -> np.ndarray:
    """What is decoded (trial, time, channel), `lag` later than the activity; NaN past its ends."""
    if isinstance(target, str):
        if not isinstance(source, Recording):
            raise TypeError(f"`target`: expected an array beside a system, got {target!r}.")
        if source.behaviour.get(target) is not None and source.behaviour[target].circular:
            raise ValueError(f"`target`: expected no angle, got {target!r}, which is circular. Use decode_angle.")
        return source.behaviour_at(target, lag)
    read = read_numbers("target", target, "an array (trial, time, channel)").double()
    read = read[..., None] if read.ndim == 2 else read
    check_axes("target", read, "trial time channel")
    values = check_finite("target", read, "Interpolate them.").numpy()
    if values.shape[:2] != x.shape[:2]:
        raise ValueError(
            f"`target`: expected the {x.shape[:2]} trials and steps of the source, got {values.shape[:2]}."
        )
    shift = round(lag / dt)
    if abs(shift - lag / dt) > 1e-6 * max(1, abs(shift)):
        raise ValueError(f"`lag`: expected a whole number of steps of {dt:g} s, got {lag:g} s.")
    out, n = np.full(values.shape, np.nan), values.shape[1]
    here = np.arange(n)[(np.arange(n) + shift >= 0) & (np.arange(n) + shift < n)]
    out[:, here] = values[:, here + shift]
    return out


def _with_history(x: np.ndarray, valid: np.ndarray, history: int) -> tuple[np.ndarray, np.ndarray]:
    """Regressors with `history` earlier bins beside each one, and the bins that have so many before them."""
    parts = [np.roll(x, h, axis=1) for h in range(history + 1)]
    early = np.arange(x.shape[1]) < history
    return np.concatenate(parts, axis=-1), valid & ~early


def _inner_groups(trials: np.ndarray) -> np.ndarray:
    """Groups of whole trials among training rows."""
    _, index = np.unique(trials, return_inverse=True)
    return index % min(_INNER, index.max() + 1)


def _grid(method: str, grid: Sequence[float] | None, n_units: int, n_rows: int) -> tuple[float, ...]:
    """The penalties or numbers of components to choose from."""
    if grid is not None:
        values = tuple(map(float, check_numbers("grid", grid, len(grid), 0)))
        if method == "pls" and any(v < 1 or v != int(v) or v > n_units for v in values):
            raise ValueError(f"`grid`: expected whole numbers of components from 1 to {n_units}, got {list(values)}.")
        return values
    return tuple(map(float, range(1, min(10, n_units, n_rows - 1) + 1))) if method == "pls" else PENALTIES


Fit = Callable[[np.ndarray, np.ndarray, Sequence[float]], Callable[[np.ndarray], np.ndarray]]


def _best(a: np.ndarray, b: np.ndarray, groups: np.ndarray, candidates: Sequence[float], fits: Fit) -> float:
    """The candidate with the least error (channels in units of their variance) on groups held out of training."""
    if len(candidates) == 1:
        return candidates[0]
    errors = np.zeros(len(candidates))
    for k in np.unique(groups):
        train = groups != k
        found = fits(a[train], b[train], candidates)(a[~train])
        errors += (((b[~train] - found) ** 2) / b.var(0)).sum((1, 2))
    return candidates[int(np.argmin(errors))]


def _fits(method: str, rank: int) -> Fit:
    """A function that fits all candidates at once and returns predictions (candidate, row, channel)."""

    def ridge(a, b, candidates):
        mean, sd, centre = a.mean(0), a.std(0), b.mean(0)
        varies = sd > 0
        if not varies.any():
            raise ValueError("`source`: expected activity that varies in every training fold, got constant units only.")
        z = (a[:, varies] - mean[varies]) / sd[varies]
        # one decomposition of the covariance serves all penalties
        power, axes = np.linalg.eigh(z.T @ z)
        rotated = axes.T @ (z.T @ (b - centre))
        weights = []
        for penalty in candidates:
            w = axes @ (rotated / (np.maximum(power, 0) + penalty * len(a) + 1e-12 * power[-1])[:, None])
            if method == "reduced-rank":
                top = np.linalg.svd(z @ w, full_matrices=False)[2][:rank]
                w = w @ top.T @ top
            weights.append(w)
        return lambda new: np.stack([(new[:, varies] - mean[varies]) / sd[varies] @ w + centre for w in weights])

    def pls(a, b, candidates):
        from sklearn.cross_decomposition import PLSRegression  # slow to import

        models = [PLSRegression(int(c)).fit(a, b) for c in candidates]
        return lambda new: np.stack([m.predict(new).reshape(len(new), -1) for m in models])

    return pls if method == "pls" else ridge

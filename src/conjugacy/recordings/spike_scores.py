"""Scores of models of spiking data: rates, inputs, held-out neurons, and latents recovered from rates.

These take arrays (trial, time, .), not pairs of systems: their two sides are a model and the data, or one model's
latents and its rates. Where something is fitted, it is fitted on the training trials that are given, and scored on
others. Definitions follow Versteeg et al. 2025 (CtDB) and Pei et al. 2021 (bits per spike), except where said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg as sla
from scipy.special import xlogy

from conjugacy._check import check_choice, check_flag, check_int, check_number, check_options
from conjugacy.recordings.poisson_readout import PoissonReadout
from conjugacy.similarity._state_r2 import state_r2
from conjugacy.similarity.principal_components import principal_axes
from conjugacy.similarity.samples import Samples, as_system, kind_of
from conjugacy.similarity.score import Score


def rate_r2(true: Any, predicted: Any) -> float:
    """Variance-weighted R2 of predicted rates (trial, time, neuron): no map is fitted."""
    y, p = _pair("true", true, "predicted", predicted)
    return _r2("true", y, p)


def input_r2(true: Any, inferred: Any, *, train: tuple[Any, Any] | float = 0.8, **options: Any) -> Score:
    """R2 of inferred inputs, predicted from the true ones by an affine map on held-out trials (as State R2)."""
    check_options(options, "input_r2", state_r2)
    pair = as_system("true", true), as_system("inferred", inferred)
    return state_r2(*pair, train=train, **options)


def bits_per_spike(rates: Any, counts: Any, *, null_rates: Any = None) -> float:
    """Gain in Poisson log-likelihood over constant rates, in bits per spike.

        (sum log p(counts | rates) - sum log p(counts | null)) / (number of spikes * ln 2)

    Parameters
    ----------
    rates : array (trial, time, neuron)
        Expected counts per bin, > 0.
    counts : array (trial, time, neuron)
        Spikes per bin.
    null_rates : array (neuron,), optional
        Constant rates of the null model: give the means of training data. None: means of `counts` themselves, as is
        usual, which favours the null by what it learns from the test.

    Raises
    ------
    ValueError
        If rates are not positive, counts are negative, there is no spike, or a neuron whose null rate is 0 (silent in
        training) fires: its null likelihood is 0, and bits per spike are undefined.
    """
    r, n = _pair("rates", rates, "counts", counts)
    if (r <= 0).any():
        raise ValueError(
            f"`rates`: expected values > 0, got {int((r <= 0).sum())} that are not. Add a floor such as 1e-9."
        )
    if (n < 0).any():
        raise ValueError(f"`counts`: expected spike counts >= 0, got {int((n < 0).sum())} negative ones.")
    spikes = n.sum()
    if spikes == 0:
        raise ValueError("`counts`: expected at least one spike, got none: bits per spike are undefined.")
    null = n.mean(0) if null_rates is None else _null_rates(null_rates, n.shape[1])
    _check_null(null, n, np.arange(n.shape[1]))
    # log k! is the same in both; a neuron that never fires has no logarithm of its null rate to lose
    gain = (n * np.log(r) - xlogy(n, null) - (r - null)).sum()
    return float(gain / spikes / np.log(2))


def _null_rates(null_rates: Any, n_neurons: int) -> np.ndarray:
    try:
        null = np.asarray(null_rates, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"`null_rates`: expected an array of {n_neurons} rates, got {kind_of(null_rates)}.") from None
    if null.shape != (n_neurons,):
        raise ValueError(f"`null_rates`: expected one for each of the {n_neurons} neurons, got {kind_of(null_rates)}.")
    if not (np.isfinite(null).all() and (null >= 0).all()):
        wrong = np.flatnonzero(~(np.isfinite(null) & (null >= 0)))
        raise ValueError(f"`null_rates`: expected finite rates >= 0, got {null[wrong[0]]:g} for neuron {wrong[0]}.")
    return null


def _check_null(null: np.ndarray, counts: np.ndarray, names: np.ndarray, argument: str = "null_rates") -> None:
    """Raise ValueError if a neuron with the null rate 0 fires; `names` (neuron,) are their indices for the user."""
    fires = np.flatnonzero((null == 0) & (counts.sum(0) > 0))
    if len(fires):
        which = ", ".join(map(str, names[fires][:10])) + (", ..." if len(fires) > 10 else "")
        raise ValueError(
            f"`{argument}`: expected rates > 0 for neurons that fire, got 0 (silent in training) for neuron "
            f"{which}: the null likelihood is 0, and bits per spike are undefined. Leave them out, or give a rate > 0."
        )


def co_bps(rates: Any, counts: Any, held_out: Sequence[int], *, null_rates: Any = None) -> float:
    """Bits per spike of held-out neurons (co-smoothing).

    Parameters
    ----------
    rates, counts : arrays (trial, time, neuron)
        All neurons; only those of `held_out` are scored. The model must not have seen their test spikes.
    held_out : sequence of int
        Indices of the held-out neurons. They are asked for, since a wrong guess scores neurons that the model was
        given.
    null_rates : array (neuron,), optional
        For all neurons; see `bits_per_spike`.
    """
    r, n = _array("rates", rates), _array("counts", counts)
    chosen = np.asarray(held_out) if isinstance(held_out, (list, tuple, range, np.ndarray)) else np.array([0.5])
    if chosen.ndim != 1 or chosen.size == 0 or not np.issubdtype(chosen.dtype, np.integer):
        raise ValueError(f"`held_out`: expected a list of indices of neurons, got {kind_of(held_out)}.")
    if chosen.min() < 0 or chosen.max() >= n.shape[2] or len(set(chosen.tolist())) < len(chosen):
        raise ValueError(f"`held_out`: expected different indices in [0, {n.shape[2] - 1}], got {chosen.tolist()}.")
    null = None
    if null_rates is not None:
        null = _null_rates(null_rates, n.shape[2])[chosen]
        _check_null(null, n[..., chosen].reshape(-1, len(chosen)), chosen)
    return bits_per_spike(r[..., chosen], n[..., chosen], null_rates=null)


def co_bps_from_latents(
    latents: Any, counts: Any, *, train: tuple[Any, Any], ridge: float = 1e-3, max_iterations: int = 50
) -> float:
    """Bits per spike of neurons that a Poisson read-out, fitted on training trials, predicts from latents.

    Parameters
    ----------
    latents : array (trial, time, unit)
        Inferred without these neurons, on test trials.
    counts : array (trial, time, neuron)
        Held-out neurons on the same trials.
    train : pair of arrays
        Latents and counts on training trials.
    ridge : float
        Penalty on weights of standardised principal coordinates, relative to the number of samples.
    max_iterations : int
        Of Newton's method.
    """
    ridge = check_number("ridge", ridge, 0)
    check_int("max_iterations", max_iterations, 1)
    _check_train(train, "counts")
    z, n = _rows_of("latents", latents, "counts", counts)
    z_train, n_train = _rows_of("train[0]", train[0], "train[1]", train[1])
    rates = np.exp(PoissonReadout.fit(z_train, n_train, ridge, max_iterations).log_rates(z))
    null = n_train.mean(0)
    _check_null(null, n, np.arange(len(null)), "train[1]")
    return bits_per_spike(rates[None], n[None], null_rates=null)


def cycle_consistency(
    latents: Any,
    log_rates: Any,
    *,
    train: tuple[Any, Any],
    variance: float = 0.99,
    pca: bool = True,
    source: str = "rates",
) -> float:
    """R2 of latents recovered from the rates they produce: low where latents hold what no neuron shows.

    The map from latents to log-rates is fitted on training trials by least squares; its pseudo-inverse, of the leading
    singular directions that hold a share `variance` of its squared singular values, takes log-rates back to latents.

    Parameters
    ----------
    latents, log_rates : arrays (trial, time, unit), (trial, time, neuron)
        Validation trials.
    train : pair of arrays
        The same on training trials.
    variance : float
        In (0, 1].
    pca : bool
        Turn both sides to principal coordinates first, which matters for `variance` below 1 only through rounding.
    source : {"rates", "predictions"}
        What goes back: the validation log-rates as they are, or their predictions from the latents ("predictions", the
        definition of CtDB, which does not look at the validation rates at all).
    """
    check_number("variance", variance, 0, 1, open_low=True)
    check_flag("pca", pca)
    check_choice("source", source, ("rates", "predictions"))
    _check_train(train, "log_rates")
    z, y = _rows_of("latents", latents, "log_rates", log_rates)
    z_train, y_train = _rows_of("train[0]", train[0], "train[1]", train[1])
    z, back = cycled(z, y, z_train, y_train, variance, pca, source)
    return _r2("latents", z, back)


def cycled(
    z: np.ndarray,
    y: np.ndarray,
    z_train: np.ndarray,
    y_train: np.ndarray,
    variance: float = 0.99,
    pca: bool = True,
    source: str = "rates",
) -> tuple[np.ndarray, np.ndarray]:
    """Latents (sample, unit), turned to principal coordinates if `pca`, and what `cycle_consistency` recovers of them.

    Arguments are those of `cycle_consistency`, samples in rows.
    """
    if pca:
        z, z_train = _rotated(z, z_train)
        y, y_train = _rotated(y, y_train)
    mz, my = z_train.mean(0), y_train.mean(0)
    w = np.asarray(sla.lstsq(z_train - mz, y_train - my)[0])  # type: ignore[index]
    u, s, vt = sla.svd(w, full_matrices=False)
    if s[0] <= 1e-12 * np.abs(y_train).max() or not s[0] > 0:
        raise ValueError(
            "`train[1]`: expected log-rates that vary with the latents, got constant ones: no way leads back."
        )
    share = np.cumsum(s**2) / (s**2).sum()
    k = min(int(np.searchsorted(share, variance - 1e-12)) + 1, len(s))
    shown = y - my if source == "rates" else (z - mz) @ w
    back = shown @ vt[:k].T / s[:k] @ u[:, :k].T + mz
    return z, back


def _check_train(train: Any, second: str) -> None:
    if not isinstance(train, (tuple, list)) or len(train) != 2:
        size = f" of {len(train)}" if isinstance(train, (tuple, list)) else ""
        raise TypeError(f"`train`: expected a pair (latents, {second}), got {type(train).__name__}{size}.")


def _r2(name: str, y: np.ndarray, p: np.ndarray) -> float:
    total = ((y - y.mean(0)) ** 2).sum()
    if total <= 1e-26 * (y**2).sum():
        raise ValueError(f"`{name}`: expected values that vary, got {len(y)} that are all the same: R2 is undefined.")
    return float(1 - ((y - p) ** 2).sum() / total)


def _rotated(x: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, _, axes = principal_axes(train)
    return (x - mean) @ axes, (train - mean) @ axes


def _array(name: str, x: Any) -> np.ndarray:
    samples = Samples.of(as_system(name, x))
    if (samples.lengths != samples.x.shape[1]).any():
        raise ValueError(f"`{name}`: expected trials of one length. Cut them, or score them in groups of one length.")
    return samples.x


def _pair(name_a: str, a: Any, name_b: str, b: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = _array(name_a, a), _array(name_b, b)
    if x.shape != y.shape:
        raise ValueError(f"`{name_b}`: expected the shape {x.shape} of `{name_a}`, got {y.shape}.")
    return x.reshape(-1, x.shape[2]), y.reshape(-1, y.shape[2])


def _rows_of(name_a: str, a: Any, name_b: str, b: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = _array(name_a, a), _array(name_b, b)
    if x.shape[:2] != y.shape[:2]:
        raise ValueError(f"`{name_b}`: expected the {x.shape[:2]} trials and steps of `{name_a}`, got {y.shape[:2]}.")
    return x.reshape(-1, x.shape[2]), y.reshape(-1, y.shape[2])

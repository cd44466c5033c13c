"""Estimate: what a model of a recording says of some of its trials. Scores know nothing else of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from conjugacy._arrays import read_numbers
from conjugacy._check import check_axes, check_finite, check_instance, check_int, check_numbers, check_text
from conjugacy.recordings.recording import Recording

_LOWEST = 1e-9  # expected counts per bin: what a likelihood takes for a rate of 0


@dataclass(frozen=True, eq=False)
class Estimate:
    """States and rates that a model infers on trials of a recording, without having seen the held-out units.

    Attributes
    ----------
    name : str
    rows : array (trial,), int64
        Which trials of the recording.
    train : bool array (trial,)
        Which of them the model was fitted or selected on; regressions are fitted on these, the others are scored.
    states : array (trial, time, state)
    rates : array (trial, time, unit)
        Expected counts per bin, > 0.
    inputs : array (trial, time, input) or None
        What the model infers as its inputs; None where they were given to it, or it has none.
    forecast : array (trial, time, unit) or None
        Expected counts per bin where the model has seen the first `n_seen` bins of each trial only; earlier bins are
        not looked at.
    n_seen : int
    """

    name: str
    rows: np.ndarray
    train: np.ndarray
    states: np.ndarray
    rates: np.ndarray
    inputs: np.ndarray | None = None
    forecast: np.ndarray | None = None
    n_seen: int = 0

    @classmethod
    def of(
        cls,
        recording: Recording,
        states: Any,
        rates: Any,
        train: Any,
        *,
        rows: Any = None,
        inputs: Any = None,
        forecast: Any = None,
        n_seen: int = 0,
        name: str = "model",
    ) -> Self:
        """An estimate from arrays of any origin: other packages, files.

        Parameters
        ----------
        recording : Recording
            Of counts.
        states : array (trial, time, state)
        rates, forecast : array (trial, time, unit)
            Spikes per second of all units, >= 0; see the attributes.
        train : bool array (trial,), or sequence of int
            Which of the trials given, by a mask or by their places in `rows`, the model was fitted on.
        rows : sequence of int, optional
            Which trials of the recording the arrays hold; by default all, in their order.
        inputs, n_seen, name
            See the attributes.

        Raises
        ------
        TypeError, ValueError
            If an array holds other trials, bins or units than the recording, NaN, or negative rates; if no trials are
            left to fit on, or to score.
        """
        check_instance("recording", recording, Recording)
        _, n_bins, n_units = recording.counts.shape
        rows = np.arange(recording.n_trials) if rows is None else _indices("rows", rows, recording.n_trials)
        n = len(rows)
        mask = np.asarray(train)
        if mask.dtype != bool:
            mask = np.isin(np.arange(n), _indices("train", train, n))
        if mask.shape != (n,) or mask.all() or not mask.any():
            raise ValueError(
                f"`train`: expected some of the {n} trials, and others left to score, got {int(mask.sum())} of "
                f"{mask.size}."
            )
        per_bin = {}
        for label, r in (("rates", rates), ("forecast", forecast)):
            if r is not None:
                r = _array(label, r, "trial time unit", trial=n, time=n_bins, unit=n_units) * recording.bin_size
                if (r < 0).any():
                    raise ValueError(f"`{label}`: expected spikes per second >= 0, got {int((r < 0).sum())} below.")
                per_bin[label] = np.maximum(r, _LOWEST)
        return cls(
            check_text("name", name),
            rows,
            mask,
            _array("states", states, "trial time state", trial=n, time=n_bins),
            per_bin["rates"],
            None if inputs is None else _array("inputs", inputs, "trial time input", trial=n, time=n_bins),
            per_bin.get("forecast"),
            check_int("n_seen", n_seen, 0, n_bins),
        )


def true_estimate(recording: Recording, like: Estimate) -> Estimate | None:
    """What is true of the trials of an estimate, as an estimate; None where it is not known.

    Its scores are the ceilings of those of `like`.
    """
    truth = recording.truth
    if truth is None or truth.rates is None:
        return None
    rates = np.maximum(truth.rates[like.rows] * recording.bin_size, _LOWEST)
    states = np.log(rates) if truth.latents is None else truth.latents[like.rows]
    inputs = None if truth.inputs is None or like.inputs is None else truth.inputs[like.rows]
    return Estimate("truth", like.rows, like.train, states, rates, inputs, rates, like.n_seen)


def _array(name: str, value: Any, axes: str, **sizes: int) -> np.ndarray:
    x = read_numbers(name, value, f"an array ({', '.join(axes.split())})")
    check_axes(name, x, axes, "", **sizes)
    return check_finite(name, x.double()).numpy()


def _indices(name: str, given: Any, n: int) -> np.ndarray:
    found = check_numbers(name, given, low=0, high=n - 1, hint="Indices of trials.")
    if any(k != int(k) for k in found) or len(set(found)) < len(found):
        raise ValueError(f"`{name}`: expected different whole numbers, indices of trials.")
    return np.array(found, dtype=np.int64)

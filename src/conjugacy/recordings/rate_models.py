"""From the states of a system to firing rates of units: how units see the states, and how drive becomes rate."""

from __future__ import annotations

import numpy as np

from conjugacy._check import check_choice

EMBEDDINGS = ("selection", "mixing", "nonlinear")
LINKS = ("exp", "softplus", "sigmoid")
_NEWTON = 200


def embed(states: np.ndarray, n_units: int, embedding: str, rng: np.random.Generator) -> np.ndarray:
    """What drives each unit (trial, time, unit), with mean 0 and standard deviation 1 over all trials and bins.

    Parameters
    ----------
    states : array (trial, time, state)
    n_units : int
    embedding : {"selection", "mixing", "nonlinear"}
        "selection": each unit sees one state, all states being dealt out before one is seen again. "mixing": normal
        random weights. "nonlinear": tanh of a random mixture, then mixed again: a curved manifold of the dimension of
        the states.
    rng : numpy Generator

    Raises
    ------
    ValueError
        If a unit's drive does not vary.
    """
    check_choice("embedding", embedding, EMBEDDINGS)
    d = states.shape[2]
    if embedding == "selection":
        order = np.concatenate([rng.permutation(d) for _ in range(-(-n_units // d))])[:n_units]
        drive = states[..., order]
    else:
        scale = states.reshape(-1, d)
        x = (states - scale.mean(0)) / max(float(scale.std(0).max()), 1e-300)
        drive = x @ rng.standard_normal((d, n_units)) / np.sqrt(d)
        if embedding == "nonlinear":
            hidden = np.tanh(2 * drive + rng.standard_normal(n_units))
            drive = hidden @ rng.standard_normal((n_units, n_units)) / np.sqrt(n_units)
    rows = drive.reshape(-1, n_units)
    sd = rows.std(0)
    if (sd <= 1e-12 * np.abs(rows).max(initial=1e-300)).any():
        i = int(np.argmin(sd))
        raise ValueError(f"`run`: expected states that vary, got a drive of unit {i} that does not. Train it first.")
    return (drive - rows.mean(0)) / sd


def rates_of(drive: np.ndarray, link: str, mean_rates: np.ndarray) -> np.ndarray:
    """Rates (trial, time, unit) whose means over trials and bins are `mean_rates` (unit,), in the same unit.

    "exp": c exp(a); "softplus": c log(1 + exp(a)); "sigmoid": 2 m / (1 + exp(-(a + b))) with b such that the mean is m.
    """
    check_choice("link", link, LINKS)
    if link == "sigmoid":
        rows = drive.reshape(-1, drive.shape[2])
        b = np.zeros(drive.shape[2])
        for _ in range(_NEWTON):
            s = 1 / (1 + np.exp(-(rows + b)))
            step = (s.mean(0) - 0.5) / (s * (1 - s)).mean(0)
            b = b - np.clip(step, -1, 1)
            if np.abs(step).max() < 1e-12:
                break
        return 2 * mean_rates / (1 + np.exp(-(drive + b)))
    r = np.exp(drive) if link == "exp" else np.logaddexp(0.0, drive)
    return r * (mean_rates / r.reshape(-1, r.shape[2]).mean(0))

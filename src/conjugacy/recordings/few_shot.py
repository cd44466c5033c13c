"""Few-shot co-smoothing: how well a read-out that was fitted on a few trials predicts neurons that a model never had.

A model whose states hold dynamics that the data do not ask for scores as well as the best one once its read-out is
fitted on many trials, and loses where trials are few: the read-out cannot tell which of the states matter (Dabholkar &
Barak 2025, PLoS Comput Biol 21:e1013789). Here the read-out is a Poisson regression on the principal coordinates of
the states of all training trials, standardised, so that no linear map of the states matters. Its penalty is the prior
that the logarithmic rate varies with a variance of 1 over the states, shared equally by the coordinates. The score is
the mean over several draws of the trials.
"""

from __future__ import annotations

import numpy as np

from conjugacy.recordings.poisson_readout import PoissonReadout
from conjugacy.recordings.trial_sums import TrialSums, bits
from conjugacy.similarity.principal_components import principal_axes

_SAMPLES = 20_000  # of a fit at most: more change no digit that is printed


def few_shot_bits(
    states: np.ndarray,
    counts: np.ndarray,
    inside: np.ndarray,
    train: np.ndarray,
    null: np.ndarray,
    n_shots: int,
    *,
    n_draws: int = 5,
    seed: int = 0,
) -> TrialSums:
    """Bits per spike of neurons on the trials that are not for training.

    Parameters
    ----------
    states : array (trial, time, state)
        Inferred without these neurons.
    counts : array (trial, time, neuron)
        Of the neurons that are read out.
    inside : bool array (trial, time)
    train : bool array (trial,)
        Trials from which those of a fit are drawn.
    null : array (neuron,)
        Constant expected counts per bin, > 0.
    n_shots : int
        Trials of a fit.
    n_draws : int
        Fits, each with trials of its own.
    seed : int
    """
    rng = np.random.default_rng([seed, n_shots])
    pool, test = np.flatnonzero(train), ~train
    mean, sd, axes = principal_axes(_some(states[train][inside[train]], rng))
    found = []
    for _ in range(n_draws):
        rows = rng.choice(pool, n_shots, replace=False)
        both = _some(np.concatenate([states[rows][inside[rows]], counts[rows][inside[rows]]], 1), rng)
        x, n = both[:, : states.shape[2]], both[:, states.shape[2] :]
        readout = PoissonReadout.in_coordinates(mean, axes / sd, x, n, penalty=float(len(sd)))
        found.append(bits(np.exp(readout.log_rates(states[test])), counts[test], inside[test], null))
        if n_shots == len(pool):
            break  # there is no other draw
    return TrialSums(np.mean([f.above for f in found], axis=0), found[0].below)


def _some(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return x if len(x) <= _SAMPLES else x[rng.choice(len(x), _SAMPLES, replace=False)]

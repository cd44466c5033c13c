"""How far spikes drawn from a model's rates are from those that were observed: samples against samples.

Rates against spikes would prefer rates that are too noisy to the true ones, since spikes have the noise of counting
and rates have not. Here counts are drawn from the rates, summed in windows, and both are seen along the principal
components of the observed training spikes; the distance is Wasserstein's of each component, in standard deviations of
the observed one, averaged. Marginal distributions say nothing about the order of events in time.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import wasserstein_distance

from conjugacy.recordings.filters import join_bins
from conjugacy.similarity.principal_components import principal_axes


def sample_distance(
    rates: np.ndarray,
    counts: np.ndarray,
    lengths: np.ndarray,
    train: np.ndarray,
    *,
    window: int,
    n_components: int = 5,
    n_resamples: int = 0,
    seed: int = 0,
) -> tuple[float, np.ndarray]:
    """Distance (0: the same distribution), and its values (resample,) under resampled trials.

    Parameters
    ----------
    rates, counts : array (trial, time, unit)
        Expected and observed counts per bin.
    lengths : array (trial,)
    train : bool array (trial,)
        Trials that give the components; the others are compared.
    window : int
        Bins that are summed.
    n_components, n_resamples, seed : int
    """
    rng = np.random.default_rng([seed, window])
    drawn = rng.poisson(np.where(train[:, None, None], 0.0, rates)).astype(float)
    seen, ends = join_bins(counts, lengths, window)
    drawn = join_bins(drawn, lengths, window)[0]
    inside = np.arange(seen.shape[1]) < ends[:, None]
    mean, sd, axes = principal_axes(seen[train][inside[train]])
    turn = (axes / sd)[:, :n_components]
    test = np.flatnonzero(~train & (ends > 0))
    pairs = [[(x[k][inside[k]] - mean) @ turn for k in test] for x in (seen, drawn)]

    def distance(which: np.ndarray) -> float:
        a, b = (np.concatenate([trials[k] for k in which]) for trials in pairs)
        return float(np.mean([wasserstein_distance(a[:, i], b[:, i]) for i in range(a.shape[1])]))

    order = np.arange(len(test))
    resampled = [distance(rng.choice(order, len(order))) for _ in range(n_resamples)]
    return distance(order), np.array(resampled)

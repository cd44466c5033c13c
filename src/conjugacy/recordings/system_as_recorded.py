"""A system as if it had been recorded like an animal: units that see a mixture of its states, at the animal's rates."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from conjugacy._check import check_choice, check_instance, check_int, check_number
from conjugacy.recordings import filters
from conjugacy.recordings.count_models import COUNT_MODELS, draw_counts
from conjugacy.recordings.rate_models import embed, rates_of
from conjugacy.recordings.recording import Recording
from conjugacy.system import System

_SHALLOWEST, _DEEPEST = 0.1, 2.0


def as_recorded(
    system: System,
    like: Recording,
    *,
    n_units: int | None = None,
    depth: float | None = None,
    embedding: str = "mixing",
    link: str = "exp",
    counts: str | None = None,
    conditions: Any = None,
    seed: int = 0,
) -> Recording:
    """Rates, or spikes, of units that are driven by the states of a system, in the bins of an animal.

    Parameters
    ----------
    system : System
        Such as `run.system(trials)`; its `dt` may differ from the animal's bins.
    like : Recording
        The animal: counts or rates.
    n_units : int, optional
        Units, at least 2. None: 60 of rates, of counts as many as the animal's.
    depth : float, optional
        Standard deviation of logarithmic rates, > 0. None: `modulation_depth` of the animal.
    embedding, link
        How units see the states, and how drive becomes rate; see `recordings.rate_models`.
    counts : str, optional
        Distribution of counts (`recordings.count_models`), in which the mean rates are those of the animal's units.
        None: rates without noise.
    conditions : array (trial,), optional
        Condition of each trial.
    seed : int
        Of the mixture, and of the spikes.

    Raises
    ------
    TypeError, ValueError
        If an argument is not taken, or the states of the system do not vary.
    """
    check_instance("system", system, System)
    check_instance("like", like, Recording)
    check_int("seed", seed, 0)
    if counts is not None:
        check_choice("counts", counts, COUNT_MODELS)
    first = like if like.kind != "activity" else like.origin or like
    n = (60 if counts is None else first.n_units) if n_units is None else check_int("n_units", n_units, 2)
    depth = modulation_depth(first) if depth is None else check_number("depth", depth, 0, open_low=True, limit=20.0)
    of_mixture, of_spikes = (np.random.default_rng([seed, k]) for k in (11, 12))
    means = np.resize(np.maximum(first.mean_rates, 1e-3), n)
    x, lengths = system.trajectories.detach().double().cpu().numpy(), system.lengths.cpu().numpy().astype(np.int64)
    inside = np.arange(x.shape[1]) < lengths[:, None]
    rates = np.zeros((*x.shape[:2], n))
    rates[inside] = rates_of(depth * embed(x[inside][None], n, embedding, of_mixture), link, means)[0]
    width = first.bin_size
    if system.dt is not None and abs(system.dt - width) > 1e-9 * width:
        rates, lengths = filters.resample(rates, lengths, width / system.dt)
    options = {"lengths": lengths, "conditions": conditions, "start": first.start, "name": system.name}
    source = f"{system.name} as if recorded like {first.name}: {embedding}, {link}"
    if counts is None:
        return Recording.from_rates(rates, width, source=source, **options)
    drawn = draw_counts(rates * width, counts, of_spikes, bin_size=width)
    with (
        warnings.catch_warnings()
    ):  # at low rates some units are silent in so few trials, and nothing is wrong with that
        warnings.simplefilter("ignore", UserWarning)
        return Recording.from_counts(drawn, width, source=f"{source}, {counts}", **options)


def modulation_depth(recording: Recording) -> float:
    """Standard deviation of logarithmic rates that would give counts the variance they have beyond Poisson's.

    For log-normal rates with the mean m and counts that are Poisson about them the variance of counts is
    m + m^2 (exp(depth^2) - 1). Sums over units are put in, so that units at low rates do not decide. Kept to 0.1 to 2;
    0.8 where the activity is no counts.
    """
    first = check_instance("recording", recording, Recording)
    first = first.origin or first
    if first.kind != "counts":
        return 0.8
    rows = first.values[first.valid]
    mean, variance = rows.mean(0), rows.var(0)
    beyond = max(float((variance - mean).sum() / np.maximum((mean**2).sum(), 1e-300)), 0.0)
    return float(np.clip(np.sqrt(np.log1p(beyond)), _SHALLOWEST, _DEEPEST))

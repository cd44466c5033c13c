"""simulate_spikes(): a recording of a trained network, as if its units had been measured, with the truth behind it."""

from __future__ import annotations

from typing import Any

import numpy as np

from conjugacy._check import check_instance, check_int, check_number, check_numbers, shown
from conjugacy.recordings.count_models import draw_counts
from conjugacy.recordings.rate_models import embed, rates_of
from conjugacy.recordings.recording import Recording
from conjugacy.recordings.signal import Truth
from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.trials import Trials

_MOST_DEPTH = 20.0  # rates that differ by a factor of exp(20) between times are a slip
_MOST_PER_BIN = 1e6


def simulate_spikes(
    run: Run,
    n_units: int = 60,
    n_trials: int = 800,
    *,
    n_held_out: int = 10,
    mean_rate: Any = 10.0,
    depth: float = 0.8,
    embedding: str = "mixing",
    link: str = "exp",
    counts: str = "poisson",
    bin_size: float | None = None,
    trials: Trials | None = None,
    seed: int = 0,
    **options: Any,
) -> Recording:
    """Spikes of units that are driven by the states of a trained network.

    Parameters
    ----------
    run : Run
        The network is run on trials of its task; in closed loop what it observed becomes part of the inputs.
    n_units, n_trials : int
        Units that are recorded, >= 1, and trials, drawn from `seed`.
    n_held_out : int
        The last so many units are marked as held out, in [0, n_units - 1].
    mean_rate : float or sequence of float (unit,)
        Mean spikes per second, of all units or of each, > 0.
    depth : float
        Standard deviation of what drives a unit: with the link "exp", of its logarithmic rate. > 0.
    embedding : {"selection", "mixing", "nonlinear"}
        How units see the states; see `recordings.rate_models.embed`.
    link : {"exp", "softplus", "sigmoid"}
        From drive to rate.
    counts : {"poisson", "negative_binomial", "com_poisson", "refractory"}
        Distribution of counts about the rates; see `recordings.count_models`.
    bin_size : float, optional
        Width of a bin (s), which is one step of the network; the task's step by default.
    trials : Trials, optional
        Trials of the task to run on, in place of `n_trials` new ones.
    seed : int
        Seed of trials, embedding and spikes, each drawn apart from the others.
    **options
        `fano`, `shape` or `refractory` of the count model.

    Returns
    -------
    Recording
        Of counts, with inputs, conditions and held-out units; `truth` has the latents, rates (spikes per second) and
        inputs. `recordings.ceilings_of(recording)` says what the true rates score.

    Raises
    ------
    TypeError, ValueError
        If an argument is not taken.
    """
    check_instance("run", run, Run)
    n_units = check_int("n_units", n_units, 1)
    n_held_out = check_int("n_held_out", n_held_out, 0, n_units - 1, hint="One unit at least has to be seen.")
    depth = check_number("depth", depth, 0, open_low=True, hint="It is a standard deviation.", limit=_MOST_DEPTH)
    check_int("seed", seed, 0)
    rates = [mean_rate] * n_units if isinstance(mean_rate, int | float) else mean_rate
    means = np.array(check_numbers("mean_rate", rates, n_units, 0, open_low=True, hint="In spikes per second."))
    unknown = sorted(set(options) - {"fano", "shape", "refractory"})
    if unknown:
        raise TypeError(
            f"`options`: expected fano, shape or refractory, got {unknown[0]}={shown(options[unknown[0]])}."
        )
    width = run.task.dt if bin_size is None else check_number("bin_size", bin_size, 0, open_low=True)
    if means.max() * width > _MOST_PER_BIN:
        raise ValueError(
            f"`mean_rate`: expected at most {_MOST_PER_BIN:g} spikes in a bin, got {means.max():g} per second in "
            f"bins of {width:g} s. Lower it, or `bin_size`."
        )
    if trials is None:
        trials = run.task.trials(check_int("n_trials", n_trials, 1), derive_seed(seed, "recorded trials"))
    system = run.system(check_instance("trials", trials, Trials))
    assert system.inputs is not None
    states, inputs = system.trajectories.double().numpy(), system.inputs.double().numpy()
    lengths, inside = trials.lengths.numpy(), np.arange(states.shape[1]) < trials.lengths.numpy()[:, None]
    rng = {what: np.random.default_rng(derive_seed(seed, what)) for what in ("embedding", "spikes")}
    # means and spreads are those of bins that belong to a trial
    drive = np.zeros((*states.shape[:2], n_units))
    rows = depth * embed(states[inside][None], n_units, embedding, rng["embedding"])
    drive[inside] = rates_of(rows, link, means)[0]
    drawn = draw_counts(drive * width, counts, rng["spikes"], bin_size=width, **options)
    return Recording.from_counts(
        drawn,
        width,
        lengths=lengths,
        conditions=trials.conditions.numpy(),
        inputs=inputs,
        held_out=range(n_units - n_held_out, n_units),
        truth=Truth(states, drive, inputs),
        source=f"simulated: {run.name} on {run.task.name}, {embedding}, {link}, {counts}, seed {seed}",
        name=f"spikes of {run.name}",
    )

"""Spikes of task-trained networks, under the names of CtDB."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from conjugacy._check import check_choice, check_int, check_number, check_options
from conjugacy.analysis._given import as_run
from conjugacy.recordings.recording import Recording
from conjugacy.runs.spikes_of_run import simulate_spikes

_LINKS = {"exp": "exp", "softplus": "softplus", "sigmoid": "sigmoid"}


class NeuralDataSimulator:
    """Makes recordings of networks: each unit sees one hidden unit of the network.

    Parameters
    ----------
    neuron_dict : dict
        "n_neurons_heldin" and "n_neurons_heldout".
    embed_dict : dict
        "rect_func" ("exp", "softplus" or "sigmoid"), "fr_scaling" (the hidden units' standard deviation is one part in
        so many), and "target_mean_rates" (counts per bin), where means are set.
    noise_dict : dict
        "obs_noise" ("poisson" or "pseudoPoisson") and "dispersion": 1 for Poisson counts, above 1 the Fano factor of
        negative binomial ones; below 1 use `conjugacy.simulate_spikes(..., counts="com_poisson")`.
    trim_inds : pair of int, optional
        First and last bin that are kept, as in a slice.
    """

    def __init__(
        self,
        neuron_dict: Mapping[str, Any] | None = None,
        embed_dict: Mapping[str, Any] | None = None,
        noise_dict: Mapping[str, Any] | None = None,
        trim_inds: Sequence[int] | None = None,
    ):
        neurons = {"n_neurons_heldin": 50, "n_neurons_heldout": 10, **(neuron_dict or {})}
        embed = {"rect_func": "exp", "fr_scaling": 2.0, "target_mean_rates": None, **(embed_dict or {})}
        noise = {"obs_noise": "poisson", "dispersion": 1.0, **(noise_dict or {})}
        check_options(neurons, "neuron_dict", lambda n_neurons_heldin, n_neurons_heldout: None)
        check_options(embed, "embed_dict", lambda rect_func, fr_scaling, target_mean_rates: None)
        check_options(noise, "noise_dict", lambda obs_noise, dispersion: None)
        self.n_heldin = check_int("n_neurons_heldin", neurons["n_neurons_heldin"], 1)
        self.n_heldout = check_int("n_neurons_heldout", neurons["n_neurons_heldout"], 0)
        self.link = _LINKS[check_choice("rect_func", embed["rect_func"], _LINKS)]
        self.fr_scaling = check_number("fr_scaling", embed["fr_scaling"], 0, open_low=True)
        self.target_mean_rates = embed["target_mean_rates"]
        check_choice("obs_noise", noise["obs_noise"], ("poisson", "pseudoPoisson"))
        hint = 'For less use conjugacy.simulate_spikes(..., counts="com_poisson").'
        self.dispersion = check_number("dispersion", noise["dispersion"], 1, hint=hint)
        self.trim_inds = None if trim_inds is None else tuple(trim_inds)

    def simulate_neural_data(self, task_trained_model: Any, n_trials: int = 1000, seed: int = 0) -> Recording:
        """A recording of a run, an `Analysis_TT` or a wrapper; its `truth` holds latents, rates and inputs."""
        run = as_run("task_trained_model", task_trained_model)
        dt, n = run.task.dt, self.n_heldin + self.n_heldout
        if self.target_mean_rates is None:
            # what the link makes of a standard normal variable at that scale
            mean = self._mean_per_bin()
        else:
            mean = check_number("target_mean_rates", self.target_mean_rates, 0, open_low=True)
        counts = "poisson" if self.dispersion == 1 else "negative_binomial"
        options: dict[str, Any] = {} if self.dispersion == 1 else {"fano": self.dispersion}
        found = simulate_spikes(
            run,
            n,
            n_trials,
            n_held_out=self.n_heldout,
            mean_rate=mean / dt,
            depth=1 / self.fr_scaling,
            embedding="selection",
            link=self.link,
            counts=counts,
            seed=seed,
            **options,
        )
        if self.trim_inds is None:
            return found
        first, last, _ = slice(*self.trim_inds).indices(found.values.shape[1])
        return found.window(first * dt, last * dt)

    def _mean_per_bin(self) -> float:
        s = 1 / self.fr_scaling
        if self.link == "exp":
            return math.exp(0.5 * s * s)
        if self.link == "sigmoid":
            return 1.0
        x, w = np.polynomial.hermite_e.hermegauss(60)
        return float(np.logaddexp(0, s * x) @ w / w.sum())

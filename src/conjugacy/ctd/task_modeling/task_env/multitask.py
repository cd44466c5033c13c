"""The fifteen tasks, under the names and with the dictionaries of CtDB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from conjugacy import tasks
from conjugacy.tasks.multitask import Variant
from conjugacy.trials import Trials

__all__ = ["MultiTask", "MultiTaskWrapper"]


class MultiTaskWrapper(tasks.MultiTask):
    """`conjugacy.tasks.MultiTask` with the arguments and the data sets of CtDB's class of this name.

    Parameters
    ----------
    task_list : list of str
        The rules.
    bin_size : float
        Milliseconds per step.
    n_timesteps : int
        Steps of all trials, padding included.
    num_targets : int
        Angles on the ring.
    noise : float
        Standard deviation of the noise on the inputs.
    dynamic_noise : float
        0: noise that is drawn anew at every pass over the same trials is not offered. `conjugacy.train` draws new
        trials at every step, `NoisyGRU` has noise in its state.
    grouped_sampler : bool
        Whether batches hold one rule each.
    dataset_name : str
        Name of the task.
    latent_l2_wt : float
        Weight of the mean squared latent in the loss.
    variant : "standard" or "ctdb"
        "ctdb" for CtDB's own targets.
    """

    def __init__(
        self,
        task_list: Sequence[str],
        bin_size: float = 20,
        n_timesteps: int | None = 320,
        num_targets: int = 32,
        noise: float = 0.3,
        dynamic_noise: float = 0.0,
        grouped_sampler: bool = False,
        dataset_name: str = "MultiTask",
        latent_l2_wt: float = 0.0,
        variant: Variant = "standard",
    ):
        if dynamic_noise != 0:
            raise ValueError(
                f"`dynamic_noise`: expected 0, got {dynamic_noise!r}. Raise `noise`, or take a NoisyGRU for noise in "
                "the network."
            )
        batches = "grouped" if grouped_sampler else "mixed"
        super().__init__(
            task_list,
            bin_size,
            n_timesteps,
            num_targets,
            noise,
            latent_l2=latent_l2_wt,
            variant=variant,
            batches=batches,
        )
        self.task_list, self.dynamic_noise, self.latent_l2_wt = self.rules, 0.0, self.latent_l2
        self.grouped_sampler, self.name = bool(grouped_sampler), str(dataset_name)

    @property
    def dataset_name(self) -> str:
        """Name of the task."""
        return self.name

    def generate_dataset(self, n_samples: int, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, list]]:
        """`n_samples` trials of each rule, one rule after the other, as CtDB's two dictionaries.

        Returns
        -------
        dict
            "inputs", "true_inputs", "targets" (trial, time, channel), "ics", "inputs_to_env", "conds" (place of the
            rule in `task_list`), "extra" (first step of the response, step after its last).
        dict
            "phase_dict" (a dict a trial: name of an epoch -> [first step, step after its last]), "task_names".
        """
        parts = [self.trials_of(rule, n_samples, seed + k) for k, rule in enumerate(self.task_list)]
        data = {
            name: np.concatenate([getattr(p, name).numpy() for p in parts])
            for name in ("inputs", "true_inputs", "targets")
        }
        n = len(data["inputs"])
        data["ics"] = np.zeros((n, data["targets"].shape[2]), np.float32)
        data["inputs_to_env"] = np.zeros((n, self.n_timesteps, 0), np.float32)
        data["conds"] = np.repeat(np.arange(len(parts)), n_samples)[:, None]
        data["extra"] = np.concatenate([p.epochs["response"].numpy() for p in parts])
        phases = [phase for part in parts for phase in _phases(part)]
        return data, {"phase_dict": phases, "task_names": [r for r in self.task_list for _ in range(n_samples)]}

    def plot_tasks(self, seed: int = 0) -> list:
        """Figures of one trial of each rule."""
        return self.render(seed)


class MultiTask:
    """One rule, as CtDB's class of this name.

    Parameters
    ----------
    task_name : str
        The rule.
    bin_size, num_targets, noise
        As of `MultiTaskWrapper`.
    """

    def __init__(self, task_name: str, bin_size: float = 20, num_targets: int = 32, noise: float = 0.3):
        self.task_name = task_name
        self.task = MultiTaskWrapper([task_name], bin_size, None, num_targets, noise)

    def generate_trial(self, seed: int = 0) -> tuple[np.ndarray, np.ndarray, dict[str, list[int]], str, np.ndarray]:
        """Noisy inputs, targets, phases, name of the rule, and inputs without noise of one trial, without padding."""
        trials = self.task.trials_of(self.task_name, 1, seed)
        stop = int(trials.epochs["response"][0, 1])
        noisy, targets, clean = (x[0, :stop].numpy() for x in (trials.inputs, trials.targets, trials.true_inputs))
        return noisy, targets, _phases(trials)[0], self.task_name, clean

    def plot_trial(self, seed: int = 0) -> Any:
        """Figure of one trial."""
        return self.task.render(seed)[0]


def _phases(trials: Trials) -> list[dict[str, list[int]]]:
    """The epochs that each trial has."""
    spans = {name: steps.tolist() for name, steps in trials.epochs.items()}
    every = ({name: spans[name][k] for name in spans} for k in range(len(trials)))
    return [{name: span for name, span in trial.items() if span[1] > span[0]} for trial in every]

"""Analysis of task-trained networks, under the names of CtDB. All is deterministic, without noise or gradients."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from conjugacy.analysis import Analysis
from conjugacy.training.data_module import TaskDataModule
from conjugacy.training.lightning_module import TaskTrainedWrapper, as_dict
from ctd._display import display
from ctd.comparison.analysis.tt.unpickle import read_pickle


class Analysis_TT(Analysis):
    """An `Analysis` of the wrapper and data module that the notebook pickled.

    Parameters
    ----------
    run_name : str
        How figures and tables call it.
    filepath : path
        Folder with model.pkl and datamodule_sim.pkl.
    use_train_dm : bool
        Read datamodule_train.pkl instead.
    classes : iterable of classes
        Task and network classes of your own that the files hold.
    """

    def __init__(
        self, run_name: str, filepath: str | os.PathLike, use_train_dm: bool = False, classes: Iterable[type] = ()
    ):
        folder = Path(filepath)
        self.wrapper = read_pickle(folder / "model.pkl", TaskTrainedWrapper, classes)
        file = "datamodule_train.pkl" if use_train_dm else "datamodule_sim.pkl"
        self.datamodule = read_pickle(folder / file, TaskDataModule, classes)
        super().__init__(self.wrapper.as_run(self.datamodule, run_name))
        self.run_name, self.filepath = run_name, str(filepath)
        self.model, self.env = self.run.network, self.run.task

    def get_inputs(self, phase: str = "all") -> Tensor:
        """Inputs (trial, time, input), with their noise."""
        return self.inputs(phase)

    def get_true_inputs(self, phase: str = "all") -> Tensor:
        """Inputs (trial, time, input) before noise."""
        return self.trials(phase).true_inputs

    def get_inputs_to_env(self, phase: str = "all") -> Tensor:
        """Loads on the plant (trial, time, load)."""
        return self.trials(phase).loads

    def get_model_inputs(self, phase: str = "all") -> tuple[Tensor, Tensor, Tensor]:
        """Initial conditions of the plant, inputs, targets."""
        trials = self.trials(phase)
        return trials.ics, trials.inputs, trials.targets

    def get_model_inputs_noiseless(self, phase: str = "all") -> tuple[Tensor, Tensor, Tensor]:
        """Initial conditions of the plant, inputs before noise, targets."""
        trials = self.trials(phase)
        return trials.ics, trials.true_inputs, trials.targets

    def get_model_outputs(self, phase: str = "all") -> dict[str, Any]:
        """Everything the network gives: controlled, latents, actions, states, joints."""
        return as_dict(self.rollout(phase))

    get_model_output = get_model_outputs

    def get_latents(self, phase: str = "all") -> Tensor:
        """Latents (trial, time, unit)."""
        return self.latents(phase)

    def get_latents_pca(self, num_PCs: int = 3, phase: str = "all") -> np.ndarray:
        """Latents on their first principal components, (trial, time, component)."""
        return self.pcs(phase, num_PCs)

    def plot_trial_latents(self, num_trials: int = 10) -> Figure:
        """Figure of trajectories in the space of the first three principal components."""
        return self.plot_latents_3d(num_trials)

    def plot_scree(self, max_pcs: int = 10) -> np.ndarray:
        """Show the scree figure, and return the explained variance ratios."""
        display(super().plot_scree(max_pcs))
        return self.explained_variance(max_pcs)

    def save_latents(self, filepath: str | os.PathLike) -> None:
        """Write the latents of all trials as a NumPy file."""
        np.save(filepath, self.latents("all").numpy())

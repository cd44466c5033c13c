"""Analysis of task-trained networks, under the names of CtDB. All is deterministic, without noise or gradients."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from conjugacy.analysis.analysis import Analysis
from conjugacy.ctd._display import display
from conjugacy.ctd.comparison.analysis.tt.unpickle import read_pickle
from conjugacy.dynamics import FixedPoints
from conjugacy.training.lightning.data_module import TaskDataModule
from conjugacy.training.lightning.wrapper import TaskTrainedWrapper, as_dict


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
        """All outputs of the network, as a dict: controlled, latents, actions, states, joints."""
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

    def compute_FPs(
        self,
        noiseless: bool = True,
        inputs: Tensor | None = None,
        n_inits: int = 1024,
        noise_scale: float = 0.0,
        learning_rate: float = 1e-3,
        max_iters: int = 10000,
        device: str = "cpu",
        seed: int = 0,
        compute_jacobians: bool = True,
        method: str = "newton",
    ) -> FixedPoints:
        """All fixed points at a held input, zero by default.

        `learning_rate`, `max_iters` and `noise_scale` are those of the notebook's search, ``method="adam"``; the exact
        solver has no use for them, nor for `device` and `noiseless`, and always returns Jacobians.
        """
        del noiseless, device, compute_jacobians
        held = torch.zeros(self.run.network.input_size) if inputs is None else torch.as_tensor(inputs)
        options: dict[str, Any] = {}
        if method == "adam":
            options = {"learning_rate": learning_rate, "max_iters": max_iters, "noise_scale": noise_scale}
        return self.fixed_points(held, n_inits, seed, method=method, progress=False, **options)

    def plot_fps(
        self,
        inputs: Tensor | None = None,
        num_traj: int = 10,
        n_inits: int = 1024,
        noise_scale: float = 0.0,
        learning_rate: float = 1e-3,
        max_iters: int = 10000,
        device: str = "cpu",
        seed: int = 0,
        compute_jacobians: bool = True,
        q_thresh: float = 1e-5,
        method: str = "newton",
    ) -> FixedPoints:
        """Show the fixed points with q below `q_thresh` among trajectories, and how often each was found; return all.

        Arguments as in `compute_FPs`; `num_traj` is the number of validation trials drawn.
        """
        from conjugacy.plots.fixed_points import fixed_points_3d, hits

        points = self.compute_FPs(
            True, inputs, n_inits, noise_scale, learning_rate, max_iters, device, seed, compute_jacobians, method
        )
        shown = points[points.qstar < q_thresh]
        display(fixed_points_3d(shown, self.system("val"), n_trials=num_traj))
        display(hits(shown))
        return points

    def save_latents(self, filepath: str | os.PathLike) -> None:
        """Write the latents of all trials as a NumPy file."""
        np.save(filepath, self.latents("all").numpy())

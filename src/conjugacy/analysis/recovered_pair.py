"""A model of data and the network behind the data: as systems on the same trials, with maps between their states."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from conjugacy._check import shown
from conjugacy.recordings.recording import Recording
from conjugacy.runs.data_run import DataRun
from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.system import System

MOST_TRIALS = 200  # of maps; more do not move them


@dataclass(frozen=True, eq=False)
class Pair:
    """Both systems on test trials, their states on training trials, and the affine maps between them."""

    model: System
    truth: System
    model_train: System
    truth_train: System

    @classmethod
    def of(cls, model: DataRun | System, truth: Run | System, recording: Recording, seed: int) -> Pair:
        """The systems of a model and of what is behind its recording; see `recovery` for what they may be."""
        if recording.truth is None or recording.truth.latents is None:
            raise ValueError("`recording`: expected a simulated one, got one without true states. Use simulate_spikes.")
        n = recording.n_trials
        if isinstance(model, DataRun):
            parts = {part: model.rows(part)[:MOST_TRIALS] for part in ("train", "test")}
            models = {part: model.system(rows) for part, rows in parts.items()}
        else:
            order = np.random.default_rng(derive_seed(seed, "split of trials")).permutation(n)
            parts = {"train": order[: round(0.7 * n)][:MOST_TRIALS], "test": order[round(0.7 * n) :][:MOST_TRIALS]}
            _check_trials("model", model, n)
            models = {part: on_rows(model, rows) for part, rows in parts.items()}
        if models["test"].step is None:
            raise ValueError(f"`model`: expected a system with a step, got {models['test'].name!r} without. Give its.")
        if isinstance(truth, System):
            _check_trials("truth", truth, n)
            truths = {part: on_rows(truth, rows) for part, rows in parts.items()}
        else:
            truths = {part: _true_system(truth, recording, rows) for part, rows in parts.items()}
        return cls(models["test"], truths["test"], models["train"], truths["train"])

    def to_truth(self, x: np.ndarray) -> np.ndarray:
        """States of the model (..., state) as states of the truth."""
        return _affine(self.model_train, self.truth_train, x)

    def to_model(self, x: np.ndarray) -> np.ndarray:
        """The other way."""
        return _affine(self.truth_train, self.model_train, x)


def _check_trials(name: str, system: System, n: int) -> None:
    if system.n_trials != n:
        raise ValueError(f"`{name}`: expected the {n} trials of the recording, got {system.n_trials}.")


def on_rows(system: System, rows: np.ndarray) -> System:
    """A system on some of its trials, in float64."""
    u = system.inputs
    return replace(
        system,
        trajectories=system.trajectories[rows].double(),
        inputs=None if u is None else u[rows].double(),
        lengths=system.lengths[rows],
    )


def _true_system(run: Run, recording: Recording, rows: np.ndarray) -> System:
    truth = recording.truth
    assert truth is not None and truth.latents is not None and truth.inputs is not None
    states, u = (torch.from_numpy(x[rows]).double() for x in (truth.latents, truth.inputs))
    if states.shape[2] != run.network.state_size or u.shape[2] != run.network.input_size:
        raise ValueError(
            f"`truth`: expected the run that was recorded, with {states.shape[2]} states and {u.shape[2]} inputs, got "
            f"{shown(run)}."
        )
    like = run.system(run.trials("test")[:2])
    return replace(like, trajectories=states, inputs=u, lengths=torch.from_numpy(recording.lengths[rows]))


def visited(system: System) -> np.ndarray:
    """All states (sample, state) of a system in its trials."""
    inside = torch.arange(system.trajectories.shape[1]) < system.lengths[:, None]
    return system.trajectories[inside].double().numpy()


def _affine(source: System, target: System, x: np.ndarray) -> np.ndarray:
    a, b = visited(source), visited(target)
    mean, scale = a.mean(0), max(float(a.std(0).max()), 1e-300)
    z = (a - mean) / scale
    gram = z.T @ z / len(z) + 1e-8 * np.eye(z.shape[1])
    w = np.linalg.solve(gram, z.T @ (b - b.mean(0)) / len(z))
    return (x - mean) / scale @ w + b.mean(0)

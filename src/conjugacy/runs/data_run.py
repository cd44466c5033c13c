"""DataRun: a model of a recording with all that is needed to use and repeat it."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from conjugacy._check import check_int, check_number, check_options
from conjugacy._config import describe, plain
from conjugacy._version import __version__
from conjugacy.models.spike_model import Inferred, SpikeModel
from conjugacy.recordings.baselines import linear_dynamics, smoothed_rates
from conjugacy.recordings.estimate import Estimate
from conjugacy.recordings.recording import Recording
from conjugacy.recordings.score_table import model_scores
from conjugacy.runs.data_folder import read_data_run, recording_digest, save_data_run
from conjugacy.runs.folder import FORMAT
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.system import System

PARTS = ("train", "val", "test")
_CHUNK = 256
_LOWEST = 1e-9  # counts per bin
_INFERRED = ("states", "log_rates", "divergence")


@dataclass(frozen=True, eq=False)
class DataRun:
    """A model that was fitted to a recording.

    Attributes
    ----------
    recording : Recording
    network : SequentialAutoencoder or LFADS
        On the CPU, in evaluation mode.
    seed : int
        Of the split, the weights and all noise.
    recipe : dict
        How it was fitted.
    history : DataFrame
        A row for each validation.
    metrics : dict
        Scores on the test trials, and how the fit ended ("stopped", "steps", "seconds").
    name : str
    unseen : tuple of int
        Held-out units that were not trained on either; their rates mean nothing, few-shot scores read them out.
    """

    recording: Recording
    network: SpikeModel
    seed: int
    recipe: dict[str, Any] = field(default_factory=dict)
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    metrics: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    unseen: tuple[int, ...] = ()

    def __post_init__(self):
        if not self.name:
            object.__setattr__(self, "name", f"{self.network.kind}-{self.network.latent_size}")

    def rows(self, part: str) -> np.ndarray:
        """Trials (indices) of "train" (70 %), "val" (15 %) or "test" (the rest, which nothing trains or selects on)."""
        n = self.recording.n_trials
        order = np.random.default_rng(derive_seed(self.seed, "split of trials")).permutation(n)
        n_train = max(1, min(round(0.7 * n), n - 2))  # of 4 trials, too, one is left to select on and one to test
        n_val = max(1, min(round(0.15 * n), n - n_train - 1))
        edges = {"train": (0, n_train), "val": (n_train, n_train + n_val), "test": (n_train + n_val, n)}
        return np.sort(order[slice(*edges[part])])

    def tensors(self, rows: np.ndarray, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Counts that the model sees, inputs, all counts, and which bins belong to a trial."""
        r = self.recording
        counts = torch.from_numpy(r.counts[rows]).to(dtype)
        seen = counts.clone()
        seen[..., list(r.held_out)] = 0.0
        u = np.zeros((*r.values.shape[:2], 1)) if r.inputs is None else r.inputs
        return seen, torch.from_numpy(u[rows]).to(dtype), counts, torch.from_numpy(r.valid[rows])

    @torch.no_grad()
    def infer(self, part: str | np.ndarray = "test", double: bool = True) -> Inferred:
        """States and log rates (counts per bin) of trials, without dropout and noise; in float64 by default."""
        rows = self.rows(part) if isinstance(part, str) else np.asarray(part)
        network = copy.deepcopy(self.network).double().eval() if double else self.network.eval()
        seen, u, _, _ = self.tensors(rows, torch.float64 if double else torch.float32)
        parts = [network.infer(seen[k : k + _CHUNK], u[k : k + _CHUNK]) for k in range(0, len(rows), _CHUNK)]
        states, log_rates, divergence = (torch.cat([getattr(p, f) for p in parts]) for f in _INFERRED)
        known = [p.inputs for p in parts if p.inputs is not None]
        return Inferred(states, log_rates, divergence, torch.cat(known) if known else None)

    @torch.no_grad()
    def estimate(self, n_train: int = 200, ahead: float = 0.25) -> Estimate:
        """What the model says of its test trials, and of up to `n_train` others on which regressions are fitted.

        `ahead` is the share of the bins, the last ones, that its forecast has not seen.
        """
        fitted = np.concatenate([self.rows("train"), self.rows("val")])[: check_int("n_train", n_train, 2)]
        rows = np.concatenate([fitted, self.rows("test")])
        found, r = self.infer(rows), self.recording
        n_bins = r.values.shape[1]
        n_seen = n_bins - round(check_number("ahead", ahead, 0, 1 - 1e-9) * n_bins)
        forecast = None
        if 0 < n_seen < n_bins:
            network = copy.deepcopy(self.network).double().eval()
            seen, u, _, _ = self.tensors(rows[len(fitted) :], torch.float64)
            chunks = [
                network.forecast(seen[k : k + _CHUNK], u[k : k + _CHUNK], n_seen) for k in range(0, len(u), _CHUNK)
            ]
            forecast = np.ones((len(rows), n_bins, r.n_units))
            forecast[len(fitted) :, n_seen:] = np.maximum(torch.cat(chunks).exp().numpy(), _LOWEST)
        return Estimate(
            self.name,
            rows,
            np.arange(len(rows)) < len(fitted),
            found.states.numpy(),
            np.maximum(found.log_rates.exp().numpy(), _LOWEST),
            None if found.inputs is None else found.inputs.numpy(),
            forecast,
            n_seen,
        )

    def scores(self, *, n_train: int = 200, ahead: float = 0.25, **options: Any) -> pd.DataFrame:
        """All scores on the test trials, each beside its ceiling, its null and the two baselines.

        Parameters
        ----------
        n_train : int
            Trials on which regressions (read-outs, maps, baselines) are fitted, at most.
        ahead : float
            Share of the bins, the last ones, that are forecast, in [0, 1).
        **options
            `shots`, `level`, `n_resamples`, `seed` of `recordings.model_scores`, which says what the scores are.
        """
        e = self.estimate(n_train, ahead)
        n_latents = min(self.network.latent_size, len(self.recording.held_in))
        baselines = [
            smoothed_rates(self.recording, e.rows, e.train, e.n_seen),
            linear_dynamics(self.recording, e.rows, e.train, n_latents, e.n_seen),
        ]
        check_options(options, "scores", model_scores)
        return model_scores(self.recording, e, **{"baselines": baselines, "unseen": self.unseen, **options})

    def rates(self, part: str = "test") -> np.ndarray:
        """Inferred spikes per second (trial, time, unit)."""
        return self.expected(part) / self.recording.bin_size

    def expected(self, part: str | np.ndarray = "test") -> np.ndarray:
        """Expected counts per bin (trial, time, unit), at least 1e-9: a rate of 0 has no likelihood."""
        return np.maximum(self.infer(part).log_rates.exp().numpy(), _LOWEST)

    def system(self, part: str | np.ndarray = "test") -> System:
        """The model's dynamics as `dynamics` and `similarity` take them; its readout gives log rates.

        Inputs are those that were given, and after them those that were inferred. `part` is one of `rows`, or the
        indices of trials.
        """
        rows = self.rows(part) if isinstance(part, str) else np.asarray(part)
        network = copy.deepcopy(self.network).double().eval().requires_grad_(False)
        found, u = self.infer(rows), self.tensors(rows, torch.float64)[1]
        states, u = found.states, u if found.inputs is None else torch.cat([u, found.inputs], -1)
        lengths = torch.from_numpy(self.recording.lengths[rows])
        dt, step, cell, readout = self.recording.bin_size, network.step, network.cell, network.readout
        return System(self.name, states, u, lengths, step=step, cell=cell, readout=readout, dt=dt)

    def config(self) -> dict[str, Any]:
        """What repeats the fit, as plain values; the recording by its hash."""
        r = self.recording
        config = {
            "format": FORMAT,
            "name": self.name,
            "task": {
                "class": "Recording",
                "name": r.name,
                "sha256": recording_digest(r),
                "held_out": list(r.held_out),
            },
            "network": describe(self.network),
            "input_size": self.network.external_size,
            "output_size": self.network.output_size,
            "seed": self.seed,
            "recipe": self.recipe,
            "trials": {"n": r.n_trials},
            "unseen": list(self.unseen),
            "versions": {"conjugacy": __version__, "torch": str(torch.__version__)},
        }
        return plain("config", config)

    def save(self, folder: str | os.PathLike, keep_recording: bool = True, overwrite: bool = False) -> Path:
        """Write the model to a folder, whole or not at all; every file is hashed, as are those of a `Run`.

        Parameters
        ----------
        folder : path
            Made if it is not there. A folder that holds anything but a run is refused, and so is one that holds
            another run, unless `overwrite` is True.
        keep_recording : bool
            Store the recording too; without it, `load` has to be given the same one.
        overwrite : bool
            Replace another run, or an interrupted fit, that is there.

        Raises
        ------
        FileExistsError
            If the folder holds something else.
        OSError
            If it cannot be written, or another process works there; the message names the folder.
        """
        return save_data_run(self, folder, keep_recording, overwrite)

    @classmethod
    def load(cls, folder: str | os.PathLike, recording: Recording | None = None, classes: Iterable[type] = ()) -> Self:
        """The model that `save`, or ``fit(out=)``, wrote to a folder.

        Parameters
        ----------
        folder : path
        recording : Recording, optional
            What it was fitted to, where that was not stored; its hash is checked.
        classes : iterable of classes
            Network classes of your own.

        Raises
        ------
        FileNotFoundError
            If there is no run, or a file of it is missing.
        ValueError
            If a file was changed or cut off, or the recording is another one; the message names the file.
        """
        return cls(**read_data_run(folder, recording, classes))

    def __repr__(self) -> str:
        scores = ", ".join(f"{k} {v:.3f}" for k, v in self.metrics.items() if k in ("rate_r2", "co_bps"))
        return f"DataRun({self.name} on {self.recording.name}, seed {self.seed}{': ' + scores if scores else ''})"

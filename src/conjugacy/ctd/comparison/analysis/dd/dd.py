"""Analysis of data-trained models, under the names of CtDB: trials of the test split, without dropout or noise."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor

from conjugacy._check import check_choice, check_instance
from conjugacy.dynamics.points import FixedPoints
from conjugacy.dynamics.search import fixed_points
from conjugacy.recordings.recording import Recording
from conjugacy.runs.data_run import PARTS, DataRun

_TYPES = ("SAE", "LFADS")


class Analysis_DD:
    """What is asked of a model that was fitted to spikes.

    Parameters
    ----------
    run_name : str
        How figures and tables call it.
    run : DataRun

    Notes
    -----
    `phase` is "train", "val", "test" or "all"; "all" is in the order of the recording.
    """

    def __init__(self, run_name: str, run: DataRun):
        self.run_name, self.run = run_name, check_instance("run", run, DataRun)
        self.model = run.network

    @classmethod
    def create(
        cls, run_name: str, filepath: str | os.PathLike, model_type: str = "SAE", recording: Recording | None = None
    ) -> Analysis_DD:
        """The analysis of the model in a folder that `DataRun.save` wrote; no pickle is read.

        `recording` is needed where the folder was saved without it. Models of other packages ("External"): see
        `conjugacy.recordings.read_estimate`.
        """
        check_choice("model_type", model_type, _TYPES, "For others: conjugacy.recordings.read_estimate.")
        return cls(run_name, DataRun.load(filepath, recording))

    def _rows(self, phase: str) -> Any:
        check_choice("phase", phase, (*PARTS, "all"))
        return range(self.run.recording.n_trials) if phase == "all" else self.run.rows(phase)

    def _of(self, x: Any, phase: str) -> Tensor:
        return torch.from_numpy(x[list(self._rows(phase))])

    def get_model_inputs(self, phase: str = "all") -> tuple[Tensor, Tensor]:
        """Counts (trial, time, unit) as the model sees them, and inputs (trial, time, input)."""
        seen, u, _, _ = self.run.tensors(list(self._rows(phase)), torch.float64)
        return seen, u

    def get_model_outputs(self, phase: str = "all") -> tuple[Tensor, Tensor]:
        """Rates (expected counts per bin) and latents."""
        found = self.run.infer(list(self._rows(phase)))
        return found.log_rates.exp(), found.states

    def get_latents(self, phase: str = "all") -> Tensor:
        """Latents (trial, time, state)."""
        return self.get_model_outputs(phase)[1]

    def get_rates(self, phase: str = "all") -> Tensor:
        """Expected counts per bin (trial, time, unit)."""
        return self.get_model_outputs(phase)[0]

    def get_true_rates(self, phase: str = "all") -> Tensor:
        """The same of the simulation; ValueError where it is not known."""
        truth = self.run.recording.truth
        if truth is None or truth.rates is None:
            raise ValueError("`run`: expected a model of a simulated recording, got one without true rates.")
        return self._of(truth.rates * self.run.recording.bin_size, phase)

    def get_spiking(self, phase: str = "all") -> Tensor:
        """Counts (trial, time, unit) of all units."""
        return self._of(self.run.recording.counts, phase)

    def get_trial_lens(self, phase: str = "all") -> Tensor:
        """Bins of each trial."""
        return self._of(self.run.recording.lengths, phase)

    def get_inferred_inputs(self, phase: str = "all") -> Tensor:
        """Posterior means of inferred inputs; ValueError where the model was given its inputs."""
        found = self.run.infer(list(self._rows(phase))).inputs
        if found is None:
            raise ValueError(f"`run`: expected a model that infers inputs, got {self.run.name}. Use models.LFADS.")
        return found

    def get_dynamics_model(self) -> torch.nn.Module:
        """The cell: ``cell(u, x) -> x_next``."""
        return self.model.cell

    def compute_FPs(self, inputs: Any = 0, n_inits: int = 1024, seed: int = 0) -> FixedPoints:
        """All fixed points at a held input, zero by default."""
        return fixed_points(self.run, inputs=inputs, n_inits=n_inits, seed=seed, progress=False)

    def compute_metrics(self) -> dict[str, float]:
        """Scores on the test trials by their names in CtDB, held-out units by their indices."""
        table = self.run.scores(shots=(), n_resamples=10).set_index("score")["value"]
        names = {
            "rate_r2": "rate_r2",
            "state_r2": "state_r2_invented",
            "co-bps": "co_bps",
            "cycle_con": "cycle_consistency_ctdb",
        }
        return {theirs: float(table[ours]) for theirs, ours in names.items() if ours in table.index}

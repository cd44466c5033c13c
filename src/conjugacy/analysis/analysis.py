"""Analysis of one trained network. Everything is computed once, without noise and without gradients."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_choice, check_flag, check_int
from conjugacy._lazy import higher
from conjugacy.analysis._given import PHASES, as_run
from conjugacy.runs.run import Run
from conjugacy.similarity.samples import kind_of
from conjugacy.system import System
from conjugacy.trials import Rollout, Trials

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from sklearn.decomposition import PCA

    from conjugacy.analysis.epochs import Epochs
    from conjugacy.analysis.rest_points import RestPoints
    from conjugacy.dynamics import FixedPoints, MemoryTimes


class Analysis:
    """The trials, latents and outputs of a run, and figures of them.

    Phases are "train" and "val" (80 % and 20 % of one set of trials), "all" (both) and "test" (trials of another seed).

    Parameters
    ----------
    run : Run
        A trained network.

    Raises
    ------
    TypeError
        If `run` is something else.
    """

    def __init__(self, run: Run):
        self.run = as_run("run", run)
        self._cache: dict[str, tuple[Trials, Rollout]] = {}

    @property
    def name(self) -> str:
        """Name of the run in tables and figures."""
        return self.run.name

    def trials(self, phase: str = "all") -> Trials:
        """The trials of a phase."""
        return self._of(phase)[0]

    def rollout(self, phase: str = "all") -> Rollout:
        """The network run on the trials of a phase."""
        return self._of(phase)[1]

    def inputs(self, phase: str = "all") -> Tensor:
        """Inputs (trial, time, input) of a phase, with their noise."""
        return self.trials(phase).inputs

    def targets(self, phase: str = "all") -> Tensor:
        """Targets (trial, time, output) of a phase."""
        return self.trials(phase).targets

    def latents(self, phase: str = "all") -> Tensor:
        """Latents (trial, time, unit) of a phase."""
        return self.rollout(phase).latents

    def outputs(self, phase: str = "all") -> Tensor:
        """Outputs (trial, time, output) of a phase."""
        return self.rollout(phase).outputs

    def system(self, phase: str = "test") -> System:
        """The run as a System, the object that `conjugacy.dynamics` and `conjugacy.similarity` work on."""
        return self.run.system(self.trials(phase))

    def coupled_system(self, phase: str = "test") -> System:
        """The network and its arm as one System, see `Run.coupled_system`."""
        return self.run.coupled_system(self.trials(phase))

    def epochs(self, phase: str = "val") -> Epochs:
        """The trials of a phase by condition and epoch, for tasks that have them."""
        from conjugacy.analysis.epochs import Epochs

        return Epochs(self, phase)

    @cached_property
    def pca(self) -> PCA:
        """Principal components (scikit-learn) of the training latents."""
        from sklearn.decomposition import PCA

        latents = self.latents("train")
        return PCA().fit(latents.reshape(-1, latents.shape[-1]).double().numpy())

    def pcs(self, phase: str = "all", n: int = 3) -> np.ndarray:
        """Latents of a phase on their first principal components, (trial, time, component); fewer if D < n."""
        latents = self.latents(phase)
        centred = latents.double().numpy() - self.pca.mean_
        return centred @ np.asarray(self.pca.components_)[: check_int("n", n, 1)].T

    def explained_variance(self, n: int = 10) -> np.ndarray:
        """Share of the variance of each of the first `n` principal components; fewer if D < n."""
        return np.asarray(self.pca.explained_variance_ratio_)[: check_int("n", n, 1)]

    def fixed_points(
        self, inputs: Any = 0, n_inits: int | None = None, seed: int = 0, *, coupled: bool = False, **options: Any
    ) -> FixedPoints:
        """Fixed points at a held input, searched from states visited on validation trials.

        Parameters
        ----------
        inputs : number or array (input,)
            The held input. Of the network alone, that is what it observes and its context; coupled, its context, and
            after it the force on the hand (N), which is 0 if left out.
        n_inits : int, optional
            Number of starts; by default 1024, or 64 if coupled, where each takes longer.
        seed, **options
            See `conjugacy.dynamics.fixed_points`.
        coupled : bool
            Fixed points of network and arm as one system, see `coupled_system`; else of the network alone.
        """
        from conjugacy.dynamics import fixed_points

        if not check_flag("coupled", coupled):
            n_inits = 1024 if n_inits is None else n_inits
            return fixed_points(self.system("val"), inputs=inputs, n_inits=n_inits, seed=seed, **options)
        if getattr(self.run.task, "plant", None) is None:
            raise ValueError(f"`coupled`: expected False for {self.name}, which moves no arm, got True. Leave it out.")
        system = self.coupled_system("val")
        loop: Any = system.cell
        try:
            held = torch.as_tensor(inputs, dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(f"`inputs`: expected a number or a list of numbers, got {kind_of(inputs)}.") from None
        if held.ndim == 1 and len(held) == loop.inputs["context"].stop:
            held = loop.held(held)
        return fixed_points(system, inputs=held, n_inits=64 if n_inits is None else n_inits, seed=seed, **options)

    def timescales(self, horizon: float | None = None, phase: str = "val", n_states: int = 100) -> MemoryTimes:
        """How many units and modes hardly change within a horizon, in the states that a phase visits.

        Print it for a sentence, or take its `table()`. See `conjugacy.dynamics.memory_times`.
        """
        from conjugacy.dynamics import memory_times

        return memory_times(self.system(phase), horizon, n_states=check_int("n_states", n_states, 1))

    def rest_points(self, targets: Any = 8, cue: float = 1.0, **options: Any) -> RestPoints:
        """Points where network and arm come to rest while a target is held, see `conjugacy.rest_points`."""
        from conjugacy.analysis.rest_points import rest_points

        return rest_points(self.run, targets, cue, **options)

    def plot_trial_io(self, num_trials: int = 2, phase: str = "val") -> Figure:
        """Figure of the states, outputs, targets and inputs of a few trials over time."""
        return higher("plots._trial_io", "trial_io")(self, num_trials, phase)

    def plot_scree(self, max_pcs: int = 10) -> Figure:
        """Figure of the variance explained by each principal component."""
        return higher("plots.latents", "scree")(self, max_pcs)

    def plot_latents_3d(self, num_trials: int = 10, phase: str = "val") -> Figure:
        """Figure of the trajectories of a few trials in the first three principal components."""
        return higher("plots.latents", "latents_3d")([self], num_trials, phase)

    def _of(self, phase: str) -> tuple[Trials, Rollout]:
        check_choice("phase", phase, PHASES)
        whole = "test" if phase == "test" else "all"
        if whole not in self._cache:
            trials = self.run.trials(whole)
            self._cache[whole] = trials, self.run.rollout(trials)
        if phase != whole:
            rows = self.run.sets.rows(phase)
            trials, out = self._cache[whole]
            self._cache[phase] = trials[rows], out[rows]
        return self._cache[phase]

    def __repr__(self) -> str:
        return f"Analysis({self.run!r})"

"""How many latents does a recording ask for? Cross-validation over trials, with the curve.

A model of each size is fitted several times, each time with other trials to train on, and scored on those that its fit
did not see, by the units that it did not see either. The size chosen is the smallest one whose score is within one
standard error of the best (Breiman et al. 1984, the rule of one standard error), the error being that of the
difference from the best, trial by trial: sizes are compared on the same trials.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from conjugacy._check import check_callable, check_flag, check_instance, check_int, check_list
from conjugacy.networks.network import Network
from conjugacy.recordings.recording import Recording
from conjugacy.recordings.trial_sums import TrialSums, bits
from conjugacy.runs.data_run import DataRun
from conjugacy.training.fitting import fit


@dataclass(frozen=True, eq=False)
class DimensionCurve:
    """Scores by number of latents.

    Attributes
    ----------
    sizes : tuple of int
    scores : dict of int to TrialSums
        Bits per spike by size, on the test trials of all folds.
    best, chosen : int
        The size with the highest score, and the smallest one that is not clearly worse.
    """

    sizes: tuple[int, ...]
    scores: dict[int, TrialSums]

    @property
    def best(self) -> int:
        """The size with the highest score."""
        return max(self.sizes, key=lambda k: self.scores[k].value)

    def below_best(self, size: int) -> tuple[float, float]:
        """How many bits per spike a size is below the best, and the standard error of that."""
        top, own = self.scores[self.best], self.scores[size]
        lost, spikes = top.above - own.above, own.below
        share = lost.sum() / spikes.sum()
        n = len(lost)
        error = np.sqrt(((lost - share * spikes) ** 2).sum() * n / max(n - 1, 1)) / spikes.sum()
        return float(share), float(error)

    @property
    def chosen(self) -> int:
        """The smallest size whose loss is within one standard error of 0."""
        return next(k for k in self.sizes if k == self.best or self.below_best(k)[0] <= self.below_best(k)[1])

    def table(self) -> pd.DataFrame:
        """A row for each size: bits per spike, how much below the best and its standard error, whether chosen."""
        rows = [(k, self.scores[k].value, *self.below_best(k), k == self.chosen) for k in self.sizes]
        return pd.DataFrame(rows, columns=["latents", "bits per spike", "below the best", "standard error", "chosen"])

    def __repr__(self) -> str:
        scores = ", ".join(f"{k}: {self.scores[k].value:.3f}" for k in self.sizes)
        return f"DimensionCurve({self.chosen} chosen; bits per spike {scores})"


def latent_dimension(
    recording: Recording,
    model: Callable[[int], Network],
    sizes: Sequence[int] = (1, 2, 3, 5, 8),
    *,
    n_folds: int = 2,
    seed: int = 0,
    out: str | Path | None = None,
    progress: bool = True,
    **settings: Any,
) -> DimensionCurve:
    """Fit models of several sizes and choose one.

    Parameters
    ----------
    recording : Recording
        Of counts; its held-out units are scored, all units if it has none.
    model : callable
        ``model(size) -> Network`` or a model of spikes, for example ``conjugacy.networks.NODE``.
    sizes : sequence of int
        Numbers of latents, >= 1, at least one.
    n_folds : int
        Fits of each size, each with another split of the trials.
    seed : int
        The folds have the seeds `seed`, `seed` + 1, ...
    out : path, optional
        Folder in which every fit is kept: the same call goes on after an interruption.
    progress : bool
    **settings
        As for `fit`.

    Raises
    ------
    TypeError, ValueError
        As `fit`; if a size is given twice, or `model` makes no network.
    """
    check_instance("recording", recording, Recording)
    check_callable("model", model, "model(size) -> Network") if not isinstance(model, type) else None
    chosen = tuple(sorted(check_int("sizes", k, 1) for k in check_list("sizes", sizes, "numbers of latents")))
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"`sizes`: expected different numbers of latents, got {list(sizes)}.")
    n_folds, seed = check_int("n_folds", n_folds, 1), check_int("seed", seed, 0)
    check_flag("progress", progress)
    scores = {}
    for size in chosen:
        network = check_instance("model", model(size), Network, "model(size) has to return one.")
        folds = []
        for fold in range(seed, seed + n_folds):
            folder = None if out is None else Path(out) / f"latents={size},seed={fold}"
            run = fit(recording, network, fold, progress, out=folder, keep_recording=False, **settings)
            folds.append(_scored(run))
        scores[size] = TrialSums(np.concatenate([f.above for f in folds]), np.concatenate([f.below for f in folds]))
    return DimensionCurve(chosen, scores)


def _scored(run: DataRun) -> TrialSums:
    r, rows, train = run.recording, run.rows("test"), run.rows("train")
    null = r.counts[train][r.valid[train]].mean(0)
    units = np.array([i for i in r.held_out or range(r.n_units) if null[i] > 0 and i not in run.unseen], dtype=int)
    rates = run.expected(rows)[..., units]
    return bits(rates, r.counts[rows][..., units], r.valid[rows], null[units])

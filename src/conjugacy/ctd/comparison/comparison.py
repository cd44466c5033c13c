"""Comparison of analyses, under the names of CtDB: fitted on the training trials, scored on the validation trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from conjugacy._check import check_choice, check_flag, check_int
from conjugacy.analysis import comparison as _conjugacy
from conjugacy.analysis._given import as_run, names_of
from conjugacy.analysis.analysis import Analysis
from conjugacy.ctd._display import display
from conjugacy.similarity import get_measure, measure_names, pairwise, state_r2
from conjugacy.similarity.measure import Measure
from conjugacy.system import System


class Comparison:
    """Analyses to compare, one of them the reference.

    Parameters
    ----------
    comparison_tag : str, optional
        A name for the comparison.
    """

    def __init__(self, comparison_tag: str | None = None):
        self.comparison_tag = comparison_tag
        self.analyses: list[Analysis] = []
        self.groups: list[str] = []
        self.ref_ind: int | None = None

    def load_analysis(self, analysis: Analysis, group: str = "None", reference_analysis: bool = False) -> None:
        """Add an analysis; at most one can be the reference, the first is it if none is named."""
        check_flag("reference_analysis", reference_analysis)
        if reference_analysis and self.ref_ind is not None:
            raise ValueError(
                f"`reference_analysis`: {self.analyses[self.ref_ind].name!r} is the reference already. Name one only."
            )
        if reference_analysis:
            self.ref_ind = len(self.analyses)
        self.analyses.append(analysis if isinstance(analysis, Analysis) else Analysis(as_run("analysis", analysis)))
        self.groups.append(group)

    def regroup(self) -> None:
        """Sort the analyses by group."""
        order = sorted(range(len(self.groups)), key=lambda i: self.groups[i])
        if self.ref_ind is not None:
            self.ref_ind = order.index(self.ref_ind)
        self.analyses = [self.analyses[i] for i in order]
        self.groups = [self.groups[i] for i in order]

    def compare(self, measures: Sequence[str | Measure] = ("state_r2",), **options: Any) -> _conjugacy.Comparison:
        """The analyses as a conjugacy Comparison, on the validation trials of each."""
        train, val = self._systems("train"), self._systems("val")
        return _conjugacy.Comparison(val, train, measures, reference=self.ref_ind or 0, **options)

    def table(self) -> pd.DataFrame:
        """State R2 both ways on the validation trials, as a pandas table."""
        return self.compare().table()

    def compute_metrics(
        self, ref_ind: int | None = None, metric_list: Sequence[str] = ("state_r2",)
    ) -> dict[str, list[Any]]:
        """Lists of run_name, group and one score a metric for each analysis, from the reference to it."""
        metric_list = names_of("metric_list", metric_list, "metrics")
        for name in metric_list:
            check_choice(
                "metric_list",
                name,
                measure_names(),
                "Metrics of firing rates need networks that were fitted to spikes.",
            )
        ref = self._reference(ref_ind)
        train, val = self._systems("train"), self._systems("val")
        rows: dict[str, list[Any]] = {"run_name": [a.name for a in self.analyses], "group": list(self.groups)}
        for name in metric_list:
            measure = get_measure(name)
            rows[name] = [measure(val[ref], v, train=(train[ref], t)).value for v, t in zip(val, train)]
        return rows

    def compare_state_r2(self, num_pcs: int | None = None) -> pd.DataFrame:
        """State R2 from the analysis of the row to that of the column, from its first `num_pcs` components if given."""
        measure = get_measure("state_r2", n_components=num_pcs)
        return pairwise(self._systems("val"), measure, train=self._systems("train"), progress=False).matrix()

    def compare_to_reference_affine(self, ref_ind: int | None = None, num_pcs: int | None = None) -> pd.DataFrame:
        """State R2 from the reference to each analysis, and back."""
        ref, matrix = self._reference(ref_ind), self.compare_state_r2(num_pcs)
        return pd.DataFrame(
            {"reference -> analysis": matrix.iloc[ref], "analysis -> reference": matrix.iloc[:, ref]},
            index=matrix.index,
        )

    def compare_procrustes(self, ref_ind: int | None = None) -> pd.Series:
        """Procrustes angle (rad) between each analysis and the reference."""
        return self._with_reference("procrustes", ref_ind)

    def compare_CCA(self, ref_ind: int | None = None) -> pd.Series:
        """CCA angle (rad) between each analysis and the reference."""
        return self._with_reference("cca", ref_ind)

    def compare_dynamics_DSA(
        self,
        phase: str = "val",
        n_delays: int = 20,
        rank: int = 50,
        delay_interval: int = 1,
        device: str = "cpu",
        percent_data: float = 1.0,
    ) -> np.ndarray:
        """Show the heat map of DSA angles (rad) between all analyses, and return the matrix.

        `percent_data` is the share of trials used, all by default (CtDB: 0.01); the CPU does it, whatever `device`.
        """
        from conjugacy.plots.similarity import similarity_matrix

        del device
        systems = [_first_trials(s, percent_data) for s in self._systems(phase)]
        measure = get_measure("dsa", rank=rank, n_delays=n_delays, delay_interval=delay_interval, center=False)
        result = pairwise(systems, measure, progress=False)
        display(similarity_matrix(result, order=False))
        return result.matrix().to_numpy()

    def compare_performance(self) -> Figure:
        """Figure with, for each analysis, the R2 of the task's targets from an affine map of its latents."""
        from conjugacy.plots.figure import new_figure

        scores = []
        for analysis in self.analyses:
            latents = [analysis.system(phase) for phase in ("val", "train")]
            targets = [System.from_arrays("targets", analysis.targets(phase)) for phase in ("val", "train")]
            scores.append(state_r2(latents[0], targets[0], train=(latents[1], targets[1])).value)
        fig = new_figure(1.6 + 1.2 * len(scores), 3.6)
        ax = fig.subplots()
        ax.bar([a.name for a in self.analyses], scores)
        ax.set(ylabel="R2 of the targets, predicted from the states", ylim=(min(0, *scores), 1))
        ax.set_title("How well the states predict the targets (validation trials)", fontsize="medium")
        return fig

    def visualize_stateR2(self, num_trials: int = 2, ref_ind: int | None = None, num_pcs: int = 7) -> Figure:
        """Figure of the R2 of each analysis' own principal components, predicted from the reference."""
        from conjugacy.plots.figure import new_figure

        del num_trials  # the scores are over all validation trials
        ref = self._reference(ref_ind)
        train, val = self._systems("train"), self._systems("val")
        fig = new_figure(6, 3.6)
        ax = fig.subplots()
        for i, system in enumerate(val):
            pca = PCA(min(num_pcs, system.n_units)).fit(_flat(train[i]))
            fit = LinearRegression().fit(_flat(train[ref]), pca.transform(_flat(train[i])))
            wanted, got = pca.transform(_flat(system)), fit.predict(_flat(val[ref]))
            r2 = 1 - ((wanted - got) ** 2).sum(0) / ((wanted - wanted.mean(0)) ** 2).sum(0)
            ax.plot(np.arange(1, len(r2) + 1), r2, "o-", label=system.name)
        ax.set(xlabel="principal component of the other network", ylabel=f"R2 from {val[ref].name}, validation trials")
        ax.set_title(f"Principal components predicted from {val[ref].name}", fontsize="medium")
        ax.legend(frameon=False)
        return fig

    def plot_trials_3d_reference(
        self, num_trials: int = 2, ref_ind: int | None = None, savePDF: bool = False, angle: tuple | None = None
    ) -> Figure:
        """Figure of each analysis' latents, affinely mapped to the principal components of the reference."""
        if savePDF:
            raise ValueError("`savePDF`: figures are returned, not written, got True. Use .savefig('name.pdf') on it.")
        return self.compare().plot_trials_3d_reference(num_trials, ref_ind, angle)

    def plot_trials_3d(self, num_trials: int = 2) -> Figure:
        """Figure of each analysis' latents in its own first three principal components."""
        from conjugacy.plots.latents import latents_3d

        return latents_3d(self.analyses, num_trials)

    def plot_trials(self, num_trials: int = 2, num_pcs: int = 3) -> Figure:
        """Figure of each analysis' own principal components over time, a row an analysis."""
        labels = [f"PC {i + 1}" for i in range(num_pcs)]
        return self._side_by_side(
            {a.name: a.pcs("val", num_pcs) for a in self.analyses}, labels, num_trials, "state (PCs)"
        )

    def plot_inputs(self, num_trials: int = 2) -> Figure:
        """Figure of the inputs of each analysis over time, a row an analysis."""
        shown = self.analyses[0].inputs("val").shape[-1]  # in closed loop the context alone, whose names come last
        labels = self.analyses[0].run.task.input_labels[-shown:]
        return self._side_by_side(
            {a.name: a.inputs("val").numpy() for a in self.analyses}, labels, num_trials, "inputs"
        )

    def plot_trials_controlled_reference(self, num_trials: int = 2, ref_ind: int | None = None) -> Figure:
        """Figure of what each analysis controls, its outputs, over the targets of the reference."""
        from conjugacy.plots.curves import overlaid

        reference = self.analyses[self._reference(ref_ind)]
        curves = {"targets": reference.targets("val").numpy()}
        curves |= {a.name: a.outputs("val").numpy() for a in self.analyses}
        task = reference.run.task
        return overlaid(curves, getattr(task, "controlled_labels", task.output_labels), task.dt, num_trials)

    def plot_trials_reference(self, num_trials: int = 2, ref_ind: int | None = None, num_pcs: int = 4) -> Figure:
        """Figure of the principal components of the reference over time, and the best affine map of each analysis."""
        return self.plot_trials_reference_dims(num_trials, ref_ind, list(range(num_pcs)))

    def plot_trials_reference_dims(
        self, num_trials: int = 2, ref_ind: int | None = None, dims: Sequence[int] = (0, 1, 2, 3)
    ) -> Figure:
        """The same for chosen components; those that the reference does not have are left out."""
        from conjugacy.plots.curves import overlaid

        ref = self._reference(ref_ind)
        train, val = self._systems("train"), self._systems("val")
        dims = [d for d in dims if d < val[ref].n_units]
        pca = PCA().fit(_flat(train[ref]))
        wanted = pca.transform(_flat(train[ref]))[:, dims]
        curves = {}
        for t, v in zip(train, val):
            path = LinearRegression().fit(_flat(t), wanted).predict(_flat(v))
            curves[v.name] = path.reshape(*v.trajectories.shape[:2], len(dims))
        labels = [f"{val[ref].name} PC {d + 1}" for d in dims]
        return overlaid(curves, labels, self.analyses[ref].run.task.dt, num_trials)

    def _side_by_side(self, curves: Mapping[str, np.ndarray], labels, num_trials: int, ylabel: str) -> Figure:
        from conjugacy.plots.curves import side_by_side

        return side_by_side(curves, labels, self.analyses[0].run.task.dt, num_trials, ylabel)

    def _systems(self, phase: str) -> list[System]:
        if not self.analyses:
            raise RuntimeError("Comparison has no analyses yet: call load_analysis(analysis).")
        names = _conjugacy.distinct_names([a.name for a in self.analyses])
        return [replace(a.system(phase), name=n) for a, n in zip(self.analyses, names)]

    def _reference(self, ref_ind: int | None) -> int:
        return check_int("ref_ind", self.ref_ind or 0 if ref_ind is None else ref_ind, 0, len(self.analyses) - 1)

    def _with_reference(self, name: str, ref_ind: int | None) -> pd.Series:
        val, ref = self._systems("val"), self._reference(ref_ind)
        measure = get_measure(name)
        return pd.Series({s.name: measure(val[ref], s).value for s in val}, name=name)


def _flat(system: System) -> np.ndarray:
    return system.states().double().numpy()


def _first_trials(system: System, share: float) -> System:
    n = max(2, round(share * system.n_trials))
    inputs = None if system.inputs is None else system.inputs[:n]
    kept = torch.as_tensor(system.lengths[:n])
    return replace(system, trajectories=system.trajectories[:n], inputs=inputs, lengths=kept)

"""Comparison of analyses, under the names of CtDB: fitted on the training trials, shown on the validation trials."""

from __future__ import annotations

from dataclasses import replace

from matplotlib.figure import Figure

from conjugacy import comparison as _conjugacy
from conjugacy.analysis import Analysis


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
        if reference_analysis and self.ref_ind is not None:
            raise ValueError(
                f"`reference_analysis`: {self.analyses[self.ref_ind].name!r} is the reference already. Name one only."
            )
        if reference_analysis:
            self.ref_ind = len(self.analyses)
        self.analyses.append(analysis)
        self.groups.append(group)

    def compare(self, measures=("state_r2",), **options) -> _conjugacy.Comparison:
        """The analyses as a conjugacy Comparison, on the validation trials of each."""
        names = [a.name for a in self.analyses]
        distinct = [n if names.count(n) == 1 else f"{n} ({names[: i + 1].count(n)})" for i, n in enumerate(names)]
        val, train = (
            [replace(a.system(phase), name=n) for a, n in zip(self.analyses, distinct)] for phase in ("val", "train")
        )
        return _conjugacy.Comparison(val, train, measures, reference=self.ref_ind or 0, **options)

    def table(self):
        """State R2 both ways on the validation trials, as a pandas table."""
        return self.compare().table()

    def plot_trials_3d_reference(
        self, num_trials: int = 2, ref_ind: int | None = None, savePDF: bool = False, angle=None
    ) -> Figure:
        """Figure of each analysis' latents, affinely mapped to the principal components of the reference."""
        if savePDF:
            raise ValueError("`savePDF`: figures are returned, not written, got True. Use .savefig('name.pdf') on it.")
        return self.compare().plot_trials_3d_reference(num_trials, ref_ind, angle)

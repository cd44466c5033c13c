"""What callers give to figures, as what the figures draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conjugacy._check import check_int
from conjugacy.analysis._given import as_run, check_kind, counted
from conjugacy.analysis.analysis import Analysis

if TYPE_CHECKING:
    from conjugacy.trials import Trials

PHASE_NAMES = {"train": "training", "val": "validation", "test": "test", "all": "training and validation"}


def as_analysis(name: str, value: Any) -> Analysis:
    """`value` if it is an Analysis, or the Analysis of a Run."""
    return value if isinstance(value, Analysis) else Analysis(as_run(name, value))


def check_num_trials(num_trials: Any, trials: Trials | Any, phase: str) -> int:
    """Return `num_trials` if the phase has as many."""
    n = len(trials)
    return check_int("num_trials", num_trials, 1, n, f"Phase {phase!r} has {counted(n, 'trial')}.")


def check_axes(ax: Any, n_dims: int = 2) -> Any:
    """Return matplotlib Axes that a figure of `n_dims` dimensions can be drawn into."""
    from matplotlib.axes import Axes

    check_kind("ax", ax, Axes, "matplotlib Axes or None")
    if (n_dims == 3) != (ax.name == "3d"):
        made = "fig.add_subplot(projection='3d')" if n_dims == 3 else "fig.add_subplot()"
        raise ValueError(f"`ax`: expected Axes for {n_dims} dimensions, got {type(ax).__name__}. Use {made}.")
    return ax

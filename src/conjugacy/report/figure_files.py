"""The figures of a run as files in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from conjugacy import plots
from conjugacy._files import file_stem
from conjugacy.plots.figure import leave_to_caller


def draw(analysis: Any, folder: Path) -> list[Path]:
    """Write the figures of one run to a folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "trial_io": analysis.plot_trial_io(),
        "scree": analysis.plot_scree(),
        "latents_3d": analysis.plot_latents_3d(),
    }
    if getattr(analysis.run.task, "plant", None) is not None:
        figures |= {
            "hand_paths": plots.hand_paths(analysis),
            "hand_speed": plots.hand_speed(analysis),
            "muscle_commands": plots.muscle_commands(analysis),
            "latents_at_cue": plots.latents_at_cue(analysis),
        }
    return _write(figures, analysis, folder)


def draw_fixed_points(analysis: Any, points: Any, folder: Path) -> list[Path]:
    """Write the figures of a run's fixed points to a folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "fixed_points": plots.fixed_points_3d(points, analysis.system("val")),
        "portrait": plots.portrait_graph(points.portrait()),
    }
    return _write(figures, analysis, folder)


def _write(figures: dict[str, Figure], analysis: Any, folder: Path) -> list[Path]:
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{file_stem(analysis.name)}_{name}.png")
        leave_to_caller(figure).savefig(paths[-1], dpi=150)
    return paths

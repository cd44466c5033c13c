"""An animation of fixed points while a network learns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conjugacy._check import check_flag, check_int
from conjugacy.plots import palette
from conjugacy.plots._labels import short
from conjugacy.plots.figure import leave_to_caller, new_figure
from conjugacy.plots.movies import checked_path, write

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation

    from conjugacy.analysis.births import PointsThroughLearning

_HELD = 6  # frames that the last snapshot is shown for


def animate_points(
    found: PointsThroughLearning, path: Any = None, *, fps: int = 4, progress: bool = True
) -> FuncAnimation:
    """A frame a snapshot; see `PointsThroughLearning.animate`."""
    from matplotlib.animation import FuncAnimation

    check_int("fps", fps, 1, 100)
    check_flag("progress", progress)
    path, writer = checked_path(path, fps)
    counted = {s: found.points[s][found.points[s].fixed & found.points[s].counted] for s in found.steps}
    everything = np.concatenate([p.x for p in counted.values()])
    if not len(everything):
        raise ValueError(f"`found`: expected fixed points at some snapshot, got none of {found.name}.")
    centre = everything.mean(0)
    axes = np.linalg.svd(everything - centre, full_matrices=False)[2][:2]
    axes = np.concatenate([axes, np.zeros((2 - len(axes), everything.shape[1]))])
    flat = {s: (p.x - centre) @ axes.T for s, p in counted.items()}
    kinds = sorted({int(k) for p in counted.values() for k in p.n_unstable})
    fig = leave_to_caller(new_figure(6.4, 5.4))
    ax = fig.subplots()
    low, high = np.min(np.concatenate(list(flat.values())), 0), np.max(np.concatenate(list(flat.values())), 0)
    margin = 0.08 * max(float((high - low).max()), 1e-9)
    ax.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin))
    ax.set(xlabel="PC 1 of all fixed points", ylabel="PC 2 of all fixed points")
    marks = {}
    for k in kinds:
        colour, marker = palette.saddle(k)
        label = "stable" if k == 0 else f"{k} unstable"
        marks[k] = ax.plot([], [], marker, color=colour, ms=7, label=label, zorder=3)[0]
    branches = sorted({b for s in found.steps for b in found.branches[s]})
    trails = {b: ax.plot([], [], "-", color=palette.PATH, lw=0.9, zorder=1)[0] for b in branches}
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    table = found.table()

    def show(k: int) -> list[Any]:
        at = min(k, len(found.steps) - 1)
        step = found.steps[at]
        for kind, mark in marks.items():
            mark.set_data(*flat[step][counted[step].n_unstable == kind].T)
        for branch, trail in trails.items():
            known = [s for s in found.steps[: at + 1] if branch in found.branches[s]]
            trail.set_data(*np.array([flat[s][found.branches[s].index(branch)] for s in known]).reshape(-1, 2).T)
        row = table.loc[step]
        ax.set_title(
            f"{short(found.name)}, step {step}: {row['fixed']} fixed points, {row['born']} born, {row['lost']} lost"
        )
        return [*marks.values(), *trails.values()]

    frames = len(found.steps) + _HELD
    animation = FuncAnimation(fig, show, frames=frames, interval=1000 / fps, blit=False, cache_frame_data=False)
    if path is not None:
        write(animation, path, writer, frames, progress)
    return animation

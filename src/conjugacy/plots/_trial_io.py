"""What a network does in single trials: latents, outputs, targets and inputs over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from conjugacy._check import check_int
from conjugacy.plots.figure import new_figure

if TYPE_CHECKING:
    from conjugacy.analysis.analysis import Analysis


def trial_io(analysis: Analysis, num_trials: int = 2, phase: str = "val") -> Figure:
    """Four rows for each of the first trials: leading principal components, outputs, targets, inputs."""
    trials, out = analysis.trials(phase), analysis.rollout(phase)
    check_int("num_trials", num_trials, 1, len(trials), f"Phase {phase!r} has {len(trials)} trials.")
    task = analysis.run.task
    time = np.arange(trials.n_timesteps) * task.dt
    pcs = analysis.pcs(phase, 3)
    # in closed loop: the hand, not the commands
    controlled = getattr(task, "controlled_labels", task.output_labels)
    rows = [
        ("latent PCs", pcs, [f"PC {i + 1}" for i in range(pcs.shape[-1])]),
        ("outputs", out.outputs.numpy(), controlled),
        ("targets", trials.targets.numpy(), controlled),
        ("inputs", trials.inputs.numpy(), task.input_labels[-trials.inputs.shape[-1] :]),
    ]
    fig = new_figure(4.6 * num_trials + 1.2, 7.2)
    axes = fig.subplots(4, num_trials, sharex=True, sharey="row", squeeze=False)
    for row, (name, values, labels) in zip(axes, rows):
        for k, ax in enumerate(row):
            ax.plot(time, values[k], lw=1)
            ax.margins(x=0)
        row[0].set_ylabel(name)
        if len(labels) <= 6:
            row[-1].legend(
                row[-1].lines, labels, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8
            )
    for k in range(num_trials):
        axes[0, k].set_title(f"{phase} trial {k + 1}", fontsize="medium")
        axes[-1, k].set_xlabel("time (s)")
    fig.suptitle(f"{analysis.name} on {task.name}")
    return fig

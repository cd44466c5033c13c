"""What a network does in single trials: latents, outputs, targets and inputs over time."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from conjugacy.analysis._given import counted
from conjugacy.analysis.analysis import Analysis
from conjugacy.plots._given import PHASE_NAMES, as_analysis, check_num_trials
from conjugacy.plots.figure import new_figure
from conjugacy.runs.run import Run


def trial_io(analysis: Analysis | Run, num_trials: int = 2, phase: str = "val") -> Figure:
    """Single trials over time, a column each: leading principal components, outputs, targets and inputs.

    Parameters
    ----------
    analysis : Analysis or Run
    num_trials : int
        Trials to draw: the first of the phase.
    phase : str
        "train", "val", "all" or "test".
    """
    analysis = as_analysis("analysis", analysis)
    trials, out = analysis.trials(phase), analysis.rollout(phase)
    check_num_trials(num_trials, trials, phase)
    task = analysis.run.task
    time = np.arange(trials.n_timesteps) * task.dt
    pcs = analysis.pcs(phase, 3)
    # in closed loop: the hand, not the commands
    controlled = getattr(task, "controlled_labels", task.output_labels)
    rows = [
        ("state (PCs)", pcs, [f"PC {i + 1}" for i in range(pcs.shape[-1])]),
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
        axes[0, k].set_title(f"{PHASE_NAMES[phase]} trial {k + 1}", fontsize="medium")
        axes[-1, k].set_xlabel("time (s)")
    fig.suptitle(f"{analysis.name} on {task.name}: {counted(num_trials, 'trial')} over time")
    return fig

"""What a network does in single trials: latents, outputs, targets and inputs over time."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from conjugacy.analysis._given import counted
from conjugacy.analysis.analysis import Analysis
from conjugacy.plots import palette
from conjugacy.plots._given import PHASE_NAMES, as_analysis, check_num_trials
from conjugacy.plots._labels import legend_beside, over_all, short
from conjugacy.plots._rasters import MOST_LINES, rasters
from conjugacy.plots.figure import new_figure
from conjugacy.runs.run import Run


def trial_io(analysis: Analysis | Run, num_trials: int = 2, phase: str = "val") -> Figure:
    """Single trials over time, a column each: leading principal components, outputs, targets and inputs.

    More than twelve trials are drawn as pictures: a panel for each channel, a row of it for each trial.

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
        ("state (PCs, a.u.)", pcs, [f"PC {i + 1}" for i in range(pcs.shape[-1])]),
        ("outputs", out.outputs.numpy(), controlled),
        ("targets", trials.targets.numpy(), controlled),
        ("inputs", trials.inputs.numpy(), task.input_labels[-trials.inputs.shape[-1] :]),
    ]
    name = f"{short(analysis.name)} on {task.name}: {counted(num_trials, 'trial')} over time"
    if num_trials > MOST_LINES:
        fig = new_figure(11.0, 9.0)
        rasters(fig, [(what, values[:num_trials], labels) for what, values, labels in rows], task.dt)
        over_all(fig, name)
        return fig
    wide = 4.6 if num_trials <= 4 else 2.2
    fig = new_figure(wide * num_trials + 1.6, 7.2)
    axes = fig.subplots(4, num_trials, sharex=True, sharey="row", squeeze=False)
    for row, (what, values, labels) in zip(axes, rows):
        for k, ax in enumerate(row):
            for j in range(values.shape[-1]):
                ax.plot(time, values[k, :, j], lw=1, **palette.line_style(j))
            ax.margins(x=0)
        row[0].set_ylabel(what)
        legend_beside(row[-1], row[-1].lines[: len(labels)], labels)
    for k in range(num_trials):
        axes[0, k].set_title(
            f"{PHASE_NAMES[phase]} trial {k + 1}" if num_trials <= 8 else f"trial {k + 1}", fontsize="medium"
        )
        axes[-1, k].set_xlabel("time (s)")
        axes[-1, k].locator_params(axis="x", nbins=max(2, int(2.2 * wide)))
    over_all(fig, name)
    return fig

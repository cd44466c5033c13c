"""Latents of several networks in the space of one of them, after the affine map that fits best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from conjugacy._check import check_int
from conjugacy.plots.figure import label_dims, new_figure, space_axes
from conjugacy.system import System


def affine_overlay(
    systems: Sequence[System],
    train: Sequence[System],
    reference: int = 0,
    num_trials: int = 2,
    angle: tuple | None = None,
) -> Figure:
    """Each system's held-out trajectories in the principal components of the reference, a panel a trial.

    Parameters
    ----------
    systems : sequence of System
        Held-out trials, paired across systems.
    train : sequence of System
        Trials of the same systems on which the affine maps are fitted.
    reference : int
        Which system's principal components span the space; the others are mapped into it by ordinary least squares.
    num_trials : int
        Trials to draw.
    angle : (elevation, azimuth), optional
        Viewing direction in degrees.
    """
    ref, ref_train = systems[reference], train[reference]
    check_int("num_trials", num_trials, 1, ref.n_trials, "These are the trials held out.")
    pca = PCA(min(3, ref.n_units)).fit(ref_train.states().double().numpy())
    wanted = pca.transform(ref_train.states().double().numpy())
    dims = wanted.shape[1]
    fig = new_figure(5.0 * num_trials, 5.0)
    axes = [space_axes(fig, 1, num_trials, k + 1, dims) for k in range(num_trials)]
    for i in range(len(systems)):
        held_out, label, style = systems[i], systems[i].name, {"lw": 1.0, "color": f"C{i}", "alpha": 0.85}
        if i == reference:
            label, style, to_space = f"{label} (reference)", {"lw": 1.4, "color": "0.55"}, pca.transform
        else:
            to_space = LinearRegression().fit(train[i].states().double().numpy(), wanted).predict
        for k, ax in enumerate(axes):
            path = to_space(held_out.trajectories[k, : held_out.lengths[k]].double().numpy())
            line = path.T if dims > 1 else (np.arange(len(path)) * (held_out.dt or 1), path[:, 0])
            ax.plot(*line, label=label, **style)
    for k, ax in enumerate(axes):
        share = 100 * pca.explained_variance_ratio_
        label_dims(ax, [f"{ref.name} PC {j + 1} ({s:.0f} %)" for j, s in enumerate(share)])
        ax.set_title(f"held-out trial {k + 1}", fontsize="medium")
        if dims >= 3 and angle is not None:
            ax.view_init(*angle)
    axes[0].legend(frameon=False, loc="upper left")
    fig.suptitle(f"Affine maps into the latent space of {ref.name}, fitted on other trials")
    return fig

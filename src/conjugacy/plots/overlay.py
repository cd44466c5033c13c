"""States of several networks in the space of one of them, after the affine map that fits best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from conjugacy._check import check_int, check_number
from conjugacy.analysis._given import counted, items_of
from conjugacy.plots.figure import label_dims, new_figure, space_axes
from conjugacy.similarity.samples import kind_of, system_list
from conjugacy.system import System


def affine_overlay(
    systems: Sequence[System],
    train: Sequence[System],
    reference: int = 0,
    num_trials: int = 2,
    angle: tuple | None = None,
) -> Figure:
    """Held-out trajectories of each system in the principal components of the reference, one panel per trial.

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
    systems, train = system_list("systems", systems, 1), system_list("train", train, 1)
    check_int("reference", reference, 0, len(systems) - 1)
    ref, ref_train = systems[reference], train[reference] if len(train) == len(systems) else None
    least = min(s.n_trials for s in systems)
    check_int(
        "num_trials", num_trials, 1, least, f"{counted(least, 'trial')} {'is' if least == 1 else 'are'} held out."
    )
    _check_fit(systems, train, ref_train)
    view = None if angle is None else _view(angle)
    assert ref_train is not None
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
        if dims >= 3 and view is not None:
            ax.view_init(*view)
    axes[0].legend(frameon=False, loc="upper left")
    fig.suptitle(f"All networks in the space of {ref.name}, by affine maps fitted on other trials")
    return fig


def _check_fit(systems: list[System], train: list[System], reference: System | None) -> None:
    """Raise ValueError unless `train` holds the same systems on trials that answer those of the reference."""
    if reference is None:
        raise ValueError(f"`train`: expected {len(systems)}, one for each of `systems`, got {len(train)}.")
    for k, (held_out, fit) in enumerate(zip(systems, train)):
        if held_out.n_units != fit.n_units:
            raise ValueError(
                f"`train[{k}]`: expected {held_out.n_units} units as `systems[{k}]` has, got {fit.n_units}."
            )
        if fit.lengths.tolist() != reference.lengths.tolist():
            steps, wanted = int(fit.lengths.sum()), int(reference.lengths.sum())
            raise ValueError(
                f"`train[{k}]`: expected trials as long as the reference's ({reference.n_trials} trials, {wanted} "
                f"steps), got {fit.n_trials} trials, {steps} steps."
            )


def _view(angle: tuple) -> tuple[float, float]:
    pair = items_of("angle", angle, "two numbers")
    if len(pair) != 2:
        raise ValueError(f"`angle`: expected (elevation, azimuth) in degrees, got {kind_of(angle)}.")
    return check_number("angle[0]", pair[0]), check_number("angle[1]", pair[1])

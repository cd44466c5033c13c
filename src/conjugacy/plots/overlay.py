"""States of several networks in the space of one of them, after the affine map that fits best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from conjugacy._check import check_int, check_number
from conjugacy.analysis._given import counted, items_of
from conjugacy.plots import palette
from conjugacy.plots._labels import legend_below, over_all
from conjugacy.plots._view import separating_view
from conjugacy.plots.figure import label_dims, new_figure, small_panel, space_axes
from conjugacy.similarity.samples import kind_of, system_list
from conjugacy.system import System

_NAMED = 12  # systems that have a colour and a name each


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
    columns = min(num_trials, 4) if num_trials <= 8 else 8
    rows, side = -(-num_trials // columns), 4.4 if num_trials <= 4 else 12.0 / columns
    fig = new_figure(side * columns + 0.6, side * rows + 0.9)
    axes = [space_axes(fig, rows, columns, k + 1, dims) for k in range(num_trials)]
    large, drawn = num_trials <= 4, []
    for i in range(len(systems)):
        held_out, label = systems[i], systems[i].name
        style = {"lw": 1.0, "alpha": 0.85, **palette.line_style(i)}
        if len(systems) > _NAMED:  # which line is which could not be told
            style = {"lw": 0.5, "alpha": 0.5, "color": palette.BLUE}
            label = f"{len(systems) - 1} other networks" if i == (reference == 0) else "_"
        if i == reference:
            label, style, to_space = (
                f"{held_out.name} (reference)",
                {"lw": 1.2, "color": palette.REFERENCE},
                pca.transform,
            )
        else:
            to_space = LinearRegression().fit(train[i].states().double().numpy(), wanted).predict
        for k, ax in enumerate(axes):
            path = to_space(held_out.trajectories[k, : held_out.lengths[k]].double().numpy())
            line = path.T if dims > 1 else (np.arange(len(path)) * (held_out.dt or 1), path[:, 0])
            ax.plot(*line, label=label, **style)
            if i == reference:
                drawn.append(path)
    for k, ax in enumerate(axes):
        share = 100 * pca.explained_variance_ratio_
        label_dims(ax, [f"PC {j + 1} ({s:.0f} %)" if large else f"PC {j + 1}" for j, s in enumerate(share)])
        ax.set_title(f"held-out trial {k + 1}" if large else f"trial {k + 1}", fontsize="medium" if large else "small")
        if not large:
            small_panel(ax, dims)
        if dims >= 3:
            # where trajectories are seen apart best: ends, middles and beginnings of the reference's
            some = drawn[k][np.linspace(0, len(drawn[k]) - 1, 8).astype(int)]
            ax.view_init(*(separating_view(ax, some) if view is None else view))
    legend_below(fig, *axes[0].get_legend_handles_labels())
    over_all(fig, f"All networks in the principal components of {ref.name}, by affine maps fitted on other trials")
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

"""Figures of comparisons: the matrix of all pairs, a map of the systems, curves over ranks, known answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure, FigureBase

from conjugacy._check import check_choice, check_flag
from conjugacy.analysis._given import check_kind, counted, names_of
from conjugacy.analysis.comparison import Comparison
from conjugacy.plots._given import check_axes
from conjugacy.plots.figure import new_figure
from conjugacy.similarity import Pairwise, Surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_VERDICTS = {"pass": "#4c9f70", "moves": "#d9d9d9", "blind": "#e8a33d", "fails": "#c0392b", "n/a": "#ffffff"}
_MEANINGS = {
    "pass": "as it should be",
    "moves": "sees a change where the computation is the same",
    "blind": "sees no change where the computation differs",
    "fails": "not as declared",
    "n/a": "cannot take the pair",
}


def similarity_matrix(
    result: Pairwise | Comparison,
    measure: str | None = None,
    *,
    order: bool = True,
    values: bool | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Heat map of one measure over all pairs; row a, column b is ``measure(a, b)``.

    Parameters
    ----------
    result : Pairwise or Comparison
    measure : str, optional
        Needed where `result` has several.
    order : bool
        Put similar systems side by side (`Pairwise.order`), where rows and columns are the same systems.
    values : bool, optional
        Write the numbers into the cells. None: for up to 12 systems.
    ax : Axes, optional
        Drawn into this, else into a new figure.
    """
    pairs = _as_pairwise(result)
    check_flag("order", order)
    if values is not None:
        check_flag("values", values)
    name = _measure(pairs, measure)
    matrix = pairs.matrix(name)
    traits = pairs.measures[name].traits
    square = pairs.rows == pairs.columns
    if order and square:
        permutation = pairs.order(name)
        matrix = matrix.iloc[permutation, permutation]
    n, m = matrix.shape
    figure, ax = _axes(ax, (1.8 + 0.42 * max(m, 4), 1.2 + 0.42 * max(n, 4)))
    data = matrix.to_numpy(dtype=float)
    # dark is alike, whichever way the measure runs
    colours = "viridis" if not traits.higher_is_more_similar else "viridis_r"
    # below 0, an R2 says that the mean would do better: how much better is not worth the range of colours
    unbounded = np.isinf(traits.low) and np.nanmin(data) < 0
    image = ax.imshow(data, cmap=colours, aspect="equal", vmin=0 if unbounded else None)
    ax.set_xticks(range(m), matrix.columns, rotation=90 if m > 6 else 0)
    ax.set_yticks(range(n), matrix.index)
    if not traits.symmetric:
        ax.set_xlabel("to")
        ax.set_ylabel("from")
    if values if values is not None else max(n, m) <= 12:
        threshold = np.nanmean([max(np.nanmin(data), 0) if unbounded else np.nanmin(data), np.nanmax(data)])
        for i in range(n):
            for j in range(m):
                dark = (data[i, j] < threshold) != traits.higher_is_more_similar
                if np.isfinite(data[i, j]):
                    colour = "white" if dark else "black"
                    ax.text(j, i, f"{data[i, j]:.2g}", ha="center", va="center", fontsize=7, color=colour)
    ax.set_title(f"{name}, all pairs", fontsize="medium")
    figure.colorbar(
        image,
        ax=ax,
        label=f"{name}{_unit(traits.high)}, {'high' if traits.higher_is_more_similar else 'low'}: similar",
        fraction=0.046,
        pad=0.04,
        extend="min" if unbounded else "neither",
    )
    return figure


def similarity_map(
    result: Pairwise | Comparison,
    measure: str | None = None,
    *,
    groups: list[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Systems as points in a plane, with distances as close to their dissimilarities as a plane allows.

    The title says how far off they are: the root of the squared errors over the squared dissimilarities (stress).

    Parameters
    ----------
    result : Pairwise or Comparison
        All pairs of one list of systems.
    measure : str, optional
        Needed where `result` has several.
    groups : list of str, optional
        A label for each system: one colour each.
    ax : Axes, optional
        Drawn into this, else into a new figure.
    """
    pairs = _as_pairwise(result)
    groups = None if groups is None else names_of("groups", groups, "labels")
    if groups is not None and len(groups) != len(pairs.rows):
        raise ValueError(f"`groups`: expected a label for each of the {len(pairs.rows)} systems, got {len(groups)}.")
    name = _measure(pairs, measure)
    points, d = pairs.mds(name), pairs.dissimilarity(name)
    found = np.linalg.norm(points[:, None] - points[None], axis=2)
    stress = np.sqrt(((found - d) ** 2).sum() / max((d**2).sum(), 1e-300))
    figure, ax = _axes(ax, (4.2, 3.8))
    labels = groups or [""] * len(points)
    for k, group in enumerate(dict.fromkeys(labels)):
        chosen = points[[label == group for label in labels]]
        ax.plot(chosen[:, 0], chosen[:, 1], "o", color=f"C{k % 10}", label=group or None)
    if groups is None:
        for label, (x, y) in zip(pairs.rows, points):
            ax.annotate(label, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8)
    else:
        ax.legend(fontsize=8, frameon=False)
    unit = _unit(pairs.measures[name].traits.high)
    ax.set_xlabel(f"dimension 1{unit}")
    ax.set_ylabel(f"dimension 2{unit}")
    ax.set_title(f"{counted(len(points), 'system')} by {name}: distances off by {stress:.0%}", fontsize=9)
    ax.set_aspect("equal", "datalim")
    ax.margins(0.15)
    return figure


def parameter_surface(surface: Surface, *, fig: Figure | None = None) -> Figure:
    """Distances of all pairs over ranks, one panel per number of delays; titles say how far their order changes.

    Parameters
    ----------
    surface : Surface
    fig : Figure, optional
        Drawn into this, else into a new figure.
    """
    check_kind("surface", surface, Surface, "a Surface (conjugacy.similarity.surface)")
    if fig is not None:
        check_kind("fig", fig, FigureBase, "a matplotlib Figure or None")
    n = len(surface.n_delays)
    figure = new_figure(1.2 + 2.2 * n, 3.0) if fig is None else fig
    axes = figure.subplots(1, n, sharey=True, squeeze=False)[0]
    for m, ax in enumerate(axes):
        k = 0
        for i in range(len(surface.names)):
            for j in range(i):
                label = f"{surface.names[j]}, {surface.names[i]}" if len(surface.names) <= 4 else None
                ax.plot(surface.ranks, surface.values[:, m, i, j], "o-", color=f"C{k % 10}", ms=3, label=label)
                k += 1
        changed = surface.disagreement[:, m]
        changed = f"up to {np.nanmax(changed):.0%} change order" if np.isfinite(changed).any() else ""
        ax.set_title(f"{counted(int(surface.n_delays[m]), 'delay')}\n{changed}", fontsize=8)
        ax.set_xlabel("rank of the operators")
        ax.set_xticks(surface.ranks)
    axes[0].set_ylabel(f"{surface.measure}{' (rad)' if surface.measure == 'dsa' else ''}")
    if len(surface.names) <= 4:
        axes[-1].legend(fontsize=6, frameon=False)
    return figure


def known_answers(table: pd.DataFrame, *, ax: Axes | None = None) -> Figure:
    """Verdicts of the known-answer suite: measures in rows, relations between systems in columns.

    Parameters
    ----------
    table : DataFrame
        Of `conjugacy.similarity.check_measures`.
    ax : Axes, optional
        Drawn into this, else into a new figure.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    from conjugacy.similarity.known_answer_checks import verdicts

    check_kind("table", table, pd.DataFrame, "the DataFrame of conjugacy.similarity.check_measures")
    missing = sorted({"measure", "relation", "same", "verdict"} - set(table.columns))
    if missing:
        raise ValueError(f"`table`: expected the columns of check_measures, got none called {', '.join(missing)}.")
    wide = verdicts(table)
    n, m = wide.shape
    figure, ax = _axes(ax, (2.2 + 0.42 * m, 2.2 + 0.26 * n))
    kinds = list(_VERDICTS)
    codes = wide.map(kinds.index).to_numpy()
    ax.imshow(codes, cmap=ListedColormap(list(_VERDICTS.values())), vmin=-0.5, vmax=len(kinds) - 0.5, aspect="auto")
    ax.set_xticks(range(m), wide.columns, rotation=60, ha="right", fontsize=8)
    ax.set_yticks(range(n), wide.index, fontsize=8)
    ax.set_xticks(np.arange(-0.5, m), minor=True)
    ax.set_yticks(np.arange(-0.5, n), minor=True)
    ax.grid(which="minor", color="white", lw=1)
    ax.tick_params(which="minor", length=0)
    same = int(table.drop_duplicates("relation")["same"].to_numpy().sum())
    ax.axvline(same - 0.5, color="black", lw=1.5)
    for start, count, text in ((0, same, "the same computation"), (same, m - same, "different computations")):
        ax.text(start + count / 2 - 0.5, -0.8, text, ha="center", va="bottom", fontsize=8)
    handles = [Patch(facecolor=c, edgecolor="0.6", label=f"{k}: {_MEANINGS[k]}") for k, c in _VERDICTS.items()]
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8, frameon=False)
    return figure


def _axes(ax: Axes | None, size: tuple[float, float]) -> tuple[Figure, Axes]:
    if ax is not None:
        return check_axes(ax).get_figure(root=True), ax
    figure = new_figure(*size)
    return figure, figure.subplots()


def _as_pairwise(given: Pairwise | Comparison) -> Pairwise:
    if isinstance(given, Comparison):
        return given.pairs
    return check_kind("result", given, Pairwise, "a Pairwise (conjugacy.similarity.pairwise) or a Comparison")


def _measure(result: Pairwise, measure: str | None) -> str:
    """The name of the measure to draw: the only one where none is named."""
    if measure is None and len(result.values) == 1:
        return next(iter(result.values))
    return check_choice("measure", measure, result.values)


def _unit(high: float) -> str:
    return " (rad)" if 1.5 < high < 1.6 or 3.1 < high < 3.2 else ""

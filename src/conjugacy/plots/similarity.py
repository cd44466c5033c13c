"""Figures of comparisons: the matrix of all pairs, a map of the systems, curves over ranks, known answers."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure, FigureBase

from conjugacy._check import check_choice, check_flag
from conjugacy.analysis._given import check_kind, counted, names_of
from conjugacy.analysis.comparison import Comparison
from conjugacy.plots import palette
from conjugacy.plots._given import check_axes
from conjugacy.plots._labels import legend_beside, name_points, name_ticks, over_all, title
from conjugacy.plots._style import points as text_size
from conjugacy.plots.figure import new_figure
from conjugacy.similarity import Pairwise, Surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_VERDICTS = {
    "pass": palette.SAME,
    "moves": "0.85",
    "blind": palette.ORANGE,
    "fails": palette.DIFFERENT,
    "n/a": "white",
}
_MEANINGS = {
    "pass": "as it should be",
    "moves": "sees a change where the computation is the same",
    "blind": "sees no change where the computation differs",
    "fails": "not as declared",
    "n/a": "cannot take the pair",
}


_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h", "*")


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
    cell = min(0.5, 9.0 / max(n, m))
    width, height = cell * max(m, 5), cell * max(n, 5)
    figure, ax = _axes(ax, (width + 3.0, height + 1.6))
    data = matrix.to_numpy(dtype=float)
    # dark is alike, whichever way the measure runs
    colours = palette.VALUES_TURNED if traits.higher_is_more_similar else palette.VALUES
    # below 0, an R2 says that the mean would do better: how much better is not worth the range of colours
    unbounded = np.isinf(traits.low) and np.nanmin(data) < 0
    image = ax.imshow(data, cmap=colours, aspect="equal", vmin=0 if unbounded else None)
    name_ticks(ax, "x", list(matrix.columns), cell * m)
    name_ticks(ax, "y", list(matrix.index), cell * n)
    ax.set_xlabel("system" if traits.symmetric else "to")
    ax.set_ylabel("system" if traits.symmetric else "from")
    if values if values is not None else max(n, m) <= 12:
        threshold = np.nanmean([max(np.nanmin(data), 0) if unbounded else np.nanmin(data), np.nanmax(data)])
        for i in range(n):
            for j in range(m):
                dark = (data[i, j] < threshold) != traits.higher_is_more_similar
                if np.isfinite(data[i, j]):
                    colour = "white" if dark else "black"
                    ax.text(j, i, f"{data[i, j]:.2g}", ha="center", va="center", fontsize=text_size(7.0), color=colour)
    title(ax, f"{name} of all pairs of {counted(n, 'system')}" if square else f"{name} of all pairs")
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
    figure, ax = _axes(ax, (5.4, 4.2) if len(points) <= 12 or groups else (8.6, 5.2))
    labels = groups or [""] * len(points)
    for k, group in enumerate(dict.fromkeys(labels)):
        chosen = points[[label == group for label in labels]]
        marker = _MARKERS[k // len(palette.SERIES) % len(_MARKERS)]
        style = {"color": palette.series(k), "linestyle": "none", "markeredgecolor": "white", "markeredgewidth": 0.5}
        ax.plot(chosen[:, 0], chosen[:, 1], marker, label=group or None, **style)
    unit = _unit(pairs.measures[name].traits.high)
    ax.set_xlabel(f"dimension 1{unit}")
    ax.set_ylabel(f"dimension 2{unit}")
    title(ax, f"{counted(len(points), 'system')} by {name}: the map is off by {stress:.0%} of the distances")
    ax.set_aspect("equal", "datalim")
    ax.margins(0.2)
    if groups is None:
        name_points(ax, points, pairs.rows, what="systems")
    else:
        legend_beside(ax)
    return figure


def parameter_surface(surface: Surface, *, fig: Figure | None = None) -> Figure:
    """Distances of all pairs over ranks, one panel per number of delays; titles say how far their order changes.

    Up to six systems have a line for each pair; of more, the median of all pairs and their spread are shown.

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
    figure = new_figure(2.6 + 2.0 * n, 3.2) if fig is None else fig
    axes = figure.subplots(1, n, sharey=True, squeeze=False)[0]
    few = len(surface.names) <= 6
    for m, ax in enumerate(axes):
        if not few:
            _spread(ax, surface, m)
        k = 0
        for i in range(len(surface.names) if few else 0):
            for j in range(i):
                label = f"{surface.names[j]}, {surface.names[i]}"
                style = palette.line_style(k) | {"lw": 1.2, "marker": "o", "ms": 3}
                ax.plot(surface.ranks, surface.values[:, m, i, j], label=label, **style)
                k += 1
        changed = surface.disagreement[:, m]
        changed = f"up to {np.nanmax(changed):.0%} change order" if np.isfinite(changed).any() else ""
        ax.set_title(f"{counted(int(surface.n_delays[m]), 'delay')}\n{changed}".strip(), fontsize="small")
        ax.set_xlabel("rank", fontsize="small")
        ax.locator_params(axis="x", integer=True, nbins=5)
    axes[0].set_ylabel(f"{surface.measure}{' (rad)' if surface.measure == 'dsa' else ''}")
    legend_beside(axes[-1])
    if fig is None:
        over_all(figure, "Distances by rank and delays of the operators: lines that cross change their order")
    return figure


def _spread(ax: Axes, surface: Surface, m: int) -> None:
    """Of many pairs, whose lines could not be told apart: the median and how far most of them spread."""
    pairs = surface.values[:, m][:, *np.tril_indices(len(surface.names), -1)]
    for low, high, alpha, words in ((5, 95, 0.2, "90 %"), (25, 75, 0.4, "half")):
        edges = np.nanpercentile(pairs, [low, high], axis=1)
        label = f"{words} of {counted(pairs.shape[1], 'pair')}"
        ax.fill_between(surface.ranks, *edges, color=palette.BLUE, alpha=alpha, lw=0, label=label)
    ax.plot(surface.ranks, np.nanmedian(pairs, axis=1), "o-", color=palette.BLACK, ms=3, lw=1.4, label="median")


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
    # names of relations take half of the height
    figure, ax = _axes(ax, (5.6 + 0.36 * m, 4.0 + 0.24 * n))
    kinds = list(_VERDICTS)
    codes = wide.map(kinds.index).to_numpy()
    ax.imshow(codes, cmap=ListedColormap(list(_VERDICTS.values())), vmin=-0.5, vmax=len(kinds) - 0.5, aspect="auto")
    name_ticks(ax, "x", list(wide.columns), 0.36 * m, letters=40)
    ax.tick_params(axis="x", labelrotation=90)
    name_ticks(ax, "y", list(wide.index), 0.24 * n)
    ax.set(xlabel="relation of two systems", ylabel="measure")
    ax.set_xticks(np.arange(-0.5, m), minor=True)
    ax.set_yticks(np.arange(-0.5, n), minor=True)
    ax.grid(which="minor", color="white", lw=1)
    ax.tick_params(which="minor", length=0)
    same = int(table.drop_duplicates("relation")["same"].to_numpy().sum())
    ax.axvline(same - 0.5, color="black", lw=1.5)
    for start, count, text in ((0, same, "the same computation"), (same, m - same, "different computations")):
        if count:
            words = text if count > 4 else text.replace(" ", "\n")
            ax.text(start + count / 2 - 0.5, -0.7, words, ha="center", va="bottom", fontsize=text_size(8.0))
    handles = [Patch(facecolor=c, edgecolor="0.6", label=f"{k}: {_MEANINGS[k]}") for k, c in _VERDICTS.items()]
    given_room = figure.get_constrained_layout()
    if given_room:
        over_all(figure, "What each measure sees of pairs whose relation is known")
    legend = legend_beside(ax, handles, [f"{k}: {_MEANINGS[k]}" for k in _VERDICTS])
    for text, (kind, said) in zip(legend.get_texts(), _MEANINGS.items()):
        text.set_text(f"{kind}: {textwrap.fill(said, 26)}")
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

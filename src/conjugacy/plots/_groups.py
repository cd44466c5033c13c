"""Figures of groups of networks and of classes of solutions: a map, a tree, and counts of classes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import squareform

from conjugacy._check import check_choice
from conjugacy.analysis._given import check_kind, counted
from conjugacy.analysis.groups import GroupComparison
from conjugacy.analysis.population_classes import SolutionClasses
from conjugacy.plots import palette
from conjugacy.plots._labels import legend_below, name_ticks, short, title
from conjugacy.plots._style import points as text_size
from conjugacy.plots.figure import new_figure


def group_map(found: GroupComparison, measure: str | None = None) -> Figure:
    """Networks as points in a plane whose distances are as near to theirs as a plane allows, and as leaves of a tree.

    Left: classical multidimensional scaling (Torgerson 1952), with the share of the squared distances that the plane
    keeps. Right: average linkage. Each group has a colour.

    Parameters
    ----------
    found : GroupComparison
        Of `conjugacy.compare_groups`.
    measure : str, optional
        Which of its measures; the first by default.

    Raises
    ------
    TypeError, ValueError
        If `found` is something else, or has no such measure.
    """
    check_kind("found", found, GroupComparison, "a GroupComparison", "Make it with compare_groups(groups).")
    name = next(iter(found.distances)) if measure is None else check_choice("measure", measure, tuple(found.distances))
    d, names = found.distances[name], found.names
    colours = {n: palette.series(k) for k, ns in enumerate(found.groups.values()) for n in ns}
    points, kept = _scaled(d)
    height = max(3.6, 1.0 + 0.15 * len(names))
    figure = new_figure(10.0, height)
    left, right = figure.subplots(1, 2)
    for group, members in found.groups.items():
        at = points[[names.index(n) for n in members]]
        left.plot(*at.T, "o", color=colours[members[0]], markeredgecolor="white", label=group)
    left.set(xlabel=f"dimension 1 ({name})", ylabel=f"dimension 2 ({name})")
    title(left, f"Map: {kept:.0%} of the squared distances")
    left.set_aspect("equal", "datalim")
    left.margins(0.15)
    legend_below(figure, *left.get_legend_handles_labels())
    tree = linkage(squareform(d, checks=False), "average")
    dendrogram(tree, labels=list(names), orientation="right", ax=right, color_threshold=0, above_threshold_color="0.4")
    size = min(text_size(9.0), 0.72 * 72 * (height - 1.4) / len(names))
    for label in right.get_yticklabels():
        label.set(color=colours[label.get_text()], fontsize=size, text=short(label.get_text()))
    right.set_xlabel(f"distance at which branches join ({name})")
    title(right, "Tree: networks that are alike join early")
    return figure


def class_counts(found: SolutionClasses) -> Figure:
    """Members of each class of solutions, and the estimated chance that a further network is of a new class.

    Parameters
    ----------
    found : SolutionClasses
        Of `conjugacy.solution_classes`.

    Raises
    ------
    TypeError
        If `found` is something else.
    """
    check_kind("found", found, SolutionClasses, "SolutionClasses", "Make them with solution_classes(runs).")
    counts, unseen = found.counts, found.unseen
    n = sum(counts)
    row = 0.4 if len(counts) <= 12 else 0.2
    figure = new_figure(7.6, 1.4 + row * len(counts))
    axes = figure.subplots()
    rows = np.arange(len(counts) + 1)
    axes.barh(rows[:-1], counts, color=palette.BLUE)
    axes.barh(rows[-1], unseen.new_share * n, color=palette.UNKNOWN)
    axes.errorbar(
        unseen.new_share * n,
        rows[-1],
        xerr=[[0.0], [(unseen.new_share_high - unseen.new_share) * n]],
        color=palette.REFERENCE,
        capsize=3,
    )
    labels = [c.what or c.representative for c in found.classes]
    name_ticks(axes, "y", [*labels, f"not seen yet (of {n} more networks)"], row * (len(counts) + 1), letters=44)
    axes.invert_yaxis()
    axes.set(xlabel="number of networks", ylabel="class of solutions")
    axes.locator_params(axis="x", integer=True)
    axes.margins(y=0.4 / len(rows))
    title(axes, f"{counted(n, 'network')} in {counted(len(counts), 'class', 'classes')} of solutions, by {found.by}")
    return figure


def _scaled(d: np.ndarray) -> tuple[np.ndarray, float]:
    """Points (network, 2) by classical scaling, and the share of the squared distances that they keep, in [0, 1]."""
    n = len(d)
    centre = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-0.5 * centre @ (d**2) @ centre)
    values, vectors = values[::-1], vectors[:, ::-1]
    # signs of eigenvectors are free: the largest entry is positive, so that the figure is the same everywhere
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(n)])
    first = np.clip(values[:2], 0, None)
    whole = np.abs(values).sum()
    return vectors[:, :2] * np.sqrt(first), float(first.sum() / whole) if whole > 0 else 1.0

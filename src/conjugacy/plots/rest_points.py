"""Figure of rest points: where an arm comes to rest while targets are held, and the eigenvalues there."""

from __future__ import annotations

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from conjugacy._check import check_int
from conjugacy.analysis._given import check_kind, counted
from conjugacy.analysis.rest_points import RestPoints
from conjugacy.plots import palette
from conjugacy.plots._labels import legend_below, short, title
from conjugacy.plots.figure import new_figure


def rest_map(rest: RestPoints, n_modes: int = 60) -> Figure:
    """Where the arm comes to rest for each target, and the eigenvalues there, with the arm and of the network alone.

    Stable points are filled; a line joins each with its target. The eigenvalues are those with all activations falling,
    see `CoupledMap.rest_spectra`.

    Parameters
    ----------
    rest : RestPoints
    n_modes : int
        Eigenvalues of each point that are drawn, the largest first.
    """
    check_kind("rest", rest, RestPoints, "RestPoints (of conjugacy.rest_points or an Analysis)")
    check_int("n_modes", n_modes, 1)
    fig = new_figure(11.0, 5.2)
    where, plane = fig.subplots(1, 2)
    network = rest.parts["network"]
    known = set()
    centre = rest.targets.numpy().mean(0)
    angles = np.degrees(np.arctan2(*(rest.targets.numpy() - centre).T[::-1])) % 360
    wheel = palette.directions()
    small = len(rest) > 16
    for k, (target, points) in enumerate(zip(rest.targets.numpy(), rest.points)):
        hand = points.readout
        where.plot(*target, "x", color=palette.TARGET, ms=4 if small else 7, mew=1.4, zorder=2)
        for p in np.flatnonzero(points.fixed):
            xy, stable = hand[p], int(points.n_unstable[p]) == 0
            colour = wheel(angles[k] / 360)
            where.plot(*np.stack([target, xy]).T, color=colour, lw=0.8, zorder=1)
            where.plot(*xy, "o", mec=colour, mfc=colour if stable else "white", ms=4 if small else 6, zorder=3)
            alone = np.linalg.eigvals(points.jacobian[p, network, network])
            alone = alone[np.argsort(-np.abs(alone), kind="stable")]
            for values, marker, name in (
                (alone, "+", "network alone"),
                (points.eigenvalues[p], ".", "network with arm"),
            ):
                v = values[:n_modes]
                style = {"color": palette.PATH if marker == "+" else colour, "ms": 5, "zorder": 2 + (marker == ".")}
                plane.plot(v.real, v.imag, marker, label="_" if name in known else name, **style)
                known.add(name)
    angle = np.linspace(0, 2 * np.pi, 400)
    plane.plot(np.cos(angle), np.sin(angle), color=palette.REFERENCE, lw=0.8, label="border of stability")
    plane.set_aspect("equal", "datalim")
    plane.set(xlabel="real part (per step)", ylabel="imaginary part (per step)")
    for marker, face, name in (
        ("x", "0.3", "target"),
        ("o", "0.3", "rests, stable"),
        ("o", "white", "rests, unstable"),
    ):
        where.plot([], [], marker, color="0.3", mfc=face, label=name)
    handles, labels = (a + b for a, b in zip(where.get_legend_handles_labels(), plane.get_legend_handles_labels()))
    legend_below(fig, handles, labels)
    mapped = ScalarMappable(Normalize(0, 360), wheel)
    bar = fig.colorbar(mapped, ax=plane, shrink=0.7, label="direction of the target (degrees)")
    bar.set_ticks([0, 90, 180, 270, 360])
    where.set(xlabel="hand x (m)", ylabel="hand y (m)")
    where.set_aspect("equal", "datalim")
    n = sum(int(points.fixed.sum()) for points in rest.points)
    found = f"{counted(n, 'rest point')} for {counted(len(rest), 'target')}"
    title(where, f"{short(rest.name)}: {found}")
    title(plane, "Eigenvalues at the rest points")
    return fig

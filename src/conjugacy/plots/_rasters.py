"""Many trials at once: each signal as a picture, a row a trial, a column a time step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from conjugacy.plots import palette
from conjugacy.plots._labels import short

MOST_LINES = 12  # trials that are drawn as lines, a column each
_MOST_CHANNELS = 6


def rasters(
    fig: Any, rows: Sequence[tuple[str, np.ndarray, Sequence[str]]], dt: float, *, order: np.ndarray | None = None
) -> None:
    """Fill a figure: a row of panels for each signal, a panel for each of its channels (six at most).

    Parameters
    ----------
    fig : Figure
    rows : sequence of (name, array (trial, time, channel), names of channels)
    dt : float
        Seconds per step.
    order : int array (trial,), optional
        From top to bottom.
    """
    columns = min(_MOST_CHANNELS, max(values.shape[-1] for _, values, _ in rows))
    axes = fig.subplots(len(rows), columns, sharex=True, sharey=True, squeeze=False)
    for row, (name, values, labels) in zip(axes, rows):
        values = values if order is None else values[order]
        n, steps, channels = values.shape
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        extent = (-0.5 * dt, (steps - 0.5) * dt, n + 0.5, 0.5)
        image = None
        for j, ax in enumerate(row):
            if j >= channels:
                ax.set_visible(False)
                continue
            image = ax.imshow(
                values[..., j], aspect="auto", extent=extent, cmap=palette.VALUES, vmin=low, vmax=high,
                interpolation="none",
            )  # fmt: skip
            ax.set_title(short(str(labels[j]) if j < len(labels) else f"channel {j + 1}", 18), fontsize="small")
            ax.locator_params(axis="x", nbins=4)
        row[0].set_ylabel("trial", fontsize="small")
        if image is not None:
            bar = fig.colorbar(image, ax=[ax for ax in row if ax.get_visible()], aspect=12, pad=0.01)
            bar.set_label(name, fontsize="small")
            bar.ax.locator_params(nbins=3)
    for j in range(columns):
        last = [ax for ax in axes[:, j] if ax.get_visible()][-1]
        last.set_xlabel("time (s)")
        last.tick_params(labelbottom=True)

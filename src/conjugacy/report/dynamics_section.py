"""Portraits side by side, time constants and spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from conjugacy import plots
from conjugacy.report.elements import paragraph, picture, section, table

_MODES = 5


def portrait_section(points: Mapping[str, Any], portraits: Mapping[str, Any], without: Sequence[str]) -> str:
    """A portrait for each system with a map."""
    drawn = []
    for name, portrait in portraits.items():
        alt = f"{name}: {portrait!r}"
        try:
            figure = plots.portrait_graph(portrait)
        except ValueError as reason:
            drawn.append(paragraph(f"{name}: no portrait, {reason}"))
            continue
        drawn.append(picture(figure, alt, points[name].table().reset_index(), f"fixed_points_{name}"))
    said = f"No map is known of {', '.join(without)}, so fixed points cannot be sought there." if without else ""
    lead = "What each network can hold when no input comes (memories), and the borders between them (saddles)."
    return section(
        "portraits",
        "Fixed points, side by side",
        paragraph(lead) if drawn else "",
        f'<div class="side">{"".join(drawn)}</div>' if drawn else "",
        paragraph(said),
    )


def timing_section(points: Mapping[str, Any]) -> str:
    """Time constants at memories, and the eigenvalues of all points."""
    rows, drawn, frames = [], [], []
    for name, found in points.items():
        if not len(found):
            continue
        times = found.time_constants if found.dt is None else found.time_constants_s
        unit = "steps" if found.dt is None else "s"
        stable = np.flatnonzero(found.n_unstable == 0)
        if len(stable):
            slow = np.median(np.abs(times[stable]), axis=0)[:_MODES]
            rows.append(
                {"network": name, "memories": len(stable), "unit": unit}
                | {f"mode {k + 1}": float(t) for k, t in enumerate(slow)}
            )
        values = found.eigenvalues
        frames.append(
            pd.DataFrame(
                {
                    "system": name,
                    "point": np.repeat(np.arange(len(values)), values.shape[1]),
                    "real": values.real.ravel(),
                    "imaginary": values.imag.ravel(),
                    f"time constant ({unit})": times.ravel(),
                }
            )
        )
        drawn.append(
            picture(
                plots.spectrum(found),
                f"{name}: eigenvalues of the Jacobian at its {len(found)} points",
                frames[-1],
                f"spectrum_{name}",
            )
        )
    return section(
        "times",
        "How fast they forget",
        paragraph(
            "Time constants of the slowest modes near memories: how long a small push is felt there. Below them the "
            "eigenvalues they come from, at all points."
        )
        if rows
        else "",
        table("Slowest modes, median over memories", rows),
        f'<div class="side">{"".join(drawn)}</div>' if drawn else "",
    )

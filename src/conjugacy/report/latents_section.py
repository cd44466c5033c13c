"""Latents that turn: a few trials of each system in three dimensions, with its fixed points, as data for viewer.js."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from conjugacy.report.elements import paragraph, saved, section
from conjugacy.system import System

_TRIALS, _STEPS, _POINTS = 6, 250, 120


def latents_section(systems: Sequence[System], points: Mapping[str, Any], paired: bool) -> str:
    """The section, its data and its script.

    Parameters
    ----------
    systems : sequence of System
    points : mapping
        FixedPoints by the name of the system.
    paired : bool
        Whether trial k of all systems answers the same input: then all are turned to lie on the first.
    """
    shown, first = [], None
    for system in systems:
        paths, project = _in_three(system)
        at, kinds = _points_of(points.get(system.name), project)
        if first is not None and paired and len(first) == len(paths):
            turn = _onto(np.concatenate(paths), np.concatenate(first))
            paths, at = [p @ turn for p in paths], at @ turn
        first = paths if first is None else first
        shown.append((system.name, paths, at, kinds))
    view = _best_view(shown)
    data = {
        "view": view,
        "systems": [
            {
                "paths": [np.round(p, 3).tolist() for p in paths],
                "points": [{"x": x, "kind": k} for x, k in zip(np.round(at, 3).tolist(), kinds)],
            }
            for _, paths, at, kinds in shown
        ],
    }
    panels = "".join(_panel(k, *s) for k, s in enumerate(shown))
    # "<" ends no script when it is written as a code
    held = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    script = resources.files("conjugacy.report").joinpath("viewer.js").read_text(encoding="utf-8")
    turned = " and turned to lie on the first" if paired and len(systems) > 1 else ""
    lines = (
        "A line is a trial, and the same trial has the same colour everywhere. " if paired else "A line is a trial. "
    )
    return section(
        "latents",
        "The states, in three dimensions",
        paragraph(
            f"{lines}Discs are memories (fixed points that attract), orange diamonds saddles, green squares states "
            "that only rest as long as a trial. Each is drawn on its own first three principal components, at one "
            f"size{turned}. "
            "Drag a panel, or select it and use the arrow keys, + and -; all turn together."
        ),
        '<div class="tools"><button id="spin" type="button" aria-pressed="false">Turn</button>'
        '<button id="first-view" type="button">First view</button><label for="colour">Colour</label>'
        '<select id="colour"><option value="trial">by trial</option><option value="time">by time</option></select>'
        "</div>",
        f'<div class="side">{panels}</div>',
        "<noscript><p>Without JavaScript these panels stay empty; all other figures are there.</p></noscript>",
        saved(_frame(shown), "latents"),
        f'<script type="application/json" id="latents-data">{held}</script><script>{script}</script>',
    )


def _panel(k: int, name: str, paths: list[np.ndarray], at: np.ndarray, kinds: list[str]) -> str:
    counts = (
        f"memories: {kinds.count('memory')}, saddles: {kinds.count('saddle')}" if kinds else "no fixed points known"
    )
    counts += f", resting states: {kinds.count('held')}" if "held" in kinds else ""
    label = escape(f"{name}: {len(paths)} trials in three dimensions, {counts}. Arrow keys turn it.")
    return (
        f"<figure><h3>{escape(name)}</h3>"
        f'<canvas data-system="{k}" tabindex="0" role="img" aria-label="{label}"></canvas>'
        f'<figcaption class="soft">{escape(counts)}</figcaption></figure>'
    )


def _in_three(system: System) -> tuple[list[np.ndarray], Any]:
    states = system.states().double().numpy()
    mean = states.mean(0)
    axes = np.linalg.svd(states[:: max(1, len(states) // 5000)] - mean, full_matrices=False)[2][:3]
    scale = float(np.quantile(np.linalg.norm((states - mean) @ axes.T, axis=1), 0.98))

    def project(x: np.ndarray) -> np.ndarray:
        y = (np.asarray(x) - mean) @ axes.T / max(scale, 1e-9)
        return np.pad(y, ((0, 0), (0, 3 - y.shape[1])))

    paths = []
    for k in range(min(_TRIALS, system.n_trials)):
        path = system.trajectories[k, : int(system.lengths[k])].double().numpy()
        paths.append(project(path[:: max(1, -(-len(path) // _STEPS))]))
    return paths, project


def _points_of(points: Any, project: Any) -> tuple[np.ndarray, list[str]]:
    if points is None:
        return np.zeros((0, 3)), []
    at, kinds = project(points.x), []
    near = np.linalg.norm(at, axis=1) < 2.5  # those far outside of the data would leave the panel
    rows = [k for k in np.flatnonzero(near) if points.kind[k] in ("fixed", "held")][:_POINTS]
    for k in rows:
        saddle = points.n_unstable[k] > 0
        kinds.append("saddle" if saddle else "held" if points.kind[k] == "held" else "memory")
    return at[rows], kinds


def _onto(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The rotation or mirror of x that lies nearest to y (orthogonal Procrustes)."""
    n = min(len(x), len(y))
    u, _, v = np.linalg.svd(x[:n].T @ y[:n])
    return u @ v


def _best_view(shown: Sequence[tuple[str, list[np.ndarray], np.ndarray, list[str]]]) -> list[float]:
    """Turn and tilt (rad) in which the memories of all systems stand farthest from each other."""
    best, view = -1.0, [0.6, 0.35]
    for turn in np.linspace(0.1, 3.0, 30):
        for tilt in np.linspace(-0.9, 0.9, 13):
            across = np.array([np.cos(turn), np.sin(turn), 0.0])
            up = np.array([-np.sin(turn) * np.sin(tilt), np.cos(turn) * np.sin(tilt), np.cos(tilt)])
            least = np.inf
            for _, _, at, kinds in shown:
                stable = at[[k != "saddle" for k in kinds]] if len(at) else at
                if 2 <= len(stable) <= 40:
                    flat = stable @ np.stack([across, up]).T
                    d = np.linalg.norm(flat[:, None] - flat[None], axis=2)
                    least = min(least, float(d[np.triu_indices(len(flat), 1)].min()))
            if np.isfinite(least) and least > best + 1e-9:
                best, view = least, [round(float(turn), 3), round(float(tilt), 3)]
    return view


def _frame(shown: Sequence[tuple[str, list[np.ndarray], np.ndarray, list[str]]]) -> pd.DataFrame:
    rows = []
    for name, paths, at, kinds in shown:
        for k, path in enumerate(paths):
            frame = pd.DataFrame(np.round(path, 3), columns=["x", "y", "z"])
            rows.append(frame.assign(system=name, what="trial", number=k))
        for k, (x, kind) in enumerate(zip(at, kinds)):
            rows.append(
                pd.DataFrame([np.round(x, 3)], columns=["x", "y", "z"]).assign(system=name, what=kind, number=k)
            )
    return pd.concat(rows, ignore_index=True).reindex(columns=["system", "what", "number", "x", "y", "z"])

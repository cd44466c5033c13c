"""Fixed points as tables and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from conjugacy._check import check_number, shown
from conjugacy._html import card, html_table, sentence
from conjugacy.dynamics.horizon import TOLERANCE, on_horizon

if TYPE_CHECKING:
    from conjugacy.dynamics.points import FixedPoints


def repr_of(points: FixedPoints) -> str:
    """The counts in one line; see `FixedPoints.__repr__`."""
    if not len(points):
        return f"FixedPoints(none found from {points.record.n_starts} starts)"
    names = {0: "stable", 1: "with 1 unstable direction"}
    parts = [f"{n} {names.get(k, f'with {k}')}" for k, n in points.counts.items()]
    other = Counter(k for k in points.kind.tolist() if k != "fixed")
    held = other.pop("held", 0)
    n_memories = int((points.memories & (points.kind == "held")).sum())
    parts += [f"{held} held for {points.asked_horizon:g}, {n_memories} of them memories"] if held else []
    parts += [f"{n} {kind}" for kind, n in other.items()]
    far = int((~points.counted).sum())
    parts += [f"{far} beyond reach"] if far else []
    sum_ = "" if points.index_sum is None else f"; index sum {points.index_sum:+d}"
    return f"FixedPoints({int((points.fixed & points.counted).sum())} fixed: {', '.join(parts)}{sum_})"


def html_of(points: FixedPoints) -> str:
    """What was found in words, and a short table of the points: how stable, how slow, how often found."""
    n = len(points)
    heading = f"{n} point{'s' * (n != 1)} at one held input"
    return card(heading, sentence(summary_of(points)), html_table(short_rows(points), ".table() has all of them", 12))


def short_rows(points: FixedPoints) -> list[dict[str, Any]]:
    """What a reader asks of each point first, a row each: kind, stability, how slow, readout, how often found."""
    n = len(points)
    readout = points.readout if n else None
    slowest = points.time_constants[:, 0] if n else np.zeros(0)
    unit = "units of time" if points.flow else "steps"
    rows = []
    for k in range(n):
        # infinity: a mode that neither grows nor decays
        row: dict[str, Any] = {"point": k, "kind": str(points.kind[k])}
        row["unstable directions"] = int(points.n_unstable[k])
        row[f"slowest time constant ({unit})"] = float(slowest[k])
        if readout is not None:
            row["readout"] = ", ".join(f"{v:.2f}" for v in readout[k][:6])
        row["found by starts"] = int(points.hits[k])
        rows.append(row)
    return rows


def table_of(points: FixedPoints):
    """One row a point, as a pandas DataFrame; see `FixedPoints.table`."""
    import pandas as pd

    slowest = points.time_constants[:, 0] if len(points) else np.zeros(0)
    columns: dict[str, Any] = {"kind": points.kind, "n_unstable": points.n_unstable}
    if points.asked_horizon is not None:
        columns |= {"n_neutral": points.n_neutral, "n_ambiguous": points.n_ambiguous}
    columns |= {
        "index": points.index,
        "q": points.q,
        "speed": points.speed,
        "max_eigenvalue": points.eigenvalues[:, 0] if len(points) else np.zeros(0),
        "time_constant": slowest,
    }
    if points.dt is not None:
        columns["time_constant_s"] = slowest * points.dt
    columns |= {
        "certificate": points.certificate,
        "radius": points.radius,
        "hits": points.hits,
        "horizon": points.horizon,
        "distance": points.distance,
    }
    if points.plateaus:
        columns |= {"reached": points.reached, "plateau": points.node, "separates": points.sides}
    readout = points.readout
    if readout is not None:
        columns |= {f"readout_{k}": readout[:, k] for k in range(readout.shape[1])}
    return pd.DataFrame(columns).rename_axis("point")


def horizons_of(points: FixedPoints, horizons: Sequence[float]):
    """What holds for each of `horizons`; see `FixedPoints.at_horizons`."""
    import pandas as pd

    scale, memories, values = points.scale, points.memories, torch.from_numpy(points.eigenvalues)
    if np.ndim(horizons) != 1:
        raise ValueError(
            f"`horizons`: expected a sequence of horizons, got {shown(horizons)}. Write [{shown(horizons)}]."
        )
    rows = []
    for horizon in horizons:
        check_number("horizons", horizon, 0, open_low=True)
        growing, ambiguous, _ = (modes.numpy() for modes in on_horizon(values, horizon, points.flow))
        still = points.speed * horizon <= TOLERANCE * scale if scale is not None else points.speed == 0
        saddles = (points.kind == "held") & still & (growing > 0)
        rows.append(
            {
                "horizon": horizon,
                "fixed": int((points.fixed & points.counted).sum()),
                "memories": int((memories & (points.horizon >= horizon)).sum()),
                "saddles": int(saddles.sum()),
                "ambiguous": int((saddles & (ambiguous > 0)).sum()),
            }
        )
    return pd.DataFrame(rows).set_index("horizon")


def summary_of(points: FixedPoints) -> str:
    """What was found and how sure it is, in plain words."""
    memories = points.memories
    n_memories, counted = int(memories.sum()), points.counted
    record = points.record
    parts = [_memories(points, memories, n_memories)]
    n_saddles = int((counted & points.reached & np.isin(points.kind, ("fixed", "held")) & ~_stable(points)).sum())
    if n_saddles:
        parts.append(f"{n_saddles} saddle{'s' * (n_saddles > 1)}{' between them' * (n_memories > 1)}")
    if points.walls:
        pairs = n_memories * (n_memories - 1) // 2
        parts.append(f"{len(points.walls)} of {pairs} pairs of memories are neighbours")
    first = "; ".join(parts)
    if record.n_orbits:
        settled = record.n_orbits - record.n_unsettled
        where = {0: "at a stable point", 1: "at the memory"}.get(n_memories, "at one of the memories")
        first += f"; {settled} of {record.n_orbits} orbits from the data end {where}"
    sure = _how_sure(points)
    apart = int(((~points.reached & np.isin(points.kind, ("fixed", "held"))) | ~counted).sum())
    away = (
        f" {apart} further point{'s lie' if apart > 1 else ' lies'} where no orbit from the data ends." if apart else ""
    )
    return f"{first}. {_elsewhere(points)}{sure}{away}"


def _elsewhere(points: FixedPoints) -> str:
    """Of orbits that end at no memory: they may keep moving for ever, which no list of points tells."""
    n = points.record.n_unsettled
    if not points.record.n_orbits or not n:
        return ""
    cycles = (
        f" {len(points.cycles)} cycle{'s' * (len(points.cycles) > 1)} they end on were met." if points.cycles else ""
    )
    return f"The other {n} keep moving, or need longer: attractors() says where they end.{cycles} "


def _stable(points: FixedPoints) -> np.ndarray:
    if points.asked_horizon is None:
        return points.n_unstable == 0
    return (on_horizon(torch.from_numpy(points.eigenvalues), points.asked_horizon, points.flow)[0] == 0).numpy()


def _memories(points: FixedPoints, memories: np.ndarray, n: int) -> str:
    noun = "memory" if n == 1 else "memories"
    if not n:
        return "No memory was found"
    held = memories & (points.kind == "held")
    shapes = [p.topology for p in points.plateaus if p.topology in ("ring", "line", "sheet")]
    made = f" ({', '.join(f'a {shape}' for shape in shapes)})" if shapes else ""
    if not held.any():
        exact = "with exact fixed points on it" if n == 1 else "with exact fixed points on every one"
        return f"{n} {noun}{made}, " + (
            exact if shapes else "an exact fixed point" if n == 1 else "all exact fixed points"
        )
    least = float(points.horizon[held].min())
    unit = "units of time" if points.flow else "steps"
    seconds = "" if points.dt is None or points.flow else f" ({least * points.dt:g} s)"
    exact = n - int(held.sum())
    which = (
        f"{exact} of them exact, the others"
        if exact
        else "no fixed point"
        if n == 1
        else "none of them a fixed point, all"
    )
    return f"{n} {noun}{made}, {which} held for at least {least:g} {unit}{seconds}"


def _how_sure(points: FixedPoints) -> str:
    if points.plateaus:
        shares = np.array([p.share for p in points.plateaus]) * points.record.n_orbits
        once = int((np.round(shares) == 1).sum())
        missed = once / max(1, points.record.n_orbits)
        return "Memories are read from orbits, not proven; " + (
            f"about {missed:.1%} of further orbits may end at another one." if once else "none was met only once."
        )
    complete = points.audit().complete
    if complete:
        return "Index and coverage agree that these are all."
    return "Points are missing." if complete is False else "Whether these are all is not established."

"""What the colour of a trajectory means: the condition of its trial, the target that is held, or the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from conjugacy.plots import palette
from conjugacy.trials import Trials

MEANINGS = ("auto", "condition", "target", "time")
_COLOURS = (*palette.SERIES, "0.6")
_MOST = len(_COLOURS)


@dataclass(frozen=True)
class Colouring:
    """A colour for every step of every trial.

    Attributes
    ----------
    meaning : {"condition", "target", "time"}
    codes : int array (trial, time), or None
        Which of `names` holds; None where colour is time.
    names : tuple of str
    """

    meaning: str
    codes: np.ndarray | None
    names: tuple[str, ...]

    def draw(self, ax: Any, path: np.ndarray, k: int, time: np.ndarray, **style: Any) -> Any:
        """Draw the trajectory (time, dimension) of the k-th trial; returns what a bar of colours needs, or None."""
        line = path if path.shape[1] > 1 else np.stack([time, path[:, 0]], 1)
        if self.codes is None:
            return _over_time(ax, line, time, **style)
        codes = self.codes[k, : len(line)]
        cuts = np.flatnonzero(np.diff(codes)) + 1
        for start, stop in zip([0, *cuts], [*cuts, len(codes)]):
            # each piece begins where the one before it ended
            ax.plot(*line[max(start - 1, 0) : stop].T, color=_COLOURS[codes[start]], **style)
        return None

    def handles(self) -> tuple[list[Any], list[str]]:
        """Entries of a legend: those that occur."""
        from matplotlib.lines import Line2D

        if self.codes is None:
            return [], []
        seen = [k for k in range(len(self.names)) if (self.codes == k).any()]
        return [Line2D([], [], color=_COLOURS[k], lw=2) for k in seen], [self.names[k] for k in seen]

    def nodes(self, pcs: np.ndarray) -> np.ndarray:
        """Places (node, dimension) that a picture should show apart: where each colour has its centre."""
        if self.codes is None:
            steps = np.linspace(0, pcs.shape[1] - 1, 3).astype(int)
            return pcs[:8, steps].reshape(-1, pcs.shape[2])
        means = [pcs[self.codes == k].mean(0) for k in range(len(self.names)) if (self.codes == k).any()]
        return np.stack(means)

    @property
    def in_words(self) -> str:
        """What the colour says, for a title."""
        return {"condition": "colour: condition", "target": "colour: target", "time": "colour: time"}[self.meaning]


def colouring(trials: Trials, n: int, task: Any, wanted: str = "auto") -> Colouring:
    """The colouring of the first `n` trials that is wanted; "auto": condition or target, where few occur, else time."""
    conditions, targets = trials.conditions[:n].numpy(), trials.targets[:n].double().numpy()
    kinds = np.unique(conditions)
    steps = np.arange(trials.n_timesteps)
    if wanted == "condition" or (wanted == "auto" and 1 < len(kinds) <= _MOST):
        named = getattr(task, "condition_names", None)
        names = tuple(str(named[k]) if named else f"condition {k}" for k in kinds)
        codes = np.searchsorted(kinds, conditions)[:, None] + 0 * steps
        return Colouring("condition", codes % _MOST, names[:_MOST])
    if wanted in ("auto", "target"):
        held, codes = np.unique(np.round(targets.reshape(-1, targets.shape[-1]), 3), axis=0, return_inverse=True)
        if 1 < len(held) <= _MOST:
            return Colouring("target", codes.reshape(targets.shape[:2]), tuple(_named(row) for row in held))
        if wanted == "target":
            raise ValueError(
                f"`colour`: expected 'condition' or 'time', got 'target' for targets with {len(held)} values. "
                "It takes 2 to 8."
            )
    return Colouring("time", None, ())


def recorded_kinds(conditions: Sequence[np.ndarray | None], wanted: str = "auto") -> tuple[str, ...]:
    """Conditions that colours stand for in all recordings with these labels (trial,); none where colour is time.

    "auto": condition, where all have labels and two to eight of them occur.
    """
    if wanted == "target":
        raise ValueError("`colour`: expected 'condition' or 'time', got 'target'. Recordings have no targets.")
    missing = any(labels is None for labels in conditions)
    kinds = sorted({str(c) for labels in conditions if labels is not None for c in labels})
    if wanted == "condition" and missing:
        raise ValueError("`colour`: expected 'time', got 'condition' for recordings without. Give conditions=.")
    if wanted == "condition" and len(kinds) > _MOST:
        raise ValueError(
            f"`colour`: expected 'time', got 'condition' for {len(kinds)} of them. It takes up to {_MOST}."
        )
    few = 1 < len(kinds) <= _MOST and not missing
    return tuple(kinds) if wanted == "condition" or (wanted == "auto" and few) else ()


def recorded_colouring(conditions: np.ndarray | None, n_timesteps: int, kinds: tuple[str, ...]) -> Colouring:
    """The colouring of recorded trials with these labels (trial,), by `recorded_kinds`."""
    if not kinds or conditions is None:
        return Colouring("time", None, ())
    codes = np.array([kinds.index(str(c)) for c in conditions])
    names = tuple(f"condition {k}" if k.lstrip("-").replace(".", "").isdigit() else k for k in kinds)
    return Colouring("condition", codes[:, None] + np.zeros(n_timesteps, dtype=int), names)


def _named(row: Sequence[float]) -> str:
    if all(float(v).is_integer() and 0 <= v <= 9 for v in row):
        return "target " + "".join(str(int(v)) for v in row)
    return "target (" + ", ".join(f"{v:.2g}" for v in row) + ")"


def _over_time(ax: Any, line: np.ndarray, time: np.ndarray, **style: Any) -> Any:
    pieces = list(np.stack([line[:-1], line[1:]], 1))
    options = {"cmap": palette.VALUES, "linewidths": style.get("lw", 1.0), "alpha": style.get("alpha", 1.0)}
    if line.shape[1] == 3:
        from mpl_toolkits.mplot3d.art3d import Line3DCollection

        made: Any = Line3DCollection(pieces, **options)
        ax.add_collection3d(made)
    else:
        from matplotlib.collections import LineCollection

        made = LineCollection(pieces, **options)
        ax.add_collection(made)
    made.set_array(time[:-1])
    made.set_clim(float(time[0]), float(time[-1]))
    return made

"""Rest points of an arm: the fixed points of network and arm together while a target is held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_axes, check_choice, check_finite, check_flag, check_int, check_number
from conjugacy._progress import progress_bar
from conjugacy.analysis._given import PHASES, as_run, check_kind, counted, items_of
from conjugacy.dynamics import FixedPoints, fixed_points
from conjugacy.runs.run import Run
from conjugacy.similarity.samples import kind_of
from conjugacy.trials import Trials

if TYPE_CHECKING:
    import pandas as pd

_AT_LIMIT = 1e-6  # rad


@dataclass(frozen=True, eq=False)
class RestPoints:
    """Fixed points of a closed loop under several held targets.

    Attributes
    ----------
    targets : Tensor (target, 2)
        m.
    points : tuple of FixedPoints (target,)
        Of the coupled system, each with its held input; their readout is the hand's position (m).
    spectral_radius : tuple of Tensor (point, 2) (target,)
        Least and largest modulus of the leading eigenvalue over the branches of the map at rest, see
        `CoupledMap.rest_spectra`; NaN for points that are not fixed.
    at_limit : tuple of bool Tensor (point,) (target,)
        Whether a joint rests against its stop: `points` then describe one side of a kink.
    parts : dict of str to slice
        What of a state is network and what arm.
    name : str
    """

    targets: Tensor
    points: tuple[FixedPoints, ...]
    spectral_radius: tuple[Tensor, ...]
    at_limit: tuple[Tensor, ...]
    parts: dict[str, slice]
    name: str

    def __len__(self) -> int:
        return len(self.targets)

    def __repr__(self) -> str:
        numbers = " ".join(str(int(p.fixed.sum())) for p in self.points)
        return f"RestPoints({self.name}: {len(self)} targets, fixed points {numbers})"

    def table(self) -> pd.DataFrame:
        """One row per fixed point.

        Columns: "target", its number; "target_x", "target_y", "hand_x", "hand_y", "distance" (m); "n_unstable", and
        "time_constant" (s) of the slowest mode, with all muscles falling; "radius_low", "radius_high", least and
        largest spectral radius over the branches; "at_limit"; "certificate".
        """
        import pandas as pd

        rows = []
        for k, (target, points) in enumerate(zip(self.targets.tolist(), self.points)):
            hand = points.readout
            assert hand is not None and points.time_constants_s is not None
            for p in points.fixed.nonzero()[0].tolist():
                low, high = self.spectral_radius[k][p].tolist()
                rows.append(
                    {
                        "target": k,
                        "target_x": target[0],
                        "target_y": target[1],
                        "hand_x": float(hand[p, 0]),
                        "hand_y": float(hand[p, 1]),
                        "distance": float(np.linalg.norm(hand[p] - self.targets[k].numpy())),
                        "n_unstable": int(points.n_unstable[p]),
                        "time_constant": float(points.time_constants_s[p, 0]),
                        "radius_low": low,
                        "radius_high": high,
                        "at_limit": bool(self.at_limit[k][p]),
                        "certificate": str(points.certificate[p]),
                    }
                )
        return pd.DataFrame(rows)


def rest_points(
    run: Run,
    targets: Any = 8,
    cue: float = 1.0,
    load: Sequence[float] = (0.0, 0.0),
    *,
    trials: Trials | str = "test",
    n_inits: int = 64,
    seed: int = 0,
    progress: bool = True,
    **search: Any,
) -> RestPoints:
    """Fixed points of network and arm together while a target is held, searched from the states visited on trials.

    Parameters
    ----------
    run : Run or Analysis
        Of a task with an arm, whose context is target x, y and go cue.
    targets : int or array (target, 2)
        Positions of the held targets, m; a number takes the targets of that many reaches of the trials.
    cue : float
        The held go cue.
    load : (float, float)
        Held force on the hand, N.
    trials : Trials or str
        Where starts are taken from: trials, or a phase of the run's.
    n_inits, seed, **search
        See `conjugacy.fixed_points`; orbits and slow points are left out unless asked for (``n_orbits``,
        ``slow_speed``).
    progress : bool
        Show a bar if it takes longer than two seconds.

    Returns
    -------
    RestPoints

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind or out of its range, or the task has no arm.
    """
    run = as_run("run", run)
    if getattr(run.task, "plant", None) is None:
        raise ValueError(f"`run`: expected one whose task has an arm, got {run!r}. Use fixed_points(run).")
    check_number("cue", cue, -10, 10, hint="The cue of the task is 0 or 1.")
    check_int("n_inits", n_inits, 1, limit=10**7)
    check_int("seed", seed, 0, limit=2**63 - 1)
    check_flag("progress", progress)
    pushed = [check_number(f"load[{k}]", f) for k, f in enumerate(items_of("load", load, "two forces (N)"))]
    if len(pushed) != 2:
        raise ValueError(f"`load`: expected two forces (N), got {counted(len(pushed), 'number')}.")
    if isinstance(trials, str):
        trials = run.trials(check_choice("trials", trials, PHASES))
    check_kind("trials", trials, Trials, f"Trials, or a phase ({', '.join(PHASES)})")
    system = run.coupled_system(trials)
    loop: Any = system.cell
    places = _targets(targets, trials)
    search = {"n_orbits": 0, "slow_speed": 0.0, **search}
    found, radii, limits = [], [], []
    for target in progress_bar(places, desc="Searching for points of rest", show=progress, unit="targets"):
        # a rotation turns about where the hand starts; any start will do, take the target itself
        origin = target if "origin" in loop.inputs else None
        u = loop.held([*target.tolist(), cue], pushed, origin)
        points = fixed_points(system, None, u, n_inits, seed, progress=False, **search)
        found.append(points)
        leading = torch.full((len(points), 2), torch.nan, dtype=torch.float64)
        x = torch.from_numpy(points.x)
        size = loop.rest_spectra(x[points.fixed], u)[..., 0].abs()
        leading[points.fixed] = torch.stack([size.amin(1), size.amax(1)], 1)
        radii.append(leading)
        q = x[:, loop.parts["q"]]
        low, high = loop.plant.arm.joint_limits.T
        limits.append(((q <= low + _AT_LIMIT) | (q >= high - _AT_LIMIT)).any(1))
    return RestPoints(places, tuple(found), tuple(radii), tuple(limits), loop.parts, run.name)


def _targets(targets: Any, trials: Trials) -> Tensor:
    if not hasattr(targets, "__len__") or isinstance(targets, (str, bytes)) or getattr(targets, "ndim", 1) == 0:
        reach = trials.epochs["reach"]
        ends = trials.targets[(reach[:, 1] > reach[:, 0]), -1].double()
        hint = f"The trials have {counted(len(ends), 'reach', 'reaches')}; or give positions, as [[0.0, 0.4]]."
        return ends[: check_int("targets", targets, 1, len(ends), hint)]
    if not len(targets):
        raise ValueError(f"`targets`: expected a number or positions (target, 2), got {kind_of(targets)}, empty.")
    try:
        places = torch.as_tensor(targets, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"`targets`: expected a number or positions (target, 2), got {kind_of(targets)}.") from None
    check_axes("targets", places, "target coordinate", coordinate=2)
    return check_finite("targets", places)

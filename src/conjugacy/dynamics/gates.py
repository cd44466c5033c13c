"""For how long units and modes hold what they have: gates and local time constants along trajectories.

A gated unit replaces a share s of its state in a step, s = 1 - z in a GRU and 1 - f in an LSTM; left alone it forgets
with the time constant -1 / log(1 - s) steps (Tallec & Ollivier 2018, arXiv:1804.11188). A mode, an eigenvalue l of
dF/dx, decays with -1 / log|l| steps. What takes longer than a horizon is frozen for it: units whose gates have closed,
and modes that neither decay nor grow.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from conjugacy._check import check_instance, check_int, check_number
from conjugacy.dynamics._as_map import as_map
from conjugacy.dynamics.jacobian import chunks
from conjugacy.dynamics.linearisation import states_and_inputs
from conjugacy.system import System

_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class MemoryTimes:
    """How fast gates and modes forget in visited states, and how much of it is frozen on a horizon.

    Attributes
    ----------
    horizon : float
        Steps.
    leak : Tensor (state, unit) or None
        Share of its state that each gated unit replaces in a step, in [0, 1]; None where units have no gates.
    rates : Tensor (state, mode)
        log|eigenvalue| of the Jacobian per step, the slowest first: < 0 decays, > 0 grows.
    dt : float or None
        Seconds per step.
    name : str
        Of the system.
    """

    horizon: float
    leak: Tensor | None
    rates: Tensor
    dt: float | None = None
    name: str = ""

    @property
    def unit_times(self) -> Tensor | None:
        """Time constants of the gated units (state, unit), in steps: -1 / log(1 - leak)."""
        return None if self.leak is None else -1 / torch.log1p(-self.leak)

    @property
    def frozen_units(self) -> Tensor | None:
        """Whether a unit replaces less than 1 / horizon of its state in a step, bool (state, unit)."""
        return None if self.leak is None else self.leak < 1 / self.horizon

    @property
    def frozen_modes(self) -> Tensor:
        """Whether a mode neither decays nor grows within the horizon, bool (state, mode)."""
        return self.rates.abs() < 1 / self.horizon

    @property
    def growing_modes(self) -> Tensor:
        """Whether a mode grows within the horizon, bool (state, mode)."""
        return self.rates >= 1 / self.horizon

    def table(self) -> pd.DataFrame:
        """A row for the gated units, where there are any, and one for the modes.

        Columns: `count` of units or modes; `fast`, `median` and `slow`, the 10th, 50th and 90th percentile of the time
        constants of those that forget, in seconds where the system has a time step and in steps elsewhere; `frozen`,
        the number that is frozen in a typical (median) state, `frozen_least` and `frozen_most` over states,
        `frozen_always`, the number of units frozen in every state (NaN for modes, which have no names), and `growing`,
        the number of growing modes in a typical state.
        """
        rows = {}
        if self.leak is not None and self.frozen_units is not None:
            rows["units"] = self._row(-torch.log1p(-self.leak), self.frozen_units)
            rows["units"] |= {"frozen_always": float(self.frozen_units.all(0).sum()), "growing": float("nan")}
        rows["modes"] = self._row(-self.rates, self.frozen_modes)
        rows["modes"] |= {"frozen_always": float("nan"), "growing": float(_median(self.growing_modes))}
        return pd.DataFrame.from_dict(rows, orient="index")

    def __str__(self) -> str:
        steps = f"{self.horizon:g} steps"
        known = self.dt is not None and f"{steps} ({self.horizon * self.dt:g} s)"
        said = [f"{self.name or 'system'}, on a horizon of {known or steps}:"]
        table = self.table()
        for kind, thing in (("units", "gated units"), ("modes", "modes")):
            if kind not in table.index:
                continue
            row = table.loc[kind]
            always = f", {row.frozen_always:.0f} in every one" if row.frozen_always > 0 else ""
            said.append(
                f"{row.frozen:.0f} of {row['count']:.0f} {thing} are frozen in a typical state ({row.frozen_least:.0f} "
                f"to {row.frozen_most:.0f}{always})" + (";" if kind == "units" else f", {row.growing:.0f} growing.")
            )
        return " ".join(said)

    def _row(self, rates: Tensor, frozen: Tensor) -> dict[str, float]:
        """Summary of rates of decay per step (state, ...) and of which are frozen."""
        times = (self.dt or 1.0) / rates[rates > 0]
        levels = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
        at = torch.quantile(times, levels).tolist() if len(times) else [float("nan")] * 3
        counts = frozen.sum(1)
        least, most = float(counts.min()), float(counts.max())
        return {
            "count": float(rates.shape[1]),
            **dict(zip(("fast", "median", "slow"), at)),
            "frozen": float(_median(frozen)),
            "frozen_least": least,
            "frozen_most": most,
        }


def memory_times(system: System, horizon: float | None = None, *, n_states: int = 100) -> MemoryTimes:
    """How many units and modes of a system are frozen on a horizon, in the states that it visits.

    Parameters
    ----------
    system : System
        A map with trajectories.
    horizon : float, optional
        Steps, > 0; by default the length of a trial (the longest).
    n_states : int
        At how many visited states, >= 1, evenly spread over all trials. Every state takes the eigenvalues of a
        Jacobian.

    Returns
    -------
    MemoryTimes
        Its `table`, and as a sentence, `str`.

    Raises
    ------
    ValueError
        If trials have a single step, or the map gives numbers that are not finite.
    """
    check_instance("system", system, System)
    longest = int(system.lengths.max())
    if longest < 2:
        raise ValueError(
            "`system`: expected trials of at least 2 steps, got 1. A step leads from one state to the next."
        )
    horizon = float(
        longest if horizon is None else check_number("horizon", horizon, 0, open_low=True, hint="In steps.")
    )
    check_int("n_states", n_states, 1)
    dynamics = as_map(system, argument="system")
    x, u = states_and_inputs(system, dynamics.n_inputs)
    where = torch.nonzero(system.valid[:, 1:])
    i, s = where[torch.linspace(0, len(where) - 1, min(n_states, len(where))).round().long()].unbind(1)
    now, drive = x[i, s], u[i, s + 1]
    rates = []
    for part in chunks(len(now), system.n_units, 2):
        jacobians = dynamics.jacobians(now[part], drive[part])[0]
        if not bool(torch.isfinite(jacobians).all()):
            raise ValueError(f"`system`: the Jacobian of {system.name} is not finite in visited states.")
        rates.append(torch.linalg.eigvals(jacobians).abs().clamp_min(_TINY).log().sort(1, descending=True).values)
    with torch.no_grad():
        leak = None if dynamics.leak is None else dynamics.leak(now, drive)
    return MemoryTimes(float(horizon), leak, torch.cat(rates), system.dt, system.name)


def _median(which: Tensor) -> Tensor:
    """The median over states (rows) of how many hold."""
    return which.sum(1).double().quantile(0.5)

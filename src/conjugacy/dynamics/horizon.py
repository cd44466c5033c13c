"""The horizon of a search: for how long a point must hold, and what the eigenvalues mean on that time scale.

Over H steps a mode of modulus m grows or decays by m^H. Modes with |m - 1| <= 1/H hardly do either: they are neutral.
Modes with m > 1 + 3/H grow more than twentyfold, so that an error of 5 % becomes as large as the states themselves:
these count as unstable. What lies between 1/H and 3/H is called ambiguous. A flow has Re(lambda) in place of m - 1,
and H in its own unit of time. What is neutral on the horizon belongs to a slow manifold if the other directions
contract or grow faster (Fenichel, J. Differ. Equ. 31:53, 1979); the speed along it bounds the error of a memory
(Sagodi, Martin-Sanchez, Sokol & Park, NeurIPS 2024, arXiv:2408.00109).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from conjugacy._check import check_number
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.orbits import advance

GROWTH = 3.0  # about log 20: a growth of 5 % of the spread to all of it
TOLERANCE = 0.05  # a point holds if its speed times the horizon is below this share of the spread of visited states
STATE_MOVES, READOUT_MOVES = 0.25, 0.1  # an orbit rests if it moves less than these shares in H steps


def as_horizon(horizon: Any, dynamics: Map) -> float | None:
    """The horizon in steps (a flow: in its unit of time), or None for exact points only.

    Raises
    ------
    ValueError
        For a horizon that is no positive time, or one in seconds where a second has no meaning.
    """
    if horizon is None:
        return None
    if isinstance(horizon, str):
        if horizon == "trial":
            return None if dynamics.trial_steps is None or dynamics.flow else float(dynamics.trial_steps)
        number, _, unit = horizon.strip().rpartition("s")
        try:
            seconds = float(number)
        except ValueError:
            seconds = math.nan
        if unit or not seconds > 0 or not math.isfinite(seconds):
            raise ValueError(f"`horizon`: expected a number of steps, '2.5 s', 'trial' or None, got {horizon!r}.")
        if dynamics.dt is None:
            raise ValueError(f"`horizon`: expected steps, got {horizon!r} for a system without dt. Give it a dt.")
        return seconds / dynamics.dt
    return check_number("horizon", horizon, 0 if dynamics.flow else 1, open_low=dynamics.flow)


def growth_rates(eigenvalues: Tensor, flow: bool) -> Tensor:
    """Modulus less one (a flow: real part): > 0 grows, < 0 decays."""
    return eigenvalues.real if flow else eigenvalues.abs() - 1


def on_horizon(eigenvalues: Tensor, horizon: float, flow: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Number of unstable, ambiguous and neutral modes of each row, three int64 tensors (P,)."""
    rate = growth_rates(eigenvalues, flow) * horizon
    unstable = (rate > GROWTH).sum(1)
    return unstable, ((rate > 1) & (rate <= GROWTH)).sum(1), (rate.abs() <= 1).sum(1)


def carried(dynamics: Map, x: Tensor, u: Tensor, h: float, n_steps: int) -> Tensor:
    """The states (N, D) after `n_steps` steps of length `h` under the held input `u` (I,)."""
    held = u.expand(len(x), -1)
    for _ in range(n_steps):
        x = advance(dynamics, x, held, h)
    return x


def n_steps_of(horizon: float, h: float) -> int:
    """Number of steps of length `h` in a horizon."""
    return max(1, round(horizon / h))


def motion(dynamics: Map, x: Tensor, u: Tensor, h: float, n_steps: int, n_looks: int = 8):
    """How far states (N, D) go within `n_steps`: (last state, largest way of the state, and of the readout or None).

    The ways are distances from the first state, at `n_looks` times, so that a circle is not taken for rest.
    """
    first = x
    read = dynamics.readout
    way = torch.zeros(len(x), dtype=torch.float64)
    read_way = torch.zeros(len(x), dtype=torch.float64)
    with torch.no_grad():
        y0 = None if read is None else read(x).double().reshape(len(x), -1)
        done = 0
        for k in range(1, n_looks + 1):
            until = round(n_steps * k / n_looks)
            x = carried(dynamics, x, u, h, until - done)
            done = until
            way = torch.maximum(way, (x - first).norm(dim=-1).nan_to_num(torch.inf))
            if read is not None and y0 is not None:
                moved = (read(x).double().reshape(len(x), -1) - y0).norm(dim=-1).nan_to_num(torch.inf)
                read_way = torch.maximum(read_way, moved)
    return x, way, (None if read is None else read_way)

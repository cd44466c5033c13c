"""Timescales along trajectories, and how well linearisations about fixed points predict the next state."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from conjugacy._check import check_axes, check_instance, check_int
from conjugacy.dynamics._as_map import as_map
from conjugacy.dynamics.eigenmodes import sorted_eigenvalues
from conjugacy.dynamics.jacobian import chunks
from conjugacy.dynamics.points import FixedPoints
from conjugacy.system import System


@dataclass(frozen=True, eq=False)
class LinearisationError:
    """One-step prediction errors of linearisations about fixed points (Smith, Linderman & Sussillo 2021, section 4).

    relative : Tensor (trial, time - 1)
        |predicted - actual| / |actual - current|, NaN where the state does not move.
    mean : float
        sqrt(sum |predicted - actual|^2 / sum |actual - current|^2): 0 for a linear system, 1 for a prediction no
        better than "it stays". NaN where no state moves.
    nearest : Tensor (trial, time - 1), int64
        The point whose linearisation was used.
    """

    relative: Tensor
    mean: float
    nearest: Tensor


def timescales_along(system: System, k: int = 5, *, n_max: int = 2000) -> Tensor:
    """e-folding times of the `k` slowest modes of the local Jacobian along the trajectories, (trial, time - 1, k).

    In steps, or in seconds where ``system.dt`` is known; > 0 decaying, < 0 growing. Row t belongs to the step from
    state t to t + 1. Steps beyond `n_max` in all are left NaN, evenly spread ones being kept; steps past the end of a
    trial are NaN.
    """
    check_instance("system", system, System)
    dynamics = as_map(system, argument="system")
    check_int("k", k, 1, system.n_units)
    check_int("n_max", n_max, 1)
    n, t, d = system.trajectories.shape
    times = torch.full((n, max(0, t - 1), k), torch.nan, dtype=torch.float64)
    where = torch.nonzero(system.valid[:, 1:])
    where = where[torch.linspace(0, len(where) - 1, min(n_max, len(where))).round().long()] if len(where) else where
    x, u = states_and_inputs(system, dynamics.n_inputs)
    for part in chunks(len(where), d, 2):
        i, s = where[part].unbind(1)
        values = sorted_eigenvalues(dynamics.jacobians(x[i, s], u[i, s + 1])[0], False)[:, :k]
        times[i, s] = -1 / values.abs().log()  # 0 for an eigenvalue of 0
    return times if system.dt is None else times * system.dt


def linearisation_error(system: System, points: FixedPoints) -> LinearisationError:
    """How well x* + J (x - x*) + dF/du (u - u*), about the nearest point, predicts the next state of `system`.

    Raises
    ------
    ValueError
        If there is no point to linearise about, or its size is not that of the system.
    """
    check_instance("system", system, System)
    check_instance("points", points, FixedPoints)
    if not len(points):
        raise ValueError("`points`: expected at least one fixed point to linearise about, got none.")
    where, held = torch.from_numpy(points.x), torch.from_numpy(points.u)
    check_axes("points.x", where, "point unit", unit=system.n_units)
    by_state, by_input = torch.from_numpy(points.jacobian), torch.from_numpy(points.input_jacobian)
    x, u = states_and_inputs(system, held.shape[1])
    n, t, d = x.shape
    now, after, drive = x[:, :-1].reshape(-1, d), x[:, 1:].reshape(-1, d), u[:, 1:].reshape(n * (t - 1), -1)
    nearest = torch.cdist(now, where).argmin(1)
    predicted = torch.zeros_like(now)
    # F(x*) is x* up to its q: written out, so that slow points predict their own drift
    image = where if points.dynamics is None else where + points.dynamics.residual(where, held)
    for p in nearest.unique().tolist():
        here = nearest == p
        predicted[here] = image[p] + (now[here] - where[p]) @ by_state[p].T + (drive[here] - held[p]) @ by_input[p].T
    missed, moved = (predicted - after).norm(dim=-1), (after - now).norm(dim=-1)
    valid = system.valid[:, 1:].reshape(-1)
    mean = (
        float((missed[valid].square().sum() / moved[valid].square().sum()).sqrt())
        if moved[valid].any()
        else float("nan")
    )
    relative = torch.where(valid & (moved > 0), missed / moved, torch.nan)
    return LinearisationError(relative.reshape(n, t - 1), mean, nearest.reshape(n, t - 1))


def states_and_inputs(system: System, n_inputs: int | None) -> tuple[Tensor, Tensor]:
    """Trajectories and inputs of a system in float64; inputs of 0 where it has none."""
    x = system.trajectories.double()
    if system.inputs is not None:
        return x, system.inputs.double()
    return x, torch.zeros(*x.shape[:2], n_inputs or 1, dtype=torch.float64)

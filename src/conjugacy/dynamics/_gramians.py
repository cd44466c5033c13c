"""Gramians: which directions of the state matter for the output, and which the input can reach.

Of the map linearised about a fixed point, or about each step of a trajectory, z' = A z + B v, y = C z:

    controllability   W = sum over k of  A^k B B^T (A^T)^k            states reached by inputs of unit energy
    observability     M = sum over k of  (A^T)^k C^T C A^k            energy that a state leaves in the output

(Kailath, Linear Systems, 1980, sections 2.3 and 9.2; along trajectories with the products of the A_t in place of
powers.) Eigenvectors of M with large eigenvalues are directions in which a kick is seen in the output, those of W
directions in which inputs push.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_axes, check_instance, check_int
from conjugacy.dynamics._as_map import as_map
from conjugacy.dynamics.jacobian import autodiff_jacobian
from conjugacy.dynamics.linearisation import states_and_inputs
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.points import FixedPoints
from conjugacy.system import System


@dataclass(frozen=True, eq=False)
class Gramians:
    """Gramians of linearised maps, one for each of P points or trials.

    Attributes
    ----------
    controllability, observability : (P, D, D)
        Symmetric, positive semi-definite; of points at which an infinite sum diverges NaN.
    n_steps : int or None
        Number of terms; None: infinitely many.
    """

    controllability: np.ndarray
    observability: np.ndarray
    n_steps: int | None

    def directions(self, which: str = "observability", k: int = 1) -> np.ndarray:
        """The `k` leading eigenvectors of each Gramian, (P, k, D), unit length, largest eigenvalue first."""
        values: np.ndarray = getattr(self, which)
        return np.linalg.eigh(values)[1][:, :, ::-1][:, :, : check_int("k", k, 1, values.shape[1])].swapaxes(1, 2)


def gramians(points: FixedPoints, n_steps: int | None = None) -> Gramians:
    """Gramians of the linearisation at fixed points of a map.

    Parameters
    ----------
    points : FixedPoints
        Of a map (not a flow) that knows its readout.
    n_steps : int, optional
        Number of terms of the sums; by default infinitely many, which there are at stable points only: at others the
        Gramians are NaN.

    Raises
    ------
    ValueError
        If the points are of a flow, or there is no readout.
    """
    check_instance("points", points, FixedPoints)
    if points.flow:
        raise ValueError("`points`: expected points of a map, got those of a flow. Use its map over one unit of time.")
    if n_steps is not None:
        check_int("n_steps", n_steps, 1)
    if points.dynamics is None or points.dynamics.readout is None:
        raise ValueError("`points`: expected points whose system has a readout, got none. Search a Run or its System.")
    c = _output_map(points.dynamics, torch.from_numpy(points.x)).numpy()
    a, b = points.jacobian, points.input_jacobian
    w, m = (np.stack([summed(x, y, n_steps) for x, y in zip(p, q)]) if len(a) else a.copy() for p, q in _pairs(a, b, c))
    return Gramians(w, m, n_steps)


def _pairs(a, b, c):
    yield a, b
    yield a.swapaxes(1, 2), c.swapaxes(1, 2)


def summed(a: np.ndarray, b: np.ndarray, n_steps: int | None = None) -> np.ndarray:
    """The sum of A^k B B^T (A^T)^k over k from 0 to n_steps - 1, or to infinity (NaN where it diverges), (D, D)."""
    q = b @ b.T
    if n_steps is None:
        from scipy.linalg import solve_discrete_lyapunov

        if np.abs(np.linalg.eigvals(a)).max() >= 1:
            return np.full_like(q, np.nan)
        found = solve_discrete_lyapunov(a, q)
        return (found + found.T) / 2
    total = np.zeros_like(q)
    for _ in range(n_steps):
        total += q
        q = a @ q @ a.T
    return total


def gramians_along(system: System, n_trials: int | None = None) -> Gramians:
    """Gramians along the trajectories of a system with a readout: the map is linearised about every step.

    Controllability: of the last state of a trial, by inputs at all steps. Observability: of the first state of a trial,
    in the outputs of all its steps.

    Parameters
    ----------
    system : System
        With step and readout.
    n_trials : int, optional
        The first so many trials; all by default. A trial takes D^2 numbers a step.
    """
    check_instance("system", system, System)
    if system.readout is None:
        raise ValueError(f"`system`: expected a system with a readout, got {system.name!r} without.")
    dynamics = as_map(system)
    x, u = states_and_inputs(system, dynamics.n_inputs)
    n = len(x) if n_trials is None else check_int("n_trials", n_trials, 1, len(x))
    reached, seen = [], []
    for k in range(n):
        t = int(system.lengths[k])
        a, b = dynamics.jacobians(x[k, : t - 1], u[k, 1:t])
        c = _output_map(dynamics, x[k, :t])
        w = torch.zeros(x.shape[2], x.shape[2], dtype=torch.float64)
        m = c[-1].T @ c[-1]
        for s in range(t - 1):
            w = a[s] @ w @ a[s].T + b[s] @ b[s].T
        for s in range(t - 2, -1, -1):
            m = a[s].T @ m @ a[s] + c[s].T @ c[s]
        reached.append(w)
        seen.append(m)
    return Gramians(torch.stack(reached).numpy(), torch.stack(seen).numpy(), x.shape[1])


def _output_map(dynamics: Map, x: Tensor) -> Tensor:
    """Derivative of the readout at states (B, D): (B, O, D)."""
    readout = dynamics.readout
    assert readout is not None
    found = autodiff_jacobian(lambda x, _: readout(x), x, torch.zeros(len(x), 1, dtype=torch.float64))[0].double()
    check_axes("readout", found, "state output unit", state=len(x), unit=x.shape[1])
    return found

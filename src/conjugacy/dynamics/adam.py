"""The fixed-point search of the seed notebook and its kin: Adam on q from visited states, for a fixed number of steps.

Kept for comparison. It descends q = 0.5 |F(x, u) - x|^2 from every start at once and stops after `max_iters` steps
wherever each start is: points are not distinct, saddles are rare (q descends into them only along a thin set), and q
ends where the steps ran out. `fixed_points` is the search to use. Differences from the original: q belongs to the x
that is returned, weights stay trainable, and no global seed is touched.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._check import check_axes, check_finite, check_int, check_number
from conjugacy._progress import progress_bar
from conjugacy.dynamics.audit import SearchRecord
from conjugacy.dynamics.eigenmodes import sorted_eigenvalues
from conjugacy.dynamics.jacobian import chunks
from conjugacy.dynamics.map import Map
from conjugacy.dynamics.points import FixedPoints


def adam_search(
    dynamics: Map,
    states: Tensor,
    inputs: Tensor,
    *,
    n_inits: int = 1024,
    learning_rate: float = 1e-2,
    max_iters: int = 10_000,
    noise_scale: float = 0.0,
    q_thresh: float | None = None,
    seed: int = 0,
    compute_jacobians: bool = True,
    dtype: torch.dtype = torch.float64,
    progress: bool = True,
) -> FixedPoints:
    """The end points of `n_inits` Adam descents on q, one per start, as they are.

    Parameters
    ----------
    dynamics : Map
        See `as_map`.
    states : Tensor (N, D)
        Starts are drawn from these rows, with replacement.
    inputs : Tensor (I,) or (N, I)
        The held input, or one for every state.
    learning_rate, max_iters
        Adam's step size and the number of its steps.
    noise_scale : float
        Standard deviation of normal noise added to every unit of a start.
    q_thresh : float, optional
        Only return points with q below.
    compute_jacobians : bool
        False: Jacobians and eigenvalues are zeros, and no point counts as unstable.
    dtype : torch.dtype
        In which the descent runs.

    Returns
    -------
    FixedPoints
        `kind` is "unresolved" everywhere, except "fixed" where q < 1e-20: a descent certifies nothing.
    """
    n_inits, max_iters = check_int("n_inits", n_inits, 1), check_int("max_iters", max_iters, 0)
    check_number("learning_rate", learning_rate, 0, open_low=True)
    check_number("noise_scale", noise_scale, 0)
    n, d = check_axes("states", states, "state unit")
    check_finite("states", states)
    generator = torch.Generator().manual_seed(check_int("seed", seed, 0))
    index = torch.randint(n, (n_inits,), generator=generator)
    noise = torch.randn(n_inits, d, generator=generator, dtype=torch.float64)
    start = (states[index].double() + noise_scale * noise).to(dtype)
    if inputs.ndim == 2:
        check_axes("inputs", inputs, "state input", state=n)
    held = (inputs.expand(n_inits, -1) if inputs.ndim == 1 else inputs[index]).to(dtype)
    x, interrupted = _descend(dynamics, start, held, learning_rate, max_iters, progress)
    x, held = x.double(), held.double()
    q = 0.5 * dynamics.residual(x, held).square().sum(-1)
    if q_thresh is not None:
        keep = q < check_number("q_thresh", q_thresh, 0)
        x, held, q = x[keep], held[keep], q[keep]
    return _as_points(dynamics, x, held, q, compute_jacobians, SearchRecord(n_starts=n_inits, interrupted=interrupted))


def _descend(dynamics, start, held, learning_rate, max_iters, progress) -> tuple[Tensor, bool]:
    x = start.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([x], lr=learning_rate)
    step = _in_dtype(dynamics, start.dtype)
    try:
        for _ in progress_bar(range(max_iters), desc="Descending with Adam", show=progress, unit="steps"):
            optimiser.zero_grad()
            with torch.enable_grad():
                velocity = step(x, held) if dynamics.flow else step(x, held) - x
                (0.5 * velocity.square().sum(-1)).mean().backward()
            optimiser.step()
    except KeyboardInterrupt:
        return x.detach(), True
    return x.detach(), False


def _in_dtype(dynamics: Map, dtype: torch.dtype):
    if dtype == torch.float64:
        return dynamics.step
    return lambda x, u: dynamics.step(x.double(), u.double()).to(dtype)


def _as_points(dynamics: Map, x: Tensor, u: Tensor, q: Tensor, compute_jacobians: bool, record: Any) -> FixedPoints:
    n, d = x.shape
    jacobian = torch.zeros(n, d, d, dtype=torch.float64)
    by_input = torch.zeros(n, d, u.shape[1], dtype=torch.float64)
    if compute_jacobians:
        for part in chunks(n, d):
            jacobian[part], by_input[part] = dynamics.jacobians(x[part], u[part])
    values = sorted_eigenvalues(jacobian, dynamics.flow)
    return FixedPoints(
        x=x.numpy(),
        u=u.contiguous().numpy(),
        q=q.numpy(),
        kind=np.where(q.numpy() < 1e-20, "fixed", "unresolved").astype("U16"),
        jacobian=jacobian.numpy(),
        input_jacobian=by_input.numpy(),
        eigenvalues=values.numpy(),
        n_unstable=((values.real if dynamics.flow else values.abs() - 1) > 0).sum(1).numpy(),
        index=np.zeros(n, dtype=np.int64),
        certificate=np.full(n, "none", dtype="U16"),
        radius=np.zeros(n),
        error=np.full(n, np.inf),
        isolated=np.zeros(n, dtype=bool),
        hits=np.ones(n, dtype=np.int64),
        horizon=np.full(n, np.nan),
        flow=dynamics.flow,
        dt=dynamics.dt,
        record=record,
        dynamics=dynamics,
    )

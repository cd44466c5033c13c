"""Fixed points, under the name of CtDB."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from conjugacy.dynamics import FixedPoints, fixed_points


def find_fixed_points(
    model: Any,
    state_trajs: Tensor,
    inputs: Tensor,
    n_inits: int = 1024,
    noise_scale: float = 0.0,
    learning_rate: float = 1e-2,
    max_iters: int = 10000,
    device: str = "cpu",
    seed: int = 0,
    compute_jacobians: bool = True,
    method: str = "newton",
    q_thresh: float = 1e-5,
) -> FixedPoints:
    """All fixed points of a cell at a held input, from states (trial, time, unit) that it visits.

    `inputs` is one input (input,) that is held. `noise_scale`, `learning_rate`, `max_iters` and `q_thresh` are those
    of the notebook's search and matter with ``method="adam"`` only; Jacobians are always there, whatever
    `compute_jacobians` says, and the solver runs on the CPU, whatever `device` says.
    """
    del compute_jacobians, device
    if inputs.ndim != 1:
        raise ValueError(
            f"`inputs`: expected one input that is held, of shape (input,), got {tuple(inputs.shape)}. "
            "Fixed points exist at a held input only: pick a row."
        )
    states = torch.as_tensor(state_trajs).reshape(-1, state_trajs.shape[-1])
    options: dict[str, Any] = {}
    if method == "adam":
        options = {
            "learning_rate": learning_rate,
            "max_iters": max_iters,
            "noise_scale": noise_scale,
            "q_thresh": q_thresh,
        }
    return fixed_points(model, states, inputs, n_inits, seed, method=method, progress=False, **options)

"""Does a step do what a search relies on? Asked once, before the search, with messages that say how to mend it."""

from __future__ import annotations

import torch
from torch import Tensor

from conjugacy.dynamics.map import Map


def check_step(dynamics: Map, x: Tensor, u: Tensor) -> None:
    """Call the step once; raise if it does not take float64, changes the shape or gives nothing finite."""
    try:
        with torch.no_grad():
            y = dynamics.step(x, u)
    except RuntimeError as error:
        if "dtype" in str(error):
            raise TypeError(
                f"`step`: expected a function that takes float64 states, got an error ({str(error).splitlines()[0]}). "
                "Use copies of the weights in float64, for example copy.deepcopy(module).double()."
            ) from None
        raise ValueError(
            f"`step`: fails on states {tuple(x.shape)} and inputs {tuple(u.shape)}, those of `x0` and `inputs` "
            f"({str(error).splitlines()[0]}). Give states and inputs of the sizes that the step takes."
        ) from error
    if not isinstance(y, Tensor):
        raise TypeError(f"`step`: expected step(x, u) to return a tensor, got {type(y).__name__}.")
    if y.shape != x.shape:
        raise ValueError(
            f"`step`: expected step(x, u) to return the shape of x {tuple(x.shape)}, got {tuple(y.shape)}. "
            "It is called on a batch, x (batch, unit) and u (batch, input); states given as `x0` need all units."
        )
    if not bool(torch.isfinite(y).all(-1).any()):
        raise ValueError(
            f"`step`: expected finite next states, got none from any of {len(x)} start states tried. "
            "Check the weights, the held input and x0."
        )


def check_jacobian(dynamics: Map, x: Tensor, u: Tensor) -> None:
    """Compare the Jacobian with a finite difference at the states `x` (N, D); raise ValueError if all of them differ.

    A step that detaches, or works under no_grad, differentiates to zero without a word; so might a wrong closed form.
    """
    # states at rest may lie on a kink, where differences are none of its derivatives: look beside them too
    aside = torch.ones(x.shape[1], dtype=torch.float64)
    aside[::2] = -1
    x = torch.cat([x, x + 1e-2 * (1 + x.abs()) * aside])
    held = u.expand(len(x), -1)
    v = x.roll(1, 0) - x + 1e-3 * (1 + x.abs())
    v = v / v.norm(dim=-1, keepdim=True)
    h = 1e-5 * (1 + x.norm(dim=-1, keepdim=True))
    with torch.no_grad():
        slope = (dynamics.step(x + h * v, held) - dynamics.step(x - h * v, held)) / (2 * h)
    claimed = (dynamics.jacobians(x, held)[0] @ v[..., None])[..., 0]
    wrong = (claimed - slope).norm(dim=-1) > 1e-2 * (slope.norm(dim=-1) + 1e-6)
    if bool((wrong & torch.isfinite(slope).all(-1)).all()):
        raise ValueError(
            "`step`: expected a Jacobian that agrees with finite differences of the step, got another one at every "
            "state tried. Compute the step from x with torch operations, without detach() or NumPy; a cell's "
            "jacobian(u, x) must return (dF/dx, dF/du)."
        )

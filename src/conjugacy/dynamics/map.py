"""Map: what the analyses of this package know of a dynamical system. `as_map` makes one of nearly anything.

A cell of yours joins with closed forms by offering, beside ``cell(u, x) -> x_next``, any of

    jacobian(u, x) -> (dF/dx (B, D, D), dF/du (B, D, I))      exact, batched, float64
    box              (lower (D,), upper (D,)), or box(u) -> the same: the map takes this box into itself
    jacobian_lipschitz(u, x, radius (B,)) -> (B,)             L with |J(y) - J(y')| <= L |y - y'| (spectral norm) for
                                                              all y, y' in the ball of that radius around x
    step_bounds(u, x) -> AffineForm                           what a step does to a whole set of states, proved (see
                                                              `step_bounds`)
    reduced()      -> Reduced                                 an equation in fewer unknowns with the same zeros
    leak(u, x)     -> (B, N)                                  the share of its state that each of N gated units
                                                              replaces in the step, in [0, 1]: 1 - z of a GRU

The first saves automatic differentiation, the second tells the index sum that a complete set must have, the third
turns the residual of a point into a proof (see `certificate.py`), the fourth proves for how long a memory is held
(`held_certificate`), the fifth is what is searched, the sixth says for how long units hold what they have
(`gates.py`). None is required.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from conjugacy.dynamics.jacobian import autodiff_jacobian

Function = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Reduced:
    """An equation g(y, u) = 0 with the same zeros as F(x, u) - x, in as many unknowns or fewer.

    ``project(x) -> y`` and ``lift(y, u) -> x`` go between the two; `residual` and `jacobian` are g and dg/dy;
    ``lipschitz(y, u, radius)`` bounds the change of dg/dy as in the module docstring; ``times(y, u, V)`` is (dg/dy) V
    for a matrix V (D', k), where that is cheaper than the Jacobian itself.
    """

    project: Callable[[Tensor], Tensor]
    lift: Function
    residual: Function
    jacobian: Function
    lipschitz: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    times: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None


@dataclass(frozen=True, eq=False)
class Map:
    """A discrete map x' = F(x, u), or a vector field dx/dt = F(x, u), in float64.

    Attributes
    ----------
    step : callable
        F: (B, D), (B, I) -> (B, D).
    n_units, n_inputs : int or None
        D and I, where the thing itself says so.
    flow : bool
        True for a vector field.
    jacobian : callable or None
        (x, u) -> (dF/dx, dF/du) in closed form; None means automatic differentiation.
    box : callable or None
        u (I,) -> (lower (D,), upper (D,)), a box that F takes into itself (a flow: that no orbit leaves).
    lipschitz : callable or None
        (x, u, radius) -> (B,), see the module docstring.
    reduced : Reduced or None
        A better equation with the same zeros.
    leak : callable or None
        (x, u) -> (B, N), see the module docstring; None where units have no gates.
    bounds : callable or None
        (u (I,), AffineForm) -> AffineForm, the step on a set of states (see `step_bounds`).
    readout : callable or None
        x (B, D) -> y (B, O).
    output_range : Tensor (O,) or None
        See `System.output_range`.
    dt : float or None
        Seconds per step (maps) or per unit of time (flows).
    visited : Tensor (N, D) or None
        States the system is known to visit.
    displacement, displacement_jacobian : callables or None
        F(x, u) - x and its derivative with respect to x in a form that does not cancel where F(x) is near x.
    trial_steps : int or None
        Steps of a trial (the median), where the system has trials.
    name : str
    """

    step: Function
    n_units: int | None = None
    n_inputs: int | None = None
    flow: bool = False
    jacobian: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    box: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    lipschitz: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    reduced: Reduced | None = None
    leak: Function | None = None
    bounds: Callable[..., Any] | None = None
    readout: Callable[[Tensor], Tensor] | None = None
    output_range: Tensor | None = None
    dt: float | None = None
    visited: Tensor | None = None
    displacement: Function | None = None
    displacement_jacobian: Function | None = None
    trial_steps: int | None = None
    name: str = "step"

    def residual(self, x: Tensor, u: Tensor) -> Tensor:
        """F(x, u) - x of a map, F(x, u) of a flow: zero at fixed points. (B, D)."""
        with torch.no_grad():
            if self.displacement is not None:
                return self.displacement(x, u)
            return self.step(x, u) if self.flow else self.step(x, u) - x

    def jacobians(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """dF/dx (B, D, D) and dF/du (B, D, I), exact."""
        if self.jacobian is None:
            return autodiff_jacobian(self.step, x, u)
        with torch.no_grad():
            return self.jacobian(x, u)

    def residual_jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        """The derivative of `residual` with respect to x, (B, D, D)."""
        if self.displacement_jacobian is not None:
            with torch.no_grad():
                return self.displacement_jacobian(x, u)
        dx = self.jacobians(x, u)[0]
        # not in place: the entries may share memory with each other (a constant map) or with weights of the user
        return dx if self.flow else dx - torch.eye(x.shape[-1], dtype=dx.dtype)

    def equation(self) -> Reduced:
        """The equation to be solved: `reduced` where there is one, else F(x, u) - x itself."""
        if self.reduced is not None:
            return self.reduced
        return Reduced(lambda x: x, lambda y, u: y, self.residual, self.residual_jacobian, self.lipschitz)

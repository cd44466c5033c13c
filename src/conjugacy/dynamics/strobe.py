"""Strobe: a dynamical system looked at once every so many steps, as a map without inputs.

A map under a held input is looked at after each step, a flow after each time step of a Runge-Kutta scheme, a system
whose inputs repeat after each period of them (the stroboscopic map). All of them then are maps x' = G(x), and what
attracts can be found the same way in all three.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from conjugacy.dynamics.jacobian import chunks, directional
from conjugacy.dynamics.map import Map

_SMALL = 24  # up to this many units, automatic differentiation of whole Jacobians beats that of directions


@dataclass(frozen=True, eq=False)
class Strobe:
    """The map G from one look at a system to the next.

    Attributes
    ----------
    dynamics : Map
    inputs : Tensor (T, I)
        The inputs of the steps between two looks.
    h : float
        Length of a time step of a flow; 1 for a map.
    pace : int
        How often `inputs` are run through between two looks.
    units : Tensor (D',) or None
        The units whose tangent vectors are followed, all others taken as given; default all.
    difference : float or None
        Where there is no Jacobian in closed form: carry tangent vectors by central differences of this length instead
        of automatic differentiation. Several times as fast, and good to some ten digits.
    """

    dynamics: Map
    inputs: Tensor
    h: float = 1.0
    pace: int = 1
    units: Tensor | None = None
    difference: float | None = None

    @property
    def time(self) -> float:
        """Time between two looks: steps of a map, units of time of a flow."""
        return len(self.inputs) * self.pace * self.h

    @property
    def closed_form(self) -> bool:
        """Whether Jacobians come cheaply: in closed form, or of few units."""
        few = 4 if self.difference else _SMALL
        return self.dynamics.jacobian is not None or (self.dynamics.n_units or 0) <= few

    def at_pace(self, pace: int) -> Strobe:
        """The same system looked at every `pace`-th time."""
        return replace(self, pace=pace)

    def step(self, x: Tensor) -> Tensor:
        """G of states (B, D)."""
        with torch.no_grad():
            for _ in range(self.pace):
                for u in self.inputs:
                    x = self.inner(x, u.expand(len(x), -1))
        return x

    def run(self, x: Tensor, n: int) -> Tensor:
        """The state `n` looks later, (B, D)."""
        for _ in range(n):
            x = self.step(x)
        return x

    def path(self, x: Tensor, n: int) -> Tensor:
        """States x, G(x), .. (B, n, D); the first is `x` itself."""
        out = torch.empty(len(x), n, x.shape[1], dtype=torch.float64)
        for t in range(n):
            out[:, t] = x
            if t + 1 < n:
                x = self.step(x)
        return out

    def within(self, x: Tensor) -> Tensor:
        """The states between two looks, (B, T * pace, D), the first of them `x` (B, D) itself."""
        states = []
        with torch.no_grad():
            for _ in range(self.pace):
                for u in self.inputs:
                    states.append(x)
                    x = self.inner(x, u.expand(len(x), -1))
        return torch.stack(states, 1)

    def jacobians(self, x: Tensor) -> Tensor:
        """DG (B, D, D) at states (B, D)."""
        total = None
        for _ in range(self.pace):
            for u in self.inputs:
                held = u.expand(len(x), -1)
                after, jacobian = self.inner_jacobian(x, held)
                total = jacobian if total is None else jacobian @ total
                x = after
        assert total is not None
        return total

    def carry(self, x: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
        """G(x) and DG @ frame, for frames of tangent vectors (B, D, k)."""
        if self.difference and not self.closed_form and self.units is None:
            aside = self.difference * frame.mT
            states = torch.cat([x[:, None], x[:, None] + aside, x[:, None] - aside], 1)
            after = self.step(states.flatten(0, 1)).reshape(states.shape)
            k = frame.shape[-1]
            return after[:, 0], ((after[:, 1 : k + 1] - after[:, k + 1 :]) / (2 * self.difference)).mT
        for _ in range(self.pace):
            for u in self.inputs:
                x, frame = self.inner_carry(x, u.expand(len(x), -1), frame)
        return x, frame

    def as_map(self) -> Map:
        """G as a Map that ignores its input."""
        if len(self.inputs) * self.pace == 1 and not self.dynamics.flow:
            return self.dynamics
        return Map(
            lambda x, u: self.step(x),
            self.dynamics.n_units,
            self.dynamics.n_inputs,
            jacobian=lambda x, u: (self.jacobians(x), torch.zeros(len(x), x.shape[1], u.shape[-1]).to(x)),
            readout=self.dynamics.readout,
        )

    def inner(self, x: Tensor, u: Tensor) -> Tensor:
        """The state one step (one time step) on, at states (B, D) and inputs (B, I)."""
        f = self.dynamics.step
        if not self.dynamics.flow:
            return f(x, u)
        h = self.h
        k1 = f(x, u)
        k2 = f(x + h / 2 * k1, u)
        k3 = f(x + h / 2 * k2, u)
        k4 = f(x + h * k3, u)
        return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    def inner_jacobian(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """The state one step (time step) on and the derivative of that step, at states (B, D) and inputs (B, I)."""
        if self.dynamics.flow:
            return self._runge_kutta(x, u, None)
        with torch.no_grad():
            after = self.dynamics.step(x, u)
        return after, self._jacobian(x, u)

    def inner_carry(self, x: Tensor, u: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
        """The state one step (time step) on, and a frame (B, D, k) of tangent vectors."""
        if self.dynamics.flow:
            return self._runge_kutta(x, u, frame)
        return self._velocity(x, u, frame)

    def _jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        jacobian = self.dynamics.jacobians(x, u)[0]
        return jacobian if self.units is None else jacobian[:, self.units[:, None], self.units]

    def _velocity(self, x: Tensor, u: Tensor, frame: Tensor | None) -> tuple[Tensor, Tensor]:
        if frame is not None and not self.closed_form and self.units is None:
            return directional(self.dynamics.step, x, u, frame)
        with torch.no_grad():
            after = self.dynamics.step(x, u)
        jacobian = self._jacobian(x, u)
        return after, jacobian if frame is None else jacobian @ frame

    def _runge_kutta(self, x: Tensor, u: Tensor, frame: Tensor | None) -> tuple[Tensor, Tensor]:
        """State and tangent frame one time step on; the frame None is the identity."""
        h = self.h
        n_units = x.shape[1] if self.units is None else len(self.units)
        base = torch.eye(n_units, dtype=torch.float64) if frame is None else frame
        f1, m1 = self._velocity(x, u, frame)
        f2, m2 = self._velocity(x + h / 2 * f1, u, base + h / 2 * m1)
        f3, m3 = self._velocity(x + h / 2 * f2, u, base + h / 2 * m2)
        f4, m4 = self._velocity(x + h * f3, u, base + h * m3)
        return x + h / 6 * (f1 + 2 * f2 + 2 * f3 + f4), base + h / 6 * (m1 + 2 * m2 + 2 * m3 + m4)


def product_along(strobe: Strobe, states: Tensor) -> Tensor:
    """DG(x_n) .. DG(x_1) (D, D) for successive states (n, D)."""
    total = torch.eye(states.shape[1], dtype=torch.float64)
    for part in chunks(len(states), states.shape[1], 2):
        for jacobian in strobe.jacobians(states[part]):
            total = jacobian @ total
    return total

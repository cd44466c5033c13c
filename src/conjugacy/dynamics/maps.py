"""Map: what the analyses of this package know of a dynamical system. `as_map` makes one of nearly anything.

A cell of yours joins with closed forms by offering, beside ``cell(u, x) -> x_next``, any of

    jacobian(u, x) -> (dF/dx (B, D, D), dF/du (B, D, I))      exact, batched, float64
    box              (lower (D,), upper (D,)), or box(u) -> the same: the map takes this box into itself
    jacobian_lipschitz(u, x, radius (B,)) -> (B,)             L with |J(y) - J(y')| <= L |y - y'| (spectral norm) for
                                                              all y, y' in the ball of that radius around x
    reduced()      -> Reduced                                 an equation in fewer unknowns with the same zeros

The first saves automatic differentiation, the second tells the index sum that a complete set must have, the third
turns the residual of a point into a proof (see `certificate.py`), the fourth is what is searched. None is required.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from conjugacy._check import check_axes, check_choice, check_finite
from conjugacy.dynamics.jacobian import autodiff_jacobian
from conjugacy.system import System

Function = Callable[[Tensor, Tensor], Tensor]
_TORCH_CELLS = (nn.GRUCell, nn.RNNCell, nn.LSTMCell)


@dataclass(frozen=True, eq=False)
class Reduced:
    """An equation g(y, u) = 0 with the same zeros as F(x, u) - x, in as many unknowns or fewer.

    ``project(x) -> y`` and ``lift(y, u) -> x`` go between the two; `residual` and `jacobian` are g and dg/dy;
    ``lipschitz(y, u, radius)`` bounds the change of dg/dy as in the module docstring.
    """

    project: Callable[[Tensor], Tensor]
    lift: Function
    residual: Function
    jacobian: Function
    lipschitz: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None


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
    readout : callable or None
        x (B, D) -> y (B, O).
    dt : float or None
        Seconds per step (maps) or per unit of time (flows).
    visited : Tensor (N, D) or None
        States the system is known to visit.
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
    readout: Callable[[Tensor], Tensor] | None = None
    dt: float | None = None
    visited: Tensor | None = None
    name: str = "step"

    def residual(self, x: Tensor, u: Tensor) -> Tensor:
        """F(x, u) - x of a map, F(x, u) of a flow: zero at fixed points. (B, D)."""
        with torch.no_grad():
            return self.step(x, u) if self.flow else self.step(x, u) - x

    def jacobians(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """dF/dx (B, D, D) and dF/du (B, D, I), exact."""
        if self.jacobian is None:
            return autodiff_jacobian(self.step, x, u)
        with torch.no_grad():
            return self.jacobian(x, u)

    def residual_jacobian(self, x: Tensor, u: Tensor) -> Tensor:
        """The derivative of `residual` with respect to x, (B, D, D)."""
        dx = self.jacobians(x, u)[0]
        if not self.flow:
            dx.diagonal(dim1=-2, dim2=-1).sub_(1)
        return dx

    def equation(self) -> Reduced:
        """The equation to be solved: `reduced` where there is one, else F(x, u) - x itself."""
        if self.reduced is not None:
            return self.reduced
        return Reduced(lambda x: x, lambda y, u: y, self.residual, self.residual_jacobian, self.lipschitz)


def as_map(thing: Any, kind: str = "map") -> Map:
    """A Map of a System, a Run, a torch cell, a module that keeps the contract above, or a function.

    Parameters
    ----------
    thing : Map, System, object with ``.system()``, nn.GRUCell, nn.RNNCell, nn.LSTMCell, nn.Module or callable
        Functions and modules without `jacobian` are called as ``step(x, u)``, or ``step(x)`` if they take one argument.
    kind : {"map", "flow"}
        Whether the function returns the next state or the velocity.

    Raises
    ------
    TypeError
        If `thing` is none of these, or a System that has no step.
    """
    flow = check_choice("kind", kind, ("map", "flow")) == "flow"
    if isinstance(thing, Map):
        return thing
    if not isinstance(thing, (System, nn.Module)) and callable(getattr(thing, "system", None)):
        thing = thing.system()
    if isinstance(thing, System):
        return _from_system(thing, flow)
    if isinstance(thing, nn.Module):
        return _from_module(thing, flow)
    if callable(thing):
        return Map(_two_arguments(thing), flow=flow, name=getattr(thing, "__name__", type(thing).__name__))
    raise TypeError(
        f"`step_or_system`: expected a System, a Run, a recurrent cell or a function step(x, u), got "
        f"{type(thing).__name__}. Wrap what you have: lambda x, u: next_state."
    )


def as_input(inputs: Any, n_inputs: int | None) -> Tensor:
    """The held input as a float64 vector (I,); a number fills all channels (one, where I is unknown)."""
    try:
        u = torch.as_tensor(inputs).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"`inputs`: expected a number or a vector of numbers, got {inputs!r}.") from None
    if u.ndim == 0:
        u = u.expand(1 if n_inputs is None else n_inputs).clone()
    hint = "Fixed points belong to one held input; for several, call once per input or use input_path()."
    sizes: dict[str, int] = {} if n_inputs is None else {"input": n_inputs}
    check_axes("inputs", u, "input", hint, **sizes)
    return check_finite("inputs", u)


def _from_system(system: System, flow: bool) -> Map:
    cell = system.cell
    if cell is not None and (_torch_cell(cell) is not None or callable(getattr(cell, "jacobian", None))):
        dynamics = _from_module(cell, flow)
    elif system.step is not None:
        dynamics = Map(_two_arguments(system.step), flow=flow, box=_box_of(cell))
    else:
        raise TypeError(
            f"`step_or_system`: expected a System that knows its step, got {system!r}, which has trajectories only. "
            "Give it one with System.from_arrays(..., step=...)."
        )
    n_inputs = None if system.inputs is None else system.inputs.shape[-1]
    return replace(
        dynamics,
        n_units=system.n_units,
        n_inputs=dynamics.n_inputs if n_inputs is None else n_inputs,
        readout=system.readout,
        dt=system.dt,
        visited=_thinned(system.states()),
        name=system.name,
    )


def _thinned(states: Tensor, most: int = 50_000) -> Tensor:
    """Every k-th state, so that long recordings of large networks are not copied whole into float64."""
    return states[:: -(-len(states) // most)].double()


def _from_module(module: nn.Module, flow: bool) -> Map:
    from conjugacy.dynamics.cells import gru_map, lstm_map, rnn_map

    known = _torch_cell(module)
    if isinstance(known, nn.GRUCell):
        return gru_map(known)
    if isinstance(known, nn.RNNCell):
        return rnn_map(known)
    if isinstance(known, nn.LSTMCell):
        return lstm_map(known)
    # a copy, so that neither dtype nor mode nor trainability of the caller's module changes
    module = copy.deepcopy(module).double().cpu().eval().requires_grad_(False)
    name = type(module).__name__
    has_jacobian = callable(getattr(module, "jacobian", None))
    n_units, n_inputs = (_int_or_none(getattr(module, attribute, None)) for attribute in ("hidden_size", "input_size"))
    if not has_jacobian and not _takes_input_first(module):
        return Map(_two_arguments(module), n_units, n_inputs, flow, name=name)
    jacobian: Any = getattr(module, "jacobian", None)
    bound: Any = getattr(module, "jacobian_lipschitz", None)
    lipschitz: Any = (lambda x, u, radius: bound(u, x, radius)) if callable(bound) else None
    equation: Any = getattr(module, "reduced", None)
    reduced: Any = equation() if callable(equation) else None
    return Map(
        lambda x, u: module(u, x),
        n_units,
        n_inputs,
        flow,
        jacobian=(lambda x, u: jacobian(u, x)) if has_jacobian else None,
        box=_box_of(module),
        lipschitz=lipschitz,
        reduced=reduced,
        name=name,
    )


def _int_or_none(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _torch_cell(module: nn.Module) -> nn.Module | None:
    """The torch cell that a module is, or that it wraps as a map of one state ([h, c] for an LSTM); else None."""
    if isinstance(module, _TORCH_CELLS):
        return module
    children = list(module.children())
    if len(children) != 1 or not isinstance(children[0], _TORCH_CELLS):
        return None
    cell, generator = children[0], torch.Generator().manual_seed(0)
    like = cell.weight_hh
    n_units = cell.hidden_size * (2 if isinstance(cell, nn.LSTMCell) else 1)
    x, u = (torch.randn(3, n, generator=generator).to(like) for n in (n_units, cell.input_size))
    # what the wrapper adds is unknown: it is the cell only if it does what the cell does
    try:
        with torch.no_grad():
            wrapped = module(u, x)
            bare = torch.cat(cell(u, x.chunk(2, -1)), -1) if isinstance(cell, nn.LSTMCell) else cell(u, x)
    except (RuntimeError, TypeError, ValueError):
        return None
    return cell if isinstance(wrapped, Tensor) and torch.equal(wrapped, bare) else None


def _takes_input_first(module: nn.Module) -> bool:
    """Whether a module is a cell(u, x): it says so by offering part of the contract, or by its argument names."""
    if hasattr(module, "jacobian_lipschitz") or hasattr(module, "box"):
        return True
    names = list(inspect.signature(module.forward).parameters)
    return bool(names) and names[0] in ("u", "input", "inputs") and len(names) > 1


def _box_of(module: nn.Module | None) -> Callable[[Tensor], tuple[Tensor, Tensor]] | None:
    box: Any = getattr(module, "box", None)
    if box is None:
        return None

    def evaluate(u):
        sides: Any = box(u) if callable(box) else box
        lower, upper = sides
        return torch.as_tensor(lower).double(), torch.as_tensor(upper).double()

    return evaluate


def _two_arguments(function: Callable) -> Function:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return function
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    some = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(positional) == 1 and not some:
        return lambda x, u: function(x)
    return function

"""What becomes a `Map`: systems, runs, torch cells, modules that keep the contract of `map`, and functions."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from conjugacy._check import check_axes, check_choice, check_finite
from conjugacy.dynamics.closed_forms import gru_map, lstm_map, rnn_map
from conjugacy.dynamics.map import Function, Map
from conjugacy.dynamics.step_bounds import torch_cell_bounds
from conjugacy.system import System

_TORCH_CELLS = (nn.GRUCell, nn.RNNCell, nn.LSTMCell)


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
        dynamics = Map(
            _two_arguments(system.step), flow=flow, box=_box_of(cell), leak=_leak_of(cell), bounds=_bounds_of(cell)
        )
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
        trial_steps=int(system.lengths.median()),
        name=system.name,
    )


def _thinned(states: Tensor, most: int = 50_000) -> Tensor:
    """Every k-th state, so that long recordings of large networks are not copied whole into float64."""
    return states[:: -(-len(states) // most)].double()


def _from_module(module: nn.Module, flow: bool) -> Map:
    known = _torch_cell(module)
    if isinstance(known, nn.GRUCell):
        return replace(gru_map(known), bounds=torch_cell_bounds(known))
    if isinstance(known, nn.RNNCell):
        return replace(rnn_map(known), bounds=torch_cell_bounds(known))
    if isinstance(known, nn.LSTMCell):
        return replace(lstm_map(known), bounds=torch_cell_bounds(known))
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
        leak=_leak_of(module),
        bounds=_bounds_of(module),
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
    offered = any(hasattr(module, name) for name in ("jacobian_lipschitz", "box", "step_bounds"))
    if offered or callable(getattr(module, "leak", None)):
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


def _leak_of(module: nn.Module | None) -> Function | None:
    leak: Any = getattr(module, "leak", None)
    if not callable(leak):
        return None

    def evaluate(x, u):
        share: Any = leak(u, x)
        return share

    return evaluate


def _bounds_of(module: nn.Module | None) -> Callable[..., Any] | None:
    if not callable(getattr(module, "step_bounds", None)):
        return None
    bounds: Any = copy.deepcopy(module)
    return bounds.double().cpu().eval().requires_grad_(False).step_bounds


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

"""What becomes a `Map`: systems, runs, torch cells, modules that keep the contract of `map`, and functions."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from conjugacy._arrays import read_numbers
from conjugacy._calling import STATE_FIRST, CalledStep
from conjugacy._check import check_axes, check_choice, check_finite, shown
from conjugacy._own_step import called_step, has_contract
from conjugacy._recurrent import Layers, find_layers
from conjugacy.dynamics.layered_map import layers_map
from conjugacy.dynamics.map import Function, Map
from conjugacy.dynamics.step_bounds import torch_cell_bounds
from conjugacy.system import System

_LARGEST_INPUT = 1e12  # beyond, the states that are added to it have no digits left


def as_map(step_or_system: Any, kind: str = "map", order: str | None = None, argument: str = "step_or_system") -> Map:
    """Make a Map of a System, a Run, a module of torch or of yours, a state_dict, or a function.

    Parameters
    ----------
    step_or_system : Map, System, object with ``.system()``, Module, state_dict or callable
        nn.GRU, nn.LSTM, nn.RNN and their cells, alone or in a model that gives them its input as it is, are taken in
        closed form; their state is that of their layers side by side, [h, c] each for an LSTM. Functions are called as
        ``step(x, u)``, or ``step(x)`` if they take one argument. Other modules, and functions that do not fit so, are
        called in the order that returns the shape of the state, or that the names of their arguments say; a state may
        go in as a pair (h, c), and come out beside an output.
    kind : {"map", "flow"}
        Whether the function returns the next state or the velocity.
    order : {"state, input", "input, state"}, optional
        Which argument of a function or module is the state, where shapes and names do not tell.
    argument : str
        What messages call `step_or_system`: the name it has where the user gave it.

    Raises
    ------
    TypeError
        If `step_or_system` is none of these, or a System that has no step.
    ValueError
        If `order` is needed (at the first call of the step, for the sizes are known then), or a recurrent module is
        bidirectional or sees other inputs than its model.
    """
    flow = check_choice("kind", kind, ("map", "flow")) == "flow"
    if isinstance(step_or_system, Map):
        return step_or_system
    if not isinstance(step_or_system, (System, nn.Module, type)) and callable(getattr(step_or_system, "system", None)):
        step_or_system = step_or_system.system()
    if isinstance(step_or_system, System):
        if order is not None:
            raise ValueError(f"`order`: expected None for a System, which knows its step, got {order!r}.")
        return _from_system(step_or_system, flow, argument)
    if isinstance(step_or_system, (nn.Module, Mapping)):
        return _from_module(step_or_system, flow, order, argument)
    if callable(step_or_system) and not isinstance(step_or_system, type):
        name = getattr(step_or_system, "__name__", type(step_or_system).__name__)
        return Map(CalledStep(step_or_system, order, STATE_FIRST), flow=flow, name=name)
    raise TypeError(
        f"`{argument}`: expected a System, a Run, a recurrent cell or a function step(x, u), got "
        f"{shown(step_or_system)}. Wrap what you have: lambda x, u: next_state."
    )


def as_input(inputs: Any, n_inputs: int | None, argument: str = "inputs") -> Tensor:
    """The held input as a float64 vector (I,); a number fills all channels (one, where I is unknown)."""
    u = read_numbers(argument, inputs, "a number or a vector of numbers")
    if not u.numel():
        raise ValueError(f"`{argument}`: expected a number or a vector of numbers, got none, {shown(inputs)}.")
    if float(u.abs().max()) > _LARGEST_INPUT:  # NaN is told below
        raise ValueError(f"`{argument}`: expected a size of at most {_LARGEST_INPUT:g}, got {shown(inputs)}.")
    if u.ndim == 0:
        u = u.expand(1 if n_inputs is None else n_inputs).clone()
    hint = "Fixed points belong to one held input; for several, call once per input or use input_path()."
    sizes: dict[str, int] = {} if n_inputs is None else {"input": n_inputs}
    check_axes(argument, u, "input", hint, **sizes)
    return check_finite(argument, u)


def _from_system(system: System, flow: bool, argument: str) -> Map:
    cell = system.cell
    if cell is not None and (callable(getattr(cell, "jacobian", None)) or _torch_layers(cell) is not None):
        dynamics = _from_module(cell, flow)
    elif system.step is not None:
        step: Any = system.step
        dynamics = Map(called_step(step)[0], flow=flow, box=_box_of(cell), leak=_leak_of(cell), bounds=_bounds_of(cell))
    else:
        raise TypeError(
            f"`{argument}`: expected a System that knows its step, got {system!r}, which has trajectories only. "
            "Give it one with System.from_arrays(..., step=...)."
        )
    n_inputs = None if system.inputs is None else system.inputs.shape[-1]
    return replace(
        dynamics,
        n_units=system.n_units,
        n_inputs=dynamics.n_inputs if n_inputs is None else n_inputs,
        readout=system.readout,
        output_range=system.output_range,
        dt=system.dt,
        visited=_thinned(system.states()),
        trial_steps=int(system.lengths.median()),
        name=system.name,
    )


def _thinned(states: Tensor, most: int = 50_000) -> Tensor:
    """Every k-th state, so that long recordings of large networks are not copied whole into float64."""
    return states[:: -(-len(states) // most)].double()


def _from_module(
    module: nn.Module | Mapping, flow: bool, order: str | None = None, argument: str = "step_or_system"
) -> Map:
    called, _ = called_step(module, order, argument)
    if isinstance(called, Layers):
        if flow:
            raise ValueError(
                f"`kind`: expected 'map' for {type(module).__name__}, whose step gives the next state, got 'flow'."
            )
        known = layers_map(called)
        return replace(known, bounds=torch_cell_bounds(called.cells[0])) if len(called.cells) == 1 else known
    name, module = type(module).__name__, called.call  # pyright: ignore[reportAssignmentType]
    if not isinstance(module, nn.Module) or not has_contract(module):
        return Map(called, *_sizes(called), flow, name=name)
    n_units, n_inputs = (_int_or_none(getattr(module, attribute, None)) for attribute in ("hidden_size", "input_size"))
    has_jacobian = callable(getattr(module, "jacobian", None))
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


def _sizes(called: CalledStep) -> tuple[int | None, int | None]:
    """Units and inputs of a module that has `hidden_size` and `input_size`, if states of that size fit it."""
    d, i = (_int_or_none(getattr(called.call, attribute, None)) for attribute in ("hidden_size", "input_size"))
    for n in (d, None if d is None else 2 * d):  # the state may be the pair (h, c)
        if n is not None and i is not None and called.forms(*(torch.zeros(1, k).double() for k in (n, i)))[0]:
            return n, i
    return None, None


def _torch_layers(cell: nn.Module) -> Layers | None:
    """The torch cells that the cell of a system is, or wraps as they are; a wrapper's step is called as it is."""
    try:
        return find_layers(cell)
    except ValueError:
        return None


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

"""The step of a system held against the system's own trajectories: x[k, t] = step(x[k, t - 1], u[k, t])."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from conjugacy._calling import INPUT_FIRST, STATE_FIRST, CalledStep
from conjugacy._check import shown
from conjugacy._recurrent import Layers, find_layers

_N_CHECKED = 64
# of the size of the states: what rounding does to trajectories computed in float32
_ROUNDING = 3e-5
_CONTRACT = ("jacobian", "jacobian_lipschitz", "leak", "reduced", "step_bounds")


class Transitions(NamedTuple):
    """States before and after a step, (n, unit), and the input of that step (n, input), in float64."""

    before: Tensor
    after: Tensor
    inputs: Tensor
    rounding: float
    driven: bool

    @classmethod
    def of(cls, x: Tensor, u: Tensor | None, lengths: Tensor) -> Transitions | None:
        """Some transitions of trajectories (trial, time, unit), spread evenly over all; None if there are none."""
        ends = (lengths.cpu() - 1).cumsum(0)
        total = int(ends[-1])
        if total < 1:
            return None
        at = torch.linspace(0, total - 1, min(total, _N_CHECKED), dtype=torch.float64).round().long()
        trial = torch.searchsorted(ends, at, right=True)
        t = at - ends[trial] + lengths.cpu()[trial]  # the step after: 1 is the first
        x = x.detach()
        before, after = (x[trial, s].cpu().double() for s in (t - 1, t))
        inputs = torch.zeros(len(at), 1, dtype=torch.float64) if u is None else u.detach()[trial, t].cpu().double()
        rounding = max(_ROUNDING, 8 * torch.finfo(x.dtype).eps) * float(before.square().sum(-1).mean().sqrt())
        return cls(before, after, inputs, rounding, u is not None)

    @property
    def moved(self) -> float:
        """Root mean square distance that a step covers."""
        return float((self.after - self.before).square().sum(-1).mean().sqrt())

    def error(self, step: Callable[[Tensor, Tensor], Tensor]) -> float:
        """Root mean square distance between what `step` gives and the states after; infinite for other shapes."""
        try:
            with torch.no_grad():
                made = step(self.before, self.inputs)
        except RuntimeError as error:
            if "dtype" not in str(error):
                raise
            with torch.no_grad():
                made = step(self.before.float(), self.inputs.float())
        if not isinstance(made, Tensor) or made.shape != self.after.shape:
            return float("inf")
        missed = float((made.double().cpu() - self.after).square().sum(-1).mean().sqrt())
        return missed if missed == missed else float("inf")

    def agrees(self, error: float, tolerance: float) -> bool:
        """Whether an error is within `tolerance` of the distance covered, or what rounding explains."""
        return error <= tolerance * self.moved + self.rounding


def has_contract(module: nn.Module) -> bool:
    """Whether a module says that it is a cell(u, x) by offering closed forms (see `conjugacy.dynamics.map`)."""
    return hasattr(module, "box") or any(callable(getattr(module, name, None)) for name in _CONTRACT)


def called_step(
    thing: Any, order: str | None = None, what: str = "step"
) -> tuple[CalledStep | Layers, nn.Module | None]:
    """What was given as a step, made callable as step(x, u) in float64, and the cell behind it where it is known.

    Parameters
    ----------
    thing : callable, Module or state_dict
    order : {"state, input", "input, state"}, optional
        Which argument is the state.
    what : str
        Name of the argument, for messages.
    """
    if isinstance(thing, CalledStep):
        return thing, None
    if isinstance(thing, (nn.Module, Mapping)) and not (isinstance(thing, nn.Module) and has_contract(thing)):
        layers = find_layers(thing, what)
        if layers is not None:
            return layers, layers
    if isinstance(thing, nn.Module):
        contract = has_contract(thing)
        # a copy, so that neither dtype nor mode nor trainability of the caller's module changes
        with torch.inference_mode(False):
            module = copy.deepcopy(thing).double().cpu().eval().requires_grad_(False)
        usual = INPUT_FIRST if what == "cell" else None
        return CalledStep(module, INPUT_FIRST if contract else order, usual, what), module if contract else None
    if not callable(thing) or isinstance(thing, type):
        raise TypeError(f"`{what}`: expected a function step(x, u), a module or a state_dict, got {shown(thing)}.")
    return CalledStep(thing, order, STATE_FIRST, what), None


def own_step(
    name: str,
    step: Any,
    transitions: Transitions | None,
    tolerance: float,
    order: str | None = None,
    what: str = "step",
) -> tuple[Callable[[Tensor, Tensor], Tensor], nn.Module | None]:
    """The step of a system in the calling order that makes its trajectories, and the cell behind it where it is known.

    Parameters
    ----------
    name : str
        Name of the system.
    step, order, what
        See `called_step`.
    transitions : Transitions or None
        None if there is nothing to hold it against.
    tolerance : float
        Largest error as a share of the distance that a step covers; infinite if nothing is to be checked.

    Raises
    ------
    ValueError
        If the step does not make the trajectories.
    """
    if tolerance == float("inf"):
        transitions = None
    given: Any = step
    plain = callable(step) and not isinstance(step, (nn.Module, type, CalledStep)) and order is None
    if plain and transitions is not None:
        try:
            if transitions.agrees(transitions.error(given), tolerance):
                return given, None
        except Exception:
            pass
    called, cell = called_step(step, order, what)
    if isinstance(called, Layers):
        if transitions is not None:
            try:
                error = transitions.error(called.step)
            except (RuntimeError, ValueError) as problem:
                if not transitions.driven:
                    return called.step, cell
                raise ValueError(_unfit(name, what, called, transitions, str(problem))) from None
            if not transitions.agrees(error, tolerance):
                raise ValueError(_mismatch(name, what, transitions, {"": error}))
        return called.step, cell
    if transitions is None:
        return (given if plain and not called.one_argument else called), cell
    forms, failures = ([called.form], []) if called.form else called.forms(transitions.before, transitions.inputs)
    if not forms:
        if not transitions.driven:  # its inputs are not known, so it cannot be called
            return (given if plain else called), cell
        raise ValueError(_unfit(name, what, called.call, transitions, "; ".join(failures)))
    errors = {form: transitions.error(partial(called.apply, form)) for form in forms}
    right = [form for form, error in errors.items() if transitions.agrees(error, tolerance)]
    if not right:
        raise ValueError(_mismatch(name, what, transitions, {form.order: error for form, error in errors.items()}))
    if len(right) == 1 or called.usual in [form.order for form in right]:
        called.form = right[0] if len(right) == 1 else next(f for f in right if f.order == called.usual)
    return called, cell


def _unfit(name: str, what: str, call: Any, transitions: Transitions, failures: str) -> str:
    d, i = transitions.before.shape[-1], transitions.inputs.shape[-1]
    return (
        f"`{what}`: expected a step that takes the states (batch, {d}) and inputs (batch, {i}) of {name!r} and returns "
        f"the next states, got {getattr(call, '__name__', type(call).__name__)}: {' '.join(failures.split())}."
    )


def _mismatch(name: str, what: str, transitions: Transitions, errors: dict[str, float]) -> str:
    sizes = " and ".join(
        f"{error:.3g}" + (f" away as ({order})" if order else " away") for order, error in errors.items()
    )
    inputs = "" if transitions.driven else " It has no inputs: give them if it was driven."
    return (
        f"`{what}`: expected x[k, t] = {what}(x[k, t - 1], u[k, t]) on the trajectories of {name!r}, got states "
        f"that are {sizes} (root mean square), where a step covers {transitions.moved:.3g}. Check weights, order of "
        f"arguments and alignment of inputs.{inputs} If noise or a flow explains it: step_tolerance=math.inf."
    )

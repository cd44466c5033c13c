"""How a step is called: which argument is the state, in which form it goes in, and where the new state comes out.

Nothing is guessed. A calling order counts if it was named, if it alone reproduces the trajectories of a system, if it
alone gives a result of the state's shape, or if the names of the arguments say it; else the error asks for `order`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from conjugacy._check import check_choice

STATE_FIRST, INPUT_FIRST = "state, input", "input, state"
ORDERS = (STATE_FIRST, INPUT_FIRST)
_ASK = f"Say which: order={INPUT_FIRST!r} or order={STATE_FIRST!r}"
_STATES = "state states hidden h hx hidden_state hidden_states h_prev h_t h0 prev_h prev_state previous_state hc hcs"
_INPUTS = "input inputs u inp input_ ut u_t stimulus drive"


class Form(NamedTuple):
    """One way to call a step."""

    order: str  # of ORDERS, or "state" for functions of the state alone
    pair: bool  # whether a state [h, c] goes in, and comes out, as the pair (h, c)
    pick: tuple[int, ...] | None  # where in a tuple the new state is; None where the result is the state


class CalledStep:
    """``step(x, u) -> x_next`` of a callable with any calling convention, settled at the first call.

    Parameters
    ----------
    call : callable
        A function or module of one argument (the state) or two. The state may be a pair (h, c), which stands for
        [h, c]; the result may be a tuple that holds the new state.
    order : {"state, input", "input, state"}, optional
        Which argument is the state. By default the order that fits the shapes; where both do, what the names of the
        arguments say, or `usual`.
    usual : str, optional
        The order where neither shapes nor names tell; None to ask then.
    what : str
        Name of the argument that `call` was, for messages.
    """

    def __init__(
        self, call: Callable, order: str | None = None, usual: str | None = None, what: str = "step_or_system"
    ):
        self.call, self.what = call, what
        self.order = None if order is None else check_choice("order", order, ORDERS)
        self.one_argument, named, self.readable = _reading(call)
        if self.one_argument and order is not None:
            raise ValueError(f"`order`: expected None for a step of one argument, the state, got {order!r}.")
        # names that contradict the usual order leave the question open
        self.usual = named if usual is None else usual if named in (None, usual) else None
        self.form: Form | None = Form("state", False, None) if self.one_argument and _is_function(call) else None

    def __call__(self, x: Tensor, u: Tensor) -> Tensor:
        """The state after input u (..., input) in state x (..., unit)."""
        if self.form is None:
            self.form = self.settle(x, u)
        return self.apply(self.form, x, u)

    def apply(self, form: Form, x: Tensor, u: Tensor) -> Tensor:
        """The new state, called in one form."""
        state = x.chunk(2, -1) if form.pair else x
        if form.order == "state":
            result = self.call(state)
        else:
            result = self.call(state, u) if form.order == STATE_FIRST else self.call(u, state)
        if form.pick is not None:
            for k in form.pick:
                result = result[k]
        return torch.cat(tuple(result), -1) if form.pair else result

    def settle(self, x: Tensor, u: Tensor) -> Form:
        """The form in which the step takes states like x and inputs like u and returns a state; else an error."""
        found, failures = self.forms(x, u)
        if len(found) == 1:
            return found[0]
        if found:
            meant = [f for f in found if f.order == self.usual]
            if meant:
                return meant[0]
            raise ValueError(
                f"`{self.what}`: both orders of the arguments of {_name(self.call)} fit states of {x.shape[-1]} units "
                f"and {u.shape[-1]} inputs. {_ASK}."
            )
        if self.usual is not None and _is_function(self.call):
            return Form(self.usual, False, None)  # whoever calls it says what is wrong with it
        raise ValueError(
            f"`{self.what}`: expected a module that takes a state (batch, {x.shape[-1]}) and an input (batch, "
            f"{u.shape[-1]}) and returns the new state, got {_name(self.call)}: {'; '.join(failures)}. Check the sizes "
            f"of x0 and inputs; {_ASK[0].lower()}{_ASK[1:]}, or wrap it: lambda x, u: next_state."
        )

    def forms(self, x: Tensor, u: Tensor) -> tuple[list[Form], list[str]]:
        """The forms that return what has the shape of a state, one an order, and what the others did."""
        # a number of rows that is no size of anything, so that no axis is taken for another
        n = next(k for k in range(3, 9) if k not in (x.shape[-1], u.shape[-1], x.shape[-1] / 2))
        x, u = (v.reshape(-1, v.shape[-1])[:1].expand(n, -1) for v in (x, u))
        orders = ("state",) if self.one_argument else ORDERS if self.order is None else (self.order,)
        found, failures = [], []
        for order in orders:
            for pair in (False, True)[: 1 + (x.shape[-1] % 2 == 0)]:
                outcome = self._outcome(order, pair, x, u)
                if isinstance(outcome, Form):
                    found.append(outcome)
                    break
                if not pair:
                    failures.append(f"called with ({order}) it {outcome}")
        if not found and not self.readable:
            outcome = self._outcome("state", False, x, u)
            found += [outcome] if isinstance(outcome, Form) else []
        return found, failures

    def _outcome(self, order: str, pair: bool, x: Tensor, u: Tensor) -> Form | str:
        """The form, completed by where the new state comes out, or what went wrong."""
        try:
            with torch.no_grad():
                state = x.chunk(2, -1) if pair else x
                given = {"state": (state,), STATE_FIRST: (state, u), INPUT_FIRST: (u, state)}[order]
                result = self.call(*given)
        except Exception as error:
            return f"fails ({(str(error) or type(error).__name__).splitlines()[0]})"
        if pair:
            pick = _find_pair(result, x[..., : x.shape[-1] // 2])
            return "returns no pair (h, c)" if pick is None else Form(order, True, pick or None)
        if isinstance(result, Tensor):
            if result.shape == x.shape:
                return Form(order, False, None)
            return f"returns the shape {tuple(result.shape)}"
        places = _find_states(result, x)
        if not places:
            return f"returns {type(result).__name__} without a tensor of shape {tuple(x.shape)}"
        if len(places) > 1 and not all(torch.equal(result[places[0][0]], result[k]) for (k,) in places[1:]):
            wrapped = f"lambda x, u: model(u, x)[{places[-1][0]}]"
            return f"returns {len(places)} tensors of the state's shape: name one, {wrapped}"
        return Form(order, False, places[0])


def _find_states(result: Any, x: Tensor) -> list[tuple[int, ...]]:
    """Places of tensors like x in a tuple or list."""
    if not isinstance(result, (tuple, list)):
        return []
    return [(k,) for k, item in enumerate(result) if isinstance(item, Tensor) and item.shape == x.shape]


def _find_pair(result: Any, half: Tensor) -> tuple[int, ...] | None:
    """The place of a pair (h, c) in a result: () where it is the pair, None where there is none."""

    def is_pair(item: Any) -> bool:
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            return False
        return all(isinstance(part, Tensor) and part.shape == half.shape for part in item)

    # (output, (h, c)) before (h, c): an output may be a pair only by itself
    if isinstance(result, (tuple, list)):
        inner = [k for k, item in enumerate(result) if is_pair(item)]
        if len(inner) == 1:
            return (inner[0],)
    return () if is_pair(result) else None


def _is_function(call: Callable) -> bool:
    return not isinstance(call, nn.Module)


def _name(call: Callable) -> str:
    return getattr(call, "__name__", None) or type(call).__name__


def _reading(call: Callable) -> tuple[bool, str | None, bool]:
    """Whether a callable takes the state alone, the order that the names of its arguments say, and if it has names."""
    try:
        parameters = list(inspect.signature(call.forward if isinstance(call, nn.Module) else call).parameters.values())
    except (TypeError, ValueError):
        return False, None, False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters) and len(positional) < 2:
        return False, None, True
    # the second argument of f(x, dt=0.1) is a setting, not an input
    arguments = [p for p in positional if p.default in (p.empty, None) or _role(p.name) == "input"]
    if len(arguments) < 2:
        return len(arguments) == 1, None, True
    return False, _named_order(arguments[0].name, arguments[1].name), True


def _named_order(first: str, second: str) -> str | None:
    """The order that two names say: one of them says what the other is too, as h does in (x, h) and u in (x, u)."""
    roles = _role(first), _role(second)
    if roles[0] == roles[1]:
        return None
    return STATE_FIRST if roles[0] == "state" or roles[1] == "input" else INPUT_FIRST


def _role(name: str) -> str:
    name = name.lower().rstrip("_")
    return "state" if name in _STATES.split() else "input" if name in _INPUTS.split() else ""

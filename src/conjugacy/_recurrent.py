"""torch's recurrent modules as maps of one step: cells, layered sequence modules, models around one, and state_dicts.

Their state is the concatenation of their layers' states, each [h, c] for an LSTM. A model around a recurrent module
counts as that module only if the module is seen to get the model's input, and its own last state, as they are.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from conjugacy._model_use import how_it_is_used

_CELLS = {"GRU": nn.GRUCell, "LSTM": nn.LSTMCell, "RNN": nn.RNNCell}
_TORCH_CELLS = tuple(_CELLS.values())
_GATES = {3.0: "GRU", 4.0: "LSTM", 1.0: "RNN"}  # rows of the weights for each hidden unit
_WEIGHTS = re.compile(
    r"^(?P<prefix>.*?)(?P<kind>weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)(_l(?P<layer>\d+))?(?P<back>_reverse)?$"
)


class Layers(nn.Module):
    """Cells of torch on top of each other, in float64: ``layers(u, x) -> x_next``.

    Parameters
    ----------
    cells : list of nn.GRUCell, nn.LSTMCell or nn.RNNCell
        The lowest first; each is driven by the new hidden state of the one below. They are copied.
    """

    def __init__(self, cells: list[nn.RNNCellBase]):
        super().__init__()
        # made outside of inference mode, so that the weights can be differentiated through
        with torch.inference_mode(False):
            copies = [_plain(c) for c in cells]
        self.cells = nn.ModuleList(copies)
        self.requires_grad_(False)
        self.eval()
        self.input_size = int(copies[0].input_size)
        self.widths = [int(c.hidden_size) * (2 if isinstance(c, nn.LSTMCell) else 1) for c in copies]

    @property
    def n_units(self) -> int:
        """Number of state variables."""
        return sum(self.widths)

    def forward(self, u: Tensor, x: Tensor) -> Tensor:
        """The state (batch, n_units) after input u (batch, input) in state x (batch, n_units)."""
        states = []
        for cell, state in zip(self.cells, x.split(self.widths, -1)):
            if isinstance(cell, nn.LSTMCell):
                h, c = cell(u, state.chunk(2, -1))
                states += [h, c]
                u = h
            else:
                u = cell(u, state)
                states.append(u)
        return torch.cat(states, -1)

    def step(self, x: Tensor, u: Tensor) -> Tensor:
        """As `forward`, the state first, and with any leading axes."""
        lead = torch.broadcast_shapes(x.shape[:-1], u.shape[:-1])
        flat = [v.expand(*lead, v.shape[-1]).reshape(-1, v.shape[-1]) for v in (u, x)]
        return self(*flat).reshape(*lead, x.shape[-1])

    def __repr__(self) -> str:
        names = ", ".join(f"{type(c).__name__}({c.input_size}, {c.hidden_size})" for c in self.cells)
        return f"Layers({names})"


def find_layers(thing: Any, what: str = "step_or_system") -> Layers | None:
    """The layers of a torch cell, sequence module, model around one, or state_dict; None of anything else.

    Parameters
    ----------
    thing : Module, Mapping or anything
        A mapping is a state_dict: of nn.GRU, nn.LSTM, nn.RNN, their cells, or a model that holds one of them.
    what : str
        Name of the argument, for messages.

    Raises
    ------
    TypeError, ValueError
        For bidirectional modules, projections, several recurrent modules in a state_dict, and models that change what
        their recurrent module sees.
    """
    thing = getattr(thing, "_orig_mod", thing)  # what torch.compile wraps
    if isinstance(thing, Mapping):
        return _of_state_dict(thing, what)
    if isinstance(thing, Layers):
        return thing
    if isinstance(thing, _TORCH_CELLS) and _is_torchs(thing):
        return Layers([thing])
    if isinstance(thing, nn.RNNBase) and _is_torchs(thing):
        return _of_sequence(thing, what)
    if not isinstance(thing, nn.Module):
        return None
    inner = [(name, m) for name, m in thing.named_modules() if isinstance(m, (*_TORCH_CELLS, nn.RNNBase))]
    if len(inner) != 1 or not _is_torchs(inner[0][1]):
        return None
    name, module = inner[0]
    reason = how_it_is_used(thing, name)
    if reason == "":
        return find_layers(module, what)
    if reason is None or isinstance(module, _TORCH_CELLS):
        return None  # a step of its own, called as it is
    raise ValueError(
        f"`{what}`: expected a model that gives its input to its {type(module).__name__} as it is, but {reason} in "
        f"{type(thing).__name__}. Give the module itself, model.{name}, with inputs as it sees them, or a function "
        "step(x, u)."
    )


def _is_torchs(module: nn.Module) -> bool:
    """Whether a module computes what torch's does: a subclass with a forward of its own does not."""
    return any(type(module).forward is k.forward for k in (*_TORCH_CELLS, nn.GRU, nn.LSTM, nn.RNN))


def _plain(cell: nn.RNNCellBase) -> nn.RNNCellBase:
    """A copy in float64 on the CPU that shares nothing."""
    d, i = int(cell.hidden_size), int(cell.input_size)
    options: dict[str, Any] = {"bias": bool(cell.bias), "dtype": torch.float64, "device": "cpu"}
    if isinstance(cell, nn.RNNCell):
        options["nonlinearity"] = cell.nonlinearity
    kind = next(k for k in _TORCH_CELLS if isinstance(cell, k))
    with torch.random.fork_rng(devices=[]):
        made = kind(i, d, **options)
    names = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if cell.bias else ()))
    with torch.no_grad():
        for name in names:
            getattr(made, name).copy_(getattr(cell, name).detach())
    return made


def _of_sequence(module: nn.RNNBase, what: str) -> Layers:
    # by name, not from parameters(): those of parametrised weights are others
    kinds = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if module.bias else [])]
    kinds += ["weight_hr"] if module.proj_size else []
    ends = ["", "_reverse"] if module.bidirectional else [""]
    names = [f"{kind}_l{k}{end}" for k in range(module.num_layers) for kind in kinds for end in ends]
    weights = {name: getattr(module, name) for name in names}
    if module.mode.startswith("RNN"):
        return _of_weights(weights, "RNN", what, module.mode.split("_")[1].lower())
    return _of_weights(weights, module.mode, what)


def _of_state_dict(state: Mapping, what: str) -> Layers:
    inner = state.get("state_dict")
    if isinstance(inner, Mapping):  # a checkpoint of Lightning and others
        state = inner
    found: dict[str, dict[str, Any]] = {}
    for key, value in state.items():
        match = _WEIGHTS.match(str(key))
        if match:
            found.setdefault(match["prefix"], {})[str(key)[len(match["prefix"]) :]] = value
    found = {prefix: weights for prefix, weights in found.items() if any("weight_hh" in k for k in weights)}
    if len(found) != 1:
        some = ", ".join(map(str, list(state)[:6])) or "nothing"
        raise ValueError(
            f"`{what}`: expected a state_dict with the weights of one nn.GRU, nn.LSTM or nn.RNN (weight_ih_l0, ...), "
            f"got {len(found)} of them in {type(state).__name__} with {some}. Give the entries of one, or the module."
        )
    weights = next(iter(found.values()))
    try:
        weights = {k: torch.as_tensor(v if isinstance(v, Tensor) else np.asarray(v)) for k, v in weights.items()}
    except (TypeError, ValueError) as error:
        raise TypeError(f"`{what}`: expected tensors in the state_dict, got {error}.") from None
    recurrent = next(v for k, v in weights.items() if k.startswith("weight_hh"))
    if any(k.startswith("weight_hr") for k in weights):
        kind = "LSTM"  # with a projection, which is refused below
    else:
        kind = _GATES.get(recurrent.shape[0] / max(1, recurrent.shape[-1]), "") if recurrent.ndim == 2 else ""
    if not kind:
        raise ValueError(
            f"`{what}`: expected weight_hh of shape (D, D), (3 D, D) or (4 D, D), got {tuple(recurrent.shape)}."
        )
    if kind == "RNN":
        warnings.warn(
            f"`{what}`: a state_dict does not tell the nonlinearity of an nn.RNN; it is taken to be tanh, torch's "
            "default. For relu, load it into nn.RNN(..., nonlinearity='relu') and give that.",
            stacklevel=5,
        )
    return _of_weights(weights, kind, what)


def _of_weights(weights: Mapping[str, Any], kind: str, what: str, nonlinearity: str = "tanh") -> Layers:
    """Layers of the parameters weight_ih_l0, ... (or weight_ih, of a cell)."""
    if any(name.endswith("_reverse") for name in weights):
        raise ValueError(
            f"`{what}`: expected a module that runs forward in time, got a bidirectional {kind}: its state at a time "
            "depends on inputs to come, so it is no dynamical system. Give the weights of one direction."
        )
    if any(name.startswith("weight_hr") for name in weights):
        raise ValueError(
            f"`{what}`: expected an LSTM without projection, got one with proj_size > 0. Write its step as a function "
            "step(x, u) with the state [h, c]."
        )
    layers: dict[int, dict[str, Tensor]] = {}
    for name, value in weights.items():
        kind_of_weight, _, layer = name.partition("_l")
        layers.setdefault(int(layer or 0), {})[kind_of_weight] = value
    cells = []
    for layer in sorted(layers):
        given = layers[layer]
        missing = [n for n in ("weight_ih", "weight_hh") if n not in given]
        if missing or layer != len(cells) or ("bias_ih" in given) != ("bias_hh" in given):
            raise ValueError(f"`{what}`: expected weight_ih and weight_hh of each layer, got {', '.join(weights)}.")
        d, i = int(given["weight_hh"].shape[-1]), int(given["weight_ih"].shape[-1])
        options: dict[str, Any] = {"nonlinearity": nonlinearity} if kind == "RNN" else {}
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False):
            cell = _CELLS[kind](i, d, bias="bias_ih" in given, dtype=torch.float64, device="cpu", **options)
        with torch.no_grad():
            for name, value in given.items():
                mine: Tensor = getattr(cell, name)
                if mine.shape != value.shape:
                    raise ValueError(
                        f"`{what}`: expected {name} of layer {layer} to have the shape {tuple(mine.shape)}, got "
                        f"{tuple(value.shape)}."
                    )
                mine.copy_(value.detach())
        cells.append(cell)
    return Layers(cells)

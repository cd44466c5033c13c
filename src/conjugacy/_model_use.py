"""How a model uses the recurrent module of torch inside it: seen by calling the model, not by reading it."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn


class _Watch:
    """What a recurrent module inside a model gets and returns: (input, state or None, new state), call by call."""

    def __init__(self, module: nn.Module):
        self.calls: list[tuple[Tensor, Tensor | None, Tensor]] = []
        self.sequence = isinstance(module, nn.RNNBase)
        module.register_forward_hook(self, with_kwargs=True)

    def __call__(self, module: Any, args: tuple, kwargs: dict, result: Any) -> None:
        given = dict(zip(("input", "hx"), args)) | kwargs
        u, x = given["input"], given.get("hx")
        if isinstance(u, nn.utils.rnn.PackedSequence):
            u = nn.utils.rnn.pad_packed_sequence(u, batch_first=True)[0]
        new = result[1] if self.sequence else result
        self.calls.append((u.detach(), None if x is None else _flat(x), _flat(new)))


def _flat(state: Any) -> Tensor:
    return torch.cat([s.detach().reshape(-1) for s in (state if isinstance(state, tuple) else (state,))])


def how_it_is_used(model: nn.Module, name: str) -> str | None:
    """Whether a model uses its recurrent module `name` as it is: "" if so, else the reason; None for other steps.

    It is called on random inputs, and looked at what its recurrent module gets: the same inputs, and the state that it
    returned the time before.
    """
    with torch.inference_mode(False), torch.no_grad():
        model = copy.deepcopy(model).double().cpu().eval()
        module: Any = model.get_submodule(name)
        generator = torch.Generator().manual_seed(0)
        d = int(module.hidden_size) * int(getattr(module, "num_layers", 1))
        n, t, i = 5, 4, int(module.input_size)
        u, h, c = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((n, t, i), (n, d), (n, d)))
        lstm = isinstance(module, (nn.LSTM, nn.LSTMCell))
        watch = _Watch(module)
        states = [(h, c), torch.cat([h, c], -1)] if lstm else [h]
        # as a step first: many a sequence module takes (batch, input) too, for one sequence without a batch
        for state in states:
            for given in ((u[:, 0], state), (state, u[:, 0])):
                outcome = _called(model, watch, given)
                if outcome is not None and watch.calls:
                    (used, before, after), *more = watch.calls
                    same = used.numel() == u[:, 0].numel() and torch.equal(used.reshape(n, i), u[:, 0])
                    whole = _flat(state if isinstance(state, tuple) else state.chunk(2, -1) if lstm else state)
                    same = same and before is not None and torch.equal(before, whole) and not more
                    return "" if same and _returned(outcome, after, lstm) else None
        layers = int(getattr(module, "num_layers", 1))
        first = [torch.zeros(layers, b, int(module.hidden_size), dtype=torch.float64) for b in (n, t)]
        for given in ((u,), *((u, (z, z) if lstm else z) for z in first)):
            if _called(model, watch, given) is not None and watch.calls:
                break
        else:
            return f"it cannot be called on an input (batch, time, {i}) alone, or with a state beside it,"
        inputs = [used for used, _, _ in watch.calls]
        if len(inputs) == 1:
            seen = inputs[0]
            if not any(seen.shape == v.shape and torch.equal(seen, v) for v in (u, u.transpose(0, 1))):
                return "it sees another one (an encoder comes before it?)"
            return ""
        steps = [x.reshape(-1, i) for x in inputs]
        if not any(len(steps) == len(v) and all(map(torch.equal, steps, v)) for v in (u, u.transpose(0, 1))):
            return "it sees another one (an encoder comes before it?)"
        for (_, _, after), (_, before, _) in zip(watch.calls, watch.calls[1:]):
            if before is None or not torch.equal(after, before):
                return "its state is changed between steps"
        return ""


def _called(model: nn.Module, watch: _Watch, given: tuple) -> Any:
    watch.calls.clear()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return model(*given)
    except Exception:
        return None


def _returned(result: Any, new: Tensor, lstm: bool) -> bool:
    """Whether a new state, or the pair that makes it, is somewhere in what a model returned."""
    if isinstance(result, Tensor):
        whole = _flat(result.chunk(2, -1)) if lstm and not result.shape[-1] % 2 else _flat(result)
        return torch.equal(whole, new)
    if not isinstance(result, (tuple, list)):
        return False
    if result and all(isinstance(part, Tensor) for part in result) and torch.equal(_flat(tuple(result)), new):
        return True
    return any(_returned(part, new, lstm) for part in result)

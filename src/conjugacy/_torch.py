"""The parts of torch that are not public, each behind one function, with a way that needs public parts only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode


def transformed(*given: Tensor) -> bool:
    """Whether forward derivatives or a transform of torch.func (vmap, grad, jacrev, ...) are at work.

    Where this version of torch hides the answer, the tensors `given` are asked; without any, the answer is True, which
    costs speed and is never wrong.
    """
    level, peek = _private("autograd.forward_ad", "_current_level"), _private("_C._functorch", "peek_interpreter_stack")
    if level is None or peek is None:
        return not given or any(_has_tangent(x) or _is_wrapped(x) for x in given)
    return level >= 0 or peek() is not None


def _private(place: str, name: str) -> Any:
    """A private attribute of torch, or None where this version does not have it."""
    found: Any = torch
    for part in (*place.split("."), name):
        found = getattr(found, part, None)
    return found


def _has_tangent(x: Tensor) -> bool:
    try:
        return forward_ad.unpack_dual(x).tangent is not None
    except RuntimeError:  # there is no level of forward derivatives
        return False


def _is_wrapped(x: Tensor) -> bool:
    try:
        x.data_ptr()
    except (RuntimeError, NotImplementedError):  # tensors inside a transform have no memory of their own
        return True
    return False


class NoConversions(TorchFunctionMode):
    """Inside it, ``module.double()`` and its like raise RuntimeError.

    They write to the data of parameters, which ends the whole process inside a transform of torch.func.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Refuse to set data, hand on everything else."""
        if getattr(func, "__name__", "") == "__set__" and func == Tensor.data.__set__:  # pyright: ignore[reportAttributeAccessIssue]
            raise RuntimeError("the data of a tensor is written to, as by module.double(), inside a transform")
        return func(*args, **(kwargs or {}))

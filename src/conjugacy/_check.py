"""Checks of arguments. Every message names the argument, what it got, what it takes and how to mend it."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor


def shown(value: Any) -> str:
    """`value` as it appears in messages: its representation on one line and not long, arrays by their shape."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and len(shape) > 0:
        return f"{type(value).__name__} of shape {tuple(shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}... ({type(value).__name__})"


def check_flag(name: str, value: Any) -> bool:
    """Return `value` if it is True or False, or say what it is: a text such as "False" would count as true."""
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    raise TypeError(f"`{name}`: expected True or False, got {shown(value)}.")


def check_int(name: str, value: Any, low: int, high: int | None = None, hint: str = "") -> int:
    """Return `value` as an int in [low, high], or say what is wrong with it."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or int(value) < low or (high is not None and int(value) > high):
        span = f"an integer >= {low}" if high is None else f"an integer in [{low}, {high}]"
        raise ValueError(f"`{name}`: expected {span}, got {shown(value)}. {hint}".rstrip())
    return int(value)


def check_number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    hint: str = "",
) -> float:
    """Return `value` as a finite float in [low, high] (or (low, high] with `open_low`), or say what is wrong."""
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(number) and low <= number <= high) or (open_low and number == low):
        left = "(" if open_low or low == -math.inf else "["
        right = ")" if high == math.inf else "]"
        raise ValueError(
            f"`{name}`: expected a number in {left}{low:g}, {high:g}{right}, got {shown(value)}. {hint}".rstrip()
        )
    return number


def check_choice(name: str, value: Any, choices: Iterable[str], hint: str = "") -> str:
    """Return `value` if it is one of `choices`, or name the choices and the nearest one."""
    choices = list(choices)
    if isinstance(value, str) and value in choices:
        return value
    near = difflib.get_close_matches(value, choices, n=1) if isinstance(value, str) else []
    guess = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"`{name}`: expected one of {', '.join(map(repr, choices))}, got {shown(value)}.{guess} {hint}".rstrip()
    )


def check_axes(name: str, x: Tensor, spec: str, hint: str = "", **size: int) -> tuple[int, ...]:
    """Return the shape of `x` if it has the axes of `spec` ("trial time unit") with the sizes given by name."""
    axes = spec.split()
    if not isinstance(x, Tensor):
        raise TypeError(f"`{name}`: expected a tensor ({', '.join(axes)}), got {shown(x)}. {hint}".rstrip())
    if x.ndim != len(axes) or any(size.get(a, n) != n for a, n in zip(axes, x.shape)):
        want = ", ".join(f"{a}={size[a]}" if a in size else a for a in axes)
        raise ValueError(f"`{name}`: expected shape ({want}), got {tuple(x.shape)}. {hint}".rstrip())
    return tuple(x.shape)


def check_finite(name: str, x: Tensor, hint: str = "") -> Tensor:
    """Return `x` if every value is finite, or say how many are not and where the first one is."""
    if not isinstance(x, Tensor):
        raise TypeError(f"`{name}`: expected a tensor, got {shown(x)}. {hint}".rstrip())
    # a sum is finite only if all are, unless it overflows: the exact test is run only then
    if x.is_floating_point() and x.numel() and not bool(torch.isfinite(x.sum())):
        bad = ~torch.isfinite(x)
        n = int(bad.sum())
        if n:
            where = tuple(torch.nonzero(bad)[0].tolist())
            raise ValueError(
                f"`{name}`: expected finite values, got {n} NaN or infinite, the first at {where}. {hint}".rstrip()
            )
    return x


def check_device(name: str, value: Any) -> str:
    """Return the name of a device that torch has here, or say what is wrong with it."""
    try:
        device = torch.device(value)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, TypeError, ValueError, NotImplementedError):
        here = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
        raise ValueError(f"`{name}`: expected a device that is here ({', '.join(here)}), got {value!r}.") from None
    return str(device)

"""Checks of arguments. Every message names the argument, what it got, what it takes and how to mend it."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

_LOUDEST = 1e6  # of noise; beyond, float32 overflows


_LARGEST = 2**63 - 1


def shown(value: Any) -> str:
    """`value` as it appears in messages: its representation on one line and not long, arrays by their shape."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and len(shape) > 0:
        return f"{type(value).__name__} of shape {tuple(shape)}"
    kind = type(value)
    try:
        text = " ".join(repr(value).split())
    except Exception:
        return f"a {kind.__name__} without a representation"
    if len(text) > 80:
        return f"{text[:77]}... ({kind.__name__})"
    # torch.float16 is a dtype, array(3.) an ndarray: neither says so itself
    return text if kind.__module__ == "builtins" or kind.__name__ in text else f"{text} ({kind.__name__})"


def check_flag(name: str, value: Any) -> bool:
    """Return `value` if it is True or False, or say what it is: a text such as "False" would count as true."""
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    raise TypeError(f"`{name}`: expected True or False, got {shown(value)}.")


def check_int(
    name: str, value: Any, low: int, high: int | None = None, hint: str = "", limit: int | None = None
) -> int:
    """Return `value` as an int in [low, high], or say what is wrong with it.

    `limit` is a bound that only a slip exceeds; messages name it only then.
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if high is None and limit is None and whole and int(value) > _LARGEST:
        high = _LARGEST  # no counter, size or seed of the libraries below holds more
    if not whole or int(value) < low or (high is not None and int(value) > high):
        span = f"an integer >= {low}" if high is None else f"an integer in [{low}, {high}]"
        raise ValueError(f"`{name}`: expected {span}, got {shown(value)}. {hint}".rstrip())
    if limit is not None and int(value) > limit:
        raise ValueError(f"`{name}`: expected at most {limit}, got {shown(value)}. {hint}".rstrip())
    return int(value)


def check_number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    hint: str = "",
    limit: float = math.inf,
) -> float:
    """Return `value` as a finite float in [low, high] (or (low, high] with `open_low`), or say what is wrong.

    `limit` is a bound of the size that only a slip exceeds; messages name it only then.
    """
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) and _fits(value) else math.nan
    if not (math.isfinite(number) and low <= number <= high) or (open_low and number == low):
        left = "(" if open_low or low == -math.inf else "["
        right = ")" if high == math.inf else "]"
        raise ValueError(
            f"`{name}`: expected a number in {left}{low:g}, {high:g}{right}, got {shown(value)}. {hint}".rstrip()
        )
    if abs(number) > limit:
        size = "at most" if low >= 0 else "a size of at most"
        raise ValueError(f"`{name}`: expected {size} {limit:g}, got {shown(value)}. {hint}".rstrip())
    return number


def _fits(value: Any) -> bool:
    """Whether float(value) does not overflow: of 10**400 it does."""
    try:
        float(value)
    except OverflowError:
        return False
    return True


def check_noise(name: str, value: Any, hint: str = "It is a standard deviation.") -> float:
    """Return `value` as the standard deviation of noise, a finite float >= 0, or say what is wrong with it."""
    return check_number(name, value, 0, hint=hint, limit=_LOUDEST)


def check_choice(name: str, value: Any, choices: Iterable[str], hint: str = "") -> str:
    """Return `value` if it is one of `choices`, or name the choices and the nearest one."""
    choices = list(choices)
    if isinstance(value, str) and value in choices:
        return value
    guess = did_you_mean(value, choices)
    raise ValueError(
        f"`{name}`: expected one of {', '.join(map(repr, choices))}, got {shown(value)}.{guess} {hint}".rstrip()
    )


def check_option(name: str, value: Any, known: Iterable[str], owner: str) -> None:
    """Raise TypeError, with the nearest of the `known` options, unless `owner` has an option called `name`."""
    known = list(known)
    if name not in known:
        raise TypeError(
            f"`{name}`: expected an option of {owner} ({', '.join(known) or 'it has none'}), got "
            f"{name}={shown(value)}.{did_you_mean(name, known)}"
        )


def check_options(options: Mapping[str, Any], owner: str, *functions: Callable[..., Any]) -> None:
    """Raise TypeError unless all of the `options`, which `owner` hands on, are parameters of one of the functions."""
    for name, value in options.items():
        check_option(name, value, options_of(*functions), owner)


def options_of(*functions: Callable[..., Any]) -> list[str]:
    """The names of the parameters that these functions have, without those that stand for any."""
    found = [p for f in functions for p in inspect.signature(f).parameters.values()]
    return list(dict.fromkeys(p.name for p in found if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)))


def did_you_mean(word: Any, known: Iterable[str]) -> str:
    """A question that names the nearest of the `known` words, after a blank; "" where none is near."""
    near = difflib.get_close_matches(word, known, n=1) if isinstance(word, str) else []
    return f" Did you mean {near[0]!r}?" if near else ""


def check_axes(name: str, x: Tensor, spec: str, hint: str = "", **size: int) -> tuple[int, ...]:
    """Return the shape of `x` if it has the axes of `spec` ("trial time unit") with the sizes given by name."""
    axes = spec.split()
    if not isinstance(x, Tensor):
        raise TypeError(f"`{name}`: expected a tensor ({', '.join(axes)}), got {shown(x)}. {hint}".rstrip())
    if x.ndim != len(axes) or any(size.get(a, n) != n for a, n in zip(axes, x.shape)):
        want = ", ".join(f"{a}={size[a]}" if a in size else a for a in axes)
        number = f"{x.item():g}" if not x.ndim and not x.is_complex() else shown(x)
        got = tuple(x.shape) if x.ndim else f"a single number, {number}"
        raise ValueError(f"`{name}`: expected shape ({want}), got {got}. {hint}".rstrip())
    return tuple(x.shape)


def check_last(name: str, x: Any, size: int, hint: str = "") -> None:
    """Raise an error unless `x` is a tensor whose last axis has the given size."""
    if not isinstance(x, Tensor):
        raise TypeError(f"`{name}`: expected a tensor (..., {size}), got {shown(x)}. {hint}".rstrip())
    if x.ndim == 0 or x.shape[-1] != size:
        raise ValueError(f"`{name}`: expected shape (..., {size}), got {tuple(x.shape)}. {hint}".rstrip())


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


def check_text(name: str, value: Any, hint: str = "") -> str:
    """Return `value` if it is a text that is not empty, or say what it is."""
    if isinstance(value, str) and value.strip():
        return value
    raise TypeError(f"`{name}`: expected a text, got {shown(value)}. {hint}".rstrip())


def check_instance(name: str, value: Any, kind: type | tuple[type, ...], hint: str = "") -> Any:
    """Return `value` if it is an object of class `kind` (or of one of several), or say what it is."""
    if isinstance(value, kind):
        return value
    wanted = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
    if isinstance(value, type):
        hint = hint or f"Make one: {value.__name__}(...)."
    raise TypeError(f"`{name}`: expected a {wanted}, got {shown(value)}. {hint}".rstrip())


def check_optional(name: str, value: Any, kind: type | tuple[type, ...], hint: str = "") -> Any:
    """Return `value` if it is None or an object of class `kind` (or of one of several), or say what it is."""
    return None if value is None else check_instance(name, value, kind, hint or "Or None.")


def check_callable(name: str, value: Any, what: str, hint: str = "") -> Any:
    """Return `value` if it can be called and is no class, or say what it is; `what` is its signature in messages."""
    if callable(value) and not isinstance(value, type):
        return value
    raise TypeError(f"`{name}`: expected a function {what}, got {shown(value)}. {hint}".rstrip())


def check_list(name: str, value: Any, what: str, least: int = 1) -> list[Any]:
    """Return `value` as a list of at least `least` items, or say what it is; `what` names the items in messages."""
    many = hasattr(value, "__iter__") and getattr(value, "ndim", 1) > 0
    if not many or isinstance(value, (str, bytes, type)) or hasattr(value, "keys"):
        raise TypeError(f"`{name}`: expected a list of {what}, got {shown(value)}.")
    items = list(value)
    if len(items) < least:
        raise ValueError(f"`{name}`: expected a list of at least {least} {what}, got {shown(value)}.")
    return items


def check_numbers(
    name: str,
    values: Any,
    n: int | None = None,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    hint: str = "",
    wanted: str = "",
) -> tuple[float, ...]:
    """Return `values` as a tuple of `n` finite floats (at least one where `n` is None), or say what is wrong with it.

    Lists, tuples, and arrays and tensors of one axis are taken; a text is no sequence of numbers.
    """
    wanted = wanted or ("a sequence of numbers" if n is None else f"{n} numbers")
    shape = getattr(values, "shape", None)
    listed = isinstance(values, Sequence | range) and not isinstance(values, str | bytes)
    if not listed and not (isinstance(shape, tuple) and len(shape) == 1):
        raise ValueError(f"`{name}`: expected {wanted}, got {shown(values)}. {hint}".rstrip())
    given: Any = values
    found = given if listed else given.tolist()
    if len(found) != n if n is not None else not len(found):
        count = f"none in {shown(values)}" if not len(found) else f"{len(found)}, {shown(values)}"
        raise ValueError(f"`{name}`: expected {wanted}, got {count}. {hint}".rstrip())
    try:
        return tuple(
            check_number(f"{name}[{i}]", value, low, high, open_low=open_low, hint=hint)
            for i, value in enumerate(found)
        )
    except ValueError as error:
        # of an array the item alone would not tell what was passed
        raise ValueError(f"{error} In {shown(values)}." if not listed else str(error)) from None


def check_range(
    name: str, values: Any, low: float = 0.0, high: float = math.inf, hint: str = "", limit: float = math.inf
) -> tuple[float, float]:
    """Return a pair (least, greatest) of numbers in [low, high], or say what is wrong; one number stands for both."""
    if isinstance(values, Real) and not isinstance(values, bool):
        number = check_number(name, values, low, high, hint=hint, limit=limit)
        return number, number
    wanted = "a number or a pair (least, greatest)"
    least, greatest = check_numbers(name, values, 2, low, high, hint=hint, wanted=wanted)
    if greatest > limit:
        raise ValueError(f"`{name}`: expected numbers of at most {limit:g}, got {shown(values)}. {hint}".rstrip())
    if least > greatest:
        raise ValueError(f"`{name}`: expected least <= greatest, got {shown(values)}. {hint}".rstrip())
    return least, greatest

"""Whether the message of an error is clear: one line, that names what it is about, what it got and what is taken."""

from __future__ import annotations

import contextlib
import re
from typing import Any

# what Python, NumPy, torch and others say by themselves of something that our callers know nothing of
_FOREIGN = re.compile(
    r"object is not (subscriptable|iterable|callable)|has no attribute|unsupported operand|must be real number, not"
    r"|indices must be|out of (bounds|range)|unhashable|not supported between|cannot be interpreted as"
    r"|missing \d+ required|takes \d+ positional|unexpected keyword argument|too many values|not enough values"
    r"|invalid literal|could not convert|ambiguous|mat1 and mat2|size of tensor|Expected all tensors|setting an array"
    r"|object of type .* has no len|division by zero|NoneType|codec can't|Expecting (value|property|',')"
    r"|broadcast together|singular matrix|Linear Algebra|Errno|dimension .* mismatch|math domain|positional argument"
    r"|argument of type|concatenate|shapes? .* not aligned|Numba|tuple index|list index|incompatible",
    re.IGNORECASE,
)
_TAKES = re.compile(
    r"expected|takes?\b|one of|must|needs?\b|give\b|use\b|at least|at most|between|>=|<=|name (a|an|another|one)"
    r"|should|only|known|did you mean|choose|available|(save|train) .* again|\bset\b|\bdrop\b|\bpass\b|list them",
    re.IGNORECASE,
)


def foreign(message: str) -> bool:
    """Whether it is the message of a lower floor, unexplained: nothing of ours stands before it."""
    return bool(_FOREIGN.search(message)) and not re.match(r"\s*(`[^`]+`|/|[\w./ -]+\.\w+:)", message)


def one_line(message: str) -> bool:
    """One line of a length that is read."""
    return bool(message.strip()) and "\n" not in message.strip() and len(message) < 1500


def names_argument(message: str, argument: str) -> bool:
    """Whether it names the argument (or one item of it)."""
    names = {argument, argument.removesuffix("s"), argument.split(".")[-1]}
    return any(re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", message) for name in names)


def names_value(message: str, value: Any, depth: int = 0) -> bool:
    """Whether it tells the value, or its type, shape, dtype or size."""
    texts = _texts(value)
    if any(text and text in message for text in texts):
        return True
    if isinstance(value, list | tuple | set) and depth < 2:
        return any(names_value(message, item, depth + 1) for item in value)
    if isinstance(value, dict) and depth < 2:
        return any(names_value(message, item, depth + 1) for pair in value.items() for item in pair)
    return False


def says_what_is_taken(message: str) -> bool:
    """Whether it says what is accepted, or how to mend it."""
    return bool(_TAKES.search(message))


def is_clear(message: str, argument: str, value: Any) -> bool:
    """All of these."""
    return not what_lacks(message, argument, value)


def what_lacks(message: str, argument: str, value: Any) -> str:
    """What a message lacks to be clear; "" if it is."""
    if not one_line(message):
        return "not one line"
    if foreign(message):
        return "the words of a lower floor"
    lacks = {
        "argument": names_argument(message, argument),
        "value": names_value(message, value),
        "what is taken": says_what_is_taken(message),
    }
    return ", ".join(f"no {what}" for what, there in lacks.items() if not there)


def _texts(value: Any) -> list[str]:
    kind = value if isinstance(value, type) else type(value)
    texts = [kind.__name__, f"{kind.__module__}.{kind.__name__}"]
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        texts += [repr(value)[:40], str(value)[:40], f"{value:g}" if isinstance(value, float) else ""]
        if isinstance(value, float) and value != value:
            texts += ["nan", "NaN"]
        if isinstance(value, str | bytes) and not value:
            texts += ["empty", "''", "nothing"]
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        texts += [str(tuple(shape)), "NaN", "infinite", "empty", "no samples", "0 "] + [str(n) for n in shape if n > 1]
        texts += [
            repr(value)[:40],
            str(getattr(value, "dtype", "")).removeprefix("torch."),
            str(getattr(value, "ndim", "")),
        ]
    elif hasattr(value, "__len__") and not isinstance(value, str | bytes | type):
        texts.append(repr(value)[:30])
        with contextlib.suppress(TypeError):
            texts += [str(len(value))] if len(value) else ["got 0", "empty", "got none", "no "]
    elif callable(value):
        texts += [getattr(value, "__name__", ""), "function", "callable"]
    return [*texts, repr(value)[:30]] if type(value).__module__ == "torch" else texts

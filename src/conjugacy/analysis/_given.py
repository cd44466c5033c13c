"""What callers give to the analyses and figures: checks of its kind, before anything is computed."""

from __future__ import annotations

from typing import Any

from conjugacy.runs.run import Run
from conjugacy.similarity.samples import kind_of

PHASES = ("all", "train", "val", "test")


def check_kind(name: str, value: Any, kind: type | tuple[type, ...], takes: str, hint: str = "") -> Any:
    """Return `value` if it is an instance of `kind`, or say that the argument takes `takes`."""
    if isinstance(value, kind):
        return value
    if not hint and is_path(value):
        hint = "A run folder is loaded by conjugacy.load(path)."
    raise TypeError(f"`{name}`: expected {takes}, got {kind_of(value)}. {hint}".rstrip())


def is_path(value: Any) -> bool:
    """Whether `value` is a text or a path, as of a run folder."""
    return isinstance(value, str) or (hasattr(value, "__fspath__") and not isinstance(value, type))


def as_run(name: str, value: Any) -> Run:
    """The Run that `value` is or, as an Analysis, holds."""
    held = getattr(value, "run", None)
    if isinstance(held, Run) and not isinstance(value, type):
        return held
    return check_kind(name, value, Run, "a Run or an Analysis")


def items_of(name: str, value: Any, takes: str) -> list[Any]:
    """The items of a list, tuple or array of things, or say that the argument takes a list of `takes`."""
    single = isinstance(value, (str, bytes, dict, set, type)) or hasattr(value, "__fspath__")
    if single or not hasattr(value, "__len__") or not hasattr(value, "__getitem__") or getattr(value, "ndim", 1) == 0:
        raise TypeError(f"`{name}`: expected a list of {takes}, got {kind_of(value)}.")
    return [*value]  # pyright: ignore[reportGeneralTypeIssues]


def names_of(name: str, value: Any, takes: str) -> list[str]:
    """The texts of a list of texts."""
    names = items_of(name, value, takes)
    for k, text in enumerate(names):
        check_kind(f"{name}[{k}]", text, str, f"a str, since `{name}` is a list of {takes}", "Put it in quotes.")
    return names


def counted(n: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 fixed point", "2 fixed points"."""
    return f"{n} {noun}" if n == 1 else f"{n} {plural or noun + 's'}"

"""Objects to plain configs and back: an object is its class name and its constructor's arguments.

The convention is scikit-learn's: every argument of ``__init__`` is kept under its own name as an attribute. Then
``describe`` reads a config off an object, and ``build`` makes an equal object from it, by name, from known classes
only: no import path and no code ever comes out of a file. An argument may itself be such an object (the arm of a task,
the muscle of an arm).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import numpy as np

from conjugacy._check import did_you_mean
from conjugacy._renamed import renewed


def describe(thing: Any) -> dict[str, Any]:
    """``{"class": name, "args": {...}}``, with which `build` makes an object equal to `thing`.

    Raises
    ------
    TypeError
        If the class does not keep an argument of its ``__init__`` as an attribute, or if its value is no plain
        number, string, bool, None, list or dict of these, or object that can be described in turn.
    """
    kind = type(thing)
    args = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"`{kind.__name__}.__init__`: expected named arguments only, got *{name}. List them.")
        if not hasattr(thing, name):
            raise TypeError(
                f"`{kind.__name__}`: cannot be saved, its argument `{name}` is not kept. Add `self.{name} = {name}`."
            )
        args[name] = plain(f"{kind.__name__}.{name}", getattr(thing, name))
    return {"class": kind.__name__, "args": args}


def build(what: str, config: dict[str, Any], classes: Iterable[type]) -> Any:
    """The object that `config` (made by `describe`) stands for, if its class is among `classes`."""
    known = {c.__name__: c for c in classes}
    name = config.get("class")
    if name not in known:
        guess = did_you_mean(name, known)
        raise ValueError(
            f"`{what}`: expected one of the classes {', '.join(sorted(known))}, got {name!r}.{guess} "
            f"A class of your own has to be named: load(folder, classes=[{name}])."
        )
    kind, args = known[name], renewed(config).get("args", {})
    unknown = sorted(set(args) - set(inspect.signature(kind).parameters))
    if unknown:
        takes = ", ".join(inspect.signature(kind).parameters)
        raise ValueError(f"`{what}`: {name} takes the arguments {takes}, got {', '.join(unknown)} too.")
    return kind(**{argument: _built(f"{what}.{argument}", value, known) for argument, value in args.items()})


def _built(what: str, value: Any, known: dict[str, type]) -> Any:
    if isinstance(value, list):
        return [_built(f"{what}[{i}]", v, known) for i, v in enumerate(value)]
    if isinstance(value, dict):
        if set(value) == {"class", "args"}:
            return build(what, value, known.values())
        return {k: _built(f"{what}[{k!r}]", v, known) for k, v in value.items()}
    return value


def plain(name: str, value: Any) -> Any:
    """`value` as json can hold it: NumPy's numbers become Python's, tuples lists, objects what `describe` gives.

    Raises
    ------
    TypeError
        If something in it can be none of these; the message says what, from `name` on.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [plain(f"{name}[{i}]", v) for i, v in enumerate(value)]
    if isinstance(value, dict):
        return {str(k): plain(f"{name}[{k!r}]", v) for k, v in value.items()}
    if inspect.isfunction(type(value).__init__):  # a class of one's own, not a builtin or an array
        return describe(value)
    raise TypeError(
        f"`{name}`: expected a number, string, bool, None, list or dict to save, got {type(value).__name__}."
    )

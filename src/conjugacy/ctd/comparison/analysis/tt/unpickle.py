"""Read the notebook's pickles without running what a stranger put into them.

A pickle is a program: it can call anything that can be imported, and change what is there. The two files that the
notebook writes need almost nothing of that: they are one call of one of two functions of conjugacy, with text, bytes
and names of classes. So they are read by a machine that knows no more than this; Python's own is not asked.
"""

from __future__ import annotations

import os
import pickle
import pickletools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conjugacy._check import shown
from conjugacy._files import read_file
from conjugacy.training.lightning.data_module import rebuild_data_module
from conjugacy.training.lightning.wrapper import rebuild_wrapper

_CALLS: dict[tuple[str, str], Callable[..., Any]] = {
    ("conjugacy.training.lightning.wrapper", "rebuild_wrapper"): rebuild_wrapper,
    ("conjugacy.training.lightning.data_module", "rebuild_data_module"): rebuild_data_module,
    # where they stood in version 0.1
    ("conjugacy.training.lightning_module", "rebuild_wrapper"): rebuild_wrapper,
    ("conjugacy.training.data_module", "rebuild_data_module"): rebuild_data_module,
}
_TEXT = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"}
_BYTES = {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8"}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUT, _GET = {"PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}


class _Mark:
    """Where a tuple begins."""


@dataclass(frozen=True)
class _Name:
    """Something that the file names; it is looked up among what is known, and never imported."""

    module: str
    name: str


@dataclass(frozen=True)
class _Call:
    function: _Name
    arguments: tuple


def read_pickle(path: str | os.PathLike, kind: type, classes: Iterable[type] = ()) -> Any:
    """The object of class `kind` in a pickle, if it is made of known classes only.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    pickle.UnpicklingError
        If the file asks for anything but known classes, or is cut off; the message names it.
    TypeError
        If it holds something else.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"`filepath`: {path} does not exist. The notebook joins HOME_DIR and the folder by '+': "
            "HOME_DIR has to be empty or end in '/'."
        )
    known = {(c.__module__, c.__qualname__): c for c in classes}
    try:
        call = _parsed(read_file(path), path, set(_CALLS) | set(known))
        thing = _made(call, known, path)
    except (pickle.UnpicklingError, OSError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise pickle.UnpicklingError(f"{path}: not a whole pickle ({reason[:300]}). Save it again.") from None
    if not isinstance(thing, kind):
        raise TypeError(f"{path}: expected a {kind.__name__}, got {type(thing).__name__}. Are the files mixed up?")
    return thing


def _parsed(data: bytes, path: Path, names: set[tuple[str, str]]) -> Any:
    """What the program in a pickle leaves at its end, with names and calls as data."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any
    for opcode, argument, _ in pickletools.genops(data):  # pyright: ignore[reportAssignmentType]
        name = opcode.name
        if name in _TEXT or name in _BYTES:
            stack.append(argument)
        elif name in _TUPLES:
            n = _TUPLES[name]
            stack[len(stack) - n :] = [tuple(_top(stack, n))]
        elif name == "MARK":
            stack.append(_Mark)
        elif name == "TUPLE":
            start = len(stack) - 1 - stack[::-1].index(_Mark)
            stack[start:] = [tuple(stack[start + 1 :])]
        elif name == "STACK_GLOBAL":
            module, attribute = _top(stack, 2)
            stack[-2:] = [_known(module, attribute, names, path)]
        elif name == "GLOBAL":
            module, attribute = argument.split(" ", 1)
            stack.append(_known(module, attribute, names, path))
        elif name == "REDUCE":
            function, arguments = _top(stack, 2)
            if not isinstance(function, _Name) or not isinstance(arguments, tuple):
                raise ValueError("a call of something that is no function")
            stack[-2:] = [_Call(function, arguments)]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in _PUT:
            memo[argument] = stack[-1]
        elif name in _GET:
            stack.append(memo[argument])
        elif name == "STOP":
            return stack.pop()
        elif name not in ("PROTO", "FRAME"):
            raise pickle.UnpicklingError(
                f"{path}: refused to load what it asks for ({name}): it is no file that the notebook writes."
            )
    raise ValueError("it has no end")


def _top(stack: list[Any], n: int) -> list[Any]:
    if len(stack) < n:
        raise ValueError("it takes more than there is")
    return stack[len(stack) - n :]


def _known(module: Any, name: Any, names: set[tuple[str, str]], path: Path) -> _Name:
    if not isinstance(module, str) or not isinstance(name, str) or (module, name) not in names:
        asked = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else shown((module, name))
        raise pickle.UnpicklingError(
            f"{path}: refused to load {asked[:200]}: only TaskTrainedWrapper and TaskDataModule of conjugacy "
            f"are read from pickles. If it is a class of your own that you trust, pass classes=[{str(name)[:80]}]; a "
            "file written by CtDB itself has to be trained again."
        )
    return _Name(module, name)


def _made(call: Any, known: dict[tuple[str, str], type], path: Path) -> Any:
    """The object that a call makes: of one of our functions, with text, bytes, and classes that the user gave."""
    key = (call.function.module, call.function.name) if isinstance(call, _Call) else None
    if key not in _CALLS:
        return call
    *plain, classes = call.arguments
    if not all(isinstance(a, str | bytes) for a in plain) or not isinstance(classes, tuple):
        raise ValueError("arguments that its function does not take")
    own = tuple(known[c.module, c.name] for c in classes)
    return _CALLS[key](*plain, own)

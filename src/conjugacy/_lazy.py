"""Public names that are loaded on first use, so that importing a package costs nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from conjugacy._moved import MOVED


def higher(module: str, name: str) -> Any:
    """``conjugacy.<module>.<name>`` of a higher floor, for a method that only hands on to it.

    The one door through which the code of a lower floor is led up; tests/test_structure.py lists who goes through it.
    """
    return getattr(importlib.import_module(f"conjugacy.{module}"), name)


def elsewhere(names: Mapping[str, str]) -> Callable[[str], Any]:
    """``__getattr__`` of a module of 0.1 that some names have left: name to the module that has it today."""

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"no attribute {name!r}")
        return getattr(importlib.import_module(f"conjugacy.{names[name]}"), name)

    return get


def lazy(
    package: str, public: Mapping[str, str], submodules: Sequence[str] = (), renamed: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    public : mapping
        Public name to the module, within the package, that defines it.
    submodules : sequence of str
        Modules that are public themselves.
    renamed : mapping, optional
        Names of version 0.1 to the public names of today.
    """
    names = [*public, *submodules]
    renamed = renamed or {}

    def get(name: str) -> Any:
        name = renamed.get(name, name)
        if name in public:
            value = getattr(importlib.import_module(f"{package}.{public[name]}"), name)
        elif name in submodules or f"{package}.{name}".removeprefix("conjugacy.") in MOVED:
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}{_guess(name, names)}")
        # importing a module sets it as an attribute of the package: a public name must win over it
        setattr(sys.modules[package], name, value)
        return value

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names})

    return get, listed, names


def _guess(name: str, names: Sequence[str]) -> str:
    """The nearest of the public names; nothing for names that programs ask every module for."""
    if name.startswith("_"):
        return ""
    import difflib

    near = difflib.get_close_matches(name, names, n=1)
    return f". Did you mean {near[0]!r}?" if near else ""

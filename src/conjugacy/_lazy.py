"""Public names that are loaded on first use, so that importing a package costs nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy(
    package: str, public: Mapping[str, str], submodules: Sequence[str] = ()
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
    """
    names = [*public, *submodules]

    def get(name: str) -> Any:
        if name in public:
            value = getattr(importlib.import_module(f"{package}.{public[name]}"), name)
        elif name in submodules:
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        # importing a module sets it as an attribute of the package: a public name must win over it
        setattr(sys.modules[package], name, value)
        return value

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names})

    return get, listed, names

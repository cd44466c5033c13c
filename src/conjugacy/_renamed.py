"""Arguments and members that have a new name: the old one works, with a warning that names the new one.

Files written under the old names are read without a warning: nobody can change what a file says.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any, TypeVar

# class -> old argument -> new argument
ARGUMENTS: dict[str, dict[str, str]] = {"NBitFlipFlop": {"taught": "distilled"}}

_Class = TypeVar("_Class", bound=type)
_MISSING = object()


def takes_old_names(cls: _Class) -> _Class:
    """Decorate a class of `ARGUMENTS`: its constructor, its attributes and its pickles may have the old names."""
    new_names = ARGUMENTS[cls.__name__]
    construct = cls.__init__

    @functools.wraps(construct)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        for old in [name for name in kwargs if name in new_names]:
            new = new_names[old]
            if new in kwargs:
                raise TypeError(
                    f"`{old}`: expected once, got `{old}` and `{new}`, which is its name today. Drop `{old}`."
                )
            warn(old, new, stacklevel=2)
            kwargs[new] = kwargs.pop(old)
        construct(self, *args, **kwargs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({new_names.get(name, name): value for name, value in state.items()})

    cls.__init__ = __init__
    cls.__setstate__ = __setstate__
    for old, new in new_names.items():
        setattr(cls, old, _old_attribute(old, new))
    return cls


def member(thing: Any, new: str, old: str, default: Any = None) -> Any:
    """The member `new` of an object, or the one under its old name, with a warning; `default` if it has neither."""
    found = getattr(thing, new, _MISSING)
    if found is not _MISSING:
        return found
    if not hasattr(type(thing), old) and old not in getattr(thing, "__dict__", {}):
        return default
    warnings.warn(
        f"{type(thing).__name__}.{old}: this member is called `{new}` today; rename it.",
        DeprecationWarning,
        stacklevel=3,
    )
    return getattr(thing, old)


def renewed(config: Any) -> Any:
    """A saved config, or a part of one, with arguments of classes under the names that they have today."""
    if isinstance(config, list):
        return [renewed(part) for part in config]
    if not isinstance(config, dict):
        return config
    config = {key: renewed(value) for key, value in config.items()}
    # `class` and `args` are those of config.json, `class_path` and `init_args` those of yaml files of the command line
    for named, holds in (("class", "args"), ("class_path", "init_args")):
        if isinstance(config.get(named), str) and isinstance(config.get(holds), dict):
            new_names = ARGUMENTS.get(config[named].rpartition(".")[2], {})
            config[holds] = {new_names.get(name, name): value for name, value in config[holds].items()}
    return config


def warn(old: str, new: str, stacklevel: int) -> None:
    """Warn that an argument or attribute has a new name."""
    warnings.warn(f"`{old}` is called `{new}` today; write `{new}`.", DeprecationWarning, stacklevel=stacklevel + 1)


def _old_attribute(old: str, new: str) -> property:
    def get(self: Any) -> Any:
        warn(old, new, stacklevel=2)
        return getattr(self, new)

    def put(self: Any, value: Any) -> None:
        warn(old, new, stacklevel=2)
        setattr(self, new, value)

    return property(get, put, doc=f"The old name of `{new}`.")

"""The classes that run folders, sweeps and jobs may name: those of conjugacy, and those that the user gives."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from typing import Any

from conjugacy import arm, models, networks, tasks
from conjugacy._check import check_choice, shown
from conjugacy.networks.network import Network
from conjugacy.tasks.task import Task

_TASK_METHODS = ("trials", "loss", "success_rate")


def known_classes(own: Iterable[type] = ()) -> list[type]:
    """The tasks, arms, networks and models of data of conjugacy, and after them the user's `own` classes.

    Raises
    ------
    TypeError
        If `own` is anything but classes.
    """
    everything = [thing for package in (tasks, arm, networks) for thing in vars(package).values()]
    everything += [getattr(models, name) for name in models.__all__]
    public = [thing for thing in everything if isinstance(thing, type)]
    return [*public, *check_classes("classes", own)]


def check_classes(name: str, own: Any) -> list[type]:
    """The classes that the user has given, or an error that names what is none."""
    hint = "Give a list of task and network classes, for example [MyTask, MyNetwork]."
    if isinstance(own, str | bytes | type) or not isinstance(own, Iterable) or getattr(own, "ndim", 1) == 0:
        raise TypeError(f"`{name}`: expected a list of classes, got {shown(own)}. {hint}")
    own = list(own)
    for kind in own:
        if not isinstance(kind, type):
            raise TypeError(f"`{name}`: expected classes, got {shown(kind)}. {hint}")
    return own


def has_role(kind: type, role: str) -> bool:
    """Whether objects of a class can be the task, or the network, of a training."""
    return issubclass(kind, Network) if role == "network" else all(hasattr(kind, m) for m in _TASK_METHODS)


def check_task(name: str, value: Any) -> None:
    """Raise an error unless `value` acts as a task."""
    # an object may stand in front of a task and hand on what it is asked for
    if isinstance(value, type) or not all(callable(getattr(value, m, None)) for m in _TASK_METHODS):
        hint = "an object with the members of conjugacy.tasks.Task, for example conjugacy.tasks.NBitFlipFlop()"
        raise TypeError(f"`{name}`: expected a task, {hint}, got {shown(value)}.")


def check_network(name: str, value: Any) -> None:
    """Raise an error unless `value` is a network."""
    if not isinstance(value, Network):
        raise TypeError(f"`{name}`: expected a network, for example conjugacy.networks.GRU(64), got {shown(value)}.")


def class_named(where: str, role: str, name: Any, own: Iterable[type] = ()) -> type:
    """The task or network class that a file names: one of conjugacy, or one of the user's, by name or import path.

    No other class is imported for a file.

    Raises
    ------
    ValueError
        If there is no such class; `where` is the place in the file, `role` "task" or "network".
    """
    abstract = (Task, Network, networks.CellNetwork)
    public = {k.__name__: k for k in known_classes() if has_role(k, role) and k not in abstract}
    given = {n: k for k in own for n in (k.__name__, f"{k.__module__}.{k.__qualname__}")}
    if isinstance(name, str) and name not in public and name in given:
        if not has_role(given[name], role):
            raise ValueError(f"`{where}.class`: expected a {role}, got the class {name}.")
        return given[name]
    if isinstance(name, str) and "." in name:
        raise ValueError(
            f"`{where}.class`: {name} is no class of conjugacy, and a file cannot have others imported. If it is your "
            f"own, name it beside the file: classes=[{name.rpartition('.')[2]}], or --classes {name}."
        )
    return public[check_choice(f"{where}.class", name, public, "A class of your own: give it as classes=[...] too.")]


def import_path(kind: type) -> str | None:
    """``module:name`` by which another process imports a class; None if it cannot (a class of a notebook or script)."""
    if kind.__module__ == "__main__" or "." in kind.__qualname__:
        return None
    try:
        found = importlib.util.find_spec(kind.__module__) is not None
    except (ImportError, ValueError):
        return None
    return f"{kind.__module__}:{kind.__qualname__}" if found else None


def imported(path: str) -> type:
    """The class that `import_path` gave this path."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)

"""Flags of ``conjugacy train``: a task, a network and a recipe, each with the arguments of its class.

jsonargparse reads them, builds the objects, and reads and writes config files. Its account of what is wrong lists every
type that it tried, so names and values are looked at here first, against the signature of the class that was named.
Help without a class in it is made from the sources as text: importing them takes seconds.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from conjugacy.cli.flags import Flags, UsageError, add_arguments, description, did_you_mean, refuse_unknown
from conjugacy.cli.old_names import renewed_flags

_SOURCES = Path(__file__).parents[1]
# public classes that cannot be named: what others inherit from, and what wraps objects that no flag can make
NOT_NAMED = {"tasks": {"Task"}, "networks": {"Network", "CellNetwork"}}
_OF_A_CLASS = {"--task": "tasks", "--network": "networks"}
_OF_CONFIGS = ("--config", "--print_config")


class TrainFlags(Flags):
    """Flags of the command that trains; see the module docstring."""

    def parse(self, prog: str, args: Sequence[str]) -> dict[str, Any]:
        """As `Flags.parse`; task and network come as objects, the recipe as a dict."""
        args = renewed_flags(args)
        asked = next((a for a in args if a in ("-h", "--help")), None)
        if asked is not None and not any(a.split("=")[0] in _OF_A_CLASS for a in args):
            print(self.help(prog))
            raise SystemExit(0)
        self._look(args)
        from jsonargparse import ArgumentError, ArgumentParser

        parser = self._jsonargparse(ArgumentParser(prog=prog, exit_on_error=False))
        if asked is not None:
            self._help_of_classes(parser, args)
        try:
            config = parser.instantiate(parser.parse_args(args))
        except (ArgumentError, ValueError, TypeError) as error:
            raise UsageError(_cause(error)) from None
        chosen = config.as_dict()
        chosen.pop("config", None)
        return chosen

    def help(self, prog: str) -> str:
        """Help with the names of tasks, networks and settings of a recipe, without importing one of them."""
        parser = argparse.ArgumentParser(
            prog=prog,
            usage=f"{prog} --task TASK [--task.X VALUE ...] --network NETWORK [--network.X VALUE ...] --out OUT [...]",
            description=description(self.command),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog="\n".join(
                [
                    *_listed("tasks", documented_classes("tasks")),
                    f"    What a task takes: {prog} --task NBitFlipFlop --help",
                    *_listed("networks", documented_classes("networks")),
                    f"    What a network takes: {prog} --network GRU --help",
                    *_listed("settings of the recipe, as --recipe.X VALUE", documented_settings()),
                ]
            ),
        )
        parser.add_argument("--task", metavar="TASK", help="Task to learn, by name or import path.")
        parser.add_argument("--network", metavar="NETWORK", help="Network that learns it, by name or import path.")
        parser.add_argument("--config", metavar="FILE", help="Read flags from a yaml or json file.")
        parser.add_argument("--print_config", action="store_true", help="Write such a file to the terminal.")
        add_arguments(parser, self.command, (), skip=("task", "network", "recipe"))
        return parser.format_help()

    def names(self) -> list[str]:
        """All flags, with their dashes."""
        recipe = [f"--recipe.{name}" for name, _ in documented_settings()]
        own = [name for name in super().names() if name != "--recipe"]
        return [*own, *recipe, *_OF_CONFIGS]

    def _look(self, args: Sequence[str]) -> None:
        """Raise a `UsageError` for what is misspelt, missing or of the wrong type."""
        named = {flag: value for flag, value in _pairs(args) if flag in _OF_A_CLASS}
        for flag, value in named.items():
            if value is None:
                raise UsageError(f"`{flag}`: expected a value after it.")
        classes = {flag: _class_of(flag, value) for flag, value in named.items() if value is not None}
        given: dict[str, set[str]] = {flag: set() for flag in _OF_A_CLASS}
        for flag, value in _pairs(args):
            top, _, rest = flag.partition(".")
            if top == "--recipe" and rest:
                _check_setting(flag, rest, value)
            elif top in _OF_A_CLASS and rest:
                given[top].add(rest.split(".")[0])
                if classes.get(top) is not None:
                    _check_argument(flag, rest, value, classes[top])
            elif flag not in _OF_A_CLASS and flag not in ("-h", "--help") and flag not in self.names():
                of_a_class = [f"{known}.{rest}" for known in (*_OF_A_CLASS, "--recipe") if rest]
                refuse_unknown([flag], [*self.names(), *_OF_A_CLASS, *of_a_class])
        from_file = any(flag == "--config" for flag, _ in _pairs(args))
        if from_file or any(a in ("-h", "--help") for a in args):
            return
        goes_on = any(flag == "--start" for flag, _ in _pairs(args))
        for flag in _OF_A_CLASS:
            if goes_on and flag == "--network" and flag not in named:
                continue
            if flag not in named:
                near = ", ".join(name for name, _ in documented_classes(_OF_A_CLASS[flag]))
                raise UsageError(f"`{flag}`: required, and not given. Name one of {near}.")
            for name in _required(classes.get(flag)) - given[flag]:
                raise UsageError(f"`{flag}.{name}`: required by {named[flag]}, and not given.")
        if not any(flag == "--out" for flag, _ in _pairs(args)):
            raise UsageError("`--out`: required, and not given. Name a folder for the run.")

    def _jsonargparse(self, parser: Any) -> Any:
        from conjugacy.networks import Network
        from conjugacy.tasks import Task
        from conjugacy.training.recipe import Recipe

        parser.add_argument("--config", action="config", help="Read flags from a yaml or json file.")
        parser.add_subclass_arguments(Task, "task", required=True, help="Task to learn, for example NBitFlipFlop.")
        parser.add_subclass_arguments(
            Network, "network", required=False, help="Network that learns it, for example GRU."
        )
        said = dict(documented_settings())
        for name, kind in get_type_hints(Recipe).items():
            parser.add_argument(f"--recipe.{name}", type=kind | None, default=None, help=said.get(name))
        parser.add_function_arguments(self.command, skip={"task", "network", "recipe"}, as_positional=False)
        return parser

    def _help_of_classes(self, parser: Any, args: Sequence[str]) -> None:
        for flag, value in _pairs(args):
            if flag in _OF_A_CLASS and value:
                kind = _class_of(flag, value)
                print(f"{value}: {(inspect.getdoc(kind) or '').splitlines()[0]}\n")
                for name, parameter in inspect.signature(kind).parameters.items():
                    default = "" if parameter.default is parameter.empty else f" (default: {parameter.default})"
                    print(f"  {flag}.{name}{default}\n      {_documented(kind).get(name, '')}")
                print()
        raise SystemExit(0)


def documented_classes(package: str) -> list[tuple[str, str]]:
    """Name and first line of the docstring of the public classes of ``tasks`` or ``networks``, read as text."""
    init = ast.parse((_SOURCES / package / "__init__.py").read_text(encoding="utf-8"))
    found = []
    for node in init.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"conjugacy.{package}."):
            source = _SOURCES / package / f"{node.module.rsplit('.', 1)[1]}.py"
            docs = {
                c.name: ast.get_docstring(c) or ""
                for c in ast.parse(source.read_text(encoding="utf-8")).body
                if isinstance(c, ast.ClassDef)
            }
            public = [a.name for a in node.names if a.name in docs and a.name not in NOT_NAMED[package]]
            found += [(name, docs[name].split("\n")[0]) for name in public]
    return sorted(found)


def documented_settings() -> list[tuple[str, str]]:
    """Name and meaning of the settings of a recipe, read as text."""
    tree = ast.parse((_SOURCES / "training" / "recipe.py").read_text(encoding="utf-8"))
    recipe = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Recipe")
    meaning = _entries(ast.get_docstring(recipe) or "")
    names = [n.target.id for n in recipe.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
    return [(name, meaning.get(name, "")) for name in names]


def _entries(docstring: str) -> dict[str, str]:
    """What a NumPy docstring says of each parameter or attribute."""
    found: dict[str, str] = {}
    for entry in re.finditer(r"^([\w, ]+) : .*\n((?:    .*\n?|\n)+)", docstring, re.M):
        text = " ".join(entry[2].split())
        found |= {name.strip(): text for name in entry[1].split(",")}
    return found


def _documented(kind: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for base in reversed(inspect.getmro(kind)):
        found |= _entries(inspect.cleandoc(base.__doc__ or "") + "\n")
    return found


def _listed(title: str, entries: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in entries)
    return ["", f"{title}:", *(f"    {name:<{width}}  {text}" for name, text in entries)]


def _pairs(args: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Flag and value of a command line, whether joined by ``=`` or not."""
    for i, word in enumerate(args):
        if word.startswith("--"):
            flag, joined, value = word.partition("=")
            after = args[i + 1] if i + 1 < len(args) else None
            yield flag, value if joined else None if after is None or after.startswith("--") else after


def _class_of(flag: str, name: str) -> Any:
    """The class that a name stands for; None for an import path or a file, which jsonargparse looks up."""
    import importlib

    if not name.isidentifier():
        return None
    package = _OF_A_CLASS[flag]
    known = [n for n, _ in documented_classes(package)]
    if name not in known:
        raise UsageError(
            f"`{flag}`: expected one of {', '.join(map(repr, known))}, got {name!r}.{did_you_mean(name, known)} "
            "A class of your own: give its import path."
        )
    return getattr(importlib.import_module(f"conjugacy.{package}"), name)


def _required(kind: Any) -> set[str]:
    if kind is None:
        return set()
    parameters = inspect.signature(kind).parameters
    return {n for n, p in parameters.items() if p.default is p.empty and p.kind is not p.VAR_KEYWORD}


def _check_argument(flag: str, key: str, value: str | None, kind: Any) -> None:
    parameters = inspect.signature(kind).parameters
    name = key.split(".")[0]
    if name not in parameters:
        guess = did_you_mean(name, parameters)
        raise UsageError(
            f"`{flag}`: {kind.__name__} takes no {name!r}.{guess} It takes {', '.join(parameters) or 'nothing'}."
        )
    if "." not in key:
        _check_value(flag, value, get_type_hints(kind.__init__).get(name))


def _check_setting(flag: str, name: str, value: str | None) -> None:
    from conjugacy.training.recipe import Recipe

    hints = get_type_hints(Recipe)
    if name not in hints:
        raise UsageError(f"`{flag}`: there is no such setting.{did_you_mean(name, hints)}")
    _check_value(flag, value, hints[name])


def _check_value(flag: str, value: str | None, hint: Any) -> None:
    if value is None:
        raise UsageError(f"`{flag}`: expected a value after it.")
    if hint is None:
        return
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=hint)
    try:
        parser.parse_args([f"--value={value}"])
    except (ArgumentError, ValueError, TypeError):
        raise UsageError(f"`{flag}`: expected {_in_words(hint)}, got {value!r}.") from None


def _in_words(hint: Any) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    text = words.get(hint) or str(hint).removeprefix("typing.")
    return re.sub(r"<class '(\w+)'>", r"\1", text)


def _cause(error: Exception) -> str:
    """The innermost message of an error that only building the objects could show."""
    lines = [line.strip().removeprefix("- ") for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("`")), lines[-1] if lines else type(error).__name__)

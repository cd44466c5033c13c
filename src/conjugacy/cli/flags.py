"""Flags of a command from the signature and the docstring of its function; mistakes become one `UsageError` each."""

from __future__ import annotations

import argparse
import difflib
import inspect
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, Union, get_args, get_origin, get_type_hints

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class UsageError(ValueError):
    """A command line that cannot be understood."""


class Flags:
    """Flags of a command.

    Parameters
    ----------
    command : callable
        What is called with the values. Its docstring says in a section ``Args:`` what each argument is; its
        annotations are int, float, str, bool, list of str, and these or None.
    positional : sequence of str
        Arguments that are given without a flag.
    """

    def __init__(self, command: Callable[..., None], positional: Sequence[str] = ()):
        self.command, self.positional = command, tuple(positional)

    def parse(self, prog: str, args: Sequence[str]) -> dict[str, Any]:
        """Values by argument; prints help and exits where it is asked for.

        Raises
        ------
        UsageError
            One line: the flag, what it got, what it takes, and the nearest flag to a misspelt one.
        """
        parser = self.parser(prog)
        chosen, unknown = parser.parse_known_args(list(args))
        if unknown:
            refuse_unknown(unknown, self.names())
        return {name.removeprefix("flag_"): value for name, value in vars(chosen).items()}

    def names(self) -> list[str]:
        """All flags, with their dashes."""
        return [f"--{name}" for name in inspect.signature(self.command).parameters if name not in self.positional]

    def parser(self, prog: str) -> argparse.ArgumentParser:
        """A parser of the standard library for these flags."""
        parser = _Parser(prog=prog, description=description(self.command), allow_abbrev=False, add_help=True)
        add_arguments(parser, self.command, self.positional)
        return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(_in_our_words(message))


def add_arguments(
    parser: argparse.ArgumentParser, command: Callable[..., None], positional: Sequence[str], skip: Iterable[str] = ()
) -> None:
    """Give a parser an argument for each of a command's."""
    hints, said = get_type_hints(command), arguments(command)
    for name, parameter in inspect.signature(command).parameters.items():
        if name in skip:
            continue
        kind, text = _plain(hints[name]), said.get(name, "")
        if name in positional:
            many = get_origin(kind) is list
            parser.add_argument(name, metavar=name.rstrip("s").upper(), nargs="+" if many else None, help=text)
            continue
        required = parameter.default is inspect.Parameter.empty
        shown = "" if required or parameter.default is None else f" (default: {_shown(parameter.default)})"
        options: dict[str, Any] = {"nargs": "?", "const": True} if kind is bool else {}
        spellings = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
        parser.add_argument(
            *spellings,
            dest=name,
            type=_converter(kind),
            default=None if required else parameter.default,
            required=required,
            metavar={bool: "true|false", int: "N", float: "X"}.get(kind, "TEXT"),
            help=(text + shown).replace("%", "%%"),
            **options,
        )


def refuse_unknown(unknown: Sequence[str], known: Iterable[str]) -> NoReturn:
    """Raise a `UsageError` for the first of the words that no flag takes."""
    word = unknown[0]
    if not word.startswith("-"):
        raise UsageError(f"unexpected {word!r}: no flag takes it. Values with spaces in them need quotes.")
    flag = word.split("=")[0]
    raise UsageError(
        f"`{flag}`: there is no such flag.{did_you_mean(flag.replace('-', '_').replace('__', '--', 1), known)}"
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` Did you mean ...?``, or nothing where no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def summary(command: Callable[..., None]) -> str:
    """The first line of a command's docstring."""
    return (inspect.getdoc(command) or "").split("\n")[0]


def description(command: Callable[..., None]) -> str:
    """A command's docstring without its arguments."""
    return (inspect.getdoc(command) or "").split("\nArgs:")[0].strip()


def arguments(command: Callable[..., None]) -> Mapping[str, str]:
    """What a command's docstring says of each argument."""
    listed = (inspect.getdoc(command) or "").partition("\nArgs:\n")[2]
    entries = re.split(r"\n(?=    \w+: )", "\n" + listed)
    pairs = (" ".join(entry.split()).partition(": ") for entry in entries if entry.strip())
    return {name: text for name, _, text in pairs}


def _plain(hint: Any) -> Any:
    """The type itself where None may stand for it."""
    if get_origin(hint) in (Union, types.UnionType):
        return next(kind for kind in get_args(hint) if kind is not type(None))
    return hint


def _converter(kind: Any) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        if kind is bool:
            if text.lower() not in (*_TRUE, *_FALSE):
                raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}.")
            return text.lower() in _TRUE
        if kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                what = "a whole number" if kind is int else "a number"
                raise argparse.ArgumentTypeError(f"expected {what}, got {text!r}.") from None
        return text

    return convert


def _shown(default: Any) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def _in_our_words(message: str) -> str:
    """A message of argparse in the words of the other errors."""
    named = re.match(r"argument ([^:]+): (.*)", message, re.S)
    if named:
        flag, text = named[1].split("/")[0], named[2]
        return (
            f"`{flag}`: expected a value after it." if text.startswith("expected one argument") else f"`{flag}`: {text}"
        )
    lacking = re.match(r"the following arguments are required: (.*)", message, re.S)
    if lacking:
        flags = ", ".join(f"`{flag.split('/')[0]}`" for flag in lacking[1].split(", "))
        return f"{flags}: required, and not given."
    return message

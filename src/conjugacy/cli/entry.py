"""``conjugacy COMMAND ...``: picks the command, and turns what goes wrong into one line on stderr and an exit code.

Only the command that is asked for is set up, so that help comes at once: what computes is imported when it computes.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence

from conjugacy._version import __version__
from conjugacy.cli import commands
from conjugacy.cli.flags import Flags, UsageError, did_you_mean, summary
from conjugacy.cli.train_flags import TrainFlags

PROG = "conjugacy"
COMMANDS = {
    "demo": Flags(commands.demo),
    "train": TrainFlags(commands.train),
    "sweep": Flags(commands.sweep, positional=("file",)),
    "repeat": Flags(commands.repeat, positional=("run",)),
    "show": Flags(commands.show, positional=("run",)),
    "compare": Flags(commands.compare, positional=("runs",)),
    "report": Flags(commands.report, positional=("runs",)),
    "record": Flags(commands.record, positional=("action", "file")),
    "fixed-points": Flags(commands.fixed_points, positional=("run",)),
    "check-measures": Flags(commands.check_measures),
}
_EXPECTED = (ValueError, TypeError, OSError, ImportError, MemoryError)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command that `args` (the shell's, by default) ask for.

    Exit codes: 2 after a mistake, which is said in one line; 130 after Ctrl-C; 1 after an error of conjugacy itself.
    """
    args = list(sys.argv[1:] if args is None else args)
    show_traceback = "--traceback" in args
    args = [a for a in args if a != "--traceback"]
    if args[:1] in (["help"], ["-h"], ["--help"]) and args[1:2] and args[1] in COMMANDS:  # help COMMAND
        args = [args[1], "--help"]
    command = args[0] if args else "--help"
    if command in ("-h", "--help", "help"):
        print(_overview())
        sys.exit(0 if args else 2)
    if command == "--version":
        print(f"{PROG} {__version__}")
        sys.exit(0)
    prog = f"{PROG} {command}" if command in COMMANDS else PROG
    try:
        if command not in COMMANDS:
            guess = did_you_mean(command, [*COMMANDS, "--help", "--version", "--traceback"])
            raise UsageError(f"`command`: expected one of {', '.join(COMMANDS)}, got {command!r}.{guess}")
        flags = COMMANDS[command]
        chosen = flags.parse(prog, args[1:])
        flags.command(**chosen)
        sys.stdout.flush()
    except KeyboardInterrupt:
        _stop(f"{prog}: interrupted. What was finished is kept; the same command goes on from there.", 130)
    except BrokenPipeError:  # whoever read the output has read enough
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if show_traceback:
            traceback.print_exc()
        if isinstance(error, UsageError):
            see = f" See: {prog} --help"
            _stop(f"{prog}: {_one_line(error)}{see}", 2)
        if isinstance(error, _EXPECTED):
            _stop(f"{prog}: {_one_line(error)}", 2)
        _stop(
            f"{prog}: unexpected {type(error).__name__}: {_one_line(error)} "
            "This is an error in conjugacy: please report it with what --traceback prints.",
            1,
        )


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [
        f"usage: {PROG} COMMAND [...]",
        "",
        "Do these networks compute the same thing? Train recurrent networks on neuroscience tasks, look inside,",
        "compare them.",
        "",
        "commands:",
        *(f"  {name:<{width}}  {summary(flags.command)}" for name, flags in COMMANDS.items()),
        "",
        f"  {PROG} COMMAND --help says what a command takes; --version prints the version; --traceback shows where an",
        "  error came from.",
    ]
    return "\n".join(lines)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if text else type(error).__name__


def _stop(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)

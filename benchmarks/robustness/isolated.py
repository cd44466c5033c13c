"""Run a function in a forked child, so that it may crash, hang or change its process without harm to others."""

from __future__ import annotations

import os
import pickle
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass
class Outcome:
    """How a child ended.

    Attributes
    ----------
    status : str
        "returned", "raised" (an exception left the function), "killed" (by a signal), "hung" (past its limit; killed by
        us) or "left" (exit before an answer).
    value : Any
        What was returned, or the text of the traceback, or the signal's number.
    seconds : float
    """

    status: str
    value: Any
    seconds: float


def in_child(
    function: Callable[[], Any],
    limit_s: float = 60.0,
    *,
    quiet: bool = True,
    memory: int | None = None,
    on_start: Callable[[int], None] | None = None,
    own_group: bool = False,
) -> Outcome:
    """Call `function` in a fork of this process and say how that ended; its value has to be picklable.

    `memory` is a limit of the address space in bytes on top of what is in use; `on_start` is told the child's process
    number; with `own_group` the child leads a process group, all of which is killed in the end.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    read, write = os.pipe()
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _be_the_child(function, read, write, quiet, memory, own_group)
    os.close(write)
    if own_group:
        with suppress(OSError):
            os.setpgid(pid, pid)
    if on_start is not None:
        on_start(pid)
    answer, hung = _listen(read, start + limit_s)
    os.close(read)
    if hung:
        _kill(pid, own_group)
    _, code = os.waitpid(pid, 0)
    if own_group:
        _kill(pid, True)
    seconds = time.monotonic() - start
    if hung:
        return Outcome("hung", None, seconds)
    if os.WIFSIGNALED(code):
        return Outcome("killed", os.WTERMSIG(code), seconds)
    try:
        status, value = pickle.loads(answer)
    except (EOFError, pickle.UnpicklingError):
        return Outcome("left", os.WEXITSTATUS(code), seconds)
    return Outcome(status, value, seconds)


def _be_the_child(function: Callable[[], Any], read: int, write: int, quiet: bool, memory: int | None, own_group: bool):
    code = 1
    try:
        os.close(read)
        if own_group:
            os.setpgid(0, 0)
        if quiet:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
        if memory is not None:
            with open("/proc/self/statm") as f:
                used = int(f.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
        try:
            answer = ("returned", function())
            data = pickle.dumps(answer)
        except BaseException:
            data = pickle.dumps(("raised", traceback.format_exc()))
        with os.fdopen(write, "wb") as f:
            f.write(data)
        code = 0
    finally:
        os._exit(code)


def _listen(read: int, deadline: float) -> tuple[bytes, bool]:
    parts = []
    while True:
        ready, _, _ = select.select([read], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return b"".join(parts), True
        part = os.read(read, 1 << 16)
        if not part:
            return b"".join(parts), False
        parts.append(part)


def _kill(pid: int, group: bool) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL) if group else os.kill(pid, signal.SIGKILL)


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as text, the columns those of the first."""
    lines = [[str(k) for k in rows[0]]] + [[str(row[k]) for k in rows[0]] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, ["-" * w for w in widths])
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths)).rstrip() for line in lines)

"""Progress of long work: a bar in a terminal and in a notebook, a line now and then in a file or a pipe.

A bar appears after two seconds and vanishes when the work is done. What is written into a log stays there, so it gets a
line after half a minute, and then each time that the work has taken half as long again: an hour's work leaves ten.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_FIRST_LINE = 30.0  # s until the first line in a log
_GROWTH = 1.5  # the next line is due when this many times as much time has passed
_LONGEST_PAUSE = 600.0  # s; a log that says nothing for longer looks dead
_COUNTS: ContextVar[Callable[[float], Any] | None] = ContextVar("counts", default=None)
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left{postfix}]"


def progress_bar(
    iterable: Iterable[Any] | None = None,
    *,
    desc: str,
    show: bool,
    total: int | None = None,
    initial: int = 0,
    unit: str = "",
    delay: float = 2.0,
) -> Any:
    """A bar with tqdm's methods `update`, `set_postfix_str` and `close`, for the place that it is shown in.

    Parameters
    ----------
    iterable : iterable, optional
        What to go through; without it, `update` counts.
    desc : str
        What is being done, in words.
    show : bool
        False: nothing is shown.
    total, initial : int
        Units of work in all, and those that were done before.
    unit : str
        What is counted, in the plural.
    delay : float
        Seconds until the bar appears.
    """
    if total is None and hasattr(iterable, "__len__"):
        total = len(iterable)  # pyright: ignore[reportArgumentType]
    if show and not in_notebook() and not _isatty(sys.stderr):
        return _Lines(iterable, desc, total, initial, unit)
    options: dict[str, Any] = {"desc": desc, "total": total, "initial": initial, "delay": delay, "leave": False}
    options |= {"disable": not show, "mininterval": 0.2}
    if total is not None:
        options["bar_format"] = _BAR
    if show and in_notebook():
        if importlib.util.find_spec("ipywidgets"):
            from tqdm.notebook import tqdm as notebook_bar

            return notebook_bar(iterable, **{k: v for k, v in options.items() if k != "bar_format"})
        options |= {"file": sys.stdout, "ncols": 90}  # red lines look like errors
    else:
        options["dynamic_ncols"] = True
    from tqdm import tqdm

    return tqdm(iterable, **options)


@contextmanager
def counting(bar: Any) -> Iterator[None]:
    """Within the block, work further down that calls `count_one` moves this bar."""
    token = _COUNTS.set(bar.update)
    try:
        yield
    finally:
        _COUNTS.reset(token)


def count_one() -> None:
    """A unit of work is done: move the bar of whoever waits for it, if there is one in this thread."""
    update = _COUNTS.get()
    if update is not None:
        update(1)


def say(text: str) -> None:
    """Write a line to stderr (a notebook: below the cell) without tearing a bar that is shown."""
    from tqdm import tqdm

    tqdm.write(text, file=sys.stdout if in_notebook() else sys.stderr)


def in_notebook() -> bool:
    """Whether this is a cell of Jupyter or of a service that runs its kernels."""
    if "IPython" not in sys.modules:
        return False
    shell = getattr(sys.modules["IPython"], "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


def duration(seconds: float) -> str:
    """A time in words: "45 s", "3 min 20 s", "2 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class _Lines:
    """Lines in a log in place of a bar."""

    def __init__(self, iterable: Iterable[Any] | None, desc: str, total: int | None, initial: int, unit: str):
        self._iterable, self.desc, self.total, self.unit = iterable, desc, total, unit
        self.n = self._first = initial
        self.disable = False
        self._note = ""
        self._began = time.monotonic()
        self._due = self._began + _FIRST_LINE
        self._written = False

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        for item in self._iterable or ():
            yield item
            self.update()
        self.close()

    def update(self, n: float = 1) -> None:
        """Count `n` more units as done."""
        self.n += n
        now = time.monotonic()
        if now >= self._due:
            spent = now - self._began
            self._due = now + min(max(_FIRST_LINE, (_GROWTH - 1) * spent), _LONGEST_PAUSE)
            self._write(self._line(spent))

    def _write(self, line: str) -> None:
        self._written = True
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def _line(self, spent: float) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if not self.total:
            return f"{self.desc}: {self.n:g}{unit} after {duration(spent)}"
        done, rest = self.n - self._first, self.total - self.n
        left = f", about {duration(spent * rest / done)} left" if done > 0 and rest > 0 else ""
        note = f"; {self._note}" if self._note else ""
        return f"{self.desc}: {self.n:g} of {self.total:g}{unit} after {duration(spent)}{left}{note}"

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        """Say `text` behind the numbers of the next line."""
        self._note = text

    def set_description_str(self, text: str, refresh: bool = True) -> None:
        """Say what is done from now on."""
        self.desc = text

    def refresh(self) -> None:
        """Nothing: lines come when they are due."""

    def close(self) -> None:
        """Where lines were written, one more says how far the work came; what was written stays."""
        if self._written:
            self._write(self._line(time.monotonic() - self._began))
            self._written = False


def _isatty(stream: Any) -> bool:
    return bool(stream is not None and getattr(stream, "isatty", lambda: False)())

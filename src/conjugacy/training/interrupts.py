"""Ctrl-C takes effect between gradient steps: in the middle of one, weights would have moved in an uncounted step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """A count of how often Ctrl-C was pressed.

    Attributes
    ----------
    count : int
    """

    def __init__(self):
        self.count = 0

    def check(self) -> None:
        """Raise KeyboardInterrupt if it was pressed: call this where no step is half done."""
        if self.count:
            raise KeyboardInterrupt


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """A context in which Ctrl-C is counted and takes effect at the next `check`; pressed again, at once.

    Where the handler of Ctrl-C is not Python's (another handler, another thread), nothing changes.
    """
    pressed = Interrupts()
    ours = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    if not ours or before is not signal.default_int_handler:
        yield pressed
        return

    def count(number: int, frame: FrameType | None) -> None:
        pressed.count += 1
        if pressed.count > 1:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, count)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)

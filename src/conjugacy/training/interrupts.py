"""Ctrl-C between gradient steps: in the middle of one, weights would have moved that are not counted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """How often Ctrl-C was pressed.

    Attributes
    ----------
    count : int
    """

    def __init__(self):
        self.count = 0

    def check(self) -> None:
        """Raise KeyboardInterrupt if it was pressed: call this where nothing is half done."""
        if self.count:
            raise KeyboardInterrupt


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """A context in which Ctrl-C is counted, and acts when it is asked about; pressed again, it acts at once.

    Where Ctrl-C is not Python's own (another handler, another thread), it stays as it is.
    """
    told = Interrupts()
    ours = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    if not ours or before is not signal.default_int_handler:
        yield told
        return

    def count(number: int, frame: FrameType | None) -> None:
        told.count += 1
        if told.count > 1:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, count)
    try:
        yield told
    finally:
        signal.signal(signal.SIGINT, before)

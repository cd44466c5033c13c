"""A lock on the folder of a run, so that no two processes train the same run, nor write it at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from conjugacy.runs.folder import clear_half_written

try:
    import fcntl
except ImportError:  # not on Windows, where nothing is locked
    fcntl = None

_SECONDS_BETWEEN_TRIES = 0.2


@contextmanager
def locked(folder: str | os.PathLike, give_up: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """A context in which no other process holds the lock of `folder`; whoever has it is waited for.

    The lock is a file beside the folder. It falls with the process that holds it, however that ends; what such a
    process left half-written is cleared away by the next one.

    Raises
    ------
    RuntimeError
        If `give_up` says so while it waits.
    """
    if fcntl is None:
        yield
        return
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f".{folder.name}.lock")
    while True:
        with open(path, "a") as f:
            if _taken(f, path):
                try:
                    clear_half_written(folder)
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return
        if give_up():
            raise RuntimeError(f"another process trains {folder}; asked to stop while waiting for it")
        time.sleep(_SECONDS_BETWEEN_TRIES)


def _taken(f, path: Path) -> bool:
    assert fcntl is not None
    try:
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # whoever had it before removed the file: then this one is not the one that others see
    return path.exists() and os.fstat(f.fileno()).st_ino == path.stat().st_ino

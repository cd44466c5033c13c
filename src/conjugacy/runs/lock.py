"""A lock on the folder of a run, so that no two processes train the same run, nor write it at once."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from conjugacy._notes import note

if TYPE_CHECKING:
    from filelock import FileLock

LOCK = ".lock"
_SECONDS_BETWEEN_TRIES = 0.2
_NO_LOCKS_HERE = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}


def at_once() -> bool:
    """Do not wait for a lock."""
    return True


def not_yet() -> bool:
    """Wait for a lock as long as it takes."""
    return False


@contextmanager
def locked(folder: str | os.PathLike, give_up: Callable[[], bool] = not_yet, argument: str = "out") -> Iterator[None]:
    """A context in which no other process holds the lock of `folder`; whoever has it is waited for.

    The lock is a file in the folder, which is made if it is not there. It falls with the process that holds it, however
    that ends. Where the file system has no locks, a warning says so.

    Raises
    ------
    BlockingIOError
        If another holds it and `give_up` says not to wait (longer).
    OSError
        If nothing can be written to the folder. Both name it as the argument `argument`.
    """
    from filelock import FileLock  # costs time that a command without need of it should not take

    folder = Path(folder)
    is_new = not folder.exists()
    lock = FileLock(folder / LOCK)
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            taken = _taken(lock, folder)
        except OSError as error:
            if error.errno in _NO_LOCKS_HERE:
                break
            reason = error.strerror or error
            raise type(error)(
                f"`{argument}`: cannot write to {folder} ({reason}). Name a folder that can be written."
            ) from None
        except ValueError as error:
            raise ValueError(f"`{argument}`: expected the path of a folder, got {str(folder)!r} ({error}).") from None
        if taken:
            break
        if give_up():
            raise BlockingIOError(
                f"`{argument}`: {folder} is in use: another process trains or saves there. "
                "Wait until it has ended, or name another folder."
            )
        time.sleep(_SECONDS_BETWEEN_TRIES)
    if not lock.is_locked:
        note(f"`{argument}`: the file system of {folder} has no locks; let no other process train there.", stacklevel=3)
    try:
        yield
    finally:
        _release(lock, folder, is_new)


def _taken(lock: FileLock, folder: Path) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    except NotImplementedError as error:
        raise OSError(errno.ENOSYS, "no locks") from error
    except FileNotFoundError:
        if folder.exists():
            raise
        return False  # whoever made the folder has just taken it away
    return True


def _release(lock: FileLock, folder: Path, is_new: bool) -> None:
    try:
        with suppress(OSError):
            if os.name == "nt":  # an open file cannot be removed there
                lock.release()
            (folder / LOCK).unlink(missing_ok=True)  # elsewhere it is removed while it is held: nobody else has it then
    finally:
        lock.release()
    if is_new:
        with suppress(OSError):
            folder.rmdir()  # if nothing came of it

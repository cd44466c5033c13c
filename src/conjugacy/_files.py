"""Files written whole or not at all, and read without surprises.

A file is written beside the one it takes the place of, forced to the disk, and moved there in one step. A set of files
in a folder is sealed by one of them that says what the others hold (their hashes): until the seal is moved to its
place, the old set holds, and from then on the new one does, wherever its files are; see `find`. Nothing else in the
folder is touched, and the folder itself is never moved, so it may be a symbolic link or a mount point.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from conjugacy._check import shown

_LONGEST_NAME = 100
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # no files of Windows


def check_path(name: str, value: Any, what: str = "folder") -> Path:
    """The path that is given as argument `name`; `what` it leads to, for messages."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value) or isinstance(os.fspath(value), bytes):
        raise TypeError(f"`{name}`: expected the path of a {what}, got {shown(value)}.")
    return Path(value)


def write_file(path: str | os.PathLike, data: bytes) -> Path:
    """Write a file whole or not at all; what was there before stays until it is replaced. Returns its path.

    A symbolic link is followed. What is neither a file nor missing (a terminal, a pipe) is written to as it is.

    Raises
    ------
    OSError
        If it cannot be written; the message names the file.
    """
    real = Path(os.path.realpath(path))
    with _named(path, "written"):
        if real.exists() and not real.is_file():
            with open(real, "wb") as f:
                f.write(data)
            return Path(path)
        fresh = real.with_name(f".{real.name[:_LONGEST_NAME]}.{secrets.token_hex(8)}.new")
        try:
            _write_to_disk(fresh, data)
            if real.exists():
                fresh.chmod(stat.S_IMODE(real.stat().st_mode))
            os.replace(fresh, real)
        except BaseException:
            with suppress(OSError):
                fresh.unlink()
            raise
    return Path(path)


def write_sealed(folder: Path, files: Mapping[str, bytes], seal: str) -> None:
    """Write a set of files to a folder, whole or not at all; nobody else may be writing there.

    `seal` is the one among `files` by which a reader tells the others (see `find`). What an earlier kill has left on
    its way has to be moved to its place first, see `finish_sealed`.

    Raises
    ------
    OSError
        If they cannot be written; the message names the folder. What was there before is as it was.
    """
    with _named(folder, "written to"):
        try:
            for name, data in files.items():
                _write_to_disk(_staged(folder / name), data)
        except BaseException:
            clear_staged(folder, files)
            raise
        others = [name for name in files if name != seal]
        # where there is no old set, nothing is to be seen of the new one before it is whole
        for name in [seal, *others] if (folder / seal).exists() else [*others, seal]:
            os.replace(_staged(folder / name), folder / name)
        _sync_folder(folder)


def find(path: Path, is_right: Callable[[bytes], bool]) -> bytes:
    """The content of a file of a sealed set: what is in its place or, after a kill, what was about to be moved there.

    `is_right` compares a content with what the seal says. If none is right, that in place is returned.
    """
    staged = _staged(path)
    found = read_file(path) if os.path.lexists(path) or not staged.is_file() else None
    if found is not None and is_right(found):
        return found
    if staged.is_file():
        waiting = read_file(staged)
        if is_right(waiting):
            return waiting
    return read_file(path) if found is None else found


def finish_sealed(folder: Path, names: Iterable[str], is_right: Callable[[str, bytes], bool]) -> None:
    """Move to their places what a kill has left on the way there, and remove what belongs to no sealed set."""
    for name in names:
        staged = _staged(folder / name)
        if staged.is_file():
            if is_right(name, read_file(staged)):
                os.replace(staged, folder / name)
            else:
                staged.unlink()


def clear_staged(folder: Path, names: Iterable[str]) -> None:
    """Remove files of a set that was never sealed."""
    for name in names:
        with suppress(OSError):
            _staged(folder / name).unlink()


def is_staged(name: str, names: Iterable[str]) -> bool:
    """Whether a file of this name is one of `names` on its way to its place."""
    return name in {_staged(Path(other)).name for other in names}


def read_file(path: str | os.PathLike) -> bytes:
    """The content of a file.

    Raises
    ------
    OSError
        If it is missing, no file (a folder, a pipe, a device), or cannot be read; one line that names it.
    """
    with _named(path, "read"), open(path, "rb", opener=_open_without_waiting) as f:
        if not stat.S_ISREG(os.fstat(f.fileno()).st_mode):
            raise OSError(0, "it is no file")
        return f.read()


def same_text(digest: str, data: bytes) -> bool:
    """Whether `digest` is the SHA-256 of `data`, or of the same text with the line ends of another system."""
    plain = data.replace(b"\r\n", b"\n")
    return any(sha256(d).hexdigest() == digest for d in (data, plain, plain.replace(b"\n", b"\r\n")))


def file_stem(name: str) -> str:
    """A name for a file that is as near to `name` as is safe: it stays in its folder on every system.

    Names that are safe already stay as they are; others get a part of their hash, so that no two become one.
    """
    safe = re.sub(r"[^\w.,=+ -]", "_", name).strip(" ")
    safe = re.sub(r"^\.+|\.+$", "_", safe)[:_LONGEST_NAME]
    if safe and safe == name and not _RESERVED.fullmatch(safe):
        return safe
    return f"{safe or 'unnamed'}-{sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}".replace(" ", "_")


def _staged(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _write_to_disk(path: Path, data: bytes) -> None:
    with open(path, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _open_without_waiting(path: str, flags: int) -> int:
    # a pipe that nobody writes to would be waited for without end
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@contextmanager
def _named(path: str | os.PathLike, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.strerror is None:  # in our words already
            raise
        raise type(error)(f"{os.fspath(path)}: cannot be {what} ({error.strerror}).") from error

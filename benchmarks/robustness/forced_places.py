"""Count the calls that change files below a folder, and end the process at the k-th of them."""

from __future__ import annotations

import builtins
import io
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CALLS = ("replace", "rename", "remove", "unlink", "rmdir", "mkdir", "fsync", "link", "symlink", "truncate", "chmod")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Places:
    """Hooks in the calls that change files below `base`, each of which is a place to be killed at.

    A place is a number k and a manner: "before" the k-th call, or "within" it: half of the bytes of a file written, for
    the calls that write (for others the same as before).

    Attributes
    ----------
    n : int
        Calls so far.
    names : list of str
        What they were.
    completed : int
        Renames that were done so far.
    """

    def __init__(
        self, base: Path, kill_at: int | None = None, manner: str = "before", signal_: int = signal.SIGKILL
    ) -> None:
        self.base, self.kill_at, self.manner, self.signal = str(base), kill_at, manner, signal_
        self.n, self.completed, self.names = 0, 0, []
        self.on_place: Callable[[str], None] = lambda name: None  # before the kill
        self.on_rename: Callable[[Path], None] = lambda to: None  # once it is done
        self._busy = False

    def install(self) -> None:
        """From now on in this process."""
        for name in _CALLS:
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        opened = builtins.open
        builtins.open = io.open = self._opened(opened)
        os.open = self._os_open(os.open)
        try:
            import safetensors.torch
        except ImportError:
            return
        if hasattr(safetensors.torch, "serialize_file"):  # it writes outside of Python
            safetensors.torch.serialize_file = self._serialized(safetensors.torch.serialize_file)

    def place(self, name: str, within: Callable[[], Any] | None = None) -> None:
        """Count a call; be killed here if it is the one."""
        self.n += 1
        self.names.append(name)
        self.on_place(name)
        if self.kill_at == self.n:
            if within is not None and self.manner == "within" and self.signal == signal.SIGKILL:
                self._busy = True
                within()
            os.kill(os.getpid(), self.signal)
            if self.signal == signal.SIGINT:
                time.sleep(0)  # Python raises KeyboardInterrupt between two instructions: here

    def _ours(self, path: Any, dir_fd: Any = None) -> bool:
        if self._busy:
            return False
        if dir_fd is not None or isinstance(path, int):
            try:
                path = os.readlink(f"/proc/self/fd/{dir_fd if dir_fd is not None else path}")
            except OSError:
                return False
        path = os.path.abspath(os.fsdecode(path))
        return path == self.base or path.startswith(self.base + os.sep)

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            ours = bool(args) and self._ours(args[0], options.get("dir_fd"))
            if ours:
                self.place(f"{name} {_short(args[0], self.base)}")
            value = real(*args, **options)
            if ours and name in ("replace", "rename"):
                self.completed += 1
                self.on_rename(Path(os.fsdecode(args[1])))
            return value

        return call

    def _opened(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            writes = isinstance(mode, str) and any(c in mode for c in "wax+")
            if not writes or isinstance(file, int) or not self._ours(file):
                return real(file, mode, *args, **options)
            self.place(f"open {_short(file, self.base)}")
            opened = real(file, mode, *args, **options)
            write = opened.write

            def half(data: Any) -> Any:
                self.place(f"write {_short(file, self.base)}", lambda: (write(data[: len(data) // 2]), opened.flush()))
                return write(data)

            try:
                opened.write = half
            except AttributeError:  # a file of C has no attributes of its own
                return _Writes(opened, half)
            return opened

        return call

    def _os_open(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, flags: int, *args: Any, **options: Any) -> Any:
            if flags & _WRITES and self._ours(path, options.get("dir_fd")):
                self.place(f"os.open {_short(path, self.base)}")
            return real(path, flags, *args, **options)

        return call

    def _serialized(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(tensors: Any, filename: Any, *args: Any, **options: Any) -> Any:
            def half() -> None:
                real(tensors, filename, *args, **options)
                with open(filename, "r+b") as f:
                    f.truncate(os.path.getsize(filename) // 2)

            if self._ours(filename):
                self.place(f"write {_short(filename, self.base)}", half)
            return real(tensors, filename, *args, **options)

        return call


class _Writes:
    """A file whose `write` is another."""

    def __init__(self, file: Any, write: Callable[[Any], Any]) -> None:
        self._file, self.write = file, write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Writes:
        self._file.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._file.__exit__(*error)

    def __iter__(self) -> Any:
        return iter(self._file)


def _short(path: Any, base: str) -> str:
    path = os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else os.fsdecode(path)
    return path.removeprefix(base).lstrip("/")

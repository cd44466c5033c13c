"""Step: one thing done to a recording, so that it can be named in a line of text and done again to another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """A method of `Recording` that was called, with its arguments.

    Attributes
    ----------
    method : str
        Name of the method.
    settings : mapping of str to plain value
        Its keyword arguments.
    text : str
        What it did, in words.
    """

    method: str
    settings: Mapping[str, Any]
    text: str

    def plain(self) -> dict[str, Any]:
        """The step as plain values, for files."""
        return {"method": self.method, "settings": dict(self.settings), "text": self.text}


def milliseconds(seconds: float) -> str:
    """A duration as text, in ms."""
    return f"{seconds * 1000:g} ms"

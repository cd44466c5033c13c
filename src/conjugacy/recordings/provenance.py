"""Step: one thing done to a recording, so that it can be named in a line of text and done again to another one.

Steps come from files too, so a step can be nothing but one of `METHODS`: no other method is ever called for a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conjugacy._check import check_choice

METHODS = (
    "smooth",
    "bin",
    "resample",
    "sqrt",
    "soft_normalise",
    "average",
    "remove_condition_independent",
    "window",
    "select",
)


@dataclass(frozen=True)
class Step:
    """A method of `Recording` that was called, with its arguments.

    Attributes
    ----------
    method : str
        Name of the method, one of `METHODS`.
    settings : mapping of str to plain value
        Its keyword arguments.
    text : str
        What it did, in words.
    """

    method: str
    settings: Mapping[str, Any]
    text: str

    def __post_init__(self):
        check_choice("method", self.method, METHODS)

    def plain(self) -> dict[str, Any]:
        """The step as plain values, for files."""
        return {"method": self.method, "settings": dict(self.settings), "text": self.text}


def milliseconds(seconds: float) -> str:
    """A duration as text, in ms."""
    return f"{seconds * 1000:g} ms"

"""Warnings that must not stop what they are about, and errors in one line."""

from __future__ import annotations

import logging
import warnings


class OlderFileWarning(UserWarning):
    """A file of an earlier version, in which some changes cannot be noticed."""


def note(message: str, category: type[Warning] = UserWarning, stacklevel: int = 2) -> None:
    """Warn; where warnings are made errors, log the message instead: a result is never lost to a warning about it."""
    try:
        warnings.warn(message, category, stacklevel=stacklevel + 1)
    except category:
        logging.getLogger("conjugacy").warning(message)


def one_line(error: Exception) -> str:
    """The message of an error in one line; its type, where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def error_line(error: Exception) -> str:
    """The type and the message of an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"

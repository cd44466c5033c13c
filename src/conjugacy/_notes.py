"""Warnings that must not stop what they are about."""

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

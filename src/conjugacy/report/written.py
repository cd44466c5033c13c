"""What was written, in a few lines: the folders, and the files in each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from conjugacy.report.columns import wrapped


def written(paths: Sequence[Path]) -> str:
    """A line for each folder, with the names of the files in it."""
    folders: dict[Path, list[str]] = {}
    for path in map(Path, paths):
        folders.setdefault(path.parent, []).append(path.name)
    return "\n".join(wrapped(f"Written to {folder}: {', '.join(names)}", 0, 2) for folder, names in folders.items())

"""Writing animations to a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conjugacy._progress import progress_bar
from conjugacy.analysis._given import check_kind

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation


def checked_path(path: Any, fps: int) -> tuple[Path | None, Any]:
    """The path, and what writes to it: nothing for None.

    Raises
    ------
    TypeError, ValueError
        If the file is neither gif nor mp4, or ffmpeg is missing.
    """
    from matplotlib.animation import FFMpegWriter, PillowWriter

    if path is None:
        return None, None
    path = Path(check_kind("path", path, (str, os.PathLike), "a path that ends in .gif or .mp4, or None"))
    if path.suffix == ".gif":
        return path, PillowWriter(fps=fps)
    if path.suffix != ".mp4":
        raise ValueError(f"`path`: expected a file that ends in .gif or .mp4, got {path.name!r}.")
    if not FFMpegWriter.isAvailable():
        raise ValueError("`path`: .mp4 needs the program ffmpeg, which is not installed. Install it, or write a .gif.")
    return path, FFMpegWriter(fps=fps)


def write(animation: FuncAnimation, path: Path, writer: Any, n_frames: int, progress: bool) -> None:
    """Write all frames, with a bar."""
    with progress_bar(total=n_frames, desc="Writing the animation", show=progress, unit="frames") as bar:
        animation.save(str(path), writer=writer, dpi=90, progress_callback=lambda i, n: bar.update(1))

"""numba's njit, with its compiled code kept between processes wherever there is a place for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def njit(*, cache: bool = True, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit(...)``; where no folder can be written (a container), code is compiled anew in every process.

    numba looks for a folder in ``NUMBA_CACHE_DIR``, beside the source file, and in the user's own cache.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        if cache:
            try:
                return numba.njit(cache=True, **options)(function)
            except RuntimeError:  # no place to keep it
                pass
        return numba.njit(**options)(function)

    return compiled

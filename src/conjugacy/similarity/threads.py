"""Work on all cores: threads, since the work is in NumPy and compiled loops, which let go of the interpreter lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from conjugacy._threads import one_blas_thread


def map_threads(
    work: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    n_threads: int | None = None,
    progress: bool = False,
    label: str = "",
) -> list[Any]:
    """``[work(item) for item in items]``, on `n_threads` threads (None: all cores). Order is kept; so are exceptions.

    BLAS runs on one thread meanwhile: with its own threads below ours, cores would be asked for many times over.
    """
    from tqdm.auto import tqdm

    n_threads = min(n_threads or os.cpu_count() or 1, max(len(items), 1))
    bar = tqdm(total=len(items), desc=label, disable=not progress, leave=False)
    with one_blas_thread(), bar:
        if n_threads == 1:
            return [_and_tick(work, item, bar) for item in items]
        # blocks, so that a future costs nothing next to its work
        size = max(1, min(32, len(items) // (4 * n_threads)))
        blocks = [items[i : i + size] for i in range(0, len(items), size)]
        pool = ThreadPoolExecutor(n_threads)
        try:
            done = list(pool.map(lambda block: [_and_tick(work, item, bar) for item in block], blocks))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown()
        return [result for block in done for result in block]


def _and_tick(work: Callable[[Any], Any], item: Any, bar: Any) -> Any:
    result = work(item)
    bar.update()
    return result

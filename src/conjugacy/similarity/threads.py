"""Work on all cores: threads, since the work is in NumPy and compiled loops, which let go of the interpreter lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from conjugacy._threads import one_blas_thread

_LIMIT: ContextVar[int | None] = ContextVar("n_threads", default=None)


def map_threads(
    work: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    n_threads: int | None = None,
    progress: bool = False,
    label: str = "",
) -> list[Any]:
    """``[work(item) for item in items]``, on `n_threads` threads. Order is kept; so are exceptions.

    None: as many as an enclosing `at_most_threads` says, else one for each core that this process may use.

    BLAS runs on one thread meanwhile: with its own threads below ours, cores would be asked for many times over.
    """
    from tqdm.auto import tqdm

    n_threads = min(n_threads or _LIMIT.get() or _n_cores(), max(len(items), 1))
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


@contextmanager
def at_most_threads(n_threads: int | None) -> Iterator[None]:
    """A context in which `map_threads` takes `n_threads` threads where it is not told otherwise; None: all cores."""
    token = _LIMIT.set(n_threads)
    try:
        yield
    finally:
        _LIMIT.reset(token)


def _n_cores() -> int:
    # batch systems and containers often leave a process fewer cores than the machine has
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _and_tick(work: Callable[[Any], Any], item: Any, bar: Any) -> Any:
    result = work(item)
    bar.update()
    return result

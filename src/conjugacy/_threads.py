"""How many CPU threads torch and our own kernels use, for a while.

A step of a recurrent network is a small matrix product, and a sequence is hundreds of them, one after the other. Two
threads save a fifth of a training step (GRU-128, 64 trials), and have to meet after each product: where anything else
runs on the machine, they wait for each other, and a step took up to 27 times as long (two shared cores). So small steps
run on one thread of torch. Our kernels (`on_threads`) cut the trials instead and meet once a sequence; they use as many
threads as torch was given by the user.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import torch

from conjugacy._progress import progress_bar

_SMALL = 2**17  # state variables of all trials at one step
_KERNEL_THREADS: ContextVar[int | None] = ContextVar("kernel threads", default=None)
_blas_lock = threading.Lock()
_blas_users = 0
_blas_limit = None
_MOST: ContextVar[int | None] = ContextVar("n_threads", default=None)


def threads_for(n_states: int) -> int | None:
    """1 if a step of `n_states` state variables in all is small; else None: as many as torch uses."""
    return 1 if n_states <= _SMALL else None


@contextmanager
def torch_threads(n: int | None, kernels: int | None = None) -> Iterator[None]:
    """A context in which torch computes on `n` CPU threads; None changes nothing.

    Our own kernels go on with as many as torch had outside the outermost context, or take `kernels` if it is given.
    """
    before = torch.get_num_threads()
    token = _KERNEL_THREADS.set(kernels or _KERNEL_THREADS.get() or before)
    if n is not None and n != before:
        torch.set_num_threads(n)
    try:
        yield
    finally:
        _KERNEL_THREADS.reset(token)
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def on_threads(work: Callable[[int], None], n_items: int) -> None:
    """Call ``work(0) ... work(n_items - 1)``, each of which lets go of the interpreter lock, and wait for all.

    BLAS runs on one thread meanwhile. The threads live no longer than the call: none is missing after a fork.
    """
    n_threads = min(_KERNEL_THREADS.get() or torch.get_num_threads(), n_items)
    with one_blas_thread():
        if n_threads == 1:
            for k in range(n_items):
                work(k)
            return
        with ThreadPoolExecutor(n_threads) as pool:
            for done in [pool.submit(work, k) for k in range(n_items)]:
                done.result()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """A context in which BLAS runs on one thread: for many small products, more threads are slower."""
    global _blas_users, _blas_limit
    # the limit holds for the whole process: the first to ask sets it, the last to leave lifts it
    with _blas_lock:
        if not _blas_users:
            _blas_limit = _blas().limit(limits=1, user_api="blas")
        _blas_users += 1
    try:
        yield
    finally:
        with _blas_lock:
            _blas_users -= 1
            if not _blas_users and _blas_limit is not None:
                _blas_limit.restore_original_limits()


@lru_cache(maxsize=1)
def _blas():
    """Handle on the BLAS libraries; finding them takes milliseconds, so it is done once, when all are loaded."""
    import scipy.linalg  # noqa: F401  (brings a BLAS of its own)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


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
    n_threads = min(n_threads or _MOST.get() or cores(), max(len(items), 1))
    bar = progress_bar(total=len(items), desc=label, show=progress)
    with one_blas_thread(), bar:
        if n_threads == 1:
            return [_and_count(work, item, bar) for item in items]
        # blocks, so that a future costs nothing next to its work
        size = max(1, min(32, len(items) // (4 * n_threads)))
        blocks = [items[i : i + size] for i in range(0, len(items), size)]
        pool = ThreadPoolExecutor(n_threads)
        try:
            done = list(pool.map(lambda block: [_and_count(work, item, bar) for item in block], blocks))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown()
        return [result for block in done for result in block]


@contextmanager
def at_most_threads(n_threads: int | None) -> Iterator[None]:
    """A context in which `map_threads` takes `n_threads` threads where it is not told otherwise; None: all cores."""
    token = _MOST.set(n_threads)
    try:
        yield
    finally:
        _MOST.reset(token)


def cores() -> int:
    """CPU cores that this process may use: batch systems and containers often grant fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _and_count(work: Callable[[Any], Any], item: Any, bar: Any) -> Any:
    result = work(item)
    bar.update()
    return result

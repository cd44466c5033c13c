"""How the kernels cut a rollout: blocks of trials that run through time by themselves, and the buffers they leave.

A block runs forward and backward in one compiled call that holds no interpreter lock. So blocks share out over threads
that meet once a rollout, not once a step; what a block needs at a step stays in the cache next to its core; and the
matrix products of one core are those of one thread. How trials are cut depends on their number alone, and the gradients
of the blocks are added in order: the numbers do not depend on the number of threads.
"""

from __future__ import annotations

from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
from torch import nn

_LARGEST = 64  # trials of a block: beyond, matrix products run no faster, and buffers leave the cache
_UNCUT = 16  # trials that are not worth a second block

# the buffers of the last size that each cell was trained with: fresh pages cost about as much as the arithmetic on them
_SPARE: WeakKeyDictionary[nn.Module, tuple[tuple[int, ...], list[np.ndarray]]] = WeakKeyDictionary()


def trial_blocks(n: int) -> list[slice]:
    """The trials of each block: an even number of blocks of nearly equal size, so that two threads have the same."""
    n_blocks = 1 if n < _UNCUT else 2 * -(-n // (2 * _LARGEST))
    edges = [k * n // n_blocks for k in range(n_blocks + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


def take_buffers(cell: nn.Module, blocks: list[slice], n_steps: int, width: int) -> list[np.ndarray]:
    """A float32 buffer (time, trial, width) for each block; those given back last if they fit and are free."""
    sizes = (n_steps, blocks[-1].stop, width)
    if n_steps:
        known, spare = _SPARE.pop(cell, ((), []))
        if known == sizes:
            return spare
    return [np.empty((n_steps, b.stop - b.start, width), np.float32) for b in blocks]


def give_back(cell: nn.Module, buffers: list[np.ndarray]) -> None:
    """Keep the buffers of one rollout for the next one of the same size."""
    n_steps, _, width = buffers[0].shape
    _SPARE[cell] = ((n_steps, sum(b.shape[1] for b in buffers), width), buffers)

"""How many CPU threads torch uses, for a while.

A step of a recurrent network is a small matrix product, and a sequence is hundreds of them, one after the other. Two
threads save a fifth of a training step (GRU-128, 64 trials), and have to meet after each product: where anything else
runs on the machine, they wait for each other, and a step took up to 27 times as long (two shared cores). So small steps
run on one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SMALL = 2**17  # state variables of all trials at one step


def threads_for(n_states: int) -> int | None:
    """1 if a step of `n_states` state variables in all is small; else None: as many as torch uses."""
    return 1 if n_states <= _SMALL else None


@contextmanager
def torch_threads(n: int | None) -> Iterator[None]:
    """A context in which torch computes on `n` CPU threads; None changes nothing."""
    before = torch.get_num_threads()
    if n is None or n == before:
        yield
        return
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)

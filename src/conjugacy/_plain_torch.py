"""Torch as it starts: what a user sets for the whole process does not change what we train or draw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def plain_dtype() -> Iterator[None]:
    """A context in which new tensors are float32 and on the CPU unless told otherwise."""
    before = torch.get_default_dtype()
    with ExitStack() as stack:
        if before != torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, before)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


@contextmanager
def plain_torch() -> Iterator[None]:
    """The same, with gradients on and without automatic mixed precision."""
    with ExitStack() as stack:
        stack.enter_context(plain_dtype())
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield

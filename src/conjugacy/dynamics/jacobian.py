"""Exact Jacobians of any step(x, u), a batch at a time, in bounded memory.

Closed forms of known cells live in `closed_forms.py`; here is what serves every other function: automatic
differentiation over a batch (torch.func), and a row-by-row reverse mode for functions that torch.func cannot trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from conjugacy._torch import NoConversions

# one (chunk, D, D) float64 temporary stays near the cache and below this many bytes; a handful of them live at a time
_CHUNK_BYTES = 32 * 2**20

_MENDING = (
    "expected a function that torch can differentiate, got {}. "
    "Compute it from x and u with torch operations, without detach(), no_grad() or NumPy."
)


def chunks(n: int, n_units: int, n_copies: int = 1) -> Iterator[slice]:
    """Slices of range(n) such that a (chunk, D, D) array in float64 stays small, whatever D is."""
    size = max(1, int(_CHUNK_BYTES / (8 * max(1, n_units) ** 2 * n_copies)))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def autodiff_jacobian(step: Callable[[Tensor, Tensor], Tensor], x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of ``step(x, u)`` with respect to state and input, by automatic differentiation.

    Parameters
    ----------
    step : callable
        (B, D), (B, I) -> (B, D'), rows independent of each other.
    x, u : Tensor (B, D) and (B, I), float64

    Returns
    -------
    tuple of Tensor
        dF/dx (B, D', D) and dF/du (B, D', I).

    Raises
    ------
    TypeError
        If the function breaks the graph (works in NumPy, detaches, or runs under ``no_grad``).
    """
    with torch.inference_mode(False):
        # tensors made in inference mode cannot be differentiated through; copies of them can
        x, u = (v.clone() if v.is_inference() else v for v in (x, u))
        return _jacobian(step, x, u)


def _jacobian(step: Callable[[Tensor, Tensor], Tensor], x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    if not len(x):
        n_out = step(x, u).shape[-1]
        return x.new_zeros(0, n_out, x.shape[-1]), x.new_zeros(0, n_out, u.shape[-1])
    try:
        return _vectorised(step, x, u)
    except (RuntimeError, NotImplementedError, ValueError, TypeError):
        # data-dependent control flow, in-place writes, conversions of modules and operations without a batching rule
        pass
    try:
        return _row_by_row(step, x, u)
    except RuntimeError as error:
        if "numpy" not in str(error):
            raise
        raise TypeError(f"`step`: {_MENDING.format('one that leaves torch')}") from None


def _vectorised(step, x, u):
    # jacrev rather than jacfwd: forward mode makes torch compile its decompositions on first use, for seconds
    def single(x1, u1):
        return step(x1[None], u1[None])[0]

    with NoConversions():
        dx, du = torch.func.vmap(torch.func.jacrev(single, argnums=(0, 1)))(x, u)
    return dx.detach(), du.detach()


def _row_by_row(step, x, u):
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        u = u.detach().requires_grad_(True)
        y = step(x, u)
        if not y.requires_grad:
            raise TypeError(f"`step`: {_MENDING.format('one whose result carries no gradient')}")
        rows = [
            torch.autograd.grad(y[:, i].sum(), (x, u), retain_graph=True, allow_unused=True) for i in range(y.shape[1])
        ]
    zero_x, zero_u = torch.zeros_like(x), torch.zeros_like(u)
    dx = torch.stack([zero_x if a is None else a for a, _ in rows], 1)
    du = torch.stack([zero_u if b is None else b for _, b in rows], 1)
    return dx.detach(), du.detach()


def directional(step: Callable[[Tensor, Tensor], Tensor], x: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """step(x, u) (B, D') and its derivatives (B, D', k) along k directions v (B, D, k), without the whole Jacobian.

    The derivative of w -> (dF/dx)' w along v: two reverse passes, exact, for every function that torch differentiates.
    """
    n, d, k = v.shape
    with torch.enable_grad():
        rows = x[:, None].expand(n, k, d).reshape(n * k, d).detach().requires_grad_(True)
        held = u[:, None].expand(n, k, u.shape[-1]).reshape(n * k, -1)
        y = step(rows, held)
        if not y.requires_grad:
            raise TypeError(f"`step`: {_MENDING.format('one whose result carries no gradient')}")
        w = torch.zeros_like(y, requires_grad=True)
        (pulled,) = torch.autograd.grad(y, rows, w, create_graph=True)
        along = v.mT.reshape(n * k, d)
        (pushed,) = torch.autograd.grad(pulled, w, along, allow_unused=True)
    pushed = torch.zeros_like(y) if pushed is None else pushed
    return y.detach().reshape(n, k, -1)[:, 0], pushed.detach().reshape(n, k, -1).mT

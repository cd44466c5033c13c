"""SharedArray: a NumPy array that torch's functions take as the tensor it would be.

Points are plotted and indexed with NumPy, while the models they are put back into are modules of torch:
``network(points.x[0])`` and ``plt.plot(points.x)`` both work.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class SharedArray(np.ndarray):
    """A NumPy array that shares its memory with a tensor when a function of torch asks for one."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch with tensors in the place of these arrays."""
        return function(*_as_tensors(args), **_as_tensors(kwargs or {}))

    def __array_wrap__(self, array: np.ndarray, context: Any = None, return_scalar: bool = False) -> Any:
        """Numbers are plain numbers; arrays stay shared, so that code written for tensors can compute on them."""
        plain = np.asarray(array)
        return plain[()] if return_scalar else plain.view(type(self))

    def __reduce__(self) -> Any:
        """Pickled as the plain array, so that files know nothing of this class."""
        return self.view(np.ndarray).__reduce__()

    def __repr__(self) -> str:
        return repr(self.view(np.ndarray))


def _as_tensors(value: Any) -> Any:
    if isinstance(value, SharedArray):
        return torch.from_numpy(np.require(value.view(np.ndarray), requirements=["C", "W"]))
    if isinstance(value, tuple | list):
        return type(value)(_as_tensors(v) for v in value)
    if isinstance(value, dict):
        return {k: _as_tensors(v) for k, v in value.items()}
    return value

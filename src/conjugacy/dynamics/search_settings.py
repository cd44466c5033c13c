"""The settings of a search for fixed points, checked once; `fixed_points` takes them as keywords."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from torch import Tensor

from conjugacy._arrays import read_numbers
from conjugacy._check import check_choice, check_flag, check_int, check_number, shown

_MOST_ITERS = 10**9


@dataclass(frozen=True, eq=False)
class SearchSettings:
    """How a search goes; each field is the argument of `fixed_points` of its name.

    `max_iters` None becomes 60, `box` a pair of Tensors (D,); `horizon` stays in the words of the caller, whose meaning
    depends on the system.

    Raises
    ------
    ValueError, TypeError
        For the first value that does not fit, by its name.
    """

    n_inits: int = 1024
    seed: int = 0
    search: str = "default"
    box: Any = None
    expected_index: int | None = None
    tol_q: float = 1e-20
    slow_speed: float = 0.01
    max_iters: int | None = None
    n_orbits: int = 32
    horizon: float | str | None = "trial"
    reach: float = 3.0
    progress: bool = True

    def __post_init__(self):
        checked = {
            "n_inits": check_int("n_inits", self.n_inits, 1),
            "seed": check_int("seed", self.seed, 0),
            "search": check_choice("search", self.search, ("default", "given", "until_complete")),
            "box": None if self.box is None else _box(self.box),
            "expected_index": None if self.expected_index is None else _any_int("expected_index", self.expected_index),
            "tol_q": check_number("tol_q", self.tol_q, 0, open_low=True),
            "slow_speed": check_number("slow_speed", self.slow_speed, 0),
            "max_iters": 60 if self.max_iters is None else check_int("max_iters", self.max_iters, 1, _MOST_ITERS),
            "n_orbits": check_int("n_orbits", self.n_orbits, 0),
            "reach": _reach(self.reach),
            "progress": check_flag("progress", self.progress),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)


def _box(box: Any) -> tuple[Tensor, Tensor]:
    try:
        lower, upper = box
    except (TypeError, ValueError):
        raise ValueError(f"`box`: expected a pair (lower, upper), got {shown(box)}.") from None
    lower, upper = (read_numbers("box", side, "a pair of arrays (unit,)").reshape(-1) for side in (lower, upper))
    if lower.shape != upper.shape or not bool((lower < upper).all()):
        raise ValueError(f"`box`: expected (lower, upper) with lower < upper in every unit, got {shown(box)}.")
    return lower, upper


def _any_int(name: str, value: Any) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError(f"`{name}`: expected an integer or None, got {shown(value)}.")
    return int(value)


def _reach(reach: Any) -> float:
    endless = isinstance(reach, Real) and float(reach) == math.inf
    return math.inf if endless else check_number("reach", reach, 0, open_low=True, hint="inf is no limit.")

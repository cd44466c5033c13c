"""The names of 0.1, of the seed notebook and of other fixed-point finders for what FixedPoints holds.

FixedPoints answers to them; `conjugacy.ctd`, which speaks the notebook's language, hands out such points.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from conjugacy.dynamics.points import FixedPoints

NOTEBOOK_NAMES: dict[str, Callable[[FixedPoints], np.ndarray]] = {
    "xstar": lambda points: points.x,
    "qstar": lambda points: points.q,
    "is_stable": lambda points: points.n_unstable == 0,
    "J_xstar": lambda points: points.jacobian,
    "eigval_J_xstar": lambda points: points.eigenvalues,
    "eigvec_J_xstar": lambda points: points.modes[0],
}

"""Which part of a system a mode lives in: participation factors.

With right eigenvectors v_k and left ones w_k of a Jacobian, w_k v_k = 1, the factor of state variable i in mode k is
w_ki v_ik (Perez-Arriaga, Verghese & Schweppe, IEEE Trans. Power Apparatus Syst. 101:3117, 1982). Factors of a mode sum
to one and do not depend on the units of the variables, as sizes of eigenvectors do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from conjugacy._check import check_instance, check_int, shown
from conjugacy.dynamics.points import FixedPoints

if TYPE_CHECKING:
    import pandas as pd


def participation(points: FixedPoints, parts: Mapping[str, slice], n_modes: int = 10, point: int = 0) -> pd.DataFrame:
    """The slowest modes of a fixed point, and the share that each part of the state has in them.

    Parameters
    ----------
    points : FixedPoints
    parts : dict of str to slice
        Named parts of the state, see `System.parts`; all variables that are in none count as "rest".
    n_modes : int
        Modes to list; of a conjugate pair, one.
    point : int
        Number of the point.

    Returns
    -------
    DataFrame
        A row a mode, the slowest first: "modulus" of the eigenvalue (a flow: its real part), "time_constant" (steps;
        seconds where `points.dt` is known; negative if it grows), "frequency" (per step, or Hz), then the share of
        each part, sum of ``|factors|`` over it, normalised to 1.
    """
    import pandas as pd
    from scipy.linalg import eig

    check_instance("points", points, FixedPoints)
    check_instance("parts", parts, Mapping, "Such as `System.parts`.")
    check_int("n_modes", n_modes, 1)
    n_units = points.x.shape[1]
    for name, where in parts.items():
        if not isinstance(where, slice):
            raise TypeError(f"`parts[{name!r}]`: expected a slice of the state's variables, got {shown(where)}.")
        if not len(range(n_units)[where]) or (where.stop is not None and where.stop > n_units):
            raise ValueError(f"`parts[{name!r}]`: expected a slice of {n_units} state variables, got {where}.")
    check_int("point", point, 0, len(points) - 1, f"There are {len(points)} points.")
    # left vectors by their own problem: delay lines make the matrix of right ones singular
    solve: Any = eig
    values, left, right = solve(points.jacobian[point], left=True, right=True)
    size = values.real if points.flow else np.abs(values)
    order = [k for k in np.argsort(-size, kind="stable") if values[k].imag >= 0][:n_modes]
    factors = np.abs(left[:, order].conj() * right[:, order])
    factors /= factors.sum(0)
    dt = 1.0 if points.dt is None else points.dt
    chosen: Any = values[order]
    rate: Any = chosen if points.flow else np.log(np.where(chosen == 0, 1e-300, chosen))
    table = {
        "modulus": size[order],
        "time_constant": -dt / rate.real,
        "frequency": np.abs(rate.imag) / (2 * np.pi * dt),
    }
    inside = np.zeros(len(factors), bool)
    for name, where in parts.items():
        table[name] = factors[where].sum(0)
        inside[where] = True
    if not inside.all():
        table["rest"] = factors[~inside].sum(0)
    return pd.DataFrame(table).rename_axis("mode")

"""Lyapunov distance: do nearby states of two systems part, or come together, at the same rates?

The Lyapunov exponents of a system along its own trajectories, under its own inputs (Vogt et al. 2022; Engelken et al.
2023), are the mean logarithmic growth of a frame of tangent vectors that its Jacobians carry (Benettin et al. 1980). In
the limit of long trials no smooth change of coordinates alters them. The distance is that of the k largest,

    d = sqrt(mean over i <= k of (l_i - m_i)^2)

in 1 / s where both systems know their time step, else per step: the Wasserstein-2 distance of the k largest. Exponents
say how fast, not what: they are blind to speeds of rotation, to non-normality, and to all that no trial visits. A
direction that a step destroys (a dead unit) has the exponent minus infinity: the distance to a system without one is
infinite, and between two that both have one it is undefined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from typing_extensions import override

from conjugacy._check import check_int, check_number
from conjugacy.similarity.measure import Measure
from conjugacy.similarity.samples import clocks
from conjugacy.similarity.score import Traits, Undefined
from conjugacy.system import System


@dataclass(frozen=True, eq=False)
class Growth:
    """Growth of tangent vectors along the trials of one system.

    Attributes
    ----------
    name : str
    logarithms : array (trial, exponent)
        Sums over the steps that count.
    steps : array (trial,)
        How many steps count.
    dt : float or None
        Seconds per step.
    """

    name: str
    logarithms: np.ndarray
    steps: np.ndarray
    dt: float | None

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return len(self.steps)

    @property
    def exponents(self) -> np.ndarray:
        """Exponents (exponent,) by falling size, per step; minus infinity for directions that a step destroys."""
        return np.sort(self.logarithms.sum(0) / self.steps.sum())[::-1]


@dataclass(frozen=True)
class Lyapunov(Measure):
    """Distance between the largest Lyapunov exponents along trajectories; see the module docstring.

    Attributes
    ----------
    n_exponents : int
        How many, the largest first. No system may have fewer units.
    burn_in : float
        Share of the steps of each trial, in [0, 0.9], in which the frame turns to the fastest directions and does not
        count.
    """

    n_exponents: int = 3
    burn_in: float = 0.2

    def __post_init__(self):
        check_int("n_exponents", self.n_exponents, 1)
        check_number("burn_in", self.burn_in, 0, 0.9)

    @property
    @override
    def traits(self) -> Traits:
        return Traits(
            name="lyapunov",
            version="2",
            summary=f"root mean square difference of the {self.n_exponents} largest Lyapunov exponents, in 1/s",
            needs="step",
            low=0.0,
            high=np.inf,
            perfect=0.0,
            higher_is_more_similar=False,
            is_metric=True,
            estimated=True,
            invariances=frozenset(
                {"rotation", "mirror", "permutation", "scaling", "translation", "affine map", "diffeomorphism"}
                | {"other size", "other speed", "observation noise"}
            ),
            blind_to=frozenset(
                {"other dynamics, same geometry", "fixed point added", "fixed point removed"}
                | {"other non-normality, same spectrum"}
            ),
            reference="Benettin, Galgani, Giorgilli, Strelcyn 1980; Vogt, Puelma Touzel, Shlizerman, Lajoie 2022",
        )

    @override
    def prepare(self, system: System, train: System | None = None) -> Growth:
        del train  # nothing is fitted across systems
        if system.step is None and system.cell is None:
            raise ValueError(
                f"`step`: {system.name!r} has no step function, so its Jacobians are out of reach. Give one "
                "(System.from_arrays(..., step=...)), or use a measure of trajectories such as 'timescales'."
            )
        if system.n_units < self.n_exponents:
            raise ValueError(
                f"`n_exponents`: {system.name!r} has {system.n_units} units, and so no more exponents than that, got "
                f"{self.n_exponents}. Compare all systems by get_measure('lyapunov', n_exponents={system.n_units})."
            )
        return growth_along(system, self.n_exponents, self.burn_in)

    @override
    def resample(self, features: Growth, counts: np.ndarray) -> Growth:
        drawn = counts > 0  # trials that were not drawn count for nothing, minus infinity included
        logarithms = features.logarithms[drawn] * counts[drawn, None]
        return Growth(features.name, logarithms, features.steps[drawn] * counts[drawn], features.dt)

    @override
    def compare(self, a: Growth, b: Growth) -> tuple[float, dict[str, Any]]:
        rates = [f.exponents / dt for f, dt in zip((a, b), clocks(a, b, self.name))]
        details = {"exponents_a": rates[0], "exponents_b": rates[1]}
        finite = [int(np.isfinite(r).sum()) for r in rates]
        k = min(finite)
        if k == self.n_exponents:
            return float(np.sqrt(np.mean((rates[0] - rates[1]) ** 2))), details
        instead = f" Use get_measure('lyapunov', n_exponents={k})." if k else ""
        dead = f"exponents that are minus infinity ({self.n_exponents - finite[0]} of {a.name!r}, "
        dead += f"{self.n_exponents - finite[1]} of {b.name!r}: dead units, or maps that lose dimensions)"
        if max(finite) < self.n_exponents:
            raise Undefined(f"`n_exponents`: 'lyapunov' is undefined (infinity less infinity), got {dead}.{instead}")
        return float("inf"), {**details, "warnings": (f"the distance is infinite: {dead}.{instead}",)}


def growth_along(system: System, n_exponents: int, burn_in: float = 0.2) -> Growth:
    """Growth of tangent vectors along the trajectories of `system`, from Jacobians at the states given."""
    from conjugacy.dynamics._as_map import as_map

    dynamics = as_map(system, argument="system")
    x = system.trajectories.double()
    n, t, d = x.shape
    u = torch.zeros(n, t, dynamics.n_inputs or 1, dtype=torch.float64) if system.inputs is None else system.inputs
    u = u.double()
    first = 1 + (burn_in * (system.lengths - 1)).long()
    if int((system.lengths - first).min()) < 1:
        raise ValueError(
            f"`trajectories` of {system.name!r}: 'lyapunov' needs at least 2 steps a trial, and more than the burn_in, "
            f"got {int(system.lengths.min())}."
        )
    # the same frame in all trials and for all systems of a size, so that no seed has to be chosen
    frame = torch.from_numpy(np.linalg.qr(np.random.default_rng(0).normal(size=(d, n_exponents)))[0]).expand(n, -1, -1)
    total = torch.zeros(n, n_exponents, dtype=torch.float64)
    for s in range(1, t):
        frame, r = torch.linalg.qr(dynamics.jacobians(x[:, s - 1], u[:, s])[0] @ frame)
        counts = (s >= first) & (s < system.lengths)
        growth = r[counts].diagonal(dim1=-2, dim2=-1).abs()
        # what rounding cannot tell from zero is zero
        destroyed = growth <= 8 * torch.finfo(torch.float64).eps * growth.amax(-1, keepdim=True)
        total[counts] += growth.masked_fill(destroyed, 0.0).log()
    return Growth(system.name, total.numpy(), (system.lengths - first).numpy(), system.dt)

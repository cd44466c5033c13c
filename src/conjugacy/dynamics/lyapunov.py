"""Lyapunov spectrum by repeated QR.

Benettin et al., Meccanica 15:9, 1980; Eckmann & Ruelle, Rev. Mod. Phys. 57:617, 1985.

A frame of tangent vectors is carried along an orbit by the Jacobians and re-orthonormalised; the logarithms of the
diagonal of R, averaged over time, are the exponents. Several orbits run at once; their scatter is the standard error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from conjugacy._check import check_int
from conjugacy.dynamics.orbits import time_step
from conjugacy.dynamics.search import prepare


@dataclass(frozen=True, eq=False)
class LyapunovSpectrum:
    """Exponents by falling size.

    exponents, standard_error : Tensor (k,)
        Per step (a flow: per unit of time); the error is that of the mean over orbits (NaN for a single one).
    dimension : float
        Kaplan-Yorke dimension: j + (l_1 + .. + l_j) / |l_j+1| with the largest j for which the sum is >= 0. It is k
        where even the sum of all k is (then more exponents are needed, if k < D).
    per_orbit : Tensor (orbit, k)
    n_steps : int
    dt : float or None
        Seconds per step.
    """

    exponents: Tensor
    standard_error: Tensor
    dimension: float
    per_orbit: Tensor
    n_steps: int
    dt: float | None = None

    def __repr__(self) -> str:
        lead = f"{float(self.exponents[0]):+.4g} +- {float(self.standard_error[0]):.2g}"
        return f"LyapunovSpectrum(largest {lead}, {len(self.exponents)} exponents, dimension {self.dimension:.3g})"

    @property
    def exponents_per_s(self) -> Tensor | None:
        """Exponents per second, where `dt` is known."""
        return None if self.dt is None else self.exponents / self.dt


def lyapunov_spectrum(
    step_or_system: Any,
    x0: Any = None,
    inputs: Any = 0,
    *,
    n_exponents: int | None = None,
    n_steps: int = 2000,
    n_transient: int = 500,
    n_orbits: int = 8,
    integration_step: float | None = None,
    seed: int = 0,
    kind: str = "map",
    progress: bool = True,
) -> LyapunovSpectrum:
    """The Lyapunov spectrum of the flow at a held input.

    Parameters
    ----------
    step_or_system, x0, inputs, seed, kind : as in `fixed_points`
        Orbits start from states drawn from `x0` (visited states).
    n_exponents : int, optional
        How many, the largest first; default all D.
    n_steps, n_transient : int
        Steps that count, and steps before them that let orbit and frame find the attractor.
    n_orbits : int
    integration_step : float, optional
        Time step of a flow; default 0.1 over the fastest rate.

    Returns
    -------
    LyapunovSpectrum
    """
    n_steps, n_transient = check_int("n_steps", n_steps, 1), check_int("n_transient", n_transient, 0)
    n_orbits = check_int("n_orbits", n_orbits, 1)
    dynamics, states, u, generator = prepare(step_or_system, x0, inputs, kind, None, check_int("seed", seed, 0))
    d = states.shape[1]
    k = check_int("n_exponents", d if n_exponents is None else n_exponents, 1, d)
    x = states[torch.randint(len(states), (n_orbits,), generator=generator)].clone()
    held = u.expand(n_orbits, -1)
    h = time_step(dynamics, x, u) if integration_step is None else integration_step
    frame = torch.linalg.qr(torch.randn(n_orbits, d, k, generator=generator, dtype=torch.float64))[0]
    total = torch.zeros(n_orbits, k, dtype=torch.float64)
    from tqdm import tqdm

    done = 0
    try:
        for t in tqdm(
            range(n_transient + n_steps), desc="lyapunov", delay=2, leave=False, disable=None if progress else True
        ):
            x, frame = _carry(dynamics, x, frame, held, h)
            frame, r = torch.linalg.qr(frame)
            if t >= n_transient:
                total += r.diagonal(dim1=-2, dim2=-1).abs().clamp_min(1e-300).log()
                done += 1
    except KeyboardInterrupt:
        if not done:
            raise
    if not bool(torch.isfinite(x).all()):
        raise ValueError(
            "`x0`: expected states whose orbits stay bounded, got an orbit that left for infinity. "
            "Start from states that the system visits, or shorten `integration_step`."
        )
    per_orbit = total / (done * h)
    exponents = per_orbit.mean(0)
    error = per_orbit.std(0) / n_orbits**0.5 if n_orbits > 1 else torch.full((k,), torch.nan, dtype=torch.float64)
    order = exponents.argsort(descending=True)
    return LyapunovSpectrum(
        exponents[order], error[order], kaplan_yorke(exponents[order]), per_orbit[:, order], done, dynamics.dt
    )


def kaplan_yorke(exponents: Tensor) -> float:
    """The Kaplan-Yorke dimension of exponents (k,) sorted by falling size; 0 if the first is negative."""
    sums = exponents.cumsum(0)
    j = int((sums >= 0).sum())
    if j == 0:
        return 0.0
    return float(j if j == len(exponents) else j + sums[j - 1] / exponents[j].abs())


def _carry(dynamics, x: Tensor, frame: Tensor, u: Tensor, h: float) -> tuple[Tensor, Tensor]:
    """State and tangent frame one step on (Runge-Kutta for a flow)."""
    if not dynamics.flow:
        jacobian = dynamics.jacobians(x, u)[0]
        with torch.no_grad():
            return dynamics.step(x, u), jacobian @ frame

    def velocity(y, m):
        with torch.no_grad():
            f = dynamics.step(y, u)
        return f, dynamics.jacobians(y, u)[0] @ m

    f1, m1 = velocity(x, frame)
    f2, m2 = velocity(x + h / 2 * f1, frame + h / 2 * m1)
    f3, m3 = velocity(x + h / 2 * f2, frame + h / 2 * m2)
    f4, m4 = velocity(x + h * f3, frame + h * m3)
    return x + h / 6 * (f1 + 2 * f2 + 2 * f3 + f4), frame + h / 6 * (m1 + 2 * m2 + 2 * m3 + m4)

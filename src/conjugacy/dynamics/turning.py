"""Motion that neither rests nor repeats: circles, tori and chaos, told apart.

A group of orbits on one set is given by what they visited (their pooled states fill the gaps that one orbit leaves), by
a few of them followed for long, and by their Lyapunov exponents. A closed curve is a circle; two or more exponents that
vanish and averages that converge fast are a torus; a first exponent well above zero is chaos. What is none of these is
undecided, and followed for longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from conjugacy.dynamics.closed_curves import (
    ClosedCurve,
    counting_dimension,
    fit_closed_curve,
    pieces,
    principal,
    size_of,
)
from conjugacy.dynamics.lyapunov import kaplan_yorke
from conjugacy.dynamics.rotation import birkhoff, digits, frequencies, independent, rotation_number

_HARMONICS = (8, 16, 32, 64)
_CONDITION = 30.0
_SETTLED = 15.0  # e-foldings of the slowest contraction that a transient must have had


@dataclass(frozen=True, eq=False)
class Verdict:
    """The kind of a group's motion, in units of looks; what does not apply is NaN or empty.

    wait : float
        Looks that a transient must have for the verdict to stand: more of them than there were means undecided.
    """

    kind: str
    period: float = float("nan")
    period_error: float = float("nan")
    rotations: tuple[float, ...] = ()
    x: np.ndarray | None = None
    resolution: float = float("nan")
    dimension: float = float("nan")
    wait: float = 0.0
    note: str = ""


@dataclass(frozen=True, eq=False)
class Motion:
    """What is known of a group of orbits on one set.

    Attributes
    ----------
    pooled : array (B, n, D)
        Stretches of all its orbits.
    path : array (r, N, D)
        Some of them followed for long.
    logs : array (r, N, k)
        Growth of tangent vectors along `path`.
    transient : float
        Looks before `path`.
    turn : float
        About how many looks a turn takes.
    """

    pooled: np.ndarray
    path: np.ndarray
    logs: np.ndarray
    transient: float
    turn: float

    @cached_property
    def exponents(self) -> tuple[np.ndarray, np.ndarray]:
        """Lyapunov exponents (k,) per look, by falling size, and their errors."""
        dead = np.isneginf(self.logs)
        logs = np.where(dead, 0.0, self.logs)
        half = logs.shape[1] // 2
        whole = np.array([birkhoff(o) for o in logs])
        parts = np.array([birkhoff(o[:half]) - birkhoff(o[half : 2 * half]) for o in logs])
        mean, n = whole.mean(0), len(whole)
        # halves of an orbit and orbits of a group both scatter; halves are half as long
        error = np.sqrt((parts**2).mean(0)) / (2 * n**0.5)
        if n > 1:
            error = np.maximum(error, whole.std(0, ddof=1) / n**0.5)
        mean = np.where(dead.any((0, 1)), -np.inf, mean)
        order = np.argsort(-mean)
        return mean[order], np.where(np.isneginf(mean), 0.0, error)[order]

    def neutral(self, e_foldings: float = 0.5) -> np.ndarray:
        """Which exponents (k,) are zero within errors, or grow by fewer than so many e-foldings on the long paths."""
        values, errors = self.exponents
        return np.abs(values) <= np.maximum(5 * errors, e_foldings / self.n_looks)

    @property
    def n_looks(self) -> int:
        """Length of the long paths."""
        return self.path.shape[1]

    @property
    def contraction(self) -> float:
        """Rate (per look, < 0) of the slowest exponent that is not zero and not positive; -inf where there is none."""
        values = self.exponents[0]
        falling = values[(values < 0) & ~self.neutral()]
        return float(falling[0]) if len(falling) else -np.inf

    @cached_property
    def digits(self) -> float:
        """Digits to which averages over halves of the long paths agree."""
        centre, axes = principal(self.path[0])
        return digits((self.path - centre) @ axes[:4].T)

    def verdict(self, final: bool) -> Verdict:
        """What the motion is; `final` where it can be followed no longer."""
        values, errors = self.exponents
        lead, error, n = float(values[0]), float(errors[0]), self.n_looks
        grows = lead > 5 * error and lead * n > 3
        wait = _SETTLED / -self.contraction if np.isfinite(self.contraction) else 0.0
        flat = self.pooled.reshape(-1, self.pooled.shape[-1])
        centre, axes = principal(flat)
        cloud = (self.pooled - centre) @ axes.T
        if not (grows and lead * n > 10 and self.digits < 4):
            curve, m, labels = curve_through(cloud)
            if curve is not None:
                return self._circle(curve, m, centre, axes, wait, labels)
        n_turns = len(self.path) * n / self.turn
        if grows and (lead * n > 10 or final) and (n_turns >= 60 or final):
            dimension = kaplan_yorke(torch.from_numpy(values))
            short = dimension == len(values) and len(values) < self.path.shape[-1]
            note = f"Its dimension is at least {len(values)}: ask for more exponents." if short else ""
            return Verdict("chaos", x=self.path[0], dimension=dimension, resolution=1e-2, note=note)
        # weakly locked, a torus turns as a torus does for a long time
        n_neutral = int(self.neutral(5.0 if final else 0.5).sum())
        spread = counting_dimension(cloud.reshape(-1, cloud.shape[-1]), size_of(cloud.reshape(-1, cloud.shape[-1])))
        smooth = self.digits >= 3 and not grows
        if smooth and n_neutral >= 2 and not spread < 1.4:
            lines = independent(frequencies(self.path[0]), n)
            if len(lines) >= 2:
                lines = lines[: max(2, n_neutral)]
                return Verdict(
                    "torus",
                    rotations=tuple(lines),
                    x=self.path[0],
                    dimension=float(len(lines)),
                    resolution=10.0 ** -min(self.digits, 12.0),
                    wait=wait,
                )
        if final and smooth and n_neutral == 1 and spread < 1.4:
            lines = frequencies(self.path[0])
            return Verdict(
                "circle",
                period=1 / lines[0],
                period_error=0.5 / n / lines[0] ** 2,
                rotations=(float(lines[0]),),
                x=self.path[0],
                dimension=1.0,
                resolution=1 / 20,
                wait=wait,
                note="No closed curve could be drawn through its states: its period is that of the strongest line of "
                "its spectrum, and may be a fraction of the true one.",
            )
        return Verdict("unresolved", x=self.path[0], note=self._doubt(n_neutral, spread))

    def _doubt(self, n_neutral: int, spread: float) -> str:
        values, errors = self.exponents
        return (
            f"Its first exponent is {values[0]:.2g} +- {errors[0]:.1g} a look, {n_neutral} vanish within errors, its "
            f"states fill {spread:.2g} dimensions, and averages of halves agree to {self.digits:.1f} digits."
        )

    def _circle(self, curve: ClosedCurve, m: int, centre, axes, wait: float, labels: np.ndarray) -> Verdict:
        paths = (self.path - centre) @ axes.T
        rows = [m_th(path, curve, m) for path in paths]
        length = min(len(r) for r in rows)
        phases = np.stack([curve.project(r[:length])[0] for r in rows])
        rotation, error = rotation_number(phases)
        rotation = min(rotation, 1 - rotation)
        if rotation <= 0:
            return Verdict(
                "unresolved", x=self.path[0], note="Its states lie on a closed curve along which none moves."
            )
        period = m / rotation
        x, resolution = curve.nodes @ axes + centre, curve.residual
        size = size_of(x)
        if m == 1:
            fitted, off = fourier_curve(self.path[0], rotation)
            if fitted is not None and off < resolution * size:
                x, resolution = fitted, off / size
        return Verdict(
            "circle",
            period=period,
            period_error=period * error / rotation,
            rotations=(1 / period,),
            x=x,
            resolution=resolution,
            dimension=1.0,
            wait=wait,
            note=f"It is {m} closed curves that are visited in turn." if m > 1 else "",
        )


def curve_through(cloud: np.ndarray) -> tuple[ClosedCurve | None, int, np.ndarray]:
    """The closed curve that orbits (B, n, d) lie on, or the first of m curves they visit in turn; m; piece of each."""
    b, n, d = cloud.shape
    flat = cloud.reshape(-1, d)
    labels = pieces(flat, 0.04 * size_of(flat)).reshape(b, n)
    m = int(labels.max()) + 1
    if m > 1:
        turn = labels[:, :-m] == labels[:, m:] if n > 2 * m else np.zeros(1, bool)
        once = n > 2 * m and all(len(set(row[:m])) == m for row in labels)
        if not (once and turn.mean() > 0.999):
            m, labels = 1, np.zeros_like(labels)
    starts = cloud[:, : n - m][labels[:, : n - m] == 0]
    images = cloud[:, m:][labels[:, : n - m] == 0]
    if len(starts) < 16:
        return None, m, labels
    # a generic order, so that thinning does not follow one orbit first
    keep = np.random.default_rng(0).permutation(len(starts))[:40_000]
    return fit_closed_curve(starts[keep], images[keep]), m, labels


def m_th(path: np.ndarray, curve: ClosedCurve, m: int) -> np.ndarray:
    """Every m-th state of an orbit (n, d), from the first that is on the curve."""
    if m == 1:
        return path
    away = curve.project(path[:m])[1]
    return path[int(away.argmin()) :: m]


def fourier_curve(path: np.ndarray, rotation: float, n_points: int = 256) -> tuple[np.ndarray | None, float]:
    """Points (n, D) at equal phases of the curve that an orbit (N, D) turns round by `rotation` a look, and its error.

    The Fourier series of the first half of the orbit has to predict the second (root mean square error).
    """
    phases = 2 * np.pi * rotation * np.arange(len(path))
    half, best, off = len(path) // 2, None, float("inf")
    for harmonics in _HARMONICS:
        basis = _basis(phases, harmonics)
        gram = basis[:half].T @ basis[:half]
        if half < 2 * basis.shape[1] or np.linalg.cond(gram) > _CONDITION**2:
            break
        coefficients = np.linalg.solve(gram, basis[:half].T @ path[:half])
        error = float(np.sqrt(((basis[half:] @ coefficients - path[half:]) ** 2).sum(1).mean()))
        if error < off:
            best = _basis(2 * np.pi * np.arange(n_points) / n_points, harmonics) @ coefficients
            off = error
    return best, off


def _basis(phases: np.ndarray, harmonics: int) -> np.ndarray:
    angles = phases[:, None] * np.arange(1, harmonics + 1)
    return np.hstack([np.ones((len(phases), 1)), np.cos(angles), np.sin(angles)])


def turn_of(path: Tensor) -> float:
    """About how many looks a turn of an orbit (n, D) takes: the way round its spread, over its speed; 2 at rest."""
    spread = (path - path.mean(0)).square().sum(-1).mean().sqrt()
    speed = (path[1:] - path[:-1]).square().sum(-1).mean().sqrt()
    if float(speed) <= 1e-14 * float(path.abs().max()):  # what is left of either is rounding
        return 2.0
    return max(2.0, float(2 * torch.pi * spread / speed))

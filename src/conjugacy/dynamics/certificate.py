"""Proof, or the next best thing, that a point is a zero and that no other zero is near.

Newton-Kantorovich (Kantorovich 1948; Ortega, Am. Math. Monthly 75:658, 1968). For g with Jacobian R at y, let
beta >= |R^-1|, eta >= |R^-1 g(y)| and L a Lipschitz constant of the Jacobian on the ball of radius rho around y. If
h = beta eta L <= 1/2 and r_- = (1 - sqrt(1 - 2h)) / (beta L) <= rho, a zero exists within r_- of y, and it is the only
one within min(rho, (1 + sqrt(1 - 2h)) / (beta L)).

Rounding is met by margins, not by interval arithmetic: with e = (64 + 4 D) eps, the least singular value of R is
lowered by e (1 + |R|), eta raised by beta e (1 + |R|) (1 + |y|) for the error of evaluating g, and L by 1e-6 of itself.

Where no L is known: the Newton contraction test. T(y') = y' - R^-1 g(y') contracts the ball of radius rho if
|I - R^-1 R(y')| <= 1/2 on it and eta <= rho / 2. That is checked at random points of the ball: evidence, no proof.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from conjugacy.dynamics.jacobian import chunks
from conjugacy.dynamics.map import Reduced

_EPS = 2.220446049250313e-16
_N_PROBES = 8
_SINGULAR = 1e-10  # relative size of the least singular value below which a zero is not isolated for our purposes


@dataclass(frozen=True, eq=False)
class Certificate:
    """What is established about P points.

    method : list of str (P,)
        "kantorovich" (a proof up to rounding margins), "contraction" (sampled), or "none".
    radius : Tensor (P,)
        Within it lies exactly one zero; 0 where nothing is established.
    error : Tensor (P,)
        The zero lies at most this far from the point (inf where nothing is established).
    least : Tensor (P,)
        Least singular value of R over the largest.
    """

    method: list[str]
    radius: Tensor
    error: Tensor
    least: Tensor


def certify(equation: Reduced, y: Tensor, u: Tensor, scale: float, generator: Generator) -> Certificate:
    """Certificates of the points `y` (P, D') of ``equation.residual(y, u) = 0``.

    Parameters
    ----------
    u : Tensor (I,)
        The held input.
    scale : float
        Typical distance between states: the balls tried reach from 1e-7 to 10 times of it.
    generator : Generator
        Draws the probes of the contraction test.
    """
    parts = [_certify(equation, y[k], u.expand(len(y[k]), -1), scale, generator) for k in chunks(len(y), y.shape[1], 4)]
    if not parts:
        nothing = torch.zeros(0, dtype=torch.float64)
        return Certificate([], nothing, nothing, nothing)
    methods, radii, errors, leasts = zip(*parts)
    return Certificate([m for part in methods for m in part], torch.cat(radii), torch.cat(errors), torch.cat(leasts))


def _certify(equation, y, u, scale, generator):
    g, jacobian = equation.residual(y, u), equation.jacobian(y, u)
    singular = torch.linalg.svdvals(jacobian)
    least = singular[:, -1] / singular[:, 0].clamp_min(1e-300)
    rounding = (64 + 4 * y.shape[1]) * _EPS * (1 + singular[:, 0])
    beta = 1 / (singular[:, -1] - rounding).clamp_min(1e-300)
    newton = torch.linalg.solve_ex(jacobian, g[..., None])[0][..., 0]
    eta = newton.norm(dim=-1).nan_to_num(torch.inf) + beta * rounding * (1 + y.norm(dim=-1))
    regular = least > _SINGULAR
    if equation.lipschitz is not None:
        radius, error = _kantorovich(equation, y, u, beta, eta, scale)
        radius, error = torch.where(regular, radius, 0.0), torch.where(regular, error, torch.inf)
        proven = radius > 0
        return ["kantorovich" if p else "none" for p in proven.tolist()], radius, error, least
    radius = _contraction(equation, y, u, jacobian, eta, regular, scale, generator)
    error = torch.where(radius > 0, 2 * eta, torch.inf)
    return ["contraction" if r > 0 else "none" for r in radius.tolist()], radius, error, least


def _kantorovich(equation, y, u, beta, eta, scale):
    best, error = torch.zeros(len(y), dtype=torch.float64), torch.full((len(y),), torch.inf, dtype=torch.float64)
    for rho in torch.logspace(-7, 1, 25, dtype=torch.float64).tolist():
        rho = torch.full_like(best, rho * scale)
        lipschitz = (1 + 1e-6) * equation.lipschitz(y, u, rho)
        h = beta * eta * lipschitz
        root = torch.sqrt((1 - 2 * h).clamp_min(0))
        # 2 eta / (1 + root) is (1 - root) / (beta L) without its division by zero for affine g
        inner, outer = 2 * eta / (1 + root), (1 + root) / (beta * lipschitz)
        ok = (h <= 0.5) & (inner <= rho)
        best = torch.where(ok, torch.maximum(best, torch.minimum(rho, outer)), best)
        error = torch.where(ok, torch.minimum(error, inner), error)
    return best, error


def _contraction(equation, y, u, jacobian, eta, regular, scale, generator):
    radius = torch.zeros(len(y), dtype=torch.float64)
    identity = torch.eye(y.shape[1], dtype=torch.float64)
    for p in torch.nonzero(regular)[:, 0].tolist():
        inverse = torch.linalg.inv(jacobian[p])
        directions = torch.randn(_N_PROBES, y.shape[1], generator=generator, dtype=torch.float64)
        directions /= directions.norm(dim=-1, keepdim=True)
        for rho in torch.logspace(0, -7, 15, dtype=torch.float64).tolist():
            if eta[p] > rho * scale / 2:
                break
            # a Jacobian that varies over the ball varies most at its rim
            probes = equation.jacobian(y[p] + rho * scale * directions, u[p].expand(_N_PROBES, -1))
            if bool((torch.linalg.matrix_norm(identity - inverse @ probes, ord=2) <= 0.5).all()):
                radius[p] = rho * scale
                break
    return radius

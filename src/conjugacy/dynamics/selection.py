"""Selection of evidence by context: points of a line attractor, what they select, and by which of three mechanisms.

Around a point of a line attractor, a pulse of evidence e moves a network x' = F(x, u) at first by its effective input
i = (dF/du) e; in the end, only what lies along the slow mode remains. With the right eigenvector r and the left one l
of that mode, l r = 1, this is the step r (l i) along the line. Let d be the unit vector along the line that two
contexts share. The step along d is s i, with the selection vector s = d r l. Of relevant evidence the network has to
make more than of irrelevant evidence, and the difference between the two contexts has three parts,

    s1 i1 - s2 i2  =  (s d)(d Di)  +  s (Di - d (d Di))  +  Ds i        D: difference, without D: mean of both contexts
                      direct          indirect              selection

direct input modulation (the input changes along the line), indirect input modulation (it changes across the line, and
relaxes onto it), selection vector modulation (the input stays and the recurrent dynamics select otherwise). Pagan et
al. 2025, Nature 639:421; selection vectors: Mante et al. 2013, Nature 503:78.

All of this is in coordinates of firing rates y = f(x), unit by unit, where dF/dx becomes f' (dF/dx) / f': which part
of the gain of a unit counts as input and which as selection depends on the coordinates, and the paper's are rates.
Planes of k slow modes are treated alike, with projectors on k modes in place of r l.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from conjugacy.dynamics.map import Map

_N_NEWTON = 30
_LEAST_SLOPE = 1e-8  # of a rate: saturated units have no slope, and nothing that passes through them matters
_ON_LINE = 1e-6  # of the spread: what is left of the flow across the line
_NEAR = 0.25  # of the spread: points of two contexts that lie nearer are taken as the same place on the line


@dataclass(frozen=True, eq=False)
class SlowPoints:
    """States on a line (or plane) attractor, with the linearisation around each, in coordinates of rates.

    Attributes
    ----------
    x : Tensor (point, unit)
        States: across the slow modes the flow vanishes, along them it may creep.
    rates : Tensor (point, unit)
    projector : Tensor (point, unit, unit)
        On the slow modes, along the fast ones: r l.
    effect : Tensor (point, unit, input)
        Effective inputs dF/du.
    time_constants : Tensor (point, k + 1)
        Steps; of the slow modes and of the next one, by modulus of eigenvalues.
    """

    x: Tensor
    rates: Tensor
    projector: Tensor
    effect: Tensor
    time_constants: Tensor

    def __len__(self) -> int:
        return len(self.x)


def slow_points_near(
    dynamics: Map, x: Tensor, u: Tensor, n_modes: int, rates: Callable[[Tensor], Tensor]
) -> SlowPoints:
    """Points of the attractor of the `n_modes` slowest modes near states x (point, unit), at the held input u (input,).

    Newton's method on the flow across the slow modes; states from which it does not converge are left out.
    """
    x, u = x.double(), u.double().expand(len(x), -1)
    spread = float((x - x.mean(0)).square().sum(1).mean().sqrt())
    eye = torch.eye(x.shape[1], dtype=x.dtype)
    for _ in range(_N_NEWTON):
        jacobian = dynamics.jacobians(x, u)[0]
        projector = _slow_projector(jacobian, n_modes)[0]
        across = eye - projector
        left = (across @ dynamics.residual(x, u)[..., None])[..., 0]
        if float(left.norm(dim=1).max()) <= 0.01 * _ON_LINE * spread:
            break
        move = (across @ torch.linalg.solve(eye - jacobian + projector, left[..., None]))[..., 0]
        # far from the line a whole step of Newton's may leave it for good
        size = move.norm(dim=1, keepdim=True)
        x = x + move * (spread / size.clamp_min(1e-300)).clamp_max(1.0)
    jacobian, effect = dynamics.jacobians(x, u)
    projector, moduli = _slow_projector(jacobian, n_modes)
    left = ((eye - projector) @ dynamics.residual(x, u)[..., None])[..., 0].norm(dim=1)
    good = (left <= _ON_LINE * max(spread, 1e-12)) & torch.isfinite(x).all(1)
    slope = _slopes(rates, x).clamp_min(_LEAST_SLOPE)
    projector = slope[:, :, None] * projector / slope[:, None, :]
    constants = 1 / moduli.clamp_min(1e-300).log().abs().clamp_min(1e-12)
    return SlowPoints(x[good], rates(x)[good], projector[good], (slope[..., None] * effect)[good], constants[good])


def shares_of_selection(relevant: SlowPoints, irrelevant: SlowPoints, evidence: Tensor) -> tuple[Tensor, Tensor]:
    """The three parts of the context's effect on a pulse of evidence, at the same places of both attractors.

    Parameters
    ----------
    relevant, irrelevant : SlowPoints
        As many points in both, paired.
    evidence : Tensor (input,)

    Returns
    -------
    tuple of Tensor
        (point, 3): direct, indirect, selection, which add up to the difference of the steps along the line; and
        (point, 2): these steps, in the relevant and in the irrelevant context.
    """
    i1, i2 = (p.effect @ evidence.double() for p in (relevant, irrelevant))
    d = _shared_direction(relevant.projector, irrelevant.projector, i1)
    s1, s2 = ((d[:, None] @ p.projector)[:, 0] for p in (relevant, irrelevant))
    mean_s, change = (s1 + s2) / 2, i1 - i2
    along = (d * change).sum(1)
    direct = (mean_s * d).sum(1) * along
    indirect = (mean_s * (change - d * along[:, None])).sum(1)
    selection = ((s1 - s2) * (i1 + i2) / 2).sum(1)
    return torch.stack([direct, indirect, selection], 1), torch.stack([(s1 * i1).sum(1), (s2 * i2).sum(1)], 1)


def paired_places(a: SlowPoints, b: SlowPoints, n_modes: int) -> tuple[Tensor, Tensor]:
    """Indices of points of both at the same place along the attractors: each point and its nearest one in the other.

    Places are coordinates in the leading principal components of both, each centred by itself: the attractors of two
    contexts may lie apart.
    """
    centred = [p.rates - p.rates.mean(0) for p in (a, b)]
    axes = torch.linalg.svd(torch.cat(centred), full_matrices=False)[2][:n_modes]
    middle = (a.rates.mean(0) + b.rates.mean(0)) / 2
    # along the attractor the origin is common: a context that holds other places must not be moved onto them
    at_a, at_b = ((p.rates - middle) @ axes.T for p in (a, b))
    spread = float(torch.cat(centred).square().sum(1).mean().sqrt())
    gap = torch.cdist(at_a, at_b)
    to_b, to_a = gap.min(1), gap.min(0)
    near_b, near_a = to_b.values <= _NEAR * spread, to_a.values <= _NEAR * spread
    first = torch.cat([torch.arange(len(a))[near_b], to_a.indices[near_a]])
    second = torch.cat([to_b.indices[near_b], torch.arange(len(b))[near_a]])
    return first, second


def picked(points: SlowPoints, at: Tensor) -> SlowPoints:
    """Some of the points, by their indices."""
    return SlowPoints(*(getattr(points, f)[at] for f in SlowPoints.__dataclass_fields__))


def angle_between(a: SlowPoints, b: SlowPoints) -> Tensor:
    """Largest principal angle (radian) between paired attractors, (point,)."""
    bases = [torch.linalg.svd(p.projector)[0][..., : _rank(p)] for p in (a, b)]
    cosine = torch.linalg.svdvals(bases[0].mT @ bases[1])[..., -1]
    return cosine.clamp(-1, 1).arccos()


def _rank(points: SlowPoints) -> int:
    return points.time_constants.shape[1] - 1


def _slow_projector(jacobian: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Projector (P, D, D) on the k slowest modes, and moduli (P, k + 1) of their eigenvalues and the next."""
    bases = []
    moduli = jacobian.new_zeros(len(jacobian), k + 1)
    for matrix in (jacobian, jacobian.mT):
        values, vectors = torch.linalg.eig(matrix)
        order = values.abs().argsort(dim=1, descending=True, stable=True)
        first = torch.gather(vectors, 2, order[:, None, :k].expand(-1, matrix.shape[1], -1))
        # real and imaginary parts span the same as the pair
        bases.append(torch.linalg.svd(torch.cat([first.real, first.imag], 2), full_matrices=False)[0][..., :k])
        if matrix is jacobian:
            sizes = torch.gather(values.abs(), 1, order[:, : k + 1])
            moduli[:, : sizes.shape[1]] = sizes
    right, left = bases
    return right @ torch.linalg.pinv(left.mT @ right) @ left.mT, moduli


def _slopes(rates: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Derivative (point, unit) of rates that depend on their own unit each."""
    with torch.inference_mode(False), torch.enable_grad():
        y = x.clone().requires_grad_()
        return torch.autograd.grad(rates(y).sum(), y)[0]


def _shared_direction(p1: Tensor, p2: Tensor, i1: Tensor) -> Tensor:
    """Unit vectors (point, unit): where relevant evidence moves the state, midway between both attractors."""
    step = _unit((p1 @ i1[..., None])[..., 0])
    basis = torch.linalg.svd(p2)[0][..., : round(float(torch.linalg.matrix_rank(p2, rtol=1e-6).double().mean()))]
    other = _unit((basis @ (basis.mT @ step[..., None]))[..., 0])
    return _unit(step + other)


def _unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True).clamp_min(1e-300)

"""How well a map between the states of two systems carries one dynamics into the other: residuals, each as a share.

For h: A -> B, with F and G the maps of A and B, four residuals are looked at:

    states   h(x) - y                    paired states of new trials
    flow     h(F(x, u)) - G(h(x), u)     states of new trials
    pushed   h(F(x, u)) - G(h(x), u)     states around those of A
    covered  h(F(k(y), u)) - G(y, u)     states around those of B, which k lifts into A

each as a share of what the best constant leaves: of the variance of B's states, or of the change that a step of B
makes. One minus the share is 1 for a perfect map, 0 where a constant does as well. If the first two vanish, B's
trajectories are images of A's; with the third, all of A's flow nearby is carried along; with the fourth, B's flow
nearby is, and h is onto.

Lengths are measured in B's own principal directions. Directions i are weighted by 1 / (l_i + l_max / 10), l_i being the
variance of what is explained: those with more than a tenth of the largest count alike, so that stretching does not
matter, and smaller ones the less, the smaller they are. In a box far from the data, where some directions move a
thousand times as fast as others, all with a thousandth of the largest variance count alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from conjugacy.similarity.correspondence import Correspondence, Pool
from conjugacy.system import Step

StateMap = Callable[[Tensor], Tensor]
FULL_WEIGHT = {"around": 0.1, "box": 0.001}  # share of the largest variance from which on directions count alike
_WORST = 1e6  # a share of residual that stands for infinity


@dataclass(frozen=True, eq=False)
class Metric:
    """Squared lengths relative to the variance of reference vectors, see the module docstring.

    Attributes
    ----------
    mean : Tensor (unit,)
        Of the reference.
    transform : Tensor (unit, unit)
    total : float
        Mean squared length of the reference about its mean, before division.
    """

    mean: Tensor
    transform: Tensor
    total: float

    @classmethod
    def of(cls, reference: Tensor, kind: str = "around") -> Metric:
        """The metric of vectors (sample, unit), on and around the data or in a box."""
        mean = reference.mean(0)
        centred = reference - mean
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
        values = values.clamp(min=0.0)
        largest = float(values.max())
        if not largest > 0.0:
            return cls(mean, torch.eye(len(mean), dtype=reference.dtype), 0.0)
        weights = 1.0 / (values + FULL_WEIGHT[kind] * largest)
        return cls(mean, vectors * weights.sqrt(), float((values * weights).sum()))

    def shares(self, residual: Tensor) -> Tensor:
        """Squared lengths (sample,) of residuals, 1 on average for the reference; infinity is made finite."""
        if self.total == 0.0:
            return torch.zeros(len(residual), dtype=residual.dtype)
        squares = (residual @ self.transform).square().sum(-1) / self.total
        return squares.nan_to_num(nan=_WORST, posinf=_WORST).clamp(max=_WORST)


@dataclass(frozen=True, eq=False)
class Metrics:
    """The metrics of one direction: of B's states, of its changes on the data, and around them, a kind each."""

    states: Metric
    flow: Metric
    around: tuple[Metric, ...]

    @classmethod
    def of(cls, pool: Pool) -> Metrics:
        """From the pool that a map is fitted to."""
        around = tuple(Metric.of(s.y_next - s.y, s.kind) for s in pool.around)
        return cls(Metric.of(pool.y), Metric.of(pool.y_next - pool.y), around)


class Residuals(NamedTuple):
    """Shares left unexplained, (sample,) each, of `states`, `flow`, and `pushed` and `covered` for each kind around."""

    states: Tensor
    flow: Tensor
    pushed: tuple[Tensor, ...]
    covered: tuple[Tensor, ...]

    @property
    def on(self) -> float:
        """The larger mean of `states` and `flow`."""
        return max(float(self.states.mean()), float(self.flow.mean()))

    @property
    def off(self) -> float:
        """The largest mean of all off the data."""
        return max(float(r.mean()) for r in (*self.pushed, *self.covered))


@torch.no_grad()
def residuals(h: StateMap, k: StateMap | None, step_a: Step, step_b: Step, metrics: Metrics, pool: Pool) -> Residuals:
    """All residuals of h: A -> B, whose section is k: B -> A; without one, none is `covered`."""
    image = h(pool.x)
    states = metrics.states.shares(image - pool.y)
    flow = metrics.flow.shares(h(pool.x_next) - step_b(image, pool.u))
    pushed, covered = [], []
    for metric, s in zip(metrics.around, pool.around):
        pushed.append(metric.shares(h(s.x_next) - step_b(h(s.x), s.u)))
        if k is not None:
            covered.append(metric.shares(h(step_a(k(s.y), s.u)) - s.y_next))
    return Residuals(states, flow, tuple(pushed), tuple(covered))


class Bounded(NamedTuple):
    """A score with its interval over trials."""

    value: float
    low: float
    high: float

    def __repr__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bounded(parts: list[Tensor], trial: Tensor, level: float, n_resamples: int, generator: torch.Generator) -> Bounded:
    """One minus the largest mean of residuals (sample,), with the interval of resampled trials.

    Parts that have another number of samples than `trial` are taken to lie in the same trials in order.
    """
    n = int(trial.max()) + 1
    present = torch.unique(trial)
    sums, counts = [], []
    for r in parts:
        of = trial[: len(r)]
        sums.append(torch.zeros(n, dtype=r.dtype).index_add_(0, of, r)[present])
        counts.append(torch.bincount(of, minlength=n)[present].to(r.dtype))
    total, count = torch.stack(sums), torch.stack(counts)
    value = 1.0 - float((total.sum(1) / count.sum(1)).max())
    draws = torch.randint(len(present), (n_resamples, len(present)), generator=generator)
    means = total[:, draws].sum(-1) / count[:, draws].sum(-1).clamp(min=1.0)
    scores = 1.0 - means.max(0).values
    tail = (1.0 - level) / 2
    low, high = torch.quantile(scores, torch.tensor([tail, 1.0 - tail], dtype=scores.dtype)).tolist()
    return Bounded(value, min(low, value), max(high, value))


def of_pair(c: Correspondence) -> tuple[Metrics, Metrics]:
    """The metrics of both directions: of maps into b, and into a."""
    return Metrics.of(c.fit), Metrics.of(c.fit.turned())

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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from conjugacy.similarity.correspondence import Correspondence, Pool
from conjugacy.system import Step

_Map = Callable[[Tensor], Tensor]
FULL_WEIGHT = {"around": 0.1, "box": 0.001}  # share of the largest variance from which on directions count alike
_WORST = 1e6  # a share of residual that stands for infinity
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Metric:
    """Squared lengths relative to the variance of reference vectors, see the module docstring.

    Attributes
    ----------
    transform : Tensor (unit, unit)
    total : float
        Mean squared length of the reference about its mean, before division.
    """

    transform: Tensor
    total: float

    @classmethod
    def of(cls, reference: Tensor, kind: str = "around") -> Metric:
        """The metric of vectors (sample, unit), on and around the data or in a box."""
        centred = reference - reference.mean(0)
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
        values = values.clamp(min=0.0)
        largest = float(values.max())
        if not largest > 0.0:
            return cls(torch.eye(len(values), dtype=reference.dtype), 0.0)
        weights = 1.0 / (values + FULL_WEIGHT[kind] * largest)
        return cls(vectors * weights.sqrt(), float((values * weights).sum()))

    def shares(self, residual: Tensor) -> Tensor:
        """Squared lengths (sample,) of residuals, 1 on average for the reference; infinity is made finite."""
        if self.total == 0.0:  # a reference that never changes is met, or it is not
            return _WORST * (residual.norm(dim=-1) > _ROUNDING).to(residual.dtype)
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
def residuals(h: _Map, k: _Map | None, step_a: Step, step_b: Step, metrics: Metrics, pool: Pool) -> Residuals:
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


@dataclass(frozen=True, eq=False)
class TrialShares:
    """Residuals added up trial by trial: enough for a score and its interval at any level.

    Attributes
    ----------
    totals, counts : Tensor (part, trial)
        Sum of the shares of each part in each trial, and how many there are.
    """

    totals: Tensor
    counts: Tensor

    @classmethod
    def of(cls, parts: Sequence[tuple[Tensor, Tensor]]) -> TrialShares:
        """From parts, each the shares (sample,) and the trial of each sample (sample,)."""
        n = max(int(trial.max()) for _, trial in parts) + 1
        totals = [torch.zeros(n, dtype=r.dtype).index_add_(0, trial, r) for r, trial in parts]
        counts = [torch.bincount(trial, minlength=n) for _, trial in parts]
        present = torch.stack(counts).sum(0) > 0
        return cls(torch.stack(totals)[:, present], torch.stack(counts)[:, present].to(totals[0].dtype))

    def score(self, level: float, n_resamples: int, seed: int) -> Bounded:
        """One minus the largest mean share of the parts, and its interval: trials are resampled."""
        value = 1.0 - float((self.totals.sum(1) / self.counts.sum(1)).max())
        n = self.totals.shape[1]
        draws = torch.randint(n, (n_resamples, n), generator=torch.Generator().manual_seed(seed))
        means = self.totals[:, draws].sum(-1) / self.counts[:, draws].sum(-1).clamp(min=1.0)
        scores = 1.0 - means.max(0).values
        ends = torch.tensor([(1.0 - level) / 2, (1.0 + level) / 2], dtype=scores.dtype)
        low, high = torch.quantile(scores, ends).tolist()
        return Bounded(value, min(low, value), max(high, value))


def of_pair(c: Correspondence) -> tuple[Metrics, Metrics]:
    """The metrics of both directions: of maps into b, and into a."""
    return Metrics.of(c.fit), Metrics.of(c.fit.turned())

"""Conjugacy: the change of coordinates between two systems, learned from both maps, and put to the test on new trials.

Two maps F and G, driven by the same inputs u, are conjugate if an invertible h joins them, h(F(x, u)) = G(h(x), u):
one is the other in other coordinates. If h exists but is not invertible, B is a factor of A: A computes what B does,
and h forgets what A does besides. `fit_conjugacy` looks for h: A -> B and k: B -> A, from closed forms to networks
(`map_training`), and judges each by new trials and by states around them (`agreement`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from conjugacy._arrays import read_numbers
from conjugacy._check import check_last
from conjugacy.similarity.agreement import Bounded, Metrics, TrialShares, residuals
from conjugacy.similarity.correspondence import Correspondence, correspond
from conjugacy.similarity.state_maps import StateMap
from conjugacy.system import System

if TYPE_CHECKING:
    import pandas as pd

SCORE, SCORE_OFF = 0.9, 0.8  # lower bounds from which on a map is said to carry one system into the other
FOLLOWS = 0.8  # one minus the distance, as a share of the variance, up to which an orbit follows another
N_RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Question:
    """What was asked: the systems, and how states of theirs are drawn. The same question has the same states.

    Attributes
    ----------
    a, b : System
    test : pair of System, or None
        New trials.
    speed : float
        Steps of a in one of b.
    reach : float or None
    n_states, seed : int
        See `fit_conjugacy`.
    """

    a: System
    b: System
    test: tuple[System, System] | None
    speed: float
    reach: float | None
    n_states: int
    seed: int

    def states(self) -> Correspondence:
        """The pairs of states and those around them, on the clock of the slower system."""
        options = {"reach": self.reach, "n_states": self.n_states, "seed": self.seed}
        if self.speed >= 1.0:
            return correspond(self.a, self.b, self.test, speed=self.speed, **options)
        test = None if self.test is None else (self.test[1], self.test[0])
        return correspond(self.b, self.a, test, speed=1.0 / self.speed, **options).turned()


@dataclass(frozen=True, eq=False)
class Direction:
    """The map of one system into another and how well it does.

    Attributes
    ----------
    a, b : str
        From the states of a to those of b.
    map : StateMap
    on, off : TrialShares
        What is missed in each trial, on the data and around them; the scores are made of it.
    score : Bounded
        On new trials: the smaller of the shares explained of b's states, and of the equation h(F(x, u)) = G(h(x), u);
        1 is perfect, 0 no better than the best constant (state, or change of state). With the interval over trials.
    score_off : Bounded
        The same of states around them: of the equation on a's perturbed states, and of b's perturbed states, lifted to
        a.
    states, flow, pushed, covered : float
        The shares by themselves, see `conjugacy.similarity.agreement`.
    horizon : int
        Steps for which the orbit of b from the image of a's first state stays near the image of a's orbit: their
        distance is below a fifth of the variance of b's states.
    horizon_is_bound : bool
        Whether it still did at the end of the trials.
    curve : array (time,)
        One minus that distance as a share of the variance, by number of steps from the starts of trials.
    """

    a: str
    b: str
    map: StateMap
    on: TrialShares
    off: TrialShares
    score: Bounded
    score_off: Bounded
    states: float
    flow: float
    pushed: float
    covered: float
    horizon: int
    horizon_is_bound: bool
    curve: np.ndarray

    def at_level(self, level: float, seed: int = 0) -> Direction:
        """The same with intervals of another level."""
        score, off = (shares.score(level, N_RESAMPLES, seed) for shares in (self.on, self.off))
        return replace(self, score=score, score_off=off)

    @property
    def holds(self) -> bool:
        """Whether b is a factor of a: lower bounds at or above 0.9 on new trials and 0.8 off them."""
        return self.score.low >= SCORE and self.score_off.low >= SCORE_OFF

    @property
    def fails(self) -> bool:
        """Whether an upper bound lies below its threshold."""
        return self.score.high < SCORE or self.score_off.high < SCORE_OFF

    @property
    def value(self) -> float:
        """The smaller of both scores."""
        return min(self.score.value, self.score_off.value)


@dataclass(frozen=True, eq=False)
class Conjugacy:
    """The maps between two systems, see `find_conjugacy`.

    Attributes
    ----------
    question : Question
    there, back : Direction
        From a to b, and from b to a.
    doubts : tuple of str
        Reasons to trust none of it: chaos, say.
    null : tuple of (name, score, score off)
        Of the forward map fitted to partners that compute something else, where some were given.
    """

    question: Question
    there: Direction
    back: Direction
    doubts: tuple[str, ...]
    null: tuple[tuple[str, float, float], ...] = ()

    @property
    def a(self) -> System:
        """The first system."""
        return self.question.a

    @property
    def b(self) -> System:
        """The second system."""
        return self.question.b

    @property
    def speed(self) -> float:
        """Steps of a in one of b."""
        return self.question.speed

    def forward(self, x: Any) -> Tensor:
        """The states of b that belong to states x (..., unit of a)."""
        return _mapped(self.there.map, x)

    def backward(self, y: Any) -> Tensor:
        """The states of a that belong to states y (..., unit of b)."""
        return _mapped(self.back.map, y)

    @property
    def score(self) -> float:
        """How well the forward map does on new trials; 1 is perfect, see `Direction.score`."""
        return self.there.score.value

    @property
    def score_off(self) -> float:
        """The same on states around them."""
        return self.there.score_off.value

    @property
    def value(self) -> float:
        """The better direction's smaller score."""
        return max(self.there.value, self.back.value)

    @property
    def factor(self) -> str:
        """What lower bounds of both directions say: "equal", "b of a" (b is a factor of a), "a of b" or "neither"."""
        return factor_of(self.there, self.back)

    @property
    def horizon(self) -> int:
        """Steps for which an orbit of b stays near the image of a's orbit, see `Direction`."""
        return self.there.horizon

    def table(self) -> pd.DataFrame:
        """One row a direction: map, scores with intervals, their parts, horizon."""
        import pandas as pd

        rows = []
        for d in (self.there, self.back):
            rows.append(
                {
                    "from": d.a,
                    "to": d.b,
                    "map": d.map.kind,
                    "score": d.score.value,
                    "score low": d.score.low,
                    "score high": d.score.high,
                    "score off": d.score_off.value,
                    "score off low": d.score_off.low,
                    "score off high": d.score_off.high,
                    "states": d.states,
                    "flow": d.flow,
                    "pushed": d.pushed,
                    "covered": d.covered,
                    "horizon": d.horizon,
                    "horizon is bound": d.horizon_is_bound,
                }
            )
        return pd.DataFrame(rows).set_index(["from", "to"])

    def residuals(self) -> pd.DataFrame:
        """What the forward map misses, transition by transition of the new trials: by time, input and place.

        Columns: trial, time (steps of b), "input size" (norm of the input), "pc 1", "pc 2" (of a's states, in their
        spreads), states, flow (shares, as in `Direction`, of this sample; they average to one minus the score's parts).
        """
        import pandas as pd

        c = self.question.states()
        p = c.test
        r = residuals(self.there.map, None, c.step_a, c.step_b, Metrics.of(c.fit), p)
        z = c.a.apply(p.x)
        columns = {"trial": p.trial, "time": p.time, "input size": p.u.norm(dim=-1), "pc 1": z[:, 0]}
        columns["pc 2"] = z[:, 1] if z.shape[1] > 1 else torch.zeros(len(z))
        columns |= {"states": r.states, "flow": r.flow}
        return pd.DataFrame({name: values.numpy() for name, values in columns.items()})

    def forgotten(self) -> dict[str, float]:
        """What of a's states the forward map forgets: the part x - k(h(x)) of the new trials.

        Returns
        -------
        dict
            "variance": its share of the variance of a's states. "dimension": principal directions that hold nine tenths
            of it; 0 if it is below a thousandth. "outputs": share of the variance of a's outputs that it carries (NaN
            without readout). "time constant": of its first direction, in the unit of dt (steps without one; infinite
            where it does not decay).
        """
        c = self.question.states()
        with torch.no_grad():
            e = c.states_a - self.back.map(self.there.map(c.states_a))
        valid = torch.arange(e.shape[1]) < c.lengths[:, None]
        x, lost = c.states_a[valid], e[valid]
        share = float(lost.var(0).sum() / x.var(0).sum())
        dimension, tau = 0, math.nan
        if share >= 1e-3:
            values, vectors = torch.linalg.eigh(torch.cov(lost.T).reshape(lost.shape[1], -1))
            kept = values.flip(0).clamp(min=0).cumsum(0)
            dimension = int((kept < 0.9 * kept[-1]).sum()) + 1
            first = (e - lost.mean(0)) @ vectors[:, -1]
            both = valid[:, 1:]
            now, then = first[:, 1:][both], first[:, :-1][both]
            r = float((now * then).sum() / then.square().sum())
            unit = self.b.dt or 1.0
            tau = math.inf if r >= 1 else (-unit / math.log(r) if r > 0 else 0.0)
        outputs = math.nan
        if self.a.readout is not None:
            with torch.no_grad():
                whole, kept_only = (self.a.readout(s.to(c.states_a.dtype)) for s in (x, x - lost))
            outputs = float((whole - kept_only).var(0).sum() / whole.var(0).sum())
        return {"variance": share, "dimension": dimension, "outputs": outputs, "time constant": tau}

    def points(self, inputs: Any = 0.0, *, n_inits: int = 512, seed: int = 0, progress: bool = False) -> pd.DataFrame:
        """Fixed points of a, their images, and the fixed points of b nearest to these.

        A smooth conjugacy takes fixed points to fixed points, and keeps their eigenvalues.

        Parameters
        ----------
        inputs : number or sequence of float
            The input held.
        n_inits, seed, progress
            Of both searches, see `conjugacy.fixed_points`.

        Returns
        -------
        DataFrame
            One row a fixed point of a: "kind" and "unstable" (growing directions) of it and "kind b", "unstable b" of
            the nearest of b (its index is "point b"); "distance" of the image to it and "room", half the distance from
            there to the next fixed point of b, in spreads of b; "inside" (distance < room); "taken once" (no other
            image is at the same point); "modulus a", "modulus b": of the largest eigenvalues, three at most.
        """
        import pandas as pd

        from conjugacy.dynamics import fixed_points

        fa, fb = (
            fixed_points(s, inputs=inputs, n_inits=n_inits, seed=seed, progress=progress) for s in (self.a, self.b)
        )
        rows = []
        if not len(fa.x) or not len(fb.x):
            return pd.DataFrame(rows)
        image = self.forward(fa.x)
        targets = torch.as_tensor(np.asarray(fb.x)).double()
        scale = float(self.there.map.b.variances.sum().sqrt())
        distance = torch.cdist(image, targets) / scale
        between = torch.cdist(targets, targets) / scale
        between.fill_diagonal_(math.inf)
        nearest = distance.argmin(1)
        for i, j in enumerate(nearest.tolist()):
            room = float(between[j].min()) / 2
            rows.append(
                {
                    "kind": str(fa.kind[i]),
                    "unstable": int(fa.n_unstable[i]),
                    "point b": j,
                    "kind b": str(fb.kind[j]),
                    "unstable b": int(fb.n_unstable[j]),
                    "distance": float(distance[i, j]),
                    "room": room,
                    "inside": bool(float(distance[i, j]) < room),
                    "taken once": bool((nearest == j).sum() == 1),
                    "modulus a": _largest(fa, i),
                    "modulus b": _largest(fb, j),
                }
            )
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        a, b = self.a.name, self.b.name
        said = {
            "equal": f"{a} and {b} are conjugate: one is the other in other coordinates.",
            "b of a": f"{b} is a factor of {a}: what {b} computes, {a} computes, and something else besides.",
            "a of b": f"{a} is a factor of {b}: what {a} computes, {b} computes, and something else besides.",
            "neither": f"No change of coordinates was found that takes {a} to {b}, or back.",
        }[self.factor]
        lines = [said]
        if self.speed != 1.0:
            lines.append(f"  One step of {b} is {self.speed:g} steps of {a}.")
        for d in (self.there, self.back):
            steps = f"{'at least ' if d.horizon_is_bound else ''}{d.horizon} steps"
            lines.append(
                f"  {d.a} -> {d.b} ({d.map.kind}): {d.score} on new trials (wanted {SCORE}), {d.score_off} around them "
                f"(wanted {SCORE_OFF}); orbits stay together for {steps}."
            )
        if self.null:
            scores = [min(on, off) for _, on, off in self.null]
            lines.append(
                f"  {len(scores)} partners that compute something else: {min(scores):.3f} to {max(scores):.3f} (the "
                "smaller of both scores)."
            )
        return "\n".join([*lines, *(f"  Warning: {text}" for text in self.doubts)])


def factor_of(there: Direction, back: Direction) -> str:
    """Which system is a factor of which; see `Conjugacy.factor`."""
    ways = {(True, True): "equal", (True, False): "b of a", (False, True): "a of b", (False, False): "neither"}
    return ways[there.holds, back.holds]


def _mapped(h: StateMap, x: Any) -> Tensor:
    states = x.double() if isinstance(x, Tensor) else read_numbers("x", np.asarray(x), "states (..., unit)")
    check_last("x", states, len(h.a.mean))
    with torch.no_grad():
        return h(states)


def _largest(points: Any, i: int) -> tuple[float, ...]:
    values = np.sort(np.abs(np.asarray(points.eigenvalues[i])))[::-1]
    return tuple(float(v) for v in values[:3])

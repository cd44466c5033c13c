"""Mechanisms of context-dependent decisions: how does a network let one stream of evidence pass and not the other?

For each stream the context's effect is divided among three mechanisms, see `conjugacy.dynamics.selection`. Their shares
add up to 1: a point in the triangle of Pagan et al. 2025, Nature 639:421. A mechanism that works against the selection
has a negative share, and the point lies outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from conjugacy._check import check_axes, check_choice, check_int, check_number, shown
from conjugacy.analysis.analysis import Analysis
from conjugacy.analysis.task_scores import task_scores
from conjugacy.dynamics._as_map import as_map
from conjugacy.dynamics.selection import (
    SlowPoints,
    angle_between,
    paired_places,
    picked,
    shares_of_selection,
    slow_points_near,
)
from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.similarity.samples import kind_of
from conjugacy.system import System
from conjugacy.tasks.contextual_integration import ContextualIntegration
from conjugacy.tasks.multitask import MultiTask

if TYPE_CHECKING:
    import pandas as pd

MECHANISMS = ("direct", "indirect", "selection")
_ELEMENTWISE = (nn.Tanh, nn.ReLU, nn.Sigmoid, nn.Softplus, nn.Identity)
_LEAST_PAIRS = 5
_HOLDS = 0.5  # of the duration of the evidence: a slow mode that forgets faster is no line attractor
_LEAST_SHARE = 0.1  # of the states, that have to be on the line
_GAP, _TILT, _LOW_SELECTION = 2.0, np.pi / 6, 0.5
_RULES = ("ContextIntMod1", "ContextIntMod2")


@dataclass(frozen=True)
class Stream:
    """One stream of evidence: contexts in which it counts and does not, and what a pulse of it is."""

    name: str
    relevant: int  # 0 or 1: the context in which it counts
    evidence: tuple[Tensor, ...]  # pulses (input,), over which is averaged


@dataclass(frozen=True, eq=False)
class ContextMechanism:
    """Where a network lies between three mechanisms of selection, see `context_mechanism`.

    Attributes
    ----------
    name : str
    shares : dict of str to float
        Of "direct", "indirect" and "selection": they add up to 1, over both streams.
    intervals : dict of str to (float, float)
        Of the shares; trials, from which the points were taken, resampled.
    streams : DataFrame
        One row a stream: its shares, "relevant" and "irrelevant" (steps along the line that a unit pulse makes in
        both contexts, in rates), "selected" (1 - irrelevant / relevant: 1 if the other context ignores it).
    points : DataFrame
        One row a place on the attractor and stream, with the same columns.
    time_constants : Tensor (context, k + 1)
        Medians, in steps, of the slow modes and of the next one.
    angle : float
        Between the attractors of both contexts, radian (median).
    doubts : tuple of str
        What speaks against reading the shares.
    level : float
    resampled : array (resample, 3)
        Shares of the resamples, for figures.
    """

    name: str
    shares: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    streams: pd.DataFrame
    points: pd.DataFrame
    time_constants: Tensor
    angle: float
    doubts: tuple[str, ...]
    level: float
    resampled: np.ndarray

    def __repr__(self) -> str:
        said = {"direct": "direct input", "indirect": "indirect input", "selection": "selection vector"}
        parts = [
            f"{said[m]} {self.shares[m]:.2f} [{self.intervals[m][0]:.2f}, {self.intervals[m][1]:.2f}]" for m in said
        ]
        lines = [f"{self.name}: modulation of {', '.join(parts)}"]
        for name, row in self.streams.iterrows():
            lines.append(f"  {name}: {row['selected']:.0%} of its effect is taken away where it does not count")
        return "\n".join([*lines, *(f"  doubt: {d}" for d in self.doubts)])


def context_mechanism(
    thing: Run | Analysis | System,
    contexts: Any = None,
    evidence: Any = None,
    *,
    rates: str | Callable[[Tensor], Tensor] = "readout",
    n_modes: int | None = None,
    n_trials: int = 60,
    level: float = 0.95,
    seed: int = 0,
) -> ContextMechanism:
    """Divide the selection of evidence by context among direct, indirect and selection vector modulation.

    Parameters
    ----------
    thing : Run, Analysis or System
        A run of `ContextualIntegration`, or of `MultiTask` with the rules ContextIntMod1 and ContextIntMod2, for which
        contexts and evidence are known. A System with a step, on trials in both contexts, needs them.
    contexts : array (2, input), optional
        Held inputs of the two contexts, without evidence.
    evidence : array (2, input), optional
        A unit pulse of the evidence that counts in the first context, and of that which counts in the second.
    rates : "readout", "states" or callable
        Firing rates of states, unit by unit, in which directions are measured. "readout": what the readout weighs, that
        is its first layers where these act on each unit by itself (tanh of a `LowRankRNN`), else the states.
    n_modes : int, optional
        Slow modes of the attractor: by default 1, a line; 2, a plane, for `MultiTask`, whose evidence has a direction.
    n_trials : int
        Trials in each context, of each of which one state starts the search for a point of the attractor; at least 10.
    level : float
        Of the intervals, in (0, 1).
    seed : int
        Of trials and resamples.

    Raises
    ------
    TypeError
        If `thing` is something else.
    ValueError
        If there is one context only, no slow mode that lasts through the evidence, or the attractors of both contexts
        share no place.

    References
    ----------
    Pagan et al. 2025, Nature 639:421; Mante et al. 2013, Nature 503:78.
    """
    check_int("n_trials", n_trials, 10)
    check_int("seed", seed, 0)
    check_number("level", level, 0, 1, open_low=True)
    thing = thing.run if isinstance(thing, Analysis) else thing
    if not isinstance(thing, Run | System):
        raise TypeError(f"`thing`: expected a Run, an Analysis or a System, got {kind_of(thing)}.")
    doubts: list[str] = []
    if isinstance(thing, Run):
        if contexts is not None or evidence is not None:
            raise ValueError("`contexts`: expected None for a Run, whose task knows them; pass run.system(trials).")
        held, streams, states, duration, default_modes = _of_run(thing, n_trials, seed)
        system = states[0]
        starts = [_drawn(s, epochs, n_trials, seed) for s, epochs in zip(states[1], states[2])]
        known = task_scores([thing], [thing.name])
        if known["does_the_task"].iloc[0] is False:
            doubts.append(f"the network does not do its task ({known['score'].iloc[0]} {known['test'].iloc[0]:.3f})")
        function = _rate_function(rates, thing.network.readout)
    else:
        system = thing
        held, streams = _given(system, contexts, evidence)
        starts, duration, default_modes = _split(system, held, n_trials, seed), system.trajectories.shape[1] / 2, 1
        function = _rate_function(rates, system.readout)
    k = default_modes if n_modes is None else check_int("n_modes", n_modes, 1, limit=system.n_units - 1)
    dynamics = as_map(system)
    found = [slow_points_near(dynamics, x, u, k, function) for x, u in zip(starts, held)]
    found, constants = _check_attractors(found, duration, k, system.name, system.dt, doubts)
    at = paired_places(found[0], found[1], k)
    if len(at[0]) < _LEAST_PAIRS:
        raise ValueError(
            f"`thing`: the line attractors of {system.name} in the two contexts share no place (of {n_trials} states "
            f"each, {len(at[0])} pairs), so selection vectors cannot be compared."
        )
    pair = [picked(p, i) for p, i in zip(found, at)]
    angle = float(angle_between(pair[0], pair[1]).median())
    if angle > _TILT:
        doubts.append(
            f"the attractors of the two contexts are not parallel (angle {np.degrees(angle):.0f} degrees), as the "
            "theory takes them to be"
        )
    return _summed(system.name, pair, streams, constants, angle, doubts, level, seed)


def _summed(
    name: str,
    pair: Sequence[SlowPoints],
    streams: Sequence[Stream],
    constants: Tensor,
    angle: float,
    doubts: list[str],
    level: float,
    seed: int,
) -> ContextMechanism:
    import pandas as pd

    parts, rows, totals = [], [], []
    for stream in streams:
        one, other = pair[stream.relevant], pair[1 - stream.relevant]
        results = [shares_of_selection(one, other, e) for e in stream.evidence]
        part = torch.stack([r[0] for r in results]).mean(0).numpy()
        steps = torch.stack([r[1] for r in results]).mean(0).numpy()
        if not part.sum() > 0:
            raise ValueError(
                f"`thing`: {name} does not select {stream.name}: a pulse moves it by {steps[:, 0].mean():.3g} along "
                f"the line where it counts and by {steps[:, 1].mean():.3g} where it does not. Train it first."
            )
        parts.append(part)
        totals.append(_row(part.sum(0), steps.sum(0) / len(steps)))
        rows += [{"stream": stream.name, "place": k, **_row(p, s)} for k, (p, s) in enumerate(zip(part, steps))]
        if totals[-1]["selected"] < _LOW_SELECTION:
            doubts.append(f"{stream.name} passes to {1 - totals[-1]['selected']:.0%} where it does not count")
    together = np.sum(parts, 0)
    rng = np.random.default_rng([seed, 1])
    drawn = together[rng.integers(0, len(together), (1000, len(together)))].sum(1)
    resampled = drawn / drawn.sum(1, keepdims=True)
    tail = (1 - level) / 2
    shares = together.sum(0) / together.sum()
    ends = np.quantile(resampled, [tail, 1 - tail], axis=0)
    return ContextMechanism(
        name,
        dict(zip(MECHANISMS, map(float, shares))),
        {m: (float(ends[0, j]), float(ends[1, j])) for j, m in enumerate(MECHANISMS)},
        pd.DataFrame(totals, index=pd.Index([s.name for s in streams], name="stream")),
        pd.DataFrame(rows).set_index(["stream", "place"]),
        constants,
        angle,
        tuple(doubts),
        level,
        resampled,
    )


def _row(part: np.ndarray, steps: np.ndarray) -> dict[str, float]:
    whole = part.sum()
    row = {m: float(p / whole) for m, p in zip(MECHANISMS, part)}
    return row | {
        "relevant": float(steps[0]),
        "irrelevant": float(steps[1]),
        "selected": float(1 - steps[1] / steps[0]),
    }


def _check_attractors(
    found: Sequence[SlowPoints], duration: float, k: int, name: str, dt: float | None, doubts: list[str]
) -> tuple[list[SlowPoints], Tensor]:
    """Points that hold for the evidence, and medians of the time constants (context, k + 1)."""
    kind = "line" if k == 1 else f"{k}-dimensional"
    unit, scale = ("steps", 1.0) if dt is None else ("s", dt)
    kept = []
    for context, points in enumerate(found):
        if len(points) < _LEAST_PAIRS:
            raise ValueError(
                f"`thing`: no {kind} attractor was found in context {context} of {name}: only from {len(points)} "
                "states did the search end where the flow across the slow modes vanishes."
            )
        # the ends of the line, where a decision is made and kept, are stable points that forget evidence at once
        slow, following = points.time_constants[:, -2], points.time_constants[:, -1]
        holds = (slow >= _HOLDS * duration).nonzero()[:, 0]
        if len(holds) < max(_LEAST_PAIRS, _LEAST_SHARE * len(points)):
            raise ValueError(
                f"`thing`: {name} has no {kind} attractor in context {context}: its slowest mode lasts "
                f"{float(slow.median()) * scale:.2g} {unit} (median), the evidence {duration * scale:.2g} {unit}."
            )
        if float((slow / following)[holds].median()) < _GAP:
            doubts.append(
                f"in context {context} another mode is nearly as slow ({float(following[holds].median()) * scale:.2g} "
                f"{unit} and {float(slow[holds].median()) * scale:.2g} {unit})"
            )
        kept.append(picked(points, holds))
    return kept, torch.stack([p.time_constants.median(0).values for p in kept])


def _rate_function(rates: Any, readout: Any) -> Callable[[Tensor], Tensor]:
    if callable(rates):
        return cast("Callable[[Tensor], Tensor]", rates)
    check_choice("rates", rates, ("readout", "states"), "Or give a function of states, unit by unit.")
    layers: list[nn.Module] = []
    if rates == "readout" and isinstance(readout, nn.Sequential):
        for layer in readout:
            if not isinstance(layer, _ELEMENTWISE):
                break
            layers.append(layer)
    layers = layers or [nn.Identity()]
    return nn.Sequential(*layers)


def _of_run(run: Run, n: int, seed: int) -> tuple[Any, list[Stream], Any, float, int]:
    """Held inputs, streams, (system, states and epochs of each context), steps of evidence, and slow modes."""
    task = run.task
    eye = torch.eye(run.network.input_size, dtype=torch.float64)
    trial_seed = derive_seed(seed, "context mechanism")
    if isinstance(task, ContextualIntegration):
        held = [eye[2], eye[3]]
        streams = [Stream("motion", 0, (eye[0],)), Stream("colour", 1, (eye[1],))]
        trials = task.trials(4 * n + 40, trial_seed)
        chosen = [trials.conditions // 4 == c for c in (0, 1)]
        sets = [trials[which.nonzero()[:, 0][:n]] for which in chosen]
        names, modes = ("evidence",), 1
    elif isinstance(task, MultiTask) and set(_RULES) <= set(task.rules):
        held = [eye[0] + eye[5 + task.RULES.index(rule)] for rule in _RULES]
        angles = torch.arange(8, dtype=torch.float64) * torch.pi / 4
        pulses = [tuple(a.cos() * eye[c] + a.sin() * eye[c + 1] for a in angles) for c in (1, 3)]
        streams = [Stream(f"modality {m + 1}", m, p) for m, p in enumerate(pulses)]
        sets = [task.trials_of(rule, n, trial_seed) for rule in _RULES]
        names, modes = ("mem1", "mem2"), 2
    else:
        raise ValueError(
            f"`thing`: expected a run of ContextualIntegration, or of MultiTask with the rules {_RULES[0]} and "
            f"{_RULES[1]}, got {shown(getattr(task, 'name', task))}, which has not two contexts. Pass a System with "
            "`contexts` and `evidence`."
        )
    systems = [run.system(t) for t in sets]
    ranges = [[t.epochs[e] for e in names] for t in sets]
    lasts = float(torch.cat([(r[:, 1] - r[:, 0]).double() for rs in ranges for r in rs]).mean())
    return held, streams, (systems[0], systems, ranges), lasts, modes


def _drawn(system: System, ranges: Sequence[Tensor], n: int, seed: int) -> Tensor:
    """A state (point, unit) of each trial, at a random step of one of the epochs."""
    rng = np.random.default_rng([seed, 2])
    rows = []
    for k in range(min(n, system.n_trials)):
        steps = np.concatenate([np.arange(int(r[k, 0]), int(r[k, 1])) for r in ranges])
        rows.append(system.trajectories[k, int(rng.choice(steps))])
    return torch.stack(rows).double()


def _given(system: System, contexts: Any, evidence: Any) -> tuple[Tensor, list[Stream]]:
    if system.step is None or system.inputs is None:
        raise ValueError(f"`thing`: expected a System with `step` and `inputs`, got {system!r}.")
    size, arrays = system.inputs.shape[2], []
    for name, value in (("contexts", contexts), ("evidence", evidence)):
        if value is None:
            raise ValueError(f"`{name}`: expected an array (2, {size}) for a System, got None.")
        try:
            array = torch.as_tensor(value, dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(f"`{name}`: expected numbers (2, {size}), got {kind_of(value)}.") from None
        check_axes(name, array, "context input", "Two contexts, one row each.", context=2, input=size)
        arrays.append(array)
    if torch.equal(arrays[0][0], arrays[0][1]):
        raise ValueError("`contexts`: expected two contexts that differ, got the same input twice.")
    return arrays[0], [Stream(f"evidence {k + 1}", k, (e,)) for k, e in enumerate(arrays[1])]


def _split(system: System, held: Tensor, n: int, seed: int) -> list[Tensor]:
    """States of the second half of trials, one a trial, by the context whose held input is nearer."""
    assert system.inputs is not None
    differ = held[0] != held[1]
    means = torch.stack([u[:t].double().mean(0) for u, t in zip(system.inputs, system.lengths.tolist())])[:, differ]
    nearest = torch.cdist(means, held[:, differ]).argmin(1)
    rng, starts = np.random.default_rng([seed, 2]), []
    for context in (0, 1):
        trials = (nearest == context).nonzero()[:n, 0].tolist()
        if len(trials) < _LEAST_PAIRS:
            raise ValueError(
                f"`thing`: expected at least {_LEAST_PAIRS} trials in each context, got {len(trials)} in context "
                f"{context}. Selection is a difference between two contexts."
            )
        at = [int(rng.integers(int(system.lengths[k]) // 2, int(system.lengths[k]))) for k in trials]
        starts.append(torch.stack([system.trajectories[k, t] for k, t in zip(trials, at)]).double())
    return starts

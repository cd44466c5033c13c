"""Intervals that generalise to other units, conditions and stretches of time, not to other trials alone.

Which question an interval answers depends on what is drawn anew: with other trials of these units the value would lie
there; with other units of this network or area; with other conditions of this kind. A bootstrap of units would make
pairs of equal units, which measures of similarity take for agreement, so halves of the
units, conditions and trials are drawn without replacement (McCarthy 1969, Rev Int Stat Inst 37:239; Politis & Romano
1994, Ann Stat 22:2031). The value of a half lies about that of the whole as that of new data, as many as there are,
lies about their mean:

    value -+ t sd H

for values H of halves, t with one degree of freedom less than there are things of the fewest kind. So the interval is
for the mean over as many other units, not for infinitely many: most measures change with the number of units, by
`bias`, mean H - value, when it is halved. Units of two systems are drawn apart, conditions are the same in both, and
trials where measures pair them.

Of one long recording, or few long trials, neighbouring steps depend on each other. `blocks` are stretches that are long
against that dependence; they take the place of trials, and the interval is the measure's own (Kunsch 1989, Ann Stat
17:1217). Their default length is five times that after which the leading components have forgotten themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from conjugacy.similarity.nulls import Side, value_or_nan
from conjugacy.similarity.principal_components import principal_axes
from conjugacy.similarity.resampling import Resampling
from conjugacy.similarity.samples import part
from conjugacy.similarity.score import Interval, Undefined
from conjugacy.system import System

if TYPE_CHECKING:
    from conjugacy.similarity.measure import Measure

FEWEST = 6  # units or conditions of which a share is drawn
FEWEST_BLOCKS = 10
_MOST_DRAWS = 100
ENOUGH_HALVES = 0.8  # share of half-samples in which a value has to be defined
_FORGOTTEN, _BLOCK_TIMES, _SHORTEST = math.exp(-1), 5, 10


def check_resampled(systems: Sequence[System], resampling: Resampling) -> None:
    """Raise ValueError where systems have too few units, conditions or blocks to draw from, or labels do not fit."""
    over = resampling.resample
    if resampling.interval is None or over == ("trials",):
        return
    labels = [_labels(system, resampling.conditions) for system in systems] if "conditions" in over else []
    for k, system in enumerate(systems):
        counts = {"units": system.n_units, "trials": system.n_trials}
        if labels:
            fewest = min(len(np.intersect1d(labels[k], other)) for other in labels)
            counts["conditions that all have"] = fewest
        for what, n in counts.items():
            if what.split()[0] in over and n < FEWEST:
                raise ValueError(
                    f"`resample`: expected at least {FEWEST} {what}, of which halves are drawn, got {n} in "
                    f"{system.name!r}. Drop {what.split()[0]!r} from resample=."
                )
        if over == ("blocks",):
            n = block_length(system) if resampling.block is None else resampling.block
            count = int((system.lengths // n).sum())
            if count < FEWEST_BLOCKS:
                raise ValueError(
                    f"`block`: expected at least {FEWEST_BLOCKS} blocks in {system.name!r}, got {count} of {n} steps. "
                    "Give a longer recording, or block= if its states forget themselves sooner."
                )


def generalising_interval(measure: Measure, a: Side, b: Side, value: float, resampling: Resampling) -> Interval | None:
    """The interval over what `resampling.resample` names, for two prepared systems that passed `check_resampled`.

    None where the value does not depend on trials. Undefined (NaN, with the reason as its method) where the measure has
    no value in many draws, or needs the step of whole networks and units are drawn.
    """
    if not (measure.n_trials(a.features) and measure.n_trials(b.features)):
        return None
    if resampling.resample == ("blocks",):
        return _over_blocks(measure, a, b, resampling)
    if "units" in resampling.resample and measure.traits.needs == "step":
        assert resampling.interval is not None
        reason = "some units of a network have no step of their own. Compare retrained networks: compare_groups()"
        return Interval(math.nan, math.nan, resampling.interval, reason, math.nan, 0)
    return _over_shares(measure, a, b, value, resampling)


def _over_shares(measure: Measure, a: Side, b: Side, value: float, resampling: Resampling) -> Interval:
    from scipy.stats import t

    level, over = resampling.interval, resampling.resample
    assert level is not None
    halves = _Halves(a.system, b.system, over, resampling.conditions, measure.traits.needs == "paired trajectories")
    rng = np.random.default_rng(resampling.seed)
    values = []
    for _ in range(min(resampling.n_resamples, _MOST_DRAWS)):
        made = [_features(measure, side, trials, units) for side, (trials, units) in zip((a, b), halves.draw(rng))]
        values.append(math.nan if None in made else value_or_nan(measure, *made))
    found = np.array(values)
    defined = found[np.isfinite(found)]
    what = " and ".join(over)
    if len(defined) < ENOUGH_HALVES * len(found) or not math.isfinite(value):
        reason = f"half-samples of {what}: {len(defined)} of {len(found)} have a value"
        return Interval(math.nan, math.nan, level, reason, math.nan, len(defined))
    change = float(defined.mean() - value)
    reach = float(t.ppf((1 + level) / 2, halves.fewest - 1)) * float(defined.std(ddof=1))
    low, high = np.clip([value - reach, value + reach], measure.traits.low, measure.traits.high)
    doubt = ""
    if abs(change) > reach:
        direction = "lower" if change > 0 else "higher"
        doubt = (
            f"the value depends on how many {what} there are: halves of them are {change:+.2g} off, and with more it "
            f"would be {direction}. The interval is that of as many"
        )
    return Interval(float(low), float(high), level, f"half-samples of {what}", change, len(defined), doubt)


class _Halves:
    """Draws halves of trials, units and conditions of two systems."""

    def __init__(self, a: System, b: System, over: tuple[str, ...], conditions: Any, paired: bool):
        self.systems, self.over, self.paired = (a, b), over, paired
        counts = {"units": min(a.n_units, b.n_units), "trials": min(a.n_trials, b.n_trials)}
        if "conditions" in over:
            self.labels = [_labels(system, conditions) for system in self.systems]
            self.shared = np.intersect1d(self.labels[0], self.labels[1])
            counts["conditions"] = len(self.shared)
        self.fewest = min(counts[what] for what in over)

    def draw(self, rng: np.random.Generator) -> list[tuple[np.ndarray | None, np.ndarray | None]]:
        """Trials and units of both systems, None where all are taken."""
        drawn: list[tuple[np.ndarray | None, np.ndarray | None]] = []
        kept = half(self.shared, rng) if "conditions" in self.over else None
        for k, system in enumerate(self.systems):
            trials = units = None
            if kept is not None:
                trials = np.flatnonzero(np.isin(self.labels[k], kept))
            elif "trials" in self.over:
                trials = drawn[0][0] if k and self.paired else half(np.arange(system.n_trials), rng)
            if "units" in self.over:
                units = half(np.arange(system.n_units), rng)
            drawn.append((trials, units))
        return drawn


def half(rows: np.ndarray, rng: np.random.Generator, share: float = 0.5) -> np.ndarray:
    """Half of the rows, or another share, drawn without replacement, in order; at least one."""
    wanted = len(rows) * share
    # what is left over of a whole number is a chance of one more
    n = int(wanted) + int(rng.random() < wanted - int(wanted))
    return np.sort(rng.choice(rows, min(max(n, 1), len(rows)), replace=False))


def _features(measure: Measure, side: Side, trials: np.ndarray | None, units: np.ndarray | None) -> Any:
    """What the measure prepares of some trials and units; None where it is undefined for them."""
    system, train = side.system, side.train
    if trials is not None:
        system = part(system, "trials", trials)
    if units is not None:
        system, train = part(system, "units", units), None if train is None else part(train, "units", units)
    try:
        return measure.prepare(system, train)
    except Undefined:
        return None


def _labels(system: System, conditions: Any) -> np.ndarray:
    """Labels (trial,) of the conditions of a system, as text; ValueError where they do not fit it."""
    given = conditions.get(system.name) if isinstance(conditions, Mapping) else conditions
    if given is None:
        known = ", ".join(map(repr, conditions)) if isinstance(conditions, Mapping) else "None"
        raise ValueError(
            f"`conditions`: expected labels (trial,) for {system.name!r}, got {known}. Give one label a trial, or a "
            "dict of name of a system to labels."
        )
    labels = np.array([str(label) for label in given])
    if len(labels) != system.n_trials:
        raise ValueError(
            f"`conditions`: expected {system.n_trials} labels, one for each trial of {system.name!r}, got "
            f"{len(labels)}."
        )
    return labels


def _over_blocks(measure: Measure, a: Side, b: Side, resampling: Resampling) -> Interval | None:
    paired = measure.traits.needs == "paired trajectories"
    lengths = [block_length(side.system) if resampling.block is None else resampling.block for side in (a, b)]
    if paired:
        lengths = [max(lengths)] * 2
    features = [measure.prepare(in_blocks(side.system, n), side.train) for side, n in zip((a, b), lengths)]
    value, _ = measure.compare_or_nan(features[0], features[1])
    as_trials = replace(resampling, resample="trials", block=None)
    found = measure.interval(features[0], features[1], value, as_trials)
    if found is None:
        return None
    steps = " and ".join(str(n) for n in dict.fromkeys(lengths))
    return found._replace(method=found.method.replace("trials", f"blocks of {steps} steps"))


def in_blocks(system: System, n_steps: int) -> System:
    """The system with its trials cut into blocks of `n_steps`, at least one; what is left of a trial is dropped."""
    starts = [(k, first) for k, n in enumerate(system.lengths.tolist()) for first in range(0, n - n_steps + 1, n_steps)]

    def cut(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[k, first : first + n_steps] for k, first in starts])

    lengths = torch.full((len(starts),), n_steps, dtype=system.lengths.dtype)
    inputs = None if system.inputs is None else cut(system.inputs)
    return replace(system, trajectories=cut(system.trajectories), inputs=inputs, lengths=lengths)


def block_length(system: System) -> int:
    """Steps after which blocks of a system hardly depend on each other: see the module docstring."""
    x = system.trajectories.detach().cpu().double().numpy()
    inside = system.valid.numpy()
    mean, _, axes = principal_axes(x[inside])
    longest, forgotten = int(system.lengths.max()), 1
    for scores in np.moveaxis((x - mean) @ axes[:, :3], 2, 0):
        scores = np.where(inside, scores, 0.0)
        # summed over trials, each from its own start
        power = np.abs(np.fft.rfft(scores, 2 * longest, axis=1)) ** 2
        products = np.fft.irfft(power.sum(0))[:longest]
        pairs = np.array([np.clip(system.lengths.numpy() - lag, 0, None).sum() for lag in range(longest)])
        lags = products / np.maximum(pairs, 1)
        below = np.flatnonzero(lags < _FORGOTTEN * lags[0])
        forgotten = max(forgotten, int(below[0]) if len(below) else longest)
    return max(_SHORTEST, _BLOCK_TIMES * forgotten)

"""Is a model as near to animals as they are to each other? The NeuroAI Turing test, corrected for noise.

An animal differs from another one of its kind in units, noise and wiring, and no model has to be nearer to it than that
(Feather, Khosla, Murty & Nayebi 2025, arXiv:2502.16238). For a model m and animals a_1 ... a_n

    excess = mean of d(m, a_i) - mean of d(a_i, a_j)

is 0 for a model that is one of them, and `position` puts it on a scale from 0, another animal, to 1, noise at the
animal's rates through the same bins and filter. Noise of counting would make animals further from each other than from
a model that has none, so that bad models pass: the measure is one that is corrected for noise, or the model is given
spikes at the animals' rates, in as many units.

A model that cannot be told from animals for lack of data has passed nothing. So the answer is "not distinguishable"
only if the interval of the position ends below `margin`; where it reaches from 0 beyond it, "cannot tell".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conjugacy._check import check_number, shown
from conjugacy.analysis.prepared_recordings import (
    Bench,
    Prepared,
    Setting,
    animals_of,
    candidate_of,
    check_asked,
    chosen_measure,
    counts_for,
    distinct,
)
from conjugacy.analysis.summed_variances import interval_of_sum, jackknife_variance, variance_of_halves
from conjugacy.recordings.recording import Recording
from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.similarity.measure import Measure
from conjugacy.system import System
from conjugacy.trials import Trials

if TYPE_CHECKING:
    import pandas as pd

ANSWERS = ("distinguishable", "not distinguishable", "cannot tell")
_FEWEST_RESAMPLED = 3  # animals, below which they are no sample of their kind


@dataclass(frozen=True)
class TuringAnswer:
    """One model beside the animals.

    Attributes
    ----------
    candidate : str
    answer : {"distinguishable", "not distinguishable", "cannot tell"}
    distance : float
        Mean distance of the model from the animals.
    excess, low, high : float
        That distance less the mean distance among animals, and its interval.
    position, position_low, position_high : float
        The same in units of the way from animals to noise: 0 another animal, 1 noise.
    p_value : float
        Rank of the model among model and animals by mean distance from the others; at least 1 / (animals + 1).
    reason : str
        Why it cannot be told; else empty.
    """

    candidate: str
    answer: str
    distance: float
    excess: float
    low: float
    high: float
    position: float
    position_low: float
    position_high: float
    p_value: float
    reason: str


@dataclass(frozen=True, eq=False)
class TuringTest:
    """Models beside animals; see the module docstring.

    Attributes
    ----------
    answers : dict of str to TuringAnswer
        By the name of the candidate.
    among : float
        Mean distance among animals.
    noise : float
        Median distance of an animal from noise.
    animals : tuple of str
    resampled : str
        What the intervals know.
    measure, matched, setting : str
    level, margin : float
    """

    answers: dict[str, TuringAnswer]
    among: float
    noise: float
    animals: tuple[str, ...]
    resampled: str
    measure: str
    matched: str
    setting: str
    level: float
    margin: float

    def table(self) -> pd.DataFrame:
        """One row a candidate; columns as of `TuringAnswer`."""
        import pandas as pd

        return pd.DataFrame([vars(a) for a in self.answers.values()]).set_index("candidate")

    def __repr__(self) -> str:
        lines = [
            f"Turing test at level {self.level:g}: {self.measure}, {self.setting}; {self.matched}.",
            f"  distance among {len(self.animals)} animals {self.among:.3g}, from noise {self.noise:.3g}; intervals "
            f"over {self.resampled}",
        ]
        for a in self.answers.values():
            lines.append(
                f"  {a.candidate}: {a.answer} from the animals; position {a.position:.2f} [{a.position_low:.2f}, "
                f"{a.position_high:.2f}] from animals (0) to noise (1)" + (f": {a.reason}" if a.reason else "")
            )
        return "\n".join(lines)


def turing_test(
    candidates: Any,
    animals: Sequence[Recording],
    measure: str | Measure | None = None,
    *,
    bin_size: float | None = None,
    smooth: float | None = 0.02,
    trials: Trials | None = None,
    match: str | None = None,
    counts: str | None = "auto",
    margin: float = 0.25,
    level: float = 0.95,
    n_resamples: int = 100,
    n_noise: int = 20,
    seed: int = 0,
) -> TuringTest:
    """Test whether models can be told from the animals of a kind by their distance.

    Parameters
    ----------
    candidates : Run, System or Recording, sequence of them, or mapping of names to them
    animals : sequence of Recording
        At least two, in trials of the same conditions (or the same trials); nothing was done to them yet. With three
        or more, intervals know that they are a sample of animals; with two, they are about these two.
    measure : str or Measure, optional
        None: `recordings.CrossedCKA` ("cka_crossed"), which is corrected for noise.
    bin_size, smooth : float, optional
        Bins (s), a multiple of the animals', and standard deviation (s) of the Gaussian. None: as they are.
    trials, match, counts
        As of `nearest_kind`.
    margin : float
        How far on the way from animals to noise a model may be that is not distinguishable, in (0, 1].
    level : float
        Of the intervals, in (0, 1).
    n_resamples, n_noise : int
        Half-samples of trials and units, at least 10; surrogates of each animal, enough for a p-value of 1 - `level`.
    seed : int
        Of half-samples, noise and spikes.

    Returns
    -------
    TuringTest
        Printed, it is text; `answers`, `table()`.

    Raises
    ------
    TypeError, ValueError
        If there are fewer than two animals, no candidate, or trials cannot be paired.
    """
    check_number("margin", margin, 0, 1, open_low=True)
    check_asked(level, n_resamples, n_noise, seed, trials, match)
    chosen = chosen_measure(measure)
    if isinstance(animals, Recording):
        raise ValueError("`animals`: expected at least 2 recordings, got one. An animal has no distance from itself.")
    beasts = animals_of(animals, 2)
    like = beasts[0].recording
    models = _models(candidates, like, trials, counts_for(chosen, counts), seed)
    bench = Bench.of(beasts, models, chosen, match)
    setting = Setting(bin_size, smooth)
    to_models, among = bench.distances(setting)
    noise = bench.noise_distances(setting, n_noise, seed)
    n = len(beasts)
    pairs = np.triu_indices(n, 1)
    excess = _excess(to_models, among)
    rng = np.random.default_rng(derive_seed(seed, "halves"))
    halves = bench.scaled(np.array([_excess(*bench.half_distances(setting, rng)) for _ in range(n_resamples)]))
    left_out = None
    if n >= _FEWEST_RESAMPLED:
        keep = [np.delete(np.arange(n), i) for i in range(n)]
        left_out = np.array([_excess(to_models[k], among[np.ix_(k, k)]) for k in keep])
    mean_among = float(among[pairs].mean())
    finite = noise[np.isfinite(noise)]
    # where noise has no value at all, it is as far as systems that share nothing
    level_of_noise = float(np.median(finite)) if len(finite) else float(abs(chosen.traits.perfect))
    to_others = among.sum(1) / (n - 1)
    p_noise = ((noise <= to_others[:, None]).sum(1) + 1) / (n_noise + 1)
    doubt = _doubt(mean_among, p_noise, 1 - level + 1e-12, bench.animals)
    answers = {}
    for k, model in enumerate(bench.candidates):
        low, high = _interval(excess[k], halves[:, k], None if left_out is None else left_out[:, k], level)
        span = level_of_noise - mean_among
        answers[model.name] = _answer(model.name, to_models[:, k], among, excess[k], low, high, span, margin, doubt)
    return TuringTest(
        answers,
        mean_among,
        level_of_noise,
        tuple(p.name for p in bench.animals),
        "trials and units" + ("" if left_out is None else ", and animals"),
        chosen.name,
        bench.text,
        str(setting),
        float(level),
        float(margin),
    )


def _models(candidates: Any, like: Recording, trials: Trials | None, counts: str | None, seed: int) -> list[Prepared]:
    if isinstance(candidates, (Run, System, Recording, Prepared)):
        candidates = [candidates]
    if isinstance(candidates, Mapping):
        named = list(candidates.items())
    elif isinstance(candidates, Sequence) and not isinstance(candidates, (str, bytes)):
        named = [(None, thing) for thing in candidates]
    else:
        raise TypeError(f"`candidates`: expected runs, systems or recordings, got {shown(candidates)}.")
    if not named:
        raise ValueError("`candidates`: expected at least one, got none.")
    made = []
    for k, (name, thing) in enumerate(named):
        at = f"candidates[{k if name is None else repr(name)}]"
        one = candidate_of(at, thing, like, trials, counts, derive_seed(seed, f"candidate {k}"))
        made.append(one if name is None else one.called(str(name)))
    return distinct(made)


def _excess(to_models: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Mean distance (model,) from the animals less that among them."""
    return to_models.mean(0) - among[np.triu_indices(len(among), 1)].mean()


def _interval(value: float, halves: np.ndarray, left_out: np.ndarray | None, level: float) -> tuple[float, float]:
    parts = [variance_of_halves(halves)]
    if left_out is not None:
        parts.append(jackknife_variance(left_out))
    return interval_of_sum(value, parts, level)


def _doubt(among: float, p_noise: np.ndarray, error: float, animals: Sequence[Prepared]) -> str:
    """Why the animals themselves tell nothing, or nothing."""
    if not np.isfinite(among):
        return "the measure is undefined for the animals: there is more noise than signal"
    if (p_noise > error).any():
        reached = ", ".join(p.name for p, q in zip(animals, p_noise) if q > error)
        return f"noise through the same bins and filter comes as near to {reached} as other animals do"
    return ""


def _answer(
    name: str,
    distances: np.ndarray,
    among: np.ndarray,
    excess: float,
    low: float,
    high: float,
    span: float,
    margin: float,
    doubt: str,
) -> TuringAnswer:
    n = len(distances)
    everyone = np.zeros((n + 1, n + 1))
    everyone[:n, :n], everyone[n, :n], everyone[:n, n] = among, distances, distances
    mean = everyone.sum(1) / n
    p = float((mean >= mean[n] - 1e-12).mean())
    unit = span if span > 0 else math.nan
    position, position_low, position_high = float(excess) / unit, low / unit, high / unit
    if doubt or not np.isfinite(excess):
        answer, reason = "cannot tell", doubt or "the measure is undefined for it: there is more noise than signal"
    elif low > 0:
        answer, reason = "distinguishable", ""
    elif position_high <= margin:
        answer, reason = "not distinguishable", ""
    else:
        answer = "cannot tell"
        reason = f"the interval reaches from 0 beyond {margin:g}: more trials, units or animals would narrow it"
    return TuringAnswer(
        candidate=name,
        answer=answer,
        distance=float(distances.mean()),
        excess=float(excess),
        low=low,
        high=high,
        position=position,
        position_low=position_low,
        position_high=position_high,
        p_value=p,
        reason=reason,
    )

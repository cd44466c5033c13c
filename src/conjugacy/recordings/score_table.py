"""The table of scores of a model of spikes, each beside its ceiling, its null and the baselines.

    bits_per_spike      gain over constant rates, all units (of held-in ones the model has seen the spikes)
    co_bps              the same of units that the model does not see (co-smoothing)
    few_shot_k          the same by a read-out fitted on k trials, of units that the model was not trained on
    forward_bps         the same of all units in bins that the model has not seen, nor any after them
    rate_r2             of the true rates
    psth_r2             of the mean counts of each condition
    state_r2_missing    true states from inferred ones: low where the model lacks something
    state_r2_invented   inferred states from true ones: low where the model holds what is not there
    input_r2_missing, input_r2_invented   the same of inputs, where the model infers them
    cycle_consistency   states recovered from the rates they make; "_ctdb" looks at predicted rates only
    sample_distance     spikes drawn from the model beside those observed; 0 is best

A ceiling is what the true states and rates score in the model's place; of few-shot scores it is that of the true rates,
whatever the read-out. The null of bits and R2 is 0, constant rates; of State R2 it is
the score of shuffled trials, of sample distances that of constant rates; cycle consistency has none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from conjugacy._check import check_instance, check_int, check_number
from conjugacy.recordings.estimate import Estimate, true_estimate
from conjugacy.recordings.few_shot import few_shot_bits
from conjugacy.recordings.recording import Recording
from conjugacy.recordings.sampled_spikes import sample_distance
from conjugacy.recordings.spike_scores import cycled
from conjugacy.recordings.trial_sums import TrialSums, bits, r2
from conjugacy.similarity._state_r2 import state_r2
from conjugacy.system import System

_WINDOW = 0.05  # s, of sums of spikes that are compared
_CYCLED = 50_000  # samples of a fit
STATES = ("state_r2_missing", "state_r2_invented")
INPUTS = ("input_r2_missing", "input_r2_invented")
Found = dict[str, tuple[float, np.ndarray]]


def model_scores(
    recording: Recording,
    estimate: Estimate,
    *,
    baselines: Sequence[Estimate] = (),
    unseen: Sequence[int] = (),
    shots: Sequence[int] = (2, 8, 32),
    level: float = 0.95,
    n_resamples: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Scores of what a model says of a recording.

    Parameters
    ----------
    recording : Recording
        Of counts; ceilings and scores that need the truth are there where it was simulated.
    estimate : Estimate
        Of the model, on trials it was fitted on and on others, which are scored.
    baselines : sequence of Estimate
        Scored beside it, on the same trials.
    unseen : sequence of int
        Held-out units that the model was not trained on either, for few-shot scores; without any, these are of the
        held-out ones, and the table says so.
    shots : sequence of int
        Trials of the read-out.
    level : float
        Of the intervals, in (0, 1): bootstrap over test trials, the fit staying as it is.
    n_resamples : int
    seed : int

    Returns
    -------
    DataFrame
        A row for each score: value, low, high, ceiling, null, a column for each baseline, and a note.

    Raises
    ------
    TypeError, ValueError
        If the recording has no counts, or no spikes in trials that train or test, or `unseen` are not held out.
    """
    check_instance("recording", recording, Recording)
    check_instance("estimate", estimate, Estimate)
    check_number("level", level, 0, 1 - 1e-9, open_low=True)
    n_resamples = check_int("n_resamples", n_resamples, 10)
    data = _Data(recording, estimate, tuple(unseen), tuple(check_int("shots", k, 1) for k in shots), seed, level)
    found = data.scores(estimate, n_resamples)
    truth = true_estimate(recording, estimate)
    ceilings = {} if truth is None else data.scores(truth, 0)
    others = {b.name: data.scores(b, 0) for b in baselines}
    nulls = data.nulls(estimate)
    rows = []
    for name, (value, resampled) in found.items():
        low, high = _interval(value, resampled, level)
        ceiling = ceilings.get("co_bps_of_shots" if name.startswith("few_shot") else name, (np.nan, None))[0]
        row = {"score": name, "value": value, "low": low, "high": high, "ceiling": ceiling}
        row["null"] = nulls.get(name, np.nan if name.startswith("cycle") else 0.0)
        row |= {b: s.get(name, (np.nan, None))[0] for b, s in others.items()}
        rows.append(row | {"note": data.note(name, ceilings)})
    return pd.DataFrame(rows).drop(index=[i for i, r in enumerate(rows) if r["score"] == "co_bps_of_shots"])


class _Data:
    """The trials that are scored, and what is scored on them."""

    def __init__(
        self, recording: Recording, like: Estimate, unseen: tuple[int, ...], shots: tuple[int, ...], seed, level
    ):
        held = set(recording.held_out)
        if not set(unseen) <= held:
            raise ValueError(f"`unseen`: expected held-out units {sorted(held)}, got {sorted(set(unseen) - held)}.")
        self.recording, self.rows, self.train, self.seed = recording, like.rows, like.train, seed
        self.counts, self.inside = recording.counts[like.rows], recording.valid[like.rows]
        self.test = ~like.train
        null = self.counts[self.train][self.inside[self.train]].mean(0)
        told = null > 0  # a unit that is silent in training has no null likelihood
        if not self.counts[self.test][self.inside[self.test]][:, told].any():
            raise ValueError("`recording`: expected spikes in the test trials, got none: bits per spike are undefined.")
        self.null = null
        self.all = np.flatnonzero(told & ~np.isin(np.arange(len(null)), unseen))
        self.held = np.array([i for i in self.all if i in held], dtype=int)
        self.unseen = unseen
        self.shot_units = np.array([i for i in (unseen or recording.held_out) if told[i]], dtype=int)
        self.shots = [k for k in shots if k <= int(self.train.sum())]
        self.n_seen, self.level = like.n_seen, level

    def nulls(self, e: Estimate) -> dict[str, float]:
        """Scores of shuffled trials, and of constant rates where they are not 0."""
        constant = np.broadcast_to(self.null, self.counts.shape)
        out = {"sample_distance": self._distance(constant, 0)[0]}
        return out | {k: v for k, (v, _) in self._maps(e, shuffled=True).items()}

    def scores(self, e: Estimate, n_resamples: int) -> Found:
        """Every score of an estimate, with its values under resampled test trials."""
        test, inside = self.test, self.inside[self.test]
        counts, rates = self.counts[test], e.rates[test]
        sums: dict[str, TrialSums] = {}
        for name, units in (("bits_per_spike", self.all), ("co_bps", self.held), ("co_bps_of_shots", self.shot_units)):
            if len(units):
                sums[name] = bits(rates[..., units], counts[..., units], inside, self.null[units])
        if e.name != "truth":
            for k in self.shots if len(self.shot_units) else ():
                sums[f"few_shot_{k}"] = self._few_shot(e, k)
        if e.forecast is not None and self.n_seen < inside.shape[1]:
            ahead = inside & (np.arange(inside.shape[1]) >= self.n_seen)
            ahead_rates = np.where(ahead[..., None], e.forecast[test], 1.0)[..., self.all]
            sums["forward_bps"] = bits(ahead_rates, counts[..., self.all], ahead, self.null[self.all])
        truth = self.recording.truth
        if truth is not None and truth.rates is not None:
            true = truth.rates[self.rows][test] * self.recording.bin_size
            sums["rate_r2"] = r2(true[..., self.all], rates[..., self.all], inside)
        rng = np.random.default_rng([self.seed, 7])
        weights = rng.multinomial(int(test.sum()), np.full(int(test.sum()), 1 / test.sum()), n_resamples)
        out: Found = {k: (s.value, s.values(weights) if n_resamples else np.empty(0)) for k, s in sums.items()}
        if self._conditions() is not None:
            out["psth_r2"] = self._psth(rates, counts, inside, weights)
        out |= self._maps(e, n_resamples=n_resamples)
        for name, source in (("cycle_consistency", "rates"), ("cycle_consistency_ctdb", "predictions")):
            s = self._cycled(e, source)
            if s is not None:
                out[name] = s.value, s.values(weights) if n_resamples else np.empty(0)
        out["sample_distance"] = self._distance(e.rates, min(n_resamples, 50))
        return out

    def note(self, name: str, ceilings: Found) -> str:
        """What has to be known of a row."""
        if name.startswith("few_shot") and not self.unseen:
            return "held-out units, which the model was trained on: keep some apart, fit(n_unseen=)"
        if name == "forward_bps":
            return f"after {self.n_seen * self.recording.bin_size:g} s"
        if name.startswith("state_r2") and not ceilings:
            return "needs the truth"
        return ""

    def _few_shot(self, e: Estimate, k: int) -> TrialSums:
        units = self.shot_units
        return few_shot_bits(
            e.states, self.counts[..., units], self.inside, self.train, self.null[units], k, seed=self.seed
        )

    def _distance(self, rates: np.ndarray, n_resamples: int) -> tuple[float, np.ndarray]:
        lengths, units = self.recording.lengths[self.rows], self.all
        window = min(max(1, round(_WINDOW / self.recording.bin_size)), int(lengths.min()))
        settings = {"window": window, "n_resamples": n_resamples, "seed": self.seed}
        return sample_distance(rates[..., units], self.counts[..., units], lengths, self.train, **settings)

    def _conditions(self) -> np.ndarray | None:
        c = self.recording.conditions
        if c is None:
            return None
        _, labels, n = np.unique(np.asarray(c)[self.rows][self.test], return_inverse=True, return_counts=True)
        return labels if (n >= 2).any() else None

    def _psth(self, rates, counts, inside, weights) -> tuple[float, np.ndarray]:
        labels = self._conditions()
        assert labels is not None
        # bins that all trials of a condition have
        one = np.eye(labels.max() + 1)[labels].T
        shape = (len(counts), -1)
        n, r = (np.where(inside[..., None], x[..., self.all], 0.0).reshape(shape) for x in (counts, rates))

        def value(w: np.ndarray) -> float:
            weighted = one * w
            bins = (weighted @ inside)[..., None]
            full = (bins >= 2)[..., 0]
            if not full.any():
                return float("nan")
            safe = np.maximum(bins, 1)
            y, p = ((weighted @ x).reshape(len(one), inside.shape[1], -1) / safe for x in (n, r))
            y, p = y[full], p[full]
            return float(1 - ((y - p) ** 2).sum() / ((y - y.mean(0)) ** 2).sum())

        return value(np.ones(len(counts))), np.array([value(w) for w in weights[:50]])

    def _maps(self, e: Estimate, n_resamples: int = 0, shuffled: bool = False) -> Found:
        truth = self.recording.truth
        if truth is None:
            return {}
        out: Found = {}
        for names, true, found in ((STATES, truth.latents, e.states), (INPUTS, truth.inputs, e.inputs)):
            if true is None or found is None:
                continue
            true = true[self.rows]
            for name, a, b in zip(names, (found, true), (true, found)):
                both = [self._systems(label, x) for label, x in (("source", a), ("target", b))]
                try:
                    s = state_r2(
                        both[0][1],
                        both[1][1],
                        train=(both[0][0], both[1][0]),
                        interval=self.level if n_resamples else None,
                        n_resamples=max(n_resamples, 10),
                        null="shuffled_trials" if shuffled else None,
                        n_surrogates=10,
                        seed=self.seed,
                    )
                except ValueError:  # constant states: nothing is explained, or there is nothing to explain
                    continue
                if shuffled:
                    out[name] = (float("nan") if s.null is None else s.null.mean), np.empty(0)
                else:
                    ends = np.empty(0) if s.interval is None else np.array([s.interval.low, s.interval.high])
                    out[name] = s.value, ends
        return out

    def _systems(self, name: str, x: np.ndarray) -> list[System]:
        lengths = torch.from_numpy(self.recording.lengths[self.rows])
        states = torch.from_numpy(np.ascontiguousarray(x))
        return [System(name, states[part], None, lengths[part]) for part in (self.train, self.test)]

    def _cycled(self, e: Estimate, source: str) -> TrialSums | None:
        z_train, y_train = (
            e.states[self.train][self.inside[self.train]],
            np.log(e.rates[self.train][self.inside[self.train]][:, self.all]),
        )
        chosen = np.random.default_rng(self.seed).permutation(len(z_train))[:_CYCLED]
        z_train, y_train = z_train[chosen], y_train[chosen]
        if z_train.std(0).max() <= 1e-12 or y_train.std(0).max() <= 1e-12:
            return None
        inside = self.inside[self.test]
        z, y = e.states[self.test][inside], np.log(e.rates[self.test][inside][:, self.all])
        z, back = cycled(z, y, z_train, y_train, source=source)
        trial = np.broadcast_to(np.arange(len(inside))[:, None], inside.shape)[inside]
        errors, squares = ((x**2).sum(1) for x in (z - back, z - z.mean(0)))
        return TrialSums(np.bincount(trial, errors, len(inside)), np.bincount(trial, squares, len(inside)), True)


def _interval(value: float, resampled: np.ndarray, level: float) -> tuple[float, float]:
    """Quantiles of resampled values, shifted so that their mean is the value; those of State R2 are it already."""
    x = resampled[np.isfinite(resampled)]
    if len(x) == 2:
        return float(x[0]), float(x[1])
    if len(x) < 10 or not np.isfinite(value):
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low, high = np.quantile(x, [tail, 1 - tail]) - x.mean() + value
    return float(low), float(high)

"""What is asked of a model of data, one question a function: (yes, no or undecided; model; truth; evidence)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch

from conjugacy.analysis.recovered_pair import MOST_TRIALS, Pair, on_rows, visited
from conjugacy.dynamics._portrait_distance import portrait_distance
from conjugacy.dynamics.lyapunov import lyapunov_spectrum
from conjugacy.dynamics.points import FixedPoints
from conjugacy.recordings.recording import Recording
from conjugacy.runs.data_run import DataRun
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.similarity._state_r2 import state_r2
from conjugacy.similarity.conjugacy_maps import fit_conjugacy
from conjugacy.system import System

_R2, _SHARE, _FACTOR = 0.9, 0.9, 2.0


class Answer(NamedTuple):
    """One answer: "yes", "no" or "undecided", the model beside the truth, and what it rests on."""

    recovered: str
    model: str
    truth: str
    evidence: str


def memories(points: FixedPoints, true: FixedPoints, pair: Pair) -> tuple[Answer, np.ndarray]:
    """Whether the memories are the same, and which of the model's (memory of the truth,) is which; -1: none."""
    found, wanted = points.x[points.memories], true.x[true.memories]
    matched = np.full(len(wanted), -1, dtype=np.int64)
    numbers = str(len(found)), str(len(wanted))
    if not len(wanted):
        return Answer("undecided", *numbers, "the truth has no memory at this input"), matched
    if not len(found):
        return Answer("no", *numbers, "the model has none"), matched
    images = pair.to_truth(found)
    apart = np.linalg.norm(images[:, None] - wanted[None], axis=2)
    near = _spacing(wanted, visited(pair.truth_train)) / 2
    nearest = apart.argmin(1)
    for j in range(len(wanted)):
        mine = np.flatnonzero((nearest == j) & (apart[:, j] < near))
        if len(mine):
            matched[j] = mine[apart[mine, j].argmin()]
    n = int((matched >= 0).sum())
    invented = len(found) - n
    off = apart[matched[matched >= 0], matched >= 0] / (2 * near)
    far = f", the farthest {off.max():.2f} of the distance between them away" if n else ""
    evidence = f"{n} of {len(wanted)} found{far}; {invented} that the truth does not have"
    return Answer("yes" if n == len(wanted) and not invented else "no", *numbers, evidence), matched


def _spacing(memories: np.ndarray, states: np.ndarray) -> float:
    """Smallest distance between memories; of a single one, the spread of the states."""
    if len(memories) == 1:
        return float(np.sqrt(((states - states.mean(0)) ** 2).sum(1).mean()))
    gap = np.linalg.norm(memories[:, None] - memories[None], axis=2)
    return float(gap[np.triu_indices(len(memories), 1)].min())


def _counted(points: FixedPoints) -> dict[int, int]:
    kinds = np.isin(points.kind, ("fixed", "held")) & points.counted
    return {int(k): int((points.n_unstable[kinds] == k).sum()) for k in np.unique(points.n_unstable[kinds])}


def saddles(points: FixedPoints, true: FixedPoints) -> Answer:
    """Whether there are as many points of every number of unstable directions."""
    a, b = ({k: n for k, n in _counted(p).items() if k} for p in (points, true))
    audits = [p.index_sum for p in (points, true)]
    texts = [" + ".join(f"{n} of {k}" for k, n in x.items()) or "none" for x in (a, b)]
    same = "yes" if a == b else "no"
    if audits[0] != audits[1] if a == b else any(s not in (1, None) for s in audits):
        same = "undecided"  # a search that has missed points cannot say what is not there
    return Answer(same, texts[0], texts[1], f"by unstable directions; index sums {audits[0]} and {audits[1]}")


def edges(points: FixedPoints, true: FixedPoints) -> Answer:
    """Whether the same saddles join the same memories."""
    try:
        a, b = points.portrait(), true.portrait()
        d = portrait_distance(a, b)
    except ValueError as error:
        return Answer("undecided", "?", "?", " ".join(str(error).split())[:160])
    sizes = [str(len(p.edges)) for p in (a, b)]
    evidence = f"distance of the graphs {d.graph:.2f}, of spectra {d.spectra:.2f}, of counts {d.counts:.2f}"
    return Answer("yes" if d.graph < 1e-9 else "no", sizes[0], sizes[1], evidence)


def time_constants(points: FixedPoints, true: FixedPoints, matched: np.ndarray) -> Answer:
    """Whether the slowest modes of matched memories are within a factor of two."""

    def slowest(p: FixedPoints) -> np.ndarray:
        modulus = np.clip(np.abs(p.eigenvalues[p.memories][:, 0]), 1e-300, 1 - 1e-12)
        return -(1.0 if p.dt is None else p.dt) / np.log(modulus)

    if not (matched >= 0).any():
        return Answer("undecided", "?", "?", "no memory is matched")
    a, b = slowest(points)[matched[matched >= 0]], slowest(true)[matched >= 0]
    ratio = a / b
    within = bool(((ratio <= _FACTOR) & (ratio >= 1 / _FACTOR)).all())
    ratios = f"slowest of each memory; ratios {ratio.min():.2f} to {ratio.max():.2f}"
    unit = "steps" if points.dt is None else "s"
    texts = [f"{np.median(x):.3g} {unit}" for x in (a, b)]
    return Answer(
        "yes" if within else "no",
        texts[0],
        texts[1],
        ratios,
    )


def states(pair: Pair, seed: int) -> Answer:
    """Whether an affine map explains the states of each by the other's."""
    ways = {
        "missing": state_r2(
            pair.model, pair.truth, train=(pair.model_train, pair.truth_train), interval=0.95, seed=seed
        ),
        "invented": state_r2(
            pair.truth, pair.model, train=(pair.truth_train, pair.model_train), interval=0.95, seed=seed
        ),
    }
    texts, lows, highs = [], [], []
    for way, s in ways.items():
        assert s.interval is not None
        texts.append(f"{way} {1 - s.value:.3f} [{1 - s.interval.high:.3f}, {1 - s.interval.low:.3f}]")
        lows.append(s.interval.low)
        highs.append(s.interval.high)
    answer = "yes" if min(lows) >= _R2 else "no" if min(highs) < _R2 else "undecided"
    sizes = [f"{_dimension(s)} of {s.n_units}" for s in (pair.model_train, pair.truth_train)]
    return Answer(answer, sizes[0], sizes[1], f"shares of variance {', '.join(texts)}; dimensions that hold 95 %")


def _dimension(system: System) -> int:
    x = visited(system)
    values = np.linalg.eigvalsh(np.cov(x.T).reshape(x.shape[1], x.shape[1]))[::-1]
    return int(np.searchsorted(np.cumsum(values) / values.sum(), 0.95)) + 1


def exponents(pair: Pair, seed: int) -> Answer:
    """Whether the largest exponents along the trials agree."""
    values, errors = [], []
    for s in (pair.model, pair.truth):
        some = on_rows(s, np.arange(min(s.n_trials, 8)))
        try:
            found = lyapunov_spectrum(some, inputs="trials", n_exponents=1, seed=seed, progress=False)
        except (ValueError, TypeError) as error:
            return Answer("undecided", "?", "?", " ".join(str(error).split())[:160])
        per = 1.0 if s.dt is None else s.dt
        values.append(float(found.exponents[0]) / per)
        errors.append(float(found.standard_error[0]) / per)
    duration = float(pair.truth.lengths.double().mean()) * (pair.truth.dt or 1.0)
    small = max(map(abs, values)) < 1 / duration
    alike = values[0] * values[1] > 0 and 1 / _FACTOR <= values[0] / values[1] <= _FACTOR
    unit = "a step" if pair.model.dt is None else "1/s"
    texts = [f"{v:+.3g} +- {e:.1g} {unit}" for v, e in zip(values, errors)]
    return Answer("yes" if small or alike else "no", texts[0], texts[1], "largest, along the trials")


@torch.no_grad()
def perturbed(pair: Pair, true: FixedPoints, inputs: Any, n_kicks: int, kick: float, seed: int) -> Answer:
    """Whether both go to the same memories after kicks."""
    wanted = true.x[true.memories]
    if len(wanted) < 2:
        return Answer("undecided", "?", "?", "the truth has no two memories to go to")
    rng = np.random.default_rng(derive_seed(seed, "kicks"))
    states = visited(pair.truth)
    start = states[rng.integers(len(states), size=n_kicks)]
    _, sizes, axes = np.linalg.svd(states - states.mean(0), full_matrices=False)
    axes, sizes = axes[: len(wanted)], sizes[: len(wanted)] / math.sqrt(len(states))
    sizes = sizes[: max(1, int((sizes > 0.05 * sizes[0]).sum()))]
    start = start + kick * (rng.standard_normal((n_kicks, len(sizes))) * sizes) @ axes[: len(sizes)]
    steps = int(pair.truth.lengths.max())
    ends = []
    for s, x in ((pair.truth, start), (pair.model, pair.to_model(start))):
        assert s.step is not None and s.inputs is not None
        u = torch.as_tensor(inputs, dtype=torch.float64).expand(n_kicks, s.inputs.shape[2])
        y = torch.from_numpy(np.ascontiguousarray(x))
        for _ in range(steps):
            y = s.step(y, u)
        ends.append(y.numpy())
    ends = ends[0], pair.to_truth(ends[1])
    named = [np.linalg.norm(e[:, None] - wanted[None], axis=2).argmin(1) for e in ends]
    n = int((named[0] == named[1]).sum())
    low, high = _wilson(n, n_kicks)
    chance = float(np.bincount(named[0], minlength=len(wanted)) @ np.bincount(named[1], minlength=len(wanted)))
    answer = "yes" if low >= _SHARE else "no" if high < _SHARE else "undecided"
    shares = [f"{len(np.unique(x))} reached" for x in named[::-1]]
    evidence = f"{n / n_kicks:.2f} [{low:.2f}, {high:.2f}] of {n_kicks} end alike; by chance {chance / n_kicks**2:.2f}"
    return Answer(answer, shares[0], shares[1], evidence)


def _wilson(n: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """Interval of a share (Wilson 1927)."""
    p, k = n / of, z * z / of
    middle, half = (p + k / 2) / (1 + k), z * math.sqrt(p * (1 - p) / of + k / (4 * of)) / (1 + k)
    return middle - half, middle + half


def inputs(model: DataRun | System, recording: Recording, seed: int) -> Answer:
    """Whether the inputs were inferred."""
    known = recording.truth is not None and recording.truth.inputs is not None
    if not isinstance(model, DataRun) or not known:
        return Answer("undecided", "?", "?", "not known")
    rows = np.concatenate([model.rows("train")[:MOST_TRIALS], model.rows("test")])
    inferred = model.infer(rows).inputs
    if inferred is None:
        return Answer("undecided", "given", "given", "the model was given its inputs")
    assert recording.truth is not None and recording.truth.inputs is not None
    true, n = recording.truth.inputs[rows], len(rows) - len(model.rows("test"))
    values = []
    for a, b in ((inferred.numpy(), true), (true, inferred.numpy())):
        try:
            values.append(state_r2(a[n:], b[n:], train=(a[:n], b[:n]), seed=seed).value)
        except ValueError:  # constant: nothing is inferred
            values.append(0.0)
    evidence = f"R2 of true inputs {values[0]:.2f}, back {values[1]:.2f}"
    sizes = str(inferred.shape[2]), str(true.shape[2])
    return Answer("yes" if min(values) >= _R2 else "no", sizes[0], sizes[1], evidence)


def conjugate(pair: Pair, seed: int) -> Answer:
    """Whether each is a factor of the other."""
    found = fit_conjugacy(pair.truth_train, pair.model_train, test=(pair.truth, pair.model), seed=seed, progress=False)
    answer = "yes" if found.factor == "equal" else "no"
    return Answer(answer, "", "", f"factor {found.factor}, score {found.score:.2f}, off the data {found.score_off:.2f}")

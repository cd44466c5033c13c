"""fit_conjugacy(): the maps between two systems, fitted and judged; what comes of it is a `Conjugacy`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from conjugacy._check import check_flag, check_int, check_number
from conjugacy._progress import progress_bar
from conjugacy._threads import torch_threads
from conjugacy.similarity.agreement import Metrics, TrialShares, of_pair, residuals
from conjugacy.similarity.conjugacy_result import FOLLOWS, N_RESAMPLES, Conjugacy, Direction, Question
from conjugacy.similarity.correspondence import Correspondence, clock_ratio, parts_at_once
from conjugacy.similarity.map_training import fit_maps, total_steps
from conjugacy.similarity.samples import as_system
from conjugacy.similarity.state_maps import StateMap
from conjugacy.system import System


def fit_conjugacy(
    a: Any,
    b: Any,
    *,
    test: tuple[Any, Any] | None = None,
    speed: float | None = None,
    reach: float | None = None,
    n_steps: int = 600,
    n_states: int = 8000,
    level: float = 0.95,
    seed: int = 0,
    progress: bool = False,
) -> Conjugacy:
    """The change of coordinates between two systems.

    Parameters
    ----------
    a, b : System, or object with ``.system()``
        With `step` and the same input channels. Trials with equal inputs are taken as pairs; else b is run under a's.
    test : pair of System, optional
        New trials to judge by. None: a third of the trials is kept for that.
    speed : float, optional
        Steps of a in one of b, positive, whole or not. None: from their dt, or 1.
    reach : float, optional
        Look at states anywhere in a box of so many spreads about the mean as well. Out there only closed forms, affine
        or polynomial, say where a map goes, so no network is trained then; this suits systems in few dimensions.
    n_steps : int
        Steps of training of the network that follows closed forms where they do not suffice; 0 for none.
    n_states : int
        States to fit to, at most.
    level : float
        Of the intervals over new trials.
    seed : int
        Of all draws.
    progress : bool
        Show a bar.

    Raises
    ------
    TypeError, ValueError
        If a system has no step or other inputs, trials are too few, or a system's states never change.
    """
    a, b = as_system("a", a), as_system("b", b)
    if speed is not None:
        check_number(
            "speed", speed, 0, open_low=True, hint="It is how many steps of a there are in one of b.", limit=1e4
        )
    if reach is not None:
        check_number("reach", reach, 0, open_low=True, hint="It is in spreads of the visited states.", limit=1e6)
    check_int("n_steps", n_steps, 0)
    check_int("n_states", n_states, 100)
    check_number("level", level, 0, 1, open_low=True)
    check_int("seed", seed, 0)
    check_flag("progress", progress)
    for name, s in (("a", a), ("b", b)):
        if not float(s.states().double().var(0, correction=0).sum()) > 0:
            raise ValueError(
                f"`{name}`: expected states that change, got {s.name!r}, which rests in one: any map fits."
            )
    pair = None if test is None else (as_system("test[0]", test[0]), as_system("test[1]", test[1]))
    ratio = clock_ratio(a, b) if speed is None else float(speed)
    question = Question(a, b, pair, ratio, reach, n_states, seed)
    with torch_threads(1):  # more would change the last digits
        c = question.states()
        h, k = _fitted(c, 0 if reach is not None else n_steps, seed, progress)
        into_b, into_a = of_pair(c)
        there = _judged(c, h, k, into_b, (a.name, b.name), level, seed)
        back = _judged(c.turned(), k, h, into_a, (b.name, a.name), level, seed)
    return Conjugacy(question, there, back, _doubts(c, a, b, there, back))


def _fitted(c: Correspondence, n_steps: int, seed: int, progress: bool) -> tuple[StateMap, StateMap]:
    label, n = "Learning a change of coordinates", total_steps(n_steps)
    with progress_bar(total=n, desc=label, show=progress, unit="steps") as bar:
        return fit_maps(c, n_steps=n_steps, seed=seed, tick=bar.update)


def _judged(
    c: Correspondence,
    h: StateMap,
    k: StateMap,
    metrics: Metrics,
    names: tuple[str, str],
    level: float,
    seed: int,
) -> Direction:
    r = residuals(h, k, c.step_a, c.step_b, metrics, c.test)
    on = TrialShares.of([(r.states, c.test.trial), (r.flow, c.test.trial)])
    trials = [s.trial for s in c.test.around]
    off = TrialShares.of([*zip(r.pushed, trials), *zip(r.covered, trials)])
    score, score_off = (shares.score(level, N_RESAMPLES, seed) for shares in (on, off))
    curve = _followed(c, h, metrics)
    below = np.flatnonzero(~(curve >= FOLLOWS))
    horizon = int(below[0]) if len(below) else len(curve)
    pushed, covered = (1.0 - max(float(x.mean()) for x in parts) for parts in (r.pushed, r.covered))
    states, flow = 1.0 - float(r.states.mean()), 1.0 - float(r.flow.mean())
    bound = not len(below)
    return Direction(*names, h, on, off, score, score_off, states, flow, pushed, covered, horizon, bound, curve)


@torch.no_grad()
def _followed(c: Correspondence, h: StateMap, metrics: Metrics) -> np.ndarray:
    """How near the image of a's orbit stays to b's orbit from the image of its start, at each step: (time - 1,)."""
    image = h(c.states_a)
    y = image[:, 0]
    curve = []
    for t in range(1, c.states_a.shape[1]):
        y = c.step_b(y, c.inputs[:, t])
        valid = c.lengths > t
        if not bool(valid.any()):
            break
        curve.append(1.0 - float(metrics.states.shares(y[valid] - image[valid, t]).mean()))
    return np.array(curve)


def _doubts(c: Correspondence, a: System, b: System, there: Direction, back: Direction) -> tuple[str, ...]:
    texts = []
    if not (there.holds or back.holds):
        for s in (a, b):
            if s.step is not None and parts_at_once(s.step, s):
                texts.append(
                    f"{s.name} is chaotic: its states depend on more than the inputs, so pairs of states need not "
                    "belong together, and a map that exists may be missed: cannot tell"
                )
    if c.driven:
        texts.append(
            f"inputs differ: {b.name} was run anew under those of {a.name}, from its own first states; what depends on "
            "where a trial starts is not paired"
        )
    return tuple(texts)

"""recovery(): does a model of data compute what the network behind the data computes?

The model's skeleton beside the truth's, question by question; each is answered yes, no or undecided, with the evidence.
One affine map takes the model's states to the true ones, fitted on training trials, another one back; all that is
asked of states is asked through these.

    memories         every memory of the truth is one of the model's, and none is left: each model memory, taken to the
                     truth, is nearest to another true one, and less than half the distance between true ones away
    saddles          as many points of every number of unstable directions
    edges            the same memories joined by the same saddles (part "graph" of `portrait_distance`)
    time constants   the slowest mode of each matched memory, within a factor of two
    states           State R2 both ways at least 0.9: nothing missing, nothing invented
    exponents        largest Lyapunov exponent along the trials: the same sign and within a factor of two, or both
                     within one per trial of 0
    perturbed        kicked off its trials, the model goes to the memory to which the truth goes, in 9 of 10 cases
    inputs           Input R2 both ways at least 0.9, where the model infers them
    conjugate        `find_conjugacy` finds each to be a factor of the other

Points are exact zeros and what holds for a trial (`fixed_points`), at one held input.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from conjugacy._check import check_flag, check_instance, check_int
from conjugacy.analysis import recovery_questions as questions
from conjugacy.analysis.recovered_pair import Pair
from conjugacy.analysis.recovery_questions import Answer
from conjugacy.dynamics.points import FixedPoints
from conjugacy.dynamics.search import fixed_points
from conjugacy.recordings.recording import Recording
from conjugacy.runs.data_run import DataRun
from conjugacy.runs.run import Run
from conjugacy.system import System


@dataclass(frozen=True, eq=False)
class Recovery:
    """The answers, and what they were read from.

    Attributes
    ----------
    model, truth : str
    answers : dict of str to (answer, of the model, of the truth, evidence)
    points, true_points : FixedPoints
    matched : array (memory of the truth,), int64
        The model's memory (a number among its memories) at each true one; -1: none.
    """

    model: str
    truth: str
    answers: dict[str, Answer]
    points: FixedPoints
    true_points: FixedPoints
    matched: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def table(self) -> pd.DataFrame:
        """A row for each question."""
        rows = [(q, *a) for q, a in self.answers.items()]
        return pd.DataFrame(rows, columns=["question", "recovered", "model", "truth", "evidence"])

    def share(self) -> float:
        """Share of the questions decided that are answered yes; NaN where none is."""
        decided = [a[0] for a in self.answers.values() if a[0] != "undecided"]
        return decided.count("yes") / len(decided) if decided else math.nan

    def __repr__(self) -> str:
        lines = [f"{q:15} {a[0]:10} {a[1]} beside {a[2]}; {a[3]}" for q, a in self.answers.items()]
        return "\n".join([f"Recovery of {self.truth} by {self.model}:", *lines])


def recovery(
    model: DataRun | System,
    truth: Run | System,
    recording: Recording | None = None,
    *,
    inputs: Any = 0,
    n_inits: int = 512,
    n_kicks: int = 200,
    kick: float = 1.0,
    conjugate: bool = False,
    true_points: FixedPoints | None = None,
    seed: int = 0,
) -> Recovery:
    """Compare what a model of data computes with what is behind the data.

    Parameters
    ----------
    model : DataRun or System
        Anything with a step. A System has the states of all trials of `recording`, in order: those that another package
        inferred, with a function for its dynamics.
    truth : Run or System
        The network that was recorded; a System has its states on all trials of the recording.
    recording : Recording, optional
        The simulated one; that of the model where this is a `DataRun`.
    inputs : number or array (input,)
        The input that is held while points are looked for, as in `fixed_points`.
    n_inits : int
        Starts of both searches.
    n_kicks : int
        Perturbed states.
    kick : float
        Size of a perturbation, in spreads of the visited states.
    conjugate : bool
        Ask the last question too, which takes minutes.
    true_points : FixedPoints, optional
        Points of the truth, where they are known already.
    seed : int

    Raises
    ------
    TypeError, ValueError
        If the model has no step, the recording has no truth, or trials do not fit.
    """
    check_instance("model", model, (DataRun, System))
    check_instance("truth", truth, (Run, System))
    check_flag("conjugate", conjugate)
    for name, n in (("n_inits", n_inits), ("n_kicks", n_kicks)):
        check_int(name, n, 1)
    recording = model.recording if isinstance(model, DataRun) and recording is None else recording
    check_instance("recording", recording, Recording)
    assert recording is not None
    pair = Pair.of(model, truth, recording, seed)
    found = [
        fixed_points(s, inputs=inputs, n_inits=n_inits, seed=seed, progress=False) if p is None else p
        for s, p in ((pair.model, None), (pair.truth, true_points))
    ]
    points, true = found
    answers: dict[str, Answer] = {}
    answers["memories"], matched = questions.memories(points, true, pair)
    answers["saddles"] = questions.saddles(points, true)
    answers["edges"] = questions.edges(points, true)
    answers["time constants"] = questions.time_constants(points, true, matched)
    answers["states"] = questions.states(pair, seed)
    answers["exponents"] = questions.exponents(pair, seed)
    answers["perturbed"] = questions.perturbed(pair, true, inputs, n_kicks, kick, seed)
    answers["inputs"] = questions.inputs(model, recording, seed)
    if conjugate:
        answers["conjugate"] = questions.conjugate(pair, seed)
    return Recovery(pair.model.name, pair.truth.name, answers, points, true, matched)

"""A task as it was trained, and under conditions that it was not trained on: how well does a run do in each?"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.training.scores import evaluate
from conjugacy.trials import Trials

N_BLOCKS, BLOCK = 10, 10  # blocks of trials, from whose scores the error of a difference is known
# arguments of tasks that make it harder when doubled, and what that is called
_DOUBLED = {
    "n_timesteps": "trials twice as long",
    "duration": "trials twice as long",
    "noise": "twice the noise",
    "input_noise": "twice the noise",
}


def conditions_of(task: Any, seed: int = 0) -> dict[str, tuple[Any, Trials]]:
    """By name, the task with its trials: "as trained", and those of `_DOUBLED` that the task has arguments for."""
    conditions = {"as trained": task}
    known = inspect.signature(type(task)).parameters
    given = {name: getattr(task, name) for name in known if hasattr(task, name)}
    for name, label in _DOUBLED.items():
        if name not in given or len(given) < len(known) or label in conditions:
            continue
        value = given[name]
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
            conditions[label] = type(task)(**{**given, name: 2 * value})
    n = N_BLOCKS * BLOCK
    return {label: (t, t.trials(n, derive_seed(seed, f"verdict {label}"))) for label, t in conditions.items()}


def block_scores(run: Run, condition: tuple[Any, Trials]) -> np.ndarray:
    """Scores (block,) of a run on blocks of trials: accuracy where the task has one, else R2."""
    task, trials = condition
    blocks = [evaluate(run.network, task, trials[k : k + BLOCK]) for k in range(0, len(trials), BLOCK)]
    key = "accuracy" if "accuracy" in blocks[0] else "r2"
    return np.array([block[key] for block in blocks])

"""The change of coordinates between two networks: trials to find it on and to judge it by, partners it must not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from conjugacy._check import check_choice, check_instance, check_int, shown
from conjugacy._config import describe
from conjugacy.analysis.analysis import Analysis
from conjugacy.analysis.untrained import untrained_runs
from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.similarity.conjugacy_maps import fit_conjugacy
from conjugacy.similarity.conjugacy_result import Conjugacy
from conjugacy.similarity.samples import kind_of
from conjugacy.system import System
from conjugacy.trials import Trials

_N_UNTRAINED = 3  # each is a fit of its own


def find_conjugacy(
    a: Run | Analysis | System,
    b: Run | Analysis | System,
    *,
    n_trials: int = 150,
    speed: float | None = None,
    reach: float | None = None,
    null: Any = None,
    n_steps: int = 600,
    level: float = 0.95,
    seed: int = 0,
    progress: bool = False,
) -> Conjugacy:
    """Find the change of coordinates under which two systems are one, or one is a factor of the other.

    Maps h: A -> B and k: B -> A are learned so that h(F(x, u)) = G(h(x), u) for states x visited and around these, and
    judged on new trials. If h holds, b is a factor of a: what b computes, a computes. If both hold they are conjugate.

    Parameters
    ----------
    a, b : Run, Analysis or System
        With the same input channels. Runs are run on the same new trials: those of their task, or of a's task where
        they learned another one each; runs with an arm as network and arm together. Systems bring their trials and
        `step`.
    n_trials : int
        Trials of runs to learn the maps on, at least 4; as many again to judge them by.
    speed : float, optional
        Steps of a in one of b, whole or not. None: from their dt.
    reach : float, optional
        Look in a box of so many spreads about the data as well, with closed forms only.
    null : "untrained", sequence of Runs or Systems, or None
        Partners that compute something else, to which the same maps are fitted from a: untrained networks of b's kind,
        or those given. Their scores are in `Conjugacy.null`.
    n_steps : int
        Steps of training of the networks that follow closed forms where these do not suffice.
    level : float
        Of the intervals over new trials, in (0, 1].
    seed : int
        Of trials, weights and batches.
    progress : bool
        Show a bar.

    Returns
    -------
    Conjugacy
        `forward`, `backward`, `score`, `score_off`, `factor`, `horizon`, `table()`, `points()`, `forgotten()`,
        `residuals()`; printed, it says what was found.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind or out of range, a system has no step or other input channels, or trials are
        too few.

    References
    ----------
    Katok and Hasselblatt 1995, section 2.3; the maps are learned, see `conjugacy.similarity.map_training`.
    """
    check_int("n_trials", n_trials, 4)
    check_int("seed", seed, 0)
    if isinstance(null, str):
        check_choice("null", null, ("untrained",), "Or give Runs or Systems.")
    elif null is not None and not (isinstance(null, Sequence) and null):
        raise TypeError(f"`null`: expected 'untrained', a list of Runs or Systems, or None, got {shown(null)}.")
    a, b = _thing("a", a), _thing("b", b)
    options: dict[str, Any] = {"speed": speed, "reach": reach, "n_steps": n_steps, "level": level, "seed": seed}
    if isinstance(a, System) and isinstance(b, System):
        if null == "untrained":
            raise ValueError("`null`: expected Runs or Systems, for there are no networks to draw anew in two Systems.")
        found = fit_conjugacy(a, b, progress=progress, **options)
        return replace(found, null=_against((a, None), null, None, options))
    trials = _shared_trials(a, b, n_trials, seed)
    (fit_a, test_a), (fit_b, test_b) = ([_on(t, x) for x in trials] for t in (a, b))
    if fit_a.name == fit_b.name:
        fit_b, test_b = (replace(s, name=f"{s.name} (2)") for s in (fit_b, test_b))
    found = fit_conjugacy(fit_a, fit_b, test=(test_a, test_b), progress=progress, **options)
    if null == "untrained":
        null = untrained_runs(check_instance("b", b, Run), _N_UNTRAINED, seed)
    return replace(found, null=_against((fit_a, test_a), null, trials, options))


def _thing(name: str, value: Any) -> Run | System:
    value = value.run if isinstance(value, Analysis) else value
    if not isinstance(value, Run | System):
        raise TypeError(f"`{name}`: expected a Run, an Analysis or a System, got {kind_of(value)}.")
    return value


def _shared_trials(a: Run | System, b: Run | System, n: int, seed: int) -> tuple[Trials, Trials]:
    """Trials to fit on and new ones, of the task of a, or of b where a is no run."""
    if not (isinstance(a, Run) and isinstance(b, Run)):
        raise ValueError(
            "`b`: expected two runs or two systems, got one of each. Pass run.system(trials), on the trials that the "
            "other answers."
        )
    fit, test = (a.task.trials(n, derive_seed(seed, purpose)) for purpose in ("conjugacy fit", "conjugacy"))
    if describe(a.task) != describe(b.task) and a.network.input_size != b.network.input_size:
        raise ValueError(
            f"`b`: expected a network with the {a.network.input_size} inputs of {a.name}, got "
            f"{b.network.input_size} in "
            f"{b.name}. A change of coordinates joins systems that are driven alike."
        )
    return fit, test


def _on(run: Run | System, trials: Trials) -> System:
    """The run on these trials, which may be of another task with the same channels."""
    if isinstance(run, System):
        return run
    if getattr(run.task, "plant", None) is not None:
        return run.coupled_system(trials)
    return run.drive(trials.inputs, trials.lengths)


def _against(
    a: tuple[System, System | None],
    partners: Any,
    trials: tuple[Trials, Trials] | None,
    options: dict[str, Any],
) -> tuple[tuple[str, float, float], ...]:
    """Name, score and score off the data of the same fit to each partner."""
    results = []
    for i, partner in enumerate(partners or ()):
        thing = _thing(f"null[{i}]", partner)
        fit, test = (thing, None) if trials is None else [_on(thing, t) for t in trials]
        other = fit_conjugacy(a[0], fit, test=None if test is None else (a[1], test), **options)
        results.append((thing.name, other.score, other.score_off))
    return tuple(results)

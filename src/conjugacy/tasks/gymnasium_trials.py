"""Trials of environments that know the right answers: those of neurogym as a whole, others episode by episode."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Discrete, utils

from conjugacy._check import shown

_LONGEST = 10_000  # steps; an episode that has not ended by then is given up


class EnvironmentTrial(NamedTuple):
    """One trial of an environment.

    Attributes
    ----------
    inputs : array (time, input)
    answers : array (time,) or (time, action)
        The right action of each step.
    counts : array (time,), bool
        Whether a step has a right answer.
    condition : int
    epochs : dict of str to (int, int)
    """

    inputs: np.ndarray
    answers: np.ndarray
    counts: np.ndarray
    condition: int
    epochs: dict[str, tuple[int, int]]


def make_environment(env: Any, env_args: Any) -> gymnasium.Env:
    """The environment that was given, or the one registered under an id."""
    if isinstance(env_args, str) or not (env_args is None or hasattr(env_args, "items")):
        raise TypeError(f"`env_args`: expected a dict of arguments for gymnasium.make, got {shown(env_args)}.")
    if isinstance(env, str):
        # "module:id" would import the module: a folder on disk must not be able to ask for that
        if ":" in env:
            raise ValueError(
                f"`env`: expected the id of a registered environment, got {env!r}. Import its module first."
            )
        try:
            return gymnasium.make(env, disable_env_checker=True, **(env_args or {}))
        except gymnasium.error.Error as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"`env`: expected the id of a registered environment, got {env!r}, which is not registered ({reason}). "
                "Import the package that registers it, such as neurogym."
            ) from None
        except TypeError as error:
            given = ", ".join(f"{k}={shown(v)}" for k, v in (env_args or {}).items())
            raise ValueError(f"`env_args`: expected arguments of {env!r}, got {given or 'none'}: {error}") from None
    if env_args:
        raise ValueError(
            f"`env_args`: expected None with an environment that is made already, got {shown(env_args)}. Drop them."
        )
    if not isinstance(env, gymnasium.Env):
        raise TypeError(f"`env`: expected a gymnasium.Env or an id, got {shown(env)}.")
    return env


class EnvironmentTrials:
    """A source of trials of an environment.

    Parameters
    ----------
    env : gymnasium.Env
        It is copied before anything is drawn from it.
    answer_key : str
        Where `info` holds the right answer of a step.

    Attributes
    ----------
    name : str
    whole_trials : bool
        Whether the environment has the trials of neurogym.
    """

    def __init__(self, env: gymnasium.Env, answer_key: str):
        self.env, self.answer_key = env, answer_key
        inner: Any = env.unwrapped
        self.whole_trials = callable(getattr(inner, "new_trial", None))
        self.name = inner.spec.id if inner.spec is not None else type(inner).__name__
        self._actions: Any = inner.action_space

    @contextlib.contextmanager
    def seeded(self, seed: int) -> Iterator[Any]:
        """A seeded copy of the environment as it was given; drawing from it changes nothing else."""
        word = int(np.random.SeedSequence(seed).generate_state(1)[0]) >> 1
        given: Any = self.env.unwrapped
        try:
            env: Any = copy.deepcopy(self.env)
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise TypeError(
                f"`env`: expected an environment that copy.deepcopy can copy, got {self.name} ({reason}). "
                "Give its id in place of the object."
            ) from None
        generator = getattr(given, "rng", None)
        with _global_randomness(word):
            try:
                # functions are not copied: neurogym's timing may draw from the generator of the environment as given
                for one in (given, env.unwrapped):
                    if self.whole_trials and callable(getattr(one, "seed", None)):
                        one.seed(word)
                if self.whole_trials:
                    env.reset(seed=word)
                else:
                    self._reset(env, seed=word)
                yield env
            finally:
                if generator is not None:
                    given.rng = generator

    def draw(self, env: Any) -> EnvironmentTrial:
        """The next trial of an environment that `seeded` has made."""
        trial = self._neurogym_trial(env.unwrapped) if self.whole_trials else self._episode(env)
        answers = trial.answers[trial.counts]
        if isinstance(self._actions, Discrete):
            first, last = int(self._actions.start), int(self._actions.start) + int(self._actions.n) - 1
            whole = answers.ndim == 1 or answers[0].size == 1
            if (
                not whole
                or answers.dtype.kind not in "iufb"
                or not bool(np.isin(answers, range(first, last + 1)).all())
            ):
                self._refuse_answer(answers, f"whole numbers from {first} to {last}, the actions of {self.name}")
        else:
            size = int(np.prod(self._actions.shape))
            shape = answers.reshape(len(answers), -1).shape
            if answers.dtype.kind not in "iufb" or shape[1] != size or not bool(np.isfinite(answers).all()):
                self._refuse_answer(answers, f"{size} finite numbers in each step, the actions of {self.name}")
        return trial

    def _neurogym_trial(self, env: Any) -> EnvironmentTrial:
        about = env.new_trial()
        answers = getattr(env, "gt", None)
        if answers is None or getattr(env, "_has_gt", True) is False:
            raise ValueError(f"`env`: expected an environment with a ground truth (`gt`), got {self.name} without one.")
        inputs = np.asarray(env.ob, np.float64).reshape(len(env.ob), -1)
        truth = about.get("ground_truth") if isinstance(about, dict) else None
        condition = int(truth) if isinstance(truth, int | np.integer) else 0
        starts, stops = getattr(env, "start_ind", {}), getattr(env, "end_ind", {})
        epochs = {name: (starts[name], stops[name]) for name in starts if name in stops}
        return EnvironmentTrial(inputs, np.asarray(answers), np.ones(len(inputs), bool), condition, epochs)

    def _episode(self, env: Any) -> EnvironmentTrial:
        """One episode in which every action is the right answer."""
        observation, info = self._reset(env)
        inputs, answers, counts = [], [], []
        idle = self._actions.start if isinstance(self._actions, Discrete) else np.zeros(self._actions.shape)
        ended = False
        while not ended:
            answer = info.get(self.answer_key)
            inputs.append(self._flattened(env, observation))
            counts.append(answer is not None)
            answers.append(idle if answer is None else answer)
            action = answers[-1]
            if not isinstance(self._actions, Discrete):
                action = np.asarray(action, self._actions.dtype)
            observation, ended, info = self._step(env, action)
            if len(inputs) > _LONGEST:
                raise ValueError(
                    f"`env`: expected episodes of at most {_LONGEST} steps, got one of {self.name} that did not end. "
                    "Limit its length."
                )
        if not any(counts):
            raise ValueError(
                f"`env`: {self.name} gives no right answer: expected info[{self.answer_key!r}] of reset and step, "
                f"beside the observation it answers, got the keys {sorted(map(str, info))}. Name another `answer_key`."
            )
        try:
            return EnvironmentTrial(np.stack(inputs), np.asarray(answers), np.asarray(counts), 0, {})
        except ValueError:
            return self._refuse_answer(answers, "answers of one shape")

    def _reset(self, env: Any, **seed: int) -> tuple[Any, dict[str, Any]]:
        wanted = "reset(*, seed=None, options=None) that returns (observation, info), as Gymnasium has it"
        try:
            result = env.reset(**seed)
        except (TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise TypeError(
                f"`env`: expected {wanted}, got {type(error).__name__} from that of {self.name}: {reason}"
            ) from error
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
            raise TypeError(
                f"`env`: expected {wanted}, got {shown(result)} from that of {self.name}. Old gym returned the "
                "observation alone: bring the environment up to date, or wrap it."
            )
        return result

    def _step(self, env: Any, action: Any) -> tuple[Any, bool, dict[str, Any]]:
        wanted = "a step(action) that returns (observation, reward, terminated, truncated, info), as Gymnasium has it"
        try:
            result = env.step(action)
        except (TypeError, ValueError, IndexError, KeyError, AssertionError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"`env`: expected a step of {self.name} that takes the answer info[{self.answer_key!r}], got "
                f"{type(error).__name__} for {shown(action)}: {reason}"
            ) from error
        if not isinstance(result, tuple) or len(result) != 5 or not isinstance(result[4], dict):
            raise TypeError(
                f"`env`: expected {wanted}, got {shown(result)} from that of {self.name}. Old gym returned four "
                "values: bring the environment up to date, or wrap it."
            )
        observation, _, terminated, truncated, info = result
        return observation, bool(terminated or truncated), info

    def _flattened(self, env: Any, observation: Any) -> np.ndarray:
        space = env.observation_space
        try:
            flat = np.asarray(utils.flatten(space, observation))
        except Exception as error:
            raise ValueError(
                f"`env`: expected observations of {self.name} in its observation_space {space}, got "
                f"{shown(observation)} ({type(error).__name__})."
            ) from None
        if flat.shape != (utils.flatdim(space),):
            raise ValueError(
                f"`env`: expected observations of {self.name} in its observation_space {space}, got "
                f"{shown(observation)}."
            )
        return flat

    def _refuse_answer(self, answers: Any, wanted: str) -> Any:
        source = "gt" if self.whole_trials else f"info[{self.answer_key!r}]"
        values = answers.reshape(-1)[:8].tolist() if isinstance(answers, np.ndarray) else answers[:4]
        raise ValueError(f"`env`: expected right answers ({source}) that are {wanted}, got {shown(values)}.")


@contextlib.contextmanager
def _global_randomness(seed: int) -> Iterator[None]:
    """Seed the global generators, which some environments draw from, and put them back as they were."""
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        try:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 (the generator that such environments use)
            torch.default_generator.manual_seed(seed)
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002

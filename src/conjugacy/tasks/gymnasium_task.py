"""Tasks made of environments: supervised trials of neurogym, and any Gymnasium environment that tells the right answer.

Gymnasium: Towers et al. (2024), arXiv:2407.17032. NeuroGym: Molano-Mazon et al. (2022), doi:10.31234/osf.io/aqc9n.
"""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, utils
from torch import Tensor

from conjugacy._check import check_choice, check_int, check_number
from conjugacy.tasks.task import Task
from conjugacy.trials import Rollout, Trials

_PROBES = 200  # trials drawn to see how long they are
_REDRAWS = 100  # of a trial that is longer than `n_timesteps`
_LONGEST = 10_000  # steps after which an episode that does not end is given up


class GymnasiumTask(Task):
    """The trials of an environment, with the answers it knows, as a task. See `from_gymnasium`.

    Attributes
    ----------
    n_classes : int or None
        Number of actions of a discrete action space; None where actions are continuous.
    """

    def __init__(
        self,
        env: Any,
        n_timesteps: int | None = None,
        answers: str = "classes",
        answer_key: str = "gt",
        dt: float | None = None,
        env_args: dict[str, Any] | None = None,
    ):
        self.env, self.env_args = env, env_args
        self.answers = check_choice("answers", answers, ("classes", "one-hot"))
        self.answer_key = answer_key
        self._env = _made(env, env_args)
        inner = self._env.unwrapped
        self._by_trial = callable(getattr(inner, "new_trial", None))
        self.name = inner.spec.id if inner.spec is not None else type(inner).__name__
        # neurogym's dt is in milliseconds
        known = inner.dt / 1000 if self._by_trial and hasattr(inner, "dt") else 0.01
        self.dt = check_number("dt", known if dt is None else dt, 0, open_low=True, hint="It is in seconds.")
        self._actions = inner.action_space
        if isinstance(self._actions, Discrete):
            self.n_classes = int(self._actions.n)
            n_outputs = self.n_classes
            self.action_space = Box(0.0, 1.0, (n_outputs,), np.float32)
        elif isinstance(self._actions, Box):
            self.n_classes = None
            n_outputs = int(np.prod(self._actions.shape))
            low, high = (np.asarray(b, np.float32).reshape(-1) for b in (self._actions.low, self._actions.high))
            self.action_space = Box(low, high, (n_outputs,), np.float32)
        else:
            raise TypeError(
                f"`env`: expected actions in a Discrete or a Box space, got {self._actions}. "
                "Wrap the environment so that it has one of them."
            )
        try:
            flat = utils.flatten_space(self._env.observation_space)
        except NotImplementedError:
            flat = None
        if not isinstance(flat, Box):
            raise TypeError(
                f"`env`: expected observations of a fixed size, got {self._env.observation_space}. "
                "Wrap the environment so that it has them."
            )
        n_inputs = flat.shape[0]
        # bounds are those of the trials: environments add noise to what they bound
        self.observation_space = Box(-np.inf, np.inf, (n_inputs,), np.float32)
        self.context_inputs = Box(-1.0, 1.0, (0,), np.float32)
        self.input_labels = [f"Observation {i + 1}" for i in range(n_inputs)]
        kind = "Action" if self.n_classes is None else "Class"
        self.output_labels = [f"{kind} {i + (self.n_classes is None)}" for i in range(n_outputs)]
        if n_timesteps is None:
            with self._seeded(0) as probe:
                n_timesteps = max(len(self._draw(probe).inputs) for _ in range(_PROBES))
        self.n_timesteps = check_int("n_timesteps", n_timesteps, 1)

    @property
    def recipe(self) -> dict[str, Any]:
        """Whole trials from the start: answers come late in them."""
        return {"short_timesteps": self.n_timesteps, "steps": 1500}

    def trials(self, n: int, seed: int) -> Trials:
        """`n` trials from `seed`, padded to `n_timesteps` steps; the padding does not count.

        Raises
        ------
        ValueError
            If the environment does not tell the right answer, or if its trials do not fit in `n_timesteps` steps.
        """
        n = check_int("n", n, 1, hint="It is the number of trials.")
        with self._seeded(check_int("seed", seed, 0)) as env:
            drawn = [self._that_fits(env) for _ in range(n)]
        t, n_out = self.n_timesteps, self.action_space.shape[0]
        inputs, targets = np.zeros((n, t, self.observation_space.shape[0])), np.zeros((n, t, n_out))
        mask = np.zeros((n, t), bool)
        if self.n_classes is not None:
            targets[..., 0] = 1  # padding has to hold something inside the action space
        for k, trial in enumerate(drawn):
            steps = len(trial.inputs)
            inputs[k, :steps], mask[k, :steps] = trial.inputs, trial.counts
            targets[k, :steps] = self._target(trial.answers)
        shared = set.intersection(*(set(trial.epochs) for trial in drawn))
        return Trials.from_tensors(
            torch.from_numpy(inputs).float(),
            torch.from_numpy(targets).float(),
            mask=torch.from_numpy(mask),
            conditions=torch.tensor([trial.condition for trial in drawn]),
            epochs={name: torch.tensor([trial.epochs[name] for trial in drawn]) for name in sorted(shared)},
        )

    def loss(self, rollout: Rollout, trials: Trials) -> Tensor:
        """Mean over the steps that count of the cross entropy of the classes, or of the squared error."""
        counts = trials.mask[..., 0]
        if self.n_classes is not None and self.answers == "classes":
            log_p = rollout.outputs.log_softmax(-1)
            return -((log_p * trials.targets).sum(-1) * counts).sum() / counts.sum()
        return ((rollout.outputs - trials.targets).square() * trials.mask).sum() / trials.mask.sum()

    def prediction(self, outputs: Tensor) -> Tensor:
        """Probabilities of the classes where outputs are their logits, else the outputs."""
        return outputs.softmax(-1) if self.n_classes is not None and self.answers == "classes" else outputs

    def success_rate(self, outputs: Tensor, trials: Trials) -> dict[str, float]:
        """Share of trials that end with the right answer, and share of steps with the right one.

        An answer is right if the largest output is that of the right class; of continuous actions, if every one is
        within a tenth of the range of the targets of these trials.

        Returns
        -------
        dict
            "accuracy" at the last step of each trial that counts, "accuracy/steps" over all steps that count.
        """
        counts = trials.mask[..., 0]
        if self.n_classes is not None:
            right = outputs.argmax(-1) == trials.targets.argmax(-1)
        else:
            seen = trials.targets[counts]
            near = 0.1 * (seen.amax(0) - seen.amin(0)).clamp(min=1e-6)
            right = ((outputs - trials.targets).abs() <= near).all(-1)
        steps = torch.arange(trials.n_timesteps, device=counts.device)
        last = (counts * steps).argmax(1)
        ends = right.gather(1, last[:, None])[:, 0][counts.any(1)]
        return {"accuracy": float(ends.float().mean()), "accuracy/steps": float(right[counts].float().mean())}

    @contextlib.contextmanager
    def _seeded(self, seed: int) -> Iterator[Any]:
        """A copy of the environment as it was given, seeded; what is drawn from it leaves no trace."""
        word = int(np.random.SeedSequence(seed).generate_state(1)[0]) >> 1
        given, env = self._env.unwrapped, copy.deepcopy(self._env)
        generator = getattr(given, "rng", None)
        with _own_randomness(word):
            try:
                # functions are not copied: neurogym's timing may draw from the generator of the environment as given
                for one in (given, env.unwrapped):
                    if self._by_trial and callable(getattr(one, "seed", None)):
                        one.seed(word)
                env.reset(seed=word)
                yield env
            finally:
                if generator is not None:
                    given.rng = generator

    def _that_fits(self, env: Any) -> _Trial:
        for _ in range(_REDRAWS):
            trial = self._draw(env)
            if len(trial.inputs) <= self.n_timesteps:
                return trial
        raise ValueError(
            f"`n_timesteps`: expected the length of a trial of {self.name}, got {self.n_timesteps}; {_REDRAWS} trials "
            f"were longer, the last one had {len(trial.inputs)} steps. Raise it, or leave it out."
        )

    def _draw(self, env: Any) -> _Trial:
        return self._neurogym_trial(env) if self._by_trial else self._episode(env)

    def _neurogym_trial(self, env: Any) -> _Trial:
        env = env.unwrapped
        about = env.new_trial()
        answers = getattr(env, "gt", None)
        if answers is None or getattr(env, "_has_gt", True) is False:
            raise ValueError(
                f"`env`: {self.name} has no ground truth (`gt`), so nothing to learn from. Take another one."
            )
        inputs = np.asarray(env.ob, np.float64).reshape(len(env.ob), -1)
        answers = np.asarray(answers)
        truth = about.get("ground_truth") if isinstance(about, dict) else None
        condition = int(truth) if isinstance(truth, int | np.integer) else 0
        starts, stops = getattr(env, "start_ind", {}), getattr(env, "end_ind", {})
        epochs = {name: (starts[name], stops[name]) for name in starts if name in stops}
        return _Trial(inputs, answers, np.ones(len(inputs), bool), condition, epochs)

    def _episode(self, env: Any) -> _Trial:
        """One episode, acted by the right answers."""
        observation, info = env.reset()
        inputs, answers, counts = [], [], []
        idle = self._actions.start if isinstance(self._actions, Discrete) else np.zeros(self._actions.shape)
        ended = False
        while not ended:
            answer = info.get(self.answer_key)
            inputs.append(utils.flatten(env.observation_space, observation))
            counts.append(answer is not None)
            answers.append(idle if answer is None else answer)
            action = (
                answers[-1] if isinstance(self._actions, Discrete) else np.asarray(answers[-1], self._actions.dtype)
            )
            observation, _, terminated, truncated, info = env.step(action)
            ended = terminated or truncated
            if len(inputs) > _LONGEST:
                raise ValueError(f"`env`: an episode of {self.name} did not end in {_LONGEST} steps. Limit its length.")
        if not any(counts):
            raise ValueError(
                f"`env`: {self.name} tells no right answer: expected info[{self.answer_key!r}] of reset and step, "
                f"beside the observation it answers, got the keys {sorted(info)}. Name another `answer_key`."
            )
        return _Trial(np.stack(inputs), np.asarray(answers), np.asarray(counts), 0, {})

    def _target(self, answers: np.ndarray) -> np.ndarray:
        if self.n_classes is None:
            return answers.reshape(len(answers), -1)
        return np.eye(self.n_classes)[answers.astype(np.int64).reshape(-1) - int(self._actions.start)]


def from_gymnasium(
    env: Any,
    *,
    n_timesteps: int | None = None,
    answers: str = "classes",
    answer_key: str = "gt",
    dt: float | None = None,
    env_args: dict[str, Any] | None = None,
) -> GymnasiumTask:
    """A task made of an environment that knows the right answers.

    Two kinds of environments have them. Trials of neurogym (`TrialEnv`) come whole, as observations `ob` and right
    answers `gt`. Of any other environment, an episode is a trial, and ``info[answer_key]`` of `reset` and `step` is
    the right answer to the observation that comes with it; it is also the action taken. Steps without one do not count.

    Parameters
    ----------
    env : gymnasium.Env or str
        The environment, or the id by which it is registered ("ContextDecisionMaking-v0", after ``import neurogym``).
        A task made of an id can be saved and loaded.
    n_timesteps : int, optional
        Steps of a trial; shorter ones are padded, and the padding does not count; longer ones are drawn again. By
        default the longest of 200 trials.
    answers : {"classes", "one-hot"}
        What the outputs are where actions are discrete: "classes" learns their logits by cross entropy, "one-hot"
        learns 0 and 1 by squared error. Continuous actions are always learned by squared error.
    answer_key : str
        Where `info` holds the right answer.
    dt : float, optional
        Seconds per step; by default that of the environment (neurogym), else 0.01.
    env_args : dict, optional
        Arguments for ``gymnasium.make`` where `env` is an id.

    Returns
    -------
    GymnasiumTask
        Equal seeds give equal trials: each call starts from a copy of the environment as it was given, seeded. What it
        draws from the global generators of Python, NumPy and torch is seeded too, and leaves them as they were.

    Raises
    ------
    TypeError, ValueError
        If it is no environment, has no right answers, or spaces that are no vectors.

    Notes
    -----
    Discrete targets are one-hot, (trial, time, class). "accuracy" is the share of trials that end with the right
    answer. "accuracy/steps" counts all steps, of which most say "keep fixating" in many tasks of neurogym.
    """
    return GymnasiumTask(env, n_timesteps, answers, answer_key, dt, env_args)


class _Trial(NamedTuple):
    inputs: np.ndarray
    answers: np.ndarray
    counts: np.ndarray
    condition: int
    epochs: dict[str, tuple[int, int]]


def _made(env: Any, env_args: dict[str, Any] | None) -> Any:
    if isinstance(env, str):
        # "module:id" would import the module: a folder on disk must not be able to ask for that
        if ":" in env:
            raise ValueError(
                f"`env`: expected the id of a registered environment, got {env!r}. Import its module first."
            )
        try:
            return gymnasium.make(env, disable_env_checker=True, **(env_args or {}))
        except gymnasium.error.Error as error:
            raise ValueError(
                f"`env`: {env!r} is not registered ({error}). Import the package that registers it, such as neurogym."
            ) from None
    if env_args:
        raise ValueError("`env_args`: expected with an id only, got an environment that is made already. Drop them.")
    if not isinstance(env, gymnasium.Env):
        raise TypeError(f"`env`: expected a gymnasium.Env or an id, got {type(env).__name__}.")
    return env


@contextlib.contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
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

"""Tasks made of environments: trials of neurogym, and any Gymnasium environment that knows the right answers.

Gymnasium: Towers et al. (2024), arXiv:2407.17032. NeuroGym: Molano-Mazon et al. (2022), doi:10.31234/osf.io/aqc9n.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, utils
from torch import Tensor

from conjugacy._check import check_choice, check_int, check_text
from conjugacy.tasks.arguments import check_outputs, check_rollout, trial_generator
from conjugacy.tasks.gymnasium_trials import EnvironmentTrial, EnvironmentTrials, make_environment
from conjugacy.tasks.open_loop import squared_error
from conjugacy.tasks.phases import MOST_STEPS, check_time_step
from conjugacy.tasks.task import Task
from conjugacy.trials import Rollout, Trials

_PROBES = 200  # trials whose lengths set the default of `n_timesteps`
_REDRAWS = 100  # of a trial that is longer than `n_timesteps`


class GymnasiumTask(Task):
    """A task made of an environment that knows the right answers, see `from_gymnasium`.

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
        self.answer_key = check_text("answer_key", answer_key, "It is a key of `info`.")
        self._env = make_environment(env, env_args)
        inner: Any = self._env.unwrapped
        self._source = EnvironmentTrials(self._env, self.answer_key)
        self.name = self._source.name
        # neurogym's dt is in milliseconds
        known = inner.dt / 1000 if self._source.whole_trials and hasattr(inner, "dt") else 0.01
        self.dt = check_time_step(known if dt is None else dt)
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
            with self._source.seeded(0) as probe:
                n_timesteps = max(len(self._source.draw(probe).inputs) for _ in range(_PROBES))
        self.n_timesteps = check_int(
            "n_timesteps", n_timesteps, 1, hint="It is the number of steps of a trial.", limit=MOST_STEPS
        )

    @property
    def recipe(self) -> dict[str, Any]:
        """Whole trials from the start: answers come late in them."""
        return {"short_timesteps": self.n_timesteps, "steps": 1500}

    def trials(self, n: int, seed: int) -> Trials:
        """`n` trials from `seed`, padded to `n_timesteps` steps; the padding does not count.

        Raises
        ------
        ValueError
            If the environment gives no right answers, or if its trials do not fit in `n_timesteps` steps.
        """
        n, _ = trial_generator(n, seed)
        with self._source.seeded(seed) as env:
            drawn = [self._drawn(env) for _ in range(n)]
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
        check_rollout(rollout, trials)
        counts = trials.mask[..., 0]
        if self.n_classes is not None and self.answers == "classes":
            log_p = rollout.outputs.log_softmax(-1)
            return -((log_p * trials.targets).sum(-1) * counts).sum() / counts.sum()
        return squared_error(rollout, trials)

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
        check_outputs(outputs, trials)
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

    def _drawn(self, env: Any) -> EnvironmentTrial:
        """A trial of at most `n_timesteps` steps; longer ones are drawn again."""
        for _ in range(_REDRAWS):
            trial = self._source.draw(env)
            if len(trial.inputs) <= self.n_timesteps:
                return trial
        raise ValueError(
            f"`n_timesteps`: expected the length of a trial of {self.name}, got {self.n_timesteps}; {_REDRAWS} trials "
            f"were longer, the last one had {len(trial.inputs)} steps. Raise it, or leave it out."
        )

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
        If it is no environment, lacks the interface of Gymnasium (old gym), has no right answers or answers outside of
        its action space, or spaces that are no vectors.

    Notes
    -----
    Discrete targets are one-hot, (trial, time, class). "accuracy" is the share of trials that end with the right
    answer. "accuracy/steps" counts all steps, of which most say "keep fixating" in many tasks of neurogym.
    """
    return GymnasiumTask(env, n_timesteps, answers, answer_key, dt, env_args)

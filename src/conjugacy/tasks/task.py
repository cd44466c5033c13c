"""The Task protocol: the members that training, analysis and comparison use, and a check of one's own tasks."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import gymnasium
import torch
from torch import Tensor

from conjugacy._check import check_int, shown
from conjugacy.trials import Rollout, Trials


@runtime_checkable
class Task(Protocol):
    """The members of a task. Inheriting is not needed: any object that has them is a task.

    Attributes
    ----------
    name : str
        Its name in tables and figures.
    n_timesteps : int
        Steps of a trial.
    dt : float
        Seconds per step.
    observation_space : gymnasium.spaces.Box
        One step of what the network observes; shape (observation,).
    context_inputs : gymnasium.spaces.Box
        One step of further inputs that no action changes (targets, cues); shape (context,), (0,) if there are none.
        A network for the task has ``observation + context`` inputs.
    action_space : gymnasium.spaces.Box
        One step of what the network puts out; shape (output,).
    input_labels, output_labels : list of str
        A name for each input and each output.

    Notes
    -----
    Further members are used where a task has them:

    - ``condition_names``: a name for each number in `Trials.conditions`.
    - ``small()``, a class method: an instance with short trials, from which tables of all tasks are made; without it,
      an instance made without arguments.
    - ``recipe``: a dict of `conjugacy.Recipe` settings that suit the task.
    - ``prepare(network)``: sets what was left open when the network was made, before `conjugacy.train` draws its
      weights.
    - ``training_loss(rollout, trials, progress)``: the loss of a curriculum, with `progress` from 0 at the first
      gradient step to 1 at the last; validation always uses `loss`.
    - ``training_trials(n, seed, step, progress)``: the trials of a gradient step, where they are to be drawn otherwise
      than by ``trials``; all steps are given the same seed.
    - ``prediction(outputs)``: what R2 compares with the targets, where that is not the outputs themselves
      (probabilities of classes, say).
    - ``metrics(rollout, trials)``: a dict of further metrics in the task's own units, shown beside the success rate.

    A task with a ``plant`` (`conjugacy.arm.Plant`) is in closed loop: what the network observes comes from the plant,
    `Trials.inputs` hold the context inputs alone, and outputs and targets are what the plant controls, one channel for
    each of ``controlled_labels``.
    """

    name: str
    n_timesteps: int
    dt: float
    observation_space: gymnasium.spaces.Box
    context_inputs: gymnasium.spaces.Box
    action_space: gymnasium.spaces.Box
    input_labels: list[str]
    output_labels: list[str]

    def trials(self, n: int, seed: int) -> Trials:
        """`n` trials, the same for the same seed, whatever has been drawn before."""
        ...

    def loss(self, rollout: Rollout, trials: Trials) -> Tensor:
        """The scalar that training minimises, differentiable in the rollout."""
        ...

    def success_rate(self, outputs: Tensor, trials: Trials) -> dict[str, float]:
        """Shares in [0, 1] of what is right in outputs (trial, time, output); the entry "accuracy" sums them up."""
        ...


_BOXES = ("observation_space", "context_inputs", "action_space")


def input_size(task: Task) -> int:
    """Number of inputs of a network for `task`: observations and context."""
    _check_members(task, ("observation_space", "context_inputs"))
    return task.observation_space.shape[0] + task.context_inputs.shape[0]


def output_size(task: Task) -> int:
    """Number of outputs of a network for `task`."""
    _check_members(task, ("action_space",))
    return task.action_space.shape[0]


def _check_members(task: Any, names: tuple[str, ...]) -> None:
    if isinstance(task, type) or any(not hasattr(task, name) for name in names):
        hint = f"Make one: {task.__name__}()." if isinstance(task, type) else "See conjugacy.tasks.Task."
        raise TypeError(f"`task`: expected a task, got {shown(task)}. {hint}")


def validate(task: Any, seed: int = 0) -> None:
    """Check a task: raise an error that lists all that is missing or wrong, or return if nothing is.

    Draws a few trials, checks their shapes and values against the spaces, that equal seeds give equal trials and
    others do not, that no global random state is touched, and that loss and success rate take what they should.

    Parameters
    ----------
    task : Any
        The task to check; it need not inherit from `Task`.
    seed : int
        Seed of the trials that are drawn.

    Raises
    ------
    TypeError, ValueError
        One line for each finding, with the member, what it got and what it takes.
    """
    if isinstance(task, type):
        raise TypeError(f"`task`: expected a task, got the class {task.__name__}. Make one: {task.__name__}(...).")
    check_int("seed", seed, 0)
    kind = type(task).__name__
    missing = [m for m in (*Task.__annotations__, "trials", "loss", "success_rate") if not hasattr(task, m)]
    if missing:
        needs = ", ".join(f"`{m}`" for m in missing)
        raise TypeError(f"`task`: {kind}: a task needs {needs}, which {shown(task)} lacks. See conjugacy.tasks.Task.")
    findings = _static_findings(task) or _trial_findings(task, seed)
    if findings:
        raise ValueError("\n".join(f"{kind}.{finding}" for finding in findings))


def _static_findings(task: Any) -> list[str]:
    findings = []
    if not isinstance(task.n_timesteps, int) or task.n_timesteps < 1:
        findings.append(f"n_timesteps: expected an integer >= 1, got {task.n_timesteps!r}.")
    if not isinstance(task.dt, float | int) or not task.dt > 0:
        findings.append(f"dt: expected seconds > 0, got {task.dt!r}.")
    for name in _BOXES:
        space = getattr(task, name)
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            findings.append(f"{name}: expected a gymnasium Box of shape (n,), got {space!r}.")
    if findings:
        return findings
    for name, n in (("input_labels", input_size(task)), ("output_labels", output_size(task))):
        if len(getattr(task, name)) != n:
            findings.append(f"{name}: expected {n} names, one a channel, got {len(getattr(task, name))}.")
    return findings


def _trial_findings(task: Any, seed: int) -> list[str]:
    n, t, o = 4, task.n_timesteps, output_size(task)
    before = torch.get_rng_state()
    trials, again, other = task.trials(n, seed), task.trials(n, seed), task.trials(n, seed + 1)
    if not isinstance(trials, Trials):
        return [f"trials: expected a conjugacy.Trials, got {type(trials).__name__}."]
    # in closed loop the observations come from the plant, and trials hold the context alone
    width = input_size(task) if getattr(task, "plant", None) is None else task.context_inputs.shape[0]
    if getattr(task, "plant", None) is not None:
        o = len(task.controlled_labels)
    findings = []
    for name, want in (("inputs", (n, t, width)), ("targets", (n, t, o))):
        got = tuple(getattr(trials, name).shape)
        if got != want:
            findings.append(f"trials: `{name}` has the wrong shape: expected {want}, got {got}.")
        elif getattr(trials, name).dtype != torch.float32:
            findings.append(f"trials: expected `{name}` in float32, got {getattr(trials, name).dtype}.")
    if findings:
        return findings
    if getattr(task, "plant", None) is None:
        findings += _outside("observation_space", task.observation_space, "inputs", trials.inputs)
        findings += _outside("action_space", task.action_space, "targets", trials.targets)
    if not torch.equal(before, torch.get_rng_state()):
        findings.append("trials: changed torch's global random state. Draw from a generator made from the seed.")
    if trials.digest() != again.digest():
        findings.append("trials: the same seed gave other trials. Draw from a generator made from the seed.")
    if _equal(trials, other) and _equal(task.trials(16 * n, seed), task.trials(16 * n, seed + 1)):
        findings.append("trials: another seed gave the same trials. Draw from a generator made from the seed.")
    if not trials.mask.any():
        findings.append("trials: the mask leaves no step that counts.")
    return findings or _score_findings(task, trials)


def _equal(a: Trials, b: Trials) -> bool:
    return torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets)


def _outside(space_name: str, box: gymnasium.spaces.Box, what: str, x: Tensor) -> list[str]:
    low, high = torch.as_tensor(box.low), torch.as_tensor(box.high)
    if x.shape[-1] == len(low) and bool(((x < low) | (x > high)).any()):
        return [f"{space_name}: `{what}` reach {x.min():.3g} to {x.max():.3g}, outside its bounds. Widen them."]
    return []


def _score_findings(task: Any, trials: Trials) -> list[str]:
    findings = []
    outputs = torch.full_like(trials.targets, 0.5).requires_grad_()
    loss = task.loss(Rollout(latents=outputs, outputs=outputs, actions=outputs), trials)
    if not isinstance(loss, Tensor) or loss.ndim != 0 or not loss.requires_grad or not bool(torch.isfinite(loss)):
        findings.append(f"loss: expected a finite, differentiable scalar tensor, got {loss!r}.")
    rates = task.success_rate(trials.targets, trials)
    if not isinstance(rates, dict) or "accuracy" not in rates:
        findings.append(f"success_rate: expected a dict with the entry 'accuracy', got {rates!r}.")
    elif not all(0 <= float(r) <= 1 for r in rates.values()):
        findings.append(f"success_rate: expected figures in [0, 1], got {rates!r}.")
    return findings

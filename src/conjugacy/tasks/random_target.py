"""RandomTarget: a delayed reach with an arm, from anywhere to anywhere, against bumps.

The task of the seed notebook's Section 6, after Codol et al. (2024), eLife 12:RP88591 (MotorNet): hold the hand where
it is; a target appears; at a go cue, some time later, move there and stay; on some trials the cue never comes, on some
the hand is pushed.
"""

from __future__ import annotations

import inspect
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from conjugacy._check import check_choice, check_number, shown
from conjugacy._renamed import warn
from conjugacy.arm import RigidTendonArm26, from_motornet
from conjugacy.arm.plant import Plant
from conjugacy.arm.stepped import SteppedEffector
from conjugacy.networks.gru import GRU
from conjugacy.tasks.arguments import check_outputs, check_rollout, trial_generator
from conjugacy.tasks.phases import as_epochs, during
from conjugacy.tasks.reach_bumps import Bumps
from conjugacy.tasks.reach_metrics import accuracy, reach_metrics
from conjugacy.tasks.reach_senses import Senses
from conjugacy.tasks.reach_timing import Timing
from conjugacy.tasks.reach_workspace import Workspace
from conjugacy.tasks.task import Task
from conjugacy.trials import Rollout, Trials

_CURRICULUM = 0.4  # share of the training in which CtDB's loss grows to whole trials (200 of the notebook's 500 epochs)


@dataclass(frozen=True)
class _Variant:
    """The settings of a variant: those that arguments may override and, below the line, the others."""

    command: str
    context_noise: float
    act_weight: float
    min_delay: float
    min_reach: float
    bump_inside: bool
    bump_duration: tuple[float, float]
    # ---
    target_stays: bool  # until the end of the trial, not only until the go cue
    cue: float  # input of the go cue
    exact_delays: bool  # a delay of k steps lags k steps; MotorNet's lags k - 1
    distance_loss: bool  # mean distance counts beside the mean squared one


VARIANTS = {
    "documented": _Variant("sigmoid", 0.0, 0.01, 0.05, 0.4, True, (0.15, 0.3), True, 1.0, True, True),
    "neuromatch": _Variant("clip", 0.0, 1.0, 0.0, 0.01, False, (0.15, 0.29), True, 1.0, False, False),
    "snel": _Variant("clip", 0.05, 1.0, 0.05, 0.01, False, (0.15, 0.29), False, 0.15, False, False),
}


def _setting(part: str, name: str) -> property:
    """A setting of the task that is read from one of its parts."""

    def get(self: RandomTarget) -> Any:
        value = getattr(getattr(self, part), name)
        return list(value) if isinstance(value, tuple) else value

    return property(get, doc=f"`{name}` of `{part}`.")


class RandomTarget(Task):
    """Hold the hand still; when the go cue comes, move it to the target, against bumps.

    A network's inputs are the observations, that is, the hand's x and y (m), six muscle lengths and velocities
    (normalised), then the context: target x and y (m, 0 before it is shown) and the go cue. Its outputs are commands
    to six muscles. What is controlled, and compared with `Trials.targets`, is the hand's position (m).

    Parameters
    ----------
    effector : RigidTendonArm26, a MotorNet effector, or None
        The arm; by default ours with MotorNet's muscle and discretisation. MotorNet's RigidTendonArm26 is read and
        computed by our engine; any other effector is stepped by its own code, with one warning.
    variant : str
        "documented": the task as the notebook describes it. "neuromatch", "snel": as the two versions of CtDB have it.
    max_ep_duration : float
        Duration of a trial, s, a multiple of the arm's time step.
    command : str, optional
        How outputs y become muscle commands u: "sigmoid", u = sigma(y + command_bias), or "clip", u = y cut to [0, 1]
        by the muscles. By default "sigmoid" ("documented") or "clip" (CtDB).
    command_bias : float
        Offset of the sigmoid.
    shoulder_range, elbow_range : (float, float)
        Joint angles, degrees, from which starts and targets are drawn uniformly.
    catch_prob, bump_prob : float
        Probability of a trial without go cue; of a bump, whose start is for one half within 0.4 s after the go cue (on
        catch trials, after the moment at which it would have come), for the other anywhere.
    bump_force, bump_duration : (float, float)
        Ranges of its force (N) and duration (s); its direction is any.
    bump_inside : bool, optional
        Every bump starts and ends within its trial. False for CtDB's variants.
    target_onset : (float, float)
        When the target appears, s.
    min_delay : float, optional
        Least time between target and go cue, s.
    min_reach, max_reach : float, optional
        Least and most time between go cue and the end of the trial, s; the cue is uniform between what these and
        `min_delay` leave.
    n_directions, reach_distance : int, float
        With n_directions > 0: reaches from the middle of the joint ranges to that many targets around it, at this
        distance (m); the direction is the trial's condition.
    vision_delay, proprioception_delay : float
        s, multiples of the time step. CtDB's variants lag one step less, as MotorNet does.
    vision_noise, proprioception_noise, action_noise : float
        Standard deviations of the noise on the seen hand (m), on normalised lengths and velocities, on commands; on
        while a network is trained, see `conjugacy.rollout`.
    context_noise : float, optional
        Standard deviation of the noise on the context inputs.
    force_field, field_strength, rotation
        Force on the hand that depends on its velocity, and angle by which vision is turned; see
        `conjugacy.arm.plant.Plant`. With a rotation the seen hand has to reach the target.
    pos_weight, act_weight : float
        Weights of position and of squared commands in the loss; act_weight is 0.01 by default, 1 in CtDB's variants.

    Notes
    -----
    `Trials`: `ics` are joint angles and velocities, `loads` the force on the hand, `conditions` 0, or the direction;
    `epochs` are "hold" (until the cue, or all of a catch trial), "target" (shown), "reach" (from the cue) and "bump",
    empty where there is none. `Rollout.plant` are states of the arm. Differences from CtDB are listed in
    docs/differences.md, the figures behind the defaults in docs/random_target.md.
    """

    def __init__(
        self,
        effector: RigidTendonArm26 | Any | None = None,
        variant: str = "documented",
        max_ep_duration: float = 1.0,
        *,
        command: str | None = None,
        command_bias: float = -2.0,
        shoulder_range: tuple[float, float] = (30.0, 105.0),
        elbow_range: tuple[float, float] = (30.0, 125.0),
        catch_prob: float = 0.2,
        bump_prob: float = 0.5,
        bump_force: tuple[float, float] = (5.0, 10.0),
        bump_duration: tuple[float, float] | None = None,
        bump_inside: bool | None = None,
        target_onset: tuple[float, float] = (0.1, 0.29),
        min_delay: float | None = None,
        min_reach: float | None = None,
        max_reach: float | None = None,
        n_directions: int = 0,
        reach_distance: float = 0.1,
        vision_delay: float = 0.0,
        proprioception_delay: float = 0.0,
        vision_noise: float = 0.0,
        proprioception_noise: float = 0.0,
        action_noise: float = 0.0,
        context_noise: float | None = None,
        force_field: str = "none",
        field_strength: float = 0.0,
        rotation: float = 0.0,
        pos_weight: float = 1.0,
        act_weight: float | None = None,
    ):
        self.variant = check_choice("variant", variant, VARIANTS)
        v = self._variant = VARIANTS[variant]
        self.effector = arm = _arm(effector)
        self.dt = float(arm.dt)
        self.timing = Timing(
            self.dt,
            max_ep_duration,
            target_onset,
            v.min_delay if min_delay is None else min_delay,
            v.min_reach if min_reach is None else min_reach,
            max_reach,
        )
        self.bumps = Bumps(
            self.timing,
            bump_prob,
            bump_force,
            v.bump_duration if bump_duration is None else bump_duration,
            v.bump_inside if bump_inside is None else bump_inside,
        )
        self.senses = Senses(
            self.dt,
            vision_delay,
            proprioception_delay,
            vision_noise,
            proprioception_noise,
            v.context_noise if context_noise is None else context_noise,
            rotation,
            v.exact_delays,
        )
        self.workspace = Workspace(arm, shoulder_range, elbow_range, n_directions, reach_distance, self.senses.rotation)
        self.catch_prob = check_number("catch_prob", catch_prob, 0, 1, hint="It is a probability.")
        self.command = v.command if command is None else command
        self.command_bias, self.action_noise = command_bias, action_noise
        self.force_field, self.field_strength = force_field, field_strength
        self.plant = Plant(
            arm,
            self.command,
            command_bias,
            self.senses.vision_lag,
            self.senses.proprioception_lag,
            vision_noise,
            proprioception_noise,
            action_noise,
            force_field,
            field_strength,
            rotation,
        )
        self.pos_weight = check_number("pos_weight", pos_weight, 0, hint="It is a weight in the loss.")
        self.act_weight = check_number(
            "act_weight", v.act_weight if act_weight is None else act_weight, 0, hint="It is a weight in the loss."
        )
        self.n_timesteps = self.timing.n_timesteps
        self._describe_channels()

    max_ep_duration = _setting("timing", "max_ep_duration")
    target_onset = _setting("timing", "target_onset")
    min_delay = _setting("timing", "min_delay")
    min_reach = _setting("timing", "min_reach")
    max_reach = _setting("timing", "max_reach")
    bump_prob = _setting("bumps", "prob")
    bump_force = _setting("bumps", "force")
    bump_duration = _setting("bumps", "duration")
    bump_inside = _setting("bumps", "inside")
    vision_delay = _setting("senses", "vision_delay")
    proprioception_delay = _setting("senses", "proprioception_delay")
    vision_noise = _setting("senses", "vision_noise")
    proprioception_noise = _setting("senses", "proprioception_noise")
    context_noise = _setting("senses", "context_noise")
    rotation = _setting("senses", "rotation")
    shoulder_range = _setting("workspace", "shoulder_range")
    elbow_range = _setting("workspace", "elbow_range")
    n_directions = _setting("workspace", "n_directions")
    reach_distance = _setting("workspace", "reach_distance")

    def trials(self, n: int, seed: int) -> Trials:
        """`n` trials from `seed`; see the class for their statistics."""
        n, rng = trial_generator(n, seed)
        t = self.n_timesteps
        # the order of the draws is part of what a seed means
        onset, cue = self.timing.draw(n, rng)
        catch = rng.random(n) < self.catch_prob
        bump = self.bumps.draw_times(cue, rng)
        forces = self.bumps.draw_forces(n, rng)
        start, target, condition = self.workspace.draw(n, rng)
        start_xy, target_xy = self.workspace.hand(start), self.workspace.hand(target)
        reach = np.where(catch, t, cue)
        shown_until = t if self._variant.target_stays else reach
        epochs = as_epochs(
            {"hold": (0, reach), "target": (onset, shown_until), "reach": (reach, t), "bump": bump},
            n,
        )
        shown, reaching, pushed = (during(epochs[e], t)[..., None].numpy() for e in ("target", "reach", "bump"))
        context = np.zeros((n, t, 3))
        context[..., :2] = shown * self.workspace.seen(start_xy, target_xy)[:, None]
        context[..., 2:] = self._variant.cue * reaching
        noisy = context
        if self.context_noise > 0:
            noisy = context + self.context_noise * rng.standard_normal(context.shape)
        return Trials.from_tensors(
            _float(noisy),
            _float(np.where(reaching, target_xy[:, None], start_xy[:, None])),
            true_inputs=_float(context),
            ics=_float(np.concatenate([start, np.zeros_like(start)], 1)),
            loads=_float(forces[:, None] * pushed),
            conditions=torch.from_numpy(condition),
            epochs=epochs,
        )

    def loss(self, rollout: Rollout, trials: Trials) -> Tensor:
        """``pos_weight * (10 mean |e|^2 + mean |e|) + act_weight * mean u^2``; e: the hand's distance (m), u: commands.

        CtDB's variants: pos_weight * mean e_x^2, e_y^2 + act_weight * mean u^2, over whole trials.
        """
        check_rollout(rollout, trials)
        return self._loss(rollout, trials, trials.n_timesteps)

    def training_loss(self, rollout: Rollout, trials: Trials, progress: float) -> Tensor:
        """The loss of a curriculum: in CtDB's variants positions count from the start to a step that grows with time.

        They count up to ceil(T p / 0.4), at least 1, where p is `progress`: whole trials after 40 % of the training,
        200 of the notebook's 500 epochs. Variant "documented" has no curriculum.
        """
        if self._variant.distance_loss:
            return self.loss(rollout, trials)
        check_rollout(rollout, trials)
        share = min(1.0, check_number("progress", progress, 0, 1) / _CURRICULUM)
        return self._loss(rollout, trials, max(1, math.ceil(share * trials.n_timesteps)))

    def success_rate(self, outputs: Tensor, trials: Trials) -> dict[str, float]:
        """Share of reaches that end within 1 cm of the target.

        Those count that have at least 0.4 s after the go cue (where no trial has, all trials do); the end is the mean
        distance over the last 0.1 s.
        """
        check_outputs(outputs, trials)
        return {"accuracy": accuracy(outputs, trials, self.dt)}

    def metrics(self, rollout: Rollout, trials: Trials) -> dict[str, float]:
        """Metrics of the reaches in metres and seconds, see `conjugacy.tasks.reach_metrics`."""
        check_rollout(rollout, trials)
        return reach_metrics(rollout, trials, self.dt)

    def merits(self, rollout: Rollout, trials: Trials) -> dict[str, float]:
        """The old name of `metrics`."""
        warn("merits", "metrics", stacklevel=2)
        return self.metrics(rollout, trials)

    def prepare(self, network: Any) -> None:
        """Set `update_bias` of a GRU made without it to 0: slow units would respond to bumps too late."""
        if isinstance(network, GRU) and network.update_bias is None:
            network.update_bias = 0.0

    @property
    def recipe(self) -> dict[str, Any]:
        """The settings that suit it, docs/random_target.md."""
        return dict(
            steps=1500,
            batch_size=64,
            learning_rate=3e-3,
            warmup=0.1,
            short_timesteps=self.n_timesteps,
            eval_every=50,
            stop_accuracy=0.95,
            stop_r2=0.98,
            select="-end_error",
        )

    def _describe_channels(self) -> None:
        muscles = list(getattr(self.effector, "muscle_names", [f"muscle {i + 1}" for i in range(self.plant.n_actions)]))
        senses = ["hand x", "hand y", *[f"{m} length" for m in muscles], *[f"{m} velocity" for m in muscles]]
        self.name = f"RandomTarget ({self.variant})"
        self.observation_space = Box(-np.inf, np.inf, (self.plant.n_observations,), np.float32)
        self.context_inputs = Box(-np.inf, np.inf, (3,), np.float32)
        self.action_space = Box(0.0, 1.0, (self.plant.n_actions,), np.float32)
        self.input_labels = [*senses, "target x", "target y", "go cue"]
        self.output_labels = muscles
        self.controlled_labels = ["hand x (m)", "hand y (m)"]

    def _loss(self, rollout: Rollout, trials: Trials, n_positions: int) -> Tensor:
        assert rollout.actions is not None
        square = (rollout.outputs - trials.targets)[:, :n_positions].square()
        if self._variant.distance_loss:
            square = square.sum(-1)
            # rounded off within 0.1 mm of the target, where a distance has no slope
            position = 10 * square.mean() + (square + 1e-8).sqrt().mean()
        else:
            position = square.mean()
        return self.pos_weight * position + self.act_weight * rollout.actions.square().mean()


def _arm(effector: Any) -> Any:
    """An arm with the members of `RigidTendonArm26`, from what the user has."""
    if effector is None:
        return RigidTendonArm26()
    members = ("dt", "n_muscles", "rest", "step", "observe", "hand", "joint_limits", "proprioception_lag")
    if not isinstance(effector, type) and all(hasattr(effector, name) for name in members):
        return effector
    if not any(base.__module__.split(".")[0] == "motornet" for base in inspect.getmro(type(effector))):
        raise TypeError(
            "`effector`: expected an arm of conjugacy.arm or an effector of motornet, got "
            f"{shown(effector)}. Write RigidTendonArm26()."
        )
    try:
        return from_motornet(effector)
    except (TypeError, ValueError) as error:
        warnings.warn(
            f"{type(effector).__name__} is stepped by MotorNet's own code, many times slower than ours: {error}",
            stacklevel=3,
        )
        return SteppedEffector(effector)


def _float(x: np.ndarray) -> Tensor:
    return torch.from_numpy(x.astype(np.float32))

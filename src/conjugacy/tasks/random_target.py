"""RandomTarget: a delayed reach with an arm, from anywhere to anywhere, against bumps.

The task of the seed notebook's Section 6, after Codol et al. (2024), eLife 12:RP88591 (MotorNet): hold the hand where
it is; a target appears; at a go cue, some time later, move there and stay; on some trials the cue never comes, on some
the hand is pushed.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from conjugacy._check import check_choice, check_int, check_number
from conjugacy.arm import RigidTendonArm26, from_motornet
from conjugacy.arm.plant import Plant, rotated
from conjugacy.arm.stepped import SteppedEffector
from conjugacy.networks.gru import GRU
from conjugacy.tasks.reach_metrics import accuracy, reach_metrics
from conjugacy.tasks.task import Task
from conjugacy.trials import Rollout, Trials

_BUMP_WINDOW = 0.4  # s after the go cue in which half of the bumps start
_CURRICULUM = 0.4  # share of the training in which CtDB's loss grows to whole trials (200 of the notebook's 500 epochs)
_MAX_REDRAWS = 200


@dataclass(frozen=True)
class _Variant:
    """What a variant decides: settings that the constructor may override, and, below the line, what it may not."""

    command: str
    context_noise: float
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
    "documented": _Variant("sigmoid", 0.0, 0.05, 0.4, True, (0.15, 0.3), True, 1.0, True, True),
    "neuromatch": _Variant("clip", 0.0, 0.0, 0.01, False, (0.15, 0.29), True, 1.0, False, False),
    "snel": _Variant("clip", 0.05, 0.05, 0.01, False, (0.15, 0.29), False, 0.15, False, False),
}


class RandomTarget(Task):
    """Hold the hand still; when the go cue comes, bring it to the target; whatever pushes it.

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
        s, multiples of the time step. "documented": as said; CtDB's variants: one step less, as in MotorNet.
    vision_noise, proprioception_noise, action_noise : float
        Standard deviations of the noise on the seen hand (m), on normalised lengths and velocities, on commands; on
        while a network is trained, see `conjugacy.rollout`.
    context_noise : float, optional
        Standard deviation of the noise on the context inputs.
    force_field, field_strength, rotation
        The world the hand moves in, see `conjugacy.arm.Plant`. With a rotation the seen hand has to reach the target.
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
        self.max_ep_duration = max_ep_duration
        self.n_timesteps = self._steps("max_ep_duration", max_ep_duration, 1)
        self.command = v.command if command is None else command
        self.command_bias = command_bias
        self.catch_prob = check_number("catch_prob", catch_prob, 0, 1)
        self.bump_prob = check_number("bump_prob", bump_prob, 0, 1)
        self.bump_force = _range("bump_force", bump_force, "They are newtons.")
        self.bump_duration = _range("bump_duration", v.bump_duration if bump_duration is None else bump_duration)
        self.bump_inside = v.bump_inside if bump_inside is None else bool(bump_inside)
        self.target_onset = _range("target_onset", target_onset)
        self.min_delay = v.min_delay if min_delay is None else min_delay
        self.min_reach = v.min_reach if min_reach is None else min_reach
        self.max_reach = max_reach
        self._set_clock()
        self.shoulder_range = self._angles("shoulder_range", shoulder_range, 0)
        self.elbow_range = self._angles("elbow_range", elbow_range, 1)
        self.n_directions = check_int("n_directions", n_directions, 0)
        self.reach_distance = check_number("reach_distance", reach_distance, 0, open_low=True)
        self._centre_out = self._star() if n_directions else None
        self.context_noise = check_number(
            "context_noise", v.context_noise if context_noise is None else context_noise, 0
        )
        self.vision_delay, self.proprioception_delay = vision_delay, proprioception_delay
        self.vision_noise, self.proprioception_noise = vision_noise, proprioception_noise
        self.action_noise = action_noise
        self.force_field, self.field_strength, self.rotation = force_field, field_strength, rotation
        self.plant = Plant(
            arm,
            self.command,
            command_bias,
            self._lag("vision_delay", vision_delay),
            self._lag("proprioception_delay", proprioception_delay),
            vision_noise,
            proprioception_noise,
            action_noise,
            force_field,
            field_strength,
            rotation,
        )
        self.pos_weight = check_number("pos_weight", pos_weight, 0)
        default = 0.01 if v.distance_loss else 1.0
        self.act_weight = check_number("act_weight", default if act_weight is None else act_weight, 0)
        self._describe_channels()

    def trials(self, n: int, seed: int) -> Trials:
        """`n` trials from `seed`; see the class for their statistics."""
        check_int("n", n, 1, hint="It is the number of trials.")
        rng = np.random.default_rng(check_int("seed", seed, 0))
        t = self.n_timesteps
        steps = np.arange(t)
        onset = rng.integers(self._onset[0], self._onset[1] + 1, n)
        earliest = np.maximum(onset + self._min_delay, t - self._max_reach)
        cue = rng.integers(earliest, t - self._min_reach + 1)
        catch = rng.random(n) < self.catch_prob
        bump_on, bump_off = self._bump_times(cue, rng)
        loads = self._forces(n, rng)[:, None] * ((steps >= bump_on[:, None]) & (steps < bump_off[:, None]))[..., None]
        start, target, condition = self._reaches(n, rng)
        start_xy, target_xy = self._hand(start), self._hand(target)
        shown_xy = self._shown(start_xy, target_xy)
        reach_on = np.where(catch, t, cue)
        reaching = (steps >= reach_on[:, None])[..., None]
        hidden_from = t if self._variant.target_stays else reach_on
        context = np.zeros((n, t, 3))
        shown = (steps >= onset[:, None]) & (steps < np.broadcast_to(hidden_from, n)[:, None])
        context[..., :2] = shown[..., None] * shown_xy[:, None]
        context[..., 2:] = self._variant.cue * reaching
        noisy = context
        if self.context_noise > 0:
            noisy = context + self.context_noise * rng.standard_normal(context.shape)
        wanted = np.where(reaching, target_xy[:, None], start_xy[:, None])
        edges = {
            "hold": (0, reach_on),
            "target": (onset, hidden_from),
            "reach": (reach_on, t),
            "bump": (bump_on, bump_off),
        }
        epochs = {k: np.stack([np.broadcast_to(e, n) for e in pair], 1).astype(np.int64) for k, pair in edges.items()}
        return Trials.from_tensors(
            _float(noisy),
            _float(wanted),
            true_inputs=_float(context),
            ics=_float(np.concatenate([start, np.zeros_like(start)], 1)),
            loads=_float(loads),
            conditions=torch.from_numpy(condition),
            epochs={k: torch.from_numpy(e) for k, e in epochs.items()},
        )

    def loss(self, rollout: Rollout, trials: Trials) -> Tensor:
        """pos_weight * (10 mean |e|^2 + mean |e|) + act_weight * mean u^2, with e the hand's distance (m), u commands.

        CtDB's variants: pos_weight * mean e_x^2, e_y^2 + act_weight * mean u^2, over whole trials.
        """
        return self._loss(rollout, trials, trials.n_timesteps)

    def training_loss(self, rollout: Rollout, trials: Trials, progress: float) -> Tensor:
        """The loss of a curriculum: in CtDB's variants positions count from the start to a step that grows with time.

        They count up to ceil(T p / 0.4), at least 1, where p is `progress`: whole trials after 40 % of the training,
        200 of the notebook's 500 epochs. Variant "documented" has no curriculum.
        """
        if self._variant.distance_loss:
            return self.loss(rollout, trials)
        share = min(1.0, check_number("progress", progress, 0, 1) / _CURRICULUM)
        return self._loss(rollout, trials, max(1, math.ceil(share * trials.n_timesteps)))

    def success_rate(self, outputs: Tensor, trials: Trials) -> dict[str, float]:
        """Share of reaches that end within 1 cm of the target.

        Those count that have at least 0.4 s after the go cue (where no trial has, all trials do); the end is the mean
        distance over the last 0.1 s.
        """
        return {"accuracy": accuracy(outputs, trials, self.dt)}

    def merits(self, rollout: Rollout, trials: Trials) -> dict[str, float]:
        """Figures of merit in metres and seconds, see `conjugacy.tasks.reach_metrics`."""
        return reach_metrics(rollout, trials, self.dt)

    def prepare(self, network: Any) -> None:
        """A GRU that was made without `update_bias` gets 0: a hand that is pushed cannot wait for slow units."""
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

    def _set_clock(self) -> None:
        """Durations in steps, and that they leave room for each other."""
        self._onset = [self._steps("target_onset", s) for s in self.target_onset]
        self._bump_steps = [self._steps("bump_duration", s, 1) for s in self.bump_duration]
        self._min_delay = self._steps("min_delay", self.min_delay)
        self._min_reach = self._steps("min_reach", self.min_reach, 1)
        longest = self.n_timesteps if self.max_reach is None else self._steps("max_reach", self.max_reach, 1)
        self._max_reach = max(longest, self._min_reach)
        if longest < self._min_reach:
            raise ValueError(f"`max_reach`: expected at least `min_reach`, {self.min_reach} s, got {self.max_reach} s.")
        needed = max(self._onset[1] + self._min_delay + self._min_reach, self._bump_steps[1] + 1)
        if self.n_timesteps < needed:
            raise ValueError(
                f"`max_ep_duration`: expected at least {needed * self.dt:g} s, which target onset, delay and reach (or "
                f"a bump) take, got {self.max_ep_duration:g} s. Make it longer, or `min_reach` shorter."
            )

    def _steps(self, name: str, seconds: float, low: int = 0) -> int:
        """A duration in steps of the arm."""
        check_number(name, seconds, low * self.dt * (1 - 1e-9), hint="It is a duration in seconds.")
        steps = round(seconds / self.dt)
        if abs(seconds - steps * self.dt) > 1e-6 * self.dt:
            raise ValueError(
                f"`{name}`: expected a multiple of the time step, {self.dt:g} s, got {seconds!r}. "
                f"Try {steps * self.dt:.6g}."
            )
        return steps

    def _lag(self, name: str, delay: float) -> int:
        steps = self._steps(name, delay)
        return steps if self._variant.exact_delays else max(0, steps - 1)

    def _angles(self, name: str, degrees: tuple[float, float], joint: int) -> list[float]:
        low, high = _range(name, degrees, "They are degrees.", -math.inf)
        limits = [math.degrees(x) for x in self.effector.joint_limits[joint].tolist()]
        if low < limits[0] - 1e-9 or high > limits[1] + 1e-9:
            raise ValueError(
                f"`{name}`: expected angles within the joint's limits, {limits[0]:.4g} to {limits[1]:.4g} degrees, "
                f"got {low:g} to {high:g}."
            )
        return [low, high]

    def _bump_times(self, cue: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """First step and step after the last one of each trial's bump; both the trial's length where there is none."""
        t, n = self.n_timesteps, len(cue)
        length = rng.integers(self._bump_steps[0], self._bump_steps[1] + 1, n)
        window = round(_BUMP_WINDOW / self.dt)
        after_cue = rng.random(n) < 0.5
        if self.bump_inside:
            soon = cue + rng.integers(0, np.clip(t - length - cue + 1, 1, window))
            on = np.where(after_cue, np.minimum(soon, t - length), rng.integers(0, t - length + 1))
        else:
            on = np.where(after_cue, cue + rng.integers(0, window, n), rng.integers(0, max(1, t - 30), n))
        none = rng.random(n) >= self.bump_prob
        on, off = np.minimum(on, t), np.minimum(on + length, t)
        return np.where(none, t, on), np.where(none, t, off)

    def _forces(self, n: int, rng: np.random.Generator) -> np.ndarray:
        low, high = self.bump_force
        direction, size = rng.uniform(0, 2 * np.pi, n), rng.uniform(low, high, n)
        return np.stack([size * np.cos(direction), size * np.sin(direction)], 1)

    def _reaches(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Joint angles (rad) of starts and targets, and the condition of each trial."""
        if self._centre_out is not None:
            centre, targets = self._centre_out
            condition = rng.integers(0, self.n_directions, n)
            return np.tile(centre, (n, 1)), targets[condition], condition.astype(np.int64)
        low, high = np.radians([self.shoulder_range, self.elbow_range]).T
        start, target = rng.uniform(low, high, (n, 2)), rng.uniform(low, high, (n, 2))
        if self.rotation:
            self._redraw(start, target, low, high, rng)
        return start, target, np.zeros(n, np.int64)

    def _redraw(self, start: np.ndarray, target: np.ndarray, low: np.ndarray, high: np.ndarray, rng) -> None:
        """Draw targets again, in place, until what is seen of them lies where targets lie without a rotation."""
        left = np.arange(len(start))
        for _ in range(_MAX_REDRAWS):
            seen = self._shown(self._hand(start[left]), self._hand(target[left]))
            angles = self.effector.skeleton.angles(torch.from_numpy(seen)).numpy()
            left = left[~((angles >= low) & (angles <= high)).all(1)]
            if not len(left):
                return
            start[left], target[left] = rng.uniform(low, high, (2, len(left), 2))
        raise ValueError(f"`rotation`: no targets are left in the workspace at {self.rotation:g} degrees.")

    def _star(self) -> tuple[np.ndarray, np.ndarray]:
        """Joint angles of the middle of the ranges, and of the targets around the hand's position there."""
        centre = np.radians([np.mean(self.shoulder_range), np.mean(self.elbow_range)])
        angle = 2 * np.pi * np.arange(self.n_directions) / self.n_directions
        around = self.reach_distance * np.stack([np.cos(angle), np.sin(angle)], 1)
        xy = self._hand(centre[None]) + around
        try:
            return centre, self.effector.inverse(torch.from_numpy(xy)).numpy()
        except ValueError as error:
            raise ValueError(f"`reach_distance`: targets at {self.reach_distance:g} m: {error}") from None

    def _shown(self, start_xy: np.ndarray, target_xy: np.ndarray) -> np.ndarray:
        """Where the target is seen: with a rotation, where the hand is seen once it is at the target."""
        if not self.rotation:
            return target_xy
        return start_xy + rotated(torch.from_numpy(target_xy - start_xy), self.rotation).numpy()

    def _hand(self, q: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self.effector.hand(torch.from_numpy(q)).numpy()

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
    if all(hasattr(effector, name) for name in members):
        return effector
    if not any(base.__module__.split(".")[0] == "motornet" for base in type(effector).__mro__):
        raise TypeError(
            f"`effector`: expected an arm of conjugacy.arm or an effector of motornet, got {type(effector).__name__}. "
            "Write RigidTendonArm26()."
        )
    try:
        return from_motornet(effector)
    except (TypeError, ValueError) as error:
        warnings.warn(
            f"{type(effector).__name__} is stepped by MotorNet's own code, many times slower than ours: {error}",
            stacklevel=3,
        )
        return SteppedEffector(effector)


def _range(name: str, values: Any, hint: str = "They are seconds.", low: float = 0.0) -> list[float]:
    try:
        first, last = values
    except (TypeError, ValueError):
        raise ValueError(f"`{name}`: expected two numbers, low and high, got {values!r}. {hint}") from None
    first, last = (check_number(f"{name}[{i}]", v, low, hint=hint) for i, v in enumerate((first, last)))
    if first > last:
        raise ValueError(f"`{name}`: expected low <= high, got {first:g} and {last:g}. {hint}")
    return [first, last]


def _float(x: np.ndarray) -> Tensor:
    return torch.from_numpy(x.astype(np.float32))

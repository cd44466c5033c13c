"""N-bit flip-flop: hold N bits, each set or cleared by brief pulses on one input.

Sussillo & Barak (2013), Neural Computation 25:626, sections 3.1 and 3.2; there the bits are -1 and 1, here 0 and 1.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from conjugacy._check import check_flag, check_instance, check_int, check_noise, check_number
from conjugacy._lazy import higher
from conjugacy._renamed import takes_old_names
from conjugacy.networks.gru import GRU
from conjugacy.tasks.arguments import check_outputs, check_rollout, trial_generator
from conjugacy.tasks.open_loop import squared_error
from conjugacy.tasks.phases import MOST_STEPS, check_time_step
from conjugacy.tasks.task import Task
from conjugacy.trials import Rollout, Trials

_BLANK_STEPS = 3  # no pulses before: the network has time to leave its initial state
_UNSCORED_STEPS = 5
_BUSY = 0.05  # probability of a pulse, for each sign, in training trials
_BUSY_SHARE = 0.75  # of a training
_CALM = 0.2  # times as many pulses in calm trials
_LOST = (0.2, 0.65)  # of the size of a weak pulse

_MOST_BITS = 10_000


@takes_old_names
class NBitFlipFlop(Task):
    """Hold n bits. A pulse of +1 on input i sets bit i to 1, a pulse of -1 clears it to 0; all bits start at 0.

    Parameters
    ----------
    n : int
        Number of bits, >= 1.
    n_timesteps : int
        Steps of a trial, > 5 (the first three have no pulses, the first five are not scored).
    switch_prob : float
        Probability p of a pulse per channel and step, for each sign: P(+1) = P(-1) = p, in [0, 0.5]. A pulse that
        finds its bit in that state already changes nothing.
    noise : float
        Standard deviation of the Gaussian noise on every input and step, >= 0.
    transition_blind : int
        Steps that do not count after a bit flips, for that bit, the step of the flip included, >= 0.
    dt : float
        Seconds per step, > 0. The task has no time scale of its own; this one labels the axes.
    distilled : bool
        Whether the targets of training are the outputs of the ideal observer (`ideal_outputs`) in place of the bits,
        with pulses among the inputs that are hard to tell from noise. Such a network learns to put out probabilities,
        where one trained on the bits learns to settle on 0 or 1. Trials, loss and scores are the same otherwise.

    Notes
    -----
    The target of step t is the bit after the pulse of step t. Inputs are unbounded as soon as there is noise, and so is
    `observation_space`. Differences from CtDB are listed in docs/differences.md.
    """

    def __init__(
        self,
        n: int = 3,
        n_timesteps: int = 500,
        switch_prob: float = 0.015,
        noise: float = 0.15,
        transition_blind: int = 4,
        dt: float = 0.01,
        distilled: bool = False,
    ):
        self.n = check_int("n", n, 1, hint="It is the number of bits.", limit=_MOST_BITS)
        self.n_timesteps = check_int("n_timesteps", n_timesteps, _UNSCORED_STEPS + 1, limit=MOST_STEPS)
        self.switch_prob = check_number(
            "switch_prob", switch_prob, 0, 0.5, hint="It is the probability of each sign: both together are at most 1."
        )
        self.noise = check_noise("noise", noise)
        self.transition_blind = check_int("transition_blind", transition_blind, 0)
        self.dt = check_time_step(dt)
        self.distilled = check_flag("distilled", distilled)
        self.name = f"{self.n}BFF"
        reach = np.inf if self.noise > 0 else 1.0
        self.observation_space = Box(-reach, reach, (self.n,), np.float32)
        self.context_inputs = Box(-1.0, 1.0, (0,), np.float32)
        self.action_space = Box(0.0, 1.0, (self.n,), np.float32)
        self.input_labels = [f"Input {i + 1}" for i in range(self.n)]
        self.output_labels = [f"Bit {i + 1}" for i in range(self.n)]

    @classmethod
    def small(cls) -> NBitFlipFlop:
        """An instance with short trials, used in tables of all tasks."""
        return cls(n=2, n_timesteps=30, switch_prob=0.1)

    # the recipe of version 0.1, and that of GRUs after it: what was begun with one is known, and goes on with it
    former_recipes: ClassVar = (
        {"steps": 1000, "learning_rate": 4e-2, "warmup": 0.1, "clip": 0.1, "eval_every": 50},
        {"steps": 550, "learning_rate": 4e-2, "warmup": 0.1, "clip": 0.1, "eval_every": 50}
        | {"recurrent_decay": 0.6, "calm_share": 0.25, "stop_from": 1.0},
    )

    @property
    def recipe(self) -> dict[str, Any]:
        """A high, early peak of the learning rate and a tight clip of the gradient: figures are in docs/training.md.

        Distilled networks are trained for twice as many steps, past the point at which they solve the task.
        """
        usual = {"steps": 1000, "learning_rate": 4e-2, "warmup": 0.1, "clip": 0.1, "eval_every": 50}
        return {**usual, "steps": 2000, "stop_r2": 1.0} if self.distilled else usual

    def recipe_for(self, network: Any) -> dict[str, Any]:
        """`recipe`, and for a GRU half the steps to a lower peak, a decay of the recurrent weights, and calm trials.

        Without these update gates saturate or leak slowly, and memories are plateaus in place of fixed points. Where a
        task derived from this one has a `recipe` of its own, that holds for every network.
        """
        derived = type(self).recipe is not NBitFlipFlop.recipe
        if derived or self.distilled or not isinstance(network, GRU):
            return self.recipe
        slower = {"steps": 550, "learning_rate": 3e-2, "recurrent_decay": 0.8, "short_share": 0.3, "calm_share": 0.25}
        return {**self.recipe, **slower, "stop_from": 0.7, "stop_r2": 0.983}

    def prepare(self, network: Any) -> None:
        """Set `update_bias` of a GRU made without it to 1: slower units hold a bit by leaking, at no fixed point."""
        if isinstance(network, GRU) and network.update_bias is None:
            network.update_bias = 1.0

    def training_trials(self, n: int, seed: int, step: int, progress: float, calm: float = 0.0) -> Trials:
        """`n` trials for gradient step `step` of a training from `seed`.

        In the first three quarters of a training rare pulses come more often, with p = 0.05: there is more to learn
        from a time step. Once a share `calm` > 0 of the trials is to be calm, those have a fifth of the task's
        pulses (what is held for long has to be held at a fixed point), and the others are as they are. Where the
        network is `distilled`, half of the pulses are weak in the first three quarters, and the targets are the
        `ideal_outputs` throughout.
        """
        rng = np.random.default_rng([seed, step])
        task, early = self, progress < _BUSY_SHARE and not calm
        if early and 0 < self.switch_prob < _BUSY:
            task = self._with_pulses(_BUSY)
        quiet = round(check_number("calm", calm, 0, 1) * n)
        parts = ((task, n - quiet), (self._with_pulses(_CALM * self.switch_prob), quiet))
        drawn = [t.trials(k, int(rng.integers(2**63))) for t, k in parts if k]
        trials = drawn[0] if len(drawn) == 1 else _joined(drawn)
        if not self.distilled:
            return trials
        inputs = trials.inputs
        if early:
            lost = rng.uniform(*_LOST, inputs.shape) * (rng.random(inputs.shape) < 0.5)
            inputs = inputs - torch.from_numpy(lost).float() * trials.true_inputs
        trials = replace(trials, inputs=inputs, mask=torch.ones_like(trials.mask))
        return replace(trials, targets=self.ideal_outputs(trials))

    def _with_pulses(self, switch_prob: float) -> NBitFlipFlop:
        task = copy.copy(self)
        task.switch_prob = switch_prob
        return task

    def ideal_outputs(self, trials: Trials) -> Tensor:
        """The probability that each bit is 1 given the inputs so far, (trial, time, bit), by Bayes' rule.

        No other outputs that depend on the inputs alone have a smaller squared error on average. A pulse that
        is hard to tell from noise leaves them between 0 and 1 until the next one.
        """
        check_instance("trials", trials, Trials, "Draw them with task.trials(n, seed).")
        u = trials.inputs.double()
        variance = max(self.noise, 1e-3) ** 2
        p = torch.full((u.shape[1], 1), self.switch_prob, dtype=torch.float64, device=u.device)
        p[:_BLANK_STEPS] = 0
        # likelihoods of a pulse up, a pulse down and none, all divided by exp(-u^2 / 2 variance)
        each = [p.log() + (u - 0.5) / variance, p.log() - (u + 0.5) / variance, (1 - 2 * p).log().expand_as(u)]
        up, _, none = torch.stack(each).softmax(0)
        bit, bits = torch.zeros_like(u[:, 0]), []
        for stays, rises in zip(none.unbind(1), up.unbind(1)):
            bit = torch.addcmul(rises, stays, bit)
            bits.append(bit)
        return torch.stack(bits, 1).to(trials.targets.dtype)

    def trials(self, n: int, seed: int) -> Trials:
        """`n` trials from `seed`; see the class for their statistics."""
        k, rng = trial_generator(n, seed)
        t, bits, p = self.n_timesteps, self.n, self.switch_prob
        # a bit's trials lie end to end as one line of steps; pulses and flips are rare, so each is written by itself
        at = _pulse_times(2 * p, bits * k * t, rng)
        sign = np.where(rng.random(len(at)) < 0.5, 1, -1).astype(np.float32)
        allowed = at % t >= _BLANK_STEPS
        at, sign = at[allowed], sign[allowed]
        held, flips = _hold(at, sign > 0, bits * k, t)
        targets = torch.empty(k, t, bits)
        for bit, line in enumerate(torch.from_numpy(held.reshape(bits, k, t))):
            targets[..., bit] = line

        def place(steps: np.ndarray) -> np.ndarray:
            """Where a step of the lines lies in a flat (trial, time, bit) array."""
            line, step = np.divmod(steps, t)
            bit, trial = np.divmod(line, k)
            return (trial * t + step) * bits + bit

        pulses = np.zeros(k * t * bits, np.float32)
        pulses[place(at)] = sign
        mask = np.ones(k * t * bits, bool)
        for lag in range(min(self.transition_blind, t)):
            mask[place(flips[flips % t + lag < t]) + lag * bits] = False
        mask.reshape(k, t, bits)[:, :_UNSCORED_STEPS] = False
        inputs = pulses
        if self.noise > 0:
            inputs = rng.standard_normal(pulses.shape, dtype=np.float32)
            inputs *= np.float32(self.noise)
            inputs[place(at)] += sign
        inputs, mask, pulses = (torch.from_numpy(x.reshape(k, t, bits)) for x in (inputs, mask, pulses))
        return Trials.from_tensors(inputs, targets, mask=mask, true_inputs=pulses)

    def loss(self, rollout: Rollout, trials: Trials) -> Tensor:
        """Mean squared error of the outputs over the steps that count."""
        check_rollout(rollout, trials)
        return squared_error(rollout, trials)

    def success_rate(self, outputs: Tensor, trials: Trials) -> dict[str, float]:
        """Share of bits read right (output on the target's side of 1/2) over the steps that count.

        Returns
        -------
        dict
            "accuracy" over all bits, "accuracy/Bit i" for each.
        """
        check_outputs(outputs, trials)
        right = ((outputs > 0.5) == (trials.targets > 0.5)) & trials.mask
        per_bit = right.sum((0, 1)) / trials.mask.sum((0, 1))
        rates = {f"accuracy/{label}": float(r) for label, r in zip(self.output_labels, per_bit)}
        return {"accuracy": float(right.sum() / trials.mask.sum()), **rates}

    def render(self, seed: int = 0):
        """Figure of one trial: a row for each bit's target, and a row with all inputs."""
        return higher("plots.flip_flop", "trial")(self, self.trials(1, seed))

    def render_3d(self, n_trials: int = 10, seed: int = 0):
        """Figure of the targets of `n_trials` trials, a panel each: in 3-D, in the plane (n = 2) or in time (n = 1)."""
        return higher("plots.flip_flop", "corners")(self, self.trials(check_int("n_trials", n_trials, 1), seed))


def _joined(parts: list[Trials]) -> Trials:
    inputs, targets, mask, pulses = (
        torch.cat([getattr(trials, name) for trials in parts]) for name in ("inputs", "targets", "mask", "true_inputs")
    )
    return Trials.from_tensors(inputs, targets, mask=mask, true_inputs=pulses)


def _pulse_times(rate: float, n_steps: int, rng: np.random.Generator) -> np.ndarray:
    """The steps, in order, at which a pulse falls when each step has one with probability `rate`.

    The gaps between pulses are geometric; drawing them costs as much as there are pulses, not steps.
    """
    if rate == 0:
        return np.zeros(0, np.int64)
    at = np.zeros(0, np.int64)
    while not len(at) or at[-1] < n_steps:
        last = at[-1] if len(at) else -1
        more = rng.geometric(rate, size=int(1.05 * rate * (n_steps - last)) + 20)
        at = np.concatenate([at, last + np.cumsum(more)])
    return at[at < n_steps]


def _hold(at: np.ndarray, up: np.ndarray, n_lines: int, t: int) -> tuple[np.ndarray, np.ndarray]:
    """Bits after every step, (line * time,), and the flat indices of the steps at which they flip.

    `at` are the flat indices of the pulses in order, `up` says which of them set the bit.
    """
    starts = np.arange(n_lines) * t  # a line starts with its bit cleared; no pulse falls there
    where = np.searchsorted(at, starts)
    at = np.insert(at, where, starts)
    bit = np.insert(up.astype(np.float32), where, 0)
    bits = np.repeat(bit, np.diff(at, append=n_lines * t))
    flipped = np.flatnonzero(bit[1:] != bit[:-1]) + 1
    flips = at[flipped]
    return bits, flips[flips % t != 0]

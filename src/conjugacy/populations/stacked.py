"""Training of many networks as one, step by step: stacked weights, one pass forward and back, a loss for each.

Each network has its own trials, noise, learning rate, clipping, validation and stop. Those that have stopped leave, and
the stack is made anew without them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import pad

from conjugacy.arm.plant import Noise, Plant
from conjugacy.closed_loop.plain import plain_closed_loop
from conjugacy.networks.network import Network
from conjugacy.networks.rollout_noise import draw_noise
from conjugacy.networks.stack import Stack, form
from conjugacy.populations.stacked_adam import StackedAdam
from conjugacy.training.scores import CHUNK, score
from conjugacy.training.training import Training
from conjugacy.trials import Rollout, Trials


def group_of(training: Training) -> Hashable | None:
    """What trainings must have in common to be stacked; None if this one cannot be."""
    shape, recipe = form(training.run.network), training.recipe
    # of unlike lengths, the short trials would be filled up to the long ones
    lengths = (
        recipe.batch_size,
        recipe.short_timesteps,
        recipe.short_share * recipe.steps,
        recipe.whole_share * recipe.steps,
    )
    return None if shape is None else (shape, *lengths)


def fit_stacked(
    trainings: Sequence[Training], after_step: Callable[[Training], None], draw_ahead: bool | None = None
) -> None:
    """Train networks of one group until every one has stopped.

    Parameters
    ----------
    trainings : sequence of Training
        Those of one group, see `group_of`.
    after_step : callable
        Called with each training after each of its steps.
    draw_ahead : bool, optional
        Draw the next trials in other threads while the device computes; by default where the device is no CPU.
    """
    if draw_ahead is None:
        draw_ahead = trainings[0].device != "cpu"
    cohort = None
    for training in trainings:
        training.start_clock()
        training.keep_weights()
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor()) if draw_ahead else None
        try:
            while active := [t for t in trainings if not t.stopped]:
                # after an interruption some may be behind: they catch up first
                behind = min(t.state.step for t in active)
                now = [t for t in active if t.state.step == behind]
                if cohort is None or cohort.trainings != now:
                    if cohort is not None:
                        cohort.leave()
                    cohort = _Cohort(now, pool)
                cohort.step()
                for training in now:
                    after_step(training)
        finally:
            if cohort is not None:
                cohort.leave()


class _Cohort:
    """Trainings that are at the same step, as one."""

    def __init__(self, trainings: list[Training], pool: ThreadPoolExecutor | None):
        self.trainings, self.pool = trainings, pool
        self.device = trainings[0].device
        self.stack = Stack([t.run.network for t in trainings])
        self.drawn: list[Future[Trials]] = []
        states = [dict(t.optimizer.state) for t in trainings]
        moments = {}
        for name in self.stack.parameters:
            own = [s.get(dict(t.run.network.named_parameters())[name]) for s, t in zip(states, trainings)]
            if all(s is not None for s in own):
                moments[name] = tuple(torch.stack([s[key] for s in own if s]) for key in ("exp_avg", "exp_avg_sq"))
        penalty, decay = (self._each(lambda t: t.recipe.weight_decay), self._each(lambda t: t.recipe.recurrent_decay))
        decaying = trainings[0].run.network.recurrent_weights
        self.adam = StackedAdam(
            self.stack.parameters, penalty, trainings[0].state.step, moments, decay=decay, decaying=decaying
        )

    def step(self) -> None:
        """One gradient step of every network, and what follows from it."""
        trainings, adam = self.trainings, self.adam
        trials = [t.to(self.device) for t in self._trials()]
        outs = stacked_rollout(self.stack, trainings, trials, [t.noise() for t in trainings])
        losses = torch.stack([t.loss(out, own) for t, out, own in zip(trainings, outs, trials)])
        losses.sum().backward()
        rates, clips = self._each(lambda t: t.learning_rate), self._each(lambda t: t.recipe.clip)
        adam.step(rates, clips, torch.isfinite(losses.detach()))
        if self.pool is not None:
            self.drawn = [self.pool.submit(t.batch, t.state.step + 1) for t in trainings]
        values = losses.tolist()
        for training in trainings:
            training.move_average()
        due = any(t.validation_due for t in trainings)
        scores = self._scores() if due else [None] * len(trainings)
        for training, value, own in zip(trainings, values, scores):
            training.count_step(value, own if training.validation_due else None)
            training.keep_weights()
            if training.checkpoint_due:
                self._hand_over(training)
                training.save_checkpoint()

    def leave(self) -> None:
        """Give every training its own weights and its own state of the optimiser."""
        for training in self.trainings:
            self._hand_over(training)
        self.stack.leave()

    def _hand_over(self, training: Training) -> None:
        """The optimiser's state of one training to its own optimiser."""
        if not self.adam.n_steps:
            return
        row = self.trainings.index(training)
        for name, parameter in training.run.network.named_parameters():
            mean, square = (moment[row].clone() for moment in self.adam.moments[name])
            steps = torch.tensor(float(self.adam.n_steps))
            training.optimizer.state[parameter] = {"step": steps, "exp_avg": mean, "exp_avg_sq": square}

    def _trials(self) -> list[Trials]:
        drawn, self.drawn = self.drawn, []
        return [f.result() for f in drawn] if drawn else [t.batch() for t in self.trainings]

    @torch.no_grad()
    def _scores(self) -> list[dict[str, float]]:
        """Of the averaged weights of every network, on its validation trials."""
        averages = Stack([t.average for t in self.trainings])
        parts = []
        for k in range(0, len(self.trainings[0].val), CHUNK):
            trials = [t.val[k : k + CHUNK].to(self.device) for t in self.trainings]
            parts.append([out.cpu() for out in stacked_rollout(averages, self.trainings, trials)])
        averages.leave()
        return [score(Rollout.cat(outs), t.run.task, t.val) for t, *outs in zip(self.trainings, *parts)]

    def _each(self, of: Callable[[Training], float]) -> Tensor:
        return torch.tensor([of(t) for t in self.trainings], device=self.device)


def stacked_rollout(
    stack: Stack,
    trainings: Sequence[Training],
    trials: Sequence[Trials],
    noise: Sequence[torch.Generator] | None = None,
) -> list[Rollout]:
    """Each network of a stack on trials of its own, as many for each; the same as `rollout` one by one.

    Trials may differ in length: the shorter ones are filled up, and the rollouts cut.
    """
    n, longest = len(trials[0]), max(t.n_timesteps for t in trials)
    plant = getattr(trainings[0].run.task, "plant", None)
    x0 = stack.init_hidden(n)
    drawn = Noise()
    if noise is not None:
        start, drawn = _drawn_by_each(stack, plant, trials, noise, longest)
        x0 = x0 + start

    def joined(of: Callable[[Trials], Tensor]) -> Tensor:
        return torch.cat([_filled(of(t), longest) for t in trials])

    inputs = joined(lambda t: t.inputs)
    if plant is None:
        x, states = x0, []
        for t, u in enumerate(inputs.unbind(1)):
            x = stack.cell(u, x)
            x = x if drawn.states is None else x + drawn.states[:, t]
            states.append(x)
        latents = torch.stack(states, 1)
        out = Rollout(latents, stack.readout(latents))
    else:
        ics = torch.cat([t.ics for t in trials])
        steps = cast(Network, stack)  # the loop asks it for `cell` and `readout` only
        out = plain_closed_loop(steps, plant, inputs, ics, joined(lambda t: t.loads), x0, drawn)
    return [out[slice(i * n, (i + 1) * n)].first(t.n_timesteps) for i, t in enumerate(trials)]


def _drawn_by_each(
    stack: Stack, plant: Plant | None, trials: Sequence[Trials], noise: Sequence[torch.Generator], longest: int
) -> tuple[Tensor, Noise]:
    """The noise that each network would draw alone, from its own generator; zero where others have some and it none."""
    n, starts, parts = len(trials[0]), [], []
    for network, own, generator in zip(stack.networks, trials, noise):
        first, part = draw_noise(network, n, own.n_timesteps, generator, own.inputs, plant)
        starts.append(own.inputs.new_zeros(n, network.state_size) if first is None else first)
        if part.states is None and any(other.noise_level > 0 for other in stack.networks):
            part = part._replace(states=own.inputs.new_zeros(n, own.n_timesteps, network.state_size))
        parts.append(part)
    together = [None if x[0] is None else torch.cat([_filled(y, longest) for y in x]) for x in zip(*parts)]
    return torch.cat(starts), Noise(*together)


def _filled(x: Tensor, n_timesteps: int) -> Tensor:
    """(trial, time, ...) with zeros after its end, up to `n_timesteps`."""
    return pad(x, (0, 0, 0, n_timesteps - x.shape[1]))

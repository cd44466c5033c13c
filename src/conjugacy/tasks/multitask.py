"""MultiTask: fifteen cognitive tasks for one network, with an input for each rule.

Yang et al. (2019), Nature Neuroscience 22:297; Driscoll et al. (2024), Nature Neuroscience 27:1349. The rules
are in multitask_rules.py; docs/multitask.md shows a trial of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from conjugacy._check import check_choice, check_int, check_noise, check_number, shown
from conjugacy._lazy import higher
from conjugacy.tasks.arguments import check_outputs, check_rollout, trial_generator
from conjugacy.tasks.multitask_rules import (
    EPOCHS,
    N_INPUTS,
    N_OUTPUTS,
    RULES,
    TrialPlan,
    draw_plan,
    family,
    step_ranges,
)
from conjugacy.tasks.phases import MOST_STEPS, before, during
from conjugacy.tasks.task import Task
from conjugacy.trials import Rollout, Trials

Variant = Literal["standard", "ctdb"]
Batches = Literal["mixed", "grouped"]
_UNSCORED_STEPS = 5  # at the start of a trial
_GRACE_MS = 100  # to react, at the start of the response
_LAST_STEPS = 3  # of the response, on which success is judged
_COARSEST_BIN = 75  # ms: the shortest response, 300 ms, still has a step of grace and three more
_POOL = 8  # training batches that are drawn at once and sorted by length
_MOST_TARGETS = 1_000_000
_FIRST_NOISE, _NOISE_GROWS = 1 / 3, 0.3  # share of the noise at the start of a training; when it has reached its size
_WIDEST_ERROR = np.pi / 10
_STILL = 0.3  # largest norm of the response outputs that counts as no response


class MultiTask(Task):
    """Fifteen tasks on a ring: respond to a stimulus or away from it, after a delay, to the stronger, or if two match.

    Inputs are fixation, cos and sin of modality 1, cos and sin of modality 2, and one channel for each rule; outputs
    are fixation, and cos and sin of the response. All 20 inputs are there whatever rules are chosen.

    Parameters
    ----------
    rules : list of str, optional
        Which of the rules of `MultiTask.RULES` to draw, all by default; named twice, a rule is drawn twice as often.
    bin_size : float
        Milliseconds per step, in [1, 75].
    n_timesteps : int, optional
        Steps of all trials, the padding of the shorter ones included; by default as many as the longest trial that the
        rules can have (314 for all rules in bins of 20 ms).
    num_targets : int
        Angles on the ring, >= 1.
    noise : float
        Standard deviation of the Gaussian noise on every input and step, >= 0. There is none in the padding.
    response_weight : float
        Weight of a response step in the loss; a step before the response weighs 1.
    latent_l2 : float
        Weight in the loss of the mean squared latent over the steps of the trials, >= 0.
    variant : "standard" or "ctdb"
        "ctdb" keeps the trials of CtDB (docs/differences.md): three match rules without fixation, no fixation in the
        response epoch of trials without a response, and both modalities always in favour of the same stimulus.
    batches : "mixed" or "grouped"
        Whether a training batch holds all rules or one, each in turn.

    Notes
    -----
    `Trials.conditions` is the index of a trial's rule in `MultiTask.RULES`. The epochs are "context", "stim1", "mem1",
    "stim2", "mem2" and "response", one after the other, empty where a rule has no such epoch; the trial ends with the
    response. Trials are balanced over rules: of R rules, each occurs once in trials 0 ... R - 1, once in the next R,
    and so on, in random order, so that slices of a data set are balanced too.
    """

    RULES = RULES
    condition_names = RULES

    def __init__(
        self,
        rules: Iterable[str] | None = None,
        bin_size: float = 20,
        n_timesteps: int | None = None,
        num_targets: int = 32,
        noise: float = 0.3,
        response_weight: float = 5.0,
        latent_l2: float = 0.0,
        variant: Variant = "standard",
        batches: Batches = "mixed",
    ):
        self.rules = _check_rules(rules)
        self.bin_size = check_number(
            "bin_size", bin_size, 1, _COARSEST_BIN, hint="It is in milliseconds; the shortest response takes 300."
        )
        longest = max(int(step_ranges(rule, self.bin_size)[:, 1].sum()) for rule in self.rules)
        hint = f"These rules have trials of up to {longest} steps of {self.bin_size:g} ms."
        n_timesteps = longest if n_timesteps is None else n_timesteps
        self.n_timesteps = check_int("n_timesteps", n_timesteps, longest, hint=hint, limit=MOST_STEPS)
        self.num_targets = check_int(
            "num_targets", num_targets, 1, hint="It is the number of angles on the ring.", limit=_MOST_TARGETS
        )
        self.noise = check_noise("noise", noise)
        self.response_weight = check_number(
            "response_weight", response_weight, 0, open_low=True, hint="It is a weight in the loss."
        )
        self.latent_l2 = check_number("latent_l2", latent_l2, 0, hint="It is a weight in the loss.")
        self.variant = check_choice("variant", variant, get_args(Variant))
        self.batches = check_choice("batches", batches, get_args(Batches))
        self.name = "MultiTask"
        self.dt = self.bin_size / 1000
        reach = np.inf if self.noise > 0 else 1.6
        self.observation_space = Box(-reach, reach, (N_INPUTS,), np.float32)
        self.context_inputs = Box(-1.0, 1.0, (0,), np.float32)
        self.action_space = Box(-1.0, 1.0, (N_OUTPUTS,), np.float32)
        self.input_labels = ["Fixation", "Mod1 cos", "Mod1 sin", "Mod2 cos", "Mod2 sin", *RULES]
        self.output_labels = ["Fixation", "Response cos", "Response sin"]
        self.condition_names = list(RULES)

    def trials(self, n: int, seed: int) -> Trials:
        """`n` trials in all from `seed`, balanced over the rules; see the notes of the class."""
        n, rng = trial_generator(n, seed)
        return self._in_time(self._plan(_balanced(self.rules, n, rng), rng), rng, self.noise)

    def trials_of(self, rule: str, n: int, seed: int) -> Trials:
        """`n` trials of one rule from `seed`."""
        check_choice("rule", rule, RULES)
        n, rng = trial_generator(n, seed)
        return self._in_time(self._plan(np.full(n, RULES.index(rule)), rng), rng, self.noise)

    @property
    def recipe(self) -> dict[str, Any]:
        """Settings of `conjugacy.Recipe` with which all rules are learned (docs/multitask.md)."""
        whole = self.n_timesteps  # a trial cut short would lose its response
        return {"steps": 4000, "learning_rate": 5e-3, "short_timesteps": whole, "eval_every": 200}

    def training_trials(self, n: int, seed: int, step: int, progress: float) -> Trials:
        """`n` trials for gradient step `step` of a training from `seed`.

        With mixed batches, eight batches are drawn at once and cut by length, the eight in shuffled order: each
        batch holds trials of about the same length, so that little of it is padding, and eight in a row hold every rule
        as often as they should, which is twice as often for the rules of integration. With grouped batches, each holds
        one rule. The noise grows from a third to its full size over the first 30 % of the training.
        """
        noise = self.noise * (_FIRST_NOISE + (1 - _FIRST_NOISE) * min(1.0, progress / _NOISE_GROWS))
        if self.batches == "grouped":
            turn, place = divmod(step, len(self.rules))
            rule = np.random.default_rng([seed, turn]).permutation(self.rules)[place]
            plan = self._plan(np.full(n, RULES.index(rule)), np.random.default_rng([seed, step, 1]))
        else:
            pool, place = divmod(step, _POOL)
            rng = np.random.default_rng([seed, pool])
            rules = [*self.rules, *(rule for rule in self.rules if family(rule) == "Int")]
            plan = self._plan(_balanced(rules, n * _POOL, rng), rng)
            by_length = np.argsort(plan.steps.sum(1), kind="stable").reshape(_POOL, n)
            # the order depends on no seed: networks that are trained side by side see equally long batches
            plan = plan[by_length[np.random.default_rng(pool).permutation(_POOL)[place]]]
        return self._in_time(plan, np.random.default_rng([seed, step, 2]), noise)

    def loss(self, rollout: Rollout, trials: Trials) -> Tensor:
        """Weighted mean squared error over the steps that count, and the penalty on the latents if there is one.

        A response step weighs `response_weight`, one before it 1; the first five steps of a trial and the first 100 ms
        of its response do not count.
        """
        check_rollout(rollout, trials)
        weight = (
            trials.mask
            * torch.where(during(trials.epochs["response"], trials.n_timesteps), self.response_weight, 1.0)[..., None]
        )
        loss = ((rollout.outputs - trials.targets).square() * weight).sum() / weight.sum()
        if self.latent_l2 > 0:
            inside = before(trials.epochs["response"][:, 1], trials.n_timesteps)[..., None]
            squares = (rollout.latents.square() * inside).sum() / (inside.sum() * rollout.latents.shape[2])
            loss = loss + self.latent_l2 * squares
        return loss

    def successes(self, outputs: Tensor, trials: Trials) -> dict[str, Tensor]:
        """Which parts of each trial are right, (trial,) bool.

        Returns
        -------
        dict
            "response": over the last three steps, the mean response points within 18 degrees (pi / 10) of the target,
            or has a norm below 0.3 where no response is due. "moved": that norm is at least 0.3 if and only if a
            response is due. "fixation": the mean fixation output is above 1/2 up to the response, and on its target's
            side of 1/2 in the last three steps; always right in the variant "ctdb", whose targets lack it in places.
        """
        check_outputs(outputs, trials)
        end = trials.epochs["response"][:, 1]
        last = end[:, None] - torch.arange(_LAST_STEPS, 0, -1, device=end.device)
        rows = torch.arange(len(trials), device=end.device)[:, None]
        given, wanted = outputs.detach()[rows, last].mean(1), trials.targets[rows, last].mean(1)
        due = wanted[:, 1:].norm(dim=1) > 0.5
        norm = given[:, 1:].norm(dim=1)
        error = torch.atan2(given[:, 2], given[:, 1]) - torch.atan2(wanted[:, 2], wanted[:, 1])
        error = torch.remainder(error + torch.pi, 2 * torch.pi) - torch.pi
        moved = (norm >= _STILL) == due
        response = torch.where(due, error.abs() < _WIDEST_ERROR, norm < _STILL)
        waiting = before(trials.epochs["response"][:, 0], trials.n_timesteps) & trials.mask[..., 0]
        fixated = (outputs.detach()[..., 0] * waiting).sum(1) / waiting.sum(1) > 0.5
        released = (given[:, 0] > 0.5) == (wanted[:, 0] > 0.5)
        fixation = torch.ones_like(fixated) if self.variant == "ctdb" else fixated & released
        return {"response": response, "fixation": fixation, "moved": moved}

    def success_rate(self, outputs: Tensor, trials: Trials) -> dict[str, float]:
        """Share of the trials in which all parts that `successes` tests are right, by rule.

        In the variant "ctdb" only the response counts, as its published figures have it.

        Returns
        -------
        dict
            "accuracy", the mean over the rules that occur, and "accuracy/Rule" for each.
        """
        right = self.successes(outputs, trials)
        success = (
            right["response"] if self.variant == "ctdb" else right["response"] & right["fixation"] & right["moved"]
        )
        rates = {}
        for index in trials.conditions.unique().tolist():
            rates[f"accuracy/{RULES[index]}"] = float(success[trials.conditions == index].float().mean())
        return {"accuracy": sum(rates.values()) / len(rates), **rates}

    def render(self, seed: int = 0):
        """Figures of one trial of each rule, a list in the order of `rules`."""
        trial = higher("plots.multitask", "trial")
        return [trial(self, self.trials_of(rule, 1, seed)) for rule in dict.fromkeys(self.rules)]

    def _plan(self, rule: np.ndarray, rng: np.random.Generator) -> TrialPlan:
        return draw_plan(rule, self.bin_size, self.num_targets, self.variant == "ctdb", rng)

    def _in_time(self, plan: TrialPlan, rng: np.random.Generator, noise: float) -> Trials:
        """The trials of plans, step by step, padded to `n_timesteps`."""
        from conjugacy.tasks.multitask_compiled import add_noise, write_levels

        n, t = len(plan.rule), self.n_timesteps
        ends = plan.steps.cumsum(1)
        length, go = ends[:, -1], ends[:, -2]
        true_inputs, targets = np.zeros((n, t, N_INPUTS), np.float32), np.zeros((n, t, N_OUTPUTS), np.float32)
        write_levels(plan.inputs, plan.steps, true_inputs)
        write_levels(plan.targets, plan.steps, targets)
        inputs = true_inputs
        if noise > 0:
            inputs = np.zeros((n, t, N_INPUTS), np.float32)
            key = rng.integers(2**64, dtype=np.uint64)
            add_noise(true_inputs, length, np.float32(noise), key, inputs)
        step = np.arange(t)
        grace = int(_GRACE_MS / self.bin_size)
        mask = (step >= _UNSCORED_STEPS) & (step < length[:, None])
        mask &= (step < go[:, None]) | (step >= go[:, None] + grace)
        starts = ends - plan.steps
        return Trials.from_tensors(
            torch.from_numpy(inputs),
            torch.from_numpy(targets),
            mask=torch.from_numpy(mask),
            true_inputs=torch.from_numpy(true_inputs),
            conditions=torch.from_numpy(plan.rule.astype(np.int64)),
            epochs={name: torch.from_numpy(np.stack([starts[:, k], ends[:, k]], 1)) for k, name in enumerate(EPOCHS)},
        )


def _balanced(rules: list[str], n: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of `n` rules, (trial,): random permutations of `rules`, one after the other."""
    indices = np.array([RULES.index(rule) for rule in rules])
    return rng.permuted(np.tile(indices, (-(-n // len(indices)), 1)), axis=1).ravel()[:n]


def _check_rules(rules: Any) -> list[str]:
    if rules is None:
        return list(RULES)
    if isinstance(rules, str | bytes) or not isinstance(rules, Iterable) or getattr(rules, "shape", None) == ():
        single = f"[{rules!r}]" if isinstance(rules, str) else "['DelayPro']"
        raise ValueError(f"`rules`: expected a list of names, got {shown(rules)}. Write {single} for a single rule.")
    names = list(rules)
    if not names:
        raise ValueError(f"`rules`: expected at least one rule, got {shown(rules)}. Leave it out for all fifteen.")
    return [check_choice("rules", rule, RULES) for rule in names]

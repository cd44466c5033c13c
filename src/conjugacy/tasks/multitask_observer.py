"""The ideal observer of `MultiTask`: the highest accuracy that the noise of the inputs allows.

It knows the rule, the epochs of the trial and the statistics of the rules, remembers without loss, and sees the noisy
stimuli alone. White noise of standard deviation s leaves the mean v of a stimulus over its n steps as a
sufficient statistic: a stimulus of strength m at angle a has log-likelihood

    n / s^2 (m v . e(a) - m^2 / 2),   e(a) = (cos a, sin a),

and with the angle unknown its likelihood is I_0(n m |v| / s^2) exp(-n m^2 / 2 s^2). From there on it is Bayes' rule:
respond if a response is more likely due than not, to the stimulus that is more likely the stronger.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import ive, logsumexp
from torch import Tensor

from conjugacy._check import check_instance
from conjugacy.tasks.multitask import MultiTask
from conjugacy.tasks.multitask_rules import MEANS, RULES, coherence_pairs, family
from conjugacy.tasks.phases import before, during
from conjugacy.trials import Trials

_N_MEANS = 8  # grid over the mean strength
_CHUNK = 200  # trials at once, to bound memory
_LEAST_NOISE = 0.01


def ideal_outputs(task: MultiTask, trials: Trials) -> Tensor:
    """The outputs of the ideal observer, (trial, time, output); `task.success_rate` scores them like a network's.

    Fixation is on target, and the response is constant: its best guess once the whole trial has been seen. That is a
    little more than a network has seen in the last three steps of a response to a stimulus that is still on.
    """
    check_instance("task", task, MultiTask)
    check_instance("trials", trials, Trials, "Draw them with task.trials(n, seed).")
    outputs = trials.targets.clone()
    for index in trials.conditions.unique().tolist():
        for rows in (trials.conditions == index).nonzero()[:, 0].split(_CHUNK):
            response = torch.from_numpy(_respond(task, RULES[index], trials[rows])).to(outputs.dtype)
            epoch = trials.epochs["response"][rows]
            responding = during(epoch, trials.n_timesteps)
            outputs[rows, :, 1:] = responding[..., None] * response[:, None]
            if task.variant == "standard":
                still = response.norm(dim=1) == 0
                outputs[rows, :, 0] = (before(epoch[:, 0], trials.n_timesteps) | (responding & still[:, None])).to(
                    outputs.dtype
                )
    return outputs


def _respond(task: MultiTask, rule: str, trials: Trials) -> np.ndarray:
    """Cosine and sine of the response, (trial, 2); zero for none."""
    variance = max(task.noise, _LEAST_NOISE) ** 2
    ring = np.linspace(-np.pi, np.pi, task.num_targets, endpoint=False)
    kind = family(rule)
    if kind == "Int":
        return _stronger(task, rule, trials, variance, ring)
    if kind == "Match":
        return _match(rule, trials, variance, ring)
    seen = {"Delay": ("stim1", "response"), "Memory": ("stim1",), "React": ("response",)}[kind]
    evidence = sum(_sum(trials, name, 1) for name in seen) / variance
    direction = _mean_direction(evidence @ _unit(ring).T, ring)
    return -direction if rule.endswith("Anti") else direction


def _stronger(task: MultiTask, rule: str, trials: Trials, variance: float, ring: np.ndarray) -> np.ndarray:
    shown = np.array([rule != "IntMod2", rule != "IntMod1"])
    pairs = coherence_pairs(rule == "ContextIntMultimodal", task.variant == "ctdb")
    low, high = MEANS
    means = low + (high - low) * (np.arange(_N_MEANS) + 0.5) / _N_MEANS
    mean = np.stack(np.meshgrid(means, means, indexing="ij"), -1).reshape(-1, 1, 2)
    log_likelihood, sums = np.zeros((len(trials), len(mean) * len(pairs))), []
    for stimulus, sign in (("stim1", 1), ("stim2", -1)):
        strength = (mean + sign * pairs).reshape(-1, 2) * shown  # (hypothesis, modality)
        total = np.stack([_sum(trials, stimulus, 1), _sum(trials, stimulus, 2)], 1)  # (trial, modality, xy)
        n = _steps(trials, stimulus)[:, None]
        length = np.linalg.norm(np.einsum("hm,kmx->khx", strength, total), axis=2) / variance
        log_likelihood += np.log(ive(0, length)) + length - n * (strength**2).sum(1) / (2 * variance)
        sums.append((total * shown[:, None]).sum(1))
    attended = {"ContextIntMod1": [1, 0], "ContextIntMod2": [0, 1]}.get(rule, shown)
    first = np.tile(pairs @ np.array(attended, float) > 0, len(mean))
    first_wins = np.greater(logsumexp(log_likelihood[:, first], axis=1), logsumexp(log_likelihood[:, ~first], axis=1))
    to_first = _mean_direction(sums[0] / variance @ _unit(ring).T, ring)
    to_second = sums[1] / np.linalg.norm(sums[1], axis=1, keepdims=True)
    return np.where(first_wins[:, None], to_first, to_second)


def _match(rule: str, trials: Trials, variance: float, ring: np.ndarray) -> np.ndarray:
    first = _sum(trials, "stim1", 1) / variance @ _unit(ring).T  # log-likelihood of each angle of the ring
    second = _sum(trials, "response", 1) / variance
    if rule.startswith("MatchCat"):
        at = second @ _unit(ring).T
        alike = (ring[:, None] < 0) == (ring[None] < 0)
        due = alike if rule == "MatchCatPro" else ~alike
        joint = first[:, :, None] + at[:, None, :]
        log_due = logsumexp(joint, axis=(1, 2), b=due)
        log_not = logsumexp(joint, axis=(1, 2), b=~due)
        direction = _mean_direction(np.asarray(logsumexp(joint, axis=1, b=due)), ring)
    else:
        opposite = ring + np.pi if rule == "NonMatch2Sample" else ring
        apart = np.deg2rad(np.arange(10, 350))
        joint = first + second @ _unit(opposite).T
        elsewhere = (_unit((opposite[:, None] + apart).ravel()) @ second.T).T.reshape(len(second), len(ring), -1)
        log_due = logsumexp(joint, axis=1)
        log_not = logsumexp(first[:, :, None] + elsewhere, axis=(1, 2)) - np.log(len(apart))
        direction = _mean_direction(joint, opposite)
    return np.where(np.greater(log_due, log_not)[:, None], direction, 0.0)


def _steps(trials: Trials, epoch: str) -> np.ndarray:
    return (trials.epochs[epoch][:, 1] - trials.epochs[epoch][:, 0]).numpy()


def _sum(trials: Trials, epoch: str, modality: int) -> np.ndarray:
    """Sum over the steps of an epoch of the noisy inputs of a modality, (trial, 2)."""
    within = during(trials.epochs[epoch], trials.n_timesteps)
    seen = trials.inputs[..., 2 * modality - 1 : 2 * modality + 1].double()
    return (seen * within[..., None]).sum(1).numpy()


def _unit(angles: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angles), np.sin(angles)], -1)


def _mean_direction(log_weight: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Direction of the mean of the angles weighted by exp(log_weight), (trial, 2)."""
    mean = np.exp(log_weight - log_weight.max(1, keepdims=True)) @ _unit(angles)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)

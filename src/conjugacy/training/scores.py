"""How well outputs match targets, over the steps that count."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from conjugacy._check import check_axes, check_instance
from conjugacy._renamed import member
from conjugacy._threads import torch_threads
from conjugacy.networks.network import Network
from conjugacy.runs.classes import check_network, check_task
from conjugacy.runs.rollout import rollout as run
from conjugacy.tasks.task import Task
from conjugacy.trials import Rollout, Trials

CHUNK = 256  # trials rolled out at once: bounds memory, not the result


@torch_threads(1)
def masked_r2(outputs: Tensor, targets: Tensor, mask: Tensor) -> float:
    """Variance-weighted R2 of outputs (trial, time, output) over the masked-in steps.

    1 - sum (y - t)^2 / sum (t - mean t)^2 with sums over trials, steps and outputs, and the mean per output. NaN where
    it is undefined: if the targets do not vary, or an output is NaN.
    """
    for name, x in (("outputs", outputs), ("targets", targets), ("mask", mask)):
        check_instance(name, x, Tensor)
    n, t, o = check_axes("outputs", outputs, "trial time output")
    check_axes("targets", targets, "trial time output", trial=n, time=t, output=o)
    check_axes("mask", mask, "trial time output", trial=n, time=t, output=o)
    y, t, m = outputs.detach().double(), targets.double(), mask.double()
    mean = (t * m).sum((0, 1)) / m.sum((0, 1)).clamp(min=1)
    total = ((t - mean).square() * m).sum()
    return float(1 - ((y - t).square() * m).sum() / total) if total > 0 else float("nan")


def activity_loss(network: Network, rollout: Rollout) -> Tensor | float:
    """What a network adds to the loss of its task for its latents (its `model_loss`, where it has one); else 0."""
    penalty = getattr(network, "model_loss", None)
    return 0.0 if penalty is None else penalty(rollout.latents)


@torch.no_grad()
def evaluate(network: Network, task: Task, trials: Trials, rollout: str = "auto") -> dict[str, float]:
    """Noise-free scores of a network on trials: "r2", what the task's `success_rate` gives, and its `metrics`.

    `rollout` is as in `conjugacy.rollout`.
    """
    check_network("network", network)
    check_task("task", task)
    check_instance("trials", trials, Trials)
    device = next(network.parameters()).device
    uses_states = member(task, "metrics", "merits") is not None
    parts = []
    for k in range(0, len(trials), CHUNK):
        out = run(network, task, trials[k : k + CHUNK].to(device), rollout=rollout)
        if not uses_states:  # they are most of the memory
            out = replace(out, latents=out.latents[..., :0])
        parts.append(out.cpu())
    return score(Rollout.cat(parts), task, trials)


@torch_threads(1)  # torch's sums over many values depend on the number of threads in their last digits
def score(out: Rollout, task: Task, trials: Trials) -> dict[str, float]:
    """The scores of a rollout on trials, both on the CPU: see `evaluate`."""
    metrics = member(task, "metrics", "merits")
    more = {} if metrics is None else metrics(out, trials)
    predicted = getattr(task, "prediction", lambda y: y)(out.outputs)
    return {"r2": masked_r2(predicted, trials.targets, trials.mask), **task.success_rate(out.outputs, trials), **more}

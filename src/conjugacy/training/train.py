"""train(): from a task and a network to a Run."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from conjugacy._check import check_int
from conjugacy._plain_torch import plain_torch
from conjugacy._progress import progress_bar, say
from conjugacy._threads import torch_threads
from conjugacy.networks.network import Network
from conjugacy.runs.rollout import rollout
from conjugacy.runs.run import Run
from conjugacy.tasks.task import Task
from conjugacy.training.begin import begin
from conjugacy.training.check_training import check_training
from conjugacy.training.interrupts import interrupts
from conjugacy.training.recipe import Recipe
from conjugacy.training.training import Training
from conjugacy.training.transfer import network_beside


def train(
    task: Task,
    network: Network | None = None,
    seed: int = 0,
    progress: bool = True,
    *,
    recipe: Recipe | None = None,
    out: str | Path | None = None,
    keep: Sequence[int] | str | None = None,
    start: Run | None = None,
    device: str = "cpu",
    threads: int | None = None,
    **settings: Any,
) -> Run:
    """Train a network on a task until it has learned it.

    Parameters
    ----------
    task : Task
        What to learn.
    network : Network
        What learns. It is copied: the one passed in stays as it is. Its weights are drawn from `seed`, or, if it has
        been built already (`init_model`), training starts from those it has. Left out where there is a `start`.
    seed : int
        The one source of all randomness: weights, trials, noise. The same seed gives the same weights, bit for bit, on
        the same machine with the same number of threads.
    progress : bool
        Show a progress bar.
    recipe : Recipe, optional
        How to train; by default the recipe of the task, see `Recipe.for_task`.
    out : path, optional
        Folder for the run. While it trains, a checkpoint is kept there: the same call resumes it after an
        interruption, and returns the saved run if it had finished.
    keep : list of int or "log", optional
        Steps after which the weights are kept in the folder `out`, 0 being before the first; "log": 0, and up to 25
        steps that grow by one factor. `Run.snapshots` has them as runs. Steps after the one at which training stops
        are left out.
    start : Run, optional
        Go on from the weights of this run, on the same or on another task. Weights of inputs and outputs are carried
        over by the labels that both tasks have, those of new channels are drawn from `seed`, all others are copied;
        optimiser, learning rate and lengths of trials begin anew. `Run.start` says what was copied and what was not,
        and the new run keeps the weights that it started from, so that it can be repeated.
    device : str
        "cpu", "cuda", ...; trials are drawn on the CPU and moved.
    threads : int, optional
        CPU threads. By default as many as torch uses for our own kernels, one for torch where networks and batches are
        as small as they usually are (more are slower as soon as anything else runs on the machine).
    **settings
        Single settings of the recipe, for example ``steps=300, batch_size=32``.

    Returns
    -------
    Run
        With the weights that scored best on the validation trials. Ctrl-C ends training early and returns the best so
        far; ``run.metrics["stopped"]`` says how it ended: "learned", "steps", "interrupted" or "diverged".

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind or out of its range, a step to keep lies beyond the end, there is no folder to
        keep it in, or the weights of `start` cannot be carried over.
    FileExistsError
        If `out` holds something else.
    """
    if start is not None:
        network = network_beside(start, network)
    recipe = check_training(task, network, recipe, progress, settings)
    assert network is not None
    if threads is not None:
        threads = check_int("threads", threads, 1)
    with plain_torch():
        training = begin(task, network, seed, recipe, out, device, keep, start)
        if isinstance(training, Run):
            return training
        with training.alone_in_folder() as finished:
            return _trained(training, progress, threads) if finished is None else finished


def _trained(training: Training, progress: bool, threads: int | None) -> Run:
    run = training.run
    bar = progress_bar(
        total=training.recipe.steps,
        initial=training.state.step,
        desc=f"Training {run.name} on {run.task.name}",
        show=progress,
        unit="steps",
        delay=0,
    )
    with interrupts() as pressed:

        def after_step(training: Training) -> None:
            bar.update()
            bar.set_postfix_str(training.last_scores, refresh=False)
            pressed.check()

        try:
            with torch_threads(threads or training.n_threads, kernels=threads), bar:
                fit(training, after_step)
        except KeyboardInterrupt:
            training.interrupt(in_a_step=pressed.count > 1)
            if progress:
                say(f"Interrupted at step {training.state.step}: the best weights so far are kept.")
        if training.stopped == "diverged":
            warnings.warn(training.why_diverged(), stacklevel=4)
        return training.end()


@plain_torch()
def fit(training: Training, after_step: Callable[[Training], None]) -> None:
    """Take gradient steps until the training stops; `after_step` is called after each."""
    training.start_clock()
    training.keep_weights()
    while not training.stopped:
        loss = _gradient_step(training)
        training.move_average()
        training.count_step(loss)
        training.keep_weights()
        after_step(training)
        if training.checkpoint_due:
            training.save_checkpoint()


def _gradient_step(training: Training) -> float:
    run, optimizer = training.run, training.optimizer
    trials = training.batch().to(training.device)
    out = rollout(run.network.train(), run.task, trials, noise=training.noise(), rollout=training.recipe.rollout)
    with torch_threads(1):  # the last digits of sums over many values depend on the number of threads
        loss = training.loss(out, trials)
    for group in optimizer.param_groups:
        group["lr"] = training.learning_rate
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    with torch_threads(1):
        torch.nn.utils.clip_grad_norm_(run.network.parameters(), training.recipe.clip)
    value = loss.item()
    if math.isfinite(value):
        _decay(run.network, training.learning_rate * training.recipe.recurrent_decay)
        optimizer.step()
    return value


@torch.no_grad()
def _decay(network: Network, share: float) -> None:
    """Shrink the recurrent weights that are trained by this share."""
    if share:
        for weight in map(network.get_parameter, network.recurrent_weights):
            if weight.grad is not None:
                weight.mul_(1 - share)

"""train(): from a task and a network to a Run."""

from __future__ import annotations

import copy
import math
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm.auto import tqdm

from conjugacy._check import check_choice, check_int
from conjugacy._threads import threads_for, torch_threads
from conjugacy.networks.network import Network
from conjugacy.run import Run, load
from conjugacy.simulate import rollout
from conjugacy.tasks.task import Task, input_size, output_size
from conjugacy.training import checkpoint
from conjugacy.training.checkpoint import Progress
from conjugacy.training.recipe import Recipe
from conjugacy.training.scores import activity_loss, evaluate
from conjugacy.trial_sets import TrialSets, derive_seed

_SECONDS_BETWEEN_CHECKPOINTS = 20.0


def train(
    task: Task,
    network: Network,
    seed: int = 0,
    progress: bool = True,
    *,
    recipe: Recipe | None = None,
    out: str | Path | None = None,
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
        been built already (`init_model`), training starts from those it has.
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
    device : str
        "cpu", "cuda", ...; trials are drawn on the CPU and moved.
    threads : int, optional
        CPU threads. By default one for networks and batches as small as these usually are (more are slower as soon as
        anything else runs on the machine), else as many as torch uses.
    **settings
        Single settings of the recipe, for example ``steps=300, batch_size=32``.

    Returns
    -------
    Run
        With the weights that scored best on the validation trials. Ctrl-C ends training early and returns the best so
        far; ``run.metrics["stopped"]`` says how it ended: "learned", "steps", "interrupted" or "diverged".
    """
    for name in settings:
        check_choice("settings", name, Recipe.names(), "These are the settings of a Recipe.")
    recipe = replace(recipe or Recipe.for_task(task), **settings)
    check_int("seed", seed, 0)
    sets = TrialSets.from_seed(seed)
    model = copy.deepcopy(network)
    fresh = not model.input_size
    if fresh:
        model.init_model(input_size(task), output_size(task), derive_seed(seed, "weights"))
    elif (model.input_size, model.output_size) != (input_size(task), output_size(task)):
        raise ValueError(
            f"`network`: expected {input_size(task)} inputs and {output_size(task)} outputs for task {task.name}, "
            f"got {model.input_size} and {model.output_size}. Build it with init_model({input_size(task)}, "
            f"{output_size(task)})."
        )
    run = Run(task, model, seed, sets, recipe.as_dict())
    folder = Path(out) if out is not None else None
    if folder is not None:
        if not fresh:
            raise ValueError(
                "`out`: a network with weights of its own cannot be resumed. Train it without `out`, then save."
            )
        config = run.config()  # raises before any work is done if task or network cannot be saved
        if (folder / "config.json").exists():
            return _finished(folder, config, task, network)
        if folder.exists() and any(p.name != checkpoint.FILE for p in folder.iterdir()):
            raise FileExistsError(f"`out`: {folder} exists and holds no run. Name an empty or a new folder.")
    if threads is None:
        threads = threads_for(recipe.batch_size * model.state_size)
    else:
        check_int("threads", threads, 1)
    with torch_threads(threads):
        state, stopped = _fit(run, recipe, device, folder, progress)
    if state.best:
        model.load_state_dict(state.best)
    model.cpu().eval()
    test = evaluate(model, task, run.trials("test"), recipe.rollout)
    metrics = {f"test_{k}": v for k, v in test.items()}
    metrics |= {"stopped": stopped, "steps": state.step, "seconds": round(state.seconds, 3)}
    run = replace(run, history=pd.DataFrame(state.history), metrics=metrics)
    if folder is not None and stopped != "interrupted":
        checkpoint.delete(folder)
        if folder.exists():
            folder.rmdir()
        run.save(folder)
    return run


def _fit(run: Run, recipe: Recipe, device: str, folder: Path | None, show: bool) -> tuple[Progress, str]:
    task, model = run.task, run.network.to(device)
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=recipe.weight_decay)
    state = checkpoint.read(folder, run.config(), model, optimizer) if folder is not None else Progress()
    val = run.trials("val")
    started = saved = time.monotonic() - state.seconds
    bar = tqdm(
        total=recipe.steps,
        initial=state.step,
        desc=f"{run.name} on {task.name}",
        disable=not show,
        unit="step",
        mininterval=0.5,
    )
    stopped = "steps"
    try:
        while state.step < recipe.steps:
            loss = _gradient_step(run, recipe, optimizer, state.step, device)
            state.step += 1
            bar.update()
            if not math.isfinite(loss):
                warnings.warn(
                    f"training {run.name} diverged at step {state.step} (loss {loss}); its best weights so far are "
                    "kept. Try a smaller learning_rate.",
                    stacklevel=3,
                )
                stopped = "diverged"
                break
            if state.step % recipe.eval_every == 0 or state.step == recipe.steps:
                state.seconds = time.monotonic() - started
                if _look(run, recipe, state, loss, val, bar):
                    stopped = "learned"
                    break
                if folder is not None and time.monotonic() - saved > _SECONDS_BETWEEN_CHECKPOINTS:
                    checkpoint.write(folder, run.config(), model, optimizer, state)
                    saved = time.monotonic()
    except KeyboardInterrupt:
        stopped = "interrupted"
        if folder is not None:
            checkpoint.write(folder, run.config(), model, optimizer, state)
        if show:
            tqdm.write(f"Interrupted at step {state.step}: the best weights so far are kept.")
    finally:
        bar.close()
    state.seconds = time.monotonic() - started
    return state, stopped


def _gradient_step(run: Run, recipe: Recipe, optimizer: torch.optim.Adam, step: int, device: str) -> float:
    task, model = run.task, run.network
    trials = task.trials(recipe.batch_size, derive_seed(run.seed, "batch", step))
    trials = trials.first(min(recipe.timesteps_at(step, task.n_timesteps), trials.last_counted_step())).to(device)
    noise = torch.Generator(device=device).manual_seed(derive_seed(run.seed, "noise", step))
    out = rollout(model.train(), task, trials, noise=noise, rollout=recipe.rollout)
    by_stage = getattr(task, "training_loss", None)
    loss = task.loss(out, trials) if by_stage is None else by_stage(out, trials, step / recipe.steps)
    loss = loss + activity_loss(model, out)
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate_at(step)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    value = loss.item()
    if math.isfinite(value):
        optimizer.step()
    return value


def _look(run: Run, recipe: Recipe, state: Progress, loss: float, val: Any, bar: Any) -> bool:
    """Score the validation trials, keep the weights if they are the best; True if the task has been learned."""
    scores = evaluate(run.network.eval(), run.task, val, recipe.rollout)
    score = _score(scores, recipe.select)
    if score > state.best_score:
        state.best_score = score
        state.best = {k: v.detach().cpu().clone() for k, v in run.network.state_dict().items()}
    state.history.append(
        {
            "step": state.step,
            "seconds": round(state.seconds, 3),
            "loss": loss,
            "learning_rate": recipe.learning_rate_at(state.step - 1),
            **{f"val_{k}": v for k, v in scores.items() if "/" not in k},
        }
    )
    chosen = "" if recipe.select in ("r2", "accuracy") else f", {recipe.select.lstrip('-')} {abs(score):.3g}"
    bar.set_postfix_str(f"held-out R2 {scores['r2']:.3f}, accuracy {scores['accuracy']:.4f}{chosen}")
    return scores["accuracy"] >= recipe.stop_accuracy and scores["r2"] >= recipe.stop_r2


def _score(scores: dict[str, float], select: str) -> float:
    """The score that is to be largest; never better than another where it is NaN."""
    score = scores[check_choice("recipe.select", select.removeprefix("-"), scores)]
    return -score if select.startswith("-") else score


def _finished(folder: Path, config: dict[str, Any], task: Task, network: Network) -> Run:
    run = load(folder, classes=[type(task), type(network)])
    there = run.config()
    differing = sorted(k for k in config if k != "versions" and there.get(k) != config[k])
    if differing:
        raise FileExistsError(
            f"`out`: {folder} holds a finished run of another config (other {', '.join(differing)}). "
            "Name another folder."
        )
    return run

"""train(): from a task and a network to a Run."""

from __future__ import annotations

import copy
import math
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
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
from conjugacy.trials import Rollout, Trials

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
    training = begin(task, network, seed, replace(recipe or Recipe.for_task(task), **settings), out, device)
    if isinstance(training, Run):
        return training
    if threads is None:
        threads = threads_for(training.recipe.batch_size * training.run.network.state_size)
    else:
        check_int("threads", threads, 1)
    with torch_threads(threads):
        _fit(training, progress)
    return training.end()


@dataclass
class Training:
    """A network in training: what `train` goes through step by step, and `train_population` with many at once.

    Attributes
    ----------
    run : Run
        Task, network and seed; the network is the one that learns.
    recipe : Recipe
    device : str
    folder : Path or None
        Where checkpoints and the run go.
    optimizer : Adam
    state : Progress
        How far it is, and the best weights so far.
    stopped : str
        Why it ended: "learned", "steps", "interrupted" or "diverged"; "" while it goes on.
    """

    run: Run
    recipe: Recipe
    device: str
    folder: Path | None
    optimizer: torch.optim.Adam
    state: Progress
    stopped: str = ""

    def __post_init__(self):
        self.val = self.run.trials("val")
        if self.state.step >= self.recipe.steps:
            self.stopped = "steps"
        self.resume_clock()

    def resume_clock(self) -> None:
        """Count the seconds from now on, on top of those that the checkpoint tells."""
        self._started = self._saved = time.monotonic() - self.state.seconds

    def batch(self) -> Trials:
        """The trials of the next gradient step."""
        step, task = self.state.step, self.run.task
        trials = task.trials(self.recipe.batch_size, derive_seed(self.run.seed, "batch", step))
        return trials.first(min(self.recipe.timesteps_at(step, task.n_timesteps), trials.last_counted_step()))

    def noise(self) -> torch.Generator:
        """The source of the network's noise in the next gradient step."""
        return torch.Generator(device=self.device).manual_seed(derive_seed(self.run.seed, "noise", self.state.step))

    def loss(self, out: Rollout, trials: Trials) -> Tensor:
        """What the next gradient step makes smaller."""
        by_stage = getattr(self.run.task, "training_loss", None)
        if by_stage is None:
            loss = self.run.task.loss(out, trials)
        else:
            loss = by_stage(out, trials, self.state.step / self.recipe.steps)
        return loss + activity_loss(self.run.network, out)

    @property
    def learning_rate(self) -> float:
        """Of the next gradient step."""
        return self.recipe.learning_rate_at(self.state.step)

    def stepped(self, loss: float) -> str:
        """Count a gradient step that was taken at this loss; the scores, in words, if it was time to look at them."""
        state, recipe, said = self.state, self.recipe, ""
        state.step += 1
        if not math.isfinite(loss):
            self.stopped = "diverged"
        elif state.step % recipe.eval_every == 0 or state.step == recipe.steps:
            state.seconds = time.monotonic() - self._started
            learned, said = _look(self, loss)
            self.stopped = "learned" if learned else "steps" if state.step == recipe.steps else ""
            if not self.stopped and time.monotonic() - self._saved > _SECONDS_BETWEEN_CHECKPOINTS:
                self.save_checkpoint()
        return said

    def save_checkpoint(self) -> None:
        """Write down how far it is, if there is a folder."""
        if self.folder is not None:
            checkpoint.write(self.folder, self.run.config(), self.run.network, self.optimizer, self.state)
        self._saved = time.monotonic()

    def interrupt(self) -> None:
        """End here, to go on another time."""
        if not self.stopped:
            self.stopped = "interrupted"
            self.save_checkpoint()

    def end(self) -> Run:
        """The run with its best weights, tested; saved if there is a folder and it was not interrupted."""
        model, state, folder = self.run.network, self.state, self.folder
        state.seconds = time.monotonic() - self._started
        if state.best:
            model.load_state_dict(state.best)
        model.cpu().eval()
        test = evaluate(model, self.run.task, self.run.trials("test"), self.recipe.rollout)
        metrics = {f"test_{k}": v for k, v in test.items()}
        metrics |= {"stopped": self.stopped, "steps": state.step, "seconds": round(state.seconds, 3)}
        run = replace(self.run, history=pd.DataFrame(state.history), metrics=metrics)
        if folder is not None and self.stopped != "interrupted":
            checkpoint.delete(folder)
            if folder.exists():
                folder.rmdir()
            run.save(folder)
        return run


def begin(
    task: Task, network: Network, seed: int, recipe: Recipe, out: str | Path | None, device: str
) -> Training | Run:
    """Check all that can go wrong; the training that starts or goes on, or the run if it is over."""
    check_int("seed", seed, 0)
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
    run = Run(task, model, seed, TrialSets.from_seed(seed), recipe.as_dict())
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
    optimizer = torch.optim.Adam(model.to(device).parameters(), weight_decay=recipe.weight_decay)
    state = checkpoint.read(folder, run.config(), model, optimizer) if folder is not None else Progress()
    return Training(run, recipe, device, folder, optimizer, state)


def _fit(training: Training, show: bool) -> None:
    run, recipe, state = training.run, training.recipe, training.state
    bar = tqdm(
        total=recipe.steps,
        initial=state.step,
        desc=f"{run.name} on {run.task.name}",
        disable=not show,
        unit="step",
        mininterval=0.5,
    )
    try:
        while not training.stopped:
            loss = _gradient_step(training)
            said = training.stepped(loss)
            bar.update()
            if said:
                bar.set_postfix_str(said)
            if training.stopped == "diverged":
                warnings.warn(diverged(training, loss), stacklevel=3)
    except KeyboardInterrupt:
        training.interrupt()
        if show:
            tqdm.write(f"Interrupted at step {state.step}: the best weights so far are kept.")
    finally:
        bar.close()


def diverged(training: Training, loss: float) -> str:
    """What to say of a training that diverged."""
    return (
        f"training {training.run.name} diverged at step {training.state.step} (loss {loss}); its best weights so far "
        "are kept. Try a smaller learning_rate."
    )


def _gradient_step(training: Training) -> float:
    run, optimizer = training.run, training.optimizer
    trials = training.batch().to(training.device)
    out = rollout(run.network.train(), run.task, trials, noise=training.noise(), rollout=training.recipe.rollout)
    loss = training.loss(out, trials)
    for group in optimizer.param_groups:
        group["lr"] = training.learning_rate
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), training.recipe.clip)
    value = loss.item()
    if math.isfinite(value):
        optimizer.step()
    return value


def _look(training: Training, loss: float) -> tuple[bool, str]:
    """Score the validation trials, keep the best weights; True if the task is learned, and the scores."""
    run, recipe, state = training.run, training.recipe, training.state
    scores = evaluate(run.network.eval(), run.task, training.val, recipe.rollout)
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
    learned = scores["accuracy"] >= recipe.stop_accuracy and scores["r2"] >= recipe.stop_r2
    chosen = "" if recipe.select in ("r2", "accuracy") else f", {recipe.select.lstrip('-')} {abs(score):.3g}"
    return learned, f"held-out R2 {scores['r2']:.3f}, accuracy {scores['accuracy']:.4f}{chosen}"


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

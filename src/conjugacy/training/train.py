"""train(): from a task and a network to a Run."""

from __future__ import annotations

import copy
import inspect
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from conjugacy._check import check_choice, check_device, check_int
from conjugacy._notes import note
from conjugacy._plain_torch import plain_torch
from conjugacy._threads import threads_for, torch_threads
from conjugacy.networks.network import Network
from conjugacy.runs.folder import (
    as_folder,
    check_holds_no_more_than,
    finish,
    holds_run,
    is_unfinished,
    read_config,
    write_folder,
)
from conjugacy.runs.lock import at_once, locked
from conjugacy.runs.rollout import rollout
from conjugacy.runs.run import Run, load, weight_bytes
from conjugacy.runs.trial_sets import TrialSets, derive_seed
from conjugacy.tasks.task import Task, input_size, output_size
from conjugacy.training import checkpoint
from conjugacy.training.checkpoint import Progress
from conjugacy.training.interrupts import interrupts
from conjugacy.training.recipe import Recipe
from conjugacy.training.scores import activity_loss, evaluate
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
        CPU threads. By default as many as torch uses for our own kernels, one for torch where networks and batches are
        as small as they usually are (more are slower as soon as anything else runs on the machine).
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
    if threads is not None:
        threads = check_int("threads", threads, 1)
    recipe = replace(Recipe.for_task(task, network) if recipe is None else recipe, **settings)
    with plain_torch():
        training = begin(task, network, seed, recipe, out, device)
        if isinstance(training, Run):
            return training
        with training.held() as found:
            return _trained(training, progress, threads) if found is None else found


def _trained(training: Training, progress: bool, threads: int | None) -> Run:
    run = training.run
    bar = tqdm(
        total=training.recipe.steps,
        initial=training.state.step,
        desc=f"{run.name} on {run.task.name}",
        disable=not progress,
        unit="step",
        mininterval=0.5,
    )
    with interrupts() as pressed:

        def tell(training: Training) -> None:
            bar.update()
            bar.set_postfix_str(training.last_scores, refresh=False)
            pressed.check()

        try:
            with torch_threads(threads or training.n_threads, kernels=threads), bar:
                fit(training, tell)
        except KeyboardInterrupt:
            training.interrupt(in_a_step=pressed.count > 1)
            if progress:
                tqdm.write(f"Interrupted at step {training.state.step}: the best weights so far are kept.")
        if training.stopped == "diverged":
            warnings.warn(training.why_diverged(), stacklevel=4)
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
    average : Network
        With the averaged weights, which are scored and kept.
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
    average: Network
    state: Progress
    stopped: str = ""
    _warned: bool = field(default=False, repr=False)

    def __post_init__(self):
        self._go_on_from(self.state)
        self.start_clock()

    def _go_on_from(self, state: Progress) -> None:
        self.state, self._safe_step = state, state.step
        self.stopped = state.stopped or ("steps" if state.step >= self.recipe.steps else "")

    @contextmanager
    def held(self, give_up: Callable[[], bool] = at_once) -> Iterator[Run | None]:
        """A context in which nobody else trains in its folder; the run, if somebody has finished it in the meantime.

        Raises
        ------
        BlockingIOError
            If another process trains there, and `give_up` says not to wait for it.
        OSError
            If the folder cannot be written.
        """
        if self.folder is None:
            yield None
            return
        with locked(self.folder, give_up):
            if holds_run(self.folder):
                yield _finished(self.folder, self.run.config(), self.run.task, self.run.network)
                return
            own = self.run.network, self.average, self.optimizer
            self._go_on_from(checkpoint.read(self.folder, self.run.config(), *own))  # as it is now
            yield None

    def start_clock(self) -> None:
        """Count seconds from now on, on top of those that it has taken before."""
        self._saved = time.monotonic()
        self._started = self._saved - self.state.seconds

    @property
    def n_threads(self) -> int | None:
        """CPU threads that suit it."""
        return threads_for(self.recipe.batch_size * self.run.network.state_size)

    @cached_property
    def val(self) -> Trials:
        """The validation trials."""
        return self.run.trials("val")

    def batch(self, step: int | None = None) -> Trials:
        """The trials of a gradient step; of the next one by default."""
        step, task, seed = self.state.step if step is None else step, self.run.task, self.run.seed
        draw, progress = getattr(task, "training_trials", None), step / self.recipe.steps
        calm = self.recipe.calm_share if progress >= self.recipe.short_share else 0.0
        if draw is None:
            trials = task.trials(self.recipe.batch_size, derive_seed(seed, "batch", step))
        else:
            more = {"calm": calm} if calm else {}
            trials = draw(self.recipe.batch_size, derive_seed(seed, "batches"), step, progress, **more)
        return trials.first(min(self.recipe.timesteps_at(step, task.n_timesteps), trials.last_counted_step()))

    def noise(self) -> torch.Generator:
        """The source of the network's noise in the next gradient step."""
        return torch.Generator(device=self.device).manual_seed(derive_seed(self.run.seed, "noise", self.state.step))

    def loss(self, out: Rollout, trials: Trials) -> Tensor:
        """What the next gradient step makes smaller."""
        task, progress = self.run.task, self.state.step / self.recipe.steps
        staged = hasattr(task, "training_loss")
        loss = task.training_loss(out, trials, progress) if staged else task.loss(out, trials)  # pyright: ignore
        return loss + activity_loss(self.run.network, out)

    @property
    def learning_rate(self) -> float:
        """Of the next gradient step."""
        return self.recipe.learning_rate_at(self.state.step)

    @property
    def looks(self) -> bool:
        """Whether the validation trials are scored after the next gradient step."""
        done = self.state.step + 1
        return done % self.recipe.eval_every == 0 or done == self.recipe.steps

    def move_average(self) -> None:
        """Let the averaged weights follow a gradient step, before it is counted."""
        _move(self.average, self.run.network, self.recipe.averaging_at(self.state.step))

    def stepped(self, loss: float, scores: dict[str, float] | None = None) -> None:
        """Count a gradient step that was taken at this loss, and look at the validation trials if it is time to.

        `scores` are those of the averaged weights on the validation trials, if they have been taken already.
        """
        state, looks = self.state, self.looks
        state.step += 1
        state.seconds = time.monotonic() - self._started
        if not math.isfinite(loss):
            self.stopped = "diverged"
        elif looks:
            if scores is None:
                scores = evaluate(self.average.eval(), self.run.task, self.val, self.recipe.rollout)
            learned = _look(self, loss, scores)
            self.stopped = "learned" if learned and state.step >= self.recipe.stop_from * self.recipe.steps else ""
        if not self.stopped and state.step >= self.recipe.steps:
            self.stopped = "steps"

    @property
    def checkpoint_due(self) -> bool:
        """Whether it has looked at the validation trials, long enough after the last checkpoint to write another."""
        looked = bool(self.state.history) and self.state.history[-1]["step"] == self.state.step
        long_ago = time.monotonic() - self._saved > _SECONDS_BETWEEN_CHECKPOINTS
        return self.folder is not None and not self.stopped and looked and long_ago

    @property
    def last_scores(self) -> str:
        """The last scores on the validation trials, in words; "" before there are any."""
        if not self.state.history:
            return ""
        last, select = self.state.history[-1], self.recipe.select.removeprefix("-")
        named = select in ("r2", "accuracy") or f"val_{select}" not in last
        chosen = "" if named else f", {select} {last[f'val_{select}']:.3g}"
        parts = {k.removeprefix("val_accuracy/"): v for k, v in last.items() if k.startswith("val_accuracy/")}
        weakest = min(parts, key=lambda k: parts[k]) if len(parts) > 1 else ""
        lowest = f", lowest {parts[weakest]:.2f} ({weakest})" if weakest else ""
        return f"held-out R2 {last['val_r2']:.3f}, accuracy {last['val_accuracy']:.4f}{lowest}{chosen}"

    def why_diverged(self) -> str:
        """What to say of a training whose loss was not finite."""
        return (
            f"training {self.run.name} diverged at step {self.state.step}: its loss was not finite. "
            "Its best weights so far are kept. Try a smaller learning_rate."
        )

    def save_checkpoint(self) -> None:
        """Write down how far it is, if there is a folder; where that fails, a warning says so, once."""
        self._saved = time.monotonic()
        stopped = "" if self.stopped == "interrupted" else self.stopped
        if self.folder is None or (self._safe_step, self.state.stopped) == (self.state.step, stopped):
            return
        self.state.stopped = stopped
        own = self.run.network, self.average, self.optimizer
        try:
            checkpoint.write(self.folder, self.run.config(), *own, self.state)
            self._safe_step = self.state.step
        except Exception as error:
            if not self._warned:
                why = _in_a_line(error)
                note(f"a checkpoint of {self.run.name} could not be written ({why}). It trains on.", stacklevel=3)
            self._warned = True

    def interrupt(self, in_a_step: bool = False) -> None:
        """End here, to go on another time; from the last checkpoint, where that is in the middle of a step."""
        if not self.stopped:
            self.stopped = "interrupted"
            if not in_a_step and self._safe_step < self.state.step:
                self.save_checkpoint()

    def end(self) -> Run:
        """The run with its best weights, tested; saved if there is a folder and it was not interrupted."""
        if self.folder is None or self.stopped == "interrupted":
            return self._tested()
        self.save_checkpoint()  # from here on, whatever happens, the same call ends with this run
        run = self._tested()
        try:
            write_folder(self.folder, run.files())
        except Exception as error:  # the run in memory is worth more than the exception
            note(
                f"`out`: the trained run could not be saved ({_in_a_line(error)}). It is returned, and is in memory "
                "only: save it elsewhere, run.save(FOLDER).",
                stacklevel=3,
            )
        else:
            checkpoint.delete(self.folder)
        return run

    def _tested(self) -> Run:
        model, state = self.run.network, self.state
        if state.best:
            model.load_state_dict(state.best)
        model.cpu().eval()
        test = evaluate(model, self.run.task, self.run.trials("test"), self.recipe.rollout)
        metrics = {f"test_{k}": v for k, v in test.items()}
        metrics |= {"stopped": self.stopped, "steps": state.step, "seconds": round(state.seconds, 3)}
        return replace(self.run, history=pd.DataFrame(state.history), metrics=metrics)


@plain_torch()
def begin(
    task: Task, network: Network, seed: int, recipe: Recipe, out: str | Path | None, device: str
) -> Training | Run:
    """Check all that can go wrong; the training that starts or goes on, or the run if it is over. Writes nothing."""
    device = check_device("device", device)
    seed = check_int("seed", seed, 0)
    if recipe.calm_share and "calm" not in _arguments(getattr(task, "training_trials", None)):
        raise ValueError(
            f"`calm_share`: expected 0, got {recipe.calm_share}: {task.name} has no calm trials. Give it a method "
            "training_trials(n, seed, step, progress, calm) to draw them."
        )
    fresh = not network.input_size
    model = _prepared(task, network)
    if fresh:
        with torch_threads(1):  # the last digits of an orthogonal matrix depend on their number
            model.init_model(input_size(task), output_size(task), derive_seed(seed, "weights"))
    elif (model.input_size, model.output_size) != (input_size(task), output_size(task)):
        raise ValueError(
            f"`network`: expected {input_size(task)} inputs and {output_size(task)} outputs for task {task.name}, "
            f"got {model.input_size} and {model.output_size}. Build it with init_model({input_size(task)}, "
            f"{output_size(task)})."
        )
    folder = None if out is None else as_folder("out", out)
    recipe = recipe if folder is None else as_begun_in(folder, task, recipe)
    run = Run(task, model, seed, TrialSets.from_seed(seed), recipe.as_dict())
    if folder is not None:
        if not fresh:
            raise ValueError(
                "`out`: a network with weights of its own cannot be resumed. Train it without `out`, then save."
            )
        config = run.config()
        if holds_run(folder):
            return _finished(folder, config, task, network)
        check_holds_no_more_than("out", folder, checkpoint.FILES)
        try:
            weight_bytes(model)
        except Exception as error:
            raise TypeError(
                f"`out`: the network cannot be saved ({_in_a_line(error)}). Train without `out`."
            ) from error
    optimizer = torch.optim.Adam(model.to(device).parameters(), weight_decay=recipe.weight_decay)
    average = copy.deepcopy(model)
    state = checkpoint.read(folder, run.config(), model, average, optimizer) if folder is not None else Progress()
    return Training(run, recipe, device, folder, optimizer, average, state)


def as_begun_in(folder: Path, task: Task, recipe: Recipe) -> Recipe:
    """The recipe with which the run or the interrupted training in a folder was begun, if it is a former `recipe`."""
    config: Any = None
    with suppress(ValueError, OSError):  # what cannot be read is said when it is loaded
        config = read_config(folder) if holds_run(folder) else checkpoint.config_in(folder)
    saved = config.get("recipe") if isinstance(config, dict) else None
    return recipe.as_begun(task, saved) if isinstance(saved, dict) else recipe


def planned_config(task: Task, network: Network, seed: int, recipe: Recipe) -> dict[str, Any]:
    """The config of the run that `begin` would begin for a network without weights."""
    model = _prepared(task, network)
    model.input_size, model.output_size = input_size(task), output_size(task)
    return Run(task, model, seed, TrialSets.from_seed(seed), recipe.as_dict()).config()


def differing(config: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The entries in which the config of a run is not that of a run that was saved, versions apart."""
    other = {**other, "recipe": Recipe.completed(other["recipe"])}
    return sorted(k for k in config if k != "versions" and other.get(k) != config[k])


def _prepared(task: Task, network: Network) -> Network:
    """A copy of the network as it is before its weights are drawn, or with those that it has."""
    model = copy.deepcopy(network)
    prepare = getattr(task, "prepare", None)
    if not model.input_size and prepare is not None:
        prepare(model)
    return model


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _arguments(function: Callable | None) -> list[str]:
    return [] if function is None else list(inspect.signature(function).parameters)


@plain_torch()
def fit(training: Training, tell: Callable[[Training], None]) -> None:
    """Take gradient steps until the training stops; call `tell` after each."""
    training.start_clock()
    while not training.stopped:
        loss = _gradient_step(training)
        training.move_average()
        training.stepped(loss)
        tell(training)
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
    """Take this share off the recurrent weights that are trained."""
    if share:
        for weight in map(network.get_parameter, network.recurrent_weights):
            if weight.grad is not None:
                weight.mul_(1 - share)


@torch.no_grad()
def _move(average: Network, network: Network, share: float) -> None:
    """Move the weights of `average` towards those of `network`, keeping `share` of the old; all else is copied."""
    for old, new in zip(average.parameters(), network.parameters()):
        if share:
            old.lerp_(new, 1 - share)
        else:
            old.copy_(new)
    for buffer, now in zip(average.buffers(), network.buffers()):
        buffer.copy_(now)


def _look(training: Training, loss: float, scores: dict[str, float]) -> bool:
    """Note the scores on the validation trials, keep the best weights; True if the task has been learned."""
    recipe, state = training.recipe, training.state
    scores = {k: float(v) for k, v in scores.items()}
    score = _score(scores, recipe.select)
    if score > state.best_score:
        state.best_score = score
        state.best = {k: v.detach().cpu().clone() for k, v in training.average.state_dict().items()}
    state.history.append(
        {
            "step": state.step,
            "seconds": round(state.seconds, 3),
            "loss": loss,
            "learning_rate": recipe.learning_rate_at(state.step - 1),
            **{f"val_{k}": v for k, v in scores.items()},
        }
    )
    return scores["accuracy"] >= recipe.stop_accuracy and scores["r2"] >= recipe.stop_r2


def _score(scores: dict[str, float], select: str) -> float:
    """The score that is to be largest; never better than another where it is NaN."""
    score = scores[check_choice("recipe.select", select.removeprefix("-"), scores)]
    return -score if select.startswith("-") else score


def _finished(folder: Path, config: dict[str, Any], task: Task, network: Network) -> Run:
    """The run in a folder, if it is of this config; what a kill has left in the folder is brought to its end."""
    run = load(folder, classes=[type(task), type(network)])
    others = differing(config, run.config())
    if others:
        raise FileExistsError(
            f"`out`: {folder} holds a finished run of another config (other {', '.join(others)}). Name another folder."
        )
    with suppress(OSError):  # somebody else does it now, or it cannot be written: it is whole as it is
        if (folder / checkpoint.FILE).exists() or is_unfinished(folder):
            with locked(folder, at_once):
                finish(folder)
                checkpoint.delete(folder)
    return run

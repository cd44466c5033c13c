"""Training: a network, its optimiser and its scores, from one gradient step to the next."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from conjugacy._check import check_choice
from conjugacy._notes import note, one_line
from conjugacy._threads import threads_for
from conjugacy.networks.network import Network
from conjugacy.runs.folder import holds_run, write_folder
from conjugacy.runs.lock import at_once, locked
from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.training import checkpoint
from conjugacy.training.checkpoint import Progress
from conjugacy.training.finished import finished_run
from conjugacy.training.recipe import Recipe
from conjugacy.training.scores import activity_loss, evaluate
from conjugacy.trials import Rollout, Trials

_SECONDS_BETWEEN_CHECKPOINTS = 20.0


@dataclass
class Training:
    """A network in training: which `train` takes step by step, and `train_population` many at once.

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
        self._resume_from(self.state)
        self.start_clock()

    def _resume_from(self, state: Progress) -> None:
        self.state, self._safe_step = state, state.step
        self.stopped = state.stopped or ("steps" if state.step >= self.recipe.steps else "")

    @contextmanager
    def alone_in_folder(self, give_up: Callable[[], bool] = at_once) -> Iterator[Run | None]:
        """A context in which no other process trains in its folder; the run, if another has finished it meanwhile.

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
                yield finished_run(self.folder, self.run.config(), self.run.task, self.run.network)
                return
            # another process may have trained on since this training was read
            self._resume_from(checkpoint.read(self.folder, self.run.config(), *self._trained_parts))
            yield None

    @property
    def _trained_parts(self) -> tuple[Network, Network, torch.optim.Adam]:
        return self.run.network, self.average, self.optimizer

    def start_clock(self) -> None:
        """Count seconds from now on, added to those of earlier calls."""
        self._saved_at = time.monotonic()
        self._started = self._saved_at - self.state.seconds

    @property
    def n_threads(self) -> int | None:
        """Number of CPU threads for torch; None for as many as it uses."""
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
        """The loss of the next gradient step."""
        task, progress = self.run.task, self.state.step / self.recipe.steps
        staged = hasattr(task, "training_loss")
        loss = task.training_loss(out, trials, progress) if staged else task.loss(out, trials)  # pyright: ignore
        return loss + activity_loss(self.run.network, out)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next gradient step."""
        return self.recipe.learning_rate_at(self.state.step)

    @property
    def validation_due(self) -> bool:
        """Whether the validation trials are scored after the next gradient step."""
        done = self.state.step + 1
        return done % self.recipe.eval_every == 0 or done == self.recipe.steps

    def move_average(self) -> None:
        """Update the averaged weights after a gradient step, before it is counted."""
        _update_average(self.average, self.run.network, self.recipe.averaging_at(self.state.step))

    def count_step(self, loss: float, scores: dict[str, float] | None = None) -> None:
        """Count a gradient step that was taken at this loss, and validate if that is due.

        `scores` are those of the averaged weights on the validation trials, if they have been computed already.
        """
        state, validate = self.state, self.validation_due
        state.step += 1
        state.seconds = time.monotonic() - self._started
        if not math.isfinite(loss):
            self.stopped = "diverged"
        elif validate:
            if scores is None:
                scores = evaluate(self.average.eval(), self.run.task, self.val, self.recipe.rollout)
            learned = _record_scores(self, loss, scores)
            self.stopped = "learned" if learned and state.step >= self.recipe.stop_from * self.recipe.steps else ""
        if not self.stopped and state.step >= self.recipe.steps:
            self.stopped = "steps"

    @property
    def checkpoint_due(self) -> bool:
        """Whether it has just been validated, long enough after the last checkpoint to write another."""
        validated = bool(self.state.history) and self.state.history[-1]["step"] == self.state.step
        long_ago = time.monotonic() - self._saved_at > _SECONDS_BETWEEN_CHECKPOINTS
        return self.folder is not None and not self.stopped and validated and long_ago

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
        """The warning for a training whose loss was not finite."""
        return (
            f"training {self.run.name} diverged at step {self.state.step}: its loss was not finite. "
            "Its best weights so far are kept. Try a smaller learning_rate."
        )

    def keep_weights(self) -> None:
        """Keep the averaged weights, if the present step is one that is to be kept; a failure to write is a warning."""
        kept, step = self.run.kept, self.state.step
        if kept is None or step not in kept.steps:
            return
        try:
            kept.write(step, self.average, self.run.config())
        except Exception as error:
            why = one_line(error)
            note(f"the weights of {self.run.name} at step {step} could not be kept ({why}). Training goes on.")

    def save_checkpoint(self) -> None:
        """Write a checkpoint, if there is a folder; the first failure to write one is a warning."""
        self._saved_at = time.monotonic()
        stopped = "" if self.stopped == "interrupted" else self.stopped
        if self.folder is None or (self._safe_step, self.state.stopped) == (self.state.step, stopped):
            return
        self.state.stopped = stopped
        try:
            checkpoint.write(self.folder, self.run.config(), *self._trained_parts, self.state)
            self._safe_step = self.state.step
        except Exception as error:
            if not self._warned:
                why = one_line(error)
                note(f"a checkpoint of {self.run.name} could not be written ({why}). Training goes on.", stacklevel=3)
            self._warned = True

    def interrupt(self, in_a_step: bool = False) -> None:
        """Stop here and write a checkpoint to resume from; in the middle of a step, the last one remains."""
        if not self.stopped:
            self.stopped = "interrupted"
            if not in_a_step and self._safe_step < self.state.step:
                self.save_checkpoint()

    def end(self) -> Run:
        """The run with its best weights, tested; saved if there is a folder and it was not interrupted."""
        to_save = self.folder is not None and self.stopped != "interrupted"
        if to_save:
            self.save_checkpoint()  # from here on, whatever happens, the same call ends with this run
        run = self._tested()
        if to_save:
            self._save(run)
        return run

    def _save(self, run: Run) -> None:
        """Write the run in place of the checkpoint; if that fails, a warning: the run in memory is not thrown away."""
        assert self.folder is not None
        try:
            write_folder(self.folder, run.files())
        except Exception as error:
            note(
                f"`out`: the trained run could not be saved ({one_line(error)}). It is returned, and is in memory "
                "only: save it elsewhere, run.save(FOLDER).",
                stacklevel=4,
            )
        else:
            checkpoint.delete(self.folder)

    def _tested(self) -> Run:
        model, state = self.run.network, self.state
        if state.best:
            model.load_state_dict(state.best)
        model.cpu().eval()
        test = evaluate(model, self.run.task, self.run.trials("test"), self.recipe.rollout)
        metrics = {f"test_{k}": v for k, v in test.items()}
        metrics |= {"stopped": self.stopped, "steps": state.step, "seconds": round(state.seconds, 3)}
        kept = None if self.run.kept is None else self.run.kept.found(self.run.config())
        return replace(self.run, history=pd.DataFrame(state.history), metrics=metrics, kept=kept)


@torch.no_grad()
def _update_average(average: Network, network: Network, share: float) -> None:
    """Move the weights of `average` towards those of `network`, keeping `share` of the old; all else is copied."""
    for old, new in zip(average.parameters(), network.parameters()):
        if share:
            old.lerp_(new, 1 - share)
        else:
            old.copy_(new)
    for buffer, now in zip(average.buffers(), network.buffers()):
        buffer.copy_(now)


def _record_scores(training: Training, loss: float, scores: dict[str, float]) -> bool:
    """Record the scores on the validation trials and the best weights; True if the task has been learned."""
    recipe, state = training.recipe, training.state
    scores = {k: float(v) for k, v in scores.items()}
    score = _selection_score(scores, recipe.select)
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


def _selection_score(scores: dict[str, float], select: str) -> float:
    """The score whose largest value selects the best weights; NaN is never better than another."""
    score = scores[check_choice("recipe.select", select.removeprefix("-"), scores)]
    return -score if select.startswith("-") else score

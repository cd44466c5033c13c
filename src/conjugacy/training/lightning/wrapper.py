"""TaskTrainedWrapper: a network and its task as a LightningModule, for an unmodified pytorch_lightning Trainer."""

from __future__ import annotations

import json
from typing import Any

import torch
from pytorch_lightning import LightningModule
from safetensors.torch import save as save_tensors
from torch import Tensor

from conjugacy._check import check_axes, check_int, check_number
from conjugacy._config import build, describe
from conjugacy.networks.network import Network
from conjugacy.runs.classes import check_network, check_task, known_classes
from conjugacy.runs.rollout import rollout
from conjugacy.runs.run import Run
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.runs.weights import load_weights
from conjugacy.tasks.task import Task, input_size, output_size
from conjugacy.training.lightning.data_module import TaskDataModule, own_classes
from conjugacy.training.scores import activity_loss, masked_r2
from conjugacy.trials import Rollout, Trials


class TaskTrainedWrapper(LightningModule):
    """A network that learns a task, by Adam on the task's loss.

    Logs "train/loss", "valid/loss", "valid/r2" and "valid/accuracy".

    Parameters
    ----------
    learning_rate : float
        Of Adam, > 0.
    weight_decay : float
        L2 penalty in Adam, >= 0.
    task_env : Task, optional
        May be set later with `set_environment`.
    model : Network, optional
        May be set later with `set_model`.
    seed : int
        Seed of the network's noise during training.
    """

    def __init__(
        self,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        task_env: Task | None = None,
        model: Network | None = None,
        seed: int = 0,
    ):
        super().__init__()
        self.learning_rate = check_number("learning_rate", learning_rate, 0, open_low=True)
        self.weight_decay = check_number("weight_decay", weight_decay, 0)
        self.seed = check_int("seed", seed, 0)
        self.task_env: Task | None = None
        self.model: Network | None = None
        if task_env is not None:
            self.set_environment(task_env)
        if model is not None:
            self.set_model(model)

    def set_environment(self, task: Task) -> None:
        """Learn this task."""
        check_task("task_env", task)
        self.task_env = task

    def set_model(self, model: Network) -> None:
        """Train this network; its weights are made if it has none."""
        check_network("model", model)
        if not model.input_size and self.task_env is not None:
            prepare = getattr(self.task_env, "prepare", None)
            if prepare is not None:
                prepare(model)
            model.init_model(input_size(self.task_env), output_size(self.task_env))
        self.model = model

    def parts(self) -> tuple[Task, Network]:
        """Task and network, once both are set and fit."""
        if self.task_env is None or self.model is None:
            lacks = "set_environment(task)" if self.task_env is None else "set_model(network)"
            raise RuntimeError(f"TaskTrainedWrapper is not complete: call {lacks} before training.")
        want = (input_size(self.task_env), output_size(self.task_env))
        if (self.model.input_size, self.model.output_size) != want:
            raise ValueError(
                f"`model`: expected {want[0]} inputs and {want[1]} outputs for task {self.task_env.name}, got "
                f"{self.model.input_size} and {self.model.output_size}. Call model.init_model{want}."
            )
        return self.task_env, self.model

    def forward(self, ics: Tensor, inputs: Tensor, inputs_to_env: Tensor | None = None) -> dict[str, Tensor | None]:
        """Run the network without noise.

        Parameters
        ----------
        ics : Tensor (trial, plant state)
            Initial conditions of the plant; not used in open loop.
        inputs : Tensor (trial, time, input)
            In closed loop the context inputs alone.
        inputs_to_env : Tensor (trial, time, load), optional
            Forces on the plant, none by default; not used in open loop.

        Returns
        -------
        dict
            "controlled" (trial, time, output), "latents" (trial, time, unit), "actions", "states", "joints".
        """
        task, model = self.parts()
        if getattr(task, "plant", None) is None:
            check_axes("inputs", inputs, "trial time input", input=input_size(task))
            trials = Trials.from_tensors(inputs, inputs.new_zeros(*inputs.shape[:2], output_size(task)))
        else:
            loads = inputs.new_zeros(*inputs.shape[:2], 2) if inputs_to_env is None else inputs_to_env.to(inputs)
            trials = Trials.from_tensors(inputs, torch.zeros_like(loads), ics=ics.to(inputs), loads=loads)
        return as_dict(rollout(model, task, trials))

    def training_step(self, batch: Trials, batch_idx: int) -> Tensor:
        """Loss of a batch, with the network's noise."""
        task, model = self.parts()
        noise = torch.Generator(device=self.device).manual_seed(derive_seed(self.seed, "noise", self.global_step))
        out, by_stage = rollout(model, task, batch, noise=noise), getattr(task, "training_loss", None)
        loss = task.loss(out, batch) if by_stage is None else by_stage(out, batch, self._progress())
        loss = loss + activity_loss(model, out)
        self.log("train/loss", loss, batch_size=len(batch))
        return loss

    def _progress(self) -> float:
        """How much of the training is done, in [0, 1]; 1 where the Trainer has no last epoch."""
        epochs = self.trainer.max_epochs
        return min(1.0, self.current_epoch / epochs) if epochs is not None and epochs > 0 else 1.0

    def validation_step(self, batch: Trials, batch_idx: int) -> None:
        """Loss, R2 and accuracy of a batch, without noise."""
        task, model = self.parts()
        out = rollout(model, task, batch)
        told = getattr(task, "prediction", lambda y: y)(out.outputs)
        scores = {
            "valid/loss": task.loss(out, batch),
            "valid/r2": masked_r2(told, batch.targets, batch.mask),
            "valid/accuracy": task.success_rate(out.outputs, batch)["accuracy"],
        }
        self.log_dict(scores, batch_size=len(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, on all parameters."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)

    def as_run(self, data_module: TaskDataModule, name: str = "") -> Run:
        """The trained network as a Run, with the trials of the data module."""
        task, model = self.parts()
        recipe = {"trainer": "lightning", "learning_rate": self.learning_rate, "weight_decay": self.weight_decay}
        recipe |= {"batch_size": data_module.batch_size}
        return Run(task, model.cpu().eval(), data_module.seed, data_module.sets, recipe, name=name)

    def __reduce__(self):
        """Pickled as settings and weights: no Trainer, no logger, no code."""
        task, model = self.task_env, self.model
        config = {
            "settings": {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay, "seed": self.seed},
            "task": None if task is None else describe(task),
            "model": None if model is None else describe(model),
            "sizes": None if model is None else (model.input_size, model.output_size),
        }
        weights = b""
        if model is not None and model.input_size:
            weights = save_tensors({k: v.cpu().contiguous() for k, v in model.state_dict().items()})
        return rebuild_wrapper, (json.dumps(config), weights, own_classes(task, model))


def rebuild_wrapper(config: str, weights: bytes, classes: tuple[type, ...] = ()) -> TaskTrainedWrapper:
    """The wrapper that was pickled."""
    parts: dict[str, Any] = json.loads(config)
    known = known_classes(classes)
    wrapper = TaskTrainedWrapper(**parts["settings"])
    if parts["task"] is not None:
        wrapper.set_environment(build("task", parts["task"], known))
    if parts["model"] is not None:
        model = build("model", parts["model"], known)
        if weights:
            model.init_model(*parts["sizes"])
            load_weights(model, weights, "the pickled weights")
        wrapper.model = model
        if weights and wrapper.task_env is not None:
            wrapper.parts()  # one changed byte makes another task, which the weights do not fit
    return wrapper


def as_dict(out: Rollout) -> dict[str, Any]:
    """A rollout under the names of CtDB."""
    return {
        "controlled": out.outputs,
        "latents": out.latents,
        "actions": out.outputs if out.actions is None else out.actions,
        "states": out.observations,
        "joints": None if out.plant is None else torch.cat([out.plant.q, out.plant.qd], -1),
    }

"""A process that trains networks one after the other: ``python -m conjugacy.populations.worker``; see `Crew`.

It reads jobs from its standard input, a line of json each, and writes what becomes of them to its standard output. It
ends as soon as its standard input is closed: nothing goes on training for someone who is gone.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from safetensors.torch import save

from conjugacy._config import build
from conjugacy._plain_torch import plain_torch
from conjugacy._threads import torch_threads
from conjugacy.networks.network import Network
from conjugacy.runs.lock import locked
from conjugacy.runs.run import Run, public_classes
from conjugacy.tasks.task import Task
from conjugacy.training.recipe import Recipe
from conjugacy.training.train import Training, begin, fit

_SECONDS_BETWEEN_MESSAGES = 0.2


def main() -> None:
    """Work until there is nobody left to work for."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a task prints goes to the terminal, not between the answers
    jobs: queue.Queue[dict[str, Any]] = queue.Queue()
    leave = threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if message == "leave":
                leave.set()
            else:
                leave.clear()  # that was said of an earlier job
                jobs.put(message)
        os._exit(0)

    def say(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")

    threading.Thread(target=listen, daemon=True).start()
    while True:
        job = jobs.get()
        try:
            answer = do_job(job, leave.is_set, say)
        except Exception as error:
            answer = {"error": one_line(error), "traceback": traceback.format_exc()}
        say(answer)


def do_job(
    job: dict[str, Any],
    asked_to_leave: Callable[[], bool] = lambda: False,
    say: Callable[[dict[str, Any]], None] = lambda message: None,
) -> dict[str, Any]:
    """Train what a job (`crew.job_of`) tells of, saying how it goes; the answer as `Crew.hear` describes it."""
    classes = [*public_classes(), *(_imported(name) for name in job["classes"])]
    task, network = build("task", job["task"], classes), build("network", job["network"], classes)
    with plain_torch(), nullcontext() if job["out"] is None else locked(job["out"], asked_to_leave):
        return _trained(job, task, network, asked_to_leave, say)


def one_line(error: Exception) -> str:
    """An error in a line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _trained(
    job: dict[str, Any],
    task: Task,
    network: Network,
    asked_to_leave: Callable[[], bool],
    say: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    training = begin(task, network, job["seed"], Recipe(**job["recipe"]), job["out"], job["device"])
    if isinstance(training, Run):
        return _answer(training)
    last = 0.0

    def tell(training: Training) -> None:
        nonlocal last
        if asked_to_leave():
            raise KeyboardInterrupt
        if time.monotonic() - last > _SECONDS_BETWEEN_MESSAGES:
            last = time.monotonic()
            say({"step": training.state.step, "scores": training.last_scores})

    with torch_threads(job["threads"]):
        try:
            fit(training, tell)
        except KeyboardInterrupt:
            training.interrupt()
    return _answer(training.end())


def _answer(run: Run) -> dict[str, Any]:
    weights = save({k: v.contiguous() for k, v in run.network.state_dict().items()})
    return {
        "weights": base64.b64encode(weights).decode(),
        "history": run.history.to_dict("records"),
        "metrics": run.metrics,
    }


def _imported(name: str) -> type:
    module, _, kind = name.partition(":")
    return getattr(importlib.import_module(module), kind)


if __name__ == "__main__":
    main()

"""A process that trains networks one after the other: ``python -m conjugacy.populations.worker``; see `Workers`.

It reads jobs from its standard input, one line of json each, and writes their results to its standard output. It ends
as soon as its standard input is closed, so no training goes on after the process that asked for it has died.
"""

from __future__ import annotations

import base64
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

import cloudpickle
from safetensors.torch import save

from conjugacy._config import build
from conjugacy._notes import error_line
from conjugacy._plain_torch import plain_torch
from conjugacy._threads import torch_threads
from conjugacy.networks.network import Network
from conjugacy.runs.classes import imported, known_classes
from conjugacy.runs.lock import locked
from conjugacy.runs.run import Run
from conjugacy.tasks.task import Task
from conjugacy.training.begin import begin
from conjugacy.training.recipe import Recipe
from conjugacy.training.train import fit
from conjugacy.training.training import Training

_SECONDS_BETWEEN_MESSAGES = 0.2


def main() -> None:
    """Do jobs until standard input is closed."""
    results = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a task prints goes to the terminal, not between the results
    jobs: queue.Queue[dict[str, Any]] = queue.Queue()
    stop = threading.Event()

    def read() -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if message == "stop":
                stop.set()
            else:
                stop.clear()  # it was meant for an earlier job
                jobs.put(message)
        os._exit(0)

    def send(message: dict[str, Any]) -> None:
        results.write(json.dumps(message) + "\n")

    threading.Thread(target=read, daemon=True).start()
    while True:
        job = jobs.get()
        try:
            result = do_job(job, stop.is_set, send)
        except Exception as error:
            result = {"error": error_line(error), "traceback": traceback.format_exc()}
        send(result)


def do_job(
    job: dict[str, Any],
    stop_requested: Callable[[], bool] = lambda: False,
    send: Callable[[dict[str, Any]], None] = lambda message: None,
) -> dict[str, Any]:
    """Do a training that `processes.job_of` describes and send its progress; the result as `Workers.next_message`."""
    classes = known_classes(_class_of(given) for given in job["classes"])
    task, network = build("task", job["task"], classes), build("network", job["network"], classes)
    with plain_torch(), nullcontext() if job["out"] is None else locked(job["out"], stop_requested):
        return _trained(job, task, network, stop_requested, send)


def _class_of(given: str | dict[str, str]) -> type:
    """A class of the user's: imported, or unpickled, which only what our parent process sent can be."""
    return imported(given) if isinstance(given, str) else cloudpickle.loads(base64.b64decode(given["pickle"]))


def _trained(
    job: dict[str, Any],
    task: Task,
    network: Network,
    stop_requested: Callable[[], bool],
    send: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    training = begin(task, network, job["seed"], Recipe(**job["recipe"]), job["out"], job["device"], job["keep"])
    if isinstance(training, Run):
        return _result(training)
    last = 0.0

    def after_step(training: Training) -> None:
        nonlocal last
        if stop_requested():
            raise KeyboardInterrupt
        if time.monotonic() - last > _SECONDS_BETWEEN_MESSAGES:
            last = time.monotonic()
            send({"step": training.state.step, "scores": training.last_scores})

    # as `train` has it: small steps on one thread of torch, whatever the job may use
    with torch_threads(training.n_threads or job["threads"], kernels=job["threads"]):
        try:
            fit(training, after_step)
        except KeyboardInterrupt:
            training.interrupt()
    return _result(training.end())


def _result(run: Run) -> dict[str, Any]:
    weights = save({k: v.contiguous() for k, v in run.network.state_dict().items()})
    return {
        "weights": base64.b64encode(weights).decode(),
        "history": run.history.to_dict("records"),
        "metrics": run.metrics,
    }


if __name__ == "__main__":
    main()

"""RayWorkers: `conjugacy.populations.processes.Workers` for a Ray cluster.

The nodes need conjugacy, but no folder in common: a run comes back over Ray and is written here. Trainings write
checkpoints, into the folder of their run, only where Ray runs on this machine.
"""

from __future__ import annotations

import base64
import importlib
import os
import random
from collections.abc import Hashable
from types import TracebackType
from typing import Any

from conjugacy._notes import error_line, one_line

LOCAL = "local"


def ray_module() -> Any:
    """The package ray, or an error that says how to install it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would send usage statistics over the network
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise ValueError("`ray`: the package ray is not installed. Install the extra: conjugacy[cluster].") from None


class RayWorkers:
    """Runs jobs on a Ray cluster; a context manager that disconnects from the cluster when it is left.

    Parameters
    ----------
    address : str
        "local" for Ray on this machine, started and shut down here; else the address of a cluster ("auto" for the one
        that this machine is part of).
    n_workers : int, optional
        Cores that Ray may use on this machine; all by default. Not for a cluster.
    threads : int
        CPU cores of a job.
    gpus : float
        GPUs of a job, for example 0.25 for four at a time on each.
    """

    has_room = True  # Ray keeps the queue

    def __init__(self, address: str, n_workers: int | None = None, threads: int = 1, gpus: float = 0.0):
        self.ray, self.local = ray_module(), address == LOCAL
        self._random = random.getstate()  # Ray draws from it
        where = {"num_cpus": n_workers, "include_dashboard": False} if self.local else {}
        try:
            self.ray.init(address=address, log_to_driver=False, configure_logging=False, **where)
        except (ConnectionError, ValueError) as error:
            raise ValueError(f"`ray`: no cluster at {address!r} ({one_line(error)}).") from None
        # a job whose node goes away is started again; an error of the training is a result, not a retry
        self._do = self.ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=2)(_do)
        self._running: dict[Any, Hashable] = {}

    @property
    def busy(self) -> bool:
        """Whether a job is running or queued."""
        return bool(self._running)

    def submit(self, key: Hashable, job: dict[str, Any]) -> None:
        """Submit a job to Ray; its result comes with `key`."""
        self._running[self._do.remote(job if self.local else {**job, "out": None})] = key

    def next_message(self) -> tuple[Any, dict[str, Any]]:
        """Wait for the next job to end: its key, and its result as in `Workers.next_message`."""
        (done,), _ = self.ray.wait(list(self._running), num_returns=1)
        key = self._running.pop(done)
        try:
            message = self.ray.get(done)
        except self.ray.exceptions.TaskCancelledError:
            return key, {"metrics": {"stopped": "interrupted"}}
        except self.ray.exceptions.RayError as error:
            return key, {"error": error_line(error)}
        if "weights" in message:
            message["weights"] = base64.b64decode(message["weights"])
        return key, message

    def interrupt(self) -> None:
        """Have every job end after its present step."""
        for job in self._running:
            self.ray.cancel(job)

    def __enter__(self) -> RayWorkers:
        """Start nothing more: Ray runs already."""
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Disconnect from Ray, and shut it down if it was started here."""
        self.ray.shutdown()
        random.setstate(self._random)


def _do(job: dict[str, Any]) -> dict[str, Any]:
    import traceback

    from conjugacy.populations.worker import do_job

    try:
        return do_job(job)
    except Exception as error:
        return {"error": error_line(error), "traceback": traceback.format_exc()}

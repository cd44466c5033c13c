"""Crew: processes that train networks side by side, each on threads of its own.

A thread cannot stand in for a process here: most of what a step of a recurrent network costs outside its kernels is
Python, of which one thread at a time can run. And a process made by fork or by multiprocessing cannot either: the first
inherits torch's locks, the second runs the caller's script again.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Hashable
from types import TracebackType
from typing import Any

from conjugacy._config import describe
from conjugacy.networks.network import Network
from conjugacy.tasks.task import Task
from conjugacy.training.recipe import Recipe


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def job_of(
    task: Task, network: Network, seed: int, recipe: Recipe, out: str | os.PathLike | None, device: str, threads: int
) -> dict[str, Any] | None:
    """A training in plain values, from which another process repeats it; None if that process could not.

    It could not where task or network cannot be described, or their classes not be imported (those of a notebook). The
    weights of the network are drawn there, from the seed.
    """
    try:
        described = {"task": describe(task), "network": describe(network)}
    except TypeError:
        return None
    kinds = [k for k in (type(task), type(network)) if not k.__module__.startswith("conjugacy.")]
    if not all(_importable(k) for k in kinds):
        return None
    return {
        **described,
        "classes": [f"{k.__module__}:{k.__qualname__}" for k in kinds],
        "seed": seed,
        "recipe": recipe.as_dict(),
        "out": None if out is None else os.fspath(out),
        "device": device,
        "threads": threads,
    }


class Crew:
    """Processes that do jobs (`job_of`); a context manager, at whose end they are gone.

    Parameters
    ----------
    n_workers : int
        Processes at most; they are started when they are needed.
    threads : int
        CPU threads of each.
    """

    def __init__(self, n_workers: int, threads: int = 1):
        self.n_workers, self.threads = n_workers, threads
        self._said: queue.Queue[tuple[subprocess.Popen, str | None]] = queue.Queue()
        self._idle: list[subprocess.Popen] = []
        self._at: dict[subprocess.Popen, Hashable] = {}

    @property
    def busy(self) -> bool:
        """Whether a job is being done."""
        return bool(self._at)

    @property
    def has_room(self) -> bool:
        """Whether another job would be begun at once."""
        return len(self._at) < self.n_workers

    def begin(self, key: Hashable, job: dict[str, Any]) -> None:
        """Have a free worker do a job; what is heard of it comes with `key`."""
        worker = self._idle.pop() if self._idle else self._hire()
        self._at[worker] = key
        _say(worker, job)

    def hear(self) -> tuple[Any, dict[str, Any]]:
        """Wait for the next message: key of a job, and what is said of it.

        Either "step" and "scores", while it trains; or, at its end, "weights" (safetensors), "history" and "metrics";
        or "error", with a "traceback" if there is one.
        """
        while True:
            worker, line = self._said.get()
            if worker not in self._at:
                if line is None and worker in self._idle:  # it died with nothing to do
                    self._idle.remove(worker)
                    _hang_up(worker)
                continue
            if line is None:
                code = worker.wait()
                _hang_up(worker)
                return self._at.pop(worker), {"error": f"RuntimeError: its process ended with exit code {code}."}
            message = json.loads(line)
            if "step" in message:
                return self._at[worker], message
            self._idle.append(worker)
            if "weights" in message:
                message["weights"] = base64.b64decode(message["weights"])
            return self._at.pop(worker), message

    def interrupt(self) -> None:
        """Have every job end after its present step."""
        for worker in self._at:
            _say(worker, "leave")

    def __enter__(self) -> Crew:
        """Nothing yet: workers are hired when there is work."""
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End all workers."""
        for worker in [*self._idle, *self._at]:
            _hang_up(worker)
        for worker in [*self._idle, *self._at]:
            try:
                worker.wait(5)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self._idle, self._at = [], {}

    def _hire(self) -> subprocess.Popen:
        threads = str(self.threads)
        # from the environment BLAS and OpenMP learn it before they start threads
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, threads)}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        worker = subprocess.Popen(
            [sys.executable, "-m", "conjugacy.populations.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,  # Ctrl-C is for us: we tell them
        )
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        return worker

    def _listen(self, worker: subprocess.Popen) -> None:
        assert worker.stdout is not None
        with worker.stdout as lines:
            for line in lines:
                self._said.put((worker, line))
        self._said.put((worker, None))


def _say(worker: subprocess.Popen, message: Any) -> None:
    assert worker.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # its end is heard of otherwise
        worker.stdin.write(json.dumps(message) + "\n")
        worker.stdin.flush()


def _hang_up(worker: subprocess.Popen) -> None:
    assert worker.stdin is not None
    with contextlib.suppress(OSError):
        worker.stdin.close()


def _importable(kind: type) -> bool:
    if kind.__module__ == "__main__" or "." in kind.__qualname__:
        return False
    try:
        return importlib.util.find_spec(kind.__module__) is not None
    except (ImportError, ValueError):
        return False

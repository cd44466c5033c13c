"""Workers: processes that train networks side by side, each on threads of its own.

Threads would not do: most of what a step of a recurrent network costs outside its kernels is Python, of which one
thread at a time can run. Processes of `multiprocessing` would not either: by fork they inherit torch's locks, by spawn
they run the caller's script again. docs/design.md ("Processes") says why joblib and concurrent.futures are not used.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Hashable, Sequence
from types import TracebackType
from typing import Any

import cloudpickle

from conjugacy._config import describe
from conjugacy._threads import cores
from conjugacy.networks.network import Network
from conjugacy.runs.classes import import_path
from conjugacy.tasks.task import Task
from conjugacy.training.recipe import Recipe

__all__ = ["Workers", "cores", "job_of"]


def job_of(
    task: Task,
    network: Network,
    seed: int,
    recipe: Recipe,
    out: str | os.PathLike | None,
    device: str,
    threads: int,
    keep: Sequence[int] | None = None,
) -> dict[str, Any] | None:
    """A training as plain values, from which another process repeats it; None if another process cannot.

    It cannot where task or network cannot be described, or where a class of the user's can neither be imported nor
    pickled. The weights of the network are drawn in that process, from the seed.
    """
    kinds = [k for k in (type(task), type(network)) if not k.__module__.startswith("conjugacy.")]
    try:
        described = {"task": describe(task), "network": describe(network)}
        classes = [import_path(kind) or _pickled(kind) for kind in kinds]
    except Exception:  # pickling runs code of the user's, which may raise anything
        return None
    return {
        **described,
        "classes": classes,
        "seed": seed,
        "recipe": recipe.as_dict(),
        "out": None if out is None else os.fspath(out),
        "device": device,
        "threads": threads,
        "keep": None if keep is None else list(keep),
    }


class Workers:
    """Processes that do jobs (`job_of`); a context manager that ends them when it is left.

    Parameters
    ----------
    n_workers : int
        Largest number of processes; they are started when they are needed.
    threads : int
        CPU threads of each.
    """

    def __init__(self, n_workers: int, threads: int = 1):
        self.n_workers, self.threads = n_workers, threads
        self._lines: queue.Queue[tuple[subprocess.Popen, str | None]] = queue.Queue()
        self._idle: list[subprocess.Popen] = []
        self._running: dict[subprocess.Popen, Hashable] = {}

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return bool(self._running)

    @property
    def has_room(self) -> bool:
        """Whether another job would start at once."""
        return len(self._running) < self.n_workers

    def submit(self, key: Hashable, job: dict[str, Any]) -> None:
        """Start a job on a free worker; its messages come with `key`."""
        worker = self._idle.pop() if self._idle else self._start()
        self._running[worker] = key
        _send(worker, job)

    def next_message(self) -> tuple[Any, dict[str, Any]]:
        """Wait for the next message: the key of a job, and what its worker reports.

        While it trains the message has "step" and "scores"; at its end "weights" (safetensors), "history" and
        "metrics", or "error", with a "traceback" if there is one.
        """
        while True:
            worker, line = self._lines.get()
            if worker not in self._running:
                if line is None and worker in self._idle:  # it died while it was idle
                    self._idle.remove(worker)
                    _close_input(worker)
                continue
            if line is None:
                code = worker.wait()
                _close_input(worker)
                return self._running.pop(worker), {"error": f"RuntimeError: its process ended with exit code {code}."}
            message = json.loads(line)
            if "step" in message:
                return self._running[worker], message
            self._idle.append(worker)
            if "weights" in message:
                message["weights"] = base64.b64decode(message["weights"])
            return self._running.pop(worker), message

    def interrupt(self) -> None:
        """Have every job end after its present step."""
        for worker in self._running:
            _send(worker, "stop")

    def __enter__(self) -> Workers:
        """Start nothing yet: workers are started when there are jobs."""
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End all workers."""
        for worker in [*self._idle, *self._running]:
            _close_input(worker)
        for worker in [*self._idle, *self._running]:
            try:
                worker.wait(5)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self._idle, self._running = [], {}

    def _start(self) -> subprocess.Popen:
        threads = str(self.threads)
        # BLAS and OpenMP read the environment before they start their threads
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, threads)}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        worker = subprocess.Popen(
            [sys.executable, "-m", "conjugacy.populations.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches this process only, which then interrupts its workers
        )
        threading.Thread(target=self._read, args=(worker,), daemon=True).start()
        return worker

    def _read(self, worker: subprocess.Popen) -> None:
        assert worker.stdout is not None
        with worker.stdout as lines:
            for line in lines:
                self._lines.put((worker, line))
        self._lines.put((worker, None))


def _pickled(kind: type) -> dict[str, str]:
    """A class that cannot be imported (of a notebook, or of a script), by value; it goes through our own pipe only."""
    return {"name": kind.__qualname__, "pickle": base64.b64encode(cloudpickle.dumps(kind)).decode()}


def _send(worker: subprocess.Popen, message: Any) -> None:
    assert worker.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # a worker that has died is reported by `next_message`
        worker.stdin.write(json.dumps(message) + "\n")
        worker.stdin.flush()


def _close_input(worker: subprocess.Popen) -> None:
    assert worker.stdin is not None
    with contextlib.suppress(OSError):
        worker.stdin.close()

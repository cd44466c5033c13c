"""run_sweep(): every run of a plan, once."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import load as load_tensors

from conjugacy._check import check_int, check_number
from conjugacy._csv import as_csv
from conjugacy._files import write_file
from conjugacy._progress import progress_bar, say
from conjugacy._threads import cores
from conjugacy.populations.plan import Plan, PlannedRun
from conjugacy.populations.processes import Workers, job_of
from conjugacy.populations.ray_workers import RayWorkers, ray_module
from conjugacy.runs.folder import as_folder, holds_run, write_folder
from conjugacy.runs.lock import locked
from conjugacy.runs.run import Run, load
from conjugacy.training.begin import as_begun_in, begin, planned_config
from conjugacy.training.finished import differing

RUNS = "runs"
_SECONDS_BETWEEN_TABLES = 5.0


def run_sweep(
    sweep: str | Path | Mapping[str, Any] | Plan,
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    threads: int = 1,
    ray: str | None = None,
    gpus_per_run: float | None = None,
    progress: bool = True,
    classes: Iterable[type] = (),
) -> pd.DataFrame:
    """Train every run of a sweep, and go on where it was left if it was interrupted or killed.

    Parameters
    ----------
    sweep : path, mapping or Plan
        A yaml file (docs/sweeps.md), or what one would hold.
    out : path, optional
        Folder for the runs, their table and a log; by default the one that the file names.
    workers : int, optional
        Processes that train side by side; by default one a core, or one where a GPU trains.
    threads : int
        CPU threads of each.
    ray : str, optional
        Train on Ray: "local" for Ray on this machine, else the address of a cluster. Needs the extra `cluster`.
    gpus_per_run : float, optional
        GPUs of a run on Ray; by default 1 where the sweep's device is a GPU, else 0.
    progress : bool
        Show a progress bar.
    classes : iterable of classes
        Task and network classes of your own that the file may name, by their import paths; it can name no others but
        those of conjugacy.

    Returns
    -------
    DataFrame
        A row a run, as in ``table.csv``: its folder, "status" ("finished", "failed", "interrupted" or "waiting"), the
        settings that vary, its metrics, and its error if it failed. A run that failed does not stop the others, and is
        tried again by the next call.

    Raises
    ------
    ValueError
        If the sweep names anything that does not exist, or values that are not taken; nothing has been trained then.
    """
    if not isinstance(sweep, Plan):
        sweep = Plan.of(sweep, classes=classes) if isinstance(sweep, Mapping) else Plan.read(sweep, classes)
    plan = sweep
    folder = out if out is not None else plan.out
    if folder is None:
        raise ValueError("`out`: missing. Name a folder for the runs, there or in the file.")
    folder = as_folder("out", folder)
    gpu = plan.device != "cpu"
    workers = (1 if gpu else cores()) if workers is None else check_int("workers", workers, 1)
    threads = check_int("threads", threads, 1)
    gpus = (1.0 if gpu else 0.0) if gpus_per_run is None else check_number("gpus_per_run", gpus_per_run, 0)
    if ray is not None:
        ray_module()  # if it is not there, that is said before anything starts
    records = _Records(plan, folder)
    jobs = _jobs(plan, records, threads)
    records.open()
    with _Bar(plan, records, progress) as bar:
        if jobs:
            pool = Workers(min(workers, len(jobs)), threads) if ray is None else RayWorkers(ray, workers, threads, gpus)
            with pool:
                try:
                    _do(pool, jobs, records, bar)
                except KeyboardInterrupt:
                    pool.interrupt()
                    _do(pool, {}, records, bar)
                    if progress:
                        say(f"Interrupted. The same call goes on from {folder}.")
    return records.write_table()


def _jobs(plan: Plan, records: _Records, threads: int) -> dict[str, dict[str, Any]]:
    """A job for each run that has not finished."""
    jobs = {}
    for run in plan.runs:
        if records.status[run.name] != "waiting":
            continue
        job = job_of(run.task, run.network, run.seed, run.recipe, records.folder_of(run.name), plan.device, threads)
        if job is None:
            kinds = f"{type(run.task).__name__}, {type(run.network).__name__}"
            raise ValueError(
                f"`sweep`: another process cannot build {kinds}. Put your own classes into a module, and keep every "
                "argument of __init__ as an attribute of the same name."
            )
        jobs[run.name] = job
    return jobs


def _do(pool: Workers | RayWorkers, jobs: dict[str, dict[str, Any]], records: _Records, bar: _Bar) -> None:
    waiting = deque(jobs.items())
    while waiting or pool.busy:
        while waiting and pool.has_room:
            name, job = waiting.popleft()
            records.note(name, "begun")
            pool.submit(name, job)
        name, message = pool.next_message()
        if "step" in message:
            bar.at(name, message)
            continue
        if "error" in message:
            records.note(name, "failed", error=message["error"], traceback=message.get("traceback", ""))
        elif message["metrics"]["stopped"] == "interrupted":
            records.note(name, "interrupted")
        else:
            try:
                records.keep(name, message)
            except OSError as error:
                records.note(name, "failed", error=f"{type(error).__name__}: {error}")
        bar.over(name)


class _Records:
    """What is known of every run of a sweep, in memory and in the sweep's folder.

    runs/NAME/     the run folders, each whole or not there
    sweep.yaml     the file of the sweep
    log.jsonl      what happened to whom and when, a line each
    table.csv      a row a run (and table.parquet, where pyarrow is installed)
    """

    def __init__(self, plan: Plan, folder: Path):
        self.plan, self.folder = plan, folder
        self.runs = {run.name: run for run in plan.runs}
        self.status = dict.fromkeys(self.runs, "waiting")
        self.error = dict.fromkeys(self.runs, "")
        self.metrics: dict[str, dict[str, Any]] = {name: {} for name in self.runs}
        self._written = 0.0
        # a kill may have left a hidden file on its way to sweep.yaml
        visible = [p for p in folder.iterdir() if not p.name.startswith(".")] if folder.exists() else []
        if visible and not (folder / "sweep.yaml").exists():
            raise FileExistsError(f"`out`: {folder} exists and holds no sweep. Name an empty or a new folder.")
        for name in self.runs:
            if holds_run(self.folder_of(name)):
                self._take(name)

    def _take(self, name: str) -> None:
        """Count a run that is there as finished, if it is the one that is planned."""
        folder, planned = self.folder_of(name), self.runs[name]
        try:
            found = load(folder, [type(planned.task), type(planned.network)], False)
        except (ValueError, OSError) as error:
            raise ValueError(f"{error} Or delete the folder: the sweep then trains it again.") from None
        recipe = as_begun_in(folder, planned.task, planned.network, planned.recipe)
        others = differing(planned_config(planned.task, planned.network, planned.seed, recipe), found.config())
        if others:
            self.status[name] = "failed"
            self.error[name] = (
                f"{folder} holds a run of another config (other {', '.join(others)}). Move it away: "
                "the sweep then trains this one."
            )
        else:
            self.status[name], self.metrics[name] = "finished", found.metrics

    def folder_of(self, name: str) -> Path:
        """The folder of a run."""
        return self.folder / RUNS / name

    def open(self) -> None:
        """Make the folder; what says that it is a sweep's comes first, so that a kill leaves nothing that is not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_file(self.folder / "sweep.yaml", self.plan.text.encode())
        (self.folder / RUNS).mkdir(exist_ok=True)

    def note(self, name: str, event: str, **more: str) -> None:
        """Something happened to a run."""
        self.status[name], self.error[name] = event, more.get("error", "")
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S"), "run": name, "event": event, **more}
        with open(self.folder / "log.jsonl", "a") as f:
            f.write(json.dumps(line) + "\n")
        if event != "begun" and time.monotonic() - self._written > _SECONDS_BETWEEN_TABLES:
            self.write_table()

    def keep(self, name: str, message: dict[str, Any]) -> None:
        """A run has finished: its folder is there, or is written now."""
        if not holds_run(self.folder_of(name)):
            with locked(self.folder_of(name)):
                write_folder(self.folder_of(name), self._run(self.runs[name], message).files())
        self.metrics[name] = message["metrics"]
        self.note(name, "finished")

    def _run(self, planned: PlannedRun, message: dict[str, Any]) -> Run:
        training = begin(planned.task, planned.network, planned.seed, planned.recipe, None, "cpu")
        assert not isinstance(training, Run)
        training.run.network.load_state_dict(load_tensors(message["weights"]))
        return replace(training.run, history=pd.DataFrame(message["history"]), metrics=message["metrics"])

    def write_table(self) -> pd.DataFrame:
        """The table of all runs, in the order of the plan; written to the folder too."""
        rows = []
        for name, run in self.runs.items():
            settings = {k: run.settings.get(k) for k in self.plan.varied}
            row = {
                "run": name,
                "status": self.status[name],
                **settings,
                **self.metrics[name],
                "error": self.error[name],
            }
            rows.append({k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in row.items()})
        table = pd.DataFrame(rows)
        write_file(self.folder / "table.csv", as_csv(table))
        try:
            import pyarrow  # noqa: F401  # pyright: ignore[reportMissingImports]
        except ImportError:
            pass
        else:
            write_file(self.folder / "table.parquet", _parquet(table))
        self._written = time.monotonic()
        return table


def _parquet(table: pd.DataFrame) -> bytes:
    # a column of parquet has one type; settings may have several
    mixed = [c for c in table if table[c].dtype == object and len({type(v) for v in table[c].dropna()}) > 1]
    data = table.astype({c: str for c in mixed}).to_parquet(index=False)
    assert data is not None
    return data


class _Bar:
    """One progress bar, in runs."""

    def __init__(self, plan: Plan, records: _Records, show: bool):
        self.records, self.steps = records, {run.name: run.recipe.steps for run in plan.runs}
        done = sum(status == "finished" for status in records.status.values())
        self._bar = progress_bar(
            total=len(plan.runs), initial=done, desc="Training the sweep", show=show, unit="runs", delay=0
        )
        self._at: dict[str, int] = {}

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.close()

    def at(self, name: str, message: dict[str, Any]) -> None:
        """A run is at this step."""
        self._at[name] = message["step"]
        share = ", ".join(f"{step / self.steps[n]:.0%}" for n, step in list(self._at.items())[:8])
        self._bar.set_postfix_str(f"{self._failed()}in training: {share}")

    def over(self, name: str) -> None:
        """A run has ended."""
        self._at.pop(name, None)
        self._bar.update()
        self._bar.set_postfix_str(self._failed())

    def _failed(self) -> str:
        failed = Counter(self.records.status.values())["failed"]
        return f"{failed} failed, " if failed else ""

"""train_population(): many networks on one task, each as if it were trained alone."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import re
import sys
import warnings
from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import load as load_tensors

from conjugacy._check import check_choice, check_flag, check_int, check_list, shown
from conjugacy._config import describe, plain
from conjugacy._progress import progress_bar, say
from conjugacy._threads import cores, torch_threads
from conjugacy.networks.network import Network
from conjugacy.populations.processes import Workers, job_of
from conjugacy.populations.stacked import fit_stacked, group_of
from conjugacy.runs.folder import as_folder
from conjugacy.runs.lock import not_yet
from conjugacy.runs.run import Run
from conjugacy.tasks.task import Task
from conjugacy.training.begin import begin
from conjugacy.training.check_training import check_training
from conjugacy.training.interrupts import Interrupts, interrupts
from conjugacy.training.recipe import Recipe
from conjugacy.training.train import fit
from conjugacy.training.training import Training
from conjugacy.training.transfer import network_beside

_LONGEST_NAME = 100


class FailedTrainings(RuntimeError):
    """Some trainings of a population failed in their processes.

    Attributes
    ----------
    runs : list of Run
        The trainings that ended all the same.
    """

    def __init__(self, message: str, runs: list[Run]):
        super().__init__(message)
        self.runs = runs


def train_population(
    task: Task,
    network: Network | None = None,
    seeds: Iterable[int] = range(16),
    vary: Mapping[str, Sequence[Any]] | None = None,
    *,
    recipe: Recipe | None = None,
    out: str | Path | None = None,
    keep: Sequence[int] | str | None = None,
    start: Run | None = None,
    device: str = "cpu",
    stacked: bool | None = None,
    workers: int | None = None,
    progress: bool = True,
    **settings: Any,
) -> list[Run]:
    """Train many networks on a task, each as `train` would train it alone.

    Every network has its own seed, and so its own weights, trials, noise, best weights and stop.

    Parameters
    ----------
    task : Task
        What to learn.
    network : Network
        What learns. It is copied for every member. Left out where there is a `start`.
    seeds : iterable of int
        Seeds of the members.
    vary : mapping of str to sequence, optional
        Settings of the network or of the recipe that differ between members, with their values, for example
        ``{"latent_size": [32, 64], "learning_rate": [3e-3, 1e-2]}``. Every combination of values is trained with every
        seed.
    recipe : Recipe, optional
        How to train; by default the recipe of the task.
    out : path, optional
        Folder for the runs, a folder each. The same call resumes an interrupted population, and does not repeat members
        that have finished. A population may grow: members that are there already are taken as they are.
    keep : list of int or "log", optional
        Steps after which the weights of every member are kept in its folder, see `train`.
    start : Run, optional
        Every member goes on from the weights of this run, with trials and noise of its own seed, see `train`. Such
        members are trained in this process.
    device : str
        "cpu", "cuda", ...
    stacked : bool, optional
        Train networks of one shape as one, with batched matrix products. By default where the device is not the CPU:
        there, our own kernels in one process a core are faster (docs/populations.md).
    workers : int, optional
        Processes that train members side by side where they are not stacked, on a thread each; by default one a core.
        With 1 all are trained here, one after the other, and so are networks that another process could not make: those
        that have weights already, and those of classes that cannot be imported (of a notebook).
    progress : bool
        Show one progress bar.
    **settings
        Single settings of the recipe, for all members.

    Returns
    -------
    list of Run
        For each combination of `vary`, in order, a run for each seed. Ctrl-C ends all and returns the best so far, as
        `train` does; ``run.metrics["stopped"]`` says how each one ended.

    Raises
    ------
    ValueError
        If a setting or value is not one that network or recipe takes; nothing has been trained then.
    RuntimeError
        If the training of a member fails, or its process dies (for lack of memory, say). The others are trained to
        their end first: they are in the error's attribute `runs`, and in `out`.
    """
    if start is not None:
        network = network_beside(start, network)
    recipe = check_training(task, network, recipe, progress, settings)
    assert network is not None
    if stacked is not None:
        stacked = check_flag("stacked", stacked)
    if vary is not None and not isinstance(vary, Mapping):
        raise TypeError(f"`vary`: expected a dict of lists of values, got {shown(vary)}.")
    seeds = check_list("seeds", seeds, "integers >= 0", 0)
    if workers is not None:
        workers = check_int("workers", workers, 1)
    vary = {
        name: plain("vary", getattr(values, "tolist", lambda v=values: v)()) for name, values in (vary or {}).items()
    }
    members = _members(task, network, seeds, vary, recipe, out, device, keep, start)
    runs = {i: m for i, m in enumerate(members) if isinstance(m, Run)}
    left = {i: m for i, m in enumerate(members) if isinstance(m, Training)}
    with _Bar(members, progress) as bar:
        try:
            if device != "cpu" if stacked is None else stacked:
                _fit_stacked(left, runs, bar)
            n_workers = min(len(left), workers or (cores() if device == "cpu" else 1))
            if n_workers > 1 and not network.input_size and start is None:
                _fit_side_by_side(left, runs, n_workers, bar)
            _fit_in_turn(left, runs, bar)
        except KeyboardInterrupt:
            if progress:
                say("Interrupted: the best weights so far are kept.")
    for i, training in left.items():  # whose turn did not come
        training.stopped = training.stopped or "interrupted"
        runs[i] = training.end()
    for run in runs.values():
        if run.metrics["stopped"] == "diverged":
            warnings.warn(
                f"training {run.name} with seed {run.seed} diverged at step {run.metrics['steps']}: its loss was not "
                "finite. Its best weights so far are kept. Try a smaller learning_rate.",
                stacklevel=2,
            )
    return [runs[i] for i in range(len(members))]


def _members(
    task: Task,
    network: Network,
    seeds: list[int],
    vary: dict[str, Sequence[Any]],
    recipe: Recipe,
    out: str | Path | None,
    device: str,
    keep: Any,
    start: Run | None,
) -> list[Training | Run]:
    """The members, each as `train` begins it, after all that can go wrong has been checked."""
    if not seeds:
        raise ValueError("`seeds`: expected at least one seed, got none.")
    seeds = [check_int("seeds", seed, 0) for seed in seeds]
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"`seeds`: expected each seed once, got {seeds}. Equal seeds give equal networks.")
    of_network = _check_vary(network, vary)
    if start is not None and of_network & set(vary):
        raise ValueError(
            f"`vary`: {', '.join(sorted(of_network & set(vary)))} cannot be varied beside `start`, whose network is "
            "taken. Vary settings of the recipe."
        )
    plans = []
    for values in itertools.product(*vary.values()):
        chosen = dict(zip(vary, values))
        made = _with(network, {k: v for k, v in chosen.items() if k in of_network})
        how = replace(recipe, **{k: v for k, v in chosen.items() if k not in of_network})
        plans += [(made, how, chosen, seed) for seed in seeds]
    names = [member_name({**chosen, "seed": seed}) for _, _, chosen, seed in plans]
    folders = [None if out is None else as_folder("out", out) / name for name in names]
    return [
        begin(task, made, seed, how, folder, device, keep, start)
        for (made, how, _, seed), folder in zip(plans, folders)
    ]


def _check_vary(network: Network, vary: dict[str, Sequence[Any]]) -> set[str]:
    """The varied settings that are the network's; the others are the recipe's."""
    of_network, of_recipe = list(inspect.signature(type(network)).parameters), Recipe.names()
    for name, values in vary.items():
        check_choice(
            "vary", name, [*of_network, *of_recipe], f"These are settings of {type(network).__name__} or Recipe."
        )
        if name in of_network and name in of_recipe:
            raise ValueError(f"`vary`: {name!r} is a setting of {type(network).__name__} and of Recipe. Vary another.")
        if isinstance(values, str) or not isinstance(values, Sequence) or not len(values):
            raise ValueError(f"`vary`: expected a list of values for {name!r}, got {values!r}.")
    chosen = set(vary) & set(of_network)
    if chosen and network.input_size:
        raise ValueError(
            f"`vary`: {', '.join(sorted(chosen))} cannot be varied, the network has weights already. Give one without."
        )
    return chosen


def _with(network: Network, changes: dict[str, Any]) -> Network:
    """The same network with other settings."""
    if not changes:
        return network
    return type(network)(**{**describe(network)["args"], **changes})


def member_name(chosen: Mapping[str, Any]) -> str:
    """A name for a folder: what makes one network different from others, ``latent_size=64,seed=3``."""
    name = ",".join(f"{k}={v}" for k, v in chosen.items())
    safe = re.sub(r"[^\w.,=+-]", "_", name)
    if safe == name and len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(json.dumps(dict(chosen), sort_keys=True, default=str).encode()).hexdigest()
    return f"{safe[:_LONGEST_NAME]}-{digest[:8]}"


class _Bar:
    """One progress bar for all members, in gradient steps."""

    def __init__(self, members: Sequence[Training | Run], show: bool):
        going = [m for m in members if isinstance(m, Training)]
        self._at = {id(t): t.state.step for t in going}
        self._left, self._total = len(going), len(members)
        some = members[0].run if isinstance(members[0], Training) else members[0]
        self._bar = progress_bar(
            total=sum(t.recipe.steps for t in going),
            initial=sum(self._at.values()),
            desc=f"Training {len(members)} x {type(some.network).__name__} on {some.task.name}",
            show=show,
            unit="steps",
            delay=0,
        )

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.close()

    def at(self, training: Training, step: int, over: bool) -> None:
        """A member is at this step, or is over: then the steps it did not need are left out of the total."""
        self._bar.update(step - self._at[id(training)])
        self._at[id(training)] = step
        if over:
            self._left -= 1
            self._bar.total -= training.recipe.steps - step
            self._bar.set_postfix_str(f"{self._total - self._left} of {self._total} trained")

    def count_step(self, training: Training) -> None:
        """Count a step that a member has taken in this process."""
        self.at(training, training.state.step, bool(training.stopped))


def _fit_stacked(left: dict[int, Training], runs: dict[int, Run], bar: _Bar) -> None:
    """Train those that can be stacked, group by group; move them from `left` to `runs`."""
    groups: dict[Hashable, list[int]] = {}
    for i, training in left.items():
        group = group_of(training)
        if group is not None:
            groups.setdefault(group, []).append(i)
    for members in groups.values():
        with ExitStack() as stack, interrupts() as pressed:
            for i in members:
                found = stack.enter_context(left[i].alone_in_folder(not_yet))
                if found is not None:
                    runs[i] = found
                    bar.at(left.pop(i), found.metrics["steps"], over=True)

            def after_step(training: Training, pressed: Interrupts = pressed) -> None:
                bar.count_step(training)
                pressed.check()

            ours = [left[i] for i in members if i in left]
            try:
                if ours:
                    fit_stacked(ours, after_step)
            finally:
                _end([i for i in members if i in left], left, runs, pressed)


def _fit_side_by_side(left: dict[int, Training], runs: dict[int, Run], n_workers: int, bar: _Bar) -> None:
    """Train those that another process can make, in processes; move them from `left` to `runs`."""
    threads = max(1, cores() // n_workers)
    jobs = {
        i: job_of(
            t.run.task,
            t.run.network,
            t.run.seed,
            t.recipe,
            t.folder,
            t.device,
            threads,
            None if t.run.kept is None else t.run.kept.steps,
        )
        for i, t in left.items()
    }
    waiting = deque((i, job) for i, job in jobs.items() if job is not None)

    failed: dict[int, str] = {}

    def receive(pool: Workers) -> None:
        i, message = pool.next_message()
        if "step" in message:
            bar.at(left[i], message["step"], over=False)
        elif "error" in message:
            failed[i] = message["error"]
        else:
            runs[i] = _received(left[i], message)
            bar.at(left.pop(i), runs[i].metrics["steps"], over=True)

    with Workers(n_workers, threads) as pool:
        try:
            while waiting or pool.busy:
                while waiting and pool.has_room:
                    pool.submit(*waiting.popleft())
                receive(pool)
        except KeyboardInterrupt:
            pool.interrupt()
            while pool.busy:
                receive(pool)
            if not failed:
                raise
    if failed:
        first = next(iter(failed))
        more = f" (and {len(failed) - 1} more failed)" if len(failed) > 1 else ""
        raise FailedTrainings(
            f"the training of {_name_and_seed(left[first])} failed: {failed[first]}{more} The others have ended: they "
            "are in the attribute `runs` of this error, and in the folder `out` if there is one.",
            list(runs.values()),
        )


def _fit_in_turn(left: dict[int, Training], runs: dict[int, Run], bar: _Bar) -> None:
    """Train one after the other, here; move them from `left` to `runs`."""
    for i, training in list(left.items()):
        with training.alone_in_folder(not_yet) as found, interrupts() as pressed:
            if found is not None:
                runs[i] = found
                bar.at(left.pop(i), found.metrics["steps"], over=True)
                continue

            def after_step(training: Training, pressed: Interrupts = pressed) -> None:
                bar.count_step(training)
                pressed.check()

            try:
                with torch_threads(training.n_threads):
                    fit(training, after_step)
            finally:
                _end([i], left, runs, pressed)


def _end(members: list[int], left: dict[int, Training], runs: dict[int, Run], pressed: Interrupts) -> None:
    """End trainings whose folders are held; those that an exception has broken off keep a checkpoint."""
    for i in members:
        training = left[i]
        failed = sys.exc_info()[0]
        if failed is not None:
            training.interrupt(in_a_step=pressed.count > 1 or failed is not KeyboardInterrupt)
        if failed is None or failed is KeyboardInterrupt:
            runs[i] = left.pop(i).end()


def _received(training: Training, message: dict[str, Any]) -> Run:
    """The run that another process made of a training."""
    run = training.run
    run.network.load_state_dict(load_tensors(message["weights"]))
    run.network.cpu().eval()
    kept = None if run.kept is None else run.kept.found(run.config())
    return replace(run, history=pd.DataFrame(message["history"]), metrics=message["metrics"], kept=kept)


def _name_and_seed(training: Training) -> str:
    return f"{training.run.name} with seed {training.run.seed}"

"""Trials of recordings, runs and systems brought into pairs, for measures that compare step with step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from conjugacy._check import check_choice, shown
from conjugacy.recordings import averages
from conjugacy.recordings.recording import Recording
from conjugacy.runs.run import Run
from conjugacy.system import System
from conjugacy.trials import Trials

MATCHES = ("condition", "inputs", "index")


@dataclass(frozen=True, eq=False)
class Matched:
    """Systems whose trials are paired, and in words how."""

    systems: tuple[System, ...]
    text: str


def check_dt(systems: Sequence[System], runs: Sequence[str] = ()) -> None:
    """Raise ValueError unless all systems that have a time step have the same one; `runs` names those that are runs."""
    timed = [(s, s.dt) for s in systems if s.dt is not None]
    for b, dt in timed[1:]:
        a, first = timed[0]
        if abs(dt - first) > 1e-9 * first:
            other = a if b.name in runs else b
            wanted = dt if other is a else first
            raise ValueError(
                f"`things`: expected one time step, got {a.dt:g} s ({a.name}) and {b.dt:g} s ({b.name}). Either bring "
                f"the recording to the other's steps, recording.resample({wanted:g}) or .bin(...), or "
                f"use a network trained on a task with dt={other.dt:g}."
            )


def match_trials(things: Sequence[Any], names: Sequence[str], trials: Trials | None, match: Any) -> Matched:
    """Pair the trials of all things.

    Parameters
    ----------
    things : sequence of Recording, Run or System
    names : sequence of str
    trials : Trials or None
        What runs are run on, where conditions are matched.
    match : {"condition", "inputs", "index"}, sequence of index sequences (one for each thing), or None
        "condition": averages of each condition with those of the same label, cut to the shorter one. "inputs": networks
        are driven by the inputs of the one recording that has some. "index": trial k with trial k. None: by condition
        where all have some, else by inputs where they are known.

    Raises
    ------
    TypeError, ValueError
        If trials cannot be matched in this way; the message names the others.
    """
    if match is None:
        match = _way(things, trials)
    if isinstance(match, str):
        check_choice("match", match, MATCHES, "Or give a list of indices of trials for each.")
        ways = {"condition": _by_condition, "inputs": _by_inputs, "index": _by_index}
        return ways[match](things, names, trials)
    if not isinstance(match, Sequence) or len(match) != len(things):
        raise TypeError(
            f"`match`: expected a list of indices for each of the {len(things)} things, got {shown(match)}."
        )
    systems = [_system(t, n, trials) for t, n in zip(things, names)]
    counts = {len(m) for m in match}
    if len(counts) > 1:
        raise ValueError(f"`match`: expected as many trials of each, got {', '.join(str(len(m)) for m in match)}.")
    picked = [_picked(s, np.asarray(m, dtype=np.int64)) for s, m in zip(systems, match)]
    return Matched(_cut(picked), f"{counts.pop()} trials, by the indices given")


def _way(things: Sequence[Any], trials: Trials | None) -> str:
    if all(_labels(t, trials) is not None for t in things):
        return "condition"
    with_inputs = [t for t in things if isinstance(t, Recording) and t.inputs is not None]
    if len(with_inputs) == 1 and all(isinstance(t, Run) or t is with_inputs[0] for t in things):
        return "inputs"
    lacking = [t.name for t in things if _labels(t, trials) is None]
    raise ValueError(
        f"`match`: expected a way to pair trials for measures that need it, got None, and {', '.join(lacking)} has no "
        "conditions. Give conditions= or inputs= with the recording, or match='index' or lists of indices, or use "
        "measures that pair nothing, such as 'dsa'."
    )


def _labels(thing: Any, trials: Trials | None) -> np.ndarray | None:
    if isinstance(thing, Recording):
        return thing.conditions
    if isinstance(thing, Run) and trials is not None:
        found = trials.conditions.numpy()
        return found if len(np.unique(found)) > 1 else None
    return None


def _system(thing: Any, name: str, trials: Trials | None) -> System:
    if isinstance(thing, Recording):
        return thing.system(name)
    system = thing.system("test" if trials is None else trials) if isinstance(thing, Run) else thing
    return (
        system
        if system.name == name
        else System(name, system.trajectories, system.inputs, system.lengths, dt=system.dt)
    )


def _by_condition(things: Sequence[Any], names: Sequence[str], trials: Trials | None) -> Matched:
    labels: list[np.ndarray] = []
    for name, thing in zip(names, things):
        found = _labels(thing, trials)
        if found is None:
            raise ValueError(f"`match`: expected conditions to match by, got none for {name}. Use match='index'.")
        labels.append(np.asarray(found))
    shared = [c for c in map(str, np.unique(labels[0])) if all(c in set(map(str, found)) for found in labels[1:])]
    if len(shared) < 2:
        lists = "; ".join(f"{n}: {', '.join(map(str, np.unique(f)[:8]))}" for n, f in zip(names, labels))
        raise ValueError(f"`match`: expected at least 2 conditions that all share, got {len(shared)} ({lists}).")
    systems = []
    for thing, name, found in zip(things, names, labels):
        system = _system(thing, name, trials)
        own = np.array([shared.index(str(c)) if str(c) in shared else -1 for c in found])
        x, lengths = system.trajectories.double().numpy(), system.lengths.numpy()
        means = averages.group_means(x[own >= 0], lengths[own >= 0], own[own >= 0])
        systems.append(System(name, torch.from_numpy(means.mean), None, torch.from_numpy(means.lengths), dt=system.dt))
    return Matched(
        _cut(systems), f"means of {len(shared)} conditions: {', '.join(shared[:8])}{', ...' * (len(shared) > 8)}"
    )


def _by_inputs(things: Sequence[Any], names: Sequence[str], trials: Trials | None) -> Matched:
    with_inputs = [t for t in things if isinstance(t, Recording) and t.inputs is not None]
    if len(with_inputs) != 1:
        raise ValueError(
            f"`match`: expected one recording with inputs, got {len(with_inputs)}. Give from_counts(inputs=)."
        )
    recording = with_inputs[0]
    systems = []
    for thing, name in zip(things, names):
        if isinstance(thing, Run):
            driven = thing.drive(recording.inputs, recording.lengths)
            systems.append(System(name, driven.trajectories, driven.inputs, driven.lengths, dt=driven.dt))
        else:
            systems.append(_system(thing, name, trials))
    text = f"{recording.n_trials} trials, networks driven by the inputs of {recording.name}"
    return Matched(_by_number(systems), text)


def _by_index(things: Sequence[Any], names: Sequence[str], trials: Trials | None) -> Matched:
    systems = _by_number([_system(t, n, trials) for t, n in zip(things, names)])
    return Matched(systems, f"{systems[0].n_trials} trials, by their number")


def _by_number(systems: Sequence[System]) -> tuple[System, ...]:
    counts = [s.n_trials for s in systems]
    if len(set(counts)) > 1:
        found = ", ".join(f"{n} ({s.name})" for n, s in zip(counts, systems))
        raise ValueError(f"`match`: expected as many trials of each, got {found}. Give lists of indices, or select.")
    return _cut(systems)


def _picked(system: System, which: np.ndarray) -> System:
    if len(which) == 0 or which.min() < 0 or which.max() >= system.n_trials:
        raise ValueError(
            f"`match`: expected indices in [0, {system.n_trials - 1}] for {system.name}, got {shown(which)}."
        )
    inputs = None if system.inputs is None else system.inputs[which]
    return System(system.name, system.trajectories[which], inputs, system.lengths[which], dt=system.dt)


def _cut(systems: Sequence[System]) -> tuple[System, ...]:
    """The systems with every trial as short as the shortest of its partners."""
    lengths = torch.stack([s.lengths for s in systems]).amin(0)
    t = int(lengths.max())
    inside = (torch.arange(t) < lengths[:, None])[..., None]
    return tuple(
        System(
            s.name,
            torch.where(inside, s.trajectories[:, :t].double(), 0.0),
            None if s.inputs is None else s.inputs[:, :t],
            lengths.clone(),
            dt=s.dt,
        )
        for s in systems
    )

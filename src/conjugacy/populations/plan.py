"""What a sweep is to train: a file of settings, some with alternatives, as a list of runs.

A list is a choice between alternatives; a value that is itself a list goes into another list. In a random search a
setting may also have a range: ``{uniform: [low, high]}``, ``{log_uniform: [low, high]}``, ``{integers: [low, high]}``.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from conjugacy._check import check_choice, check_int, check_number, check_optional, shown
from conjugacy._files import read_file
from conjugacy._notes import one_line
from conjugacy.networks.network import Network
from conjugacy.runs.classes import check_classes, class_named, has_role
from conjugacy.runs.trial_sets import derive_seed
from conjugacy.tasks.task import Task, input_size, output_size
from conjugacy.training.recipe import Recipe

_KEYS = ("task", "network", "recipe", "seeds", "samples", "search_seed", "out", "device")
_RANGES = ("uniform", "log_uniform", "integers")
_GRID, _PARTS = "grid", ("task", "network", "recipe")
_MOST_RUNS, _MOST_VALUES = 100_000, 1_000_000


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Attributes
    ----------
    name : str
        Of its folder. Made of the settings that the file names for it, so it stays the same when a sweep grows.
    settings : dict
        Those settings, by dotted names ("network.latent_size"), and "seed".
    task, network, recipe, seed
        What `conjugacy.train` takes.
    """

    name: str
    settings: dict[str, Any]
    task: Task
    network: Network
    recipe: Recipe
    seed: int


@dataclass(frozen=True)
class Plan:
    """A sweep: every run of it, built and found possible.

    Attributes
    ----------
    runs : list of PlannedRun
    varied : list of str
        Settings that differ between runs, "seed" among them.
    out : str or None
        Folder that the file names.
    device : str
    text : str
        The file.
    """

    runs: list[PlannedRun]
    varied: list[str]
    out: str | None
    device: str
    text: str

    @classmethod
    def read(cls, file: str | Path, classes: Iterable[type] = ()) -> Plan:
        """The sweep that a yaml (or json) file describes; see docs/sweeps.md.

        Parameters
        ----------
        file : path
        classes : iterable of classes
            Task and network classes of your own that the file may name; it can name no others but those of conjugacy.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no yaml, or names what does not exist, or gives a setting a value that it does not take. One line,
            with the file and where in it.
        """
        file = Path(file)
        if not file.is_file():
            raise FileNotFoundError(f"`file`: {file} does not exist. Give the yaml file of a sweep.")
        try:
            return cls.parse(read_file(file).decode("utf-8-sig"), classes)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None

    @classmethod
    def parse(cls, text: str, classes: Iterable[type] = ()) -> Plan:
        """The sweep that a yaml text describes; see `read`."""
        try:
            config = yaml.load(text, _Loader)
        except (yaml.YAMLError, RecursionError, TypeError, OverflowError) as error:
            raise ValueError(f"not a yaml file ({one_line(error)}).") from None
        _check_size(config)
        return cls.of(config, text, classes)

    @classmethod
    def of(cls, config: Any, text: str | None = None, classes: Iterable[type] = ()) -> Plan:
        """The sweep that a mapping of the same form describes; see `read`."""
        own = _own_classes(classes)
        check_optional("text", text, str)
        if not isinstance(config, Mapping):
            raise ValueError(f"`config`: expected a dict with the keys task, network and so on, got {shown(config)}.")
        for key in config:
            check_choice("sweep", key, _KEYS, "These are the keys of a sweep.")
        for key in ("task", "network"):
            if key not in config:
                raise ValueError(f"`{key}`: missing. Name a class, for example {key}: {{class: {_example(key)}}}.")
        seeds = _seeds(config.get("seeds", [0]))
        samples = config.get("samples", _GRID)
        parts = {part: _alternatives(part, {} if config.get(part) is None else config[part], own) for part in _PARTS}
        if samples == _GRID:
            n = math.prod(_n_combinations(alternatives) for alternatives in parts.values())
            check_int("sweep", n * len(seeds), 1, _MOST_RUNS, hint="It is the number of runs of the grid.")
            chosen = [
                dict(itertools.chain(*(part.items() for part in c)))
                for c in itertools.product(*map(_grid, parts.values()))
            ]
        else:
            n = check_int("samples", samples, 1, hint="It is the number of draws of a random search.")
            check_int("samples", n * len(seeds), 1, _MOST_RUNS, hint="It is the number of runs, all seeds together.")
            search_seed = check_int("search_seed", config.get("search_seed", 0), 0)
            chosen = [_sample(parts, search_seed, k) for k in range(n)]
        made = [_build(settings, own) for settings in chosen]
        runs = [
            PlannedRun(_name(task, network, settings, seed), {**settings, "seed": seed}, task, network, recipe, seed)
            for settings, (task, network, recipe) in zip(chosen, made)
            for seed in seeds
        ]
        runs = list({run.name: run for run in runs}.values())  # a random search may draw the same twice
        names = list(dict.fromkeys(name for run in runs for name in run.settings))
        plain = [{k: json.dumps(v, default=str) for k, v in run.settings.items()} for run in runs]
        varied = [name for name in names if name == "seed" or len({each.get(name) for each in plain}) > 1]
        out, device = config.get("out"), config.get("device", "cpu")
        for key, value in (("out", out), ("device", device)):
            if value is not None and not isinstance(value, str):
                raise ValueError(f"`{key}`: expected text, got {value!r}.")
        return cls(runs, varied, out, device, text if text is not None else json.dumps(config, indent=2, default=str))


def _seeds(seeds: Any) -> list[int]:
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        hint = "It is a number of seeds, or a list of them."
        seeds = list(range(check_int("seeds", check_int("seeds", seeds, 1, hint=hint), 1, _MOST_RUNS, hint)))
    if not isinstance(seeds, list) or not seeds:
        raise ValueError(f"`seeds`: expected a number of seeds or a list of them, got {seeds!r}.")
    seeds = [check_int("seeds", seed, 0) for seed in seeds]
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"`seeds`: expected each seed once, got {seeds}.")
    return seeds


def _alternatives(part: str, given: Any, own: list[type]) -> list[dict[str, Any]]:
    """What stands under `part`, each alternative with its settings under dotted names, all of which exist."""
    alternatives, listed = [], []
    for i, one in enumerate(given if isinstance(given, list) else [given]):
        where = f"{part}[{i}]" if isinstance(given, list) else part
        if isinstance(one, str) and part != "recipe":
            one = {"class": one}
        if isinstance(one, Mapping) and isinstance(one.get("class"), list):
            listed += [(where, {**one, "class": kind}) for kind in one["class"]]
        else:
            listed.append((where, one))
    for where, one in listed:
        if not isinstance(one, Mapping):
            raise ValueError(f"`{where}`: expected settings as a mapping, got {one!r}.")
        if part == "recipe":
            names = Recipe.names()
        elif "class" not in one:
            raise ValueError(f"`{where}.class`: missing. Name one, for example {_example(part)}.")
        else:
            names = list(inspect.signature(class_named(where, part, one["class"], own)).parameters)
        for name, value in one.items():
            if name == "class" and part != "recipe":
                continue
            owner = "Recipe" if part == "recipe" else one["class"]
            check_choice(where, name, names, f"These are the settings of {owner}.")
            _check_range(f"{where}.{name}", value)
        alternatives.append({f"{part}.{name}": value for name, value in one.items()})
    if not alternatives:
        raise ValueError(f"`{part}`: expected at least one alternative, got an empty list.")
    return alternatives


def _example(part: str) -> str:
    return {"task": "NBitFlipFlop", "network": "GRU"}[part]


def _own_classes(classes: Iterable[type]) -> list[type]:
    """The classes that the user has given, each of which is a task or a network."""
    own = check_classes("classes", classes)
    for kind in own:
        if not (has_role(kind, "task") or has_role(kind, "network")):
            raise TypeError(f"`classes`: expected classes of tasks and networks, got {kind!r}.")
    return own


def _check_range(where: str, value: Any) -> None:
    if isinstance(value, list) and not value:
        raise ValueError(f"`{where}`: expected at least one alternative, got an empty list.")
    if not (isinstance(value, Mapping) and len(value) == 1 and set(value) <= set(_RANGES)):
        return
    ((kind, ends),) = value.items()
    if not isinstance(ends, list) or len(ends) != 2:
        raise ValueError(f"`{where}.{kind}`: expected [low, high], got {ends!r}.")
    low, high = (check_number(f"{where}.{kind}", end) for end in ends)
    if not low < high:
        raise ValueError(f"`{where}.{kind}`: expected low < high, got {ends!r}.")
    if kind == "log_uniform" and low <= 0:
        raise ValueError(f"`{where}.{kind}`: expected low > 0, got {ends!r}.")
    if kind == "integers" and not all(isinstance(end, int) for end in ends):
        raise ValueError(f"`{where}.{kind}`: expected integers, got {ends!r}.")


def _is_range(value: Any) -> bool:
    return isinstance(value, Mapping) and len(value) == 1 and set(value) <= set(_RANGES)


def _n_combinations(alternatives: list[dict[str, Any]]) -> int:
    return sum(math.prod(len(v) for v in one.values() if isinstance(v, list)) for one in alternatives)


def _grid(alternatives: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every combination of the values of every alternative."""
    combinations = []
    for one in alternatives:
        for name, value in one.items():
            if _is_range(value):
                raise ValueError(f"`{name}`: a range needs a random search. Add `samples: 20`, or list the values.")
        values = [v if isinstance(v, list) else [v] for v in one.values()]
        combinations += [dict(zip(one, chosen)) for chosen in itertools.product(*values)]
    return combinations


def _sample(parts: dict[str, list[dict[str, Any]]], search_seed: int, k: int) -> dict[str, Any]:
    """Draw k: every setting has a generator of its own, so that more draws or settings leave it as it is."""
    drawn = {}
    for part, alternatives in parts.items():
        one = alternatives[int(_generator(search_seed, part, k).integers(len(alternatives)))]
        drawn |= {name: _draw(value, _generator(search_seed, name, k)) for name, value in one.items()}
    return drawn


def _generator(search_seed: int, name: str, k: int) -> np.random.Generator:
    return np.random.default_rng(derive_seed(search_seed, name, k))


def _draw(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, list):
        return value[int(rng.integers(len(value)))]
    if not _is_range(value):
        return value
    ((kind, (low, high)),) = value.items()
    if kind == "integers":
        return int(rng.integers(low, high, endpoint=True))
    if kind == "uniform":
        return float(rng.uniform(low, high))
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _build(settings: dict[str, Any], classes: list[type]) -> tuple[Task, Network, Recipe]:
    """Task, network and recipe of these settings; an error names the part whose settings are not taken."""
    given = {part: {k.split(".", 1)[1]: v for k, v in settings.items() if k.startswith(f"{part}.")} for part in _PARTS}
    built: dict[str, Any] = {}
    for part in ("task", "network"):
        kind = class_named(part, part, given[part].pop("class"), classes)
        with_values = ", ".join(f"{k}={v!r}" for k, v in given[part].items())
        try:
            built[part] = kind(**given[part])
        except Exception as error:
            why = one_line(error)
            raise ValueError(f"`{part}`: {kind.__name__}({with_values}) is refused: {why}") from None
    try:
        recipe = replace(Recipe.for_task(built["task"], built["network"]), **given["recipe"])
    except (ValueError, TypeError) as error:
        raise ValueError(f"`recipe`: {error}") from None
    if not input_size(built["task"]) or not output_size(built["task"]):
        raise ValueError(f"`task`: {built['task'].name} has no inputs or no outputs.")
    return built["task"], built["network"], recipe


def _name(task: Task, network: Network, settings: dict[str, Any], seed: int) -> str:
    digest = hashlib.sha256(json.dumps({**settings, "seed": seed}, sort_keys=True, default=str).encode()).hexdigest()
    kind = f"{type(network).__name__}-{network.latent_size}_{task.name}_seed={seed}"
    return f"{re.sub(r'[^A-Za-z0-9_=.+-]', '_', kind)[:100]}_{digest[:8]}"


def _check_size(config: Any) -> None:
    """Refuse what is small as a text and endless when it is read: aliases of aliases."""
    left, n = [config], 0
    while left:
        value = left.pop()
        n += 1
        if n > _MOST_VALUES:
            raise ValueError(f"holds more than {_MOST_VALUES} values, those behind aliases counted.")
        left += value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else []


class _Loader(yaml.SafeLoader):
    """Plain yaml values, but 1e-3 is a number, and a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for i, key in enumerate(keys):
            if key in keys[:i]:
                line = node.value[i][0].start_mark.line + 1
                raise ValueError(f"line {line}: {key!r} stands there twice.")
        return super().construct_mapping(node, deep)


# as in json; plain yaml takes 1e-3 for text
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)

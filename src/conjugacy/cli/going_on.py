"""What a folder holds whose training was interrupted, and the command that goes on from there."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def interrupted(folder: Path) -> str | None:
    """The state of the training that was interrupted in `folder` in words; None where there is none."""
    from conjugacy.runs.folder import CONFIG
    from conjugacy.training.checkpoint import FILE, config_in, progress_in

    if (folder / CONFIG).exists() or not (folder / FILE).exists():
        return None
    config, progress = config_in(folder), progress_in(folder)
    if not isinstance(config, dict) or not isinstance(progress, dict):
        return None
    most = config.get("recipe", {}).get("steps", "?")
    head = f"{folder}: a training that was interrupted at step {progress.get('step')} of at most {most}; no run yet."
    return "\n".join([head, "This command goes on from there:", "", f"  {command(config, folder)}"])


def command(config: Mapping[str, Any], folder: Path) -> str:
    """The command line that trains by this config: what differs from the defaults is said."""
    from conjugacy._config import build
    from conjugacy.runs.classes import known_classes
    from conjugacy.training.recipe import Recipe

    words = ["conjugacy", "train"]
    for part in ("task", "network"):
        entry = config.get(part, {})
        words += [f"--{part}", str(entry.get("class"))]
        known = {c.__name__: c for c in known_classes()}
        defaults = _defaults(known.get(entry.get("class")))
        for name, value in entry.get("args", {}).items():
            if value is not None and defaults.get(name) != value:
                words += [f"--{part}.{name}", str(value)]
    usual: dict[str, Any] = {}
    with suppress(Exception):  # a class of the user's own
        task, network = (build(part, config[part], known_classes()) for part in ("task", "network"))
        usual = Recipe.for_task(task, network).as_dict()
    for name, value in config.get("recipe", {}).items():
        if usual.get(name) != value:
            words += [f"--recipe.{name}", str(value)]
    words += ["--seed", str(config.get("seed", 0)), "--out", str(folder)]
    return " ".join(map(shlex.quote, words))


def _defaults(kind: Any) -> dict[str, Any]:
    if kind is None:
        return {}
    return {n: p.default for n, p in inspect.signature(kind).parameters.items() if p.default is not p.empty}

"""Flags and config files that name an argument as an earlier version did."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conjugacy._notes import note
from conjugacy._renamed import ARGUMENTS, renewed


def renewed_flags(args: Sequence[str]) -> list[str]:
    """A command line with flags of today: `--task.OLD` becomes `--task.NEW`, with a note, and configs are renewed."""
    found, after = [], ""
    for word in args:
        flag, joined, value = word.partition("=")
        if flag == "--config" and joined:
            word = f"--config={_renewed_config(value)}"
        elif after == "--config":
            word = _renewed_config(word)
        else:
            word = _renewed_flag(flag) + joined + value
        found.append(word)
        after = flag if not joined else ""
    return found


def _renewed_flag(flag: str) -> str:
    for top in ("--task.", "--network."):
        for new_names in ARGUMENTS.values():
            new = new_names.get(flag.removeprefix(top))
            if flag.startswith(top) and new is not None:
                note(f"`{flag}` is called `{top}{new}` today; write that.", stacklevel=2)
                return top + new
    return flag


def _renewed_config(name: str) -> str:
    """The name of a config file, or its contents where an argument in it has a new name."""
    if not any(old in (text := _text(name)) for new_names in ARGUMENTS.values() for old in new_names):
        return name
    import yaml

    try:
        config: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        return name
    today = renewed(config)
    return name if today == config else json.dumps(today)


def _text(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""

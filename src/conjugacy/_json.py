"""Plain values as json text and back: strict about what is read, and with a hash that does not depend on the layout."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from conjugacy._config import plain


def dump(name: str, value: Any, indent: int | None = 2) -> str:
    """`value` as json; NumPy's numbers become Python's.

    Raises
    ------
    TypeError
        If something in it is no number, text, bool, None, list or dict; the message says what, from `name` on.
    """
    return json.dumps(plain(name, value), indent=indent)


def parse(source: str, data: bytes | str) -> Any:
    """The value that json text stands for.

    Raises
    ------
    ValueError
        If it is no json, or names a key twice; one line that begins with `source`.
    """
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        return json.loads(text, object_pairs_hook=_each_key_once)
    except RecursionError:
        raise ValueError(f"{source}: not json as it was written (nested too deeply).") from None
    except ValueError as error:
        raise ValueError(f"{source}: not json as it was written ({' '.join(str(error).split())}).") from None


def digest(value: Any) -> str:
    """SHA-256 of a json value, whatever its layout and the order of its keys."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _each_key_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:50]!r} stands there twice")
        found[key] = value
    return found

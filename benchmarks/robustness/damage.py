"""Ways to damage a file: bytes, json values, and what stands in its place."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Damage = tuple[str, Callable[[Path, random.Random], None]]

WRONG_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 1.5, -0.0, 1e308, 10**30, 2**63, "", "x", "1", "true", "NaN", "x" * 5000, "\u00fc",
    "../../evil", "a/b", [], {}, [1, 2, 3], [None], {"class": "GRU"}, {"class": "os.system", "args": {}}, [[[]]],
    float("nan"), float("inf"), {"class": "GRU", "args": {"latent_size": 5}}, "NBitFlipFlop", "0" * 64,
]  # fmt: skip


def of_bytes() -> list[Damage]:
    """Damage to any file."""

    def rewrite(change: Callable[[bytes, random.Random], bytes]) -> Callable[[Path, random.Random], None]:
        def do(path: Path, rng: random.Random) -> None:
            path.write_bytes(change(path.read_bytes(), rng))

        return do

    def flip(data: bytes, rng: random.Random) -> bytes:
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 4, 64))):
            if changed:
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        return bytes(changed)

    def other(data: bytes, rng: random.Random) -> bytes:
        if not data:
            return b"x"
        at = rng.randrange(len(data))
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]

    def cut(data: bytes, rng: random.Random) -> bytes:
        return data[: rng.choice((1, 7, 8, len(data) // 2, max(0, len(data) - 1), rng.randrange(len(data) + 1)))]

    def insert(data: bytes, rng: random.Random) -> bytes:
        at = rng.randrange(len(data) + 1)
        return data[:at] + rng.randbytes(rng.choice((1, 8, 1000))) + data[at:]

    def remove(data: bytes, rng: random.Random) -> bytes:
        at = rng.randrange(len(data) + 1)
        return data[:at] + data[at + rng.choice((1, 4, 100)) :]

    return [
        ("bytes flipped", rewrite(flip)),
        ("byte replaced", rewrite(other)),
        ("cut off", rewrite(cut)),
        ("emptied", rewrite(lambda data, rng: b"")),
        ("bytes inserted", rewrite(insert)),
        ("bytes removed", rewrite(remove)),
        ("zeros", rewrite(lambda data, rng: bytes(len(data)))),
        ("random bytes", rewrite(lambda data, rng: rng.randbytes(max(1, len(data))))),
        ("twice", rewrite(lambda data, rng: data * 2)),
        ("backwards", rewrite(lambda data, rng: data[::-1])),
        ("junk at the end", rewrite(lambda data, rng: data + rng.randbytes(rng.choice((1, 50))))),
        ("first bytes huge", rewrite(lambda data, rng: b"\xff" * 8 + data[8:])),
    ]


def of_text() -> list[Damage]:
    """Damage to the text of a file that leaves the text readable."""

    def rewrite(change: Callable[[str], str], encoding: str = "utf-8") -> Callable[[Path, random.Random], None]:
        def do(path: Path, rng: random.Random) -> None:
            path.write_bytes(change(path.read_bytes().decode()).encode(encoding))

        return do

    return [
        ("line ends of Windows", rewrite(lambda text: text.replace("\r\n", "\n").replace("\n", "\r\n"))),
        ("line ends of old Macs", rewrite(lambda text: text.replace("\n", "\r"))),
        ("a byte order mark", rewrite(lambda text: "\ufeff" + text)),
        ("utf-16", rewrite(lambda text: text, "utf-16")),
        ("a line more", rewrite(lambda text: text + "\n")),
        ("a comment", rewrite(lambda text: "# mine\n" + text)),
        ("merge conflict", rewrite(lambda text: f"<<<<<<< HEAD\n{text}\n=======\n{text}\n>>>>>>> other\n")),
    ]


def of_json() -> list[Damage]:
    """Damage to a json file that leaves it json."""

    def change(path: Path, rng: random.Random) -> None:
        config = json.loads(path.read_text())
        holder, key = rng.choice(list(_places(config)))
        holder[key] = rng.choice(WRONG_VALUES)
        _dump(path, config)

    def nudge(path: Path, rng: random.Random) -> None:
        config = json.loads(path.read_text())
        some = [(h, k) for h, k in _places(config) if isinstance(h[k], int | float | str)]
        holder, key = rng.choice(some)
        value = holder[key]
        if isinstance(value, bool):
            holder[key] = not value
        elif isinstance(value, str):
            holder[key] = value[:-1] or "y"
        else:
            holder[key] = rng.choice((value + 1, value * 2 + 1, value - 1))
        _dump(path, config)

    def lose(path: Path, rng: random.Random) -> None:
        config = json.loads(path.read_text())
        holder, key = rng.choice(list(_places(config)))
        del holder[key]
        _dump(path, config)

    def rename(path: Path, rng: random.Random) -> None:
        config = json.loads(path.read_text())
        holder, key = rng.choice([(h, k) for h, k in _places(config) if isinstance(h, dict)])
        holder[rng.choice((str(key) + "x", str(key).upper(), "\u00fc", "", "__class__"))] = holder.pop(key)
        _dump(path, config)

    def add(path: Path, rng: random.Random) -> None:
        config = json.loads(path.read_text())
        holder = rng.choice([h for h, _ in _places(config) if isinstance(h, dict)] or [{}])
        holder[rng.choice(("more", "args", "class", "seed", "\u4e2d"))] = rng.choice(WRONG_VALUES)
        _dump(path, config)

    def twice(path: Path, rng: random.Random) -> None:
        config = json.loads(path.read_text())
        key = rng.choice(list(config))
        path.write_text(f"{json.dumps(config)[:-1]}, {json.dumps(key)}: {json.dumps(rng.choice(WRONG_VALUES))}}}")

    def deep(path: Path, rng: random.Random) -> None:
        n = rng.choice((200, 2000, 200000))
        path.write_text("[" * n + "]" * n if rng.random() < 0.5 else '{"a":' * n + "1" + "}" * n)

    def instead(path: Path, rng: random.Random) -> None:
        path.write_text(json.dumps(rng.choice(WRONG_VALUES)))

    def other_layout(path: Path, rng: random.Random) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()), indent=rng.choice((None, 1, 4)), sort_keys=True))

    return [
        ("a value changed", change),
        ("a value nudged", nudge),
        ("a key lost", lose),
        ("a key renamed", rename),
        ("a key added", add),
        ("a key twice", twice),
        ("nested deeply", deep),
        ("another value altogether", instead),
        ("another layout", other_layout),
    ]


def of_place() -> list[Damage]:
    """Something else in the place of a file."""

    def replace(make: Callable[[Path, random.Random], None]) -> Callable[[Path, random.Random], None]:
        def do(path: Path, rng: random.Random) -> None:
            kept = path.with_name(path.name + ".kept")
            os.replace(path, kept)
            make(path, rng)

        return do

    return [
        ("missing", lambda path, rng: path.unlink()),
        ("a folder in its place", replace(lambda path, rng: path.mkdir())),
        ("a link to itself", replace(lambda path, rng: path.symlink_to(path.name))),
        ("a link to what was there", replace(lambda path, rng: path.symlink_to(path.name + ".kept"))),
        ("a link to nothing", replace(lambda path, rng: path.symlink_to("/nowhere/at/all"))),
        ("a link to zeros without end", replace(lambda path, rng: path.symlink_to("/dev/zero"))),
        ("a pipe", replace(lambda path, rng: os.mkfifo(path))),
        ("no permission", lambda path, rng: path.chmod(0)),
        ("all permissions", lambda path, rng: path.chmod(0o777)),
        ("name in capitals", lambda path, rng: os.replace(path, path.with_name(path.name.upper()))),
    ]


def of_folder() -> list[Damage]:
    """Damage to a folder as a whole; none of it is damage to what it holds."""

    def strange(path: Path, rng: random.Random) -> None:
        for name in ("\u00fc\u4e2d.txt", ".DS_Store", "Thumbs.db", "a b", "notes.md", "-rf", "config.json~", "nan"):
            (path / name).write_bytes(rng.randbytes(20))

    def folders(path: Path, rng: random.Random) -> None:
        for name in (".git", "__pycache__", "sub/sub", ".ipynb_checkpoints"):
            (path / name).mkdir(parents=True)
        (path / "broken").symlink_to("/nowhere")

    def old(path: Path, rng: random.Random) -> None:
        for one in path.iterdir():
            os.utime(one, (0, 0))

    return [
        ("files beside", strange),
        ("folders beside", folders),
        ("of 1970", old),
        ("nothing", lambda path, rng: None),
        ("empty", lambda path, rng: [shutil.rmtree(p) if p.is_dir() else p.unlink() for p in path.iterdir()] and None),
    ]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key) of a json value."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _dump(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2))

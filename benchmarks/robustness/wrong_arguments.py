"""Call everything public with one wrong argument at a time, and read what is said.

    python benchmarks/robustness/wrong_arguments.py [--n 10000] [--seed 0] [--only cj.train] [--list FILE]

Each value is wrong for most arguments, and right for some: a call may be refused or answered. Counted are

clear     the error is one line that names the argument, the value it got (or its type, shape or size) and what is taken
obscure   any other error, one that comes only once the result is looked at (`late`), or a crash
accepted  an answer
nan       an answer with NaN where the valid call has none, and no warning
hung      no answer within the limit

Exits 1 if more than 3 % of refusals are obscure, or if there is a `nan`, a `hung` or a crash. The most frequent obscure
errors are listed by callable and argument; --list writes all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import pickle
import random
import resource
import select
import signal
import struct
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from isolated import table
from valid_calls import Call, listed, things
from wording import what_lacks

SHARE_ALLOWED = 0.03
_BATCH = 60


class Foreign:
    """An object of a class that nobody knows."""


def wrong_values(valid: Any, argument: str) -> list[tuple[str, Any]]:
    """Values to try in place of a valid one, each with the name of its kind."""
    nan, inf = float("nan"), float("inf")
    tried: list[tuple[str, Any]] = [
        ("None", None), ("text", "nonsense"), ("empty text", ""), ("a number as text", "3"),
        ("a bool as text", "False"), ("bytes", b"x"), ("True", True), ("negative", -1),
        ("zero", 0), ("fraction", 0.5), ("negative fraction", -0.5),
        ("NaN", nan), ("infinite", inf), ("minus infinite", -inf), ("huge", 10**30), ("huge float", 1e300),
        ("complex", 1j), ("NumPy NaN", np.float64("nan")), ("NumPy text", np.str_("x")), ("empty list", []),
        ("empty dict", {}), ("list of None", [None]), ("list of text", ["x", "y"]), ("list of NaN", [nan, nan]),
        ("tuple", (1, 2, 3)), ("set", {1, 2}), ("object", Foreign()), ("a class", Foreign), ("dict", {"x": 1}),
        ("a function", len), ("Path", Path("/nowhere/x")), ("a module", np),
        ("array of objects", np.array([None, "x"])),
        ("array of text", np.array(["a", "b"])), ("array of complex", np.ones((2, 2), complex)),
        ("empty array", np.zeros((0, 3))), ("scalar array", np.array(3.0)),
        ("tensor of NaN", torch.full((2, 3, 2), nan)),
        ("generator", (i for i in range(3))), ("torch dtype", torch.float16),
    ]  # fmt: skip
    if isinstance(valid, str) and valid:
        tried += [("misspelt", valid[:-1]), ("in capitals", valid.upper()), ("with a space", valid + " ")]
    if isinstance(valid, int) and not isinstance(valid, bool):
        tried += [("float for int", valid + 0.5), ("whole float", float(valid)), ("as text", str(valid))]
    if isinstance(valid, float):
        tried += [("as text", str(valid)), ("negative of it", -valid), ("a thousand times", 1000 * valid)]
    if isinstance(valid, list | tuple) and len(valid):
        kind = type(valid)
        tried += [
            ("one too few", valid[:-1]), ("one too many", kind([*valid, valid[-1]])), ("backwards", valid[::-1]),
            ("None among them", kind([*valid[:-1], None])), ("text among them", kind([*valid[:-1], "x"])),
            ("a class among them", kind([*valid[:-1], Foreign])), ("NaN among them", kind([*valid[:-1], nan])),
            ("nested", [valid]), ("its first alone", valid[0]),
        ]  # fmt: skip
    if isinstance(valid, np.ndarray | torch.Tensor) and valid.ndim and 0 not in valid.shape:
        tried += list(_wrong_arrays(valid))
    if not isinstance(valid, type) and type(valid).__module__.startswith(("conjugacy", "torch.nn")):
        tried += [("its class", type(valid)), ("a list of it", [valid])]
    return tried


def _wrong_arrays(valid: Any) -> Iterator[tuple[str, Any]]:
    lib = torch.Tensor if isinstance(valid, torch.Tensor) else np.ndarray
    yield "an axis more", valid[None]
    yield "an axis less", valid[0]
    yield "one trial less", valid[:-1]
    yield "no trials", valid[:0]
    if valid.ndim > 1:
        yield "one unit less", valid[..., :-1]
        yield "no units", valid[..., :0]
        yield "transposed", valid.swapaxes(0, -1)
        yield "one step less", valid[:, :-1]
    if lib is np.ndarray and valid.dtype.kind in "fiu":
        yield "complex", valid + 0j
        yield "objects", valid.astype(object)
        yield "text", valid.astype(str)
        yield "one NaN", _one(valid.astype(float), np.nan)
        yield "one infinite", _one(valid.astype(float), np.inf)
        yield "constant", np.zeros_like(valid)
        yield "huge", valid * 1e200
        yield "as lists", valid.tolist()
    if lib is torch.Tensor and valid.is_floating_point():
        yield "complex", valid.to(torch.complex64)
        yield "half", valid.half()
        yield "one NaN", _one(valid.clone(), float("nan"))
        yield "one infinite", _one(valid.clone(), float("inf"))
        yield "whole numbers", valid.long()
        yield "as array", valid.detach().numpy()


def _one(x: Any, value: float) -> Any:
    x.reshape(-1)[x.reshape(-1).shape[0] // 2] = value
    return x


@dataclasses.dataclass
class Case:
    """A call with one wrong argument."""

    call: Call
    argument: str
    kind: str
    value: Any


def cases(calls: list[Call]) -> list[Case]:
    """All of them."""
    found = []
    for call in calls:
        for argument, valid in call.arguments.items():
            found += [Case(call, argument, kind, value) for kind, value in wrong_values(valid, argument)]
        if call.hands_on:
            names = {"seeed": 1, "n_step": 5, "no_such_option": None, "Seed": 0, "option": "x"}
            found += [Case(call, name, "a misspelt option", value) for name, value in names.items()]
    return found


def attempt(case: Case, usual: dict[str, set[str]]) -> tuple[str, str]:
    """What comes of a case; and what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            result = case.call(**{case.argument: case.value})
        except BaseException as error:
            lacks = what_lacks(str(error), case.argument, case.value)
            told = f"{type(error).__name__}: {error}"
            return ("obscure", f"[{lacks}] {told}") if lacks else ("clear", told)
        try:
            looked = [result, case.call.after(result), *look(result)]
        except BaseException as error:
            return "late", f"{type(error).__name__}: {error}"
    found = nans(looked) - usual[case.call.name]
    if found and not said and not case.call.passes_nan:
        return "nan", ", ".join(sorted(found)[:4])
    return "accepted", ""


def look(result: Any) -> list[Any]:
    """What a reader does next with a result."""
    looked: list[Any] = []
    repr(result)
    for name in ("table", "matrix"):
        method = getattr(result, name, None)
        if callable(method) and type(result).__module__.startswith("conjugacy"):
            looked.append(method())
    return looked


def nans(thing: Any, where: str = "", depth: int = 0) -> set[str]:
    """Where there is NaN in a result."""
    found: set[str] = set()
    if depth > 4:
        return found
    if isinstance(thing, float | np.floating):
        return {where} if thing != thing else found
    if isinstance(thing, torch.Tensor):
        return {where} if thing.is_floating_point() and bool(thing.isnan().any()) else found
    if isinstance(thing, np.ndarray):
        return {where} if thing.dtype.kind in "fc" and bool(np.isnan(thing).any()) else found
    if hasattr(thing, "select_dtypes"):
        return {f"{where}.{c}" for c in thing.columns if thing[c].dtype.kind == "f" and bool(thing[c].isna().any())}
    if isinstance(thing, dict):
        items: Any = thing.items()
    elif isinstance(thing, list | tuple):
        items = enumerate(thing[:20])
    elif dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        items = [(f.name, getattr(thing, f.name, None)) for f in dataclasses.fields(thing)]
        if str(getattr(thing, "kind", "")) in ("fixed", "held"):  # a point has no period, as its kind says
            items = [(name, value) for name, value in items if name != "period"]
    else:
        return found
    for key, value in items:
        found |= nans(value, f"{where}.{key}", depth + 1)
    return found


def tried(found: list[Case], usual: dict[str, set[str]], limit_s: float) -> Iterator[tuple[Case, str, str]]:
    """Try cases in children, a batch each; one that hangs or crashes costs no other."""
    at = 0
    while at < len(found):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            _try_batch(found[at : at + _BATCH], usual, write)
        os.close(write)
        end = min(len(found), at + _BATCH)
        while at < end:
            answer = _frame(read, limit_s)
            if answer is None:
                os.kill(pid, signal.SIGKILL)
                yield found[at], "hung", ""
            elif answer == b"":
                yield found[at], "crashed", ""
            else:
                verdict, said = pickle.loads(answer)
                yield found[at], verdict, said
            at += 1
            if not answer:
                break
        os.close(read)
        os.waitpid(pid, 0)


def _too_slow(*_: Any) -> None:
    raise TimeoutError("the valid call is too slow to be tried with wrong arguments")


def _try_batch(batch: list[Case], usual: dict[str, set[str]], write: int) -> None:
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        with open("/proc/self/statm") as f:
            used = int(f.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 30), used + (4 << 30)))
        for case in batch:
            verdict, said = attempt(case, usual)
            data = pickle.dumps((verdict, said[:2000]))
            os.write(write, struct.pack("I", len(data)) + data)
        os._exit(0)
    finally:
        os._exit(1)


def _frame(read: int, limit_s: float) -> bytes | None:
    """The next answer; None if it takes too long, empty if there is nobody to give it."""
    deadline, data = time.monotonic() + limit_s, b""
    while len(data) < 4 or len(data) < 4 + struct.unpack("I", data[:4])[0]:
        ready, _, _ = select.select([read], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return None
        want = 4 - len(data) if len(data) < 4 else 4 + struct.unpack("I", data[:4])[0] - len(data)
        part = os.read(read, want)
        if not part:
            return b""
        data += part
    return data[4:]


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only callables whose name begins so")
    parser.add_argument("--limit", type=float, default=15.0, help="seconds for a call")
    parser.add_argument("--list", type=Path, help="file for every obscure error, grouped")
    parser.add_argument("--show", type=int, default=40)
    o = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["MPLBACKEND"] = "Agg"
    warnings.simplefilter("ignore")
    calls, unknown = listed(things())
    calls = [call for call in calls if call.name.startswith(o.only)]
    usual, broken = {}, {}
    for call in calls:
        signal.signal(signal.SIGALRM, _too_slow)
        signal.setitimer(signal.ITIMER_REAL, o.limit / 2)
        try:
            result = call()
            usual[call.name] = nans([result, call.after(result), *look(result)])
        except Exception as error:
            broken[call.name] = f"{type(error).__name__}: {error}"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    calls = [call for call in calls if call.name in usual]
    everything = cases(calls)
    random.Random(o.seed).shuffle(everything)
    verdicts, groups, start = Counter(), defaultdict(list), time.monotonic()
    per: dict[str, Counter[str]] = defaultdict(Counter)
    with contextlib.suppress(KeyboardInterrupt):  # then it tells what it has found so far
        for case, verdict, said in tried(everything[: o.n], usual, o.limit):
            verdicts[verdict] += 1
            if not sum(verdicts.values()) % 1000:
                print(f"{sum(verdicts.values())} calls ...", file=sys.stderr, flush=True)
            per[case.call.name.split(".")[0].split("(")[0]][verdict] += 1
            if verdict not in ("clear", "accepted"):
                groups[case.call.name, case.argument].append((verdict, case.kind, said))
    kinds = ("clear", "obscure", "late", "accepted", "nan", "hung", "crashed")
    print(table([{"part": part, **{k: found[k] for k in kinds}} for part, found in sorted(per.items())]))
    obscure = verdicts["obscure"] + verdicts["late"] + verdicts["crashed"]
    refusals = obscure + verdicts["clear"]
    share = obscure / max(1, refusals)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    lines = []
    for (name, argument), found in ordered:
        lines.append(f"{len(found):4d}  {name}({argument})")
        lines += [f"        {verdict}, {kind}: {said[:200]!r}" for verdict, kind, said in found]
    if o.list is not None:
        o.list.write_text("\n".join(lines) + "\n")
    print(f"\nThe {o.show} arguments with most obscure errors:")
    for (name, argument), found in ordered[: o.show]:
        verdict, kind, said = found[0]
        print(f"{len(found):4d}  {name}({argument}), e.g. {verdict}, {kind}: {' '.join(said.split())[:140]}")
    print(f"\nNo valid call known: {', '.join(unknown) or 'none'}.")
    for name, said in broken.items():
        print(f"The valid call of {name} fails: {' '.join(said.split())[:200]}")
    counted = ", ".join(f"{verdicts[k]} {k}" for k in ("accepted", "nan", "hung", "crashed"))
    seconds = f"{time.monotonic() - start:.0f} s"
    print(f"\n{sum(verdicts.values())} of {len(everything)} calls of {len(calls)} callables, {seconds}:")
    print(f"{verdicts['clear']} clear, {obscure} obscure ({share:.1%} of {refusals} refusals), {counted}.")
    sys.exit(1 if share > SHARE_ALLOWED or verdicts["nan"] or verdicts["hung"] or verdicts["crashed"] or broken else 0)


if __name__ == "__main__":
    main()

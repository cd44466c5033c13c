"""Mutated pickles and npz files: no code of theirs runs, nothing of the process changes, every error names the file.

    python benchmarks/robustness/mutated_files.py [--n 2000] [--seed 0]

Pickles are those that the seed notebook writes (`model.pkl`, `datamodule_sim.pkl`, read by ctd's Analysis_TT), damaged
byte by byte or written anew with opcodes that call, build, import, or reach into what is allowed; npz files those of
FixedPoints. Counted are

loaded    an object came out, nothing else happened
refused   an error of one line that names the file
unnamed   an error that does not, or in the words of a lower floor
code ran  a process, a file written, an import, or a function that ran what the file named
changed   a module, class, function, its defaults, the environment, a generator's state is not what it was
hung, crashed

Exits 1 if any of the last five is not 0.
"""

from __future__ import annotations

import argparse
import io
import os
import pickle
import random
import shutil
import signal
import struct
import sys
import tempfile
import types
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import damage
import numpy as np
import torch
from isolated import in_child, table
from mutations import _of_npz
from wording import foreign, one_line

import conjugacy as cj

FAULTS = ("unnamed", "code ran", "changed", "hung", "crashed")
_WATCHED = (
    "conjugacy",
    "ctd",
    "builtins",
    "os",
    "sys",
    "pickle",
    "json",
    "numpy",
    "torch",
    "posixpath",
    "io",
    "warnings",
)
# modules that reading may bring in, where they are not there yet
_MAY_COME = ("conjugacy", "torch", "numpy", "pandas", "pytorch_lightning", "lightning", "encodings", "numba",
             "scipy", "sklearn", "safetensors", "zipfile", "zlib", "_")  # fmt: skip


def write_originals(folder: Path) -> None:
    """The notebook's two pickles, and an npz."""
    from conjugacy.ctd.task_modeling.datamodule.task_datamodule import TaskDataModule
    from conjugacy.ctd.task_modeling.model.rnn import GRU_RNN
    from conjugacy.ctd.task_modeling.task_env.task_env import NBitFlipFlop
    from conjugacy.ctd.task_modeling.task_wrapper.task_wrapper import TaskTrainedWrapper

    env = NBitFlipFlop(n=1, n_timesteps=20)
    wrapper, rnn = TaskTrainedWrapper(learning_rate=1e-3, weight_decay=1e-8), GRU_RNN(latent_size=2)
    rnn.init_model(input_size=env.observation_space.shape[0], output_size=env.action_space.shape[0])
    wrapper.set_environment(env)
    wrapper.set_model(rnn)
    module = TaskDataModule(env, n_samples=20, batch_size=20)
    for name, thing in (("model.pkl", wrapper), ("datamodule_sim.pkl", module)):
        (folder / name).write_bytes(pickle.dumps(thing))
    start = torch.linspace(-2, 2, 16, dtype=torch.float64)[:, None]
    cj.fixed_points(lambda x, u: torch.tanh(2 * x) + 0 * u, start, 0.0, 16, progress=False).save(folder / "points.npz")


def read_pickles(folder: Path) -> None:
    """As the notebook does."""
    from conjugacy.ctd.comparison.analysis.tt.tt import Analysis_TT

    Analysis_TT(run_name="x", filepath=f"{folder}/")


def text(value: str) -> bytes:
    """A short text as opcodes."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def named(module: str, name: str, how: str) -> bytes:
    """Opcodes that look up a name: GLOBAL, STACK_GLOBAL, or by way of the memo."""
    if how == "global":
        return f"c{module}\n{name}\n".encode()
    if how == "memo":
        return text(module) + b"q\x05" + b"0" + text(name) + b"q\x06" + b"0" + b"h\x05h\x06\x93"
    return text(module) + text(name) + b"\x93"


def harmful(canary: Path, rng: random.Random) -> tuple[str, bytes]:
    """A pickle that would do something if it were let."""
    how = rng.choice(("global", "stack", "memo"))
    ours = rng.choice(_ALLOWED)
    shell, code = f"touch {canary}", f"open({str(canary)!r}, 'w').close()"
    calls = [
        ("os", "system", text(shell)), ("posix", "system", text(shell)), ("builtins", "exec", text(code)),
        ("builtins", "eval", text(f"open({str(canary)!r}, 'w')")), ("subprocess", "getoutput", text(shell)),
        ("builtins", "open", text(str(canary)) + text("w")), ("builtins", "__import__", text("canary_module")),
        ("canary_module", "anything", text("x")), ("os", "mkdir", text(str(canary))), ("pickle", "loads", b"C\x01."),
        ("torch", "load", text(str(canary))), ("torch", "manual_seed", b"K\x05"), ("numpy.random", "seed", b"K\x05"),
        ("random", "seed", b"K\x05"), ("os", "putenv", text("CANARY") + text("1")),
        ("torch", "set_num_threads", b"K\x02"), ("conjugacy.cli", "main", b"]"), ("conjugacy", "train", text("x")),
        ("importlib", "import_module", text("canary_module")), ("warnings", "simplefilter", text("ignore")),
        ("sys", "setrecursionlimit", b"K\x64"), ("os", "chdir", text("/")), ("torch.hub", "load", text("x")),
        ("builtins", "setattr", text("x") + text("y") + b"K\x01"), ("builtins", "getattr", text("x") + text("y")),
        ("functools", "partial", text("x")), ("operator", "attrgetter", text("system")),
        ("code", "interact", b""), ("runpy", "run_path", text(str(canary))), ("ctypes", "CDLL", text(str(canary))),
    ]  # fmt: skip
    module, name, args = rng.choice(calls)
    kind = rng.randrange(12)
    start, end = b"\x80\x04", b"."
    target = named(module, name, how)
    if kind == 0:
        return f"REDUCE {module}.{name}", start + target + b"(" + args + b"tR" + end
    if kind == 1:
        return f"NEWOBJ {module}.{name}", start + target + b"(" + args + b"t\x81" + end
    if kind == 2:
        return f"NEWOBJ_EX {module}.{name}", start + target + b"(" + args + b"t}\x92" + end
    if kind == 3:
        return f"INST {module}.{name}", start + b"(" + args + f"i{module}\n{name}\n".encode() + end
    if kind == 4:
        return f"OBJ {module}.{name}", start + b"(" + target + args + b"o" + end
    if kind == 5:
        code = rng.choice(
            (b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00", b"\x82\x00", b"P123\n", text("x") + b"Q")
        )
        return "EXT or PERSID", start + code + b"(" + args + b"tR" + end
    if kind == 6:  # a name within what is allowed
        names = "__globals__ __init__.__globals__ __class__ __defaults__ os.system json.loads __builtins__ __code__ mro"
        inside = rng.choice([*names.split(), "__subclasses__", "__call__", "__reduce__"])
        joined = rng.choice((f"{ours[1]}.{inside}", inside))
        return f"a name within: {ours[0]}:{joined}", start + named(ours[0], joined, how) + b"(" + args + b"tR" + end
    if kind in (7, 8):  # BUILD on what is allowed: a function, its class
        state = rng.choice((
            b"}" + text("__defaults__") + b"(" + text("x") + b"ts",
            b"}" + text("__kwdefaults__") + b"}s",
            b"}" + text("canary") + b"K\x01s",
            b"N}" + text("__defaults__") + b"(" + text("x") + b"ts\x86",
            b"N}" + text("__doc__") + text("x") + b"s\x86",
            b"}" + text("__module__") + text("x") + b"s",
            b"}" + text("__code__") + b"Ns",
            b"N}" + text("__name__") + text("x") + b"s\x86",
            b"(" + b"K\x01K\x02t",
        ))  # fmt: skip
        return f"BUILD on {ours[1]}", start + named(*ours, how) + state + b"b" + end
    if kind == 9:  # SETITEM, APPEND and others on what is allowed
        code = rng.choice((text("x") + b"K\x01s", b"K\x01a", b"(K\x01e", b"(K\x01\x90", b"(" + text("x") + b"K\x01u"))
        return f"items into {ours[1]}", start + named(*ours, how) + code + end
    if kind == 10:  # a wrong call of what is allowed
        system = '{"task": {"class": "os.system", "args": {"command": "true"}}}'
        empty = text('{"settings": {}, "task": null, "model": null}') + b"C\x00"
        texts = [text(one) for one in ("{", "{}", "null", system, "[" * 3000)]
        args = rng.choice(
            [b"", b"N", b"K\x05", b"}", b"]", text("[]") + b"C\x01x", empty + b"(" + target + b"t", *texts]
        )
        return f"{ours[1]} with other arguments", start + named(*ours, how) + b"(" + args + b"tR" + end
    short = [b"I1\n.", b"]" * 5 + b".", b"\x80\x09.", b"h\x10.", b"0.", b"t.", b"N.", b"(" * 3000 + b"."]
    loops = [b"}q\x00h\x00h\x00s.", b"]q\x00h\x00a."]
    huge = [b"\x95" + b"\xff" * 8 + b".", b"\x8e" + b"\xff" * 7 + b"\x7f", b"T\xff\xff\xff\x7f"]
    huge += [b"r\xff\xff\xff\x7fN.", b"L" + b"9" * 10000 + b"L\n."]
    whole = rng.choice(short + loops + huge)
    return "opcodes that lead nowhere", start + whole


_ALLOWED: list[tuple[str, str]] = []


def find_allowed(folder: Path) -> None:
    """What the pickles of ours name."""
    import pickletools

    for path in folder.glob("*.pkl"):
        strings: list[str] = []
        for code, arg, _ in pickletools.genops(path.read_bytes()):
            if isinstance(arg, str) and code.name != "GLOBAL":
                strings.append(arg)
            if code.name == "STACK_GLOBAL" and (strings[-2], strings[-1]) not in _ALLOWED:
                _ALLOWED.append((strings[-2], strings[-1]))
            if code.name == "GLOBAL":
                _ALLOWED.append(tuple(str(arg).split(" ")))  # type: ignore[arg-type]


def within(data: bytes, canary: Path, rng: random.Random) -> tuple[str, bytes]:
    """A pickle of ours with harm put between its opcodes."""
    import pickletools

    places = [at for _, _, at in pickletools.genops(data) if at is not None][1:]
    at = rng.choice(places)
    how, code = harmful(canary, rng)
    return f"within: {how}", data[:at] + code[2:-1] + rng.choice((b"0", b"")) + data[at:]


def zipped(path: Path, rng: random.Random) -> str:
    """Damage an npz as a zip archive."""
    with np.load(path) as found:
        arrays = dict(found)
    names = ["bomb", "huge shape", "wrong sum", "other names", "a folder up", "objects", "stored twice", "empty zip"]
    how = rng.choice([*names, "no numpy in it", "header that is code"])
    if how in ("bomb", "huge shape"):
        name = rng.choice(sorted(arrays))
        body = io.BytesIO()
        shape = (300_000_000,) if how == "bomb" else rng.choice(((10**12,), (2**62, 4), (-5,), (10**30,)))
        np.lib.format.write_array_header_1_0(body, {"descr": "|u1", "fortran_order": False, "shape": shape})
        head = body.getvalue()
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as z, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with z.open(f"{name}.npy", "w") as f:
                f.write(head)
                for _ in range(300 if how == "bomb" else 1):
                    f.write(bytes(1_000_000))
    elif how == "wrong sum":
        data = bytearray(path.read_bytes())
        at = data.rfind(b"PK\x01\x02")
        data[at + 16] ^= 0xFF
        path.write_bytes(bytes(data))
    elif how == "header that is code":
        with zipfile.ZipFile(path, "w") as z:
            for name in arrays:
                z.writestr(
                    f"{name}.npy", b"\x93NUMPY\x01\x00\x40\x00" + b"__import__('os').system('true')".ljust(63) + b"\n"
                )
    elif how == "objects":
        name = rng.choice(sorted(arrays))
        arrays[name] = np.array([{"x": 1}, None], object)
        with open(path, "wb") as f:
            np.savez(f, **arrays)
    else:
        with zipfile.ZipFile(path, "w") as z, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, value in arrays.items() if how != "empty zip" else ():
                body = io.BytesIO()
                np.save(body, value)
                prefix = {"a folder up": "../", "other names": "x"}.get(how, "")
                z.writestr(f"{prefix}{name}.npy", b"text" if how == "no numpy in it" else body.getvalue())
                if how == "stored twice":
                    z.writestr(f"{name}.npy", body.getvalue())
    return how


def state() -> dict[Any, Any]:
    """What may not change: names, functions, classes, environment, generators."""
    found: dict[Any, Any] = {}
    for name in sorted(sys.modules):
        module = sys.modules[name]
        if not isinstance(module, types.ModuleType) or name.split(".")[0] not in _WATCHED:
            continue
        if name.split(".")[0] in ("numpy", "torch") and "." in name:
            continue
        for key, value in list(vars(module).items()):
            found[name, key] = repr(value) if isinstance(value, int | str | float) else id(value)
            if isinstance(value, types.FunctionType):
                found[name, key, "f"] = _of_function(value)
            elif isinstance(value, type) and value.__module__.split(".")[0] in ("conjugacy", "ctd"):
                for k, v in vars(value).items():
                    if not k.startswith(("_abc", "__abstract")):
                        found[name, key, k] = _of_function(v) if isinstance(v, types.FunctionType) else id(v)
    found["environment"], found["folder"] = dict(os.environ), os.getcwd()
    found["random"] = random.getstate()
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002  (that it stays as it is)
    found["numpy"] = (kind, np.asarray(keys).tobytes(), *rest)
    found["torch"] = torch.get_rng_state().numpy().tobytes()
    found["settings"] = (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads(), sys.path[:],
                         sys.getrecursionlimit(), list(warnings.filters), signal.getsignal(signal.SIGINT))  # fmt: skip
    return found


def _of_function(f: Any) -> Any:
    return id(f), id(f.__code__), repr(f.__defaults__), repr(f.__kwdefaults__), f.__doc__, f.__name__, sorted(vars(f))


def read(reader: Callable[[Path], Any], subject: Path, canary: Path, file: str) -> tuple[str, str]:
    """In a child: read, and look at what happened."""
    events: list[str] = []
    watching = [False]

    def hook(event: str, args: Any) -> None:
        if not watching[0]:
            return
        if event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.putenv", "os.chdir",
                     "os.mkdir", "os.remove", "socket.connect", "ctypes.dlopen", "code.__new__"):  # fmt: skip
            events.append(f"{event} {args!r}"[:200])
        elif event == "open" and isinstance(args[1], str) and any(c in args[1] for c in "wax+"):
            events.append(f"open {args!r}"[:200])
        elif event == "import" and not str(args[0]).startswith(_MAY_COME) and args[0] not in sys.stdlib_module_names:
            events.append(f"import {args[0]}")

    sys.addaudithook(hook)
    before, modules, said = state(), set(sys.modules), ("loaded", "")
    watching[0] = True
    try:
        reader(subject)
    except BaseException as error:
        message = str(error)
        good = one_line(message) and not foreign(message) and file in message
        said = ("refused" if good else "unnamed", f"{type(error).__name__}: {message[:300]}")
    watching[0] = False
    if canary.exists():
        return "code ran", f"the canary is there; {said[1]}"
    if events:
        return "code ran", f"{events[:3]}; {said[1]}"
    after = state()
    different = [key for key in before if after.get(key) != before[key]]
    new = {m for m in set(sys.modules) - modules if not m.startswith(_MAY_COME) and m not in sys.stdlib_module_names}
    if different or new:
        return "changed", f"{different[:3]} {sorted(new)[:3]}; {said[1]}"
    return said


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=20.0)
    parser.add_argument("--list", type=Path, help="file for every fault that was found")
    o = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp(prefix="mutated-"))
    (folder / "right").mkdir()
    (folder / "modules").mkdir()
    write_originals(folder / "right")
    find_allowed(folder / "right")
    read_pickles(folder / "right")  # all that reading imports is there from now on
    cj.FixedPoints.load(folder / "right" / "points.npz")
    sys.path.insert(0, str(folder / "modules"))
    rows: dict[str, Counter[str]] = {}
    listed = []
    for k in range(o.n):
        if k and not k % 100:
            print(f"{k} files ...", file=sys.stderr, flush=True)
        rng = random.Random(f"{o.seed} {k}")
        copy, canary = folder / f"case-{k}", folder / "canary"
        shutil.copytree(folder / "right", copy)
        (folder / "modules" / "canary_module.py").write_text(f"open({str(canary)!r}, 'w').close()\n")
        kind, file, how = damaged(copy, canary, rng)
        reader, subject = (read_pickles, copy) if file.endswith("pkl") else (cj.FixedPoints.load, copy / file)
        outcome = in_child(lambda r=reader, s=subject, c=canary, f=file: read(r, s, c, f), o.limit, memory=2 << 30)
        verdict, said = ("crashed", f"{outcome.status} {outcome.value}")
        if outcome.status == "returned":
            verdict, said = outcome.value
        elif outcome.status == "hung":
            verdict, said = "hung", ""
        rows.setdefault(kind, Counter())[verdict] += 1
        if verdict in FAULTS:
            listed.append(f"{k} {kind}, {file}, {how}: {verdict}: {said}".replace(str(folder), "..."))
        shutil.rmtree(copy, ignore_errors=True)
        if canary.is_dir():
            canary.rmdir()
        canary.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    kinds = ("loaded", "refused", *FAULTS)
    print(
        table(
            [{"kind": kind, "cases": sum(c.values()), **{v: c[v] for v in kinds}} for kind, c in sorted(rows.items())]
        )
    )
    if o.list is not None:
        o.list.write_text("\n".join(listed) + "\n")
    for verdict in FAULTS:
        for line in [line for line in listed if f": {verdict}: " in line][:6]:
            print("  " + " ".join(line.split())[:260])
    failed = sum(c[v] for c in rows.values() for v in FAULTS)
    print(f"\n{o.n} files: {', '.join(f'{sum(c[v] for c in rows.values())} {v}' for v in kinds)}.")
    sys.exit(1 if failed else 0)


def damaged(copy: Path, canary: Path, rng: random.Random) -> tuple[str, str, str]:
    """Damage one file of a copy; the kind of damage, the file, and how."""
    pickles = ["pickle written anew"] * 2 + ["pickle with harm in it", "pickle damaged"]
    kind = rng.choice([*pickles, "npz zip", "npz arrays", "npz damaged"])
    file = "points.npz" if kind.startswith("npz") else rng.choice(("model.pkl", "datamodule_sim.pkl"))
    path = copy / file
    if kind == "pickle written anew":
        how, data = harmful(canary, rng)
        path.write_bytes(data)
    elif kind == "pickle with harm in it":
        how, data = within(path.read_bytes(), canary, rng)
        path.write_bytes(data)
    elif kind == "npz zip":
        how = zipped(path, rng)
    elif kind == "npz arrays":
        how, do = rng.choice(_of_npz())
        do(path, rng)
    else:
        how, do = rng.choice(damage.of_bytes())
        do(path, rng)
    return kind, file, how


if __name__ == "__main__":
    main()

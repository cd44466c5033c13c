"""Damage what conjugacy wrote to disk, read it again, and look: a clear error, or exactly what had been written.

    python benchmarks/robustness/mutations.py [--n 2000] [--seed 0] [--kinds run,points,...]

Kinds: `run` (a run folder), `rehashed` (the same, with the hashes of config.json set right again, as by someone who
edits by hand; a load of something else is then right), `checkpoint` (an interrupted training), `points` (the npz of
FixedPoints), `sweep_file` (the yaml of a sweep), `sweep` (its folder). Counted are

equal      loads, and all is what had been saved
refused    a clear error of one line that names the file, of a kind that the command line catches; exit code 2 there
unclear    an error of such a kind that is longer than a line, names no file, or has the words of a lower floor
silent     loads, and something is other than what had been saved
uncaught   another kind of exception, or a traceback of the command line
hung       no answer within the limit
crashed    the process died

Exits 1 if any of the last five is not 0.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import damage
import numpy as np
import torch
import yaml
from isolated import in_child, table
from wording import foreign, one_line

import conjugacy as cj

FAULTS = ("unclear", "silent", "uncaught", "hung", "crashed")
CAUGHT = (ValueError, TypeError, OSError)  # by the command line
STEPS = {"steps": 4, "eval_every": 2, "batch_size": 4, "stop_accuracy": 1.0}
SWEEP = {
    "task": {"class": "NBitFlipFlop", "n": 1, "n_timesteps": 20},
    "network": {"class": "GRU", "latent_size": [2, 3]},
    "recipe": STEPS,
    "seeds": 1,
}
SHARE = {"run": 45, "rehashed": 15, "checkpoint": 12, "points": 14, "sweep_file": 10, "sweep": 4}


def plain(value: Any) -> Any:
    """Something that can be compared with ==, NaN included."""
    if isinstance(value, torch.Tensor | np.ndarray):
        array = np.asarray(value)
        return array.shape, str(array.dtype), array.tobytes() if array.dtype != object else repr(array)
    if hasattr(value, "to_csv"):
        return value.to_csv()
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return repr(value)


def all_of_run(run: Any) -> Any:
    """Everything that a run is."""
    x = run.trials("test")[:3]
    told = {k: v for k, v in run.config().items() if k != "versions"}
    return plain({"config": told, "weights": dict(run.network.state_dict()), "history": run.history,
                  "metrics": run.metrics, "name": run.name, "outputs": run.rollout(x).outputs})  # fmt: skip


def all_of_points(points: Any) -> Any:
    """Everything that a set of fixed points is."""
    return plain({k: v for k, v in vars(points).items() if k != "dynamics"})


def all_of_plan(file: Path) -> Any:
    """Everything that a sweep's file asks for."""
    plan = cj.sweeps.Plan.read(file)
    runs = [(r.name, r.settings, r.seed, r.recipe.as_dict()) for r in plan.runs]
    return plain([runs, plan.varied, plan.out, plan.device])


def train_on(folder: Path) -> Any:
    """The interrupted training, gone on with to its end."""
    run = cj.train(cj.tasks.NBitFlipFlop(n=1, n_timesteps=20), cj.networks.GRU(2), 3, False, out=folder, **STEPS)
    return plain(dict(run.network.state_dict()))


def sweep_on(folder: Path) -> Any:
    """The sweep again: its table and weights."""
    out = cj.run_sweep(SWEEP, folder, workers=1, progress=False)
    if (out["status"] != "finished").any():
        return ["not finished", out["error"].tolist()]
    runs = [cj.load(folder / "runs" / name) for name in out["run"]]
    return plain([out["run"].tolist(), [dict(run.network.state_dict()) for run in runs]])


# what someone writes by hand may be changed by hand: another value is then no fault
_MAY_DIFFER = ("rehashed", "sweep_file")

READERS: dict[str, Callable[[Path], Any]] = {
    "run": lambda path: all_of_run(cj.load(path)),
    "rehashed": lambda path: all_of_run(cj.load(path)),
    "checkpoint": train_on,
    "points": lambda path: all_of_points(cj.FixedPoints.load(path)),
    "sweep_file": all_of_plan,
    "sweep": sweep_on,
}
COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "run": lambda path: ["show", str(path)],
    "rehashed": lambda path: ["show", str(path)],
    "sweep_file": lambda path: ["sweep", str(path), "--dry_run", "true"],
}


class Originals:
    """One of each kind, written once, and what it reads as; and the files of another run to swap with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        task, network = cj.tasks.NBitFlipFlop(n=1, n_timesteps=20), cj.networks.GRU(2)
        for k, name in enumerate(("run", "other")):
            cj.train(task, network, k, False, **STEPS).save(folder / name)
        shutil.copytree(folder / "run", folder / "rehashed")
        self._interrupt(task, network)
        start = torch.linspace(-2, 2, 16, dtype=torch.float64)[:, None] * torch.ones(1, 2, dtype=torch.float64)
        for name, gain in (("points", 2.0), ("other_points", 1.5)):
            found = cj.fixed_points(
                lambda x, u, g=gain: torch.tanh(g * x) + 0 * u, start, [0.0, 0.0], 64, progress=False
            )
            (folder / name).mkdir()
            found.save(folder / name / "points.npz")
        (folder / "sweep_file").mkdir()
        (folder / "sweep_file" / "sweep.yaml").write_text(yaml.safe_dump({**SWEEP, "out": str(folder / "nowhere")}))
        cj.run_sweep(SWEEP, folder / "sweep", workers=1, progress=False)
        self.files = {kind: sorted(p for p in (folder / kind).rglob("*") if p.is_file()) for kind in READERS}
        self.right = {}
        for kind in READERS:
            copy = folder / "copy"
            shutil.copytree(folder / kind, copy)
            self.right[kind] = READERS[kind](self.subject(kind, copy))
            shutil.rmtree(copy)

    def _interrupt(self, task: Any, network: Any) -> None:
        """A training that was interrupted halfway."""
        step, n = torch.optim.Adam.step, [0]

        def stopped(*args: Any, **options: Any) -> Any:
            n[0] += 1
            if n[0] == 3:
                raise KeyboardInterrupt
            return step(*args, **options)

        torch.optim.Adam.step = stopped
        try:
            cj.train(task, network, 3, False, out=self.folder / "checkpoint", **STEPS)
        finally:
            torch.optim.Adam.step = step
        if not list((self.folder / "checkpoint").glob("*.safetensors")):
            raise SystemExit("an interrupted training left no checkpoint: nothing to damage")

    @staticmethod
    def subject(kind: str, folder: Path) -> Path:
        """What the reader is given."""
        inside = {"points": "points.npz", "sweep_file": "sweep.yaml"}
        return folder / inside[kind] if kind in inside else folder


def mutated(kind: str, copy: Path, originals: Originals, rng: random.Random) -> str:
    """Damage a copy; say how."""
    names = [path.relative_to(originals.folder / kind) for path in originals.files[kind]]
    if kind in ("run", "rehashed") and rng.random() < 0.45:
        names = [name for name in names if name.suffix == ".json"]
    name = rng.choice(names)
    path = copy / name
    kinds = [damage.of_bytes(), damage.of_bytes(), damage.of_place()]
    if path.suffix in (".json", ".csv", ".yaml", ".jsonl"):
        kinds.append(damage.of_text())
    if path.suffix == ".json" or path.suffix == ".yaml":
        kinds += [damage.of_json()] * 4 if path.suffix == ".json" else [_of_yaml()] * 4
    if path.suffix == ".safetensors":
        kinds += [_of_safetensors()] * 2
    if path.suffix == ".npz":
        kinds += [_of_npz()] * 4
    if kind in ("run", "rehashed", "points"):
        kinds.append(_swaps(originals))
    if copy.is_dir() and kind != "sweep_file":
        kinds.append(damage.of_folder())
    how, do = rng.choice(rng.choice(kinds))
    do(copy if (how, do) in damage.of_folder() or how in _FOLDER else path, rng)
    if kind == "rehashed":
        rehash(copy)
    return f"{name}: {how}"


_FOLDER = {how for how, _ in damage.of_folder()}


def rehash(folder: Path) -> None:
    """Set right what config.json says of the other files, and take away what it says of itself."""
    if not os.path.isfile(folder / "config.json"):
        return
    try:
        config = json.loads((folder / "config.json").read_text())
        for name in config["sha256"]:
            if not os.path.isfile(folder / name):  # a pipe, or zeros without end
                continue
            config["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for key in [k for k in config if ("sha" in k or "hash" in k or "digest" in k) and isinstance(config[k], str)]:
            del config[key]
        config["sha256"].pop("config.json", None)
        (folder / "config.json").write_text(json.dumps(config, indent=2))
    except Exception:
        pass  # then it stays as it is


def _swaps(originals: Originals) -> list[damage.Damage]:
    def swap(path: Path, rng: random.Random) -> None:
        other = originals.folder / ("other_points" if path.suffix == ".npz" else "other")
        shutil.copy(other / path.name, path)

    def among(path: Path, rng: random.Random) -> None:
        shutil.copy(rng.choice([p for p in path.parent.iterdir() if p.is_file()]), path.with_name("x"))
        os.replace(path.with_name("x"), path)

    return [("of another run", swap), ("another file of the same folder", among)]


def _of_yaml() -> list[damage.Damage]:
    def change(path: Path, rng: random.Random) -> None:
        config = yaml.safe_load(path.read_text())
        holder, key = rng.choice(list(damage._places(config)))
        holder[key] = rng.choice(
            [*damage.WRONG_VALUES, "os.system", "builtins.print", "conjugacy.tasks", "subprocess.Popen"]
        )
        path.write_text(yaml.safe_dump(config))

    def wrong(text: str) -> Callable[[Path, random.Random], None]:
        return lambda path, rng: path.write_text(text)

    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{b}: &{b} [{', '.join('*' + a for _ in range(9))}]\n" for a, b in zip("abcdefgh", "bcdefghi")
    )
    call = "task: {class: os.system, command: 'true'}\nnetwork: {class: GRU, latent_size: 2}\n"
    return [
        ("a value changed", change),
        ("a value changed", change),
        ("a value changed", change),
        ("a function for a class", wrong(call)),
        ("a tag of Python", wrong("task: !!python/object/apply:os.system ['true']\nnetwork: GRU\n")),
        ("aliases that grow", wrong(bomb)),
        ("an alias of itself", wrong("task: &a {class: NBitFlipFlop, n: *a}\nnetwork: GRU\n")),
        ("tabs", wrong("task:\n\tclass: NBitFlipFlop\n")),
        ("nested deeply", wrong("[" * 5000 + "]" * 5000)),
        ("two documents", wrong("task: NBitFlipFlop\n---\nnetwork: GRU\n")),
        ("huge grid", wrong(
            "task: NBitFlipFlop\nnetwork: {class: GRU, latent_size: 2}\nseeds: 1000000000000\n")),
        ("huge sample", wrong(
            "task: NBitFlipFlop\nnetwork: {class: GRU, latent_size: [2, 3]}\nsamples: 1000000000000\n")),
    ]  # fmt: skip


def _of_safetensors() -> list[damage.Damage]:
    def parts(path: Path) -> tuple[dict[str, Any], bytes]:
        data = path.read_bytes()
        n = int.from_bytes(data[:8], "little")
        return json.loads(data[8 : 8 + n]), data[8 + n :]

    def together(path: Path, header: Any, body: bytes, size: int | None = None) -> None:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        path.write_bytes((len(text) if size is None else size).to_bytes(8, "little") + text + body)

    def field(path: Path, rng: random.Random) -> None:
        header, body = parts(path)
        name = rng.choice([k for k in header if k != "__metadata__"])
        one = header[name]
        kind = rng.choice(("dtype", "shape", "data_offsets", "flip"))
        if kind == "dtype":
            one["dtype"] = rng.choice(("F16", "F64", "I32", "BOOL", "U8", "X", None))
        elif kind == "shape":
            one["shape"] = rng.choice(([*one["shape"], 1], one["shape"][:-1], [2**40], [-1], [0], "x", [1.5]))
        elif kind == "flip":
            one["shape"] = one["shape"][::-1]
        else:
            one["data_offsets"] = rng.choice(([0, 4], [0, 2**40], [-4, 0], [4, 0], [0, 0], "x"))
        together(path, header, body)

    def rename(path: Path, rng: random.Random) -> None:
        header, body = parts(path)
        name = rng.choice(list(header))
        header[rng.choice(("x", "", "cell.weight_hh.x", "\u00fc"))] = header.pop(name)
        together(path, header, body)

    def metadata(path: Path, rng: random.Random) -> None:
        header, body = parts(path)
        both = ({"config": "{}", "progress": "{}"}, {"config": "[]", "progress": "5"})
        single = ({}, {"config": "{"}, {"config": "null"}, {"x": "y"}, {"config": 5}, None)
        header["__metadata__"] = rng.choice(both + single)
        together(path, header, body)

    def progress(path: Path, rng: random.Random) -> None:
        header, body = parts(path)
        inside = header.get("__metadata__") or {}
        for key, text in inside.items():
            try:
                value = json.loads(text)
            except ValueError:
                continue
            holder, name = rng.choice(list(damage._places(value)) or [({"x": 0}, "x")])
            holder[name] = rng.choice(damage.WRONG_VALUES)
            if rng.random() < 0.6:
                inside[key] = json.dumps(value)
        together(path, header, body)

    def lost(path: Path, rng: random.Random) -> None:
        header, body = parts(path)
        del header[rng.choice(list(header))]
        together(path, header, body)

    def not_a_number(path: Path, rng: random.Random) -> None:
        header, body = parts(path)
        at = 4 * rng.randrange(max(1, len(body) // 4))
        value = rng.choice((float("nan"), float("inf"), 1e38))
        together(path, header, body[:at] + np.float32(value).tobytes() + body[at + 4 :])

    def deep(path: Path, rng: random.Random) -> None:
        together(path, b'{"a":' * 5000 + b"1" + b"}" * 5000, b"")

    def huge(path: Path, rng: random.Random) -> None:
        header, body = parts(path)
        together(path, header, body, rng.choice((2**63, 2**40, 0, 1)))

    return [("a field of its header", field), ("a tensor renamed", rename), ("its metadata", metadata),
            ("its progress", progress), ("a tensor lost", lost), ("not a number", not_a_number),
            ("a deep header", deep), ("the length of its header", huge)]  # fmt: skip


def _of_npz() -> list[damage.Damage]:
    def arrays(path: Path) -> dict[str, Any]:
        with np.load(path) as data:
            return dict(data)

    def save(path: Path, found: dict[str, Any]) -> None:
        with open(path, "wb") as f:
            np.savez_compressed(f, **found)

    def value(path: Path, rng: random.Random) -> None:
        found = arrays(path)
        name = rng.choice(sorted(found))
        a = found[name]
        found[name] = rng.choice((a.astype("U9") if a.dtype.kind != "c" else a.real, a[..., None], a.reshape(-1)[:0],
            np.array(5), np.full(a.shape, np.nan), np.array([None, "x"], object), np.concatenate([a.reshape(-1)] * 2),
            a.astype(complex) if a.dtype.kind in "fi" else np.zeros(3), np.array("text")))  # fmt: skip
        save(path, found)

    def lose(path: Path, rng: random.Random) -> None:
        found = arrays(path)
        del found[rng.choice(sorted(found))]
        save(path, found)

    def add(path: Path, rng: random.Random) -> None:
        found = arrays(path)
        found[rng.choice(("more", "dynamics", "cls", "__class__", "\u00fc"))] = np.zeros(3)
        save(path, found)

    def meta(path: Path, rng: random.Random) -> None:
        found = arrays(path)
        config = json.loads(str(found["meta"]))
        holder, key = rng.choice(list(damage._places(config)))
        if rng.random() < 0.3:
            del holder[key]
        else:
            holder[key] = rng.choice(damage.WRONG_VALUES)
        found["meta"] = np.array(json.dumps(config))
        save(path, found)

    def nonsense(path: Path, rng: random.Random) -> None:
        found = arrays(path)
        found["meta"] = np.array(rng.choice(("", "{", "null", "[]", "5", "{}", '{"format": 1}', "[" * 3000)))
        save(path, found)

    def single(path: Path, rng: random.Random) -> None:
        with open(path, "wb") as f:
            np.save(f, np.zeros(3))

    return [("a value", value), ("an array lost", lose), ("an array more", add), ("what it says of itself", meta),
            ("nonsense of itself", nonsense), ("one array", single)]  # fmt: skip


def read(kind: str, copy: Path, right: Any, may_differ: bool) -> tuple[str, str]:
    """In a child: what comes of reading it; and what was said."""
    subject = Originals.subject(kind, copy)
    names = {copy.name, *(path.name for path in copy.rglob("*"))} - {"x"}
    said: list[Any] = []
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            got = READERS[kind](subject)
    except CAUGHT as error:
        message = str(error)
        if not _good(message, copy, names):
            return "unclear", f"{type(error).__name__}: {message}"
        if kind in COMMANDS:
            return _command(COMMANDS[kind](subject), copy, names)
        return "refused", message
    except BaseException as error:
        return "uncaught", f"{type(error).__name__}: {str(error)[:300]}"
    if got == right or may_differ:
        return "equal", ""
    note = "; ".join(str(w.message) for w in said)
    return "silent", f"{_difference(right, got)} {'(warned: ' + note + ')' if note else ''}"


def _good(message: str, copy: Path, names: set[str]) -> bool:
    """One line, in our words, with the name of the file in it."""
    return one_line(message) and not foreign(message) and (str(copy) in message or any(n in message for n in names))


def _command(args: list[str], copy: Path, names: set[str]) -> tuple[str, str]:
    """The same by the command line: one line on stderr and exit code 2."""
    from conjugacy.cli import main

    err = copy.parent / "stderr"
    file = os.open(err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 2)
    sys.stderr = os.fdopen(2, "w")
    try:
        main(args)
        code: Any = 0
    except SystemExit as left:
        code = left.code
    except BaseException as error:
        return "uncaught", f"by the command line: {type(error).__name__}: {str(error)[:300]}"
    sys.stderr.flush()
    text = err.read_text()
    if code == 0:
        return "silent", "refused by load, taken by the command line"
    told = text.strip().removeprefix(f"conjugacy {args[0]}: ")
    lines = [line for line in told.splitlines() if not line.startswith("See: ")]
    if len(lines) != 1 or not _good(lines[0], copy, names):
        return "unclear", f"by the command line: {text.strip()[:400]}"
    return "refused", text


def _difference(right: Any, got: Any, where: str = "") -> str:
    if isinstance(right, dict) and isinstance(got, dict):
        for key in sorted({*right, *got}, key=str):
            if right.get(key) != got.get(key):
                return _difference(right.get(key), got.get(key), f"{where}.{key}")
    if isinstance(right, list) and isinstance(got, list) and len(right) == len(got):
        for k, (a, b) in enumerate(zip(right, got)):
            if a != b:
                return _difference(a, b, f"{where}[{k}]")
    return f"{where.lstrip('.')}: {str(right)[:60]} became {str(got)[:60]}"


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(SHARE))
    parser.add_argument("--limit", type=float, default=20.0, help="seconds for a case (a sweep: 3 times as many)")
    parser.add_argument("--list", type=Path, help="file for every fault that was found")
    o = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="mutations-"))
    originals = Originals(folder)
    import conjugacy.cli  # noqa: F401  (so that children need not)

    chosen = o.kinds.split(",")
    total, rows, sums, listed = sum(SHARE[kind] for kind in chosen), [], Counter(), []
    for kind in chosen:
        print(f"{kind} ...", file=sys.stderr, flush=True)
        n, found = max(1, round(o.n * SHARE[kind] / total)), Counter()
        for k in range(n):
            if k and not k % 100:
                print(f"{k} of {n} ...", file=sys.stderr, flush=True)
            rng = random.Random(f"{o.seed} {kind} {k}")
            copy = folder / "copies" / f"{kind}-{k}"
            shutil.copytree(folder / kind, copy)
            how = mutated(kind, copy, originals, rng)
            limit = o.limit * (3 if kind == "sweep" else 1)
            outcome = in_child(
                lambda kind=kind, copy=copy: read(kind, copy, originals.right[kind], kind in _MAY_DIFFER),
                limit,
                memory=4 << 30,
                own_group=kind == "sweep",
            )
            verdict, said = {
                "returned": lambda o=outcome: o.value,
                "raised": lambda o=outcome: ("uncaught", o.value[-300:]),
                "hung": lambda: ("hung", ""),
            }.get(outcome.status, lambda o=outcome: ("crashed", f"{o.status} {o.value}"))()
            found[verdict] += 1
            if verdict in FAULTS:
                listed.append(f"{kind} {k}, {how}: {verdict}: {said}".replace(str(folder / "copies"), "..."))
            for path in [copy, *copy.rglob("*")]:
                if not path.is_symlink() and path.is_file():
                    path.chmod(0o644)
            shutil.rmtree(copy, ignore_errors=True)
        sums += found
        rows.append({"kind": kind, "cases": n, **{v: found[v] for v in ("equal", "refused", *FAULTS)}})
    shutil.rmtree(folder, ignore_errors=True)
    print(table(rows))
    if o.list is not None:
        o.list.write_text("\n".join(listed) + "\n")
    seen: Counter[str] = Counter()
    for line in listed:
        key = line.split(":")[2] + line.split(" ")[0]
        seen[key] += 1
        if seen[key] <= 4:
            print("  " + line.replace("\n", " | ")[:300])
    failed = sum(sums[kind] for kind in FAULTS)
    print(f"\n{sum(sums.values())} cases: {', '.join(f'{sums[v]} {v}' for v in ('equal', 'refused', *FAULTS))}.")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

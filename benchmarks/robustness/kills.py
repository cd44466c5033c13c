"""Kill trainings, saves and sweeps at every place and at random times; then run the same call again and look.

    python benchmarks/robustness/kills.py [--n 1000] [--seed 0] [--scenes train,resave,...]

Scenes (each with user's files beside, some of them hidden, that have to survive):

train        `train(out=...)`, a checkpoint at every look at the validation trials
train_quick  the same, over before its first checkpoint is due
population   `train_population(out=...)`, members trained in this process
save         `Run.save` to a new folder
resave       `Run.save` over another run
points       `FixedPoints.save` over another file
sweep        `run_sweep`; the sweep, a worker, or all of them are killed
ctrl_c       `train(out=...)`, SIGINT in place of SIGKILL
cli_ctrl_c   `conjugacy train`, SIGINT; what stderr says is read

Half of the kills are forced at the k-th call that changes a file (before it, or when half of it is written), for every
k in turn, the others come at random times; every third call that resumes is killed too. Counted are

lost       finished trainings that had been on disk and are trained again, or runs that are there no more; a training
           has been on disk once a checkpoint or run of all its steps was moved to its place, or once its last weights
           were written anywhere and two more places were passed
redone     other gradient steps that had been on disk and are taken again
refused    second calls that raise
bits       final weights that differ from those of a training that nobody disturbed
deleted    files of the user that are gone
traceback  a traceback on stderr (of the command line), or an exception other than KeyboardInterrupt after Ctrl-C

Exits 1 if any of these is not 0. `litter` (files left behind beside the run) is told, but is no failure.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import mmap
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forced_places
import torch
from forced_places import Places
from isolated import Outcome, in_child, table

import conjugacy as cj

STEPS = 6
SETTINGS = {"steps": STEPS, "eval_every": 2, "batch_size": 4, "stop_accuracy": 1.0, "select": "r2"}
FAULTS = ("lost", "redone", "refused", "bits", "deleted", "traceback")
USERS = (
    ".abcdefgh/thesis.txt",
    ".run-original/thesis.txt",
    ".run-20251124/thesis.txt",
    ".run-old-original/thesis.txt",
    ".run.backup/thesis.txt",
    "run-copy/thesis.txt",
    "notes.txt",
    ".notes",
)
_CHILD = ("steps", "saved_at")  # what a child tells, in memory that outlives it


def task() -> Any:
    """The smallest task."""
    return cj.tasks.NBitFlipFlop(n=1, n_timesteps=20)


def weights(run: Any) -> str:
    """Hash of a run's weights."""
    sha = hashlib.sha256()
    for name, value in sorted(run.network.state_dict().items()):
        sha.update(name.encode() + value.contiguous().numpy().tobytes())
    return sha.hexdigest()


class Told:
    """Numbers that a child writes and its parent reads, also when the child is dead."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8 * len(_CHILD))

    def clear(self) -> None:
        """All 0."""
        self._memory[:] = bytes(8 * len(_CHILD))

    def __getitem__(self, name: str) -> int:
        return struct.unpack_from("q", self._memory, 8 * _CHILD.index(name))[0]

    def __setitem__(self, name: str, value: int) -> None:
        struct.pack_into("q", self._memory, 8 * _CHILD.index(name), value)


TOLD = Told()


@dataclass
class Scene:
    """Something to be killed.

    Attributes
    ----------
    act : callable
        What is killed, and then called again; its value is compared with that of an undisturbed call.
    look : callable
        After a kill and before `act` is called again: what is wrong already, by the names of FAULTS.
    jump : bool
        Let 30 s pass at every look at the clock.
    signal : int
    steps : int
        Gradient steps of the whole, taken in the process itself; 0 where they are not counted.
    weight : int
        Its share of all kills.
    """

    act: Callable[[Path], Any]
    look: Callable[[Path], Counter] = lambda base: Counter()
    jump: bool = False
    signal: int = signal.SIGKILL
    steps: int = 0
    weight: int = 10
    limit_s: float = 60.0


def train_there(base: Path) -> Any:
    """The training; the hash of what is in its folder then."""
    run = cj.train(task(), cj.networks.GRU(2), 3, False, out=base / "run", **SETTINGS)
    if run.metrics["stopped"] == "interrupted":
        return "interrupted"
    return weights(run), weights(cj.load(base / "run"))


def train_members(base: Path) -> Any:
    """Two members, one after the other."""
    runs = cj.train_population(
        task(), cj.networks.GRU(2), [0, 1], out=base / "run", workers=1, progress=False, **SETTINGS
    )
    if any(run.metrics["stopped"] == "interrupted" for run in runs):
        return "interrupted"
    return [weights(run) for run in runs]


def save_it(base: Path) -> Any:
    """Save the new run, over whatever is there."""
    options = {"overwrite": True} if "overwrite" in inspect.signature(cj.Run.save).parameters else {}
    MADE["new"].save(base / "run", **options)
    return weights(cj.load(base / "run"))


def look_at_saved(base: Path) -> Counter:
    """After a kill while one run is saved over another, either of them loads."""
    try:
        return Counter(lost=int(weights(cj.load(base / "run")) not in (weights(MADE["old"]), weights(MADE["new"]))))
    except (ValueError, OSError):
        return Counter(lost=1)


def save_points(base: Path) -> Any:
    """Save the new points over the old ones."""
    MADE["points"].save(base / "run.npz")
    return cj.FixedPoints.load(base / "run.npz").x.tolist()


def look_at_points(base: Path) -> Counter:
    """Either the old or the new points load."""
    try:
        found = cj.FixedPoints.load(base / "run.npz").x.tolist()
    except Exception:
        return Counter(lost=1)
    return Counter(lost=int(found not in (MADE["points"].x.tolist(), MADE["points"][:1].x.tolist())))


def sweep(base: Path) -> Any:
    """Two runs, one worker."""
    config = {
        "task": {"class": "NBitFlipFlop", "n": 1, "n_timesteps": 20},
        "network": {"class": "GRU", "latent_size": [2, 3]},
        "recipe": SETTINGS,
    }
    out = cj.run_sweep(config, base / "run", workers=1, progress=False)
    if (out["status"] != "finished").any():
        return "interrupted"
    return [weights(cj.load(base / "run" / "runs" / name)) for name in out["run"]]


def train_by_command(base: Path) -> Any:
    """`conjugacy train` in this process, its stderr in a file."""
    from conjugacy.cli import main

    settings = [f"--recipe.{k}={v}" for k, v in SETTINGS.items()]
    what = ["--task=NBitFlipFlop", "--task.n=1", "--task.n_timesteps=20", "--network=GRU", "--network.latent_size=2"]
    err = os.open(base.with_suffix(".err"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(err, 2)
    try:
        main(["train", *what, "--seed=3", f"--out={base / 'run'}", "--progress=false", *settings])
    except SystemExit as left:
        return f"left with {left.code}"
    except KeyboardInterrupt:  # what Python itself would do with it
        import traceback

        traceback.print_exc()
        return "interrupted"
    return weights(cj.load(base / "run")) if (base / "run" / "config.json").exists() else "interrupted"


def look_at_stderr(base: Path) -> Counter:
    """No traceback."""
    path = base.with_suffix(".err")
    return Counter(traceback=int(path.exists() and "Traceback" in path.read_text()))


SCENES = {
    "train": Scene(train_there, jump=True, steps=STEPS, weight=30),
    "train_quick": Scene(train_there, steps=STEPS, weight=20),
    "population": Scene(train_members, jump=True, weight=10),
    "save": Scene(save_it, weight=8),
    "resave": Scene(save_it, look_at_saved, weight=12),
    "points": Scene(save_points, look_at_points, weight=6),
    "sweep": Scene(sweep, weight=2, limit_s=120.0),
    "ctrl_c": Scene(train_there, jump=True, signal=signal.SIGINT, steps=STEPS, weight=10),
    "cli_ctrl_c": Scene(train_by_command, look_at_stderr, jump=True, signal=signal.SIGINT, weight=4),
}
MADE: dict[str, Any] = {}


def prepare(name: str, base: Path) -> set[str]:
    """What is there before; the files of the user."""
    users = set(USERS) | ({"run/.seed=0-original/thesis.txt"} if name == "population" else set())
    _write_users(base, users)
    if name == "resave":
        MADE["old"].save(base / "run")
    if name == "points":
        MADE["points"][:1].save(base / "run.npz")
    return users


def _write_users(base: Path, users: set[str]) -> None:
    for path in users:
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_text("years of work")


def acted(scene: Scene, base: Path, kill_at: int | None, manner: str) -> Any:
    """In a child: hooks, and then the act."""
    places = Places(base, kill_at, manner, scene.signal)
    real_step, real_monotonic, looks, written = torch.optim.Adam.step, time.monotonic, [0], [0]

    def step(self: Any, *args: Any, **options: Any) -> Any:
        value = real_step(self, *args, **options)
        TOLD["steps"] += 1
        return value

    def later() -> float:
        looks[0] += 1
        return real_monotonic() + 30.0 * looks[0]

    def renamed(to: Path) -> None:
        # the steps that are safe: a checkpoint or a run was moved to its place
        inside = to == base / "run" or base / "run" in to.parents
        if inside and (to.suffix == ".safetensors" or any(to.glob("*.safetensors"))):
            TOLD["saved_at"] = max(TOLD["saved_at"], TOLD["steps"])

    def passed(place: str) -> None:
        if scene.steps and TOLD["steps"] == scene.steps:
            if written[0] and places.n > written[0] + 2:
                TOLD["saved_at"] = scene.steps
            elif not written[0] and place.startswith("fsync") and ".safetensors" in place:
                written[0] = places.n

    torch.optim.Adam.step = step
    places.on_rename, places.on_place = renamed, passed
    places.install()
    if scene.jump:
        time.monotonic = later
    if scene.act is sweep:
        _hook_workers(base, kill_at, manner)
    if scene.act is train_by_command:
        import conjugacy.cli  # noqa: F401  (what happens while Python imports is not ours)
    value = "interrupted"
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        value = scene.act(base)
    except KeyboardInterrupt:
        pass
    finally:
        with suppress(KeyboardInterrupt):
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    return {"value": value, "places": places.names}


def _hook_workers(base: Path, kill_at: int | None, manner: str) -> None:
    """Have the processes that a sweep starts killed at their k-th place."""
    hooks = base.with_suffix(".hooks")
    hooks.mkdir(exist_ok=True)
    folder = Path(forced_places.__file__).parent
    (hooks / "sitecustomize.py").write_text(
        f"import sys; sys.path.insert(0, {str(folder)!r})\nimport time; from pathlib import Path\n"
        f"from forced_places import Places; Places(Path({str(base)!r}), {kill_at!r}, {manner!r}).install()\n"
        "real, looks = time.monotonic, [0]\ndef later():\n    looks[0] += 1\n    return real() + 30.0 * looks[0]\n"
        "time.monotonic = later\n"
    )
    os.environ["PYTHONPATH"] = os.pathsep.join([str(hooks), os.environ.get("PYTHONPATH", "")])


def killer(after_s: float, signal_: int, rng: random.Random, workers: bool) -> Callable[[int], None]:
    """Kill a child after some time; where it has workers, it, one of them, or all."""

    def kill(pid: int) -> None:
        time.sleep(after_s)
        family = [pid, *descendants(pid)] if workers else [pid]
        chosen = family if rng.random() < 0.3 else [rng.choice(family)]
        for one in chosen:
            with suppress(ProcessLookupError):
                os.kill(one, signal_)

    return kill


def descendants(pid: int) -> list[int]:
    """Processes that a process started, and those that they did."""
    parent: dict[int, int] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with suppress(OSError):
                parent[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, of in parent.items() if of == one]
    return found[1:]


def call(scene: Scene, base: Path, kill_at: int | None = None, manner: str = "before", after_s: float | None = None,
         rng: random.Random | None = None) -> Outcome:  # fmt: skip
    """The act in a child, killed or not."""
    TOLD.clear()
    kill = None
    if after_s is not None and rng is not None:
        kill = killer(after_s, scene.signal, rng, scene.act is sweep)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # until the child has its hooks
    try:
        outcome = in_child(
            lambda: acted(scene, base, kill_at, manner), scene.limit_s, on_start=kill, own_group=scene.act is sweep
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return outcome


@dataclass
class Undisturbed:
    """A call that nobody disturbed: its value, the places in it with the manners to be killed there, its seconds."""

    value: Any
    places: list[tuple[int, str]]
    seconds: float


def undisturbed(name: str, folder: Path) -> Undisturbed:
    """Take the measure of a scene."""
    scene, base = SCENES[name], folder / f"{name}-undisturbed"
    prepare(name, base)
    outcome = call(scene, base)
    if outcome.status != "returned" or outcome.value["value"] == "interrupted":
        raise SystemExit(f"{name}: even undisturbed it {outcome.status}:\n{outcome.value}")
    names = outcome.value["places"] + [""] * (25 if scene.act is sweep else 0)  # as many as a worker passes
    places = [(k, "before") for k in range(1, len(names) + 1)]
    places += [(k, "within") for k, place in enumerate(names, 1) if place.startswith("write")]
    random.Random(0).shuffle(places)
    return Undisturbed(outcome.value["value"], places, outcome.seconds)


def trial(name: str, base: Path, right: Undisturbed, k: int, rng: random.Random) -> tuple[Counter, str]:
    """One kill (or several), and the call again; the faults and what was said."""
    scene, faults, said = SCENES[name], Counter(), []
    users = prepare(name, base)
    saved = 0
    for again in range(3):
        if again and (rng.random() > 1 / 3 or (scene.signal == signal.SIGINT and again > 1)):
            break
        if k % 2 == 0 if again == 0 else rng.random() < 0.5:
            where, manner = right.places[k // 2 % len(right.places)] if again == 0 else rng.choice(right.places)
            outcome = call(scene, base, where, manner)
            said.append(f"killed {manner} place {where}")
        else:
            after = rng.uniform(0, right.seconds)
            outcome = call(scene, base, after_s=after, rng=rng)
            said.append(f"killed after {after * 1e3:.0f} ms")
        faults["kills"] += 1
        steps, safe = TOLD["steps"], TOLD["saved_at"]
        if outcome.status in ("raised", "hung"):
            faults["traceback" if scene.signal == signal.SIGINT else "refused"] += 1
            said.append(f"{outcome.status}: {_last_line(outcome.value)}")
        if scene.steps:
            again_taken = _taken_again(saved, steps, said)
            faults += again_taken
            saved = safe if again_taken else min(STEPS, saved + safe)
        found = scene.look(base)
        said += [f"{kind}: as it was after the kill" for kind in found if found[kind]]
        faults += found
        if scene.act is sweep and (base / "run" / "runs").exists():
            users |= {f"run/runs/.{one.name}-original/thesis.txt" for one in (base / "run" / "runs").glob("[!.]*")}
            _write_users(base, users)
    finished = finished_runs(base)
    outcome = call(scene, base)
    if outcome.status != "returned":
        faults["refused"] += 1
        said.append(f"the call again {outcome.status}: {_last_line(outcome.value)}")
    elif outcome.value["value"] != right.value:
        got = outcome.value["value"]
        faults["refused" if isinstance(got, str) and "left" in got else "bits"] += 1
        said.append(f"the call again returned {got}")
    if scene.steps:
        faults += _taken_again(saved, TOLD["steps"], said)
    for path, inode in finished.items() if name not in ("save", "resave", "points") else ():
        if not path.exists() or path.stat().st_ino != inode:
            faults["lost"] += 1
            said.append(f"{path} was finished, and was written again")
    for path in sorted(users):
        if not (base / path).exists():
            faults["deleted"] += 1
            said.append(f"{path} is gone")
    known = {Path(path).parts[0] for path in users} | {"run", "run.npz"}
    faults["litter"] += any(path.name not in known for path in base.iterdir())
    return faults, "; ".join(said)


def _last_line(text: str | None) -> str:
    return (text or "").strip().rpartition("\n")[2]


def _taken_again(saved: int, steps: int, said: list[str]) -> Counter:
    """What a call that took `steps` did over, of `saved` steps that were on disk."""
    if steps <= STEPS - saved:
        return Counter()
    kind = "lost" if saved == STEPS or steps == STEPS else "redone"
    said.append(f"{saved} of {STEPS} steps were on disk, {steps} were taken again")
    return Counter({kind: 1})


def finished_runs(base: Path) -> dict[Path, int]:
    """Weights of the runs that are whole, with what tells whether they are written again."""
    found = {}
    for path in (base / "run").rglob("config.json"):
        hidden = any(part.startswith(".") for part in path.relative_to(base).parts)
        there = path.with_name("weights.safetensors")
        if not hidden and there.exists():
            found[there] = there.stat().st_ino
    return found


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1000, help="number of trials; in each, one kill at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenes", default=",".join(SCENES))
    parser.add_argument("--verbose", action="store_true", help="tell every trial that found a fault")
    o = parser.parse_args()
    torch.set_num_threads(1)
    chosen = o.scenes.split(",")
    total = sum(SCENES[name].weight for name in chosen)
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    made = in_child(lambda: _warm(folder), 300)
    if made.status != "returned":
        raise SystemExit(f"nothing can be trained at all:\n{made.value}")
    _make()
    rows, examples, sums = [], {}, Counter()
    for name in chosen:
        n = max(1, round(o.n * SCENES[name].weight / total))
        right, found, start = undisturbed(name, folder), Counter(), time.monotonic()
        for k in range(n):
            base = folder / f"{name}-{k}"
            base.mkdir(exist_ok=True)
            faults, said = trial(name, base, right, k, random.Random(f"{o.seed} {name} {k}"))
            found += faults
            for kind in FAULTS:
                if faults[kind]:
                    examples.setdefault((name, kind), f"trial {k}: {said}")
                    if o.verbose:
                        print(name, kind, k, said)
            shutil.rmtree(base, ignore_errors=True)
        sums += found
        counts = {kind: found[kind] for kind in FAULTS}
        seconds = f"{time.monotonic() - start:.0f}"
        rows.append({"scene": name, "trials": n, "kills": found["kills"], "places": len(right.places), **counts,
                     "litter": found["litter"], "s": seconds})  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)
    print(table(rows))
    for (name, kind), said in examples.items():
        print(f"\n{name}, {kind}: {said}")
    failed = sum(sums[kind] for kind in FAULTS)
    print(f"\n{sums['kills']} kills: {', '.join(f'{sums[kind]} {kind}' for kind in FAULTS)}.")
    sys.exit(1 if failed else 0)


def _warm(folder: Path) -> None:
    train_there(folder / "warm")


def _make() -> None:
    """What the scenes save, made once; and all that they import."""
    quick = {"steps": 1, "eval_every": 1, "batch_size": 4}
    for k, name in enumerate(("old", "new")):
        MADE[name] = cj.train(task(), cj.networks.GRU(2), k, False, **quick)
    start = torch.linspace(-2, 2, 16, dtype=torch.float64)[:, None]
    MADE["points"] = cj.fixed_points(lambda x, u: torch.tanh(2 * x) + 0 * u, start, 0.0, 16, progress=False)


if __name__ == "__main__":
    main()

"""The same seeds give the same numbers, to the last bit: hashes of weights, trials, tables and fixed points.

    OMP_NUM_THREADS=1 python benchmarks/same_numbers.py
    OMP_NUM_THREADS=1 python benchmarks/same_numbers.py --out benchmarks/results/same_numbers.json

Prints a row a result: its hash, whether it equals the one in benchmarks/results/same_numbers.json, which an earlier
commit wrote, and the CPU time it took; exit code 1 if one differs. It uses public names only, so that it runs on any
commit since ab0b434: PYTHONPATH=OTHER/src. Numbers are the same on machines with the same kind of processor, the same
number of threads and the same versions of torch, NumPy and Numba, all of which the file names; on others, "differs"
says nothing of the code.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import numpy as np
import torch

import conjugacy as cj

RECORDED = Path(__file__).parent / "results" / "same_numbers.json"
# all in full: tasks may come to recommend another recipe
RECIPE: dict[str, Any] = {
    **{"steps": 20, "batch_size": 16, "learning_rate": 1e-2, "warmup": 0.3, "clip": 1.0, "weight_decay": 1e-6},
    **{"averaging": 0.9, "short_timesteps": 30, "short_share": 0.4, "whole_share": 0.25, "eval_every": 10},
    **{"stop_accuracy": 1.0, "stop_r2": 1.0, "select": "r2"},
}
MEASURES = {
    "state_r2": ["state_r2"],
    "geometry": ["procrustes", "cca", "svcca", "cka", "soft_matching", "bures"],
    "kernels": ["cka_rbf", "rsa"],
    "dynamics": ["dsa", "spectrum_w2", "timescales"],
    "maps": ["portrait", "lyapunov"],
    "driven": ["input_dsa"],
}
# of the table of a comparison; others may have come since
COLUMNS = [f"{way}{what}" for way in ("a -> b", "b -> a", "a <-> b") for what in ("", " low", " high", " null", " p")]


def flip_flop() -> Any:
    """The task of most rows."""
    return cj.tasks.NBitFlipFlop(n=2, n_timesteps=40, switch_prob=0.05, noise=0.1)


@cache
def trained(name: str) -> Any:
    """A network after a short training."""
    task, network, seed = {
        "GRU": lambda: (flip_flop(), cj.networks.GRU(7), 0),
        "GRU of another seed": lambda: (flip_flop(), cj.networks.GRU(7), 1),
        "NODE": lambda: (flip_flop(), cj.networks.NODE(3, 3, 11), 0),
        "LSTM": lambda: (flip_flop(), cj.networks.LSTM(8), 0),
        "NoisyGRU, plain": lambda: (flip_flop(), cj.networks.NoisyGRU(8), 0),
        "RandomTarget": lambda: (cj.tasks.RandomTarget(), cj.networks.GRU(10), 0),
        "RandomTarget, plain": lambda: (cj.tasks.RandomTarget(), cj.networks.VanillaRNN(6), 0),
        "MultiTask": lambda: (cj.tasks.MultiTask(bin_size=75), cj.networks.LeakyRNN(12), 0),
    }[name]()
    few = {"steps": 4} if isinstance(task, cj.tasks.RandomTarget) else {}
    plain = {"rollout": "plain"} if name.endswith("plain") else {}
    return cj.train(task, network, seed, progress=False, recipe=cj.Recipe(**{**RECIPE, **few, **plain}))


def weights(name: str) -> dict[str, Any]:
    """The weights of a trained network."""
    return trained(name).network.state_dict()


def scores(name: str) -> list[Any]:
    """History and test scores of a trained network, but for the time they took."""
    run = trained(name)
    metrics = {k: v for k, v in run.metrics.items() if k != "seconds"}
    return [run.history.drop(columns="seconds").to_dict("list"), metrics]


def trials() -> list[str]:
    """Trials of every task."""
    makers = [cj.tasks.NBitFlipFlop, cj.tasks.RandomTarget, cj.tasks.MultiTask, cj.tasks.PathIntegration]
    makers += [cj.tasks.ContextualIntegration, cj.tasks.ChaoticDelayedMatching, cj.tasks.CyclingMemory]
    makers += [cj.tasks.DelayedDiscrimination, cj.tasks.PhaseCodedMemory, cj.tasks.PoissonClicks]
    return [make().trials(20, seed=3).digest() for make in [*makers, cj.tasks.SineWaveGenerator]]


def noisy_rollout() -> list[Any]:
    """A closed loop with all of its noise."""
    task = cj.tasks.RandomTarget(vision_noise=0.01, proprioception_noise=0.01, action_noise=0.01, vision_delay=0.05)
    network = cj.networks.NoisyGRU(6)
    network.init_model(cj.tasks.input_size(task), cj.tasks.output_size(task), 2)
    noise = torch.Generator().manual_seed(5)
    out = cj.rollout(network, task, task.trials(10, seed=1), noise=noise)
    return [out.latents, out.outputs, out.actions, out.observations]


def compared(kind: str) -> Any:
    """The table of a comparison: intervals and nulls, where these take seconds and no minutes."""
    runs = [trained("GRU"), trained("GRU of another seed"), trained("NODE")]
    options: dict[str, Any] = {"null": "auto", "n_surrogates": 5, "n_trials": 30}
    if kind == "kernels":
        options |= {"interval": None, "n_trials": 10}
    if kind == "maps":
        options = {"null": None, "interval": None, "n_trials": 10}
    table = cj.compare(runs, MEASURES[kind], seed=4, **options).table()
    columns = [name for name in COLUMNS if name in table]
    return [[str(key) for key in table.index], columns, *(table[name].to_numpy() for name in columns)]


@cache
def found(name: str) -> Any:
    """The fixed points of a trained network, of one with cycles, or of a map with 27 of them."""
    few: dict[str, Any] = {"n_inits": 256, "seed": 0, "progress": False}
    if name == "a cube":
        generator = torch.Generator().manual_seed(0)
        mixing = 2 * torch.eye(3) + 0.1 * torch.randn(3, 3, generator=generator)
        starts = torch.rand(100, 3, generator=generator) * 2 - 1
        return cj.fixed_points(lambda x, u: torch.tanh(x @ mixing.double().T), starts, **few, search="until_complete")
    if name == "VanillaRNN":
        network = cj.networks.VanillaRNN(6, gain=3.0)
        network.init_model(2, 2, 1)
        run = cj.Run(flip_flop(), network.eval(), 1, cj.TrialSets.from_seed(1, 50, 20))
        return cj.fixed_points(run, inputs=[0.0, 0.0], **few)
    return cj.fixed_points(trained(name), inputs=[0.0, 0.0], **few)


def points(name: str) -> list[Any]:
    """Fixed points, with what is established about each, and cycles."""
    p = found(name)
    arrays = [p.x, p.q, p.jacobian, p.eigenvalues, p.n_unstable, p.radius, p.hits]
    return [arrays, list(p.kind), list(p.certificate), [[c.x, float(c.period), c.multipliers] for c in p.cycles]]


def portrait() -> list[Any]:
    """The skeletons of two maps, and their distance."""
    a, b = found("a cube").portrait(), found("VanillaRNN").portrait()
    return [repr(a), repr(b), float(cj.portrait_distance(a, b))]


def exponents() -> Any:
    """The Lyapunov spectrum of a trained network."""
    return cj.lyapunov_spectrum(trained("GRU"), seed=0).exponents


ROWS: dict[str, Callable[[], Any]] = {
    "trials of every task": trials,
    **{
        f"{what.__name__} of {name}": lambda what=what, name=name: what(name)
        for name in ("GRU", "NODE", "LSTM", "NoisyGRU, plain", "RandomTarget", "RandomTarget, plain", "MultiTask")
        for what in (weights, scores)
    },
    "rollout of a noisy closed loop": noisy_rollout,
    **{f"comparison: {kind}": lambda kind=kind: compared(kind) for kind in MEASURES},
    **{f"fixed points of {name}": lambda name=name: points(name) for name in ("GRU", "VanillaRNN", "a cube")},
    "portraits and their distance": portrait,
    "Lyapunov spectrum": exponents,
}


def digest(thing: Any) -> str:
    """SHA-256 of a value: of arrays the shape, type and bytes."""
    sha = hashlib.sha256()

    def take(x: Any) -> None:
        if isinstance(x, torch.Tensor):
            x = x.detach().cpu().numpy()
        if isinstance(x, dict):
            take([[str(k), v] for k, v in x.items()])
        elif isinstance(x, list | tuple):
            sha.update(f"[{len(x)}".encode())
            for part in x:
                take(part)
        elif isinstance(x, np.ndarray) and x.dtype != object:
            sha.update(f"{x.shape} {x.dtype}".encode())
            sha.update(np.ascontiguousarray(x).tobytes())
        else:
            sha.update(repr(x.tolist() if isinstance(x, np.ndarray | np.generic) else x).encode())

    take(thing)
    return sha.hexdigest()


def machine() -> dict[str, str]:
    """What the last bits depend on beside the code."""
    return {
        "processor": llvmlite.binding.get_host_cpu_name(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "numba": numba.__version__,
    }


def commit() -> str:
    """The commit of the conjugacy that is imported, with a + if it has been changed since."""
    git = ["git", "-C", str(Path(cj.__file__).parent)]
    head = subprocess.run([*git, "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain", "."], capture_output=True, text=True).stdout
    return head + "+" * bool(changed)


def main() -> int:
    """Print the table; 1 if a row differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the hashes here, as json")
    parser.add_argument("--against", type=Path, default=RECORDED, help="compare with the hashes in this file")
    parser.add_argument("--only", help="run the rows alone whose names hold this")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")  # these networks are hardly trained
    recorded = json.loads(chosen.against.read_text()) if chosen.against.exists() else {"rows": {}, "machine": {}}
    now = {"commit": commit(), "machine": machine()}
    print(f"commit {now['commit']} against {recorded.get('commit', 'nothing')}")
    for name, value in now["machine"].items():
        before = recorded["machine"].get(name, value)
        print(f"  {name}: {value}" + (f" (the recorded one: {before})" if before != value else ""))
    rows, differing = {}, 0
    for name, make in ROWS.items():
        if chosen.only is not None and chosen.only not in name:
            continue
        began = time.process_time()
        rows[name] = digest(make())
        before = recorded["rows"].get(name)
        verdict = "new" if before is None else "equal" if before == rows[name] else "differs"
        differing += verdict == "differs"
        print(f"{name:32} {rows[name][:16]}  {verdict:8} {time.process_time() - began:5.1f} s", flush=True)
    print(f"{differing} of {len(rows)} differ")
    if chosen.out is not None:
        chosen.out.write_text(json.dumps({**now, "rows": rows}, indent=1) + "\n")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())

"""The same bits whatever the number of threads and processes: scores, tables, weights.

    python benchmarks/robustness/same_bits.py [--seed 0] [--n 2]

Everything is computed in fresh processes with 1 and with 2 threads (torch, OpenMP, BLAS and Numba told alike), and with
as many as each would take by itself; trainings also by the workers of a population. Each number is compared bit for bit
with that of one thread. `--n` is the number of seeds. Exits 1 if any differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from isolated import table

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def digest(value: Any) -> str:
    """Hash of numbers, tables, or dicts of them."""
    if hasattr(value, "to_csv"):
        value = value.map(lambda x: float(x).hex() if isinstance(x, float) else repr(x)).to_csv()
    elif isinstance(value, dict):
        value = json.dumps({k: digest(v) for k, v in sorted(value.items())})
    elif hasattr(value, "detach") or isinstance(value, np.ndarray):
        value = np.ascontiguousarray(value.detach().numpy() if hasattr(value, "detach") else value).tobytes()
    elif isinstance(value, float):
        value = value.hex()
    data = value if isinstance(value, bytes) else str(value).encode()
    return hashlib.sha256(data).hexdigest()[:16]


def compute(seed: int, workers: int, threads: int | None) -> dict[str, str]:
    """All that is compared, in this process; `workers` train the populations."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    import conjugacy as cj

    found: dict[str, Any] = {}
    quick = {"steps": 12, "eval_every": 4}
    kinds = {
        "GRU-20": (cj.tasks.NBitFlipFlop(n=2, n_timesteps=60), cj.networks.GRU(20)),
        "GRU-128": (cj.tasks.NBitFlipFlop(n=3, n_timesteps=40), cj.networks.GRU(128)),
        "NODE-3": (cj.tasks.NBitFlipFlop(n=2, n_timesteps=60), cj.networks.NODE(3, 2, 16)),
        "vanilla-12": (cj.tasks.ContextualIntegration(), cj.networks.VanillaRNN(12)),
        "reach": (cj.tasks.RandomTarget(), cj.networks.GRU(16)),
    }
    runs: dict[str, list[Any]] = {}
    for name, (task, network) in kinds.items():
        runs[name] = cj.train_population(task, network, [seed, seed + 1], workers=workers, progress=False, **quick)
        for run in runs[name]:
            timeless = {k: v for k, v in run.metrics.items() if k != "seconds"}
            found[f"{name}: weights, seed {run.seed}"] = dict(run.network.state_dict())
            found[f"{name}: metrics, seed {run.seed}"] = timeless
            found[f"{name}: history, seed {run.seed}"] = run.history.drop(columns="seconds")
    pair = runs["GRU-20"]
    systems = [run.system() for run in pair]
    for measure in cj.similarity.measure_names():
        if measure.startswith("input_dsa") or measure in ("portrait", "conjugacy"):
            continue
        score = cj.similarity.pairwise(
            systems, measure, progress=False, seed=seed, interval=0.9, n_resamples=10, null=None
        )
        found[f"pairwise {measure}"] = score.table()
    points = cj.fixed_points(systems[0], None, [0.0, 0.0], 128, seed, progress=False)
    found["fixed points"] = points.table()
    found["fixed points: x"] = points.x
    found["Lyapunov"] = cj.lyapunov_spectrum(systems[0], inputs=[0.0, 0.0], n_steps=200, progress=False).exponents
    found["compare"] = cj.compare(pair, ["state_r2", "procrustes", "dsa"], n_trials=40, seed=seed).table()
    return {name: digest(value) for name, value in found.items()}


def elsewhere(seed: int, workers: int, threads: int | None) -> dict[str, str]:
    """`compute` in a fresh process."""
    environment = {k: v for k, v in os.environ.items() if k not in _VARIABLES}
    if threads is not None:
        environment |= dict.fromkeys(_VARIABLES, str(threads))
    code = f"import json, same_bits; print(json.dumps(same_bits.compute({seed}, {workers}, {threads})))"
    here = Path(__file__).parent
    environment["PYTHONPATH"] = os.pathsep.join([str(here), environment.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"with {workers} workers and {threads} threads:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2, help="number of seeds")
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    rows, differing = [], []
    for seed in range(o.seed, o.seed + 2 * o.n, 2):
        right = elsewhere(seed, 1, 1)
        for how, workers, threads in (
            ("again", 1, 1),
            ("2 threads", 1, 2),
            ("threads by itself", 1, None),
            ("2 workers", 2, 1),
            ("2 workers, threads by itself", 2, None),
        ):
            got = elsewhere(seed, workers, threads)
            other = sorted(name for name in {*right, *got} if right.get(name) != got.get(name))
            differing += [f"seed {seed}, {how}: {name}" for name in other]
            rows.append({"seed": seed, "how": how, "compared": len(right), "differ": len(other)})
    print(table(rows))
    print("\n".join(differing))
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()

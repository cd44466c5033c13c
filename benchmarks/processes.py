"""Sixteen small trainings side by side: the workers of `conjugacy.populations.processes` beside joblib's loky.

    python benchmarks/processes.py --repeats 3

Both run the same trainings (GRU-16 on the 1-bit flip-flop, 60 steps, seeds 0 to 15) on as many processes as there are
cores, one thread each, processes started anew each time. Wall time and the CPU time of all processes, in turn, so that
what else runs on the machine falls on both alike. docs/design.md says what besides time was looked at.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time

import conjugacy as cj
from conjugacy.populations.processes import cores

SETTINGS = {"steps": 60, "batch_size": 16, "eval_every": 20, "progress": False}


def one(seed: int) -> float:
    """The test R2 of one training."""
    task = cj.tasks.NBitFlipFlop(n=1, n_timesteps=50)
    return cj.train(task, cj.networks.GRU(16), seed=seed, **SETTINGS).metrics["test_r2"]


def by_workers(n: int) -> list[float]:
    task = cj.tasks.NBitFlipFlop(n=1, n_timesteps=50)
    runs = cj.train_population(task, cj.networks.GRU(16), list(range(n)), workers=cores(), **SETTINGS)
    return [run.metrics["test_r2"] for run in runs]


def by_loky(n: int) -> list[float]:
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    try:
        return Parallel(n_jobs=cores())(delayed(one)(seed) for seed in range(n))
    finally:
        get_reusable_executor().shutdown(wait=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--n", type=int, default=16)
    chosen = parser.parse_args()
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"))
    times: dict[str, list[tuple[float, float]]] = {"workers": [], "loky": []}
    scores = {}
    for _ in range(chosen.repeats):
        for name, run in (("workers", by_workers), ("loky", by_loky)):
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            scores[name] = run(chosen.n)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            times[name].append((time.perf_counter() - start, cpu))
    for name, each in times.items():
        wall, cpu = (statistics.median(t[i] for t in each) for i in (0, 1))
        print(f"{name:<8} {wall:6.1f} s wall, {cpu:6.1f} s CPU in the processes (medians of {chosen.repeats})")
    print("equal scores" if scores["workers"] == scores["loky"] else "scores differ")


if __name__ == "__main__":
    main()

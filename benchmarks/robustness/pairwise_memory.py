"""Peak memory of `pairwise` above the data, and its time, for many large systems.

    python benchmarks/robustness/pairwise_memory.py [--n 20] [--trials 100] [--steps 200] [--units 100] [--seed 0]
        [--against SRC] [--repeats 3]

Each measure runs in a fresh process that makes the data (float32), reads the memory in use, calls `pairwise`, and reads
the peak. With --against the same is done with the package of another checkout (its `src` folder), in turn, so that a
busy machine slows both alike; its median CPU seconds and the median of the ratios stand beside. Exits 1 if a peak is
more than 400 MiB above the data, or the CPU time more than 1.1 of the other's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from typing import Any

from isolated import table

LIMIT_MIB = 400.0
MEASURES = ("procrustes", "cka", "state_r2")
_CODE = """
import json, resource, sys, time
import numpy as np
n, shape, seed, measure = json.loads(sys.argv[1])
from conjugacy import System
from conjugacy.similarity import pairwise

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

small = [np.random.default_rng(k).standard_normal((4, 10, 3)).astype(np.float32) for k in range(2)]
pairwise(small, measure, progress=False)  # what is imported and compiled is not what is measured
rng = np.random.default_rng(seed)
systems = []
for k in range(n):
    systems.append(System.from_arrays(str(k), rng.standard_normal(shape, dtype=np.float32)))
start, cpu = time.perf_counter(), time.process_time()
with open("/proc/self/status") as f:
    now = next(float(line.split()[1]) / 1024 for line in f if line.startswith("VmRSS"))
found = pairwise(systems, measure, seed=0, progress=False)
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
values = np.asarray(found.matrix(), float)
print(json.dumps({"above": peak() - now, "seconds": seconds, "cpu": cpu, "sum": float(np.nansum(values))}))
"""


def measured(src: str | None, measure: str, o: argparse.Namespace) -> dict[str, Any]:
    """One call in a fresh process."""
    environment = dict(os.environ)
    if src is not None:
        environment["PYTHONPATH"] = src
    arguments = json.dumps([o.n, [o.trials, o.steps, o.units], o.seed, measure])
    done = subprocess.run([sys.executable, "-c", _CODE, arguments], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20, help="number of systems")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--units", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--against", help="the src folder of another checkout")
    o = parser.parse_args()
    data = o.n * o.trials * o.steps * o.units * 4 / 2**20
    rows, failed = [], False
    for measure in MEASURES:
        ours, theirs = [], []
        for _ in range(o.repeats):
            ours.append(measured(None, measure, o))
            if o.against:
                theirs.append(measured(o.against, measure, o))
        above = max(one["above"] for one in ours)
        row = {"measure": measure, "data MiB": f"{data:.0f}", "above MiB": f"{above:.0f}",
               "s": f"{statistics.median(one['seconds'] for one in ours):.2f}",
               "CPU s": f"{statistics.median(one['cpu'] for one in ours):.2f}"}  # fmt: skip
        failed |= above > LIMIT_MIB
        if theirs:
            ratio = statistics.median(a["cpu"] / b["cpu"] for a, b in zip(ours, theirs))
            row |= {"theirs MiB": f"{max(one['above'] for one in theirs):.0f}",
                    "theirs CPU s": f"{statistics.median(one['cpu'] for one in theirs):.2f}",
                    "CPU ratio": f"{ratio:.2f}",
                    "values differ by": f"{abs(ours[0]['sum'] - theirs[0]['sum']):.2g}"}  # fmt: skip
            failed |= ratio > 1.1
        rows.append(row)
    print(table(rows))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

"""Every benchmark, one after the other, and one table of what they say: `make bench`.

    python benchmarks/bench.py [--only NAME ...] [--full] [--out benchmarks/results/FILE.json]

Each row is a ratio of two times taken in one run: what a user would run otherwise, over ours. A benchmark writes its
rows under "table" in its json (see table.py); all else it prints is shown as it comes. --full takes the long forms,
whose figures the documentation cites. What cannot be measured here (no GPU, a package or weights that are not there)
says so in its row.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from table import text

HERE = Path(__file__).resolve().parent

# name -> arguments of the short form, of the long form
BENCHMARKS: dict[str, tuple[list[str], list[str]]] = {
    "training_step": (["--repeats", "3"], ["--repeats", "9"]),
    "generation": ([], ["--repeats", "9"]),
    "time_to_learn": (["--budget", "2"], ["--budget", "60"]),
    "arm": (["--repeats", "3"], ["--repeats", "5"]),
    "reaching": (["--seeds", "0"], []),
    "population": (["--steps", "10"], ["--steps", "50"]),
    "scaling": (["--repeats", "3"], []),
    "fixed_points": (["--units", "64", "--adam-steps", "2000"], []),
    "pairwise_shape": ([], ["--repeats", "15"]),
    "dsa": (["--random", "12", "--real", "6", "--seed", "77"], ["--seed", "77"]),
}


def machine() -> dict:
    """What the figures depend on."""
    import numpy
    import torch

    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__}
    return {"processor": model, "cores": os.cpu_count(), "gpu": gpu, **versions}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=sorted(BENCHMARKS), help="run these alone")
    parser.add_argument("--full", action="store_true", help="the long forms")
    parser.add_argument("--out", type=Path, help="write machine, table and all details here, as json")
    args = parser.parse_args()
    here = machine()
    print(", ".join(f"{k} {v}" for k, v in here.items()), flush=True)
    details, table, failed = {}, [], []
    for name in args.only or BENCHMARKS:
        print(f"\n== {name}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out.json"
            options = BENCHMARKS[name][args.full]
            done = subprocess.run([sys.executable, HERE / f"{name}.py", *options, "--json", out])
            if done.returncode or not out.exists():
                failed.append(name)
                continue
            details[name] = json.loads(out.read_text())
        table += details[name].pop("table")
    print(f"\n{text(table)}")
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps({"machine": here, "table": table, "details": details}, indent=1))
    if failed:
        sys.exit(f"These benchmarks failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

"""From an NWB file to averaged states: seconds and memory for an hour of 200 units at 10 Hz in 1000 trials.

The file is written to a temporary folder first; reading, binning (10 ms), smoothing (25 ms) and averaging by eight
conditions is done, and measured, in a process of its own. Memory is the largest resident set less that after imports.

    python benchmarks/nwb.py [--repeats 3] [--json out.json]
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SPAN, N_UNITS, RATE, N_TRIALS = 3600.0, 200, 10.0, 1000
READ = """
import json, resource, sys, time, warnings
warnings.simplefilter("ignore")
import pynwb
import torch
import conjugacy as cj
cj.Recording.from_nwb
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
wall, cpu = time.perf_counter(), time.process_time()
read = cj.Recording.from_nwb(sys.argv[1], 0.01, window=(-0.5, 1.0), condition="target")
means = read.smooth(0.025).average()
found = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
found["mib"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
found["spikes"] = int(read.values.sum())
assert means.values.shape == (8, 150, 200)
print(json.dumps(found))
"""


def write(path: Path) -> None:
    """The file: spikes at random times, trials every 3.58 s, eight conditions in turn."""
    import pynwb

    rng = np.random.default_rng(0)
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    file = pynwb.NWBFile(session_description="made by a benchmark", identifier="x", session_start_time=now)
    file.add_unit_column("location", "region")
    for unit in range(N_UNITS):
        n = rng.poisson(SPAN * RATE)
        file.add_unit(spike_times=np.sort(rng.uniform(0, SPAN, n)), location="m1" if unit % 2 else "s1")
    file.add_trial_column("target", "condition")
    for k, start in enumerate(np.arange(2.0, 3590.0, 3.58)[:N_TRIALS]):
        file.add_trial(start_time=start, stop_time=start + 1, target=k % 8)
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour.nwb"
        write(path)
        print(f"{path.stat().st_size / 2**20:.0f} MiB, {N_UNITS} units, {N_TRIALS} trials", flush=True)
        for _ in range(args.repeats):
            out = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True)
            rows.append(json.loads(out.stdout.splitlines()[-1]))
            row = rows[-1]
            print(f"wall {row['wall_s']:.1f} s, CPU {row['cpu_s']:.1f} s, memory {row['mib']:.0f} MiB", flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()

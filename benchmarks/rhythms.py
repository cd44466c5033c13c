"""On what do networks settle that were trained to oscillate? Ten seeds of three tasks, by `cj.attractors`.

GRU-32 by the task's recipe, one for each seed. The solution that docs/tasks.md names is:

- SineWaveGenerator: at each level of the input (eleven are tried) one stable circle of the period that the level asks
  for, within 5 %;
- CyclingMemory: under the go input two stable circles of 25 steps, within 5 %, one for each direction;
- PhaseCodedMemory: under a reference of 33, 45 and 60 steps two cycles that repeat with the reference, one for each
  item.

Orbits start where trials end. A network that solves its task otherwise is printed as it is. What is in the folder
already is not done again.

    python benchmarks/rhythms.py --folder FOLDER [--seeds 0 1 ...] [--tasks NAME ...]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

import conjugacy as cj

TOLERANCE = 0.05
PERIODS = (33, 45, 60)


def last_states(run: cj.Run, n: int) -> torch.Tensor:
    """States (n, unit) at the end of test trials."""
    return run.rollout(run.trials("test")[:n]).latents[:, -1].double()


def told(found: Any) -> list[dict[str, Any]]:
    """What was found, for json."""
    return [
        {"kind": a.kind, "period": a.period, "share": round(float(a.share), 4), "exponent": float(a.exponents[0])}
        for a in found
    ]


def near(period: float | None, wanted: float) -> bool:
    """Whether a period is within 5 % of what is wanted."""
    return period is not None and bool(abs(period / wanted - 1) <= TOLERANCE)


def sine_waves(run: cj.Run) -> list[dict[str, Any]]:
    """Attractors at eleven levels of the input."""
    task, states, rows = run.task, last_states(run, 64), []
    for j in range(0, task.n_frequencies, 5):
        found = cj.attractors(run, inputs=[float(task.level(j))], x0=states, progress=False)
        wanted = 1 / (float(task.hertz(j)) * task.dt)
        moving = [a for a in found if a.kind in ("cycle", "circle")]
        right = len(found.items) == 1 and len(moving) == 1 and near(moving[0].period, wanted)
        rows.append({"place": f"level {j}", "wanted": wanted, "found": told(found), "right": right})
    return rows


def cycling(run: cj.Run) -> list[dict[str, Any]]:
    """Attractors under the go input."""
    found = cj.attractors(run, inputs=[0.0, 0.0, 1.0], x0=last_states(run, 64), progress=False)
    wanted = 1 / (run.task.frequency * run.task.dt)
    right = len(found.items) == 2 and all(a.kind in ("cycle", "circle") and near(a.period, wanted) for a in found)
    return [{"place": "go", "wanted": wanted, "found": told(found), "right": right}]


def phases(run: cj.Run) -> list[dict[str, Any]]:
    """Attractors under references of three periods."""
    rows = []
    for period in PERIODS:
        wave = torch.zeros(period, 3, dtype=torch.float64)
        wave[:, 0] = torch.sin(2 * torch.pi * torch.arange(period, dtype=torch.float64) / period)
        found = cj.attractors(run, inputs=wave, x0=last_states(run, 64), progress=False)
        right = len(found.items) == 2 and all(a.kind == "cycle" and bool(a.period == period) for a in found)
        rows.append({"place": f"reference of {period}", "wanted": period, "found": told(found), "right": right})
    return rows


LOOKS = {"SineWaveGenerator": sine_waves, "CyclingMemory": cycling, "PhaseCodedMemory": phases}


def look(folder: Path, name: str, seed: int) -> dict[str, Any]:
    """Train, or load, and find the attractors; read from the folder where that was done."""
    path = folder / f"{name}-{seed}.json"
    if path.exists():
        return json.loads(path.read_text())
    kept = folder / f"{name}-{seed}"
    if not kept.exists():
        cj.train(getattr(cj.tasks, name)(), cj.networks.GRU(32), seed=seed, progress=False).save(kept)
    run = cj.load(kept)
    started = time.process_time()
    made = {"task": name, "seed": seed, "accuracy": run.metrics["test_accuracy"], "places": LOOKS[name](run)}
    made["seconds"] = time.process_time() - started
    path.write_text(json.dumps(made, indent=1))
    return made


def main() -> None:
    """Train, look, count."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--tasks", nargs="+", choices=list(LOOKS), default=list(LOOKS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.tasks:
        made = [look(args.folder, name, seed) for seed in args.seeds]
        for m in made:
            wrong = [p for p in m["places"] if not p["right"]]
            print(f"{name}, seed {m['seed']}: accuracy {m['accuracy']:.3f}, {m['seconds']:.0f} CPU s", flush=True)
            for p in wrong:
                has = ", ".join(f"{a['kind']} {a['period'] or 0:.4g} ({a['share']:.0%})" for a in p["found"])
                print(f"  {p['place']} (wanted {p['wanted']:.4g}): {has}")
        whole = sum(all(p["right"] for p in m["places"]) for m in made)
        places = [p["right"] for m in made for p in m["places"]]
        lost = [sum(a["share"] for a in p["found"] if a["kind"] == "unresolved") for m in made for p in m["places"]]
        print(
            f"{name}: {whole} of {len(made)} networks as named, {sum(places)} of {len(places)} places; "
            f"{sum(lost) / len(lost):.2%} of orbits unresolved"
        )


if __name__ == "__main__":
    main()

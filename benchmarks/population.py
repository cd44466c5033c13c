"""Claim: a population of 16 GRU-64 takes no longer than its 16 trainings one after the other, on any machine.

The same members are trained by `train` in sequence, and by `train_population` side by side (a process a core) and
stacked (batched matrix products), the stop turned off, so that all take the same number of gradient steps. Starting the
processes is part of the time. Whether their losses agree is printed too. On a GPU: 64 GRU-64 stacked beside one alone.

    python benchmarks/population.py [--json PATH] [--members N] [--steps N] [--units D] [--timesteps T] [--repeats N]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch
from table import row

import conjugacy as cj
from conjugacy.populations.processes import cores

NOT_MEASURED = "not measured: no GPU here"


def timed(work):
    started = time.perf_counter()
    runs = work()
    return time.perf_counter() - started, runs


def furthest(alone, runs):
    """Largest relative difference between the losses of a member alone and in the population."""
    pairs = [(a.history.loss, b.history.loss) for a, b in zip(alone, runs, strict=True)]
    return max(float(((x - y).abs() / x.abs()).max()) for x, y in pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json")
    parser.add_argument("--members", type=int, default=16)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--timesteps", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    task, network = cj.tasks.NBitFlipFlop(n_timesteps=args.timesteps), cj.networks.GRU(args.units)
    settings = {"steps": args.steps, "eval_every": args.steps, "stop_r2": 2.0, "progress": False}
    seeds = range(args.members)
    ways = {
        "in sequence": lambda: [cj.train(task, network, seed, **settings) for seed in seeds],
        "side by side": lambda: cj.train_population(task, network, seeds, stacked=False, **settings),
        "stacked": lambda: cj.train_population(task, network, seeds, stacked=True, **settings),
    }
    cj.train(task, network, **{**settings, "steps": 1})  # compiles
    times, runs = {way: [] for way in ways}, {}
    for _ in range(args.repeats):
        for way, work in ways.items():
            seconds, runs[way] = timed(work)
            times[way].append(seconds)
    median = {way: statistics.median(t) for way, t in times.items()}
    told = {"device": "cpu", "cores": cores(), **vars(args), "seconds": {k: round(v, 2) for k, v in median.items()}}
    print(f"{args.members} GRU-{args.units} on {task.name}, {args.steps} steps each, {cores()} cores:")
    for way, seconds in median.items():
        ratio, apart = median["in sequence"] / seconds, furthest(runs["in sequence"], runs[way])
        told[f"in sequence / {way}"], told[f"losses apart, {way}"] = round(ratio, 2), apart
        print(f"  {way:<13} {seconds:7.1f} s   sequence / this {ratio:5.2f}   losses apart by {apart:.1e}")
    told["gpu"] = gpu(task, network, settings) if torch.cuda.is_available() else NOT_MEASURED
    print(f"64 GRU-{args.units} on a GPU, time of all / time of one: {told['gpu']}")
    if args.json:
        what = f"population of {args.members} GRU-{args.units}, {args.steps} steps"
        table = [
            row(f"{what}, {way}", "one after the other", median["in sequence"], median[way])
            for way in ("side by side", "stacked")
        ]
        on_gpu = told["gpu"] if isinstance(told["gpu"], dict) else {"one": None, "64": None}
        alone = None if on_gpu["one"] is None else 64 * on_gpu["one"]
        table.append(row("population of 64 on a GPU", "64 times the time of one", alone, on_gpu["64"]))
        with open(args.json, "w") as f:
            json.dump({**told, "table": table}, f, indent=2)


def gpu(task, network, settings):
    def population(n):
        return timed(lambda: cj.train_population(task, network, range(n), device="cuda", **settings))[0]

    def alone():
        return timed(lambda: cj.train(task, network, 0, device="cuda", **settings))[0]

    population(2), alone()  # warm up
    one, many = alone(), population(64)
    return {"device": torch.cuda.get_device_name(), "one": one, "64": many, "64 / one": round(many / one, 2)}


if __name__ == "__main__":
    main()

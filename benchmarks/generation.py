"""Claim: trials are drawn many times faster than by a loop over samples, which CtDB runs and a user would write.

MultiTask (15 rules, 1000 trials each) and the 3-bit flip-flop (1000 trials of 500 steps) are drawn in turn by
conjugacy and by a plain loop over samples, written here; medians over all turns. CtDB's own times, 1.6 s and 0.36 s,
were measured at another time: they are printed beside ours, not in the ratio of the run.

    python benchmarks/generation.py [--json PATH] [--threads N] [--repeats N] [--trials N]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
import torch
from table import row, text

from conjugacy.tasks import MultiTask, NBitFlipFlop

CTDB_SECONDS = {"MultiTask": 1.6, "3BFF": 0.36}
BIN, RING = 20, np.linspace(-np.pi, np.pi, 32, endpoint=False)


def span(rng, low, high):
    return int(rng.integers(low // BIN, high // BIN))


def multitask_sample(rule: str, rng: np.random.Generator, noise: float = 0.3):
    """One trial: noisy inputs, targets, inputs without noise."""
    column = 5 + MultiTask.RULES.index(rule)
    first = RING[rng.integers(32)]
    if "Delay" in rule or "Memory" in rule or "React" in rule:
        context = span(rng, 500, 2500) if "React" in rule else span(rng, 300, 700)
        stimulus = 0 if "React" in rule else span(rng, 200, 1500 if "Delay" in rule else 1600)
        memory = span(rng, 200, 1600) if "Memory" in rule else 0
        go = context + stimulus + memory
        end = go + (span(rng, 300, 1700) if "React" in rule else span(rng, 300, 700))
        inputs, targets = np.zeros((end, 20)), np.zeros((end, 3))
        inputs[: end if "React" in rule else go, 0] = 1
        inputs[context : context + stimulus if memory else end, 1:3] = np.cos(first), np.sin(first)
        targets[:go, 0] = 1
        sign = -1 if "Anti" in rule else 1
        targets[go:, 1:] = sign * np.cos(first), sign * np.sin(first)
    elif "Int" in rule:
        edges = np.cumsum([span(rng, 200, 600), *(span(rng, 200, 1600) for _ in range(3)), span(rng, 100, 300)])
        go, end = edges[-1], edges[-1] + span(rng, 300, 700)
        second = first + np.deg2rad(rng.uniform(90, 270))
        means, signs = rng.uniform(0.8, 1.2, 2), rng.choice([-1, 1], 2)
        coherences = signs * rng.choice([0.08, 0.16, 0.32], 2)
        inputs, targets = np.zeros((end, 20)), np.zeros((end, 3))
        inputs[:go, 0] = 1
        shown = [0] if rule == "IntMod1" else [1] if rule == "IntMod2" else [0, 1]
        attended = shown if "Multi" in rule or not rule.startswith("Context") else [int(rule[-1]) - 1]
        total = np.zeros(2)
        for m in shown:
            strengths = means[m] + coherences[m], means[m] - coherences[m]
            for k, (start, stop, angle) in enumerate(((edges[0], edges[1], first), (edges[2], edges[3], second))):
                inputs[start:stop, 1 + 2 * m] = strengths[k] * np.cos(angle)
                inputs[start:stop, 2 + 2 * m] = strengths[k] * np.sin(angle)
                if m in attended:
                    total[k] += strengths[k]
        answer = first if total[0] > total[1] else second
        targets[:go, 0] = 1
        targets[go:, 1:] = np.cos(answer), np.sin(answer)
    else:
        edges = np.cumsum([span(rng, 200, 600), span(rng, 200, 1600), span(rng, 200, 1600)])
        go, end = edges[-1], edges[-1] + span(rng, 300, 700)
        due = rng.random() < 0.5
        if rule.endswith("Sample"):
            second = first + (np.pi if rule.startswith("Non") else 0)
            second += 0 if due else np.deg2rad(rng.integers(10, 350))
        else:
            second = RING[rng.integers(32)]
            due = ((first < 0) == (second < 0)) == (rule == "MatchCatPro")
        inputs, targets = np.zeros((end, 20)), np.zeros((end, 3))
        inputs[:, 0] = 1
        inputs[edges[0] : edges[1], 1:3] = np.cos(first), np.sin(first)
        inputs[go:, 1:3] = np.cos(second), np.sin(second)
        targets[: go if due else end, 0] = 1
        if due:
            targets[go:, 1:] = np.cos(second), np.sin(second)
    inputs[:, column] = 1
    return inputs + noise * rng.standard_normal(inputs.shape), targets, inputs


def multitask_loop(per_rule: int, seed: int):
    rng = np.random.default_rng(seed)
    n = 15 * per_rule
    noisy, clean, targets = np.zeros((n, 320, 20)), np.zeros((n, 320, 20)), np.zeros((n, 320, 3))
    for k in range(n):
        x, y, u = multitask_sample(MultiTask.RULES[k // per_rule], rng)
        noisy[k, : len(x)], targets[k, : len(x)], clean[k, : len(x)] = x, y, u
    return noisy, targets, clean


def flip_flop_loop(n: int, seed: int):
    rng = np.random.default_rng(seed)
    noisy, clean, targets = (np.zeros((n, 500, 3)) for _ in range(3))
    for k in range(n):
        chance = rng.random((500, 3))
        pulses = np.where(chance > 1 - 0.015, 1.0, np.where(chance < 0.015, -1.0, 0.0))
        pulses[:3] = 0
        bits = np.zeros(3)
        for t in range(500):
            for i in range(3):
                if pulses[t, i] == 1:
                    bits[i] = 1
                elif pulses[t, i] == -1:
                    bits[i] = 0
            targets[k, t] = bits
        clean[k] = pulses
        noisy[k] = pulses + 0.15 * rng.standard_normal(pulses.shape)
    return noisy, targets, clean


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trials", type=int, default=1000, help="of the flip-flop, and of each rule")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    multitask, flip_flop, n = MultiTask(), NBitFlipFlop(3, 500, 0.015, 0.15), args.trials
    ways = {
        "MultiTask": (lambda seed: multitask.trials(15 * n, seed), lambda seed: multitask_loop(n, seed)),
        "3BFF": (lambda seed: flip_flop.trials(n, seed), lambda seed: flip_flop_loop(n, seed)),
    }
    table, details = [], {"threads": args.threads, "trials": n, "rows": []}
    for name, (ours, loop) in ways.items():
        ours(0)  # compiles
        wall, cpu = {"conjugacy": [], "loop": []}, {"conjugacy": [], "loop": []}
        for repeat in range(args.repeats):
            for way, draw in (("conjugacy", ours), ("loop", loop)):
                started, busy = time.perf_counter(), time.process_time()
                made = draw(repeat)
                wall[way].append(time.perf_counter() - started)
                cpu[way].append(time.process_time() - busy)
                del made
        seconds = {way: statistics.median(t) for way, t in wall.items()}
        busy = {way: statistics.median(t) for way, t in cpu.items()}
        what = f"{15 * n if name == 'MultiTask' else n} trials of {name}"
        table.append(row(what, "a loop over samples", seconds["loop"], seconds["conjugacy"]))
        details["rows"].append({"task": name, "seconds": seconds, "cpu_seconds": busy, "ctdb": CTDB_SECONDS[name]})
        said = f"{what}: {seconds['conjugacy']:.3f} s (processor {busy['conjugacy']:.3f} s)"
        said += f", loop {seconds['loop']:.2f} s (processor {busy['loop']:.2f} s)"
        if n == 1000:
            said += (
                f"; CtDB, elsewhere: {CTDB_SECONDS[name]} s, {CTDB_SECONDS[name] / seconds['conjugacy']:.1f} times ours"
            )
        print(said, flush=True)
    print(f"\n{text(table)}")
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"table": table, **details}, f, indent=2)


if __name__ == "__main__":
    main()

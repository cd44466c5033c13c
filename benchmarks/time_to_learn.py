"""Claim: a network has learned the 3-bit flip-flop in a fiftieth of the time that the seed notebook's recipe takes.

One after the other on the same threads: the notebook's recipe as the plain torch loop one would write (a GRUCell of
torch's own initial weights, called step by step; the same 800 trials at every step; Adam at 1e-3, weight decay 1e-8, no
clipping; 500 steps), and `conjugacy.train` to its last step. Held-out R2 is taken outside the transition mask, on 200
trials that neither has seen, noise-free. The clock of the loop stands still while it is scored; ours runs on.

    python benchmarks/time_to_learn.py [--budget MINUTES] [--json PATH] [--threads N] [--seed S] [--units D]

`--budget` bounds the loop's minutes (it takes over ten for its 500 steps). Where it has not reached a level by then, or
by its last step, the time that it has had is a bound from below, and so is the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import time

import torch
from table import row
from torch import nn

import conjugacy as cj
from conjugacy.training.scores import masked_r2

LEVELS = (0.80, 0.90, 0.97, 0.98, 0.99)


class Loop(nn.Module):
    """The loop over a GRUCell that one would write."""

    def __init__(self, units: int):
        super().__init__()
        self.cell = nn.GRUCell(3, units)
        self.readout = nn.Linear(units, 3)
        self.start = nn.Parameter(torch.zeros(units))

    def forward(self, inputs):
        x, states = self.start.expand(len(inputs), -1), []
        for u in inputs.unbind(1):
            x = self.cell(u, x)
            states.append(x)
        return self.readout(torch.stack(states, 1))


def notebook(task, units, seed, held_out, minutes):
    """History [(seconds, R2), ...] of the notebook's recipe, and its number of steps."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Loop(units)
    trials = task.trials(1000, seed)[:800]
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-8)
    history, spent, step = [], 0.0, 0
    for step in range(1, 501):
        started = time.perf_counter()
        y = network(trials.inputs)
        loss = ((y - trials.targets).square() * trials.mask).sum() / trials.mask.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        spent += time.perf_counter() - started
        over = spent > 60 * minutes
        if step % 10 == 0 or over:
            with torch.no_grad():
                r2 = masked_r2(network(held_out.inputs), held_out.targets, held_out.mask)
            history.append((spent, r2))
            print(f"  loop: step {step}, {spent:.0f} s, R2 {r2:.3f}", flush=True)
        if over:
            break
    return history, step


def ours(task, units, seed):
    """History [(seconds, R2), ...] of conjugacy.train to its last step, and its run."""
    run = cj.train(task, cj.networks.GRU(units), seed=seed, progress=False, stop_r2=1.0)
    return list(zip(run.history.seconds, run.history.val_r2)), run


def time_to(history, level):
    """Seconds until R2 reached `level`; None if it did not."""
    return next((seconds for seconds, r2 in history if r2 >= level), None)


def r2_after(history, seconds):
    """The last R2 known after `seconds`; None if there is none yet."""
    known = [r2 for at, r2 in history if at <= seconds]
    return known[-1] if known else None


def text(value, pattern):
    return "-" if value is None else format(value, pattern)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=15.0)
    parser.add_argument("--json")
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--units", type=int, default=128)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    task = cj.tasks.NBitFlipFlop(n=3, n_timesteps=500, switch_prob=0.015, noise=0.15)
    learned, run = ours(task, args.units, args.seed)
    held_out = run.trials("val")
    theirs, steps = notebook(task, args.units, args.seed, held_out, args.budget)
    print(
        f"GRU-{args.units} on {task.name}, {args.threads} threads: {steps} of the loop's 500 steps, "
        f"{run.metrics['steps']} of ours"
    )
    rows = []
    for level in LEVELS:
        a, b = time_to(theirs, level), time_to(learned, level)
        bound = "" if a else "> "
        a = a or theirs[-1][0]
        ratio = a / b if b else None
        rows.append({"r2": level, "loop_s": a, "loop_reached": not bound, "conjugacy_s": b, "ratio": ratio})
        print(
            f"  seconds to R2 {level:.2f}: loop {bound}{a:.0f}, conjugacy {text(b, '.1f')}, "
            f"ratio {bound if ratio else ''}{text(ratio, '.0f')}"
        )
    at = []
    for seconds in (5, 10, 20, 45, 90, 180, theirs[-1][0]):
        a, b = r2_after(theirs, seconds), r2_after(learned, seconds)
        at.append({"seconds": seconds, "loop_r2": a, "conjugacy_r2": b})
        print(f"  R2 after {seconds:.0f} s: loop {text(a, '.3f')}, conjugacy {text(b, '.3f')}")
    print(f"  conjugacy on test trials: R2 {run.metrics['test_r2']:.4f}, accuracy {run.metrics['test_accuracy']:.4f}")
    if args.json:
        table = [
            row(
                f"GRU-{args.units} learns {task.name} to held-out R2 {r['r2']:.2f}, {args.threads} threads",
                "the notebook's recipe, a loop over GRUCell",
                r["loop_s"],
                r["conjugacy_s"],
                unfinished=not r["loop_reached"],
            )
            for r in rows
        ]
        told = {"threads": args.threads, "units": args.units, "seed": args.seed, "loop_steps": steps, "time_to": rows}
        histories = {"loop": theirs, "conjugacy": learned}
        with open(args.json, "w") as f:
            json.dump({**told, "at": at, "history": histories, "metrics": run.metrics, "table": table}, f, indent=2)


if __name__ == "__main__":
    main()

"""What each part of the training recipe gives: GRU-128 on the 3-bit flip-flop with one part changed at a time.

Every variant takes as many time steps of trials as the recipe, on each seed, and does not stop before. Runs that are in
the json already are not repeated, so it may be stopped and called again. Held-out R2 is outside the transition mask.

    python benchmarks/recipe.py --json PATH [--figure PATH] [--variants NAME ...] [--seeds S ...] [--threads N]
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

import conjugacy as cj


class AsTheyAre(cj.tasks.NBitFlipFlop):
    """The flip-flop whose training trials have as many pulses as all others."""

    def training_trials(self, n, seed, step, progress):
        return super().training_trials(n, seed, step, 1.0)


SETTINGS = {"n": 3, "n_timesteps": 500, "switch_prob": 0.015, "noise": 0.15}
TASK, TAUGHT, RARE = (
    cj.tasks.NBitFlipFlop(**SETTINGS),
    cj.tasks.NBitFlipFlop(**SETTINGS, taught=True),
    AsTheyAre(**SETTINGS),
)
USUAL = cj.training.Recipe.for_task(TASK)

# name -> settings of the recipe, settings of the network, task
VARIANTS = {
    "recipe": ({}, {}, TASK),
    "peak 1e-2": ({"learning_rate": 1e-2}, {}, TASK),
    "peak 2e-2": ({"learning_rate": 2e-2}, {}, TASK),
    "clipped at 1": ({"clip": 1.0}, {}, TASK),
    "pulses as they are": ({}, {}, RARE),
    "last weights": ({"averaging": 0.0}, {}, TASK),
    "whole trials only": ({"short_timesteps": 500}, {}, TASK),
    "taught": ({}, {}, TAUGHT),
    "peak 1e-2, clipped at 1, pulses as they are": ({"learning_rate": 1e-2, "clip": 1.0}, {}, RARE),
}
NEVER = {"stop_r2": 2.0, "stop_accuracy": 2.0}


def ideal_scores(trials: cj.Trials) -> tuple[float, float]:
    """R2 and bit accuracy of the ideal observer."""
    outputs = TASK.ideal_outputs(trials)
    r2 = cj.training.masked_r2(outputs, trials.targets, trials.mask)
    return r2, TASK.success_rate(outputs, trials)["accuracy"]


def of_equal_cost(recipe: cj.training.Recipe) -> cj.training.Recipe:
    """The recipe with as many gradient steps as take the time steps of the default one."""

    def cost(r):
        return sum(r.batch_size * r.timesteps_at(k, TASK.n_timesteps) for k in range(r.steps))

    return replace(recipe, steps=round(recipe.steps * cost(USUAL) / cost(recipe)))


def train(variant: str, seed: int, times: float) -> dict:
    settings, of_network, task = VARIANTS[variant]
    recipe = of_equal_cost(replace(USUAL, **settings, **NEVER))
    recipe = replace(recipe, steps=round(recipe.steps * times))
    run = cj.train(task, cj.networks.GRU(128, **of_network), seed, progress=False, recipe=recipe)
    history = {name: run.history[name].tolist() for name in ("step", "seconds", "val_r2")}
    return {"variant": variant, "seed": seed, "times": times, "history": history, "metrics": run.metrics}


def seconds_to(result: dict, level: float) -> float | None:
    history = result["history"]
    return next((s for s, r2 in zip(history["seconds"], history["val_r2"]) if r2 >= level), None)


def table(results: list[dict]) -> str:
    """A line a variant: of each seed the last R2, and the seconds to some levels."""
    lines = [
        "| variant | held-out R2 at the end | s to R2 0.80 | s to R2 0.97 | s to R2 0.98 |",
        "|---|---|---|---|---|",
    ]
    for variant in VARIANTS:
        own = sorted((r for r in results if r["variant"] == variant), key=lambda r: r["seed"])
        if own:
            cells = [", ".join(f"{r['history']['val_r2'][-1]:.3f}" for r in own)]
            for level in (0.80, 0.97, 0.98):
                times = [seconds_to(r, level) for r in own]
                cells.append(", ".join("-" if t is None else f"{t:.0f}" for t in times))
            lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def figure(results: list[dict], ceiling: float) -> Figure:
    """What is left to the ceiling against time, a line a seed."""
    fig = Figure(figsize=(6.5, 4), layout="constrained")
    ax = fig.subplots()
    for k, variant in enumerate(v for v in VARIANTS if any(r["variant"] == v for r in results)):
        for i, result in enumerate(r for r in results if r["variant"] == variant):
            history = result["history"]
            ax.plot(
                history["seconds"],
                1 - np.minimum(history["val_r2"], 1),
                color=f"C{k}",
                lw=1.8 if variant == "recipe" else 0.9,
                label=None if i else variant,
            )
    for level, said in ((0.80, "R2 0.80"), (0.97, "R2 0.97"), (ceiling, "ideal observer,\n2000 trials")):
        ax.axhline(1 - level, color="0.6", lw=0.8, ls=":")
        ax.annotate(said, (0.005, 1 - level), xycoords=("axes fraction", "data"), va="bottom", fontsize=8, color="0.4")
    ax.set(xlabel="training time (s)", ylabel="1 - held-out R2", yscale="log", ylim=(5e-3, 1))
    ax.set_xlim(left=-0.12 * ax.get_xlim()[1])  # room for the names of the lines
    ax.legend(frameon=False, fontsize=8)
    return fig


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--variants", nargs="*", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--times", type=float, default=1.0, help="as many times the steps of the recipe")
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    results = json.loads(args.json.read_text()) if args.json.exists() else []
    for seed in args.seeds:
        for variant in args.variants:
            wanted = (variant, seed, args.times)
            if not any((r["variant"], r["seed"], r["times"]) == wanted for r in results):
                results.append(train(*wanted))
                args.json.write_text(json.dumps(results))
                print(variant, seed, results[-1]["metrics"], flush=True)
    print(table(results))
    r2, accuracy = ideal_scores(TASK.trials(2000, 777))
    print(f"ideal observer on 2000 trials: R2 {r2:.4f}, bit accuracy {accuracy:.4f}")
    if args.figure:
        figure(results, r2).savefig(args.figure, dpi=120)


if __name__ == "__main__":
    main()

"""What each setting of the training recipe gives: speed, scores and the dynamics that come out, on the 3-bit flip-flop.

Three numbers side by side, and a fourth that explains them: seconds to held-out R2 0.97, R2 on test trials, whether the
skeleton at zero input is the certified cube (27 fixed points: 8 stable, 12 + 6 + 1 saddles of 1, 2 and 3 unstable
directions, index sum +1), and the share of gated units that are frozen on the horizon of a trial. One setting is
changed at a time, all else is as `cj.train` does it. Seconds are of the CPU (all threads together), looks at the
validation trials included, so that other jobs on the machine matter little. Runs that are in the json already are not
repeated: it may be stopped and called again.

    python benchmarks/recipe.py --json PATH [--figure PATH] [--variants NAME ...] [--networks NAME ...] [--seeds S ...]
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

import conjugacy as cj
from conjugacy.training.begin import begin
from conjugacy.training.train import fit
from conjugacy.training.training import Training


class AsTheyAre(cj.tasks.NBitFlipFlop):
    """The flip-flop whose training trials have as many pulses as all others."""

    def training_trials(self, n, seed, step, progress, calm=0.0):
        return super().training_trials(n, seed, step, 1.0, calm)


class BusyForLong(cj.tasks.NBitFlipFlop):
    """The flip-flop whose training trials, the calm ones apart, are busy for 75 % of the steps."""

    def training_trials(self, n, seed, step, progress, calm=0.0):
        usual = super().training_trials(n, seed, step, progress)
        return usual if not calm else joined(usual[: n - round(calm * n)], super().training_trials(n, seed, step, 1, 1))


def joined(some: cj.Trials, more: cj.Trials) -> cj.Trials:
    """Trials of which the last come from `more`, as many as there were."""
    n = len(more)
    names = ("inputs", "targets", "mask", "true_inputs")
    inputs, targets, mask, pulses = (torch.cat([getattr(some, k), getattr(more, k)])[:n] for k in names)
    return cj.Trials.from_tensors(inputs, targets, mask=mask, true_inputs=pulses)


SETTINGS = {"n": 3, "n_timesteps": 500, "switch_prob": 0.015, "noise": 0.15}
TASK, TAUGHT, RARE, LONG = (
    cj.tasks.NBitFlipFlop(**SETTINGS),
    cj.tasks.NBitFlipFlop(**SETTINGS, distilled=True),
    AsTheyAre(**SETTINGS),
    BusyForLong(**SETTINGS),
)
FORMER = {"steps": 1000, "recurrent_decay": 0.0, "calm_share": 0.0, "stop_from": 0.0}
N = cj.networks
NETWORKS = {
    "GRU-128": lambda **settings: N.GRU(128, **settings),
    "LSTM-64": lambda **settings: N.LSTM(64, **settings),
    "vanilla-64": lambda **settings: N.VanillaRNN(64, **settings),
    "leaky-64": lambda **settings: N.LeakyRNN(64, **settings),
    "low-rank-64": lambda **settings: N.LowRankRNN(64, rank=3, **settings),
    "NODE-3": lambda **settings: N.NODE(3, num_layers=3, layer_hidden_size=64, **settings),
}

# name -> settings of the recipe, settings of the network, task
VARIANTS = {
    "recipe": ({}, {}, TASK),
    "former recipe": (FORMER, {}, TASK),
    "no decay": ({"recurrent_decay": 0.0}, {}, TASK),
    "decay 0.3": ({"recurrent_decay": 0.3}, {}, TASK),
    "decay 1": ({"recurrent_decay": 1.0}, {}, TASK),
    "L2 penalty 1e-4": ({"recurrent_decay": 0.0, "weight_decay": 1e-4}, {}, TASK),
    "peak 1e-2": ({"learning_rate": 1e-2}, {}, TASK),
    "peak 2e-2": ({"learning_rate": 2e-2}, {}, TASK),
    "peak 1e-2, no decay": ({"learning_rate": 1e-2, "recurrent_decay": 0.0}, {}, TASK),
    "short for 20 %": ({"short_share": 0.2}, {}, TASK),
    "short for 27 %": ({"short_share": 0.27}, {}, TASK),
    "clipped at 1": ({"clip": 1.0}, {}, TASK),
    "no calm trials": ({"calm_share": 0.0}, {}, TASK),
    "no decay, no calm trials": ({"recurrent_decay": 0.0, "calm_share": 0.0}, {}, TASK),
    "busy for 75 %": ({}, {}, LONG),
    "pulses as they are": ({}, {}, RARE),
    "last weights": ({"averaging": 0.0}, {}, TASK),
    "whole trials only": ({"short_timesteps": 500}, {}, TASK),
    "noise 0.05 in the state": ({}, {"noise_level": 0.05}, TASK),
    "update bias 3": ({}, {"update_bias": 3.0}, TASK),
    "taught": ({}, {}, TAUGHT),
}
CUBE = [8, 12, 6, 1]


def ideal_scores(trials: cj.Trials) -> tuple[float, float]:
    """R2 and bit accuracy of the ideal observer."""
    outputs = TASK.ideal_outputs(trials)
    r2 = cj.training.masked_r2(outputs, trials.targets, trials.mask)
    return r2, TASK.success_rate(outputs, trials)["accuracy"]


def train(variant: str, network: str, seed: int, until: float | None) -> dict:
    """One training with its skeleton; with `until`, it ends at that R2 and nobody looks inside."""
    settings, of_network, task = VARIANTS[variant]
    net = NETWORKS[network](**of_network)
    recipe = replace(cj.training.Recipe.for_task(task, net), **settings)
    training = begin(task, net, seed, recipe, None, "cpu")
    assert isinstance(training, Training)
    started, seconds = time.process_time(), []

    def tell(training: Training) -> None:
        history = training.state.history
        if history and history[-1]["step"] == training.state.step:
            seconds.append(round(time.process_time() - started, 2))
            if until is not None and history[-1]["val_r2"] >= until:
                training.stopped = "learned"

    fit(training, tell)
    history = {name: [h[name] for h in training.state.history] for name in ("step", "val_r2", "val_accuracy")}
    result = {"variant": variant, "network": network, "seed": seed, "until": until}
    result["history"] = {**history, "seconds": seconds}
    if until is None:
        run = training.end()
        result |= {"metrics": run.metrics, **inside(run)}
    return result


def inside(run: cj.Run) -> dict:
    """The skeleton at zero input, and the share of gates that are closed for a trial."""
    started = time.process_time()
    points = cj.fixed_points(run, inputs=[0, 0, 0], n_inits=256, seed=0, progress=False)
    if points.index_sum != 1:  # the audit knows that some are missing
        points = cj.fixed_points(run, inputs=[0, 0, 0], n_inits=2048, seed=0, progress=False)
    spent = time.process_time() - started
    unstable = points.n_unstable[points.fixed]
    times = cj.Analysis(run).timescales(TASK.n_timesteps)
    gates, modes = times.frozen_units, times.frozen_modes
    return {
        "counts": [int((unstable == k).sum()) for k in range(4)],
        "fixed": len(unstable),
        "others": len(points) - len(unstable),
        "index_sum": None if points.index_sum is None else int(points.index_sum),
        "search_seconds": round(spent, 2),
        "frozen_units": None if gates is None else float(gates.double().mean()),
        "frozen_modes": float(modes.double().mean()),
    }


def is_cube(result: dict) -> bool:
    """Whether the skeleton is the certified cube."""
    return result["counts"] == CUBE and result["fixed"] == sum(CUBE) and result["index_sum"] == 1


def seconds_to(result: dict, level: float) -> float | None:
    """CPU seconds to a held-out R2."""
    history = result["history"]
    return next((s for s, r2 in zip(history["seconds"], history["val_r2"]) if r2 >= level), None)


def table(results: list[dict], first: str, names: list[str]) -> str:
    """A line for each value of `first` ("variant" or "network"): numbers of each seed, in order."""
    lines = [
        f"| {first} | seeds | CPU s to R2 0.97 | CPU s in all | test R2 | cubes | fixed points | gates frozen |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in names:
        own = sorted((r for r in results if r[first] == name), key=lambda r: r["seed"])
        if not own:
            continue
        whole = [r for r in own if r["until"] is None]
        to = [seconds_to(r, 0.97) for r in own]
        cells = [
            f"{own[0]['seed']} to {own[-1]['seed']}" if len(own) > 1 else f"{own[0]['seed']}",
            ", ".join("-" if t is None else f"{t:.0f}" for t in to),
            ", ".join(f"{r['history']['seconds'][-1]:.0f}" for r in whole),
            ", ".join(f"{r['metrics']['test_r2']:.3f}" for r in whole),
            f"{sum(map(is_cube, whole))} of {len(whole)}",
            ", ".join(str(r["fixed"]) for r in whole),
            ", ".join("-" if r["frozen_units"] is None else f"{100 * r['frozen_units']:.2g} %" for r in whole),
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def figure(results: list[dict], ceiling: float) -> Figure:
    """What is left to the ceiling against time, a line a seed."""
    fig = Figure(figsize=(6.5, 4), layout="constrained")
    ax = fig.subplots()
    results = [r for r in results if r["network"] == "GRU-128" and r["until"] is None]
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
    ax.set(xlabel="training time (CPU s)", ylabel="1 - held-out R2", yscale="log", ylim=(5e-3, 1))
    ax.set_xlim(left=-0.12 * ax.get_xlim()[1])  # room for the names of the lines
    ax.legend(frameon=False, fontsize=8)
    return fig


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--variants", nargs="*", choices=list(VARIANTS), default=["recipe"])
    parser.add_argument("--networks", nargs="*", choices=list(NETWORKS), default=["GRU-128"])
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(10)))
    parser.add_argument("--until", type=float, help="end each training at this held-out R2, without a look inside")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    results = json.loads(args.json.read_text()) if args.json.exists() else []
    keys = ("variant", "network", "seed", "until")
    for seed in args.seeds:
        for variant in args.variants:
            for network in args.networks:
                wanted = dict(zip(keys, (variant, network, seed, args.until)))
                if not any({k: r[k] for k in keys} == wanted for r in results):
                    results.append(train(**wanted))
                    args.json.write_text(json.dumps(results, indent=None))
                    told = {k: v for k, v in results[-1].items() if k != "history"}
                    print(told, f"s to 0.97: {seconds_to(results[-1], 0.97)}", flush=True)
    print(table([r for r in results if r["network"] == "GRU-128"], "variant", list(VARIANTS)))
    print(table([r for r in results if r["variant"] == "recipe"], "network", list(NETWORKS)))
    r2, accuracy = ideal_scores(TASK.trials(2000, 777))
    print(f"ideal observer on 2000 trials: R2 {r2:.4f}, bit accuracy {accuracy:.4f}")
    if args.figure:
        figure(results, r2).savefig(args.figure, dpi=120)


if __name__ == "__main__":
    main()

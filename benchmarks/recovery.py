"""Which scores of a model of data foretell that it has recovered the computation?

Networks learn tasks; spikes are drawn from them; models are fitted to the spikes, scored as one scores a model of
a recording, and then asked, by `conjugacy.recovery`, what a recording could not tell: whether they have the truth's
memories, saddles, time constants, states, and go where it goes when they are perturbed. Of every score the rank
correlation with the share of questions answered yes is given, over all models, with its interval (bootstrap over
models; beside it, the mean of the correlations within each task and number of units, where a score cannot profit from
some recordings being easier than others).

What is in the folder already is not done again, a fit that was cut off goes on where it was, and a second process with
the same folder takes the cells that the first is not at.

    python benchmarks/recovery.py FOLDER [--full | --sizes] [--table]

The short form (2 tasks, 3 models, 2 numbers of units, 2 seeds) takes less than 20 minutes on 2 cores, a process on
each; `--full` has more of everything, `--sizes` compares sizes of one decoder.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

import conjugacy as cj
from conjugacy.models import StableLinear

SHORT = {
    "tasks": {
        "2 bits": cj.tasks.NBitFlipFlop(n=2, n_timesteps=150, switch_prob=0.02),
        "sine waves": cj.tasks.SineWaveGenerator(n_frequencies=5, frequency=(1.0, 2.0), dt=0.01, duration=1.0),
    },
    "models": {"NODE-3": cj.networks.NODE(3), "GRU-32": cj.networks.GRU(32), "linear-8": StableLinear(8)},
    "units": (15, 60),
    "seeds": (0, 1),
    "steps": 600,
    "n_trials": 400,
}
FULL = {
    "tasks": {
        **SHORT["tasks"],
        "3 bits": cj.tasks.NBitFlipFlop(n=3),
        "MultiTask": cj.tasks.MultiTask(rules=("MemoryPro", "DelayPro")),
        "path integration": cj.tasks.PathIntegration(),
        "reaching": cj.tasks.RandomTarget(),
    },
    "models": {
        "NODE-3": cj.networks.NODE(3),
        "NODE-10": cj.networks.NODE(10),
        "GRU-32": cj.networks.GRU(32),
        "GRU-128": cj.networks.GRU(128),
        "vanilla-32": cj.networks.VanillaRNN(32),
        "linear-8": StableLinear(8),
    },
    "units": (15, 60, 200),
    "seeds": tuple(range(5)),
    "steps": 2500,
    "n_trials": 800,
}
# does State R2 fall with the size of the decoder while the rates stay as good (Versteeg et al. 2025, figure on sizes)?
SIZES = {
    **SHORT,
    "tasks": {"2 bits": SHORT["tasks"]["2 bits"]},
    "models": {f"NODE-{k}": cj.networks.NODE(k) for k in (2, 3, 8, 16, 32)},
    "units": (60,),
    "seeds": (0,),
}
SCORES = (
    "rate_r2",
    "co_bps",
    "few_shot_2",
    "few_shot_8",
    "few_shot_32",
    "forward_bps",
    "state_r2_missing",
    "state_r2_invented",
    "cycle_consistency",
    "sample_distance",
)


def truth_of(task, folder: Path) -> cj.Run:
    """The network that is recorded."""
    return cj.train(task, cj.networks.GRU(32), seed=0, out=folder, progress=False)


@cache
def points_of(folder: Path) -> cj.FixedPoints:
    """The points of a network that is recorded."""
    return cj.fixed_points(cj.load(folder), n_inits=512, progress=False)


def cell(folder: Path, setting: dict, name: tuple[str, str, int, int]) -> dict:
    """Everything about one model of one recording."""
    task, model, n_units, seed = name
    truth = cj.load(folder / "truth" / task)
    recording = cj.simulate_spikes(
        truth, n_units, setting["n_trials"], n_held_out=max(4, n_units // 6), mean_rate=20, seed=n_units
    )
    out = folder / "fits" / "-".join(map(str, name))
    begun = time.monotonic()
    run = cj.fit(
        recording,
        setting["models"][model],
        seed=seed,
        steps=setting["steps"],
        n_unseen=2,
        out=out,
        keep_recording=False,
        progress=False,
    )
    table = run.scores(n_resamples=20, seed=seed).set_index("score")
    found = cj.recovery(run, truth, n_inits=256, true_points=points_of(folder / "truth" / task), seed=seed)
    return {
        **dict(zip(("task", "model", "units", "seed"), name)),
        "seconds": time.monotonic() - begun,
        "fit_seconds": run.metrics["seconds"],
        "stopped": run.metrics["stopped"],
        "scores": {s: float(table.loc[s, "value"]) for s in table.index},
        "ceilings": {s: float(table.loc[s, "ceiling"]) for s in table.index},
        "smoothed": {s: float(table.loc[s, "smoothed rates"]) for s in table.index},
        "linear": {s: float(table.loc[s, "linear dynamics"]) for s in table.index},
        "recovered": {q: a[0] for q, a in found.answers.items()},
        "evidence": {q: list(a[1:]) for q, a in found.answers.items()},
        "share": found.share(),
    }


def cells_of(setting: dict) -> list[tuple[str, str, int, int]]:
    """Task, model, number of units and seed of every cell."""
    return list(itertools.product(setting["tasks"], setting["models"], setting["units"], setting["seeds"]))


def file_of(folder: Path, name: tuple[str, str, int, int]) -> Path:
    """Where a cell is kept."""
    return folder / "cells" / ("-".join(map(str, name)) + ".json")


def results(folder: Path, setting: dict) -> list[dict]:
    """All cells that are done."""
    return [json.loads(p.read_text()) for name in cells_of(setting) if (p := file_of(folder, name)).exists()]


def run_all(folder: Path, setting: dict) -> None:
    """Every cell that is not done and that no other process is at."""
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    for name, task in setting["tasks"].items():
        try:
            truth = truth_of(task, folder / "truth" / name)
        except BlockingIOError:
            while not (folder / "truth" / name / "config.json").exists():
                time.sleep(1)
            continue
        print(f"{name}: {truth}", flush=True)
    for name in cells_of(setting):
        path = file_of(folder, name)
        if path.exists():
            continue
        try:
            row = cell(folder, setting, name)
        except BlockingIOError:
            continue
        path.with_suffix(".new").write_text(json.dumps(row))
        os.replace(path.with_suffix(".new"), path)
        print(f"{path.stem}: {row['seconds']:.0f} s, recovered {row['share']:.2f} {row['recovered']}", flush=True)


def table(rows: list[dict]) -> str:
    """A line a cell: scores as shares of their ceilings, and the answers."""
    lines = []
    for r in rows:
        share = {
            s: r["scores"][s] / r["ceilings"][s] for s in ("co_bps", "few_shot_8", "forward_bps") if s in r["scores"]
        }
        own = {s: r["scores"].get(s) for s in ("rate_r2", "state_r2_missing", "state_r2_invented", "cycle_consistency")}
        answers = r["recovered"].values()
        lines.append(
            {
                **{k: r[k] for k in ("task", "model", "units", "seed")},
                **{f"{k} / ceiling": v for k, v in share.items()},
                **own,
                "co_bps smoothed / linear": "{:.2f} / {:.2f}".format(
                    *(r[b]["co_bps"] / r["ceilings"]["co_bps"] for b in ("smoothed", "linear"))
                ),
                "memories": r["evidence"]["memories"][0] + " of " + r["evidence"]["memories"][1],
                "yes / no / undecided": " / ".join(
                    str(sum(a == k for a in answers)) for k in ("yes", "no", "undecided")
                ),
            }
        )
    found = pd.DataFrame(lines)
    return markdown(found.round(2))


def share_of(row: dict) -> float:
    """Share of the questions decided that are answered yes, but for states: State R2 is the answer."""
    decided = [a for q, a in row["recovered"].items() if q != "states" and a != "undecided"]
    return decided.count("yes") / max(len(decided), 1)


def foretold(rows: list[dict]) -> str:
    """Rank correlation of each score with the share of questions answered yes."""
    share = np.array([share_of(r) for r in rows])
    groups = np.array([f"{r['task']} {r['units']}" for r in rows])
    rng, lines = np.random.default_rng(0), []
    for s in SCORES:
        x = np.array([r["scores"].get(s, np.nan) for r in rows]) * (-1 if s == "sample_distance" else 1)
        if s.endswith("bps") or s.startswith("few_shot"):
            x = x / np.array([r["ceilings"].get(s, np.nan) for r in rows])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # constant samples have no rank correlation
            whole = spearmanr(x, share).statistic
            some = [rng.integers(len(x), size=len(x)) for _ in range(1000)]
            low, high = np.nanquantile([spearmanr(x[i], share[i]).statistic for i in some], [0.025, 0.975])
            within = np.nanmean([spearmanr(x[groups == g], share[groups == g]).statistic for g in set(groups)])
        lines.append({"score": s, "rank correlation": whole, "low": low, "high": high, "within recordings": within})
    return markdown(pd.DataFrame(lines).sort_values("rank correlation", ascending=False).round(2))


def markdown(frame: pd.DataFrame) -> str:
    """A table for a page."""
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).values.tolist()]
    return "\n".join("| " + " | ".join(map(str, r)) + " |" for r in rows)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--sizes", action="store_true")
    parser.add_argument("--table", action="store_true", help="print what is there, and do nothing more")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*states for.*units")
    setting = FULL if given.full else SIZES if given.sizes else SHORT
    if not given.table:
        run_all(given.folder, setting)
    rows = results(given.folder, setting)
    print(table(rows), foretold(rows), sep="\n\n")


if __name__ == "__main__":
    main()

"""A zoo of trained networks: are the memories that the search for fixed points names those at which orbits end?

Small networks of seven kinds learn the flip-flop of two and three bits by recipes that were tuned, by untuned ones and
by the one of the notebook. In each the search on a horizon of 5000 steps, and where orbits keep moving `attractors`, is
compared with brute force: 2000 noise-free orbits that start in states of test trials are followed for 5000 steps
without input, and their ends (means over 840 steps, so that a cycle counts once) fall into clusters. The rule
by which a network is judged was fixed before looking:

- clusters are the finest cut of the ends, by single linkage, that leaves every two clusters at least ten of their own
  spreads apart (the larger root mean square distance from the mean), and each cluster ten times smaller than the
  spread of the visited states; ends nearer than 1e-4 of that spread are not told apart;
- where there is no such cut, brute force has no answer, and the network is not judged;
- it agrees if the memories that hold for 5000 steps, and the cycles, are as many as the clusters, and every cluster's
  centre is at one of its own.

What is in the folder already is not done again: it may be stopped and called again.

    python benchmarks/zoo.py --folder zoo [--look-again] [--names NAME ...] [--table]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage

import conjugacy as cj
from conjugacy.dynamics.horizon import carried
from conjugacy.dynamics.orbits import time_step
from conjugacy.training.begin import begin
from conjugacy.training.train import fit
from conjugacy.training.training import Training

N_ORBITS, N_STEPS, WINDOW = 2000, 5000, 840
APART, UNTOLD = 10.0, 1e-4
N = cj.networks
KINDS = {
    "GRU-16": lambda n: N.GRU(16),
    "GRU-32": lambda n: N.GRU(32),
    "LSTM-16": lambda n: N.LSTM(16),
    "vanilla-32": lambda n: N.VanillaRNN(32),
    "leaky-32": lambda n: N.LeakyRNN(32),
    "low-rank-32": lambda n: N.LowRankRNN(32, rank=n),
    "NODE": lambda n: N.NODE(n, num_layers=2, layer_hidden_size=32),
}
RECIPES: dict[str, dict[str, Any]] = {
    "default": {"steps": 500},
    "plain": {"steps": 400, "learning_rate": 1e-2, "recurrent_decay": 0.0, "calm_share": 0.0, "clip": 1.0},
    "early": {"steps": 500, "stop_r2": 0.8, "stop_accuracy": 0.0, "stop_from": 0.0, "eval_every": 10},
    # a schedule ten times as long as what is trained: the learning rate is as good as constant
    "notebook": {
        "steps": 4000,
        "learning_rate": 1e-3,
        "warmup": 0.0,
        "clip": 1e6,
        "recurrent_decay": 0.0,
        "calm_share": 0.0,
        "averaging": 0.0,
        "short_share": 0.0,
        "batch_size": 200,
    },
}
NOTEBOOK_STEPS = 400


class SameTrials(cj.tasks.NBitFlipFlop):
    """The flip-flop whose training trials are the same at every step, as the notebook has them."""

    def training_trials(self, n, seed, step, progress, calm=0.0):
        return self.trials(n, seed)


@dataclass(frozen=True)
class Member:
    """One network of the zoo."""

    kind: str
    n_bits: int
    recipe: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.kind} {self.n_bits} bits {self.recipe}"


def members() -> Iterator[Member]:
    """All networks: every kind, two and three bits, three recipes; four kinds by that of the notebook as well."""
    for k, (kind, n, recipe) in enumerate((kind, n, r) for n in (2, 3) for r in RECIPES for kind in KINDS):
        if recipe != "notebook" or kind in ("GRU-16", "LSTM-16", "vanilla-32", "NODE"):
            yield Member(kind, n, recipe, seed=k)


def trained(member: Member, folder: Path) -> cj.Run:
    """The network, from its folder if it is there."""
    path = folder / member.name.replace(" ", "_")
    if path.exists():
        return cj.load(path)
    task = cj.tasks.NBitFlipFlop(n=member.n_bits, n_timesteps=200, switch_prob=0.02, noise=0.15)
    network = KINDS[member.kind](member.n_bits)
    notebook = member.recipe == "notebook"
    taught = SameTrials(n=task.n, n_timesteps=200, switch_prob=0.02, noise=0.15) if notebook else task
    recipe = replace(cj.training.Recipe.for_task(task, network), **RECIPES[member.recipe])
    training = begin(taught, network, member.seed, recipe, None, "cpu")
    assert isinstance(training, Training)

    def tell(training: Training) -> None:
        if notebook and training.state.step >= NOTEBOOK_STEPS:
            training.stopped = "learned"

    fit(training, tell)
    run = replace(training.end(), task=task)
    run.save(path)
    return run


def ends_of_orbits(fps: cj.FixedPoints, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of orbits from `states` (B, D) the means over the last 840 of 5000 steps, and the mean motion of a step there."""
    dynamics, u = fps.dynamics, torch.from_numpy(fps.u[0])
    assert dynamics is not None
    x = torch.from_numpy(states)
    h = time_step(dynamics, x[:8], u)
    x = carried(dynamics, x, u, h, N_STEPS - WINDOW)
    total, way = torch.zeros_like(x), torch.zeros(len(x), dtype=torch.float64)
    for _ in range(WINDOW):
        after = carried(dynamics, x, u, h, 1)
        way += (after - x).norm(dim=-1)
        x = after
        total += x
    return (total / WINDOW).numpy(), (way / WINDOW).numpy()


def clusters(ends: np.ndarray, scale: float) -> np.ndarray | None:
    """The cluster (B,) of each end by the rule above; None where there is no such cut."""
    tree = linkage(ends, "single")
    heights = tree[:, 2]
    cuts = np.unique(heights[heights > UNTOLD * scale])
    for cut in [UNTOLD * scale, *cuts.tolist()]:
        label = fcluster(tree, cut, "distance") - 1
        centres = np.stack([ends[label == k].mean(0) for k in range(label.max() + 1)])
        if len(centres) > 100:
            continue
        spread = np.array([np.sqrt(((ends[label == k] - centres[k]) ** 2).sum(1).mean()) for k in range(len(centres))])
        gap = np.linalg.norm(centres[:, None] - centres, axis=-1)
        np.fill_diagonal(gap, np.inf)
        if (gap >= APART * np.maximum(spread[:, None], spread)).all() and (spread <= scale / APART).all():
            return label
    return None


def look(run: cj.Run) -> dict[str, Any]:
    """Search and brute force side by side."""
    started = time.process_time()
    system = run.system("test")
    fps = cj.fixed_points(system, inputs=0, seed=0, horizon=N_STEPS, progress=False)
    searched = time.process_time() - started
    states = system.states().double().numpy()
    some = np.random.default_rng(0).choice(len(states), N_ORBITS, replace=False)
    ends, way = ends_of_orbits(fps, states[some])
    scale = float(fps.scale or np.sqrt(states.var(0).sum()))
    kept = np.isfinite(ends).all(1)
    label = clusters(ends[kept], scale)
    lasting = fps.memories & (fps.horizon >= N_STEPS)
    # where orbits keep moving, points are not all there is
    moved = fps.attractors(progress=False) if fps.record.n_unsettled else ()
    cycles = [np.asarray(a.x).mean(0) for a in moved if a.kind in ("cycle", "circle", "torus", "chaos")]
    places = [*fps.x[lasting], *cycles]
    result: dict[str, Any] = {
        "r2": run.metrics.get("test_r2"),
        "points": str(fps),
        "summary": fps.summary(),
        "memories": int(fps.memories.sum()),
        "lasting": int(lasting.sum()),
        "cycles": len(cycles),
        "fixed": int((fps.fixed & fps.memories).sum()),
        "search_seconds": round(searched, 1),
        "runaway": int((~kept).sum()),
        "moving": float((way[kept] > 1e-3 * scale).mean()) if kept.any() else None,
        "clusters": None,
        "agrees": None,
    }
    if label is not None:
        centres = np.stack([ends[kept][label == k].mean(0) for k in range(label.max() + 1)])
        sizes = np.bincount(label).tolist()
        gap = (
            np.linalg.norm(centres[:, None] - np.stack(places), axis=-1) if places else np.full((len(centres), 1), 9e9)
        )
        own = gap.argmin(1)
        wide = np.array(
            [np.linalg.norm(ends[kept][label == k] - centres[k], axis=1).max() for k in range(len(centres))]
        )
        near = bool((gap.min(1) <= np.maximum(APART * wide, 0.05 * scale)).all())
        result |= {
            "clusters": len(centres),
            "sizes": sorted(sizes, reverse=True),
            "gaps": [round(g / scale, 4) for g in gap.min(1).tolist()],
            "agrees": near and len(set(own.tolist())) == len(centres) == len(places),
        }
    return result


def table(results: dict[str, dict[str, Any]]) -> str:
    """The results as a table of Markdown."""
    lines = [
        "| network | test R2 | memories (held for 5000 steps) | fixed points | cycles and circles | clusters | agree |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, r in results.items():
        said = {None: "not judged", True: "yes", False: "**no**"}[r["agrees"]]
        found = f"{r['memories']} ({r['lasting']})"
        lines.append(
            f"| {name} | {r['r2']:.2f} | {found} | {r['fixed']} | {r['cycles']} | "
            f"{'-' if r['clusters'] is None else r['clusters']} | {said} |"
        )
    judged = [r["agrees"] for r in results.values() if r["agrees"] is not None]
    return "\n".join([*lines, "", f"{len(results)} networks, {len(judged)} judged, {sum(judged)} agree."])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--look-again", action="store_true", help="search again in networks that were looked at")
    parser.add_argument("--names", nargs="*", help="only networks whose names contain one of these")
    parser.add_argument("--table", action="store_true", help="print what is there, and do nothing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.folder.mkdir(parents=True, exist_ok=True)
    path = args.folder / "zoo.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for member in members():
        wanted = args.names is None or any(n in member.name for n in args.names)
        if args.table or not wanted or (member.name in results and not args.look_again):
            continue
        started = time.process_time()
        run = trained(member, args.folder)
        middle = time.process_time()
        results[member.name] = look(run)
        path.write_text(json.dumps(results, indent=1))
        told = {k: v for k, v in results[member.name].items() if k != "summary"}
        spent = f"{middle - started:.0f} + {time.process_time() - middle:.0f} s"
        print(member.name, told, spent, flush=True)
    print(table(results))


if __name__ == "__main__":
    main()

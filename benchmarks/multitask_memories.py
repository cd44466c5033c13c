"""What does a network of fifteen rules remember on, and which rules share it? The tables of docs/multitask.md.

GRU-128 by the recipe of `MultiTask`, a network for each seed. In the first memory of every rule that has one: what
rests on the horizon of that memory, and how well the angle of the stimulus is read from a ring. Then which rules
remember along the same directions, with the lesions that bear it out.

Networks that are in the folder already are not trained again.

    python benchmarks/multitask_memories.py --folder FOLDER [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import conjugacy as cj
from conjugacy.dynamics.points import FixedPoints

RINGS = ("MemoryPro", "MemoryAnti", "Match2Sample", "NonMatch2Sample")
REMEMBER = (*RINGS, "IntMod1", "IntMod2", "ContextIntMod1", "ContextIntMod2", "ContextIntMultimodal")
REMEMBER += ("MatchCatPro", "MatchCatAnti")
PLACES = [(rule, "mem1") for rule in REMEMBER] + [(rule, "context", "stim1") for rule in ("DelayPro", "DelayAnti")]


def network(folder: Path, seed: int) -> cj.Run:
    """The network of that seed, trained if it is not there."""
    path = folder / str(seed)
    return cj.load(path) if path.exists() else cj.train(cj.tasks.MultiTask(), cj.networks.GRU(128), seed=seed, out=path)


def angle_errors(run: cj.Run, rule: str, points: FixedPoints) -> tuple[float, np.ndarray]:
    """Mean resultant length of the ring's angle less the stimulus' (either way round), and distances from it (rad)."""
    epochs = cj.Analysis(run).epochs("test")
    rows = epochs.rows(rule, "mem1")
    ends, starts = (epochs.trials.epochs[name][rows] for name in ("mem1", "stim1"))
    stimuli = epochs.trials.true_inputs[rows, starts[:, 0]]
    first = stimuli[:, 1:3].abs().sum(1) > 0
    shown = torch.where(first[:, None], stimuli[:, 1:3], stimuli[:, 3:5])
    places = points.plateaus[0].angles(epochs.latents[rows, ends[:, 1] - 1]).numpy()
    turns = [np.exp(1j * (places - s * torch.atan2(shown[:, 1], shown[:, 0]).numpy())) for s in (1, -1)]
    best = max(turns, key=lambda t: abs(t.mean()))
    return float(abs(best.mean())), np.abs(np.angle(best / best.mean()))


def main() -> None:
    """Train, look, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    for seed in args.seeds:
        run = network(args.folder, seed)
        print(f"\nseed {seed}")
        found = cj.shared_motifs(run, PLACES, n_inits=64, progress=False)
        print(found.table()[["motif", "at rest"]])
        for rule in RINGS:
            points = found.points[f"{rule}, mem1"]
            (plateau,) = points.plateaus
            if plateau.topology == "ring":
                length, errors = angle_errors(run, rule, points)
                median, worst = np.degrees([np.median(errors), errors.max()])
                held = f"neutral directions {plateau.dimension}, share of orbits {plateau.share:.2f}"
                print(f"{rule}: {held}, resultant {length:.3f}, median {median:.1f}, worst {worst:.1f} degrees")
        print(found.shares.round(2).to_string())
        print(found.lesion_evidence(n_random=9).round(2).to_string(), flush=True)


if __name__ == "__main__":
    main()

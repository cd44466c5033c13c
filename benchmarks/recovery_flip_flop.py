"""Are the eight memories of a 3-bit flip-flop found again in spikes of a network that solves it?

    python benchmarks/recovery_flip_flop.py RUN OUT SEED [SEED ...] [--steps 2500]

RUN is the folder of a run on NBitFlipFlop(n=3); 60 units at 10 Hz in bins of 10 ms are recorded on 800 trials, and
NODE-3 autoencoders are fitted to them, each kept in the folder OUT: a fit that was cut off goes on. Prints for each
seed scores beside their ceilings, what `conjugacy.recovery` finds, and what the memories mean: the bits that one affine
map, from states to the network's outputs on training trials, reads from them.
"""

from __future__ import annotations

import argparse

import numpy as np

import conjugacy as cj


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("out")
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--steps", type=int, default=2500)
    given = parser.parse_args()
    truth = cj.load(given.run)
    trials = truth.task.trials(800, 1)
    recording = cj.simulate_spikes(truth, 60, trials=trials, mean_rate=10, bin_size=0.01, seed=1)
    wanted = truth.rollout(trials).outputs.numpy()
    true_points = cj.fixed_points(truth, n_inits=512, progress=False)
    for seed in given.seeds:
        out = f"{given.out}/{seed}"
        run = cj.fit(recording, cj.networks.NODE(3), seed=seed, steps=given.steps, out=out, keep_recording=False)
        print(f"seed {seed}: {run.metrics}")
        print(run.scores().drop(columns="note").round(3).to_string(index=False))
        found = cj.recovery(run, truth, true_points=true_points)
        print(found)
        states = run.infer("train").states.numpy().reshape(-1, 3)
        outputs = wanted[run.rows("train")].reshape(len(states), -1)
        bits = np.linalg.lstsq(np.c_[states, np.ones(len(states))], outputs, rcond=None)[0]
        memories = found.points.x[found.points.memories]
        read = np.c_[memories, np.ones(len(memories))] @ bits
        print(f"{len({tuple(r) for r in np.round(read).astype(int)})} different of {len(read)} memories:")
        print(read.round(2), flush=True)


if __name__ == "__main__":
    main()

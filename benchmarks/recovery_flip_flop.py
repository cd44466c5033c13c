"""Are the eight memories of a 3-bit flip-flop found again in spikes of a network that solves it?

    python benchmarks/recovery_flip_flop.py RUN SEED [STEPS]

RUN is the folder of a run on NBitFlipFlop(n=3); 60 units at 10 Hz in bins of 10 ms are recorded on 800 trials, and a
NODE-3 autoencoder is fitted to them. Prints scores beside their ceilings, the points of its dynamics, and what the
memories mean: the bits that one affine map, from states to the network's outputs on training trials, reads from them.
"""

import sys

import numpy as np

import conjugacy as cj


def main(folder: str, seed: int, steps: int = 2500) -> None:
    truth = cj.load(folder)
    trials = truth.task.trials(800, 1)
    recording = cj.simulate_spikes(truth, 60, trials=trials, mean_rate=10, bin_size=0.01, seed=1)
    run = cj.fit(recording, cj.networks.NODE(3), seed=seed, steps=steps)
    print(run.metrics)
    points = cj.fixed_points(run, n_inits=512, progress=False)
    print(points)
    states = run.infer("train").states.numpy().reshape(-1, 3)
    outputs = truth.rollout(trials).outputs.numpy()[run.rows("train")].reshape(len(states), -1)
    bits = np.linalg.lstsq(np.c_[states, np.ones(len(states))], outputs, rcond=None)[0]
    memories = points.x[points.memories]
    read = np.c_[memories, np.ones(len(memories))] @ bits
    print(f"{len({tuple(r) for r in np.round(read).astype(int)})} different of {len(read)} memories:\n{read.round(2)}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *map(int, sys.argv[3:]))

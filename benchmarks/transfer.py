"""Steps to the criterion of the 3-bit flip-flop, from nothing and going on from a 2-bit one: five seeds, a GRU-32.

    python benchmarks/transfer.py

Prints one row a seed: the first validation at which the accuracy is at least 0.98, with and without transfer.
"""

import pandas as pd

import conjugacy as cj

CRITERION = 0.98


def first_step(run):
    """The first validated step at the criterion; None if it was not reached."""
    reached = run.history[run.history.val_accuracy >= CRITERION]
    return int(reached.step.iloc[0]) if len(reached) else None


def main():
    """Train and print."""
    two, three = (cj.tasks.NBitFlipFlop(n=n, n_timesteps=200) for n in (2, 3))
    settings = {"progress": False, "stop_from": 0.0, "eval_every": 10}
    rows = []
    for seed in range(5):
        source = cj.train(two, cj.networks.GRU(32), seed=seed, **settings)
        more = cj.train(three, start=source, seed=100 + seed, **settings)
        new = cj.train(three, cj.networks.GRU(32), seed=100 + seed, **settings)
        rows.append({"seed": seed, "going on": first_step(more), "from nothing": first_step(new)})
        print(pd.DataFrame(rows).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()

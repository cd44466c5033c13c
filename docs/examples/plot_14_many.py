"""
Many networks at once
=====================

Six GRUs of two sizes, all with all: a matrix, and a map on which networks lie close that are alike.
"""

import conjugacy as cj

task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=60)
runs = cj.train_population(
    task,
    cj.networks.GRU(latent_size=8),
    seeds=range(3),
    vary={"latent_size": [8, 16]},
    steps=120,
    out="runs/population",
    workers=1,
    progress=False,
)
names = [f"GRU-{run.network.latent_size} seed {run.seed}" for run in runs]
comparison = cj.compare(runs, ["dsa"], names=names, interval=None, seed=0, progress=False)

figure = cj.plots.similarity_matrix(comparison)

# %%
# As points in the plane; the groups have colours.
near = cj.plots.similarity_map(comparison, groups=[f"GRU-{run.network.latent_size}" for run in runs])

"""
States in three dimensions
==========================

The 32 units of a GRU move in few dimensions. Here are their first three principal components: each memory of the
flip-flop is a place where the lines meet.
"""

import conjugacy as cj

task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=200)
gru = cj.train(task, cj.networks.GRU(latent_size=32), seed=0, out="runs/gru", progress=False)

figure = cj.plots.latents_3d(gru, num_trials=10)

# %%
# How many dimensions are there? Each bar is the share of the variance along one component.
variance = cj.plots.scree(gru)

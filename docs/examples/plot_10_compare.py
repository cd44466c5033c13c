"""
Are two networks alike?
=======================

Every score with its interval, and beside what two unrelated or untrained networks would get.
"""

import conjugacy as cj

task = cj.tasks.NBitFlipFlop(n=2, n_timesteps=200)
gru = cj.train(task, cj.networks.GRU(latent_size=32), seed=0, out="runs/gru", progress=False)
other = cj.train(task, cj.networks.GRU(latent_size=32), seed=1, out="runs/gru1", progress=False)

comparison = cj.compare([gru, other], ["state_r2", "procrustes", "cka", "dsa"], null="auto", seed=0, progress=False)
figure = cj.plots.forest(comparison)

# %%
# The same as a table:
comparison.table()
